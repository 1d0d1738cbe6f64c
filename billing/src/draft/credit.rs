//! Prepaid credits on the documents of a month: lines that pay them. Pure.
//!
//! Takes the credits of the registry and everything that was issued; adds to each invoice of a month whose total is
//! above 0 a line for each credit that pays some of it. Credits pay what everything else comes to: prices, coupons,
//! tax, adjustments of earlier months and lines by hand. The smaller priority goes first, then what expires sooner,
//! then what was granted earlier.
//!
//! - What is left of a credit is its amount less what issued documents used of it, voided ones left out: it is kept
//!   nowhere.
//! - A credit pays a document whose period ends after it was granted, and not after it expires or is voided. Late usage
//!   is paid as of the document that adjusts it.
//! - Two drafts that use the same credit from the same state: when one was issued, the other may not be
//!   ([`is_current_credit`]).
//! - A credit note uses none, and gives none back: what was paid with a credit is given back as money.

use std::collections::BTreeMap;

use tollbook_schemas::id::{CreditId, IdError, PlanId, PriceId, SubscriptionId};
use tollbook_schemas::money::Money;
use tollbook_schemas::period::{Month, Period, Tz};
use tollbook_schemas::registry::Grant;

use super::documents::{Documents, closed};
use super::{Blocked, DraftInput, Drafted};
use crate::billed::IssuedDocument;
use crate::document::{Document, Line, LineCredit, LineOf};
use crate::rating::credit::{Credit, draw};

/// Plan of a line that uses a credit, which no catalog has; the word of its model, too.
const CREDIT: &str = "credit";

/// What issued documents used of each credit, in minor units, not negative.
pub type Used = BTreeMap<CreditId, i64>;

/// What issued documents used of each credit; what was voided at Stripe uses nothing any more.
///
/// # Errors
/// In words, where a sum does not fit.
pub fn used_credits<'a>(issued: impl IntoIterator<Item = &'a IssuedDocument>) -> Result<Used, String> {
    let mut used = Used::new();
    for line in issued.into_iter().filter(|one| !one.is_voided).flat_map(|one| &one.document.body.lines) {
        let Some(credit) = &line.credit else { continue };
        let sum = used.entry(credit.credit_id.clone()).or_default();
        let too_big = || format!("what was used of credit {} does not fit 63 bits", credit.credit_id);
        *sum = sum.checked_sub(line.amount_minor).ok_or_else(too_big)?;
    }
    Ok(used)
}

/// Whether as much is left of every credit that a document uses as when the document was drafted: of what was granted,
/// less what was issued since. That it was granted anew makes the draft stale by other means: it stands on older
/// events.
#[must_use]
pub fn is_current_credit(document: &Document, issued: &[IssuedDocument]) -> bool {
    let mut credits = document.body.lines.iter().filter_map(|line| line.credit.as_ref()).peekable();
    // Most documents use none, and then nothing must be added up.
    if credits.peek().is_none() {
        return true;
    }
    let Ok(used) = used_credits(issued) else { return false };
    credits.all(|credit| left_of(credit.granted_minor, &credit.credit_id, &used) == Some(credit.before_minor))
}

/// What is left of an amount that was granted; more was used than that only where the same id was granted anew with
/// less.
fn left_of(granted_minor: i64, credit_id: &CreditId, used: &Used) -> Option<i64> {
    granted_minor.checked_sub(used.get(credit_id).copied().unwrap_or(0))
}

/// Adds the lines by which credits pay the month's invoices.
pub(super) fn add(
    input: &DraftInput<'_>,
    issued: &[&IssuedDocument],
    documents: &mut Documents,
    drafted: &mut Drafted,
) {
    if input.registry.credits.is_empty() {
        return;
    }
    let used = used_credits(issued.iter().copied());
    let mut failed: Vec<Blocked> = Vec::new();
    for document in documents.iter_mut().filter(|one| one.body.kind.is_invoice() && one.body.total_minor > 0) {
        let paid = used.as_ref().map_err(Clone::clone).and_then(|used| paid_by_credits(input, used, document));
        match paid {
            Ok(Some(paid)) => *document = paid,
            Ok(None) => {}
            Err(reason) => failed.push(Blocked { partner_id: document.body.partner_id.clone(), reason }),
        }
    }
    for blocked in failed {
        documents.remove(&blocked.partner_id);
        drafted.blocked.push(blocked);
    }
}

/// An invoice with what credits pay of it; none where they pay nothing.
fn paid_by_credits(input: &DraftInput<'_>, used: &Used, document: &Document) -> Result<Option<Document>, String> {
    let body = &document.body;
    let mut grants: Vec<&Grant> = input
        .registry
        .credits
        .values()
        .filter(|grant| {
            grant.partner_id == body.partner_id
                && grant.issuer_id == body.issuer.issuer_id
                && grant.amount.currency == body.currency
                && grant.is_usable(body.period_end)
        })
        .collect();
    // What rating keeps of equal priority and expiry is the order of age.
    grants.sort_by_key(|grant| (grant.granted_at, &grant.credit_id));
    let credits: Vec<Credit> = grants
        .iter()
        .map(|grant| {
            let minor = left_of(grant.amount.minor, &grant.credit_id, used)
                .ok_or_else(|| format!("what is left of credit {} does not fit", grant.credit_id))?;
            let amount = Money { minor: minor.max(0), currency: body.currency };
            // Whether it may be used at all was asked above.
            Ok(Credit {
                amount,
                expires_at_us: grant.expires_at.map(|at| at.timestamp_micros()),
                priority: grant.priority,
            })
        })
        .collect::<Result<_, String>>()?;
    let due = [document.total()];
    // The last instant of what the document bills: a credit that expires with it pays it.
    let at_us = body.period_end.timestamp_micros() - 1;
    let drawn = draw(&credits, &due, at_us, body.currency).map_err(|error| error.to_string())?;
    if drawn.draws.is_empty() {
        return Ok(None);
    }
    let mut paid = body.clone();
    for one in drawn.draws {
        let (Some(grant), Some(credit)) = (grants.get(one.credit), credits.get(one.credit)) else { continue };
        paid.lines.push(line_of(document, grant, credit.amount.minor, one.amount.minor)?);
    }
    closed(paid).map(Some)
}

fn line_of(document: &Document, grant: &Grant, before_minor: i64, used_minor: i64) -> Result<Line, String> {
    let body = &document.body;
    let bad = |error: IdError| error.to_string();
    let id = grant.credit_id.as_str();
    let of = LineOf {
        subscription_id: SubscriptionId::parse(id).map_err(bad)?,
        plan_id: PlanId::parse(CREDIT).map_err(bad)?,
        plan_version: 0,
        price_id: PriceId::parse(id).map_err(bad)?,
        price_model: CREDIT,
    };
    let span = Period { start: body.period_start, end: body.period_end };
    Ok(Line {
        credit: Some(LineCredit {
            after_minor: before_minor - used_minor,
            before_minor,
            credit_id: grant.credit_id.clone(),
            // Whatever used it was of this month or a later one.
            first_month: Month::of(grant.granted_at, Tz::UTC).previous(),
            granted_minor: grant.amount.minor,
        }),
        description: grant.description.clone(),
        ..Line::beside(of, span, Money { minor: -used_minor, currency: body.currency })
    })
}

#[cfg(test)]
mod tests;
