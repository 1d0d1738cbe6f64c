//! An entry of the catalog as a list of keys and texts, so that two of them can be compared key by key.
//!
//! Two entries are equal if and only if their lists are: every struct is taken apart whole, so that a new key does not
//! compile before it stands here. A key that says what is so without it (a setting's default, a missing step) is left
//! out. Tiers and cells count from 1.

use crate::catalog::contract::ContractMinimum;
use crate::catalog::coupon::{Coupon, CouponOff};
use crate::catalog::tax::{TaxMode, TaxPerLine};
use crate::catalog::{
    Aggregation, ContractVersion, Exclusion, Issuer, Meter, PlanVersion, Price, Product, Quota, RateLimit, Rule,
    Sandbox, TaxRateVersion,
};
use crate::exact::Direction;
use crate::id::{PlanId, PriceId, ProductId};
use crate::period::cadence::{Anchor, Cadence, Length};
use crate::period::print_instant;
use crate::price::setting::{
    Charged, Due, FixedFeeAtZeroTotal, Limits, LimitsInPart, NegativeTotal, PackageRemainder, Per, Proration,
    QuantityBasis, SplitRounding, TierEdge, VolumeBeforeEnd, ZeroUsageFirstTierFlat,
};
use crate::price::{Cell, Convert, PercentTier, Percentage, PriceModel, RoundQuantity, Settings, Steps, Tariff, Tier};

/// Keys and texts, in the order of the file's documentation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(pub(super) Vec<(Vec<String>, String)>);

impl Fields {
    fn put(&mut self, path: &[&str], text: impl ToString) {
        self.0.push((path.iter().map(|key| (*key).to_owned()).collect(), text.to_string()));
    }

    fn put_some(&mut self, path: &[&str], text: Option<impl ToString>) {
        if let Some(text) = text {
            self.put(path, text);
        }
    }

    /// The fields of a part, under its path.
    fn put_all(&mut self, path: &[&str], part: Self) {
        for (keys, text) in part.0 {
            let path: Vec<&str> = path.iter().copied().chain(keys.iter().map(String::as_str)).collect();
            self.put(&path, text);
        }
    }

    pub(super) fn get(&self, path: &[String]) -> Option<&str> {
        self.0.iter().find(|(keys, _)| keys == path).map(|(_, text)| text.as_str())
    }
}

/// Texts of a list, each in quotes, so that no two lists look the same.
fn list(texts: &[String]) -> String {
    texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ")
}

/// All versions of an issuer: the keys of the later ones under the instant from which they hold.
pub(super) fn issuers(versions: &[Issuer]) -> Fields {
    let mut fields = Fields::default();
    for (at, version) in versions.iter().enumerate() {
        match version.effective_from.filter(|_| at > 0) {
            Some(from) => fields.put_all(&[&format!("from {}", print_instant(from))], printed(version)),
            None => fields.put_all(&[], issuer(version)),
        }
    }
    fields
}

/// What may be another in each version.
fn printed(issuer: &Issuer) -> Fields {
    let mut fields = self::issuer(issuer);
    let same = ["effective_from", "number_prefix", "time_zone", "adjust_months_max"];
    fields.0.retain(|(path, _)| path.first().is_none_or(|key| !same.contains(&key.as_str())));
    fields
}

pub(super) fn issuer(issuer: &Issuer) -> Fields {
    let Issuer {
        effective_from,
        legal_name,
        address,
        tax_id,
        number_prefix,
        time_zone,
        payment_terms_days,
        adjust_months_max,
    } = issuer;
    let mut fields = Fields::default();
    fields.put_some(&["effective_from"], effective_from.map(print_instant));
    fields.put(&["legal_name"], legal_name);
    fields.put(&["address"], list(address));
    fields.put_some(&["tax_id"], tax_id.as_ref());
    fields.put(&["number_prefix"], number_prefix);
    fields.put(&["time_zone"], time_zone);
    fields.put(&["payment_terms_days"], payment_terms_days);
    fields.put_some(&["adjust_months_max"], adjust_months_max.as_ref());
    fields
}

