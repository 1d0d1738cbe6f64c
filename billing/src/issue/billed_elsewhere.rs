//! Whether a subscription was billed for a month in another slot: its plan moved to another issuer or currency since.
//!
//! Takes the documents of a month and its slots; gives the invoice that billed it. Nobody is billed twice for one time.

use std::collections::BTreeMap;
use std::fmt;

use tollbook_schemas::id::{InvoiceId, PartnerId, SubscriptionId};
use tollbook_schemas::money::Money;

use super::slots::Slots;
use crate::document::{Document, Line};

/// A document that is not written, since it would bill a subscription a second time for its month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BilledElsewhere {
    /// Whose document it is.
    pub partner_id: PartnerId,
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// The invoice that billed it.
    pub invoice_id: InvoiceId,
    /// What of the document is of other subscriptions, before coupons and tax: nobody bills that. None where it does
    /// not fit.
    pub rest: Option<Money>,
}

impl fmt::Display for BilledElsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partner_id, subscription_id, invoice_id, rest } = self;
        write!(f, "{partner_id}: not drafted, because invoice {invoice_id} has billed subscription {subscription_id}")?;
        match rest {
            Some(rest) if rest.minor == 0 => Ok(()),
            Some(rest) => write!(
                f,
                "; {rest} of other subscriptions, before coupons and tax, are on no document: charge them with `tollbook bill \
                 adjust`"
            ),
            None => f.write_str("; what it has of other subscriptions is on no document, and does not add up"),
        }
    }
}

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

/// What a document bills of its own month. Lines by hand and uses of credit are none of it: their subscription stands
/// for an adjustment or a credit, of which several documents of a month may bear a part each.
fn own_lines(document: &Document) -> impl Iterator<Item = &Line> {
    let lines = document.body.lines.iter();
    lines.filter(|line| line.adjusts.is_none() && line.by_hand.is_none() && line.credit.is_none())
}

/// The invoice of another slot that billed the subscription of a line.
fn billing<'a>(
    document: &Document,
    line: &Line,
    billed: &BTreeMap<&SubscriptionId, &'a Document>,
) -> Option<&'a InvoiceId> {
    let other = billed.get(&line.subscription_id).filter(|other| other.slot_id != document.slot_id);
    other.map(|other| &other.invoice_id)
}

/// The invoice of another slot that billed a subscription of this document.
pub(crate) fn billed_before<'a>(
    document: &Document,
    billed: &BTreeMap<&SubscriptionId, &'a Document>,
) -> Option<&'a InvoiceId> {
    own_lines(document).find_map(|line| billing(document, line, billed))
}

/// The same, with what is left out with it.
pub(crate) fn billed_elsewhere(
    document: &Document,
    billed: &BTreeMap<&SubscriptionId, &Document>,
) -> Option<BilledElsewhere> {
    let mut twice = own_lines(document).filter_map(|line| Some((line, billing(document, line, billed)?)));
    let (line, invoice_id) = twice.next()?;
    let (subscription_id, invoice_id) = (line.subscription_id.clone(), invoice_id.clone());
    let is_priced = |line: &&Line| line.tax.is_none() && line.coupon.is_none();
    let mut rest = own_lines(document).filter(is_priced).filter(|line| billing(document, line, billed).is_none());
    let minor = rest.try_fold(0_i64, |sum, line| sum.checked_add(line.amount_minor));
    let rest = minor.map(|minor| Money { minor, currency: document.body.currency });
    Some(BilledElsewhere { partner_id: document.body.partner_id.clone(), subscription_id, invoice_id, rest })
}
