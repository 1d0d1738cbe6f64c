//! Prepaid credits that partners were granted, from events.
//!
//! `credit.granted` says how much, by whose invoices it is used, what the customer reads, and until when;
//! `credit.voided` takes back what is left of it, for documents whose period ends later. The same again is the same;
//! the same id with other content is a contradiction, and so is one that cannot be read: nobody can say what the
//! partner owes until that id is voided. How much is left is nowhere kept: it is the amount less what issued documents
//! used of it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Concern, Folding, Position, instant_of};
use crate::decimal::Decimal;
use crate::id::{CreditId, IssuerId, PartnerId};
use crate::lifecycle::LifecycleEvent;
use crate::money::{Currency, Money};

/// A credit that somebody granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Id.
    pub credit_id: CreditId,
    /// Whose invoices it pays.
    pub partner_id: PartnerId,
    /// The issuer whose invoices it pays.
    pub issuer_id: IssuerId,
    /// How much: above 0.
    pub amount: Money,
    /// What the customer reads.
    pub description: String,
    /// Smaller is used first.
    pub priority: i64,
    /// From when it may be used.
    pub granted_at: DateTime<Utc>,
    /// First instant at which it cannot be used any more.
    pub expires_at: Option<DateTime<Utc>>,
    /// First instant at which what is left was taken back.
    pub voided_at: Option<DateTime<Utc>>,
}

impl Grant {
    /// Whether a document may use it whose period ends at an instant: what ends with its expiry may.
    #[must_use]
    pub fn is_usable(&self, period_end: DateTime<Utc>) -> bool {
        self.granted_at < period_end && [self.expires_at, self.voided_at].iter().flatten().all(|end| period_end <= *end)
    }
}

/// What was said, until all of it is known.
#[derive(Debug, Default)]
pub(super) struct Credits {
    granted: BTreeMap<CreditId, Grant>,
    voided: Vec<(Position, PartnerId, CreditId, DateTime<Utc>)>,
    /// What blocks its partner, unless the credit is voided.
    wrong: Vec<(Position, PartnerId, Option<CreditId>, String)>,
}

/// What an event says, or what of it cannot be used.
fn read(event: &LifecycleEvent, partner_id: &PartnerId) -> Result<Grant, &'static str> {
    let text = |field| event.text(field).ok_or(field);
    let instant = |field| instant_of(event, field).map_err(|_| field);
    let currency = Currency::parse(text("currency")?).map_err(|_| "currency")?;
    let amount: Decimal = text("amount")?.parse().map_err(|_| "amount")?;
    let amount = Money::exact(amount, currency).map_err(|_| "amount")?;
    if amount.minor <= 0 {
        return Err("amount");
    }
    let priority = match event.data.get("priority") {
        None | Some(Value::Null) => 0,
        Some(priority) => priority.as_i64().ok_or("priority")?,
    };
    Ok(Grant {
        credit_id: CreditId::parse(text("credit_id")?).map_err(|_| "credit_id")?,
        partner_id: partner_id.clone(),
        issuer_id: IssuerId::parse(text("issuer_id")?).map_err(|_| "issuer_id")?,
        amount,
        description: text("description")?.to_owned(),
        priority,
        granted_at: instant("effective_at")?.unwrap_or(event.occurred_at),
        expires_at: instant("expires_at")?,
        voided_at: None,
    })
}

fn id_of(event: &LifecycleEvent) -> Option<CreditId> {
    event.text("credit_id").and_then(|id| CreditId::parse(id).ok())
}

impl Folding {
    pub(super) fn grant(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) {
        let wrong = |id, what| (position.clone(), partner_id.clone(), id, what);
        let grant = match read(event, partner_id) {
            Ok(grant) => grant,
            Err(field) => {
                let what = format!("credit.granted: {field} is missing or wrong");
                return self.credits.wrong.push(wrong(id_of(event), what));
            }
        };
        let id = grant.credit_id.clone();
        match self.credits.granted.get(&id) {
            None => {
                self.credits.granted.insert(id, grant);
            }
            Some(known) if *known == grant => self.registry.duplicate_count += 1,
            Some(_) => {
                let what = format!("credit.granted: {id} was granted before, with other content or to somebody else");
                self.credits.wrong.push(wrong(Some(id), what));
            }
        }
    }

    pub(super) fn void_credit(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) {
        match (id_of(event), instant_of(event, "effective_at")) {
            (Some(id), Ok(at)) => {
                let at = at.unwrap_or(event.occurred_at);
                self.credits.voided.push((position.clone(), partner_id.clone(), id, at));
            }
            (id, _) => {
                let field = if id.is_some() { "effective_at" } else { "credit_id" };
                let what = format!("credit.voided: {field} is missing or wrong");
                self.find(position, partner_id, Concern::Partner, what);
            }
        }
    }

    /// Takes back what was voided, tells what contradicts itself, and gives the rest to the registry.
    pub(super) fn conclude_credits(&mut self) {
        let Credits { mut granted, voided, wrong } = std::mem::take(&mut self.credits);
        for (position, partner_id, id, at) in &voided {
            let is_wrong =
                wrong.iter().any(|(_, partner, wrong_id, _)| partner == partner_id && wrong_id.as_ref() == Some(id));
            match granted.get_mut(id).filter(|grant| grant.partner_id == *partner_id) {
                Some(grant) => grant.voided_at = Some(grant.voided_at.map_or(*at, |before| before.min(*at))),
                None if is_wrong => {}
                None => {
                    let what = format!("credit.voided: {id} was never granted to the partner");
                    self.find(position, partner_id, Concern::Partner, what);
                }
            }
        }
        for (position, partner_id, id, what) in wrong {
            let is_voided = voided.iter().any(|(_, by, other, _)| *by == partner_id && id.as_ref() == Some(other));
            let concern = if is_voided { Concern::Partner } else { Concern::Adjustment };
            self.find(&position, &partner_id, concern, what);
        }
        self.registry.credits = granted;
    }
}

#[cfg(test)]
mod tests;
