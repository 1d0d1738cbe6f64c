//! The order of events, and what was said before: the events of a lake in, those that say something new out, in the
//! order in which they are folded.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::Position;
use super::claims::credential_hashes;
use crate::id::PartnerId;
use crate::lifecycle::LifecycleEvent;

/// Source of what a person records. Of one instant it is folded behind every other source: it corrects them, whatever
/// their names and whenever they arrive.
pub const RECORD: &str = "/tollbook/record";

/// The events that say something new, in order; the rest are deliveries of these.
pub(super) fn in_order(events: &[(Position, LifecycleEvent)]) -> Vec<(&Position, &LifecycleEvent)> {
    let mut ordered: Vec<_> = events.iter().map(|(position, event)| (position, event)).collect();
    ordered.sort_by_cached_key(|(position, event)| {
        (event.occurred_at, position.source.as_str() == RECORD, (*position).clone())
    });
    let mut delivered = BTreeSet::new();
    let mut said = Said::default();
    ordered.retain(|(_, event)| delivered.insert((&event.source, &event.id)) && said.is_new(event));
    ordered
}

/// Whether an event, folded behind all that is known, would say again what was said last of its thing and instant;
/// `None` where the fold does not know its type, so that two may be two.
#[must_use]
pub fn is_said(known: &[(Position, LifecycleEvent)], event: &LifecycleEvent) -> Option<bool> {
    if matters(event).is_empty() {
        return None;
    }
    let mut said = Said::default();
    for (_, known) in in_order(known) {
        said.is_new(known);
    }
    Some(!said.is_new(event))
}

/// What an event changes. Changes of one matter and instant follow each other, and the last one wins.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Matter {
    Registration,
    Offboarding,
    Link { system: String, external_id: String },
    Credential(String),
    Subscription(String),
    Contract { contract_id: String, subscription_id: String },
    BillingStart,
    Payer,
    Opening { subscription_id: String, of: String, dimensions: String },
    Coupon { coupon_id: String, subscription_id: String },
}

/// What the event changes; nothing where the fold only counts it.
fn matters(event: &LifecycleEvent) -> Vec<Matter> {
    let text = |field| event.text(field).unwrap_or_default().to_owned();
    match event.event_type.as_str() {
        "registered" => vec![Matter::Registration],
        "offboarded" | "reactivated" => vec![Matter::Offboarding],
        "identity.linked" | "identity.unlinked" => {
            vec![Matter::Link { system: text("system"), external_id: text("external_id") }]
        }
        "credential.issued" | "credential.revoked" => {
            credential_hashes(event).into_iter().map(Matter::Credential).collect()
        }
        "subscription.started"
        | "subscription.changed"
        | "subscription.cancelled"
        | "subscription.paused"
        | "subscription.resumed"
        | "subscription.renewed" => vec![Matter::Subscription(text("subscription_id"))],
        "contract.signed" | "contract.ended" => {
            vec![Matter::Contract { contract_id: text("contract_id"), subscription_id: text("subscription_id") }]
        }
        "payer.named" | "payer.ended" => vec![Matter::Payer],
        "billing.started" => vec![Matter::BillingStart],
        "opening.recorded" => {
            let of = format!("{} {}", text("meter_id"), text("price_id"));
            let dimensions = event.data.get("dimensions").map(ToString::to_string).unwrap_or_default();
            vec![Matter::Opening { subscription_id: text("subscription_id"), of, dimensions }]
        }
        "coupon.redeemed" | "coupon.withdrawn" => {
            vec![Matter::Coupon { coupon_id: text("coupon_id"), subscription_id: text("subscription_id") }]
        }
        _ => Vec::new(),
    }
}

/// What was said last of each matter, by partner and instant: type and data, whatever the id.
#[derive(Default)]
struct Said(BTreeMap<About, (String, String)>);

/// Whose, when, and what thing.
type About = (Option<PartnerId>, DateTime<Utc>, Matter);

impl Said {
    /// Notes what an event says; `false` where it was what was said last. What was taken back in between is said anew.
    fn is_new(&mut self, event: &LifecycleEvent) -> bool {
        let matters = matters(event);
        // Two calls of one instant may be two.
        let mut is_new = matters.is_empty();
        let statement = (event.event_type.clone(), event.data_json());
        for matter in matters {
            let key = (event.partner_id.clone(), event.occurred_at, matter);
            is_new |= self.0.insert(key, statement.clone()).as_ref() != Some(&statement);
        }
        is_new
    }
}
