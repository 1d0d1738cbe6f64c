//! From catalog files to a checked catalog. Every problem is collected with its place; nothing is repaired.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::file::{CatalogFile, Document, IssuerEntry, MeterEntry, PlanEntry, ProductEntry};
use super::{Aggregation, Catalog, Issuer, Meter, PlanVersion, Price, PriceModel, Problem, Product};
use crate::id::{IdError, IssuerId, MeterId, PlanId, PriceId, ProductId};
use crate::money::Currency;
use crate::period::{parse_instant, parse_zone};
use crate::price;
use crate::price::node::Node;
use crate::price::read::{Reading, Table};

pub(super) fn check(files: &[&CatalogFile], sha256: String) -> Result<Catalog, Vec<Problem>> {
    let mut checking = Checking::new(sha256);
    let mut documents = Vec::new();
    for file in files {
        checking.file = file;
        match toml::from_str::<Document>(&file.text) {
            Ok(document) => documents.push((*file, document)),
            Err(error) => checking.problem(
                error.span().unwrap_or(0..0),
                error.message().trim().replace('\n', " "),
                "see `tollbook init` for every key",
            ),
        }
    }
    // References may point into any file, so what is pointed to is read first.
    for (file, document) in &documents {
        checking.file = file;
        document.issuer.iter().for_each(|entry| checking.issuer(entry));
        document.product.iter().for_each(|entry| checking.product(entry));
    }
    for (file, document) in &documents {
        checking.file = file;
        document.meter.iter().for_each(|entry| checking.meter(entry));
    }
    for (file, document) in &documents {
        checking.file = file;
        document.plan.iter().for_each(|entry| checking.plan(entry));
    }
    checking.finish()
}

struct Checking<'a> {
    file: &'a CatalogFile,
    catalog: Catalog,
    problems: Vec<Problem>,
}

static NO_FILE: CatalogFile = CatalogFile { path: String::new(), text: String::new() };

/// A `None` result always has its problem recorded already.
impl<'a> Checking<'a> {
    fn new(sha256: String) -> Self {
        let (issuers, products) = (BTreeMap::new(), BTreeMap::new());
        let catalog = Catalog { issuers, products, meters: BTreeMap::new(), plans: BTreeMap::new(), sha256 };
        Self { file: &NO_FILE, catalog, problems: Vec::new() }
    }

