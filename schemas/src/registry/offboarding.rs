//! Offboarding: events in, the spans of time in which a partner is gone out, and what they do to its subscriptions.
//!
//! Offboarding ends what runs at its instant (`effective_at`, else when it occurred), as a cancellation there would, so
//! there is a last bill for the part until then and none after. Reactivation starts nothing again by itself: what the
//! partner is sold from then on, a new start says. A reactivation that holds from no later than the offboarding takes
//! it back: the subscriptions run on. Of several offboardings without a reactivation between them the earliest holds.
//!
//! A subscription that starts while its partner is gone is a contradiction, and blocks until one of the two is taken
//! back.

use chrono::{DateTime, Utc};

use super::{Concern, Folding, Position, instant_of};
use crate::id::PartnerId;
use crate::lifecycle::LifecycleEvent;
use crate::period::print_instant;

/// A span of time in which a partner is gone.
#[derive(Debug)]
pub(super) struct Offboarding {
    from: DateTime<Utc>,
    /// Reactivation.
    until: Option<DateTime<Utc>>,
    /// When it was said, which may be before it holds.
    said_at: DateTime<Utc>,
    /// The finding that its instant cannot be read, if it is so.
    finding: Option<usize>,
}

/// Where the instant cannot be read, the event's own time stands for it; the finding says so.
fn holds_from(event: &LifecycleEvent) -> DateTime<Utc> {
    instant_of(event, "effective_at").ok().flatten().unwrap_or(event.occurred_at)
}

impl Folding {
    /// `finding` is that of a field that cannot be read.
    pub(super) fn offboard(&mut self, event: &LifecycleEvent, partner_id: &PartnerId, finding: Option<usize>) {
        let from = holds_from(event);
        let spans = self.offboardings.entry(partner_id.clone()).or_default();
        match spans.last_mut().filter(|span| span.until.is_none()) {
            Some(gone) => {
                if from < gone.from {
                    (gone.from, gone.said_at) = (from, event.occurred_at);
                }
                gone.finding = gone.finding.or(finding);
            }
            None => spans.push(Offboarding { from, until: None, said_at: event.occurred_at, finding }),
        }
        self.note_whether_gone(partner_id);
    }

    pub(super) fn reactivate(&mut self, event: &LifecycleEvent, partner_id: &PartnerId) {
        let until = holds_from(event);
        let spans = self.offboardings.entry(partner_id.clone()).or_default();
        let Some(gone) = spans.last_mut().filter(|span| span.until.is_none()) else { return };
        if gone.from < until {
            gone.until = Some(until);
        } else if let Some(taken_back) = spans.pop()
            && let Some(finding) = taken_back.finding.and_then(|at| self.registry.findings.get_mut(at))
        {
            finding.concern = Concern::SettledSubscription;
        }
        self.note_whether_gone(partner_id);
    }

    fn note_whether_gone(&mut self, partner_id: &PartnerId) {
        let last = self.offboardings.get(partner_id).and_then(|spans| spans.last());
        let gone_from = last.filter(|span| span.until.is_none()).map(|span| span.from);
        if let Some(partner) = self.registry.partners.get_mut(partner_id) {
            partner.offboarded_at = gone_from;
        }
    }

    /// Ends what runs where its partner leaves; tells what starts while it is gone. To be called when cancellations are
    /// applied, and changes are not: of a change after the end somebody must say what was meant.
    pub(super) fn end_offboarded(&mut self) {
        let mut found: Vec<(Position, PartnerId, String)> = Vec::new();
        for started in self.terms.started.values_mut() {
            let (id, starts) = (&started.subscription_id, started.started_at);
            for gone in self.offboardings.get(&started.partner_id).into_iter().flatten() {
                if starts < gone.from && started.ended_at.is_none_or(|ended| gone.from < ended) {
                    started.ended_at = Some(gone.from);
                    self.terms.ends_said.insert(id.clone(), gone.said_at);
                }
                let is_gone = gone.from <= starts && gone.until.is_none_or(|until| starts < until);
                let position = self.terms.starts.get(id).and_then(|starts| starts.first());
                if let Some(position) = position.filter(|_| is_gone && started.ended_at != Some(starts)) {
                    let what = format!(
                        "subscription {id} starts at {}, while the partner is offboarded (from {}): record reactivated at \
                         that instant or before, or subscription.cancelled of {id} at that instant",
                        print_instant(starts),
                        print_instant(gone.from)
                    );
                    found.push((position.clone(), started.partner_id.clone(), what));
                    break;
                }
            }
        }
        for (position, partner_id, what) in found {
            self.find(&position, &partner_id, Concern::Subscription, what);
        }
    }
}
