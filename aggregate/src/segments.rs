//! Where slices are cut: for each partner, spans of time in which its billing period and subscription stay the same.
//!
//! Pure. A span never crosses a month of the subscription's own zone, a billing period of its plan, a pause, a start or
//! end of a subscription, nor the instant from which the partner is billed here. So usage that is sliced by hours and
//! spans folds exactly to any billing period (I3).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::period::{Month, Period, PeriodError};
use tollbook_schemas::registry::{Registry, Subscription};
use tollbook_schemas::schedule;

/// The spans of every partner with a subscription over `range`, in order and without gap. Partners without one are
/// not cut: they are not in the map.
pub(crate) fn segments(
    registry: &Registry,
    catalog: &Catalog,
    range: Period,
) -> Result<BTreeMap<PartnerId, Vec<Period>>, PeriodError> {
    let mut cuts: BTreeMap<&PartnerId, BTreeSet<DateTime<Utc>>> = BTreeMap::new();
    for subscription in registry.subscriptions.values() {
        let cuts = cuts.entry(&subscription.partner_id).or_default();
        let zone = schedule::cut_zone(catalog, subscription);
        let mut month = Month::of(range.start, zone);
        loop {
            let period = month.period(zone)?;
            if period.start >= range.end {
                break;
            }
            cuts.insert(period.start);
            month = month.next();
        }
        cuts.insert(subscription.started_at);
        cuts.extend(registry.going_live.get(&subscription.partner_id).map(|live| live.billing_starts_at));
        cuts.extend(subscription.ended_at);
        // Most plans are billed by the month, whose periods are there already.
        let versions = catalog.plans.get(&subscription.plan_id).into_iter().flatten();
        let by_month = versions.into_iter().all(|version| version.cadence.is_month());
        if by_month && subscription.course.term.is_none() && subscription.course.endings.is_empty() {
            cuts.extend(edges_of_pauses(subscription));
            continue;
        }
        for period in schedule::periods(catalog, subscription, zone, range.end)? {
            cuts.extend([period.billed.start, period.billed.end]);
        }
        cuts.extend(edges_of_pauses(subscription));
    }
    let spans = |cuts: BTreeSet<DateTime<Utc>>| {
        let inside = cuts.into_iter().filter(|cut| range.start < *cut && *cut < range.end);
        let starts: Vec<_> = std::iter::once(range.start).chain(inside).collect();
        let ends = starts.iter().skip(1).copied().chain([range.end]);
        starts.iter().zip(ends).map(|(start, end)| Period { start: *start, end }).collect()
    };
    Ok(cuts.into_iter().map(|(partner, cuts)| (partner.clone(), spans(cuts))).collect())
}

fn edges_of_pauses(subscription: &Subscription) -> impl Iterator<Item = DateTime<Utc>> {
    subscription.course.pauses.iter().flat_map(|pause| [Some(pause.from), pause.until]).flatten()
}

#[cfg(test)]
mod tests {
    use tollbook_schemas::catalog::CatalogFile;
    use tollbook_schemas::id::{PlanId, SubscriptionId};
    use tollbook_schemas::period::{parse_instant, print_instant};
    use tollbook_schemas::registry::{Course, Ending, EndsWith, GoingLive, Pause};

    use super::*;

    #[test]
    fn spans_follow_months_of_the_zone_and_the_subscription() {
        let instant = |text: &str| parse_instant(text).unwrap();
        let files = [];
        let catalog = Catalog::parse(&files).unwrap();
        let mut registry = Registry::default();
        let live = GoingLive { billing_starts_at: instant("2026-06-15T09:30:00Z"), openings: Vec::new() };
        registry.going_live.insert(PartnerId::parse("acme").unwrap(), live);
        let subscription = Subscription {
            subscription_id: SubscriptionId::parse("s1").unwrap(),
            partner_id: PartnerId::parse("acme").unwrap(),
            plan_id: PlanId::parse("pro").unwrap(),
            time_zone: Some(chrono_tz::Asia::Kolkata),
            started_at: instant("2026-06-10T12:34:56Z"),
            ended_at: None,
            course: Course {
                pauses: vec![Pause {
                    from: instant("2026-06-20T10:20:00Z"),
                    until: Some(instant("2026-06-21T00:00:00Z")),
                }],
                ..Course::default()
            },
        };
        registry.subscriptions.insert((subscription.subscription_id.clone(), subscription.started_at), subscription);
        let range = Period::new(instant("2026-05-31T00:00:00Z"), instant("2026-07-02T00:00:00Z")).unwrap();
        let segments = segments(&registry, &catalog, range).unwrap();
        let starts: Vec<_> = segments.values().flatten().map(|span| print_instant(span.start)).collect();
        assert_eq!(
            starts,
            [
                "2026-05-31T00:00:00Z",
                "2026-05-31T18:30:00Z",
                "2026-06-10T12:34:56Z",
                "2026-06-15T09:30:00Z",
                "2026-06-20T10:20:00Z",
                "2026-06-21T00:00:00Z",
                "2026-06-30T18:30:00Z"
            ]
        );
        let spans: Vec<_> = segments.values().flatten().collect();
        assert!(spans.windows(2).all(|pair| pair[0].end == pair[1].start), "no gap, no overlap");
    }

    /// Weeks of Kolkata begin at 18:30 UTC, inside an hour; the cancellation waits for the end of the second one.
    #[test]
    fn spans_follow_the_billing_periods_of_the_plan() {
        let instant = |text: &str| parse_instant(text).unwrap();
        let text = r#"
[[issuer]]
id = "acme"
legal_name = "Acme"
address = []
number_prefix = "A-"
time_zone = "Asia/Kolkata"
payment_terms_days = 14
[[plan]]
id = "pro"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Pro"
issuer = "acme"
currency = "EUR"
billing_period = "weekly"
price = [{ id = "base", description = "Base", model = "flat", amount = "1" }]
"#;
        let catalog = Catalog::parse(&[CatalogFile { path: "c.toml".into(), text: text.into() }]).unwrap();
        let mut registry = Registry::default();
        let waits = Ending {
            with: EndsWith::Period,
            at: instant("2026-06-10T00:00:00Z"),
            said_at: instant("2026-06-10T00:00:00Z"),
        };
        let subscription = Subscription {
            subscription_id: SubscriptionId::parse("s1").unwrap(),
            partner_id: PartnerId::parse("acme").unwrap(),
            plan_id: PlanId::parse("pro").unwrap(),
            time_zone: None,
            started_at: instant("2026-06-03T12:00:00Z"),
            ended_at: None,
            course: Course { endings: vec![waits], ..Course::default() },
        };
        registry.subscriptions.insert((subscription.subscription_id.clone(), subscription.started_at), subscription);
        let range = Period::new(instant("2026-06-01T00:00:00Z"), instant("2026-06-30T00:00:00Z")).unwrap();
        let segments = segments(&registry, &catalog, range).unwrap();
        let starts: Vec<_> = segments.values().flatten().map(|span| print_instant(span.start)).collect();
        assert_eq!(
            starts,
            ["2026-06-01T00:00:00Z", "2026-06-03T12:00:00Z", "2026-06-07T18:30:00Z", "2026-06-14T18:30:00Z"]
        );
    }
}
