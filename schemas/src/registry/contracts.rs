//! Contracts: signatures and their ends in, spans in which a partner has a contract out; and which one applies to a
//! subscription.
//!
//! `contract.signed` begins a span at its `effective_at`, else when it occurred; `contract.ended` ends it likewise.
//! Either may name a subscription: then the contract is of this one alone, else of every subscription of the partner to
//! the contract's plan. An end that names none ends all of the partner's spans of that contract. Signing what runs
//! already says nothing new. The terms themselves, and their begin and end, stand in the catalog.
//!
//! A signature or an end that cannot be read leaves open what the partner owes, and blocks until an event of the same
//! partner that can be read, and that did not occur before it, puts it right. An end of nothing is told and ends
//! nothing.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{Concern, Folding, NoInstant, Position, Subscription, instant_of};
use crate::catalog::{Catalog, ContractVersion};
use crate::id::{ContractId, PartnerId, SubscriptionId};
use crate::lifecycle::LifecycleEvent;

/// A span of time in which a partner has a contract.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedContract {
    /// Who signed it.
    pub partner_id: PartnerId,
    /// Contract of the catalog.
    pub contract_id: ContractId,
    /// The only subscription that it is of; all of the partner's where it is `None`.
    pub subscription_id: Option<SubscriptionId>,
    /// First instant.
    pub signed_at: DateTime<Utc>,
    /// First instant after it.
    pub ended_at: Option<DateTime<Utc>>,
}

/// The contract that a subscription is billed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce<'a> {
    /// Its id.
    pub contract_id: &'a ContractId,
    /// Its terms.
    pub version: &'a ContractVersion,
}

/// Why nobody can say which contract applies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// The catalog does not have it.
    #[error(
        "contract {contract_id} was signed, and the catalog does not have it; add it, or record contract.ended of it at \
         the instant of its signature"
    )]
    Unknown {
        /// What was signed.
        contract_id: ContractId,
    },
    /// Several apply.
    #[error(
        "contracts {} all apply to subscription {subscription_id}; end all but one with contract.ended, or let one name \
         the subscription",
        contracts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    Several {
        /// Of which.
        subscription_id: SubscriptionId,
        /// Which ones.
        contracts: BTreeSet<ContractId>,
    },
}

/// The contract that a subscription is billed by at an instant: one that its partner has signed by then, whose term
/// holds, and that is of its plan. One that names the subscription goes before those that name none.
///
/// # Errors
/// [`ContractError`].
pub fn contract_in_force<'a>(
    signed: &'a [SignedContract],
    catalog: &'a Catalog,
    subscription: &Subscription,
    at: DateTime<Utc>,
) -> Result<Option<InForce<'a>>, ContractError> {
    let id = &subscription.subscription_id;
    let is_meant = |contract: &&SignedContract| {
        contract.partner_id == subscription.partner_id
            && contract.subscription_id.as_ref().is_none_or(|own| own == id)
            && contract.signed_at <= at
            && contract.ended_at.is_none_or(|ended| at < ended)
    };
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for contract in signed.iter().filter(is_meant) {
        let contract_id = &contract.contract_id;
        if !catalog.contracts.contains_key(contract_id) {
            return Err(ContractError::Unknown { contract_id: contract_id.clone() });
        }
        let Some(version) = catalog.contract_at(contract_id, at) else { continue };
        if version.plan == subscription.plan_id {
            let rank = if contract.subscription_id.is_some() { &mut named } else { &mut others };
            rank.push(InForce { contract_id, version });
        }
    }
    let applies = if named.is_empty() { others } else { named };
    let contracts: BTreeSet<ContractId> = applies.iter().map(|one| one.contract_id.clone()).collect();
    if contracts.len() > 1 {
        return Err(ContractError::Several { subscription_id: id.clone(), contracts });
    }
    Ok(applies.first().copied())
}

