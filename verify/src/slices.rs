//! Where hours are cut: at the starts of a partner's months, each in its subscription's zone, where one of its billing
//! periods begins or ends, and where a pause does. Takes an instant, gives the slice that it lies in.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::period::{Month, Period, hour_of};
use tollbook_schemas::registry::{Registry, Subscription};

use crate::walk::walk;

/// The cuts of one partner.
pub(crate) struct Cuts {
    zones: Vec<Tz>,
    edges: BTreeSet<DateTime<Utc>>,
    /// By the first instant of an hour, so that a calendar is asked once for each.
    known: BTreeMap<DateTime<Utc>, Vec<DateTime<Utc>>>,
}

/// The zone whose months are those of a subscription: its own, else that of the issuer of its plan's first version.
fn zone_of(subscription: &Subscription, catalog: &Catalog) -> Tz {
    let versions = catalog.plans.get(&subscription.plan_id);
    let issuer = versions.and_then(|versions| catalog.issuers.get(&versions.first()?.issuer));
    subscription.time_zone.or_else(|| Some(issuer?.time_zone)).unwrap_or(Tz::UTC)
}

impl Cuts {
    /// Those before an instant.
    pub(crate) fn of(registry: &Registry, catalog: &Catalog, partner_id: &PartnerId, until: DateTime<Utc>) -> Self {
        let mut cuts = Self { zones: Vec::new(), edges: BTreeSet::new(), known: BTreeMap::new() };
        for subscription in registry.subscriptions.values().filter(|one| one.partner_id == *partner_id) {
            let zone = zone_of(subscription, catalog);
            cuts.zones.push(zone);
            cuts.edges.insert(subscription.started_at);
            cuts.edges.extend(subscription.ended_at);
            // One whose periods are beyond the calendar is billed for none of them, which is told there.
            let walked = walk(catalog, subscription, zone, until).unwrap_or_default();
            cuts.edges.extend(walked.iter().flat_map(|period| [period.billed.start, period.billed.end]));
            let pauses = subscription.course.pauses.iter();
            cuts.edges.extend(pauses.flat_map(|pause| [Some(pause.from), pause.until].into_iter().flatten()));
        }
        cuts.edges.extend(registry.going_live.get(partner_id).map(|live| live.billing_starts_at));
        cuts
    }

    /// The cuts inside an hour.
    fn inside(&self, hour: Period) -> Vec<DateTime<Utc>> {
        let months = self.zones.iter().flat_map(|zone| {
            let month = Month::of(hour.start, *zone);
            let starts = [month, month.next(), month.next().next()].map(|month| month.period(*zone).ok());
            starts.into_iter().flatten().map(|month| month.start)
        });
        months.chain(self.edges.iter().copied()).filter(|cut| hour.start < *cut && *cut < hour.end).collect()
    }

    /// The slice of an instant.
    pub(crate) fn slice(&mut self, at: DateTime<Utc>) -> Period {
        let hour = hour_of(at);
        let hour = Period { start: hour, end: hour + TimeDelta::hours(1) };
        if !self.known.contains_key(&hour.start) {
            let cuts = self.inside(hour);
            self.known.insert(hour.start, cuts);
        }
        let cuts = self.known.get(&hour.start).into_iter().flatten();
        let before = cuts.clone().filter(|cut| **cut <= at).max();
        let after = cuts.filter(|cut| **cut > at).min();
        Period { start: *before.unwrap_or(&hour.start), end: *after.unwrap_or(&hour.end) }
    }
}

#[cfg(test)]
mod tests {
    use tollbook_schemas::period::{parse_instant, print_instant};

    use super::*;

    #[test]
    fn an_hour_is_cut_where_a_month_or_a_subscription_begins() {
        let instant = |text: &str| parse_instant(text).unwrap();
        let mut cuts = Cuts {
            known: BTreeMap::new(),
            zones: vec![Tz::Asia__Kathmandu, Tz::Europe__Berlin],
            edges: ["2026-06-10T12:34:56Z", "2026-06-10T12:40:00Z"].map(instant).into_iter().collect(),
        };
        for (at, start, end) in [
            ("2026-06-10T11:59:59.999999Z", "2026-06-10T11:00:00Z", "2026-06-10T12:00:00Z"),
            ("2026-06-10T12:00:00Z", "2026-06-10T12:00:00Z", "2026-06-10T12:34:56Z"),
            ("2026-06-10T12:34:56Z", "2026-06-10T12:34:56Z", "2026-06-10T12:40:00Z"),
            ("2026-06-10T12:59:00Z", "2026-06-10T12:40:00Z", "2026-06-10T13:00:00Z"),
            // Midnight in Kathmandu is 18:15 UTC.
            ("2026-06-30T18:14:00Z", "2026-06-30T18:00:00Z", "2026-06-30T18:15:00Z"),
            ("2026-06-30T18:15:00Z", "2026-06-30T18:15:00Z", "2026-06-30T19:00:00Z"),
            ("2026-06-30T22:10:00Z", "2026-06-30T22:00:00Z", "2026-06-30T23:00:00Z"),
        ] {
            let slice = cuts.slice(instant(at));
            assert_eq!((print_instant(slice.start).as_str(), print_instant(slice.end).as_str()), (start, end), "{at}");
        }
    }
}