    fn problem(&mut self, span: Range<usize>, what: impl Into<String>, mend: impl Into<String>) {
        let before = &self.file.text[..span.start.min(self.file.text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        self.problems.push(Problem {
            path: self.file.path.clone(),
            line,
            column,
            what: what.into(),
            mend: mend.into(),
        });
    }

    fn id<T>(&mut self, text: &Spanned<String>, parse: impl Fn(String) -> Result<T, IdError>) -> Option<T> {
        match parse(text.as_ref().clone()) {
            Ok(id) => Some(id),
            Err(error) => {
                self.problem(text.span(), error.to_string(), "choose another id");
                None
            }
        }
    }

    fn issuer(&mut self, entry: &Spanned<IssuerEntry>) {
        let entry = entry.as_ref();
        let id = self.id(&entry.id, IssuerId::parse);
        let time_zone = match parse_zone(entry.time_zone.as_ref()) {
            Ok(zone) => Some(zone),
            Err(error) => {
                self.problem(entry.time_zone.span(), error.to_string(), "use a name of the IANA database");
                None
            }
        };
        let terms = u32::try_from(*entry.payment_terms_days.as_ref()).ok().filter(|days| *days <= 365);
        if terms.is_none() {
            let span = entry.payment_terms_days.span();
            self.problem(span, "payment_terms_days must be 0 to 365", "write the days until an invoice is due");
        }
        let prefix = entry.number_prefix.as_ref();
        if prefix.is_empty() || prefix.len() > 16 || !prefix.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            let span = entry.number_prefix.span();
            self.problem(span, "number_prefix must be 1 to 16 letters, digits or '-'", "such as \"AC-2026-\"");
            return;
        }
        let taken = self.catalog.issuers.iter().find(|(_, other)| other.number_prefix == *prefix);
        if let Some((other, _)) = taken {
            let what = format!("number_prefix {prefix:?} is that of issuer {other} too");
            self.problem(entry.number_prefix.span(), what, "give each issuer its own, or two invoices share a number");
            return;
        }
        let (Some(id), Some(time_zone), Some(payment_terms_days)) = (id, time_zone, terms) else { return };
        let issuer = Issuer {
            legal_name: entry.legal_name.as_ref().clone(),
            address: entry.address.clone(),
            tax_id: entry.tax_id.clone(),
            number_prefix: prefix.clone(),
            time_zone,
            payment_terms_days,
        };
        if self.catalog.issuers.insert(id.clone(), issuer).is_some() {
            self.problem(entry.id.span(), format!("issuer {id} is declared twice"), "remove one");
        }
    }

    fn product(&mut self, entry: &Spanned<ProductEntry>) {
        let entry = entry.as_ref();
        let Some(id) = self.id(&entry.id, ProductId::parse) else { return };
        for route in &entry.routes {
            if !route.as_ref().starts_with('/') {
                self.problem(route.span(), "a route must start with '/'", "write the path prefix, such as \"/maps/\"");
            }
            let taken = self.catalog.products.iter().find(|(_, other)| other.routes.contains(route.as_ref()));
            if let Some((other, _)) = taken {
                let what = format!("route {:?} is that of product {other} too", route.as_ref());
                self.problem(route.span(), what, "give the route to one product");
            }
        }
        let routes = entry.routes.iter().map(|route| route.as_ref().clone()).collect();
        let product = Product { name: entry.name.as_ref().clone(), routes };
        if self.catalog.products.insert(id.clone(), product).is_some() {
            self.problem(entry.id.span(), format!("product {id} is declared twice"), "remove one");
        }
    }

    fn meter(&mut self, entry: &Spanned<MeterEntry>) {
        let entry = entry.as_ref();
        let Some(id) = self.id(&entry.id, MeterId::parse) else { return };
        let product = match &entry.product {
            None => None,
            Some(text) => {
                let Some(product) = self.id(text, ProductId::parse) else { return };
                if !self.catalog.products.contains_key(&product) {
                    self.problem(text.span(), format!("no product {product}"), "declare it, or name another");
                    return;
                }
                Some(product)
            }
        };
        let aggregation = match entry.aggregation.as_ref().as_str() {
            "count" => Aggregation::Count,
            "sum" => Aggregation::Sum,
            "unique" => Aggregation::Unique,
            other => {
                let what = format!("aggregation {other:?} is not known");
                self.problem(entry.aggregation.span(), what, "use count, sum or unique");
                return;
            }
        };
        match (&entry.value, aggregation) {
            (Some(value), Aggregation::Count) => {
                self.problem(value.span(), "a count has no value", "remove value, or use sum or unique");
            }
            (None, Aggregation::Sum | Aggregation::Unique) => {
                let what = format!("a {} needs a value", aggregation.as_str());
                self.problem(entry.aggregation.span(), what, "add value, such as \"response_bytes\"");
            }
            _ => {}
        }
        for (name, expression) in &entry.group_by {
            if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
                let what = format!("dimension {name:?} must be lower-case letters, digits or '_'");
                self.problem(expression.span(), what, "rename it");
            }
        }
        let text = |value: &Option<Spanned<String>>| value.as_ref().map(|text| text.as_ref().clone());
        let meter = Meter {
            name: entry.name.as_ref().clone(),
            unit: entry.unit.as_ref().clone(),
            product,
            aggregation,
            value: text(&entry.value),
            filter: text(&entry.filter),
            group_by: entry.group_by.iter().map(|(name, sql)| (name.clone(), sql.as_ref().clone())).collect(),
        };
        if self.catalog.meters.insert(id.clone(), meter).is_some() {
            self.problem(entry.id.span(), format!("meter {id} is declared twice"), "remove one");
        }
    }