/// What was said of contracts, in the order of the fold.
#[derive(Default)]
pub(super) struct Signatures {
    said: Vec<Signature>,
    unusable: Vec<Unusable>,
}

struct Signature {
    position: Position,
    partner_id: PartnerId,
    contract_id: ContractId,
    subscription_id: Option<SubscriptionId>,
    /// From when it holds.
    at: DateTime<Utc>,
    said_at: DateTime<Utc>,
    is_end: bool,
}

struct Unusable {
    finding: usize,
    partner_id: PartnerId,
    said_at: DateTime<Utc>,
    /// How many had been said before.
    place: usize,
}

impl Folding {
    pub(super) fn sign(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) {
        let contract_id = event.text("contract_id").map(ContractId::parse);
        let subscription_id = event.text("subscription_id").map(SubscriptionId::parse).transpose();
        let is_wrong = !event.wrong_fields().is_empty();
        let (contract_id, subscription_id, at) = match (contract_id, subscription_id, instant_of(event, "effective_at"))
        {
            (Some(Ok(contract_id)), Ok(subscription_id), Ok(at)) if !is_wrong => (contract_id, subscription_id, at),
            (.., Err(NoInstant)) => return self.unusable_signature(position, event, partner_id, "effective_at"),
            (_, Err(_), _) => return self.unusable_signature(position, event, partner_id, "subscription_id"),
            _ => return self.unusable_signature(position, event, partner_id, "contract_id"),
        };
        self.signatures.said.push(Signature {
            position: position.clone(),
            partner_id: partner_id.clone(),
            contract_id,
            subscription_id,
            at: at.unwrap_or(event.occurred_at),
            said_at: event.occurred_at,
            is_end: event.event_type == "contract.ended",
        });
    }

    fn unusable_signature(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId, field: &str) {
        let what = format!("{}: {field} is missing or not valid", event.event_type);
        self.find(position, partner_id, Concern::Subscription, what);
        self.signatures.unusable.push(Unusable {
            finding: self.registry.findings.len() - 1,
            partner_id: partner_id.clone(),
            said_at: event.occurred_at,
            place: self.signatures.said.len(),
        });
    }

    /// Gives the spans to the registry.
    pub(super) fn conclude_contracts(&mut self) {
        let Signatures { mut said, unusable } = std::mem::take(&mut self.signatures);
        for Unusable { finding, partner_id, said_at, place } in unusable {
            let mends = |later: &Signature| later.partner_id == partner_id && later.said_at >= said_at;
            let is_mended = said.iter().skip(place).any(mends);
            if let Some(finding) = self.registry.findings.get_mut(finding).filter(|_| is_mended) {
                finding.concern = Concern::SettledSubscription;
            }
        }
        // Of one instant in the order in which it was said.
        said.sort_by_key(|signature| signature.at);
        let mut spans: Vec<SignedContract> = Vec::new();
        for Signature { position, partner_id, contract_id, subscription_id, at, is_end, .. } in said {
            let is_same = |span: &SignedContract| {
                span.partner_id == partner_id && span.contract_id == contract_id && span.ended_at.is_none()
            };
            if is_end {
                let is_meant = |span: &SignedContract| {
                    is_same(span) && (subscription_id.is_none() || span.subscription_id == subscription_id)
                };
                let mut running = spans.iter_mut().filter(|span| is_meant(span)).peekable();
                if running.peek().is_none() {
                    let what = format!("contract.ended: {contract_id} is no running contract of the partner");
                    self.find(&position, &partner_id, Concern::Cancellation, what);
                    continue;
                }
                running.for_each(|span| span.ended_at = Some(at));
            } else if !spans.iter().any(|span| is_same(span) && span.subscription_id == subscription_id) {
                spans.push(SignedContract { partner_id, contract_id, subscription_id, signed_at: at, ended_at: None });
            }
        }
        spans.retain(|span| span.ended_at != Some(span.signed_at));
        spans.sort();
        self.registry.contracts = spans;
    }
}

#[cfg(test)]
mod tests;
