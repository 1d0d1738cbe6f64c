//! What each slot holds, folded from the events of drafts and invoices: pure, but for reading these events.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use tollbook_lake::Lake;
use tollbook_schemas::id::{InvoiceId, IssuerId, SlotId};
use tollbook_schemas::invariant::Invariant;
use tollbook_schemas::tables::billing::INVOICE_EVENT;

use crate::document::Document;
use crate::error::BillingError;
use crate::event::{EventKind, InvoiceEvent, events_of};
use crate::range::PartnerRange;

/// The kinds of events that decide what a slot holds.
const SLOT_KINDS: &str = "kind IN ('drafted', 'withdrawn', 'issued')";

/// What one slot holds.
#[derive(Debug, Clone, Default)]
pub struct Slot {
    /// The issued invoice; with it the slot is closed.
    pub issued: Option<InvoiceEvent>,
    /// Live drafts with the instant at which each was drafted; more than one only where two drafts raced.
    drafts: BTreeMap<InvoiceId, DateTime<Utc>>,
}

/// All slots.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    slots: BTreeMap<SlotId, Slot>,
    /// The last draft generation of each document, and whether it is live.
    generations: BTreeMap<InvoiceId, (u32, bool)>,
    sequences: BTreeMap<IssuerId, i64>,
    /// Documents of which nobody said who drafted them last.
    by_nobody: BTreeSet<InvoiceId>,
}

impl Slots {
    /// Reads those of some partners.
    ///
    /// # Errors
    /// [`BillingError`].
    pub(crate) async fn read(lake: &Lake, range: &PartnerRange) -> Result<Self, BillingError> {
        let condition = format!("{SLOT_KINDS} and {}", range.condition());
        Self::fold(&events_of(&lake.rows(&INVOICE_EVENT, Some(&condition)).await?)?)
    }

    /// Folds events; their order does not matter.
    ///
    /// # Errors
    /// [`BillingError::Broken`] when a slot has two invoices (I5).
    pub fn fold(events: &[InvoiceEvent]) -> Result<Self, BillingError> {
        let mut slots = Self::default();
        let mut events: Vec<&InvoiceEvent> = events.iter().collect();
        // Within a generation a document is drafted before it is withdrawn.
        events.sort_by_key(|event| (&event.invoice_id, event.generation, event.kind));
        for event in events {
            let slot = slots.slots.entry(event.slot_id.clone()).or_default();
            match event.kind {
                EventKind::Drafted => {
                    slot.drafts.insert(event.invoice_id.clone(), event.at);
                    slots.generations.insert(event.invoice_id.clone(), (event.generation, true));
                    match &event.detail {
                        None => slots.by_nobody.insert(event.invoice_id.clone()),
                        Some(_) => slots.by_nobody.remove(&event.invoice_id),
                    };
                }
                EventKind::Withdrawn => {
                    slot.drafts.remove(&event.invoice_id);
                    slots.generations.insert(event.invoice_id.clone(), (event.generation, false));
                }
                EventKind::Issued => {
                    if let Some(other) = slot.issued.as_ref().filter(|other| other.invoice_id != event.invoice_id) {
                        let what =
                            format!("slot {} holds {} and {}", event.slot_id, other.invoice_id, event.invoice_id);
                        return Err(BillingError::broken(Invariant::I5, what));
                    }
                    slot.issued = Some(event.clone());
                    if let (Some(issuer_id), Some(sequence)) = (&event.issuer_id, event.number_sequence) {
                        let last = slots.sequences.entry(issuer_id.clone()).or_default();
                        *last = sequence.max(*last);
                    }
                }
                _ => {}
            }
        }
        Ok(slots)
    }

    /// The issued invoice of a slot.
    #[must_use]
    pub fn issued_in(&self, slot_id: &SlotId) -> Option<&InvoiceEvent> {
        self.slots.get(slot_id)?.issued.as_ref()
    }

    /// The draft that would be issued: of several live ones the latest, then the greatest id.
    #[must_use]
    pub fn current_draft(&self, slot_id: &SlotId) -> Option<&InvoiceId> {
        let drafts = &self.slots.get(slot_id)?.drafts;
        drafts.iter().max_by_key(|(invoice_id, at)| (**at, *invoice_id)).map(|(invoice_id, _)| invoice_id)
    }

    /// Whether a document is the draft that would be issued in its slot, where nothing is issued yet.
    #[must_use]
    pub fn is_draft(&self, document: &Document) -> bool {
        let (slot_id, invoice_id) = (&document.slot_id, &document.invoice_id);
        self.issued_in(slot_id).is_none() && self.current_draft(slot_id) == Some(invoice_id)
    }

    /// The last draft generation of a document, and whether it is live.
    #[must_use]
    pub fn draft_generation(&self, invoice_id: &InvoiceId) -> Option<(u32, bool)> {
        self.generations.get(invoice_id).copied()
    }

    /// Whether it was said who drafted a document last.
    #[must_use]
    pub fn is_drafter_known(&self, invoice_id: &InvoiceId) -> bool {
        self.generations.contains_key(invoice_id) && !self.by_nobody.contains(invoice_id)
    }

    /// The last number that an issuer gave; 0 for none.
    #[must_use]
    pub fn last_sequence(&self, issuer_id: &IssuerId) -> i64 {
        self.sequences.get(issuer_id).copied().unwrap_or(0)
    }
}
