//! Going live beside another system: from when on a partner is billed here, and what the other system had billed of the
//! period that runs then.
//!
//! `billing.started` says from when (`billing_starts_at`); of several the last one holds. `opening.recorded` says of
//! one subscription and one meter (or one flat price) how much of the period that holds `billing_starts_at` the other
//! system has billed, 0 too; of several of the same thing the last one holds. Both are about the past as much as about
//! the future, so neither is dated by anything but what it says.
//!
//! One that cannot be read, an opening without a start, or of a subscription that is not the partner's, leaves open
//! what the partner owes. It blocks until a later event of the same partner and type, which can be read, puts it right.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::course::quantity_of;
use super::{Concern, Folding, Position, instant_of};
use crate::decimal::Decimal;
use crate::id::{MeterId, PartnerId, PriceId, SubscriptionId};
use crate::lifecycle::LifecycleEvent;

/// From when on a partner is billed here, and what was billed elsewhere of the period that runs then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoingLive {
    /// First instant that is billed here.
    pub billing_starts_at: DateTime<Utc>,
    /// What was billed elsewhere, by subscription, thing and dimensions.
    pub openings: Vec<Opening>,
}

/// What another system billed of the period that holds the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Of which subscription.
    pub subscription_id: SubscriptionId,
    /// Of what.
    pub of: OpeningOf,
    /// The values of the meter's dimensions, where it is of one combination alone.
    pub dimensions: BTreeMap<String, String>,
    /// How much, in the meter's unit; of a flat price how many units of it, each for the whole period.
    pub quantity: Decimal,
    /// How many events it is of, where the price asks.
    pub event_count: Option<u32>,
}

/// What an opening is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpeningOf {
    /// A meter, and so every price that it feeds.
    Meter(MeterId),
    /// A flat price.
    Price(PriceId),
}

/// What makes two openings the same.
type Key = (PartnerId, SubscriptionId, OpeningOf, BTreeMap<String, String>);

/// What was said, in the order of the fold.
#[derive(Debug, Default)]
pub(super) struct Beside {
    starts: BTreeMap<PartnerId, (Position, DateTime<Utc>)>,
    openings: BTreeMap<Key, (Position, Opening)>,
    /// Findings of what could not be read: by partner and type, so that what is said later mends them.
    unusable: BTreeMap<(PartnerId, &'static str), Vec<usize>>,
}

const STARTED: &str = "billing.started";
const OPENING: &str = "opening.recorded";

/// What an event says, or which field cannot be used.
fn opening_of(event: &LifecycleEvent) -> Result<Opening, &'static str> {
    if let Some(wrong) = event.wrong_fields().first() {
        return Err(wrong.field);
    }
    let of = match (event.text("meter_id"), event.text("price_id")) {
        (Some(meter), None) => OpeningOf::Meter(MeterId::parse(meter).map_err(|_| "meter_id")?),
        (None, Some(price)) => OpeningOf::Price(PriceId::parse(price).map_err(|_| "price_id")?),
        _ => return Err("meter_id"),
    };
    let subscription_id = event.text("subscription_id").and_then(|id| SubscriptionId::parse(id).ok());
    let dimensions = match event.data.get("dimensions") {
        Some(Value::Object(values)) => {
            let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
            values.iter().map(text).collect::<Option<_>>().ok_or("dimensions")?
        }
        _ => BTreeMap::new(),
    };
    let event_count = event.data.get("event_count").and_then(Value::as_u64).map(u32::try_from).transpose();
    Ok(Opening {
        subscription_id: subscription_id.ok_or("subscription_id")?,
        of,
        dimensions,
        quantity: quantity_of(event)?.ok_or("quantity")?,
        event_count: event_count.map_err(|_| "event_count")?,
    })
}

impl Folding {
    pub(super) fn start_billing(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) {
        match instant_of(event, "billing_starts_at") {
            Ok(Some(at)) => {
                self.beside.starts.insert(partner_id.clone(), (position.clone(), at));
                self.mend(partner_id, STARTED);
            }
            _ => self.unusable(position, partner_id, STARTED, "billing_starts_at"),
        }
    }

    pub(super) fn open(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) {
        match opening_of(event) {
            Ok(opening) => {
                let Opening { subscription_id, of, dimensions, .. } = opening.clone();
                let key = (partner_id.clone(), subscription_id, of, dimensions);
                self.beside.openings.insert(key, (position.clone(), opening));
                self.mend(partner_id, OPENING);
            }
            Err(field) => self.unusable(position, partner_id, OPENING, field),
        }
    }

    fn unusable(&mut self, position: &Position, partner_id: &PartnerId, event_type: &'static str, field: &str) {
        self.find(
            position,
            partner_id,
            Concern::Subscription,
            format!("{event_type}: {field} is missing or not valid"),
        );
        let finding = self.registry.findings.len() - 1;
        self.beside.unusable.entry((partner_id.clone(), event_type)).or_default().push(finding);
    }

    fn mend(&mut self, partner_id: &PartnerId, event_type: &'static str) {
        for finding in self.beside.unusable.remove(&(partner_id.clone(), event_type)).unwrap_or_default() {
            if let Some(finding) = self.registry.findings.get_mut(finding) {
                finding.concern = Concern::SettledSubscription;
            }
        }
    }

    /// Gives what is known to the registry. To be called when every subscription is.
    pub(super) fn conclude_going_live(&mut self) {
        let Beside { starts, openings, .. } = std::mem::take(&mut self.beside);
        let mut live: BTreeMap<PartnerId, GoingLive> = starts
            .into_iter()
            .map(|(partner_id, (_, at))| (partner_id, GoingLive { billing_starts_at: at, openings: Vec::new() }))
            .collect();
        for ((partner_id, ..), (position, opening)) in openings {
            let id = &opening.subscription_id;
            let first = self.registry.subscriptions.range((id.clone(), DateTime::<Utc>::MIN_UTC)..).next();
            let owns = first.is_some_and(|(_, own)| own.subscription_id == *id && own.partner_id == partner_id);
            let what = match live.get_mut(&partner_id) {
                Some(live) if owns => {
                    live.openings.push(opening);
                    continue;
                }
                Some(_) => format!("{OPENING}: {id} is no subscription of the partner"),
                None => {
                    format!("{OPENING}: no {STARTED} says from when on the partner is billed here; record it first")
                }
            };
            // What nobody billed elsewhere changes nothing.
            let concern =
                if opening.quantity == Decimal::ZERO { Concern::SettledSubscription } else { Concern::Subscription };
            self.find(&position, &partner_id, concern, what);
        }
        self.registry.going_live = live;
    }
}

#[cfg(test)]
mod tests;
