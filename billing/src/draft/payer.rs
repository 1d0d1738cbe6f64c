//! Consolidation under a paying partner: the lines of one partner on the invoice of another, each naming whose it is.
//! Pure.
//!
//! Who pays is asked at the begin of each period, as for the plan version and the contract; the line goes on the
//! payer's invoice of the same issuer and currency, to its billing profile and terms. What cannot be billed of a
//! partner that is paid for blocks this one alone: the payer is billed without it, and once it is put right a later
//! document adds it.

use std::collections::BTreeSet;

use tollbook_schemas::id::PartnerId;

use super::index::UsageIndex;
use super::span::Span;
use super::{DraftInput, by_document, document_of, profile_of, spans_of_partner};
use crate::document::Line;

/// Those for whom a partner pays, or did, in order.
pub(super) fn children<'a>(input: &DraftInput<'a>, payer: &PartnerId) -> impl Iterator<Item = &'a PartnerId> + use<'a> {
    input.registry.pays_for.get(payer).into_iter().flatten()
}

/// Everybody who may bear what one invoice billed: its partner, those whose lines differ, and whoever pays for any of
/// them.
pub(super) fn bearers<'a>(
    input: &DraftInput<'a>,
    partner_id: &'a PartnerId,
    lines: &'a [Line],
) -> BTreeSet<&'a PartnerId> {
    let own: BTreeSet<&PartnerId> =
        lines.iter().filter_map(|line| line.for_partner.as_ref()).chain([partner_id]).collect();
    let payers = own.iter().filter_map(|own| input.registry.payers.get(*own));
    let payers: BTreeSet<&PartnerId> = payers.flat_map(|payers| payers.values().flatten()).collect();
    own.into_iter().chain(payers).collect()
}

/// Whether a payer's invoice can have some spans of a partner that it pays for: as a trial, documents of these alone.
pub(super) fn check(
    input: &DraftInput<'_>,
    usage: &UsageIndex<'_>,
    payer: &PartnerId,
    spans: &[&Span<'_>],
) -> Result<(), String> {
    // A payer without a profile is blocked itself, with that reason.
    let Ok(profile) = profile_of(input, payer) else { return Ok(()) };
    by_document(spans).into_iter().try_for_each(|((issuer_id, currency), spans)| {
        document_of(input, usage, profile, issuer_id, currency, &spans).map(drop)
    })
}

/// What is asked for once of a partner cannot be on the invoices of two payers: a subscription, what a contract asks
/// for, coupons.
pub(super) fn check_one(input: &DraftInput<'_>, partner_id: &PartnerId, spans: &[Span<'_>]) -> Result<(), String> {
    let has_coupon = input.registry.coupons.iter().any(|coupon| coupon.partner_id == *partner_id);
    for (index, one) in spans.iter().enumerate() {
        let other = spans[index + 1..].iter().find(|other| other.payer != one.payer);
        let Some(other) = other else { continue };
        let same_subscription = one.subscription.subscription_id == other.subscription.subscription_id;
        let contract = |span: &Span<'_>| span.contract.map(|own| own.contract_id.clone());
        let same_contract = contract(one).is_some() && contract(one) == contract(other);
        if same_subscription || same_contract || has_coupon {
            let name = |span: &Span<'_>| span.payer.map_or_else(|| "itself".to_owned(), ToString::to_string);
            return Err(format!(
                "who pays for it changes from {} to {} within what {} bills: who pays is asked when a period begins, and a month \
                 bills the periods that end in it; record payer.named or payer.ended at the begin of the first of its periods that \
                 ends in {}, or of the first that ends in a later month",
                name(one),
                name(other),
                input.month,
                input.month
            ));
        }
    }
    Ok(())
}

/// Who bears what the month bills of a partner, where others do.
pub(super) fn billed_under(input: &DraftInput<'_>, partner_id: &PartnerId) -> Option<String> {
    input.registry.payers.get(partner_id)?;
    let spans = spans_of_partner(input, partner_id).ok()?;
    let payers: BTreeSet<&str> = spans.iter().filter_map(|span| span.payer).map(PartnerId::as_str).collect();
    (!payers.is_empty()).then(|| payers.into_iter().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests;
