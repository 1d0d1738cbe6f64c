//! One price of one span: its usage, its amount, its evidence by UTC day.

use std::collections::BTreeMap;
use std::error::Error;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta};
use tollbook_schemas::catalog::{Aggregation, Catalog, Meter, Price};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::error::with_causes;
use tollbook_schemas::id::MeterId;
use tollbook_schemas::invariant::Invariant;
use tollbook_schemas::period::Period;
use tollbook_schemas::price::setting::{Charged, Due};

use super::index::UsageIndex;
use super::span::Span;
use super::{going_live, rollover};
use crate::document::{BilledDay, Line, LineOpening};
use crate::rating::opening::rate_after;
use crate::rating::usage::Group;
use crate::rating::{Event, Rated, RatingError, Usage, Working, rate};
use crate::usage::{Folded, UsageError, UsageSlice, fold, usage_sha256};

/// What stands for the price's model on a line of what was used while paused.
pub const PAUSED: &str = "paused";

pub(super) fn line_of(
    catalog: &Catalog,
    usage_index: &UsageIndex<'_>,
    span: &Span<'_>,
    price: &Price,
) -> Result<Line, String> {
    let place = || {
        let subscription_id = &span.subscription.subscription_id;
        format!("price {} of subscription {subscription_id}", price.price_id)
    };
    let (usage, meter, days) = match &price.meter {
        // A flat price is one period's worth, for each of its units.
        None => (Usage::of(span.units(price.tariff.settings.per)), None, Vec::new()),
        Some(meter_id) => {
            let (meter, usage, days) = metered(catalog, usage_index, span, meter_id, &span.running(), &place)?;
            (usage, Some((meter_id, meter)), days)
        }
    };
    let carried = rollover::carried_to(catalog, usage_index, span, price)?;
    let (carried, rollover) = carried.map_or((None, None), |(carried, told)| (Some(carried), Some(told)));
    let usage = Usage { served: Some(span.served(price)), carried, ..usage };
    let failed = |error: &(dyn Error + 'static)| format!("{}: {}", place(), told(error));
    let (rated, opening) = match &span.openings {
        None => (rate(&price.tariff, &usage, span.version.currency).map_err(|error| failed(&error))?, None),
        Some(openings) => {
            let before = going_live::usage_of(openings, price, meter)?;
            let after = rate_after(&price.tariff, &before, &usage, span.version.currency);
            let after = after.map_err(|error| failed(&error))?;
            let opening = LineOpening {
                amount_minor: after.opening.minor,
                quantity: before.quantity,
                whole_amount_minor: after.whole.amount.minor,
            };
            (Rated { amount: after.due, working: after.whole.working }, Some(opening))
        }
    };
    Ok(Line {
        adjusts: None,
        amount_minor: rated.amount.minor,
        by_hand: None,
        contract: span.line_contract(),
        coupon: None,
        credit: None,
        description: span.described(&price.description),
        due: due_of(price),
        for_partner: span.for_partner(),
        line_number: 0,
        meter_id: price.meter.clone(),
        opening,
        plan_id: span.subscription.plan_id.clone(),
        plan_version: span.version.version,
        price_id: price.price_id.clone(),
        price_model: price.tariff.model.as_str().to_owned(),
        quantity: usage.quantity,
        rollover,
        span_end: span.billed.end,
        span_start: span.billed.start,
        subscription_id: span.subscription.subscription_id.clone(),
        tax: None,
        unit: meter.map(|(_, meter)| meter.unit.clone()),
        usage: days,
        working: rated.working,
    })
}

/// What was used of a metered price in a span, with what another system billed of it.
pub(super) fn used_of(
    catalog: &Catalog,
    usage: &UsageIndex<'_>,
    span: &Span<'_>,
    price: &Price,
) -> Result<Usage, String> {
    let id = &price.price_id;
    let meter_id = price.meter.as_ref().ok_or_else(|| format!("price {id} has no meter"))?;
    let place = || format!("price {id} of subscription {}", span.subscription.subscription_id);
    let (meter, used, _) = metered(catalog, usage, span, meter_id, &span.running(), &place)?;
    let before = match &span.openings {
        None => Decimal::ZERO,
        Some(openings) => going_live::usage_of(openings, price, Some((meter_id, meter)))?.quantity,
    };
    let quantity = used.quantity.checked_add(before).map_err(|error| format!("{}: {error}", place()))?;
    Ok(Usage { served: Some(span.served(price)), ..Usage::of(quantity) })
}

/// The word of a line that is not billed when its period is over.
fn due_of(price: &Price) -> Option<String> {
    match (price.tariff.settings.charged, price.tariff.settings.due) {
        (Charged::Once, _) => Some(Charged::Once.as_str().to_owned()),
        (_, Due::InAdvance) => Some(Due::InAdvance.as_str().to_owned()),
        _ => None,
    }
}

/// What was used while the subscription was paused: a line of 0, so that nobody takes it for billed or lost. None where
/// nothing was used; one for each meter, whatever the number of its prices.
pub(super) fn paused_line_of(
    catalog: &Catalog,
    usage: &UsageIndex<'_>,
    span: &Span<'_>,
    price: &Price,
) -> Result<Option<Line>, String> {
    let paused = span.paused();
    let (Some(meter_id), Some(first), Some(last)) = (&price.meter, paused.first(), paused.last()) else {
        return Ok(None);
    };
    let place = || format!("the pause of subscription {}", span.subscription.subscription_id);
    let is_first = span.version.prices.iter().find(|other| other.meter == price.meter);
    let (meter, used, days) = metered(catalog, usage, span, meter_id, &paused, &place)?;
    if days.is_empty() || is_first.is_none_or(|first| first.price_id != price.price_id) {
        return Ok(None);
    }
    Ok(Some(Line {
        adjusts: None,
        amount_minor: 0,
        by_hand: None,
        contract: span.line_contract(),
        coupon: None,
        credit: None,
        description: span.described(&format!("{}: used while paused, not charged", price.description)),
        due: None,
        for_partner: span.for_partner(),
        line_number: 0,
        meter_id: price.meter.clone(),
        opening: None,
        plan_id: span.subscription.plan_id.clone(),
        plan_version: span.version.version,
        price_id: price.price_id.clone(),
        price_model: PAUSED.to_owned(),
        quantity: used.quantity,
        rollover: None,
        span_end: last.end,
        span_start: first.start,
        subscription_id: span.subscription.subscription_id.clone(),
        tax: None,
        unit: Some(meter.unit.clone()),
        usage: days,
        working: Working { exact: "0".to_owned(), ..Working::default() },
    }))
}

/// The usage of a meter in some times of a span, and its evidence by day.
fn metered<'a>(
    catalog: &'a Catalog,
    usage: &UsageIndex<'_>,
    span: &Span<'_>,
    meter_id: &MeterId,
    times: &[Period],
    place: &dyn Fn() -> String,
) -> Result<(&'a Meter, Usage, Vec<BilledDay>), String> {
    let meter = catalog
        .meters
        .get(meter_id)
        .ok_or_else(|| format!("the catalog has no meter {meter_id}; put it back, or give the plan another price"))?;
    let slices = slices_of(usage, span, meter_id, times)?;
    let known = usage.of(&span.subscription.partner_id, meter_id);
    let (usage, days) =
        measure(meter_id, meter, &slices, times, known).map_err(|e| format!("{}: {}", place(), told(&e)))?;
    Ok((meter, usage, days))
}

