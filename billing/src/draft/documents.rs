//! The documents of a month while they are made: found by their slots, joined by those that only adjust or were made by
//! hand, numbered, summed and closed. Pure.

use std::collections::BTreeMap;

use tollbook_schemas::id::{IssuerId, PartnerId, SlotId};
use tollbook_schemas::money::Currency;

use super::{DraftInput, issuer_named, issuer_of, order_of, profile_of};
use crate::document::{Body, Credits, Document, DocumentKind, FORMAT, IssuedBy, Line, sum_of};

/// The documents of the month, found by their slots.
pub(super) struct Documents {
    all: Vec<Document>,
    places: BTreeMap<SlotId, usize>,
}

impl Documents {
    pub(super) fn of(all: Vec<Document>) -> Self {
        let places = all.iter().enumerate().map(|(place, document)| (document.slot_id.clone(), place)).collect();
        Self { all, places }
    }

    pub(super) fn push(&mut self, document: Document) {
        self.places.insert(document.slot_id.clone(), self.all.len());
        self.all.push(document);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Document> {
        self.all.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Document> {
        self.all.iter_mut()
    }

    /// Takes out what a partner has.
    pub(super) fn remove(&mut self, partner_id: &PartnerId) {
        let mut left = std::mem::take(&mut self.all);
        left.retain(|document| document.body.partner_id != *partner_id);
        *self = Self::of(left);
    }

    /// All of them, in the order in which documents are listed.
    pub(super) fn into_sorted(mut self) -> Vec<Document> {
        self.all.sort_by(|a, b| order_of(a).cmp(&order_of(b)));
        self.all
    }

    pub(super) fn in_slot(&mut self, slot_id: &SlotId) -> Option<&mut Document> {
        self.all.get_mut(*self.places.get(slot_id)?)
    }
}

/// A document of the month beside what the month bills of itself: what adjusts earlier months, and what was made by
/// hand. It is a credit note where it credits an invoice.
pub(super) fn document_beside(
    input: &DraftInput<'_>,
    (issuer_id, partner_id, currency): (&IssuerId, &PartnerId, Currency),
    credits: Option<Credits>,
    lines: Vec<Line>,
) -> Result<Document, String> {
    let issuer = issuer_named(input, issuer_id)?;
    let profile = profile_of(input, partner_id)?;
    let month = input.month.period(issuer.time_zone).map_err(|error| error.to_string())?;
    let issuer = issuer_of(input, issuer_id, month.end)?;
    closed(Body {
        catalog_sha256: input.catalog.sha256.clone(),
        kind: if credits.is_some() { DocumentKind::CreditNote } else { DocumentKind::Invoice },
        credits,
        currency,
        format: FORMAT,
        issuer: IssuedBy::of(issuer_id, issuer),
        lines,
        month: input.month,
        partner_id: partner_id.clone(),
        payment_terms_days: profile.payment_terms_days,
        period_end: month.end,
        period_start: month.start,
        pin: input.pin_json.to_owned(),
        profile_version_id: profile.profile_version_id.clone(),
        shadows: Vec::new(),
        total_minor: 0,
    })
}

/// Numbers the lines, sums them and closes the body.
pub(super) fn closed(mut body: Body) -> Result<Document, String> {
    for (number, line) in (1_u32..).zip(&mut body.lines) {
        line.line_number = number;
    }
    body.total_minor =
        sum_of(&body.lines).ok_or("the total does not fit 63 bits of minor units; look at the prices of the plan")?;
    Document::close(body).map_err(|error| error.to_string())
}
