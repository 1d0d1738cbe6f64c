//! The register of a month: every partner, its invoice and where that stands, or why it has none. Pure.
//!
//! Takes the stored documents of the month, what was issued, the events, and what the month comes to now; gives rows by
//! partner, issuer and currency. Nobody is left out (I9): also who is to be billed and has no draft yet has a row, and
//! an invoice of which today's data say something else has a note.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tollbook_schemas::id::{InvoiceId, IssuerId, PartnerId};
use tollbook_schemas::money::Money;
use tollbook_schemas::period::print_instant;

use crate::billed::{Billed, IssuedDocument};
use crate::document::Document;
use crate::draft::Drafted;
use crate::error::BillingError;
use crate::event::InvoiceEvent;
use crate::issue::{Slots, billed_before, billed_subscriptions, changed_since_issue};
use crate::stripe::{Ledger, State};

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterRow {
    /// Partner.
    pub partner_id: PartnerId,
    /// Issuer; none where nothing is billed.
    pub issuer_id: Option<IssuerId>,
    /// Document; none where none is stored.
    pub invoice_id: Option<InvoiceId>,
    /// Number, from issue on.
    pub number: Option<String>,
    /// Where the document stands.
    pub state: Option<State>,
    /// Total.
    pub total: Option<Money>,
    /// Invoice at Stripe.
    pub stripe_id: Option<String>,
    /// Whether it is a draft that may not be issued before a person lets it; the note says why.
    pub is_held: bool,
    /// Why there is no document, what Stripe refused last, that it was issued although data were missing, or that
    /// today it would be another.
    pub note: Option<String>,
}

impl RegisterRow {
    fn bare(partner_id: &PartnerId, note: String) -> Self {
        Self {
            partner_id: partner_id.clone(),
            issuer_id: None,
            invoice_id: None,
            number: None,
            state: None,
            total: None,
            stripe_id: None,
            is_held: false,
            note: Some(note).filter(|note| !note.is_empty()),
        }
    }
}

/// Makes the register. Withdrawn drafts are no part of it. A partner that is blocked now and has an invoice from
/// before shows both. `as_of` is the instant from which is looked: a period that ends later has not ended.
///
/// # Errors
/// [`BillingError::Broken`] when a slot has two invoices (I5).
pub fn register(
    documents: &BTreeMap<InvoiceId, Document>,
    issued: &[IssuedDocument],
    events: &[InvoiceEvent],
    drafted: &Drafted,
    as_of: DateTime<Utc>,
) -> Result<Vec<RegisterRow>, BillingError> {
    let ledgers = Ledger::fold(events);
    let slots = Slots::fold(events)?;
    let changes = changed_since_issue(drafted, &Billed::fold(issued, None)?);
    let changed: BTreeMap<&InvoiceId, String> =
        changes.iter().map(|change| (&change.invoice_id, change.to_string())).collect();
    let today: BTreeMap<_, _> = drafted.documents.iter().map(|document| (&document.slot_id, document)).collect();
    let mut rows: BTreeMap<(PartnerId, String), RegisterRow> = BTreeMap::new();
    for document in documents.values() {
        let ledger = ledgers.get(&document.invoice_id).cloned().unwrap_or_default();
        let state = ledger.state();
        if state == State::Withdrawn {
            continue;
        }
        let body = &document.body;
        let refused = (state == State::Sent).then(|| ledger.refusal()).flatten();
        let incomplete = ledger.issued.as_ref().and_then(|issued| issued.detail.as_deref());
        let is_stale = state == State::Draft
            && today.get(&document.slot_id).is_none_or(|now| now.invoice_id != document.invoice_id);
        let stale = is_stale.then_some("today it would be another; run `tollbook bill draft`");
        let changed = changed.get(&document.invoice_id).map(String::as_str);
        let credits = body
            .credits
            .as_ref()
            .map(|credits| format!("credit note of {}; Stripe is not told: credit it there by hand", credits.number));
        let notes: Vec<&str> =
            credits.as_deref().into_iter().chain(refused).chain(incomplete).chain(stale).chain(changed).collect();
        let row = RegisterRow {
            issuer_id: Some(body.issuer.issuer_id.clone()),
            invoice_id: Some(document.invoice_id.clone()),
            number: ledger.issued.as_ref().and_then(|issued| issued.number.clone()),
            state: Some(state),
            total: Some(document.total()),
            stripe_id: ledger.stripe_invoice().map(str::to_owned),
            ..RegisterRow::bare(&body.partner_id, notes.join("; "))
        };
        rows.insert(place_of(document, document.invoice_id.as_str()), row);
    }
    let billed = billed_subscriptions(documents.values(), &slots);
    for document in &drafted.documents {
        if slots.issued_in(&document.slot_id).is_some() || slots.current_draft(&document.slot_id).is_some() {
            continue;
        }
        let body = &document.body;
        let note = match billed_before(document, &billed) {
            Some(invoice_id) => format!("not billed here: {invoice_id} has billed its subscription for the month"),
            None if body.period_end > as_of => {
                format!("not drafted yet: the period ends at {}", print_instant(body.period_end))
            }
            None => "not drafted yet; run `tollbook bill draft`".to_owned(),
        };
        let row =
            RegisterRow { issuer_id: Some(body.issuer.issuer_id.clone()), ..RegisterRow::bare(&body.partner_id, note) };
        rows.insert(place_of(document, document.slot_id.as_str()), row);
    }
    for one in &drafted.unadjusted {
        let note = format!("{} is not adjusted: {}", one.month, one.reason);
        // After the documents, each for itself: one month may have invoices of several issuers.
        let place = format!("~ {} {}", one.month, rows.len());
        rows.insert((one.partner_id.clone(), place), RegisterRow::bare(&one.partner_id, note));
    }
    for (partner_id, note) in &drafted.elsewhere {
        rows.insert((partner_id.clone(), "~ elsewhere".to_owned()), RegisterRow::bare(partner_id, note.clone()));
    }
    for (partner_id, note) in drafted.outside.iter().chain(&drafted.side_by_side) {
        // A partner may have several of them.
        let place = format!("~ outside {}", rows.len());
        rows.insert((partner_id.clone(), place), RegisterRow::bare(partner_id, note.clone()));
    }
    let blocked = drafted.blocked.iter().map(|one| (&one.partner_id, format!("blocked: {}", one.reason)));
    let without = drafted.without.iter().map(|(partner_id, reason)| (partner_id, reason.clone()));
    for (partner_id, note) in blocked.chain(without) {
        rows.insert((partner_id.clone(), String::new()), RegisterRow::bare(partner_id, note));
    }
    Ok(rows.into_values().collect())
}

/// The place of a row among those of its partner.
fn place_of(document: &Document, invoice_id: &str) -> (PartnerId, String) {
    let body = &document.body;
    (body.partner_id.clone(), format!("{} {} {invoice_id}", body.issuer.issuer_id, body.currency))
}

#[cfg(test)]
mod tests;
