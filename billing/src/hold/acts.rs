//! What people did to drafts, folded from events: who holds which slot, who approved which document, who drafted it.
//! Pure; the order of events does not matter.

use std::collections::BTreeMap;

use tollbook_schemas::id::{InvoiceId, SlotId};

use crate::event::{EventKind, InvoiceEvent};

/// The step of events about holds by hand; of holds by policy it is followed by the rule.
pub(super) const HOLD: &str = "hold";
/// The step of approvals.
pub(super) const APPROVE: &str = "approve";

/// Who did something, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    /// Who.
    pub actor: String,
    /// Why.
    pub what: String,
}

impl Said {
    /// From the detail of an event: who, a blank, and why.
    fn of(event: &InvoiceEvent) -> Self {
        let detail = event.detail.as_deref().unwrap_or_default();
        let (actor, what) = detail.split_once(' ').unwrap_or((detail, ""));
        Self { actor: actor.to_owned(), what: what.to_owned() }
    }
}

/// One hold of a slot, with the release that ended it.
#[derive(Debug, Clone, Default)]
struct Generation {
    held: Option<Said>,
    released: Option<Said>,
}

/// What people did.
#[derive(Debug, Clone, Default)]
pub struct Acts {
    holds: BTreeMap<SlotId, BTreeMap<u32, Generation>>,
    approvals: BTreeMap<InvoiceId, BTreeMap<u32, Said>>,
    drafters: BTreeMap<InvoiceId, (u32, Option<String>)>,
}

impl Acts {
    /// Folds events; others than these are passed over.
    #[must_use]
    pub fn fold(events: &[InvoiceEvent]) -> Self {
        let mut acts = Self::default();
        for event in events {
            match event.kind {
                EventKind::Held if event.step == HOLD => acts.hold_of(event).held = Some(Said::of(event)),
                EventKind::Released => acts.hold_of(event).released = Some(Said::of(event)),
                EventKind::Approved => {
                    let of_document = acts.approvals.entry(event.invoice_id.clone()).or_default();
                    of_document.insert(event.generation, Said::of(event));
                }
                EventKind::Drafted => {
                    let last = acts.drafters.entry(event.invoice_id.clone()).or_default();
                    if event.generation >= last.0 {
                        *last = (event.generation, event.detail.clone());
                    }
                }
                _ => {}
            }
        }
        acts
    }

    fn hold_of(&mut self, event: &InvoiceEvent) -> &mut Generation {
        self.holds.entry(event.slot_id.clone()).or_default().entry(event.generation).or_default()
    }

    fn last(&self, slot_id: &SlotId) -> Option<&Generation> {
        self.holds.get(slot_id)?.last_key_value().map(|(_, last)| last)
    }

    /// Who holds a slot by hand, and why; none where nobody does.
    #[must_use]
    pub fn held(&self, slot_id: &SlotId) -> Option<&Said> {
        self.last(slot_id).filter(|last| last.released.is_none())?.held.as_ref()
    }

    /// Whether somebody holds it by hand, or did before.
    #[must_use]
    pub fn was_held(&self, slot_id: &SlotId) -> bool {
        self.holds.contains_key(slot_id)
    }

    /// Who released it last; none where it is held, or never was.
    #[must_use]
    pub fn released(&self, slot_id: &SlotId) -> Option<&Said> {
        self.last(slot_id)?.released.as_ref()
    }

    /// The generation of the last hold of a slot.
    pub(super) fn hold_generation(&self, slot_id: &SlotId) -> Option<u32> {
        self.holds.get(slot_id)?.last_key_value().map(|(generation, _)| *generation)
    }

    /// Who approved exactly this document, in order.
    pub fn approvals(&self, invoice_id: &InvoiceId) -> impl Iterator<Item = &Said> {
        self.approvals.get(invoice_id).into_iter().flat_map(BTreeMap::values)
    }

    /// The next generation of an approval of the document.
    pub(super) fn next_approval(&self, invoice_id: &InvoiceId) -> u32 {
        let last = self.approvals.get(invoice_id).and_then(BTreeMap::last_key_value);
        last.map_or(0, |(generation, _)| generation.saturating_add(1))
    }

    /// Who drafted the document last; none where that was not said.
    #[must_use]
    pub fn drafter(&self, invoice_id: &InvoiceId) -> Option<&str> {
        self.drafters.get(invoice_id)?.1.as_deref()
    }
}