    fn plan(&mut self, entry: &Spanned<PlanEntry>) {
        let entry = entry.as_ref();
        let id = self.id(&entry.id, PlanId::parse);
        let issuer = self.id(&entry.issuer, IssuerId::parse).filter(|issuer| {
            let known = self.catalog.issuers.contains_key(issuer);
            if !known {
                self.problem(entry.issuer.span(), format!("no issuer {issuer}"), "declare it, or name another");
            }
            known
        });
        let currency = match Currency::parse(entry.currency.as_ref()) {
            Ok(currency) => Some(currency),
            Err(error) => {
                self.problem(entry.currency.span(), error.to_string(), "use a currency that Stripe has");
                None
            }
        };
        let version = u32::try_from(*entry.version.as_ref()).ok().filter(|version| *version >= 1);
        if version.is_none() {
            self.problem(entry.version.span(), "version must be 1 or more", "count versions from 1");
        }
        let effective_from = match parse_instant(entry.effective_from.as_ref()) {
            Ok(instant) => Some(instant),
            Err(error) => {
                self.problem(entry.effective_from.span(), error.to_string(), "write when it begins to apply");
                None
            }
        };
        let prices = self.prices(entry);
        let (Some(id), Some(issuer), Some(currency)) = (id, issuer, currency) else { return };
        let (Some(version), Some(effective_from)) = (version, effective_from) else { return };
        let name = entry.name.as_ref().clone();
        let new = PlanVersion { version, effective_from, name, issuer, currency, prices };
        let versions = self.catalog.plans.entry(id.clone()).or_default();
        let clash = versions
            .iter()
            .find(|old| old.version == version || (old.version < version) != (old.effective_from < effective_from));
        if let Some(old) = clash {
            let what = format!("plan {id} version {version} does not follow version {}", old.version);
            let mend = "give each version its own number, and a later one a later effective_from";
            self.problem(entry.version.span(), what, mend);
            return;
        }
        versions.push(new);
        versions.sort_by_key(|plan| plan.version);
    }

    fn prices(&mut self, entry: &PlanEntry) -> Vec<Price> {
        if entry.price.is_empty() {
            let what = "a plan needs at least one price";
            self.problem(entry.id.span(), what, "add [[plan.price]]; a free plan has a flat price of \"0\"");
        }
        let mut prices: Vec<Price> = Vec::new();
        for price in &entry.price {
            let mut reading = Reading::default();
            let price = self.price(&price.0, &prices, &mut reading);
            for flaw in reading.flaws {
                self.problem(flaw.at, flaw.what, flaw.mend);
            }
            prices.extend(price);
        }
        prices
    }

    /// One price: its id, its words, its meter; the rest is the tariff's.
    fn price(&self, node: &Node, before: &[Price], reading: &mut Reading) -> Option<Price> {
        let mut table = Table::of(node, "price", reading)?;
        let id_at = table.place("id").unwrap_or_else(|| table.at());
        let price_id = table.required(reading, "id", "a price", |node, path, reading| {
            let id = PriceId::parse(Table::text(node, path, reading)?);
            id.map_err(|error| reading.flaw(node.at.clone(), path, error.to_string(), "choose another id")).ok()
        });
        if let Some(id) = price_id.as_ref().filter(|id| before.iter().any(|other| other.price_id == **id)) {
            reading.flaw(id_at, "price.id", format!("price {id} is there twice"), "rename one");
        }
        let description = table.required(reading, "description", "a price", Table::text);
        let word = table.peek("model").unwrap_or_default().to_owned();
        let model_at = table.place("model").unwrap_or_else(|| table.at());
        let meter_at = table.place("meter").unwrap_or_else(|| table.at());
        let meter = table.optional(reading, "meter", |node, path, reading| {
            let id = MeterId::parse(Table::text(node, path, reading)?);
            id.map_err(|error| reading.flaw(node.at.clone(), path, error.to_string(), "choose another id")).ok()
        });
        match (&meter, word.as_str()) {
            (Some(Some(_)), "flat") => {
                reading.flaw(meter_at.clone(), "price.meter", "a flat price has no meter", "remove meter");
            }
            (Some(None), model) if model != "flat" => {
                reading.flaw(model_at, "price.meter", format!("a {model} price needs meter"), "add meter");
            }
            _ => {}
        }
        let tariff = price::tariff::tariff(&mut table, reading);
        table.finish(reading);
        let meter = meter?;
        if let Some(id) = &meter {
            match (self.catalog.meters.get(id), tariff.as_ref().map(|tariff| &tariff.model)) {
                (None, _) => {
                    reading.flaw(meter_at, "price.meter", format!("no meter {id}"), "declare it, or name another");
                }
                (Some(meter), Some(PriceModel::Matrix { dimensions, .. })) => {
                    for dimension in dimensions.iter().filter(|name| !meter.group_by.contains_key(*name)) {
                        let what = format!("meter {id} has no dimension {dimension}");
                        reading.flaw(meter_at.clone(), "price.dimensions", what, "add it to the meter's group_by");
                    }
                }
                _ => {}
            }
        }
        Some(Price { price_id: price_id?, description: description?, meter, tariff: tariff? })
    }

    fn finish(mut self) -> Result<Catalog, Vec<Problem>> {
        if self.problems.is_empty() {
            return Ok(self.catalog);
        }
        self.problems.sort();
        Err(self.problems)
    }
}