/// The slices inside some times of a span; one across an edge would be billed twice or not at all.
fn slices_of<'a>(
    usage: &UsageIndex<'a>,
    span: &Span<'_>,
    meter_id: &MeterId,
    times: &[Period],
) -> Result<Vec<&'a UsageSlice>, String> {
    let partner_id = &span.subscription.partner_id;
    let mut inside = Vec::new();
    for slice in usage.of(partner_id, meter_id) {
        let part = times.iter().find_map(|time| slice.slice.intersect(time));
        match part {
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

/// Folds the slices that lie in some times, in order. What a level comes to depends on how long it held: each time adds
/// its own, with what held when it began. `known` are all slices of the meter.
fn fold_over(
    meter_id: &MeterId,
    aggregation: Aggregation,
    slices: &[&UsageSlice],
    times: &[Period],
    known: &[&UsageSlice],
) -> Result<Folded, UsageError> {
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return fold(
            meter_id,
            aggregation,
            &[],
            Period { start: DateTime::UNIX_EPOCH, end: DateTime::UNIX_EPOCH },
            &[],
        );
    };
    let before = |time: &Period| -> Vec<&UsageSlice> {
        match aggregation.carries_over() {
            true => known.iter().filter(|slice| slice.slice.end <= time.start).copied().collect(),
            false => Vec::new(),
        }
    };
    let all = Period { start: first.start, end: last.end };
    let folded = fold(meter_id, aggregation, slices, all, &before(first))?;
    if times.len() == 1 || !aggregation.carries_over() {
        return Ok(folded);
    }
    let mut quantity = Decimal::ZERO;
    for time in times {
        let inside: Vec<&UsageSlice> =
            slices.iter().filter(|slice| slice.slice.intersect(time).is_some()).copied().collect();
        let of_time = fold(meter_id, aggregation, &inside, *time, &before(time))?.quantity;
        quantity = quantity.checked_add(of_time).map_err(|error| UsageError::Overflow(meter_id.clone(), error))?;
    }
    Ok(Folded { quantity, ..folded })
}

fn measure(
    meter_id: &MeterId,
    meter: &Meter,
    slices: &[&UsageSlice],
    times: &[Period],
    known: &[&UsageSlice],
) -> Result<(Usage, Vec<BilledDay>), UsageError> {
    let mut by_day: BTreeMap<NaiveDate, Vec<&UsageSlice>> = BTreeMap::new();
    for slice in slices {
        by_day.entry(slice.event_date).or_default().push(slice);
    }
    let mut days = Vec::new();
    for (event_date, of_day) in by_day {
        // What a level comes to over one day depends on what held at its begin.
        let start = event_date.and_time(NaiveTime::MIN).and_utc();
        let day = Period { start, end: start + TimeDelta::days(1) };
        let of_times: Vec<Period> = times.iter().filter_map(|time| time.intersect(&day)).collect();
        let folded = fold_over(meter_id, meter.aggregation, &of_day, &of_times, known)?;
        days.push(BilledDay {
            event_count: folded.event_count,
            event_date,
            quantity: folded.quantity,
            slice_count: folded.slice_count,
            usage_sha256: usage_sha256(&of_day),
        });
    }
    let whole = fold_over(meter_id, meter.aggregation, slices, times, known)?;
    let groups = match meter.aggregation {
        // What does not add up over its dimensions cannot be priced by them.
        Aggregation::Count | Aggregation::Sum if !meter.group_by.is_empty() => {
            let mut by_values: BTreeMap<BTreeMap<String, String>, Vec<&UsageSlice>> = BTreeMap::new();
            // Where nothing counted there is only what was left out or came again: nothing to price.
            for slice in slices.iter().filter(|slice| slice.event_count > slice.invalid_count) {
                by_values.entry(every_dimension(meter, &slice.dimensions)).or_default().push(slice);
            }
            let group = |(values, slices): (BTreeMap<String, String>, Vec<&UsageSlice>)| {
                let quantity = fold_over(meter_id, meter.aggregation, &slices, times, &[])?.quantity;
                Ok(Group { values, quantity })
            };
            Some(by_values.into_iter().map(group).collect::<Result<Vec<_>, UsageError>>()?)
        }
        _ => None,
    };
    // A fee for each event is due for what has a value.
    let invalid = slices.iter().try_fold(0_i64, |sum, slice| sum.checked_add(slice.invalid_count));
    let event_count = invalid.and_then(|invalid| u32::try_from(whole.event_count.checked_sub(invalid)?).ok());
    // What a meter that keeps its events sums is what a dynamic price takes of each.
    let event = |quantity: Decimal| Event { quantity, prorated: None, amount: Some(quantity) };
    let events = whole.events.map(|events| events.into_iter().map(event).collect());
    Ok((Usage { event_count, events, groups, ..Usage::of(whole.quantity) }, days))
}

/// An error and its causes in one sentence.
fn told(error: &(dyn Error + 'static)) -> String {
    let told = with_causes(error);
    match error.downcast_ref() {
        Some(RatingError::Overflow(_) | RatingError::Money { .. }) => format!(
            "{told}; correct what is too big: the units of the subscription, what its meter counted, or the price"
        ),
        _ => told,
    }
}

/// The values of every dimension of a meter. A request without one of them is priced as one whose value is the empty
/// text: callers choose attributes, and who leaves one out must not keep a whole invoice from being priced.
fn every_dimension(meter: &Meter, told: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    meter.group_by.keys().map(|name| (name.clone(), told.get(name).cloned().unwrap_or_default())).collect()
}

#[cfg(test)]
mod tests {
    use tollbook_schemas::id::PartnerId;
    use tollbook_schemas::meter::MeterState;
    use tollbook_schemas::period::parse_instant;
    use tollbook_schemas::registry::Environment;

    use super::*;

    /// What was left out, came again or has no value makes no group, which no cell could price, and no event, whose
    /// fee nobody owes.
    #[test]
    fn what_does_not_count_is_not_priced() {
        let start = parse_instant("2026-06-02T10:00:00Z").unwrap();
        let hour = Period { start, end: start + TimeDelta::hours(1) };
        let slice = |region: Option<&str>, sum: i64, event_count: i64, invalid_count: i64| UsageSlice {
            meter_id: MeterId::parse("bytes").unwrap(),
            partner_id: Some(PartnerId::parse("acme").unwrap()),
            environment: Some(Environment::Production),
            product_id: "maps".into(),
            dimensions: region.map(|region| ("region".to_owned(), region.to_owned())).into_iter().collect(),
            slice: hour,
            quantity: Decimal::whole(sum),
            state: MeterState::Sum(Decimal::whole(sum)).to_json().into(),
            event_count,
            invalid_count,
            event_date: start.date_naive(),
        };
        let meter = Meter {
            name: "Bytes".to_owned(),
            unit: "byte".to_owned(),
            product: None,
            aggregation: Aggregation::Sum,
            value: Some("response_bytes".to_owned()),
            filter: None,
            exclude: Vec::new(),
            allow_negative: false,
            group_by: BTreeMap::from([("region".to_owned(), "route".to_owned())]),
        };
        let all = [slice(Some("eu"), 100, 3, 2), slice(None, 0, 0, 0), slice(Some("us"), 0, 1, 1)];
        let all: Vec<&UsageSlice> = all.iter().collect();
        let (usage, days) = measure(&MeterId::parse("bytes").unwrap(), &meter, &all, &[hour], &[]).unwrap();
        assert_eq!((usage.quantity, usage.event_count), (Decimal::whole(100), Some(1)));
        let groups: Vec<_> = usage.groups.unwrap().into_iter().map(|group| (group.values, group.quantity)).collect();
        assert_eq!(groups, [(BTreeMap::from([("region".to_owned(), "eu".to_owned())]), Decimal::whole(100))]);
        assert_eq!(days[0].event_count, 4, "the evidence tells all that was there");

        // Without a region, and with an empty one: both are of the empty text.
        let all = [slice(Some("eu"), 100, 1, 0), slice(None, 7, 2, 0), slice(Some(""), 5, 1, 0)];
        let all: Vec<&UsageSlice> = all.iter().collect();
        let (usage, _) = measure(&MeterId::parse("bytes").unwrap(), &meter, &all, &[hour], &[]).unwrap();
        let groups: Vec<_> = usage.groups.unwrap().into_iter().map(|group| (group.values, group.quantity)).collect();
        let of = |region: &str, quantity: i64| {
            (BTreeMap::from([("region".to_owned(), region.to_owned())]), Decimal::whole(quantity))
        };
        assert_eq!(groups, [of("", 12), of("eu", 100)]);
    }
}
