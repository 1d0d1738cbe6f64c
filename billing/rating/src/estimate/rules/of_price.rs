//! What a price of an estimate has inside, and none of a catalog: taken out of it, so that what is left is read as the
//! catalog reads it.

use std::collections::BTreeMap;

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::price::PriceModel;
use tollbook_schemas::price::node::{Key, Node, Value};
use tollbook_schemas::price::read::{Reading, Table};
use tollbook_schemas::price::setting::QuantityBasis;

use super::super::input::list;
use super::super::read_price;
use crate::capacity::ONLY_UNIT;
use crate::replay::{CapacityTier, CellPrice, TierLimits};

/// What stood inside the price.
#[derive(Debug, Default)]
pub(in super::super) struct OfPrice {
    pub(super) tier_limits: Vec<TierLimits>,
    pub(super) cells_included: Vec<Option<Decimal>>,
    pub(super) cell_prices: Vec<Option<CellPrice>>,
    pub(super) pooled_included: Option<Decimal>,
    pub(super) capacity: Option<Vec<CapacityTier>>,
}

/// A price as a catalog has it, and what it has beyond that; none when a flaw is recorded.
pub(in super::super) fn split(node: &Node, path: &str, reading: &mut Reading) -> Option<(Node, OfPrice)> {
    let mut node = node.clone();
    let mut found = OfPrice::default();
    let Value::Table(entries) = &mut node.value else { return Some((node, found)) };
    let model = entries.iter().find(|(key, _)| key.name == "model").map(|(_, node)| &node.value);
    let model = match model {
        Some(Value::Text(model)) => model.clone(),
        _ => return Some((node, found)),
    };
    let flaws_before = reading.flaws.len();
    match model.as_str() {
        "capacity" => found.capacity = Some(capacity(entries, path, reading)?),
        "graduated" | "volume" | "graduated_percentage" => {
            for (tier, path) in inner(entries, "tiers", path) {
                let minimum = taken(tier, "minimum", &path, reading);
                let maximum = taken(tier, "maximum", &path, reading);
                if let (Some(least), Some(most)) = (minimum, maximum)
                    && least > most
                {
                    let what = format!("maximum {most} is below minimum {least}");
                    reading.flaw(node.at.clone(), &format!("{path}.maximum"), what, "exchange them");
                }
                found.tier_limits.push(TierLimits { minimum, maximum });
            }
        }
        "matrix" => {
            found.pooled_included = taken(entries, "included", path, reading);
            for (cell, path) in inner(entries, "cells", path) {
                found.cell_prices.push(cell_price(cell, &path, reading)?);
                found.cells_included.push(taken(cell, "included", &path, reading));
            }
            let is_priced = found.cell_prices.iter().any(Option::is_some);
            let of_all = ["convert", "round_quantity"].into_iter().find(|key| is_said(entries, key));
            let of_all = of_all.or(found.pooled_included.map(|_| "included"));
            if let Some(key) = of_all.filter(|_| is_priced) {
                let what = format!("{key} is said of all cells, and one has a price of its own");
                let mend = format!("say {key} in the price of each cell; a per_unit price is one of units");
                reading.flaw(node.at.clone(), &format!("{path}.{key}"), what, mend);
            }
            if found.pooled_included.is_some() && found.cells_included.iter().any(Option::is_some) {
                let what = "included is said of all cells and of one";
                reading.flaw(node.at.clone(), &format!("{path}.included"), what, "remove one");
            }
        }
        _ => {}
    }
    (reading.flaws.len() == flaws_before).then_some((node, found))
}

type Entries = Vec<(Key, Node)>;

/// The tables of a list inside, with their paths.
fn inner<'a>(entries: &'a mut Entries, name: &'a str, path: &'a str) -> Vec<(&'a mut Entries, String)> {
    let list = entries.iter_mut().find(|(key, _)| key.name == name).map(|(_, node)| &mut node.value);
    let Some(Value::List(items)) = list else { return Vec::new() };
    let tables = items.iter_mut().enumerate().filter_map(|(at, item)| match &mut item.value {
        Value::Table(entries) => Some((entries, format!("{path}.{name}[{at}]"))),
        _ => None,
    });
    tables.collect()
}

/// Takes an amount, or a number of units, out of a table.
fn taken(entries: &mut Entries, name: &str, path: &str, reading: &mut Reading) -> Option<Decimal> {
    let at = entries.iter().position(|(key, _)| key.name == name)?;
    let (_, node) = entries.remove(at);
    if node.is_null() { None } else { Table::amount(&node, &format!("{path}.{name}"), reading) }
}

