//! Prices that no draft can rate: they are refused when the catalog is loaded, instead of blocking every partner of
//! their plan each month. Takes a price and its meter, gives flaws at the price's place. `billing/src/draft/line.rs`
//! gives rating the quantity, the number of events, for counts and sums the quantity by dimension, and each event of a
//! meter that keeps them; when it gives more, the rule that stands here for it is taken away.
//!
//! And named conversions of a unit that the meter does not have.
//!
//! `tollbook bill estimate` knows no meters and takes every price.

use super::{Aggregation, Meter};
use crate::decimal::Decimal;
use crate::id::MeterId;
use crate::price::node::{Node, Value};
use crate::price::read::Reading;
use crate::price::setting::QuantityBasis;
use crate::price::{Percentage, PriceModel, Tariff};

/// Records what cannot be rated. `meter` is the price's, where it is known and whole.
pub(super) fn refuse(price: &Node, tariff: &Tariff, meter: Option<(&MeterId, &Meter)>, reading: &mut Reading) {
    match &tariff.model {
        PriceModel::Matrix { dimensions, .. } => {
            lacking_dimensions(price, dimensions, meter, reading);
            usage_by_dimension(price, meter, reading);
        }
        PriceModel::Percentage(percentage) => single_events(price, percentage, meter, reading),
        _ => {}
    }
    prorated_units(price, tariff, reading);
    unit_of_conversion(price, meter, reading);
}

/// A named conversion from another unit than the meter's: a factor of ten to the ninth on what is no byte.
fn unit_of_conversion(price: &Node, meter: Option<(&MeterId, &Meter)>, reading: &mut Reading) {
    let (Some((id, meter)), Value::Table(entries)) = (meter, &price.value) else { return };
    let Some((_, node)) = entries.iter().find(|(key, _)| key.name == "convert") else { return };
    let Value::Text(name) = &node.value else { return };
    let Some((from, _)) = name.split_once("_to_") else { return };
    let unit = meter.unit.as_str();
    let names: &[&str] = match from {
        "bytes" => &["byte", "bytes", "B"],
        "ms" => &["ms", "millisecond", "milliseconds"],
        _ => &["s", "second", "seconds"],
    };
    if !names.contains(&unit) {
        let what = format!("{name} converts {from}, and the unit of meter {id} is {unit:?}");
        let mend = format!(
            "write the meter's unit as {:?} if that is what it measures, or a conversion of its own, such as \
             {{ divide_by = \"1000\" }}",
            names.first().unwrap_or(&from)
        );
        reading.flaw(node.at.clone(), "price.convert", what, mend);
    }
}

/// A matrix whose meter does not split its usage by the matrix's dimensions.
fn lacking_dimensions(price: &Node, dimensions: &[String], meter: Option<(&MeterId, &Meter)>, reading: &mut Reading) {
    let Some((id, meter)) = meter else { return };
    for dimension in dimensions.iter().filter(|name| !meter.group_by.contains_key(*name)) {
        let known: Vec<&str> = meter.group_by.keys().map(String::as_str).collect();
        let what =
            format!("meter {id} has no dimension {dimension}, expected one of its group_by: [{}]", known.join(", "));
        let mend = match crate::nearest::nearest(dimension, known) {
            Some(known) => format!("did you mean {known}?"),
            None => format!("add {dimension} to the meter's group_by"),
        };
        reading.flaw(price.place_of(&["dimensions"]), "price.dimensions", what, mend);
    }
}

/// A matrix prices each combination of dimension values, which must add up to the whole.
fn usage_by_dimension(price: &Node, meter: Option<(&MeterId, &Meter)>, reading: &mut Reading) {
    let Some((id, meter)) = meter else { return };
    if !matches!(meter.aggregation, Aggregation::Count | Aggregation::Sum) {
        let kind = meter.aggregation.as_str();
        let what = format!("a matrix price needs usage that adds up over its dimensions, and {id} is {kind}");
        let mend = "use a meter whose aggregation is count or sum";
        not_metered(price, &["meter"], &what, mend, reading);
    }
}

/// Limits and allowances of single events, and fees beside an allowance: a draft has each event where the meter keeps
/// them.
fn single_events(price: &Node, percentage: &Percentage, meter: Option<(&MeterId, &Meter)>, reading: &mut Reading) {
    let Some((id, meter)) = meter else { return };
    if meter.aggregation == Aggregation::SumByEvent {
        if meter.allow_negative && percentage.needs_events() {
            let what =
                format!("a percentage of single events needs amounts that are not below zero, and {id} allows them");
            let mend = "use a meter without allow_negative";
            reading.flaw(price.place_of(&["meter"]), "price.meter", what, mend);
        }
        return;
    }
    for (key, is_used) in [
        ("fixed_fee", percentage.fixed_fee != Decimal::ZERO && percentage.free_total.is_some()),
        ("event_minimum", percentage.event_minimum.is_some()),
        ("event_maximum", percentage.event_maximum.is_some()),
        ("free_events", percentage.free_events.is_some()),
    ] {
        if is_used {
            let kind = meter.aggregation.as_str();
            let what =
                format!("{key} needs each event of the usage, and {id}, whose aggregation is {kind}, keeps none");
            let mend = match key {
                "fixed_fee" => {
                    "use a meter with aggregation = \"sum_by_event\", or leave out free_total, or write the fee as a \
                     per_unit price on a meter that counts"
                }
                _ => "use a meter with aggregation = \"sum_by_event\", or leave it out",
            };
            reading.flaw(price.place_of(&[key]), &format!("price.{key}"), what, mend);
        }
    }
}

/// Prorated units; a draft does not prorate.
fn prorated_units(price: &Node, tariff: &Tariff, reading: &mut Reading) {
    if tariff.settings.quantity_basis == QuantityBasis::Prorated {
        let what = "quantity_basis = \"prorated\" needs the part of the period for which each unit was there";
        not_metered(price, &["settings", "quantity_basis"], what, "leave it out: units are priced in full", reading);
    }
}

fn not_metered(price: &Node, keys: &[&str], what: &str, mend: &str, reading: &mut Reading) {
    let path = format!("price.{}", keys.join("."));
    let what = format!("{what}, which is not metered yet: no partner of this plan could be billed");
    reading.flaw(price.place_of(keys), &path, what, mend);
}

#[cfg(test)]
mod tests;
