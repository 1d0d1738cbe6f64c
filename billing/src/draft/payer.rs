//! Consolidation under a paying partner: the lines of one partner on the invoice of another, each naming whose it is. Pure.
//!
//! Who pays is asked at the begin of each period, as for the plan version and the contract; the line goes on the payer's
//! invoice of the same issuer and currency, to its billing profile and terms. What cannot be billed of a partner that is paid
//! for blocks this one alone: the payer is billed without it, and once it is put right a later document adds it.

use std::collections::BTreeSet;

use tollbook_schemas::id::PartnerId;

use super::index::UsageIndex;
use super::span::Span;
use super::{DraftInput, line, spans_of_partner};
use crate::document::Line;

/// Those for whom a partner pays, or did, in order.
pub(super) fn children<'a>(input: &DraftInput<'a>, payer: &PartnerId) -> impl Iterator<Item = &'a PartnerId> + use<'a> {
    input.registry.pays_for.get(payer).into_iter().flatten()
}

/// Everybody who may bear what one invoice billed: its partner, those whose lines differ, and who pays for it.
pub(super) fn bearers<'a>(
    input: &DraftInput<'a>,
    partner_id: &'a PartnerId,
    lines: &'a [Line],
) -> BTreeSet<&'a PartnerId> {
    let payers = input.registry.payers.get(partner_id).into_iter().flat_map(|payers| payers.values().flatten());
    payers.chain(lines.iter().filter_map(|line| line.for_partner.as_ref())).chain([partner_id]).collect()
}

/// Whether the lines of some spans can be rated.
pub(super) fn check(input: &DraftInput<'_>, usage: &UsageIndex<'_>, spans: &[Span<'_>]) -> Result<(), String> {
    for span in spans {
        for price in span.prices.iter().filter(|price| span.bills.price(price)) {
            line::line_of(input.catalog, usage, span, price, 1)?;
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
