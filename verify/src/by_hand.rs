//! The lines of a document that staff made by hand, once more: from the charges and credits of the registry at the pin,
//! less what earlier documents billed of each. Pure. From the form of `by_hand` in a document, and not from `billing`.
//!
//! An invoice bears every charge or credit of its own month that is not given by a credit note. Which of earlier months
//! it bears, and which a credit note does, was decided when it was drafted, and is taken from the document; what each
//! comes to is derived.

use std::collections::BTreeSet;

use serde_json::Value;
use tollbook_schemas::catalog::Issuer;
use tollbook_schemas::period::print_instant;
use tollbook_schemas::registry::HandMade;

use crate::adjust::Before;
use crate::document::{ByHand, Line};
use crate::ground::Ground;
use crate::month::as_object;
use crate::number::Ratio;
use crate::rating::Working;
use crate::stored::{Object, Stored};
use crate::tax::Taxing;
use crate::terms::Terms;

/// What lines by hand bear.
#[derive(Default)]
pub(crate) struct Borne {
    /// Lines, without numbers.
    pub(crate) lines: Vec<Object>,
    /// Number of the invoice that they credit, of a credit note.
    pub(crate) credits: Option<String>,
}

/// Whether anything was ever made by hand for the partner of a document.
pub(crate) fn is_made_for(ground: &Ground) -> bool {
    ground.registry.adjustments.values().any(|made| made.partner_id == ground.partner_id)
}

