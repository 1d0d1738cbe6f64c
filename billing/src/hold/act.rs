//! What a person does to drafts: hold, release, approve.
//!
//! Takes the slots or documents that are meant, who does it and why; writes one event for each, all of them or none. It
//! is decided on the events as they are at the commit: whoever issues, drafts or holds in between makes the commit
//! fail, and it is decided again. So nothing is held or approved that was issued a moment before, and of two people at
//! once each is told what the other did. The same act of the same person for the same reason is one event.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};
use tollbook_lake::{Lake, Outcome, TxnStep, rows_app_id};
use tollbook_schemas::actor::Actor;
use tollbook_schemas::id::{InvoiceId, PartnerId, SlotId};
use tollbook_schemas::period::Month;
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::billing::INVOICE_EVENT;

use super::acts::{APPROVE, Acts, HOLD, Said};
use super::{authors_of, is_same_actor, read_events, slot_of_whole_month};
use crate::document::Document;
use crate::error::BillingError;
use crate::event::{EventKind, InvoiceEvent};
use crate::issue::Slots;
use crate::policy::HoldPolicy;

/// Attempts before somebody else must be asked what is going on.
const ATTEMPTS: usize = 20;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing is issued in the slot.
    Hold,
    /// The hold by hand is over.
    Release,
    /// Exactly this document may be issued, whatever the policy says.
    Approve,
}

impl Act {
    /// What a person did.
    #[must_use]
    pub fn participle(self) -> &'static str {
        self.kind().as_str()
    }

    fn kind(self) -> EventKind {
        match self {
            Self::Hold => EventKind::Held,
            Self::Release => EventKind::Released,
            Self::Approve => EventKind::Approved,
        }
    }
}

/// A draft that is meant, or everything of a partner's month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Document.
    pub invoice_id: InvoiceId,
    /// Its slot.
    pub slot_id: SlotId,
    /// Its partner.
    pub partner_id: PartnerId,
    /// Its month.
    pub month: Month,
    /// Whether everything of the partner's month is meant, and no document.
    pub is_whole_month: bool,
    /// Who made lines of it by hand, where the document is known.
    pub authors: BTreeSet<String>,
}

impl Target {
    /// A document.
    #[must_use]
    pub fn of(document: &Document) -> Self {
        Self {
            invoice_id: document.invoice_id.clone(),
            slot_id: document.slot_id.clone(),
            partner_id: document.body.partner_id.clone(),
            month: document.body.month,
            is_whole_month: false,
            authors: authors_of(document),
        }
    }

