//! What of a partner's subscriptions no draft will be able to bill, seen before any month of it has ended. Pure.
//!
//! Takes registry and catalog, gives what would block the partner by the rules of drafting itself: the periods of the
//! schedule, the spans that are billed of them and their clashes. Whoever records an event asks before and after it,
//! and hears of a contradiction while somebody is there to mend it. Only periods that begin by the last thing that is
//! known of the partner are looked at: what a later version of a plan will be is nobody's mistake today.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::id::{PartnerId, SubscriptionId};
use tollbook_schemas::period::{Month, PeriodError, Tz};
use tollbook_schemas::registry::{Registry, Subscription};
use tollbook_schemas::schedule;

use super::advance::Bills;
use super::span::{self, Span};
use super::{DraftInput, TermsChanges, by_partner};
use crate::profile::Profiles;

/// Something that will block a partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreseen {
    /// Whom.
    pub partner_id: PartnerId,
    /// What kind of thing it is, and of which subscriptions: the same before and after its time has changed.
    pub of: (Kind, BTreeSet<SubscriptionId>),
    /// What is wrong, and how to mend it.
    pub what: String,
}

/// What kind of thing blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A period that nothing prices: no version, no zone, two contracts.
    Unpriced,
    /// One subscription on two documents of a month.
    TwoDocuments,
    /// Two subscriptions that bill the same meter for the same time.
    SameMeter,
}

/// What will block some partners.
#[must_use]
pub fn foreseen(catalog: &Catalog, registry: &Registry, partners: &BTreeSet<PartnerId>) -> Vec<Foreseen> {
    let (profiles, terms_changes) = (Profiles::default(), TermsChanges::new());
    let mut found = Vec::new();
    for (partner_id, subscriptions) in by_partner(registry).into_iter().filter(|(id, _)| partners.contains(*id)) {
        let last = last_known(registry, partner_id, &subscriptions);
        let input = DraftInput {
            month: Month::of(last, Tz::UTC),
            usage: &[],
            registry,
            catalog,
            profiles: &profiles,
            pin_json: "{}",
            as_of: last,
            terms_changes: &terms_changes,
        };
        let mut looking = Looking { input: &input, partner_id, found: Vec::new() };
        looking.at_all(&subscriptions, last);
        found.extend(looking.found);
    }
    found
}

/// The last instant that something is said of.
fn last_known(registry: &Registry, partner_id: &PartnerId, subscriptions: &[&Subscription]) -> DateTime<Utc> {
    let of_course = subscriptions.iter().flat_map(|one| one.course.endings.iter().map(|ending| ending.at));
    let of_ends = subscriptions.iter().filter_map(|one| one.ended_at);
    let of_starts = subscriptions.iter().map(|one| one.started_at);
    let goes_live = registry.going_live.get(partner_id).map(|live| live.billing_starts_at);
    of_starts.chain(of_ends).chain(of_course).chain(goes_live).max().unwrap_or(DateTime::UNIX_EPOCH)
}

struct Looking<'a> {
    input: &'a DraftInput<'a>,
    partner_id: &'a PartnerId,
    found: Vec<Foreseen>,
}

