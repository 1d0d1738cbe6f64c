//! The price models: what each makes of a quantity, in parts. From `docs/money.md`, "Price models", and not from
//! `billing/rating`. Pure.

use std::collections::BTreeMap;

use tollbook_schemas::exact::Direction;
use tollbook_schemas::price::setting::{
    FixedFeeAtZeroTotal, PackageRemainder, Per, SplitRounding, TierEdge, ZeroUsageFirstTierFlat,
};
use tollbook_schemas::price::{Cell, PriceModel, Settings, Steps, Tariff, Tier};

use super::percentage::of_percentage;
use super::used::{Measure, Share};
use super::{Limited, Priced, Served, Stretch, TierWorking, Used, above_zero, converted, part, per_cent};
use crate::number::Ratio;

/// What was used in the unit that is priced; of pieces that are rounded each alone it may be below zero where the
/// quantity is not.
pub(super) fn units_of(tariff: &Tariff, used: &Used) -> Result<Ratio, String> {
    let is_each = tariff.settings.split_rounding == SplitRounding::Each
        && !used.pieces.is_empty()
        && !matches!(tariff.model, PriceModel::Matrix { .. });
    match is_each {
        true => used.pieces.iter().map(|piece| converted(&tariff.steps, piece)).sum(),
        false => converted(&tariff.steps, &used.quantity),
    }
}

/// What a model makes of what was used, before limits and discounts.
pub(super) fn of_model(tariff: &Tariff, used: &Used, mut units: Ratio) -> Result<Priced, String> {
    if let Some(included) = Limited::of(tariff, used).included {
        let free = &included + &used.carried.clone().unwrap_or(Ratio::whole(0));
        units = above_zero(&units - &free);
    }
    let pays_at_zero = tariff.settings.zero_usage_first_tier_flat == ZeroUsageFirstTierFlat::Charged;
    Ok(match &tariff.model {
        PriceModel::Flat { amount } => flat(&Ratio::decimal(*amount), &units, used.served.as_ref(), tariff.settings),
        PriceModel::PerUnit { unit_price } => {
            let exact = &units * &Ratio::decimal(*unit_price);
            Priced::of(&units, vec![part("units", Some(units.clone()), exact)])
        }
        PriceModel::Graduated { tiers } => graduated(tiers, &units, tariff.settings)?,
        PriceModel::Volume { tiers } => {
            let place = match tariff.settings.tier_edge {
                TierEdge::HalfOpen => units.clone(),
                TierEdge::Ceil => units.to_multiple(&Ratio::whole(1), Direction::Up).ok_or("no whole unit")?,
            };
            let holds = |tier: &Tier| tier.up_to.is_none_or(|up_to| place <= Ratio::decimal(up_to));
            let at = tiers.iter().position(holds).ok_or("a volume price has no tier for the quantity")?;
            let (unit_price, flat) = (Ratio::decimal(tiers[at].unit_price), Ratio::decimal(tiers[at].flat_price));
            let (sold, name) = sold(&tiers[at], &units, tariff.settings)?;
            let mut parts = Vec::new();
            if !unit_price.is_zero() {
                parts.push(part(format!("tier {} {name}", at + 1), Some(sold.clone()), &sold * &unit_price));
            }
            if !flat.is_zero() && (pays_at_zero || !units.is_zero()) {
                parts.push(part(format!("tier {} flat", at + 1), None, flat));
            }
            Priced::of(&units, parts)
        }
        PriceModel::Package { package_size, package_price, free_units } => {
            let sold = above_zero(&units - &Ratio::decimal(*free_units));
            let size = Ratio::decimal(*package_size);
            let direction = match tariff.settings.package_remainder {
                PackageRemainder::Full => Direction::Up,
                PackageRemainder::Down => Direction::Down,
            };
            let covered = sold.to_multiple(&size, direction).ok_or("a package of 0 units")?;
            let packages = covered.over(&size).ok_or("a package of 0 units")?;
            let exact = &packages * &Ratio::decimal(*package_price);
            Priced::of(&units, vec![part("packages", Some(packages), exact)])
        }
        PriceModel::Percentage(percentage) => {
            let fee_at_zero = tariff.settings.fixed_fee_at_zero_total == FixedFeeAtZeroTotal::Charged;
            of_percentage(percentage, used, fee_at_zero)?
        }
        PriceModel::GraduatedPercentage { tiers } => {
            let mut parts = Vec::new();
            let mut from = Ratio::whole(0);
            for (at, tier) in tiers.iter().enumerate() {
                let is_entered = units > from;
                if is_entered || at == 0 {
                    let up_to = tier.up_to.map_or(units.clone(), |up_to| units.clone().min(Ratio::decimal(up_to)));
                    let inside = &up_to - &from;
                    if !Ratio::decimal(tier.percent).is_zero() {
                        let exact = per_cent(tier.percent, &inside);
                        parts.push(part(format!("tier {} percentage", at + 1), Some(inside), exact));
                    }
                    let flat = Ratio::decimal(tier.flat_price);
                    if !flat.is_zero() && (is_entered || pays_at_zero) {
                        parts.push(part(format!("tier {} flat", at + 1), None, flat));
                    }
                }
                from = tier.up_to.map_or(units.clone(), Ratio::decimal);
            }
            Priced::of(&units, parts)
        }
        PriceModel::Matrix { dimensions, cells, default_unit_price } => {
            let default = default_unit_price.map(Ratio::decimal);
            matrix(dimensions, cells, default.as_ref(), &tariff.steps, used)?
        }
        PriceModel::Dynamic { multiplier } => {
            if used.amounts.iter().flatten().any(Ratio::is_negative) {
                return Err("an event has an amount below zero".to_owned());
            }
            let exact = &used.quantity * &Ratio::decimal(*multiplier);
            Priced::of(&used.quantity, vec![part("amount", Some(used.quantity.clone()), exact)])
        }
    })
}

