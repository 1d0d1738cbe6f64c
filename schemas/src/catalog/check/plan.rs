//! Plans and their prices: from a table to a checked plan version. What a price may say is `crate::price`'s to know.

use std::ops::Range;

use super::instant::instant;
use super::whole::whole;
use super::{Checking, listing, terms};
use crate::catalog::{PlanVersion, Price, unmetered};
use crate::id::{IssuerId, MeterId, PlanId, PriceId};
use crate::money::Currency;
use crate::nearest::nearest;
use crate::period::cadence::{Anchor, Cadence, Length};
use crate::price::node::{Node, Value};
use crate::price::read::{Reading, Table};
use crate::price::tariff::{MODELS, tariff};

/// Days of a trial at most.
const TRIAL_DAYS_MAX: u32 = 366;

/// One word of several; what it is without it where it is not there, or wrong.
pub(super) fn word<T: Default>(
    table: &mut Table<'_>,
    key: &'static str,
    parse: fn(&str) -> Option<T>,
    words: &'static [&'static str],
    reading: &mut Reading,
) -> T {
    let at = table.place_or_table(key);
    let path = table.path_of(key);
    let Some(Some(text)) = table.optional(reading, key, Table::text) else { return T::default() };
    parse(&text).unwrap_or_else(|| {
        let what = format!("{text:?} is no value of {key}, expected {}", words.join(" or "));
        let mend = match nearest(&text, words.iter().copied()) {
            Some(known) => format!("did you mean {known}?"),
            None => format!("use {} (the default first)", words.join(" or ")),
        };
        reading.flaw(at, &path, what, mend);
        T::default()
    })
}

/// What something is for tax.
pub(super) fn tax_code(node: &Node, path: &str, reading: &mut Reading) -> Option<String> {
    let code = Table::text(node, path, reading)?;
    let is_code = !code.is_empty() && code.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if !is_code || code.len() > 64 {
        let what = "tax_code must be 1 to 64 letters, digits, '_', '.' or '-'";
        reading.flaw(node.at.clone(), path, what, "write such as \"txcd_10103001\"");
        return None;
    }
    Some(code)
}

impl Checking {
    pub(super) fn plan(&mut self, mut table: Table<'_>, reading: &mut Reading) -> Option<()> {
        let whose = "a plan";
        let (id, id_at) = Self::own_id(&mut table, whose, PlanId::parse, reading);
        let version_at = table.place_or_table("version");
        let version = table.required(reading, "version", whose, |node, path, reading| {
            whole((node, path), 1..=u32::MAX, ("version must be 1 or more", "count versions from 1"), reading)
        });
        let effective_from = table.required(reading, "effective_from", whose, instant);
        let name = table.required(reading, "name", whose, Table::printed);
        let issuer_at = table.place_or_table("issuer");
        let issuer = table.required(reading, "issuer", whose, Table::text);
        let issuer = issuer
            .and_then(|text| self.reference(text, issuer_at, ("issuer", "plan.issuer"), IssuerId::parse, reading));
        let currency = table.required(reading, "currency", whose, |node, path, reading| {
            let currency = Currency::parse(&Table::text(node, path, reading)?);
            let mend = "use a currency that Stripe has, such as \"EUR\"";
            currency.map_err(|error| reading.flaw(node.at.clone(), path, error.to_string(), mend)).ok()
        });
        let cadence = Cadence {
            length: word(&mut table, "billing_period", Length::parse, Length::WORDS, reading),
            anchor: word(&mut table, "anchor", Anchor::parse, Anchor::WORDS, reading),
        };
        let trial_days = table.optional(reading, "trial_days", |node, path, reading| {
            let what = format!("trial_days must be 1 to {TRIAL_DAYS_MAX}");
            let mend = "write the days of the trial, or leave it out";
            whole((node, path), 1..=TRIAL_DAYS_MAX, (&what, mend), reading)
        });
        let shadow_at = table.place_or_table("shadow_of");
        let shadow_of = table.optional(reading, "shadow_of", Table::text).flatten();
        let shadow_of = shadow_of.and_then(|text| {
            let named = ("plan", "plan.shadow_of");
            let shadow = self.reference(text, shadow_at.clone(), named, PlanId::parse, reading)?;
            if id.as_ref() == Some(&shadow) {
                let what = format!("plan {shadow} is its own shadow");
                reading.flaw(shadow_at, "plan.shadow_of", what, "name the plan whose cost is to be told, or remove it");
                return None;
            }
            Some(shadow)
        });
        let prices = self.prices(&mut table, &id_at, reading);
        let rate_limit = table.optional(reading, "rate_limit", terms::rate_limit);
        let quotas = self.quotas(&mut table, reading);
        table.finish(reading);
        let (id, version, effective_from) = (id?, version?, effective_from?);
        let clash = self
            .catalog
            .plans
            .get(&id)
            .into_iter()
            .flatten()
            .find(|old| old.version == version || (old.version < version) != (old.effective_from < effective_from));
        if let Some(old) = clash {
            let what = match old.version == version {
                true => self.declared_twice("plan", id.as_str(), Some(version)),
                false => format!("plan {id} version {version} does not follow version {}", old.version),
            };
            let mend = "give each version its own number, and a later one a later effective_from";
            reading.flaw(version_at, "plan.version", what, mend);
            return None;
        }
        let (rate_limit, quotas, trial_days) = (rate_limit?, quotas?, trial_days?);
        let (name, issuer, currency) = (name?, issuer?, currency?);
        let new = PlanVersion {
            version,
            effective_from,
            cadence,
            trial_days,
            shadow_of,
            name,
            issuer,
            currency,
            prices,
            rate_limit,
            quotas,
        };
        let versions = self.catalog.plans.entry(id).or_default();
        versions.push(new);
        versions.sort_by_key(|plan| plan.version);
        Some(())
    }

