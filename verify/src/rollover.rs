//! Included units that carry over: the account of a price, one billing period after the other from the first on its
//! plan, by what is known of each. Pure. From `docs/money.md`, "Included units that carry over", and not from
//! `billing`.
//!
//! What a period leaves is a bag, which so many later periods may take from. A period takes from the bag that closes
//! first, and from its own units last.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tollbook_schemas::catalog::{Catalog, Price};
use tollbook_schemas::id::MeterId;
use tollbook_schemas::period::print_instant;

use crate::number::Ratio;
use crate::opening;
use crate::rating::{Used, allowance};
use crate::spans::Span;
use crate::usage::Usage;

/// Units that earlier periods left to a line, as printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Rollover {
    /// Of which periods, oldest first.
    from: Vec<CarriedOver>,
    /// Their sum.
    units: String,
}

/// What one period left, as printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct CarriedOver {
    span_start: String,
    units: String,
}

/// One period of the account.
struct Entry {
    of: DateTime<Utc>,
    /// How many later periods its own units hold for, what it includes, and what was used of it. None where its price
    /// carries nothing over: it takes from no bag, and time goes on all the same.
    told: Option<(u32, Ratio, Ratio)>,
}

/// What one period left.
struct Bag {
    of: DateTime<Utc>,
    /// How many more periods may take from it.
    periods: u32,
    units: Ratio,
}

/// What some periods left, oldest first.
fn left_by(account: Vec<Entry>) -> Vec<Bag> {
    let mut bags: Vec<Bag> = Vec::new();
    for Entry { of, told } in account {
        if let Some((periods, included, mut used)) = told {
            bags.sort_by_key(|bag| (bag.periods, bag.of));
            for bag in &mut bags {
                let taken = used.clone().min(bag.units.clone());
                bag.units = &bag.units - &taken;
                used = &used - &taken;
            }
            let left = (&included - &used).max(Ratio::whole(0));
            bags.push(Bag { of, periods: periods.saturating_add(1), units: left });
        }
        bags.iter_mut().for_each(|bag| bag.periods -= 1);
        bags.retain(|bag| bag.periods > 0 && !bag.units.is_zero());
    }
    bags.sort_by_key(|bag| bag.of);
    bags
}

/// The units that earlier periods left to a price of a span, and how that is printed; none where it carries nothing
/// over.
///
/// # Errors
/// What cannot be counted, in words.
pub(crate) fn carried_to(
    catalog: &Catalog,
    usage: &BTreeMap<&MeterId, Usage<'_>>,
    span: &Span<'_>,
    price: &Price,
) -> Result<Option<(Ratio, Rollover)>, String> {
    if price.tariff.steps.rollover_periods.is_none() {
        return Ok(None);
    }
    let mut account = Vec::new();
    for period in &span.earlier {
        // The price as it was then.
        let then = period.prices.iter().find(|then| then.price_id == price.price_id);
        let told = match then.and_then(|then| Some((then, then.tariff.steps.rollover_periods?))) {
            None => None,
            Some((then, periods)) => {
                let (included, used) = allowance(&then.tariff, &used_in(catalog, usage, period, then)?)?;
                Some((periods, included, used))
            }
        };
        account.push(Entry { of: period.billed.start, told });
    }
    let bags = left_by(account);
    let sum: Ratio = bags.iter().map(|bag| bag.units.clone()).sum();
    let from = bags.iter().map(|bag| CarriedOver { span_start: print_instant(bag.of), units: bag.units.text() });
    let told = Rollover { from: from.collect(), units: sum.text() };
    Ok(Some((sum, told)))
}

/// What was used of a metered price in a period, with what another system billed of it.
fn used_in(
    catalog: &Catalog,
    usage: &BTreeMap<&MeterId, Usage<'_>>,
    period: &Span<'_>,
    price: &Price,
) -> Result<Used, String> {
    let id = price.meter.as_ref().ok_or_else(|| format!("price {} has no meter", price.price_id))?;
    let here = usage.get(id).ok_or_else(|| format!("no usage of meter {id}"))?.measure(&period.running())?;
    let elsewhere = match &period.openings {
        None => Ratio::whole(0),
        Some(openings) => opening::used_before(openings, price, catalog.meters.get(id))?.quantity,
    };
    Ok(Used { served: Some(period.served(price)), ..Used::of(&here.used.quantity + &elsewhere) })
}

#[cfg(test)]
mod tests;