/// Each unit at the price of its own tier; a tier that is entered may cost a flat price. The first is always entered.
fn graduated(tiers: &[Tier], units: &Ratio, settings: Settings) -> Result<Priced, String> {
    let pays_at_zero = settings.zero_usage_first_tier_flat == ZeroUsageFirstTierFlat::Charged;
    let mut priced = Priced::of(units, Vec::new());
    let mut from = Ratio::whole(0);
    for (at, tier) in tiers.iter().enumerate() {
        if at == 0 || *units > from {
            let top = tier.up_to.map_or(units.clone(), |up_to| units.clone().min(Ratio::decimal(up_to)));
            let inside = &top - &from;
            let (unit_price, flat) = (Ratio::decimal(tier.unit_price), Ratio::decimal(tier.flat_price));
            let (sold, name) = sold(tier, &inside, settings)?;
            let cost = &sold * &unit_price;
            let flat_due = if pays_at_zero || !units.is_zero() { flat.clone() } else { Ratio::whole(0) };
            if !unit_price.is_zero() {
                priced.parts.push(part(format!("tier {} {name}", at + 1), Some(sold), cost.clone()));
            }
            if !flat_due.is_zero() {
                priced.parts.push(part(format!("tier {} flat", at + 1), None, flat_due.clone()));
            }
            priced.tiers.push(TierWorking {
                exact: (&cost + &flat_due).text(),
                flat_price: flat.text(),
                from: from.text(),
                quantity: inside.text(),
                unit_price: unit_price.text(),
                up_to: tier.up_to.map(|up_to| Ratio::decimal(up_to).text()),
            });
        }
        from = tier.up_to.map_or(units.clone(), Ratio::decimal);
    }
    Ok(priced)
}