pub(super) fn product(product: &Product) -> Fields {
    let Product { name, routes: _, rules: _, description, terms_version, sandbox } = product;
    let mut fields = Fields::default();
    fields.put(&["name"], name);
    fields.put_all(&[], product_rules(product));
    fields.put_some(&["description"], description.as_ref());
    fields.put_some(&["terms_version"], terms_version.as_ref());
    if let Some(Sandbox { product, required_endpoints }) = sandbox {
        fields.put(&["sandbox", "product"], product);
        fields.put(&["sandbox", "required_endpoints"], list(required_endpoints));
    }
    fields
}

/// What of a product decides which requests are for it.
pub(super) fn product_rules(product: &Product) -> Fields {
    let mut fields = Fields::default();
    fields.put(&["routes"], list(&product.routes));
    for (at, Rule { route, host, methods, tags }) in (1..).zip(&product.rules) {
        let number = format!("{at}");
        fields.put_some(&["rule", &number, "host"], host.as_ref());
        fields.put_some(&["rule", &number, "route"], route.as_ref());
        if !methods.is_empty() {
            fields.put(&["rule", &number, "method"], methods.iter().cloned().collect::<Vec<_>>().join(", "));
        }
        for (key, value) in tags {
            fields.put(&["rule", &number, "tag", key], value);
        }
    }
    fields
}

pub(super) fn meter(meter: &Meter) -> Fields {
    let Meter { name, unit, product, aggregation, value, filter, exclude, allow_negative, group_by } = meter;
    let mut fields = Fields::default();
    fields.put(&["name"], name);
    fields.put(&["unit"], unit);
    fields.put_some(&["product"], product.as_ref());
    fields.put(&["aggregation"], aggregation);
    if let Aggregation::Percentile(percentile) = aggregation {
        let (percent, thousandths) = (percentile.thousandths / 1_000, percentile.thousandths % 1_000);
        fields.put(&["percentile"], format!("{percent}.{thousandths:03}").trim_end_matches('0').trim_end_matches('.'));
        fields.put(&["method"], percentile.method.as_str());
    }
    fields.put_some(&["value"], value.as_ref());
    fields.put_some(&["filter"], filter.as_ref());
    if !exclude.is_empty() {
        let rules: Vec<&str> = exclude.iter().map(|rule: &Exclusion| rule.as_str()).collect();
        fields.put(&["exclude"], rules.join(", "));
    }
    if *allow_negative {
        fields.put(&["allow_negative"], allow_negative);
    }
    for (name, sql) in group_by {
        fields.put(&["group_by", name], sql);
    }
    fields
}

pub(super) fn version(plan: &PlanVersion) -> Fields {
    // The number tells which one it is, and is no field of it.
    let PlanVersion {
        version: _,
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
    } = plan;
    let Cadence { length, anchor } = cadence;
    let mut fields = Fields::default();
    fields.put(&["effective_from"], print_instant(*effective_from));
    fields.put(&["name"], name);
    fields.put(&["issuer"], issuer);
    fields.put(&["currency"], currency);
    if *length != Length::default() {
        fields.put(&["billing_period"], length.as_str());
    }
    if *anchor != Anchor::default() {
        fields.put(&["anchor"], anchor.as_str());
    }
    fields.put_some(&["trial_days"], trial_days.as_ref());
    fields.put_some(&["shadow_of"], shadow_of.as_ref());
    // Their order is that of the printed lines.
    let ids: Vec<&str> = prices.iter().map(|price| price.price_id.as_str()).collect();
    fields.put(&["price"], ids.join(", "));
    for price in prices {
        fields.put_all(&["price", price.price_id.as_str()], price_fields(price));
    }
    if let Some(RateLimit { requests, per }) = rate_limit {
        fields.put(&["rate_limit", "requests"], requests);
        fields.put(&["rate_limit", "per"], per.as_str());
    }
    for (at, Quota { meter, per_month }) in (1..).zip(quotas) {
        let number = format!("{at}");
        fields.put(&["quota", &number, "meter"], meter);
        fields.put(&["quota", &number, "per_month"], per_month);
    }
    fields
}

