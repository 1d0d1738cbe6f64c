//! Usage of a billed month that no subscription of its partner bills: before the first began, after an offboarding, or
//! of a product that the plans which ran then do not price. It is listed with its quantities, never billed and never
//! lost (I9). Pure.
//!
//! A plan prices a product where one of its prices has a meter of it, or one of no product, which counts requests of
//! all; a plan without a metered price takes everything in. Several meters may count one request, so whether it is
//! billed is asked of products and not of meters; meters that no plan sells are asked about by nobody.
//!
//! A slice belongs to the month in which it begins, in the zone of the partner's first subscription that has one. What
//! was used before billing started here is told by `going_live`.

use std::collections::{BTreeMap, BTreeSet};

use tollbook_schemas::catalog::{Aggregation, Catalog, PlanVersion};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::{MeterId, PartnerId};
use tollbook_schemas::period::{Period, Tz};
use tollbook_schemas::registry::Subscription;
use tollbook_schemas::schedule;

use super::index::UsageIndex;
use super::{ByPartner, DraftInput, Drafted, span};
use crate::usage::UsageSlice;

/// Lists it for every partner that is not blocked and of which nothing of it is told yet.
pub(super) fn list(input: &DraftInput<'_>, usage: &UsageIndex<'_>, own: &ByPartner<'_>, drafted: &mut Drafted) {
    let versions = input.catalog.plans.values().flatten();
    let sold: BTreeSet<&MeterId> =
        versions.flat_map(|version| &version.prices).filter_map(|p| p.meter.as_ref()).collect();
    for (&partner_id, subscriptions) in own {
        if drafted.blocked.iter().any(|blocked| blocked.partner_id == *partner_id) {
            continue;
        }
        let Some(Outside { unsubscribed, unpriced }) = outside_of(input, usage, partner_id, (subscriptions, &sold))
        else {
            continue;
        };
        if let Some(used) = unsubscribed {
            let told = format!(
                "its production usage of {used} in {} lies outside its subscriptions and is not billed: record \
                 `subscription.started` from when it ran and run `tollbook aggregate`, or charge it with `tollbook bill adjust`",
                input.month
            );
            drafted.outside.push((partner_id.clone(), told));
        }
        if let Some(used) = unpriced {
            let told = format!(
                "its production usage of {used} in {} is of products that its plans do not price, and is not billed: record \
                 `subscription.started` on a plan that does and run `tollbook aggregate`, or charge it with \
                 `tollbook bill adjust`",
                input.month
            );
            drafted.outside.push((partner_id.clone(), told));
        }
    }
}

/// Meters with what was used of each, in words.
struct Outside {
    /// While no subscription ran.
    unsubscribed: Option<String>,
    /// Of what the subscriptions that ran do not price.
    unpriced: Option<String>,
}

fn outside_of(
    input: &DraftInput<'_>,
    usage: &UsageIndex<'_>,
    partner_id: &PartnerId,
    (subscriptions, sold): (&[&Subscription], &BTreeSet<&MeterId>),
) -> Option<Outside> {
    let zone = subscriptions.iter().find_map(|one| span::zone_of(input, one).ok()).unwrap_or(Tz::UTC);
    let month = input.month.period(zone).ok()?;
    let live = input.registry.going_live.get(partner_id).map(|live| live.billing_starts_at);
    let ran_plainly = |one: &Subscription, slice: &UsageSlice| {
        one.course.term.is_none()
            && one.course.endings.is_empty()
            && one.started_at <= slice.slice.start
            && one.ended_at.is_none_or(|ended_at| slice.slice.start < ended_at)
    };
    // Where all versions of a plan agree nobody needs to know which one it was.
    let always_prices = |one: &Subscription, slice: &UsageSlice| {
        let versions = input.catalog.plans.get(&one.plan_id);
        versions
            .is_some_and(|versions| versions.iter().all(|version| prices(input.catalog, version, &slice.product_id)))
    };
    // What a subscription does not say by itself, its schedule does: terms, cancellations that wait, the version.
    let mut ran: Option<Vec<Ran<'_>>> = None;
    let (mut unsubscribed, mut unpriced) = (BTreeMap::new(), BTreeMap::new());
    for (meter_id, slices) in usage.meters_of(partner_id) {
        for slice in slices.iter().copied().filter(|slice| slice.event_count > 0 && month.contains(slice.slice.start)) {
            let start = slice.slice.start;
            if live.is_some_and(|live| start < live)
                || subscriptions.iter().any(|one| ran_plainly(one, slice) && always_prices(one, slice))
            {
                continue;
            }
            if ran.is_none() {
                ran = Some(periods_of(input, subscriptions, month)?);
            }
            let running: Vec<&Ran<'_>> = ran.iter().flatten().filter(|ran| ran.billed.contains(start)).collect();
            // A plan without a version then blocks its partner.
            let takes_in =
                |ran: &&Ran<'_>| ran.version.is_none_or(|version| prices(input.catalog, version, &slice.product_id));
            let list: &mut BTreeMap<&MeterId, Vec<&UsageSlice>> = match running.is_empty() {
                true => &mut unsubscribed,
                false if !sold.contains(meter_id) || running.iter().any(takes_in) => continue,
                false => &mut unpriced,
            };
            list.entry(meter_id).or_default().push(slice);
        }
    }
    let told = |of: BTreeMap<&MeterId, Vec<&UsageSlice>>| {
        let told: Vec<String> = of.iter().map(|(meter_id, slices)| told_of(input, meter_id, slices)).collect();
        (!told.is_empty()).then(|| told.join(", "))
    };
    Some(Outside { unsubscribed: told(unsubscribed), unpriced: told(unpriced) })
}

