//! Who pays: the spans that a document bills, those of its partner and those of the partners that it pays for. Pure.
//! From `docs/money.md`, "One partner pays for another".
//!
//! Who pays is asked at the begin of each period. What cannot be derived of a partner that is paid for was blocked
//! alone, and its payer billed without it; where the document bears lines of it all the same, why it cannot be derived
//! is told.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::period::Month;
use tollbook_schemas::registry::Registry;

use crate::commitment::is_asked_for;
use crate::document::Line;
use crate::ground::{Ground, Stopped, wrong};
use crate::spans::{Span, spans_of};

/// Spans of one partner that a document bills.
pub(crate) struct Borne<'a> {
    pub(crate) partner_id: &'a PartnerId,
    pub(crate) spans: Vec<Span<'a>>,
    /// Why nothing of a partner that is paid for can be derived.
    pub(crate) blocked: Option<String>,
}

/// The partner of a document, and behind it those for whom it pays, or did, in their order.
pub(crate) fn partners_of(ground: &Ground) -> Vec<&PartnerId> {
    let paid_for = ground.registry.pays_for.get(&ground.partner_id).into_iter().flatten();
    [&ground.partner_id].into_iter().chain(paid_for.filter(|other| **other != ground.partner_id)).collect()
}

/// Everybody who may bear, or have borne, what a document bills: its partners, and whoever pays for any of them.
pub(crate) fn bearers(ground: &Ground) -> BTreeSet<&PartnerId> {
    let payers = ground.registry.payers.values().flat_map(|payers| payers.values().flatten());
    partners_of(ground).into_iter().chain(payers).collect()
}

/// Who pays for a partner at an instant; none where it does itself.
pub(crate) fn payer_of<'a>(registry: &'a Registry, partner_id: &PartnerId, at: DateTime<Utc>) -> Option<&'a PartnerId> {
    let said = registry.payers.get(partner_id)?.iter().filter(|(from, _)| **from <= at);
    said.max_by_key(|(from, _)| **from)?.1.as_ref()
}

/// The spans that a document bills of a month, by partner, its own first: those of its issuer and currency.
///
/// # Errors
/// [`Stopped`].
pub(crate) fn borne(ground: &Ground, month: Month) -> Result<Vec<Borne<'_>>, Stopped> {
    let mut all = Vec::new();
    for partner_id in partners_of(ground) {
        let is_own = *partner_id == ground.partner_id;
        let mut spans = match spans_of_partner(ground, partner_id, month) {
            Ok(spans) => spans,
            Err(what) if is_own => return Err(wrong(what)),
            Err(what) => {
                let why = or_blocked(ground, (partner_id, month), wrong(format!("{partner_id}: {what}")))?;
                all.push(Borne { partner_id, spans: Vec::new(), blocked: Some(why) });
                continue;
            }
        };
        spans.retain(|span| {
            let payer = payer_of(&ground.registry, partner_id, span.starts);
            let is_mine = payer.map_or(is_own, |payer| *payer == ground.partner_id);
            is_mine && span.version.issuer == ground.issuer_id && span.version.currency == ground.currency
        });
        if !spans.is_empty() {
            all.push(Borne { partner_id, spans, blocked: None });
        }
    }
    Ok(all)
}

/// The spans that other documents of a document's partner bill of a month.
///
/// # Errors
/// [`Stopped`].
pub(crate) fn others(ground: &Ground, month: Month) -> Result<Vec<Span<'_>>, Stopped> {
    let mut spans = spans_of_partner(ground, &ground.partner_id, month).map_err(wrong)?;
    spans.retain(|span| {
        let is_own = payer_of(&ground.registry, &ground.partner_id, span.starts).is_none();
        is_own && (span.version.issuer != ground.issuer_id || span.version.currency != ground.currency)
    });
    Ok(spans)
}

/// What stops a month of a partner that is paid for stops its payer's document where that bears lines of it; elsewhere
/// it is given in words.
///
/// # Errors
/// What stopped it.
pub(crate) fn or_blocked(
    ground: &Ground,
    (partner_id, month): (&PartnerId, Month),
    stopped: Stopped,
) -> Result<String, Stopped> {
    match stopped {
        Stopped::Here(what) if !ground.borne.contains(&(month.to_string(), partner_id.to_string())) => {
            Ok(what.to_string())
        }
        stopped => Err(stopped),
    }
}

/// All that a month bills of a partner, whoever pays.
fn spans_of_partner<'a>(ground: &'a Ground, partner_id: &PartnerId, month: Month) -> Result<Vec<Span<'a>>, String> {
    let (registry, catalog) = (&*ground.registry, ground.catalog());
    let spans = spans_of(registry, catalog, partner_id, month)?;
    one_pays(registry, partner_id, &spans)?;
    is_asked_for(registry, catalog, partner_id, month, &spans)?;
    Ok(spans)
}

/// A subscription, what a contract asks for and coupons are of one document: nobody bills them where who pays changes
/// within the month.
fn one_pays(registry: &Registry, partner_id: &PartnerId, spans: &[Span<'_>]) -> Result<(), String> {
    let payer = |span: &Span<'_>| payer_of(registry, partner_id, span.starts);
    let contract = |span: &Span<'_>| span.contract.map(|(id, _)| id.to_string());
    let has_coupon = registry.coupons.iter().any(|coupon| coupon.partner_id == *partner_id);
    for one in spans {
        for other in spans.iter().filter(|other| payer(other) != payer(one)) {
            let is_one = one.subscription.subscription_id == other.subscription.subscription_id
                || contract(one).is_some_and(|id| contract(other).as_ref() == Some(&id));
            if is_one || has_coupon {
                return Err("who pays for it changes within what the month bills".to_owned());
            }
        }
    }
    Ok(())
}

/// A line of a span as its document has it: with whose it is, where another pays.
pub(crate) fn named(ground: &Ground, partner_id: &PartnerId, line: Line) -> Line {
    if *partner_id == ground.partner_id {
        return line;
    }
    Line {
        description: format!("{} ({partner_id})", line.description),
        for_partner: Some(partner_id.to_string()),
        ..line
    }
}

#[cfg(test)]
mod tests;
