//! Accounts of what people charge and credit by hand: what is still to be billed of each, and what may still be given
//! back of an invoice. Pure.
//!
//! Takes hand-made charges and credits and what was issued. A credit that names an invoice gives back no more than is
//! left of it: what its lines come to, its tax too, less the credit notes that name it. Prepaid credits on the invoice
//! take nothing off, because what they paid is given back as money; what was taken back of a credit is there again once
//! it was charged. Of an invoice that was voided at Stripe nothing is left: nobody owes it.

use tollbook_schemas::money::Money;
use tollbook_schemas::registry::{HandMade, Registry};

use crate::billed::IssuedDocument;
use crate::draft::{BilledByHand, billed_by_hand};

/// What is left of an issued invoice, in minor units, not below 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Creditable {
    /// Without tax that is a line of its own: what a credit is named in.
    pub net_minor: i64,
    /// With tax: what a credit note comes to.
    pub total_minor: i64,
}

/// What may still be given back of an invoice. `issued` is of its partner and issuer at least.
///
/// # Errors
/// In words, where a sum does not fit.
pub fn creditable<'a>(
    invoice: &IssuedDocument,
    issued: impl IntoIterator<Item = &'a IssuedDocument>,
) -> Result<Creditable, String> {
    let body = &invoice.document.body;
    let (mut net, mut total) = (Some(0_i64), Some(0_i64));
    let mut add = |minor: i64, is_tax: bool| {
        total = total.and_then(|sum| sum.checked_add(minor));
        net = if is_tax { net } else { net.and_then(|sum| sum.checked_add(minor)) };
    };
    for one in issued.into_iter().filter(|one| !one.is_voided) {
        let own = &one.document.body;
        let is_it = one.document.invoice_id == invoice.document.invoice_id;
        let credits_it = own.credits.as_ref().is_some_and(|credits| credits.invoice_id == invoice.document.invoice_id);
        let is_of_same = (&own.partner_id, &own.issuer.issuer_id, own.currency)
            == (&body.partner_id, &body.issuer.issuer_id, body.currency);
        for line in own.lines.iter().filter(|line| line.credit.is_none()) {
            let named = line.by_hand.as_ref().and_then(|by_hand| by_hand.for_invoice.as_deref());
            // A credit that was taken back is charged on an invoice.
            let gives_again = is_of_same && own.kind.is_invoice() && named == Some(invoice.number.as_str());
            if is_it || credits_it || gives_again {
                add(line.amount_minor, line.tax.is_some());
            }
        }
    }
    match (net, total) {
        (Some(net), Some(total)) => Ok(Creditable { net_minor: net.max(0), total_minor: total.max(0) }),
        _ => Err(format!("what is left of invoice {} does not fit 63 bits of minor units", invoice.number)),
    }
}

/// A charge or credit by hand with what issued documents have billed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What was made.
    pub made: HandMade,
    /// What was billed of it, without tax.
    pub billed: Money,
    /// What is still to be billed: what it comes to, nothing where it was taken back, less what was billed.
    pub open: Money,
}

/// All charges and credits by hand, by partner, month and id.
///
/// # Errors
/// In words, where a sum does not fit.
pub fn accounts(registry: &Registry, issued: &[IssuedDocument]) -> Result<Vec<Account>, String> {
    let billed: BilledByHand<'_> = billed_by_hand(issued)?;
    let account = |made: &HandMade| {
        let currency = made.amount.currency;
        let minor = billed.get(&made.adjustment_id).map_or(0, |billed| billed.counting(made.is_revoked()).amount_minor);
        let wanted = if made.is_revoked() { 0 } else { made.amount.minor };
        let open = wanted.checked_sub(minor);
        let open = open.ok_or_else(|| format!("what is open of {} does not fit", made.adjustment_id))?;
        let (billed, open) = (Money { minor, currency }, Money { minor: open, currency });
        Ok(Account { made: made.clone(), billed, open })
    };
    let mut accounts = registry.adjustments.values().map(account).collect::<Result<Vec<_>, String>>()?;
    accounts.sort_by(|a, b| {
        let key = |one: &Account| (one.made.partner_id.clone(), one.made.month, one.made.adjustment_id.clone());
        key(a).cmp(&key(b))
    });
    Ok(accounts)
}

/// What credits that are not on an issued document yet will give back of an invoice, in minor units without tax, not
/// below 0.
#[must_use]
pub fn pending_minor(accounts: &[Account], invoice: &IssuedDocument) -> i64 {
    let body = &invoice.document.body;
    let of_invoice = accounts.iter().filter(|account| {
        let made = &account.made;
        made.for_invoice.as_deref() == Some(invoice.number.as_str())
            && (&made.partner_id, &made.issuer_id, made.amount.currency)
                == (&body.partner_id, &body.issuer.issuer_id, body.currency)
    });
    of_invoice.fold(0_i64, |sum, account| sum.saturating_sub(account.open.minor.min(0)))
}