/// Whether a version of a plan prices what is used of a product.
fn prices(catalog: &Catalog, version: &PlanVersion, product_id: &str) -> bool {
    let mut metered = version.prices.iter().filter_map(|price| price.meter.as_ref()).peekable();
    let is_of = |meter_id: &MeterId| {
        let product = catalog.meters.get(meter_id).and_then(|meter| meter.product.as_ref());
        product.is_none_or(|product| product.as_str() == product_id)
    };
    metered.peek().is_none() || metered.any(is_of)
}

/// A period that a subscription ran, with the version that prices it.
struct Ran<'a> {
    billed: Period,
    version: Option<&'a PlanVersion>,
}

/// None where a subscription cannot be read, which blocks its partner.
fn periods_of<'a>(input: &DraftInput<'a>, subscriptions: &[&Subscription], month: Period) -> Option<Vec<Ran<'a>>> {
    let mut ran = Vec::new();
    for one in subscriptions {
        let zone = span::zone_of(input, one).ok()?;
        let periods = schedule::periods(input.catalog, one, zone, month.end).ok()?;
        ran.extend(periods.iter().map(|period| Ran { billed: period.billed, version: period.version }));
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
    use tollbook_schemas::id::{MeterId, ProductId};

    use crate::draft::tests::{catalog, drafted, drafted_with};

    /// One row: the product of `calls`, a subscription, usage, which is of `maps`, and what is listed. The plan pro
    /// prices calls, days only a fee.
    #[test]
    fn usage_of_products_that_no_plan_of_the_partner_prices_is_listed() {
        let calls = "acme calls production 2026-06-02T00:00 12";
        for (product, registry, usage, words) in [
            (None, "acme pro 2026-01-01..", calls, None),
            (Some("maps"), "acme pro 2026-01-01..", calls, None),
            (Some("tiles"), "acme pro 2026-01-01..", calls, Some("calls (12 call) in 2026-06 is of products")),
            (Some("tiles"), "acme days 2026-01-01..", calls, None),
            (Some("tiles"), "acme pro 2026-01-01..; acme days 2026-01-01..", calls, None),
            (
                Some("tiles"),
                "acme pro 2026-01-01..",
                "acme users production 2026-06-02T00:00 a",
                Some("users (3 requests) in 2026-06 is of products"),
            ),
            (Some("tiles"), "acme pro 2026-01-01..", "acme calls sandbox 2026-06-02T00:00 12", None),
            (Some("tiles"), "acme pro 2026-06-10..", calls, Some("calls (12 call) in 2026-06 lies outside")),
        ] {
            let mut catalog = catalog();
            let meter = catalog.meters.get_mut(&MeterId::parse("calls").unwrap()).unwrap();
            meter.product = product.map(|product| ProductId::parse(product).unwrap());
            let drafted = drafted_with(&catalog, registry, Vec::new(), usage);
            let told: Vec<&str> = drafted.outside.iter().map(|(_, told)| told.as_str()).collect();
            match words {
                None => assert_eq!(told, Vec::<&str>::new(), "{product:?} {registry}"),
                Some(words) => {
                    assert!(told.len() == 1 && told[0].contains(words), "{product:?} {registry}: {told:?}");
                }
            }
        }
    }

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
            // A cancellation to the end of its period has no end of its own.
            (
                "acme pro 2026-01-01.. Europe/Berlin to_period=2026-05-10",
                "acme calls production 2026-06-05T00:00 3",
                Some("calls (3 call) in 2026-06"),
            ),
            (
                "acme pro 2026-01-01.. Europe/Berlin to_period=2026-06-10",
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