impl<'a> Looking<'a> {
    fn at_all(&mut self, subscriptions: &[&'a Subscription], last: DateTime<Utc>) {
        let mut spans: Vec<Span<'_>> = Vec::new();
        for subscription in subscriptions.iter().copied() {
            match self.spans_of(subscription, last) {
                Ok(of_one) => spans.extend(of_one),
                Err(what) => self.tell(Kind::Unpriced, [&subscription.subscription_id], what),
            }
        }
        spans.sort_by_key(|span| (span.billed.start, span.billed.end));
        for (index, one) in spans.iter().enumerate() {
            let own = &one.subscription.subscription_id;
            for other in spans[index + 1..].iter().take_while(|other| other.billed.start < one.billed.end) {
                let id = &other.subscription.subscription_id;
                // A subscription is on one plan at a time.
                if let (true, Err(what)) = (own != id, span::check_clash(one, other)) {
                    self.tell(Kind::SameMeter, [own, id], what);
                }
            }
            if let Some(next) = spans[index + 1..].iter().find(|next| next.subscription.subscription_id == *own) {
                self.on_two_documents(one, next);
            }
        }
    }

    /// Every period that begins by an instant, as if all of its prices were due.
    fn spans_of(&self, subscription: &'a Subscription, last: DateTime<Utc>) -> Result<Vec<Span<'a>>, String> {
        let zone = span::zone_of(self.input, subscription)?;
        let calendar = |error: PeriodError| format!("subscription {}: {error}", subscription.subscription_id);
        let month = self.input.month.period(zone).map_err(calendar)?;
        let until = last + TimeDelta::microseconds(1);
        let bills = Bills { usage: true, advance: true, once: true };
        let mut spans = Vec::new();
        for scheduled in schedule::periods(self.input.catalog, subscription, zone, until).map_err(calendar)? {
            spans.extend(span::span_at(self.input, subscription, (zone, month), &scheduled, bills)?);
        }
        Ok(spans)
    }

    /// A plan of another issuer or currency that is billed in the same month as the one before it.
    fn on_two_documents(&mut self, one: &Span<'a>, next: &Span<'a>) {
        if span::check_clash(one, next).is_ok() {
            return;
        }
        let zones = [one, next].map(|span| span::zone_of(self.input, span.subscription).ok());
        let ends = |at: DateTime<Utc>| at - TimeDelta::microseconds(1);
        let instants = [one.billed.start, ends(one.billed.end), next.billed.start, ends(next.billed.end)];
        let months: BTreeSet<Month> =
            zones.into_iter().flatten().flat_map(|zone| instants.map(|at| Month::of(at, zone))).collect();
        for month in months {
            let input = DraftInput { month, ..*self.input };
            let both = [one.subscription, next.subscription].map(|subscription| span::spans_of(&input, subscription));
            let both: Result<Vec<_>, String> = both.into_iter().collect();
            // What cannot be scheduled was told.
            let Ok(both) = both else { continue };
            if let Err(what) = span::check_overlaps(&both.into_iter().flatten().collect::<Vec<_>>()) {
                self.tell(Kind::TwoDocuments, [&one.subscription.subscription_id], what);
                return;
            }
        }
    }

    /// Once for a kind and its subscriptions.
    fn tell<const N: usize>(&mut self, kind: Kind, subscriptions: [&SubscriptionId; N], what: String) {
        let of = (kind, subscriptions.map(SubscriptionId::clone).into_iter().collect());
        if !self.found.iter().any(|told| told.of == of) {
            self.found.push(Foreseen { partner_id: self.partner_id.clone(), of, what });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::tests::{at, catalog, registry};
    use tollbook_schemas::registry::GoingLive;

    fn told(registry: &Registry) -> String {
        let partners = registry.partners.keys().cloned().collect();
        let found = foreseen(&catalog(), registry, &partners);
        found.iter().map(|one| format!("{:?}: {}", one.of.0, one.what)).collect::<Vec<_>>().join(" | ")
    }

    /// One row: a registry, and how what is foreseen begins; nothing where drafts will bill it.
    #[test]
    fn what_will_block_is_foreseen() {
        for (text, expected) in [
            ("acme pro 2026-01-01..", ""),
            ("acme pro 2026-01-01..2026-03-10; acme pro 2026-03-10..", ""),
            ("acme pro 2026-01-01..; acme seats 2026-02-01..; bolt pro 2026-02-01..", ""),
            ("acme pro 2026-01-01.. Europe/Berlin to_period=2026-02-10; acme pro 2026-02-28T23:00..", ""),
            (
                "acme pro 2026-01-01.. Europe/Berlin to_period=2026-02-10; acme pro 2026-02-20..",
                "SameMeter: subscriptions s1 and s2 would both bill meter calls for [2026-02-20T00:00:00Z, 2026-02-28T23:00:00Z)",
            ),
            (
                "acme pro 2026-01-01..; acme part 2026-05-10..",
                "SameMeter: subscriptions s1 and s2 would both bill meter calls for [2026-05-10T00:00:00Z",
            ),
            // Billed in other months, and the same calls all the same.
            (
                "acme quarter 2026-01-01..; acme pro 2026-01-20..2026-02-03",
                "SameMeter: subscriptions s1 and s2 would both bill meter calls",
            ),
            // One that is priced by a later version without calls.
            ("acme pro 2026-06-30T22:00..; acme part 2026-07-10..", ""),
            (
                "acme late 2026-01-01..",
                "Unpriced: plan late has no version in force at 2026-01-01 00:00:00 UTC, when subscription s1 begins to be \
                 billed; give a version an earlier effective_from",
            ),
            ("acme late 2026-08-01..", ""),
            (
                "acme s1:pro 2026-05-01..2026-06-10; acme s1:jp 2026-06-10..",
                "TwoDocuments: subscription s1 changes at 2026-06-10T00:00:00Z to a plan of another issuer or currency within",
            ),
            // Where a month ends, each has its own; of both zones.
            ("acme s1:pro 2026-05-01..2026-05-31T22:00 Europe/Berlin; acme s1:jp 2026-05-31T22:00.. Europe/Berlin", ""),
            // The plan itself moves: known only when it is near.
            ("acme moved 2026-01-01.. Europe/Berlin", ""),
            ("acme moved 2026-01-01..", "Unpriced: the versions of plan moved have issuers in different time zones"),
        ] {
            let found = told(&registry(text));
            assert!(found.starts_with(expected) && found.is_empty() == expected.is_empty(), "{text}: {found}");
            assert!(found.matches(": ").count() <= 2, "once: {found}");
        }
    }

    /// What another system bills is its own.
    #[test]
    fn what_was_billed_elsewhere_blocks_nothing() {
        let mut registry = registry("acme pro 2025-01-01..");
        assert!(told(&registry).starts_with("Unpriced: plan pro has no version in force at 2025-01-01"));
        let live = GoingLive { billing_starts_at: at("2026-02-28T23:00"), openings: Vec::new() };
        registry.going_live.insert(PartnerId::parse("acme").unwrap(), live);
        assert_eq!(told(&registry), "");
        // Openings are said after it, one by one.
        let live = GoingLive { billing_starts_at: at("2026-03-10"), openings: Vec::new() };
        registry.going_live.insert(PartnerId::parse("acme").unwrap(), live);
        assert_eq!(told(&registry), "");
    }
}