/// A credit of an invoice that no document bears: one of more than is left of its invoice blocks its partner.
///
/// # Errors
/// What does not fit, in words.
pub(crate) fn open_credit<'a>(ground: &'a Ground, before: &[Before<'_>]) -> Result<Option<&'a HandMade>, String> {
    for made in ground.registry.adjustments.values() {
        let is_theirs = made.partner_id == ground.partner_id && made.month <= ground.month && !made.is_revoked();
        if is_theirs && made.for_invoice.is_some() && billed_of(made, before)?.amount_minor == 0 {
            return Ok(Some(made));
        }
    }
    Ok(None)
}

fn by_hand_of(line: &Object) -> Option<&Object> {
    line.get("by_hand")?.as_object()
}

/// The lines by hand of a document. `before` was issued before it.
///
/// # Errors
/// What does not fit or is not there, in words.
pub(crate) fn borne(
    ground: &Ground,
    issuer: &Issuer,
    stored: &Stored,
    before: &[Before<'_>],
    taxing: &Taxing<'_>,
) -> Result<Borne, String> {
    let id_of = |line: &Object| Some(by_hand_of(line)?.get("adjustment_id")?.as_str()?.to_owned());
    let mut named: BTreeSet<String> = stored.lines().filter_map(id_of).collect();
    let theirs = ground.registry.adjustments.values().filter(|made| {
        made.partner_id == ground.partner_id
            && made.issuer_id == ground.issuer_id
            && made.amount.currency == ground.currency
            && made.month <= ground.month
    });
    let mut all: Vec<(&HandMade, Billed, i64)> = Vec::new();
    for made in theirs {
        let billed = billed_of(made, before)?;
        let wanted = if made.is_revoked() { 0 } else { made.amount.minor };
        let difference = wanted.checked_sub(billed.amount_minor).ok_or("a line by hand does not fit 63 bits")?;
        let of_credit_note = made.for_invoice.is_some() && difference < 0;
        let is_named = named.remove(made.adjustment_id.as_str());
        let is_own = !ground.is_credit_note && !of_credit_note && made.month == ground.month && difference != 0;
        if is_own || (is_named && of_credit_note == ground.is_credit_note && difference != 0) {
            all.push((made, billed, difference));
        }
    }
    if let Some(unknown) = named.first() {
        return Err(format!("it has a line by hand {unknown}, which nobody made for it by the pin"));
    }
    all.sort_by_key(|(made, ..)| (made.month, made.adjustment_id.clone()));
    let mut borne = Borne::default();
    for (made, billed, difference) in all {
        if ground.is_credit_note {
            borne.credits.clone_from(&made.for_invoice);
        }
        let line = line_of(made, issuer, billed.amount_minor, difference)?;
        borne.lines.push(as_object(&line)?);
        let wanted = billed.amount_minor.checked_add(difference).ok_or("a line by hand does not fit 63 bits")?;
        if let Some(tax) = taxing.line_by_hand(&line, wanted, billed, made.month)? {
            borne.lines.push(as_object(&tax)?);
        }
    }
    Ok(borne)
}

/// What documents billed of one, in minor units.
#[derive(Clone, Copy, Default)]
pub(crate) struct Billed {
    amount_minor: i64,
    /// Of its tax lines: what they charged.
    pub(crate) tax_minor: i64,
    /// And what they said that its amount contains.
    pub(crate) contained_minor: i64,
}

/// What documents billed of one that count: of one that was taken back, those that were not voided before.
fn billed_of(made: &HandMade, before: &[Before<'_>]) -> Result<Billed, String> {
    let id = made.adjustment_id.as_str();
    let counting = before.iter().filter(|one| !(made.is_revoked() && one.is_voided));
    let lines = counting.filter_map(|one| one.body.get("lines")?.as_array()).flatten();
    let of_it = lines
        .filter_map(Value::as_object)
        .filter(|line| by_hand_of(line).and_then(|by_hand| by_hand.get("adjustment_id")?.as_str()) == Some(id));
    let mut billed = Billed::default();
    let too_big = "lines by hand do not fit 63 bits";
    for line in of_it {
        let amount = line.get("amount_minor").and_then(Value::as_i64).ok_or("a line by hand has no amount")?;
        let sum = if line.contains_key("tax") { &mut billed.tax_minor } else { &mut billed.amount_minor };
        *sum = sum.checked_add(amount).ok_or(too_big)?;
        let contained = line.get("tax").and_then(|tax| tax.get("contained_minor")?.as_i64()).unwrap_or(0);
        billed.contained_minor = billed.contained_minor.checked_add(contained).ok_or(too_big)?;
    }
    Ok(billed)
}

fn line_of(made: &HandMade, issuer: &Issuer, billed_minor: i64, difference: i64) -> Result<Line, String> {
    let month = made.month.period(issuer.time_zone).map_err(|error| error.to_string())?;
    let mut exact = Ratio::whole(difference);
    for _ in 0..made.amount.currency.exponent() {
        exact = exact.part_of(10);
    }
    let id = made.adjustment_id.to_string();
    // Whoever took it back answers for that, where it is known who did.
    let revoked = made.revoked.as_ref();
    let actor = revoked.and_then(|revoked| revoked.actor.as_ref()).unwrap_or(&made.actor);
    let reason = revoked.and_then(|revoked| revoked.reason.as_ref()).unwrap_or(&made.reason);
    let taken_back = if made.is_revoked() { " (taken back)" } else { "" };
    Ok(Line {
        amount_minor: difference,
        by_hand: Some(ByHand {
            actor: actor.to_string(),
            adjustment_id: id.clone(),
            billed_minor,
            for_invoice: made.for_invoice.clone(),
            is_revoked: made.is_revoked().then_some(true),
            month: made.month.to_string(),
            reason: reason.clone(),
        }),
        contract: None,
        description: format!("{}{taken_back}", made.description),
        line_number: 0,
        meter_id: None,
        plan_id: "by-hand".to_owned(),
        plan_version: 0,
        price_id: "by-hand".to_owned(),
        price_model: "by_hand".to_owned(),
        quantity: "1".to_owned(),
        span_end: print_instant(month.end),
        span_start: print_instant(month.start),
        subscription_id: id,
        tax: None,
        terms: Terms::default(),
        unit: None,
        usage: Vec::new(),
        working: Working::of_exact(&exact),
        ..Line::default()
    })
}