pub(super) fn contract(contract: &ContractVersion) -> Fields {
    // The number tells which one it is, and is no field of it.
    let ContractVersion {
        version: _,
        name,
        starts,
        ends,
        plan,
        currency,
        prices,
        discount_percent,
        minimum,
        commitment,
    } = contract;
    let mut fields = Fields::default();
    fields.put(&["name"], name);
    fields.put(&["plan"], plan);
    fields.put(&["currency"], currency);
    fields.put(&["starts"], print_instant(*starts));
    fields.put_some(&["ends"], ends.map(print_instant));
    fields.put_some(&["discount_percent"], discount_percent.as_ref());
    for (key, least) in [("minimum", minimum), ("commitment", commitment)] {
        if let Some(ContractMinimum { description, amount, tax_code }) = least {
            fields.put(&[key, "description"], description);
            fields.put(&[key, "amount"], amount);
            fields.put_some(&[key, "tax_code"], tax_code.as_ref());
        }
    }
    for price in prices {
        fields.put_all(&["price", price.price_id.as_str()], price_fields(price));
    }
    fields
}

pub(super) fn coupon(coupon: &Coupon) -> Fields {
    let Coupon { issuer, description, off, plans, prices, products, months, until } = coupon;
    let mut fields = Fields::default();
    fields.put(&["issuer"], issuer);
    fields.put(&["description"], description);
    match off {
        CouponOff::Percent(percent) => fields.put(&["percent"], percent),
        CouponOff::Amount(amount) => {
            fields.put(&["amount"], amount.amount_text());
            fields.put(&["currency"], amount.currency);
        }
    }
    let mut put_ids = |key: &str, ids: Vec<&str>| {
        if !ids.is_empty() {
            fields.put(&[key], ids.join(", "));
        }
    };
    put_ids("plans", plans.iter().map(PlanId::as_str).collect());
    put_ids("prices", prices.iter().map(PriceId::as_str).collect());
    put_ids("products", products.iter().map(ProductId::as_str).collect());
    fields.put_some(&["months"], months.as_ref());
    fields.put_some(&["until"], until.map(print_instant));
    fields
}

pub(super) fn tax_rate(rate: &TaxRateVersion) -> Fields {
    // The number tells which one it is, and is no field of it.
    let TaxRateVersion {
        version: _,
        effective_from,
        issuer,
        description,
        percent,
        mode,
        lines,
        tax_codes,
        countries,
        customer_tax_id,
    } = rate;
    let mut fields = Fields::default();
    fields.put(&["effective_from"], print_instant(*effective_from));
    fields.put(&["issuer"], issuer);
    fields.put(&["description"], description);
    fields.put(&["percent"], percent);
    if *mode != TaxMode::default() {
        fields.put(&["mode"], mode.as_str());
    }
    if *lines != TaxPerLine::default() {
        fields.put(&["lines"], lines.as_str());
    }
    for (key, words) in [("tax_codes", tax_codes), ("countries", countries)] {
        if !words.is_empty() {
            fields.put(&[key], words.iter().cloned().collect::<Vec<_>>().join(", "));
        }
    }
    if *customer_tax_id {
        fields.put(&["customer_tax_id"], customer_tax_id);
    }
    fields
}

fn price_fields(price: &Price) -> Fields {
    let Price { price_id: _, description, meter, tariff, tax_code } = price;
    let Tariff { model, steps, settings } = tariff;
    let mut fields = Fields::default();
    fields.put(&["description"], description);
    fields.put_some(&["meter"], meter.as_ref());
    fields.put_some(&["tax_code"], tax_code.as_ref());
    fields.put(&["model"], model.as_str());
    put_model(&mut fields, model);
    put_steps(&mut fields, steps);
    put_settings(&mut fields, *settings);
    fields
}

