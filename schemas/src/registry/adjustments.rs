//! Lines made by hand: what staff charges or credits beside what is metered, and takes back.
//!
//! `adjustment.made` says for which month, by which issuer, how much, what the customer reads, and why; the event says
//! who. `adjustment.revoked` takes one back, for good: what is meant after that is said under another id. The order of
//! the two does not matter. The same again is the same; the same id with other content is a contradiction, and so is
//! one that cannot be read: nobody can say what the partner owes until it is revoked.

use std::collections::BTreeMap;

use super::{Concern, Folding, Position};
use crate::actor::Actor;
use crate::decimal::Decimal;
use crate::id::{AdjustmentId, IssuerId, PartnerId};
use crate::lifecycle::LifecycleEvent;
use crate::money::{Currency, Money};
use crate::period::Month;

/// A charge or credit that somebody made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandMade {
    /// Id.
    pub adjustment_id: AdjustmentId,
    /// Partner that is charged; credited where the amount is below 0.
    pub partner_id: PartnerId,
    /// Month that it belongs to.
    pub month: Month,
    /// Who issues it.
    pub issuer_id: IssuerId,
    /// How much: never 0.
    pub amount: Money,
    /// What the customer reads.
    pub description: String,
    /// Why: for staff, not for the customer.
    pub reason: String,
    /// Who made it.
    pub actor: Actor,
    /// Number of the issued invoice that a credit is about: it is given by a credit note of that invoice.
    pub for_invoice: Option<String>,
    /// Who took it back, where somebody did: nothing is owed for it.
    pub revoked: Option<Revoked>,
}

/// That somebody took back what was made; of several who did, the one who was read first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// Who; none where the event does not say it.
    pub actor: Option<Actor>,
    /// Why, for staff.
    pub reason: Option<String>,
}

impl HandMade {
    /// Whether it was taken back.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.revoked.is_some()
    }

    /// Who answers for what is billed of it, and why: whoever took it back, where somebody did and is known.
    #[must_use]
    pub fn answered_by(&self) -> (&Actor, &str) {
        let revoked = self.revoked.as_ref();
        let actor = revoked.and_then(|revoked| revoked.actor.as_ref()).unwrap_or(&self.actor);
        let reason = revoked.and_then(|revoked| revoked.reason.as_deref()).unwrap_or(&self.reason);
        (actor, reason)
    }
}

/// What was said, until all of it is known.
#[derive(Debug, Default)]
pub(super) struct Adjustments {
    made: BTreeMap<AdjustmentId, (Position, HandMade)>,
    /// Of which partner each was revoked, and by whom.
    revoked: BTreeMap<AdjustmentId, Vec<(Position, PartnerId, Revoked)>>,
    /// What blocks its partner, unless the adjustment is revoked.
    wrong: Vec<(Position, PartnerId, Option<AdjustmentId>, String)>,
}

/// What an event says, or what of it cannot be used.
fn read(event: &LifecycleEvent, partner_id: &PartnerId) -> Result<HandMade, &'static str> {
    let text = |field| event.text(field).ok_or(field);
    let currency = Currency::parse(text("currency")?).map_err(|_| "currency")?;
    let amount: Decimal = text("amount")?.parse().map_err(|_| "amount")?;
    let amount = Money::exact(amount, currency).map_err(|_| "amount")?;
    if amount.minor == 0 {
        return Err("amount");
    }
    Ok(HandMade {
        adjustment_id: AdjustmentId::parse(text("adjustment_id")?).map_err(|_| "adjustment_id")?,
        partner_id: partner_id.clone(),
        month: text("month")?.parse().map_err(|_| "month")?,
        issuer_id: IssuerId::parse(text("issuer_id")?).map_err(|_| "issuer_id")?,
        amount,
        description: text("description")?.to_owned(),
        reason: text("reason")?.to_owned(),
        actor: event.actor.as_deref().and_then(|actor| Actor::parse(actor).ok()).ok_or("actor")?,
        for_invoice: event.text("for_invoice").map(str::to_owned),
        revoked: None,
    })
}

fn id_of(event: &LifecycleEvent) -> Option<AdjustmentId> {
    event.text("adjustment_id").and_then(|id| AdjustmentId::parse(id).ok())
}

impl Folding {
    pub(super) fn make_adjustment(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) {
        let wrong = |id, what| (position.clone(), partner_id.clone(), id, what);
        let made = match read(event, partner_id) {
            Ok(made) => made,
            Err(field) => {
                let what = format!("adjustment.made: {field} is missing or wrong");
                return self.adjustments.wrong.push(wrong(id_of(event), what));
            }
        };
        let id = made.adjustment_id.clone();
        match self.adjustments.made.get(&id) {
            None => {
                self.adjustments.made.insert(id, (position.clone(), made));
            }
            Some((_, known)) if *known == made => self.registry.duplicate_count += 1,
            Some(_) => {
                let what = format!("adjustment.made: {id} was made before, with other content or by somebody else");
                self.adjustments.wrong.push(wrong(Some(id), what));
            }
        }
    }

    pub(super) fn revoke_adjustment(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) {
        match id_of(event) {
            Some(id) => {
                let actor = event.actor.as_deref().and_then(|actor| Actor::parse(actor).ok());
                let revoked = Revoked { actor, reason: event.text("reason").map(str::to_owned) };
                let revocations = self.adjustments.revoked.entry(id).or_default();
                revocations.push((position.clone(), partner_id.clone(), revoked));
            }
            None => {
                let what = "adjustment.revoked: adjustment_id is missing or wrong".to_owned();
                self.find(position, partner_id, Concern::Partner, what);
            }
        }
    }

    /// Takes back what was revoked, tells what contradicts itself, and gives the rest to the registry.
    pub(super) fn conclude_adjustments(&mut self) {
        let Adjustments { mut made, mut revoked, wrong } = std::mem::take(&mut self.adjustments);
        for (id, revocations) in &mut revoked {
            revocations.sort_by(|(one, ..), (other, ..)| one.cmp(other));
            let is_wrong = |owner: &PartnerId| {
                wrong.iter().any(|(_, partner, wrong_id, _)| partner == owner && wrong_id.as_ref() == Some(id))
            };
            for (position, partner_id, by) in &*revocations {
                match made.get_mut(id).filter(|(_, made)| made.partner_id == *partner_id) {
                    Some((_, made)) => {
                        made.revoked.get_or_insert_with(|| by.clone());
                    }
                    None if is_wrong(partner_id) => {}
                    None => {
                        let what = format!("adjustment.revoked: {id} was never made for the partner");
                        self.find(position, partner_id, Concern::Partner, what);
                    }
                }
            }
        }
        for (position, partner_id, id, what) in wrong {
            let is_revoked = id.as_ref().and_then(|id| revoked.get(id)).into_iter().flatten();
            let is_revoked = is_revoked.into_iter().any(|(_, by, _)| *by == partner_id);
            let concern = if is_revoked { Concern::Partner } else { Concern::Adjustment };
            self.find(&position, &partner_id, concern, what);
        }
        self.registry.adjustments = made.into_iter().map(|(id, (_, made))| (id, made)).collect();
    }
}

#[cfg(test)]
mod tests;
