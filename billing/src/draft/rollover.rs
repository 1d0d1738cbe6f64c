//! Included units that were not used and carry over: what earlier periods of a subscription left for a later one. Pure.
//!
//! A price with `rollover_periods = n` gives what it left unused of its included units to the next `n` periods. Each
//! period uses first what expires first, then its own. What earlier periods left is computed anew from the usage that
//! is known now, by the prices and the part of the period of each: so what comes late for an earlier period makes other
//! lines of the later ones too, which are adjusted like all others, and no balance is stored that could be wrong.
//!
//! Decisions:
//!
//! - units carry over within one plan of a subscription, by the id of the price; on another plan they are lost, and so
//!   is what is left when the subscription ends;
//! - what another system left before billing started here does not carry over;
//! - included units are those of the part of the period, where `limits_in_part` says so; what is carried over is whole;
//! - a shadow bill has none.

use chrono::{DateTime, Utc};
use tollbook_schemas::catalog::{Catalog, Price};
use tollbook_schemas::decimal::DecimalError;
use tollbook_schemas::exact::Exact;

use super::index::UsageIndex;
use super::line::used_of;
use super::span::Span;
use crate::document::{CarriedOver, Rollover};
use crate::rating::steps::allowance;

/// What one period left.
struct Left {
    since: DateTime<Utc>,
    /// The last period that may use it, by its place.
    last: usize,
    units: Exact,
}

/// What a period gets from earlier ones; none where its price carries nothing over.
pub(super) fn carried_to(
    catalog: &Catalog,
    usage: &UsageIndex<'_>,
    span: &Span<'_>,
    price: &Price,
) -> Result<Option<(Exact, Rollover)>, String> {
    if price.tariff.steps.rollover_periods.is_none() {
        return Ok(None);
    }
    let too_big =
        |error: DecimalError| format!("the units that price {} carries over do not fit: {error}", price.price_id);
    let mut left: Vec<Left> = Vec::new();
    for (place, earlier) in span.earlier.iter().enumerate() {
        left.retain(|one| place <= one.last);
        let own = earlier.prices.iter().find(|own| own.price_id == price.price_id && own.meter.is_some());
        let Some((own, periods)) = own.and_then(|own| Some((own, own.tariff.steps.rollover_periods?))) else {
            continue;
        };
        let used = used_of(catalog, usage, earlier, own)?;
        let allowance = allowance(&own.tariff, &used).map_err(|error| format!("price {}: {error}", own.price_id))?;
        let mut rest = allowance.quantity;
        // Where a later version holds for less long, its units may expire before older ones.
        left.sort_by_key(|one| (one.last, one.since));
        for one in &mut left {
            let taken = rest.least(one.units).map_err(too_big)?;
            one.units = one.units.checked_sub(taken).map_err(too_big)?;
            rest = rest.checked_sub(taken).map_err(too_big)?;
        }
        let units = allowance.included.checked_sub(rest).and_then(|units| units.most(Exact::ZERO)).map_err(too_big)?;
        let last = place.saturating_add(usize::try_from(periods).unwrap_or(usize::MAX));
        left.push(Left { since: earlier.billed.start, last, units });
        left.retain(|one| !one.units.is_zero());
    }
    let place = span.earlier.len();
    left.retain(|one| place <= one.last && !one.units.is_zero());
    left.sort_by_key(|one| one.since);
    let mut sum = Exact::ZERO;
    for one in &left {
        sum = sum.checked_add(one.units).map_err(too_big)?;
    }
    let from = left.iter().map(|one| CarriedOver { span_start: one.since, units: one.units.to_string() }).collect();
    Ok(Some((sum, Rollover { from, units: sum.to_string() })))
}

#[cfg(test)]
mod tests;