fn is_said(entries: &Entries, name: &str) -> bool {
    entries.iter().any(|(key, node)| key.name == name && !node.is_null())
}

/// Takes the price of a cell of a matrix; what is left is a cell of a unit price. None when a flaw is recorded.
fn cell_price(cell: &mut Entries, path: &str, reading: &mut Reading) -> Option<Option<CellPrice>> {
    let Some(at) = cell.iter().position(|(key, node)| key.name == "price" && !node.is_null()) else {
        return Some(None);
    };
    let (key, node) = cell.remove(at);
    let path = format!("{path}.price");
    if let Some(other) = ["unit_price", "included"].into_iter().find(|other| is_said(cell, other)) {
        let mend = format!("write {other} inside of the price, or no price");
        reading.flaw(key.at, &path, format!("the cell has a price and {other} beside it"), mend);
        return None;
    }
    let (bare, of_price) = split(&node, &path, reading)?;
    let tariff = read_price(&bare, &path, reading)?;
    let model = tariff.model.as_str();
    let is_of_quantity =
        !matches!(tariff.model, PriceModel::Flat { .. } | PriceModel::Matrix { .. } | PriceModel::Dynamic { .. });
    let flaw = if of_price.capacity.is_some() || !is_of_quantity {
        let what = format!("a cell has a price of its quantity, and a {model} price is none");
        Some((what, "write it as a line of its own, or a per_unit, graduated, volume, package or percentage price"))
    } else if tariff.settings.quantity_basis == QuantityBasis::Prorated || tariff.steps.rollover_periods.is_some() {
        let what = "a cell has neither prorated units nor what is carried over".to_owned();
        Some((what, "remove quantity_basis and rollover_periods, or write a line of its own"))
    } else {
        None
    };
    if let Some((what, mend)) = flaw {
        reading.flaw(key.at, &path, what, mend);
        return None;
    }
    let zero = Node { at: 0..0, value: Value::Text("0".to_owned()) };
    cell.push((Key { at: 0..0, name: "unit_price".to_owned() }, zero));
    Some(Some(CellPrice { tariff, tier_limits: of_price.tier_limits }))
}

/// Takes the tiers of a capacity price; what is left is a flat price of nothing, for the steps behind the model.
fn capacity(entries: &mut Entries, path: &str, reading: &mut Reading) -> Option<Vec<CapacityTier>> {
    let at = entries.iter().position(|(key, node)| key.name == "tiers" && !node.is_null());
    let Some(at) = at else {
        reading.flaw(0..0, &format!("{path}.tiers"), "a capacity price needs tiers", "add tiers");
        return None;
    };
    let (_, tiers) = entries.remove(at);
    let text = |text: &str| Node { at: 0..0, value: Value::Text(text.to_owned()) };
    for (key, node) in entries.iter_mut() {
        if key.name == "model" {
            *node = text("flat");
        }
    }
    let has_none = ["amount", "convert", "round_quantity", "included", "rollover_periods", "settings"];
    let is_said = |(key, node): &&(Key, Node)| has_none.contains(&key.name.as_str()) && !node.is_null();
    if let Some((key, _)) = entries.iter().find(is_said) {
        let what = format!("a capacity price has no {}", key.name);
        reading.flaw(0..0, &format!("{path}.{}", key.name), what, format!("remove {}", key.name));
        return None;
    }
    entries.push((Key { at: 0..0, name: "amount".to_owned() }, text("0")));
    let path = format!("{path}.tiers");
    let tiers = list(&tiers, &path, reading, |node, path, reading| {
        let mut table = Table::of(node, path, reading)?;
        let flat_price = table.required(reading, "flat_price", "a tier of a capacity", Table::amount)?;
        let up_to = table.optional(reading, "up_to", units)?.unwrap_or_default();
        table.finish(reading);
        Some(CapacityTier { up_to, flat_price })
    })?;
    if tiers.is_empty() {
        reading.flaw(0..0, &path, "there are no tiers", "write at least one");
        return None;
    }
    Some(tiers)
}

/// The most of each unit, or of the only one.
fn units(node: &Node, path: &str, reading: &mut Reading) -> Option<BTreeMap<String, Decimal>> {
    let Value::Table(entries) = &node.value else {
        return Some(BTreeMap::from([(ONLY_UNIT.to_owned(), Table::amount(node, path, reading)?)]));
    };
    let entries = entries.iter().filter(|(_, node)| !node.is_null());
    entries
        .map(|(key, node)| Some((key.name.clone(), Table::amount(node, &format!("{path}.{}", key.name), reading)?)))
        .collect()
}
