//! One price of one span: its usage, its amount, its evidence by UTC day.

use std::collections::BTreeMap;
use std::error::Error;

use chrono::NaiveDate;
use tollbook_schemas::catalog::{Catalog, Meter, Price};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::MeterId;
use tollbook_schemas::invariant::Invariant;

use super::UsageIndex;
use super::span::Span;
use crate::document::{BilledDay, Line};
use crate::rating::{Usage, rate};
use crate::usage::{UsageSlice, fold};

pub(super) fn line_of(
    catalog: &Catalog,
    usage: &UsageIndex<'_>,
    span: &Span<'_>,
    price: &Price,
    line_number: u32,
) -> Result<Line, String> {
    let place = || {
        let subscription_id = &span.subscription.subscription_id;
        format!("price {} of subscription {subscription_id}", price.price_id)
    };
    let (quantity, unit, days) = match &price.meter {
        // A flat price is one period's worth.
        None => (Decimal::whole(1), None, Vec::new()),
        Some(meter_id) => {
            let meter = catalog.meters.get(meter_id).ok_or_else(|| format!("the catalog has no meter {meter_id}"))?;
            let slices = slices_of(usage, span, meter_id)?;
            let (quantity, days) =
                measure(meter_id, meter, &slices).map_err(|e| format!("{}: {}", place(), told(&e)))?;
            (quantity, Some(meter.unit.clone()), days)
        }
    };
    let rated = rate(&price.tariff, &Usage::of(quantity), span.version.currency)
        .map_err(|error| format!("{}: {}", place(), told(&error)))?;
    Ok(Line {
        amount_minor: rated.amount.minor,
        description: price.description.clone(),
        line_number,
        meter_id: price.meter.clone(),
        plan_id: span.subscription.plan_id.clone(),
        plan_version: span.version.version,
        price_id: price.price_id.clone(),
        price_model: price.tariff.model.as_str().to_owned(),
        quantity,
        span_end: span.billed.end,
        span_start: span.billed.start,
        subscription_id: span.subscription.subscription_id.clone(),
        unit,
        usage: days,
        working: rated.working,
    })
}

/// The slices inside the span; one across its edge would be billed twice or not at all.
fn slices_of<'a>(usage: &UsageIndex<'a>, span: &Span<'_>, meter_id: &MeterId) -> Result<Vec<&'a UsageSlice>, String> {
    let partner_id = &span.subscription.partner_id;
    let mut inside = Vec::new();
    for slice in usage.get(&(partner_id, meter_id)).into_iter().flatten() {
        match slice.slice.intersect(&span.billed) {
            None => {}
            Some(part) if part == slice.slice => inside.push(*slice),
            Some(_) => {
                return Err(format!(
                    "{} does not hold: the usage of meter {meter_id} at {} lies across the edge of {}, which \
                     subscription {} bills; run `tollbook aggregate`, which cuts usage there",
                    Invariant::I3,
                    slice.slice,
                    span.billed,
                    span.subscription.subscription_id
                ));
            }
        }
    }
    Ok(inside)
}

fn measure(
    meter_id: &MeterId,
    meter: &Meter,
    slices: &[&UsageSlice],
) -> Result<(Decimal, Vec<BilledDay>), crate::usage::UsageError> {
    let mut by_day: BTreeMap<NaiveDate, Vec<&UsageSlice>> = BTreeMap::new();
    for slice in slices {
        by_day.entry(slice.event_date).or_default().push(slice);
    }
    let mut days = Vec::new();
    for (event_date, slices) in by_day {
        let folded = fold(meter_id, meter.aggregation, &slices)?;
        days.push(BilledDay {
            event_count: folded.event_count,
            event_date,
            quantity: folded.quantity,
            slice_count: folded.slice_count,
            usage_sha256: folded.usage_sha256,
        });
    }
    Ok((fold(meter_id, meter.aggregation, slices)?.quantity, days))
}

/// An error and its causes in one sentence.
fn told(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}
