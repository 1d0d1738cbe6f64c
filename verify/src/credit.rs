//! Prepaid credits once more: which of them pay what of an invoice, last of all. Pure. From `docs/money.md`, "Prepaid
//! credits".
//!
//! What each earlier document used is taken from its stored text, and checked: the text is the one that its id is
//! derived from, and every use begins where the uses issued before it ended, those of voided documents left out. What
//! is left for this document, which credits may pay it, in which order, and how much, is derived.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tollbook_schemas::id::InvoiceId;
use tollbook_schemas::period::{Month, Period, Tz};
use tollbook_schemas::registry::Grant;

use crate::document::{Line, LineCredit};
use crate::ground::Ground;
use crate::month::as_object;
use crate::stored::{Object, Stored};

/// Whether the partner of a document was ever granted a credit.
pub(crate) fn is_granted(ground: &Ground) -> bool {
    ground.registry.credits.values().any(|grant| grant.partner_id == ground.partner_id)
}

/// What one line used of a credit, in minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Drawn {
    credit_id: String,
    granted: i64,
    before: i64,
    after: i64,
    amount: i64,
}

/// An issued document, as far as it used credits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Use {
    number: String,
    sequence: Option<i64>,
    issued_at: Option<DateTime<Utc>>,
    voided_at: Option<DateTime<Utc>>,
    /// Whether its text is the one that its id is derived from.
    is_whole: bool,
    drawn: Vec<Drawn>,
}

impl Use {
    /// What a document used; `voided` says when which ones were voided.
    ///
    /// # Errors
    /// What of a line cannot be read, in words.
    pub(crate) fn of(stored: &Stored, voided: &HashMap<String, DateTime<Utc>>) -> Result<Self, String> {
        let unreadable = || format!("what invoice {} used of a credit cannot be read", stored.number());
        let drawn = |line: &Object| -> Option<Drawn> {
            let credit = line.get("credit")?;
            let minor = |key: &str| credit.get(key)?.as_i64();
            Some(Drawn {
                credit_id: credit.get("credit_id")?.as_str()?.to_owned(),
                granted: minor("granted_minor")?,
                before: minor("before_minor")?,
                after: minor("after_minor")?,
                amount: line.get("amount_minor")?.as_i64()?,
            })
        };
        let with_credit = stored.lines().filter(|line| line.contains_key("credit"));
        let drawn = with_credit.map(|line| drawn(line).ok_or_else(unreadable)).collect::<Result<_, _>>()?;
        Ok(Self {
            number: stored.number().to_owned(),
            sequence: stored.event.int("number_sequence"),
            issued_at: stored.event.instant("at"),
            voided_at: voided.get(&stored.invoice_id).copied(),
            is_whole: InvoiceId::derive([&stored.text]).as_str() == stored.invoice_id,
            drawn,
        })
    }
}

/// What documents that were issued before another used of each credit, in minor units. One that was voided by then uses
/// nothing any more.
///
/// # Errors
/// In words, where a sum does not fit.
pub(crate) fn used(all: &[Use], by: &Use) -> Result<BTreeMap<String, i64>, String> {
    let mut used: BTreeMap<String, i64> = BTreeMap::new();
    let is_voided = |one: &Use| one.voided_at.is_some_and(|at| by.issued_at.is_some_and(|issued| at <= issued));
    for one in all.iter().filter(|one| one.sequence < by.sequence && !is_voided(one)) {
        for Drawn { credit_id, amount, .. } in &one.drawn {
            let sum = used.entry(credit_id.clone()).or_default();
            let too_big = || format!("what was used of credit {credit_id} does not fit 63 bits");
            *sum = sum.checked_sub(*amount).ok_or_else(too_big)?;
        }
    }
    Ok(used)
}

