//! Tiers are `(from, up_to]`: each starts where the one before ends, so only the ends are written, and a gap or an
//! overlap cannot be. What can be wrong is their order, and a missing or early open end.

use super::node::{Node, Value};
use super::read::{Reading, Table};
use super::{PercentTier, Tier};
use crate::decimal::Decimal;

pub(super) fn unit_tiers(node: &Node, path: &str, reading: &mut Reading) -> Option<Vec<Tier>> {
    read(node, path, reading, |table, up_to, reading| {
        let at = table.at();
        let unit_price = table.optional(reading, "unit_price", Table::amount)?;
        let flat_price = table.optional(reading, "flat_price", Table::amount)?;
        if unit_price.is_none() && flat_price.is_none() {
            let path = table.path_of("unit_price");
            let what = "a tier has no price";
            if !table.tell_meant(reading, &["unit_price", "flat_price"], what) {
                reading.flaw(at, &path, what, "add unit_price or flat_price; \"0\" is a price");
            }
            return None;
        }
        let size_at = table.place_or_table("package_size");
        let package_size = table.optional(reading, "package_size", Table::above_zero)?;
        if package_size.is_some() && unit_price.is_none() {
            let what = "a tier of packages has no price of a package";
            let path = table.path_of("package_size");
            reading.flaw(size_at, &path, what, "add unit_price: it is that of a package here");
            return None;
        }
        let (unit_price, flat_price) = (unit_price.unwrap_or(Decimal::ZERO), flat_price.unwrap_or(Decimal::ZERO));
        Some(Tier { up_to, unit_price, flat_price, package_size })
    })
}

pub(super) fn percent_tiers(node: &Node, path: &str, reading: &mut Reading) -> Option<Vec<PercentTier>> {
    read(node, path, reading, |table, up_to, reading| {
        let at = table.at();
        let percent = table.optional(reading, "percent", Table::amount)?;
        let flat_price = table.optional(reading, "flat_price", Table::amount)?;
        if percent.is_none() && flat_price.is_none() {
            let path = table.path_of("percent");
            let what = "a tier has no price";
            if !table.tell_meant(reading, &["percent", "flat_price"], what) {
                reading.flaw(at, &path, what, "add percent or flat_price; \"0\" is a price");
            }
            return None;
        }
        let (percent, flat_price) = (percent.unwrap_or(Decimal::ZERO), flat_price.unwrap_or(Decimal::ZERO));
        Some(PercentTier { up_to, percent, flat_price })
    })
}

/// The end of a tier. Other systems have a word for a tier without one.
fn bound(node: &Node, path: &str, reading: &mut Reading) -> Option<Decimal> {
    if let Value::Text(text) = &node.value
        && ["inf", "infinity", "infinite", "unlimited", "\u{221e}"].contains(&text.to_lowercase().as_str())
    {
        reading.flaw(
            node.at.clone(),
            path,
            format!("{text:?} is no end of a tier"),
            "leave up_to out: the last tier has none",
        );
        return None;
    }
    Table::decimal(node, path, reading)
}

fn read<T>(
    node: &Node,
    path: &str,
    reading: &mut Reading,
    tier: impl Fn(&mut Table<'_>, Option<Decimal>, &mut Reading) -> Option<T>,
) -> Option<Vec<T>> {
    let Value::List(entries) = &node.value else {
        reading.wrong_type(node, path, "a list of tiers");
        return None;
    };
    let Some(last) = entries.len().checked_sub(1) else {
        reading.flaw(node.at.clone(), path, "there are no tiers", "write at least one, without up_to");
        return None;
    };
    let flaws_before = reading.flaws.len();
    let mut tiers = Vec::new();
    let mut from = Decimal::ZERO;
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(mut table) = Table::of(entry, &path, reading) else { continue };
        let at = table.place("up_to").unwrap_or_else(|| entry.at.clone());
        let Some(up_to) = table.optional(reading, "up_to", bound) else { continue };
        match up_to {
            Some(_) if index == last => {
                let what = "the last tier ends, so larger quantities have no price";
                reading.flaw(at, &path, what, "remove its up_to");
            }
            None if index < last => {
                let what = "a tier without up_to is not the last";
                if !table.tell_meant(reading, &["up_to"], what) {
                    reading.flaw(at, &path, what, "give it up_to, or move it to the end");
                }
            }
            Some(up_to) if up_to <= from => {
                let what = format!("tier up to {up_to} does not come after {from}: tiers would overlap");
                reading.flaw(at, &path, what, "order tiers by up_to, each larger than the one before");
            }
            _ => {}
        }
        from = up_to.unwrap_or(from);
        tiers.extend(tier(&mut table, up_to, reading));
        table.finish(reading);
    }
    (reading.flaws.len() == flaws_before).then_some(tiers)
}
