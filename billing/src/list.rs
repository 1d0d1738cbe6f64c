//! Invoices and drafts as a list, and the history of one. Pure.
//!
//! Takes stored documents and events; gives a row for each document, with its state, newest month last. Nothing is
//! rated: what today's usage would make of a document is told by the register.

use chrono::{DateTime, Utc};
use tollbook_schemas::id::{InvoiceId, IssuerId, PartnerId};
use tollbook_schemas::money::Money;
use tollbook_schemas::period::Month;

use crate::document::{Document, DocumentKind};
use crate::event::InvoiceEvent;
use crate::stripe::{Ledger, State};

/// Which documents are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this partner.
    pub partner_id: Option<PartnerId>,
    /// Only in this state; where none is named, all but withdrawn drafts.
    pub state: Option<State>,
}

impl Filter {
    fn takes(&self, document: &Document, state: State) -> bool {
        self.partner_id.as_ref().is_none_or(|partner_id| document.body.partner_id == *partner_id)
            && self.state.map_or(state != State::Withdrawn, |wanted| wanted == state)
    }
}

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRow {
    /// Document.
    pub invoice_id: InvoiceId,
    /// Number, from issue on.
    pub number: Option<String>,
    /// Issuer.
    pub issuer_id: IssuerId,
    /// Partner.
    pub partner_id: PartnerId,
    /// Month that it bills.
    pub month: Month,
    /// Whether it is an invoice or a credit note.
    pub kind: DocumentKind,
    /// Total.
    pub total: Money,
    /// Where it stands.
    pub state: State,
    /// When it got its number.
    pub issued_at: Option<DateTime<Utc>>,
    /// Invoice at Stripe.
    pub stripe_id: Option<String>,
    /// What Stripe refused last, or that it was issued although data were missing.
    pub note: Option<String>,
}

/// Lists documents, by month, issuer, number and partner; drafts after invoices.
#[must_use]
pub fn list(documents: &[Document], events: &[InvoiceEvent], filter: &Filter) -> Vec<ListRow> {
    let ledgers = Ledger::fold(events);
    let row = |document: &Document| {
        let none = Ledger::default();
        let ledger = ledgers.get(&document.invoice_id).unwrap_or(&none);
        let state = ledger.state();
        filter.takes(document, state).then(|| row_of(document, ledger, state))
    };
    let mut rows: Vec<(Option<i64>, ListRow)> = documents.iter().filter_map(row).collect();
    rows.sort_by(|(a_sequence, a), (b_sequence, b)| {
        let place = |sequence: &Option<i64>| (sequence.is_none(), *sequence);
        let key = |row: &ListRow| (row.month, row.issuer_id.clone());
        (key(a), place(a_sequence), &a.partner_id, &a.invoice_id).cmp(&(
            key(b),
            place(b_sequence),
            &b.partner_id,
            &b.invoice_id,
        ))
    });
    rows.into_iter().map(|(_, row)| row).collect()
}

fn row_of(document: &Document, ledger: &Ledger, state: State) -> (Option<i64>, ListRow) {
    let issued = ledger.issued.as_ref();
    let refused = (state == State::Sent).then(|| ledger.refusal()).flatten();
    let notes: Vec<&str> = refused.into_iter().chain(issued.and_then(|issued| issued.detail.as_deref())).collect();
    let row = ListRow {
        invoice_id: document.invoice_id.clone(),
        number: issued.and_then(|issued| issued.number.clone()),
        issuer_id: document.body.issuer.issuer_id.clone(),
        partner_id: document.body.partner_id.clone(),
        month: document.body.month,
        kind: document.body.kind,
        total: document.total(),
        state,
        issued_at: issued.map(|issued| issued.at),
        stripe_id: ledger.stripe_invoice().map(str::to_owned),
        note: Some(notes.join("; ")).filter(|note| !note.is_empty()),
    };
    (issued.and_then(|issued| issued.number_sequence), row)
}

/// The events of one document in the order of its life. Steps that were taken at the same instant stand in the order
/// in which a document can take them.
#[must_use]
pub fn history<'a>(events: &'a [InvoiceEvent], invoice_id: &InvoiceId) -> Vec<&'a InvoiceEvent> {
    let mut own: Vec<&InvoiceEvent> = events.iter().filter(|event| event.invoice_id == *invoice_id).collect();
    own.sort_by(|a, b| (a.at, a.kind, &a.step, a.generation).cmp(&(b.at, b.kind, &b.step, b.generation)));
    own
}

#[cfg(test)]
mod tests;