/// What of the uses of earlier documents contradicts itself, in words: the first thing.
pub(crate) fn broken(all: &[Use]) -> Option<String> {
    for one in all {
        if !one.is_whole && !one.drawn.is_empty() {
            return Some(format!("invoice {} used credits, and its text is not the one that its id is of", one.number));
        }
        let before = match used(all, one) {
            Ok(before) => before,
            Err(what) => return Some(what),
        };
        for Drawn { credit_id, granted, before: told, after, amount } in &one.drawn {
            let left = granted.checked_sub(before.get(credit_id).copied().unwrap_or(0));
            let follows = left == Some(*told) && told.checked_add(*amount) == Some(*after);
            if !follows || *amount >= 0 || *after < 0 {
                let left = left.map_or_else(|| "what does not fit".to_owned(), |left| left.to_string());
                return Some(format!(
                    "invoice {} says that it used {} of {told} minor units of credit {credit_id} and left {after}, and \
                     the invoices before it left {left}",
                    one.number,
                    -i128::from(*amount)
                ));
            }
        }
    }
    None
}

/// The lines by which credits pay an invoice of a period, whose other lines are given; none where nothing is due.
///
/// # Errors
/// What does not fit, in words.
pub(crate) fn paid(
    ground: &Ground,
    period: Period,
    lines: &[Object],
    used: &BTreeMap<String, i64>,
) -> Result<Vec<Object>, String> {
    let due: i128 =
        lines.iter().filter_map(|line| line.get("amount_minor").and_then(Value::as_i64)).map(i128::from).sum();
    let theirs = ground.registry.credits.values().filter(|grant| {
        grant.partner_id == ground.partner_id
            && grant.issuer_id == ground.issuer_id
            && grant.amount.currency == ground.currency
    });
    let drawn = draw(theirs.collect(), period.end, due, used)?;
    let line = |(grant, before, amount): (&Grant, i64, i64)| {
        as_object(&Line {
            credit: Some(LineCredit {
                after_minor: before - amount,
                before_minor: before,
                credit_id: grant.credit_id.to_string(),
                first_month: Month::of(grant.granted_at, Tz::UTC).previous().to_string(),
                granted_minor: grant.amount.minor,
            }),
            description: grant.description.clone(),
            plan_id: "credit".to_owned(),
            price_id: grant.credit_id.to_string(),
            price_model: "credit".to_owned(),
            subscription_id: grant.credit_id.to_string(),
            ..Line::over(period, -amount, ground.currency)
        })
    };
    drawn.into_iter().map(line).collect()
}

/// What is drawn from which grants for what is due at the end of a period: each with what was left of it, and how much
/// is. The smaller priority goes first, then what expires sooner, then what was granted earlier.
fn draw<'a>(
    mut grants: Vec<&'a Grant>,
    period_end: DateTime<Utc>,
    due: i128,
    used: &BTreeMap<String, i64>,
) -> Result<Vec<(&'a Grant, i64, i64)>, String> {
    grants.retain(|grant| {
        let is_over = |end: &DateTime<Utc>| *end < period_end;
        grant.granted_at < period_end
            && !grant.expires_at.as_ref().is_some_and(is_over)
            && !grant.voided_at.as_ref().is_some_and(is_over)
    });
    grants.sort_by_key(|grant| {
        (grant.priority, grant.expires_at.is_none(), grant.expires_at, grant.granted_at, &grant.credit_id)
    });
    let mut due = due;
    let mut drawn = Vec::new();
    for grant in grants {
        let before = grant.amount.minor.checked_sub(used.get(grant.credit_id.as_str()).copied().unwrap_or(0));
        let before = before.ok_or_else(|| format!("what is left of credit {} does not fit", grant.credit_id))?.max(0);
        let amount = due.min(i128::from(before)).max(0);
        let amount = i64::try_from(amount).map_err(|_| "what a credit pays does not fit 63 bits")?;
        if amount > 0 {
            due -= i128::from(amount);
            drawn.push((grant, before, amount));
        }
    }
    Ok(drawn)
}

#[cfg(test)]
mod tests;