    fn prices(&self, table: &mut Table<'_>, plan_at: &Range<usize>, reading: &mut Reading) -> Vec<Price> {
        let nodes = match table.take("price").map(|node| (node, &node.value)) {
            Some((_, Value::List(nodes))) => nodes.as_slice(),
            Some((node, _)) => {
                let what = format!("price is {}, expected [[plan.price]]", node.value.name());
                reading.flaw(node.at.clone(), "plan.price", what, "write [[plan.price]], with two brackets");
                return Vec::new();
            }
            None => &[],
        };
        if nodes.is_empty() {
            let what = "a plan needs at least one price";
            let mend = "add [[plan.price]]; a free plan has a flat price of \"0\"";
            if !table.tell_meant(reading, &["price"], what) {
                reading.flaw(plan_at.clone(), "plan.price", what, mend);
            }
        }
        let mut prices: Vec<Price> = Vec::new();
        for node in nodes {
            let price = self.price(node, &prices, reading);
            prices.extend(price);
        }
        prices
    }

    /// One price: its id, its words, its meter; the rest is the tariff's.
    pub(super) fn price(&self, node: &Node, before: &[Price], reading: &mut Reading) -> Option<Price> {
        let whose = "a price";
        let mut table = Table::of(node, "price", reading)?;
        let (price_id, id_at) = Self::own_id(&mut table, whose, PriceId::parse, reading);
        if let Some(id) = price_id.as_ref().filter(|id| before.iter().any(|other| other.price_id == **id)) {
            reading.flaw(id_at, "price.id", format!("price {id} is there twice"), "rename one");
        }
        let description = table.required(reading, "description", whose, Table::printed);
        let model = table.peek("model").unwrap_or_default();
        let model_at = table.place_or_table("model");
        let meter_at = table.place_or_table("meter");
        let meter = table.optional(reading, "meter", Table::text);
        match (&meter, model) {
            (Some(Some(_)), "flat") => {
                reading.flaw(meter_at.clone(), "price.meter", "a flat price has no meter", "remove meter");
            }
            (Some(None), model) if model != "flat" && MODELS.contains(&model) => {
                let what = format!("a {model} price needs meter");
                let ids: Vec<&str> = self.declared.get("meter").into_iter().flatten().map(String::as_str).collect();
                let mend = match ids.as_slice() {
                    [] => "declare a [[meter]], and add meter".to_owned(),
                    ids => format!("add meter; there are {}", listing(ids)),
                };
                if !table.tell_meant(reading, &["meter"], &what) {
                    reading.flaw(model_at, "price.meter", what, mend);
                }
            }
            _ => {}
        }
        let meter = meter.and_then(|meter| match meter {
            None => Some(None),
            Some(text) => self.reference(text, meter_at, ("meter", "price.meter"), MeterId::parse, reading).map(Some),
        });
        let tax_code = table.optional(reading, "tax_code", tax_code);
        let tariff = tariff(&mut table, reading);
        table.finish(reading);
        if let Some(tariff) = &tariff {
            let id = meter.as_ref().and_then(Option::as_ref);
            let is_told = |id: &MeterId| self.told.is_refused("meter", id.as_str());
            let metered = id.filter(|id| !is_told(id)).and_then(|id| Some((id, self.catalog.meters.get(id)?)));
            unmetered::refuse(node, tariff, metered, reading);
        }
        let (price_id, description, meter) = (price_id?, description?, meter?);
        Some(Price { price_id, description, meter, tariff: tariff?, tax_code: tax_code? })
    }
}
