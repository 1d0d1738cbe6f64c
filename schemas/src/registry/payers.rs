//! Paying partners: who pays for whom from when, out of what was said.
//!
//! `payer.named` says that `payer_id` pays for the event's partner from its instant on (`effective_at`, else when it
//! occurred), and takes the place of whoever was named before; `payer.ended` says that the partner pays for itself
//! again. Who pays for another pays for itself: a payer that has a payer at the same time, or itself, is a
//! contradiction, and so is one that nobody knows. It blocks the partner that is paid for until it is put right.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{Concern, Folding, Position, Registry, instant_of};
use crate::id::PartnerId;
use crate::lifecycle::LifecycleEvent;
use crate::period::{Period, print_instant};

/// Who pays for one partner, by the instant from which it holds; itself where it is `None`.
pub type Payers = BTreeMap<DateTime<Utc>, Option<PartnerId>>;

impl Registry {
    /// Sets who pays for whom.
    pub fn set_payers(&mut self, payers: BTreeMap<PartnerId, Payers>) {
        self.pays_for.clear();
        for (partner_id, of_partner) in &payers {
            for payer in of_partner.values().flatten() {
                self.pays_for.entry(payer.clone()).or_default().insert(partner_id.clone());
            }
        }
        self.payers = payers;
    }

    /// Everybody who pays for a partner at some time.
    #[must_use]
    pub fn payers_of(&self, partner_id: &PartnerId) -> BTreeSet<&PartnerId> {
        self.payers.get(partner_id).iter().flat_map(|payers| payers.values().flatten()).collect()
    }

    /// Who pays for a partner at an instant; none where it pays for itself.
    #[must_use]
    pub fn payer_at(&self, partner_id: &PartnerId, at: DateTime<Utc>) -> Option<&PartnerId> {
        self.payers.get(partner_id)?.range(..=at).next_back()?.1.as_ref()
    }
}

/// Who is to pay from an instant on, none where nobody else does, and where it was said.
type SaidOfOne = BTreeMap<DateTime<Utc>, (Position, Option<PartnerId>)>;

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Named {
    payers: BTreeMap<PartnerId, SaidOfOne>,
    /// Findings of what could not be read.
    unusable: BTreeMap<PartnerId, Vec<usize>>,
}

/// The spans of time in which somebody else pays.
fn paid(payers: &SaidOfOne) -> Vec<(Period, &Position, &PartnerId)> {
    let ends = payers.keys().skip(1).copied().chain([DateTime::<Utc>::MAX_UTC]);
    let spans = payers.iter().zip(ends).filter_map(|((start, (position, payer)), end)| {
        Some((Period { start: *start, end }, position, payer.as_ref()?))
    });
    spans.collect()
}

impl Folding {
    pub(super) fn name_payer(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) {
        let payer = match event.event_type.as_str() {
            "payer.named" => event.text("payer_id").and_then(|id| PartnerId::parse(id).ok()).map(Some),
            _ => Some(None),
        };
        let (Some(payer), Ok(at)) = (payer, instant_of(event, "effective_at")) else {
            let what = format!("{}: payer_id or effective_at is missing or not valid", event.event_type);
            self.find(position, partner_id, Concern::Subscription, what);
            let finding = self.registry.findings.len() - 1;
            self.payers.unusable.entry(partner_id.clone()).or_default().push(finding);
            return;
        };
        let of_partner = self.payers.payers.entry(partner_id.clone()).or_default();
        of_partner.insert(at.unwrap_or(event.occurred_at), (position.clone(), payer));
        for finding in self.payers.unusable.remove(partner_id).unwrap_or_default() {
            if let Some(finding) = self.registry.findings.get_mut(finding) {
                finding.concern = Concern::SettledSubscription;
            }
        }
    }

    /// Gives what is known to the registry, and tells what contradicts itself.
    pub(super) fn conclude_payers(&mut self) {
        let Named { payers, .. } = std::mem::take(&mut self.payers);
        let mut found: Vec<(Position, PartnerId, String)> = Vec::new();
        for (partner_id, own) in &payers {
            for (period, position, payer) in paid(own) {
                let of_payer = payers.get(payer).map(paid).unwrap_or_default();
                let chain = of_payer.iter().find(|(other, ..)| period.intersect(other).is_some());
                let what = if payer == partner_id {
                    format!("payer.named: {partner_id} is to pay for itself: record payer.ended")
                } else if let Some((other, _, above)) = chain {
                    format!(
                        "payer.named: {payer} pays for {partner_id}, and {above} for {payer} from {}: record payer.ended of one, \
                         or name {above} for both",
                        print_instant(other.start)
                    )
                } else if !self.registry.partners.contains_key(payer) {
                    format!("payer.named: {payer}, who is to pay for {partner_id}, is no partner")
                } else {
                    continue;
                };
                found.push((position.clone(), partner_id.clone(), what));
            }
        }
        for (position, partner_id, what) in found {
            self.find(&position, &partner_id, Concern::Subscription, what);
        }
        let bare = |own: BTreeMap<DateTime<Utc>, (Position, Option<PartnerId>)>| -> Payers {
            own.into_iter().map(|(at, (_, payer))| (at, payer)).collect()
        };
        self.registry.set_payers(payers.into_iter().map(|(partner_id, own)| (partner_id, bare(own))).collect());
    }
}

#[cfg(test)]
mod tests;
