//! Whether a subscription was billed for a month in another slot: its plan moved to another issuer or currency since.
//!
//! Takes the documents of a month and its slots; gives the invoice that billed it. Nobody is billed twice for one time.

use std::collections::BTreeMap;

use tollbook_schemas::id::{InvoiceId, SubscriptionId};

use super::slots::Slots;
use crate::document::{Document, Line};

/// Which invoice of the month has billed each subscription.
pub(crate) fn billed_subscriptions<'a>(
    documents: impl Iterator<Item = &'a Document>,
    slots: &Slots,
) -> BTreeMap<&'a SubscriptionId, &'a Document> {
    let is_issued = |document: &&Document| {
        slots.issued_in(&document.slot_id).is_some_and(|issued| issued.invoice_id == document.invoice_id)
    };
    let issued = documents.filter(is_issued);
    issued.flat_map(|document| own_lines(document).map(move |line| (&line.subscription_id, document))).collect()
}

/// What a document bills of its own month.
fn own_lines(document: &Document) -> impl Iterator<Item = &Line> {
    document.body.lines.iter().filter(|line| line.adjusts.is_none())
}

/// The invoice of another slot that billed a subscription of this document.
pub(crate) fn billed_before<'a>(
    document: &Document,
    billed: &BTreeMap<&SubscriptionId, &'a Document>,
) -> Option<&'a InvoiceId> {
    let others = own_lines(document).filter_map(|line| billed.get(&line.subscription_id));
    others.filter(|other| other.slot_id != document.slot_id).map(|other| &other.invoice_id).next()
}
