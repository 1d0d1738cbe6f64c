//! The register of a month: every partner, its invoice and where that stands, or why it has none. Pure.
//!
//! Takes the documents of the month, the events, and the lists of a draft; gives rows by partner, issuer and
//! currency. Nobody is left out (I9).

use std::collections::BTreeMap;

use tollbook_schemas::id::{InvoiceId, IssuerId, PartnerId};
use tollbook_schemas::money::Money;

use crate::document::Document;
use crate::draft::Blocked;
use crate::event::InvoiceEvent;
use crate::stripe::{Ledger, State};

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterRow {
    /// Partner.
    pub partner_id: PartnerId,
    /// Issuer; none without a document.
    pub issuer_id: Option<IssuerId>,
    /// Document; none where nothing is billed.
    pub invoice_id: Option<InvoiceId>,
    /// Number, from issue on.
    pub number: Option<String>,
    /// Where the document stands.
    pub state: Option<State>,
    /// Total.
    pub total: Option<Money>,
    /// Invoice at Stripe.
    pub stripe_id: Option<String>,
    /// Why there is no document, or what Stripe refused last.
    pub note: Option<String>,
}

/// Makes the register. Withdrawn drafts are no part of it. A partner that is blocked now and has an invoice from
/// before shows both.
#[must_use]
pub fn register(
    documents: &[Document],
    events: &[InvoiceEvent],
    blocked: &[Blocked],
    without: &[(PartnerId, String)],
) -> Vec<RegisterRow> {
    let ledgers = Ledger::fold(events);
    let mut rows: BTreeMap<(PartnerId, String), RegisterRow> = BTreeMap::new();
    for document in documents {
        let ledger = ledgers.get(&document.invoice_id).cloned().unwrap_or_default();
        let state = ledger.state();
        if state == State::Withdrawn {
            continue;
        }
        let body = &document.body;
        let place = format!("{} {} {}", body.issuer.issuer_id, body.currency, document.invoice_id);
        let row = RegisterRow {
            partner_id: body.partner_id.clone(),
            issuer_id: Some(body.issuer.issuer_id.clone()),
            invoice_id: Some(document.invoice_id.clone()),
            number: ledger.issued.as_ref().and_then(|issued| issued.number.clone()),
            state: Some(state),
            total: Some(document.total()),
            stripe_id: ledger.stripe_invoice().map(str::to_owned),
            note: (state == State::Sent).then(|| ledger.refusal().map(str::to_owned)).flatten(),
        };
        rows.insert((body.partner_id.clone(), place), row);
    }
    let blocked = blocked.iter().map(|blocked| (&blocked.partner_id, format!("blocked: {}", blocked.reason)));
    let without = without.iter().map(|(partner_id, reason)| (partner_id, reason.clone()));
    for (partner_id, note) in blocked.chain(without) {
        let row = RegisterRow {
            partner_id: partner_id.clone(),
            issuer_id: None,
            invoice_id: None,
            number: None,
            state: None,
            total: None,
            stripe_id: None,
            note: Some(note),
        };
        rows.insert((partner_id.clone(), String::new()), row);
    }
    rows.into_values().collect()
}

#[cfg(test)]
mod tests;