    /// Everything of a partner's month, whatever is drafted when.
    #[must_use]
    pub fn whole_month(partner_id: &PartnerId, month: Month) -> Self {
        Self {
            // An event names a document: this is the id of none.
            invoice_id: InvoiceId::derive(["whole month", partner_id.as_str(), &month.to_string()]),
            slot_id: slot_of_whole_month(partner_id, month),
            partner_id: partner_id.clone(),
            month,
            is_whole_month: true,
            authors: BTreeSet::new(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_whole_month {
            true => write!(f, "every document of {}", self.month),
            false => self.invoice_id.fmt(f),
        }
    }
}

/// What became of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActDone {
    /// What was meant.
    pub target: Target,
    /// Whether an event was added; else the same act was there already.
    pub is_new: bool,
}

/// Does it; gives what became of each target, in order.
///
/// # Errors
/// [`BillingError::Configuration`] where it cannot be done, with why, and nothing was written;
/// [`BillingError::Conflict`] where others kept winning; the lake's.
pub async fn act(
    lake: &Lake,
    act: Act,
    targets: &[Target],
    (actor, reason): (&Actor, &str),
    policy: &HoldPolicy,
    at: DateTime<Utc>,
) -> Result<Vec<ActDone>, BillingError> {
    let app_id = rows_app_id(&INVOICE_EVENT);
    for _ in 0..ATTEMPTS {
        // Before the rows: whatever lands in between moves it, and the commit below is refused.
        let found = lake.txn(&INVOICE_EVENT, &app_id).await?;
        let events = read_events(lake).await?;
        let (acts, slots) = (Acts::fold(&events), Slots::fold(&events)?);
        let said = Said { actor: actor.to_string(), what: reason.to_owned() };
        let mut done = Vec::new();
        let mut rows: Vec<Row> = Vec::new();
        // Named twice, it is done once.
        let mut seen = BTreeSet::new();
        for target in targets.iter().filter(|target| seen.insert((&target.invoice_id, &target.slot_id))) {
            let generation = decide(act, target, &said, &acts, &slots, policy)?;
            if let Some(generation) = generation {
                let step = if act == Act::Approve { APPROVE } else { HOLD };
                let ids = (&target.invoice_id, &target.slot_id, &target.partner_id);
                let mut event = InvoiceEvent::bare(ids, act.kind(), step, generation, at);
                event.detail = Some(format!("{} {}", said.actor, said.what));
                rows.push(event.to_row());
            }
            done.push(ActDone { target: target.clone(), is_new: generation.is_some() });
        }
        if rows.is_empty() {
            return Ok(done);
        }
        match lake.append(&INVOICE_EVENT, &rows, &[TxnStep::counting(&app_id, found)]).await? {
            Outcome::Committed => return Ok(done),
            Outcome::Already | Outcome::Fenced { .. } => {}
        }
    }
    let what = format!("others changed drafts and invoices at the same time, {ATTEMPTS} times in a row");
    Err(BillingError::Conflict { what })
}

/// The generation of the event to write; none where the same was done already. Pure.
fn decide(
    act: Act,
    target: &Target,
    said: &Said,
    acts: &Acts,
    slots: &Slots,
    policy: &HoldPolicy,
) -> Result<Option<u32>, BillingError> {
    let Target { invoice_id, slot_id, partner_id, month, .. } = target;
    if let Some(issued) = slots.issued_in(slot_id) {
        let number = issued.number.as_deref().unwrap_or_default();
        return Err(BillingError::configuration(
            format!(
                "{partner_id}: invoice {number} was issued in this place before, so nothing can be {}",
                act.participle()
            ),
            "an issued invoice never changes",
        ));
    }
    match act {
        Act::Hold => match acts.held(slot_id) {
            Some(held) if held == said => Ok(None),
            Some(held) => Err(BillingError::configuration(
                format!("{partner_id}: {target} is held already, by {}: {}", held.actor, held.what),
                "release that hold first, or leave it",
            )),
            None => Ok(Some(acts.hold_generation(slot_id).map_or(0, |last| last.saturating_add(1)))),
        },
        Act::Release => match (acts.held(slot_id), acts.released(slot_id)) {
            (Some(_), _) => Ok(acts.hold_generation(slot_id)),
            (None, Some(released)) if released == said => Ok(None),
            (None, _) if acts.held(&slot_of_whole_month(partner_id, *month)).is_some() => {
                Err(BillingError::configuration(
                    format!("{partner_id}: {target} is held with every other document of {month}"),
                    format!("release all with `tollbook bill release --partner {partner_id} --period {month}`"),
                ))
            }
            (None, _) => Err(BillingError::configuration(
                format!("{partner_id}: {target} is held by nobody"),
                "what a policy holds is approved, with `tollbook bill approve`",
            )),
        },
        Act::Approve => {
            may_approve(target, said, acts, slots, policy)?;
            let is_done = acts.approvals(invoice_id).any(|approval| approval == said);
            Ok((!is_done).then(|| acts.next_approval(invoice_id)))
        }
    }
}

/// Only the document that would be issued is approved, and by whom the policy lets.
fn may_approve(
    Target { invoice_id, slot_id, partner_id, authors, month, .. }: &Target,
    said: &Said,
    acts: &Acts,
    slots: &Slots,
    policy: &HoldPolicy,
) -> Result<(), BillingError> {
    match slots.current_draft(slot_id) {
        Some(current) if current == invoice_id => {}
        Some(current) => {
            return Err(BillingError::configuration(
                format!("{partner_id}: {invoice_id} is not the draft any more: {current} took its place"),
                "look at that one, and approve it",
            ));
        }
        None => {
            return Err(BillingError::configuration(
                format!("{partner_id}: {invoice_id} is no draft any more: it was withdrawn"),
                "run `tollbook bill draft`, and look at what the month comes to now",
            ));
        }
    }
    if !policy.four_eyes {
        return Ok(());
    }
    let Some(drafter) = acts.drafter(invoice_id) else {
        return Err(BillingError::configuration(
            format!("{partner_id}: nobody knows who drafted {invoice_id}, so nobody knows to be another"),
            format!("run `tollbook bill draft --period {month} --actor staff:NAME`, and let somebody else approve it"),
        ));
    };
    let is_drafter = is_same_actor(drafter, &said.actor);
    if is_drafter || authors.iter().any(|author| is_same_actor(author, &said.actor)) {
        let did = if is_drafter { "drafted" } else { "made a line by hand of" };
        return Err(BillingError::configuration(
            format!("{partner_id}: {} {did} {invoice_id}", said.actor),
            "with four_eyes in [billing.hold] somebody else must approve it",
        ));
    }
    Ok(())
}
