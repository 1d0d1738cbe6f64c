//! Usage of a billed month in which no subscription of its partner ran: before the first began, after an offboarding. It is
//! listed with its quantities, never billed and never lost. Pure.
//!
//! A slice belongs to the month in which it begins, in the zone of the partner's first subscription that has one. What was
//! used before billing started here is told by `going_live`.

use std::collections::BTreeMap;

use tollbook_schemas::catalog::Aggregation;
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::{MeterId, PartnerId};
use tollbook_schemas::period::{Period, Tz};
use tollbook_schemas::registry::Subscription;
use tollbook_schemas::schedule;

use super::index::UsageIndex;
use super::{DraftInput, Drafted, span};
use crate::usage::UsageSlice;

/// Lists it for every partner that is not blocked and of which nothing of it is told yet.
pub(super) fn list(input: &DraftInput<'_>, usage: &UsageIndex<'_>, drafted: &mut Drafted) {
    let mut own: BTreeMap<&PartnerId, Vec<&Subscription>> = BTreeMap::new();
    for subscription in input.registry.subscriptions.values() {
        own.entry(&subscription.partner_id).or_default().push(subscription);
    }
    for (partner_id, subscriptions) in own {
        if drafted.blocked.iter().any(|blocked| blocked.partner_id == *partner_id) {
            continue;
        }
        let Some(used) = used_outside(input, usage, partner_id, &subscriptions) else { continue };
        let told = format!(
            "its production usage of {used} in {} lies outside its subscriptions and is not billed: record \
             `subscription.started` from when it ran and run `tollbook aggregate`, or charge it with `tollbook bill adjust`",
            input.month
        );
        drafted.outside.push((partner_id.clone(), told));
    }
}

/// The meters with what was used of each outside the subscriptions, in words.
fn used_outside(
    input: &DraftInput<'_>,
    usage: &UsageIndex<'_>,
    partner_id: &PartnerId,
    subscriptions: &[&Subscription],
) -> Option<String> {
    let zone = subscriptions.iter().find_map(|one| span::zone_of(input, one).ok()).unwrap_or(Tz::UTC);
    let month = input.month.period(zone).ok()?;
    let live = input.registry.going_live.get(partner_id).map(|live| live.billing_starts_at);
    let is_plain = |one: &&&Subscription, slice: &UsageSlice| {
        one.course.term.is_none()
            && one.started_at <= slice.slice.start
            && one.ended_at.is_none_or(|ended_at| slice.slice.start < ended_at)
    };
    // What a subscription does not say by itself, its schedule does: terms, and cancellations that wait.
    let mut ran: Option<Vec<Period>> = None;
    let mut outside: BTreeMap<&MeterId, Vec<&UsageSlice>> = BTreeMap::new();
    for (meter_id, slices) in usage.meters_of(partner_id) {
        for slice in slices.iter().copied().filter(|slice| slice.event_count > 0 && month.contains(slice.slice.start)) {
            let start = slice.slice.start;
            if live.is_some_and(|live| start < live) || subscriptions.iter().any(|one| is_plain(&one, slice)) {
                continue;
            }
            if ran.is_none() {
                ran = Some(periods_of(input, subscriptions, month)?);
            }
            if !ran.iter().flatten().any(|period| period.contains(start)) {
                outside.entry(meter_id).or_default().push(slice);
            }
        }
    }
    let told: Vec<String> = outside.iter().map(|(meter_id, slices)| told_of(input, meter_id, slices)).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// None where a subscription cannot be read, which blocks its partner.
fn periods_of(input: &DraftInput<'_>, subscriptions: &[&Subscription], month: Period) -> Option<Vec<Period>> {
    let mut ran = Vec::new();
    for one in subscriptions {
        let zone = span::zone_of(input, one).ok()?;
        ran.extend(schedule::periods(input.catalog, one, zone, month.end).ok()?.iter().map(|period| period.billed));
    }
    Some(ran)
}

/// Its quantity where quantities of rows add up; else how many requests it is made of.
pub(super) fn told_of(input: &DraftInput<'_>, meter_id: &MeterId, slices: &[&UsageSlice]) -> String {
    let meter = input.catalog.meters.get(meter_id);
    let adds_up = meter
        .filter(|meter| matches!(meter.aggregation, Aggregation::Count | Aggregation::Sum | Aggregation::SumByEvent));
    let sum = slices.iter().try_fold(Decimal::ZERO, |sum, slice| sum.checked_add(slice.quantity).ok());
    match (adds_up, sum) {
        (Some(meter), Some(sum)) => format!("{meter_id} ({sum} {})", meter.unit),
        _ => {
            let count = slices.iter().fold(0_i64, |sum, slice| sum.saturating_add(slice.event_count));
            format!("{meter_id} ({count} requests)")
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::draft::tests::drafted;

    /// One row: subscriptions and usage, and what is listed. Berlin's June begins at 22:00 of 31 May.
    #[test]
    fn usage_outside_subscriptions_is_listed() {
        for (registry, usage, words) in [
            ("acme pro 2026-06-10..", "acme calls production 2026-06-02T00:00 12", Some("calls (12 call) in 2026-06")),
            ("acme pro 2026-06-10..", "acme calls production 2026-06-10T00:00 12", None),
            ("acme pro 2026-06-10..", "acme calls sandbox 2026-06-02T00:00 12", None),
            (
                "acme pro 2026-01-01..2026-06-20",
                "acme calls production 2026-06-19T23:00 1; acme calls production 2026-06-25T00:00 3; \
                 acme calls production 2026-06-20T00:00 0.5; acme users production 2026-06-26T00:00 a,b",
                Some("calls (3.5 call), users (3 requests) in 2026-06"),
            ),
            // Of another month, and where another subscription runs.
            ("acme pro 2026-01-01..2026-06-20", "acme calls production 2026-06-30T22:00 3", None),
            (
                "acme pro 2026-01-01..2026-06-20; acme pro 2026-06-20..",
                "acme calls production 2026-06-25T00:00 3",
                None,
            ),
            // Where nothing is billed, too.
            ("acme pro 2026-07-01..", "acme calls production 2026-06-02T00:00 12", Some("calls (12 call)")),
        ] {
            let drafted = drafted(registry, usage);
            let told: Vec<&str> = drafted.outside.iter().map(|(_, told)| told.as_str()).collect();
            match words {
                None => assert_eq!(told, Vec::<&str>::new(), "{registry} with {usage}"),
                Some(words) => {
                    let [told] = told[..] else { panic!("{registry} with {usage}: {told:?}") };
                    assert!(told.contains(words) && told.contains("`tollbook bill adjust`"), "{told}");
                }
            }
        }
    }
}