fn put_model(fields: &mut Fields, model: &PriceModel) {
    match model {
        PriceModel::Flat { amount } => fields.put(&["amount"], amount),
        PriceModel::PerUnit { unit_price } => fields.put(&["unit_price"], unit_price),
        PriceModel::Graduated { tiers } | PriceModel::Volume { tiers } => {
            for (at, Tier { up_to, unit_price, flat_price, package_size }) in (1..).zip(tiers) {
                let number = format!("{at}");
                fields.put_some(&["tiers", &number, "up_to"], up_to.as_ref());
                fields.put(&["tiers", &number, "unit_price"], unit_price);
                fields.put(&["tiers", &number, "flat_price"], flat_price);
                fields.put_some(&["tiers", &number, "package_size"], package_size.as_ref());
            }
        }
        PriceModel::GraduatedPercentage { tiers } => {
            for (at, PercentTier { up_to, percent, flat_price }) in (1..).zip(tiers) {
                let number = format!("{at}");
                fields.put_some(&["tiers", &number, "up_to"], up_to.as_ref());
                fields.put(&["tiers", &number, "percent"], percent);
                fields.put(&["tiers", &number, "flat_price"], flat_price);
            }
        }
        PriceModel::Package { package_size, package_price, free_units } => {
            fields.put(&["package_size"], package_size);
            fields.put(&["package_price"], package_price);
            fields.put(&["free_units"], free_units);
        }
        PriceModel::Percentage(percentage) => {
            let Percentage { percent, fixed_fee, event_minimum, event_maximum, free_events, free_total } = percentage;
            fields.put(&["percent"], percent);
            fields.put(&["fixed_fee"], fixed_fee);
            fields.put_some(&["event_minimum"], event_minimum.as_ref());
            fields.put_some(&["event_maximum"], event_maximum.as_ref());
            fields.put_some(&["free_events"], free_events.as_ref());
            fields.put_some(&["free_total"], free_total.as_ref());
        }
        PriceModel::Matrix { dimensions, cells, default_unit_price } => {
            fields.put(&["dimensions"], list(dimensions));
            for (at, Cell { values, unit_price }) in (1..).zip(cells) {
                let number = format!("{at}");
                fields.put(&["cells", &number, "values"], list(values));
                fields.put(&["cells", &number, "unit_price"], unit_price);
            }
            fields.put_some(&["default_unit_price"], default_unit_price.as_ref());
        }
        PriceModel::Dynamic { multiplier } => fields.put(&["multiplier"], multiplier),
    }
}

fn put_steps(fields: &mut Fields, steps: &Steps) {
    let Steps { convert, round_quantity, included, rollover_periods, minimum, maximum, discount_percent } = steps;
    if let Some(Convert { divide_by, multiply_by }) = convert {
        fields.put(&["convert", "divide_by"], divide_by);
        fields.put(&["convert", "multiply_by"], multiply_by);
    }
    if let Some(RoundQuantity { direction, to_multiple_of }) = round_quantity {
        let direction = match direction {
            Direction::Up => "up",
            Direction::Down => "down",
            Direction::HalfUp => "half_up",
        };
        fields.put(&["round_quantity", "direction"], direction);
        fields.put(&["round_quantity", "to_multiple_of"], to_multiple_of);
    }
    fields.put_some(&["included"], included.as_ref());
    fields.put_some(&["rollover_periods"], rollover_periods.as_ref());
    fields.put_some(&["minimum"], minimum.as_ref());
    fields.put_some(&["maximum"], maximum.as_ref());
    fields.put_some(&["discount_percent"], discount_percent.as_ref());
}

fn put_settings(fields: &mut Fields, settings: Settings) {
    let Settings {
        zero_usage_first_tier_flat,
        tier_edge,
        package_remainder,
        volume_before_end,
        limits,
        split_rounding,
        quantity_basis,
        negative_total,
        fixed_fee_at_zero_total,
        proration,
        per,
        limits_in_part,
        due,
        charged,
    } = settings;
    macro_rules! word {
        ($setting:ident: $kind:ident) => {
            if $setting != $kind::default() {
                let word = $kind::WORDS.iter().find(|word| $kind::parse(word) == Some($setting));
                fields.put(&["settings", stringify!($setting)], word.copied().unwrap_or_default());
            }
        };
    }
    word!(zero_usage_first_tier_flat: ZeroUsageFirstTierFlat);
    word!(tier_edge: TierEdge);
    word!(package_remainder: PackageRemainder);
    word!(volume_before_end: VolumeBeforeEnd);
    word!(limits: Limits);
    word!(split_rounding: SplitRounding);
    word!(quantity_basis: QuantityBasis);
    word!(negative_total: NegativeTotal);
    word!(fixed_fee_at_zero_total: FixedFeeAtZeroTotal);
    word!(proration: Proration);
    word!(per: Per);
    word!(limits_in_part: LimitsInPart);
    word!(due: Due);
    word!(charged: Charged);
}