/// What a tier sells of the units in it, and how it is called: units, or packages of them.
fn sold(tier: &Tier, units: &Ratio, settings: Settings) -> Result<(Ratio, &'static str), String> {
    let Some(size) = tier.package_size else { return Ok((units.clone(), "units")) };
    let direction = match settings.package_remainder {
        PackageRemainder::Full => Direction::Up,
        PackageRemainder::Down => Direction::Down,
    };
    let size = Ratio::decimal(size);
    let packages = units.to_multiple(&size, direction).and_then(|covered| covered.over(&size));
    Ok((packages.ok_or("a package of 0 units")?, "packages"))
}

fn matrix(
    dimensions: &[String],
    cells: &[Cell],
    default: Option<&Ratio>,
    steps: &Steps,
    used: &Used,
) -> Result<Priced, String> {
    let mut priced = Priced::of(&Ratio::whole(0), Vec::new());
    let Some(groups) = &used.groups else {
        return if used.quantity.is_zero() { Ok(priced) } else { Err("the usage is not split".to_owned()) };
    };
    let mut by_values: BTreeMap<Vec<&str>, Ratio> = BTreeMap::new();
    for (values, quantity) in groups {
        if quantity.is_negative() {
            return Err(format!("the quantity {} is below zero", quantity.text()));
        }
        let value = |name: &String| values.get(name).map(String::as_str).ok_or(format!("usage without {name}"));
        let values = dimensions.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        let sum = by_values.entry(values).or_insert(Ratio::whole(0));
        *sum = &*sum + quantity;
    }
    for (values, quantity) in by_values {
        let named = values.join(", ");
        let cell = cells.iter().find(|cell| cell.values == values).map(|cell| Ratio::decimal(cell.unit_price));
        let unit_price = cell.or(default.cloned()).ok_or(format!("the matrix has no cell {named}"))?;
        let quantity = converted(steps, &quantity)?;
        priced.billable = &priced.billable + &quantity;
        priced.parts.push(part(format!("cell {named}"), Some(quantity.clone()), &quantity * &unit_price));
    }
    Ok(priced)
}

/// The same for each period; for each of its parts, and for each unit, where the price says so.
fn flat(amount: &Ratio, quantity: &Ratio, served: Option<&Served>, settings: Settings) -> Priced {
    let once = || Priced::of(quantity, vec![part("amount", None, amount.clone())]);
    let Some(served) = served else { return once() };
    let is_per_unit = settings.per == Per::Unit;
    let units_of = |stretch: &Stretch| if is_per_unit { stretch.units.clone() } else { Ratio::whole(1) };
    // What is charged: units, and for which part of the period.
    let mut charges: Vec<(Ratio, Option<Share>)> = Vec::new();
    match Measure::of_amount(settings.proration) {
        None => charges.extend(served.stretches.iter().map(units_of).max().map(|units| (units, None))),
        Some(measure) => {
            // Stretches that follow each other with the same units are told as one.
            let mut joined: Vec<(Ratio, i64)> = Vec::new();
            for stretch in &served.stretches {
                let (units, length) = (units_of(stretch), measure.of(stretch.length));
                match joined.last_mut() {
                    Some((last, sum)) if *last == units => *sum += length,
                    _ => joined.push((units, length)),
                }
            }
            charges.extend(joined.into_iter().map(|(units, length)| (units, served.share(length, measure))));
        }
    }
    if !is_per_unit && charges.iter().any(|(_, share)| share.is_none()) {
        return once();
    }
    let mut priced = Priced { is_part: true, ..Priced::of(&Ratio::whole(0), Vec::new()) };
    for (units, share) in charges {
        let charged = share.as_ref().map_or(units.clone(), |share| &share.exact * &units);
        let name = match (is_per_unit, share) {
            (true, None) => "units".to_owned(),
            (true, Some(share)) => format!("{} units, {}", units.text(), share.label),
            (false, share) => share.map(|share| share.label).unwrap_or_default(),
        };
        priced.billable = &priced.billable + &charged;
        priced.parts.push(part(name, Some(charged.clone()), &charged * amount));
    }
    priced
}
