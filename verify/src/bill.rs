//! What a month bills by one document: lines of prices, of its partner and then of those it pays for; what is missing
//! to minimums, then to commitments; coupons; tax. Pure. In the order of `docs/money.md`, "Tax on documents".

use std::collections::BTreeMap;

use tollbook_schemas::id::{IssuerId, PartnerId};
use tollbook_schemas::period::{Month, Period};

use crate::commitment;
use crate::coupon::take_off;
use crate::document::{Line, Shadow};
use crate::ground::{Ground, Stopped, wrong};
use crate::month::{Coded, Metering, Priced, Rated, as_object, priced, shadows_of};
use crate::payer::{Borne, borne, named, or_blocked, others};
use crate::spans::Span;
use crate::tax::Taxing;

/// The usage of each partner that a document may bill.
pub(crate) type Meterings<'a> = BTreeMap<&'a PartnerId, Metering<'a>>;

/// One partner's part of a document, before coupons and tax.
struct Part<'a> {
    of: Borne<'a>,
    priced: Priced,
    commitments: Vec<Coded>,
}

impl<'a> Part<'a> {
    fn of(ground: &'a Ground, metering: &Metering<'_>, of: Borne<'a>, month: Month) -> Result<Self, Stopped> {
        let mut priced = priced(ground.catalog(), ground.currency, metering, &of.spans)?;
        for lines in [&mut priced.prices, &mut priced.minimums] {
            let all = std::mem::take(lines).into_iter();
            *lines = all.map(|(line, code)| (named(ground, of.partner_id, line), code)).collect();
        }
        let commitments = commitment::lines_of(ground, metering, &of, month)?;
        Ok(Self { of, priced, commitments })
    }
}

/// Rates a month of a document.
///
/// # Errors
/// [`Stopped`].
pub(crate) fn rate(
    ground: &Ground,
    meterings: &Meterings<'_>,
    taxing: &Taxing<'_>,
    month: Month,
) -> Result<Rated, Stopped> {
    let metering = |of: &PartnerId| meterings.get(of).ok_or_else(|| wrong(format!("no usage of {of} was counted")));
    let mut parts: Vec<Part<'_>> = Vec::new();
    let mut blocked: BTreeMap<String, String> = BTreeMap::new();
    for of in borne(ground, month)? {
        if let Some(why) = of.blocked {
            blocked.insert(of.partner_id.to_string(), why);
            continue;
        }
        let (partner_id, is_own) = (of.partner_id, *of.partner_id == ground.partner_id);
        let part = Part::of(ground, metering(partner_id)?, of, month);
        // As a document of its own, so that what stops it stops nobody else.
        let part = part.and_then(|part| {
            if !is_own {
                lines_of(ground, taxing, month, &[&part])?;
            }
            Ok(part)
        });
        match part {
            Ok(part) => parts.push(part),
            Err(stopped) if is_own => return Err(stopped),
            Err(stopped) => {
                blocked.insert(partner_id.to_string(), or_blocked(ground, (partner_id, month), stopped)?);
            }
        }
    }
    let all: Vec<&Part<'_>> = parts.iter().collect();
    let lines = lines_of(ground, taxing, month, &all)?;
    if lines.is_empty() {
        // All that the periods come to was billed before.
        return Ok(Rated { blocked, ..Rated::default() });
    }
    let lines = lines.iter().map(as_object).collect::<Result<_, _>>().map_err(wrong)?;
    // The months of the run, and periods that began before them.
    let spans = || parts.iter().flat_map(|part| &part.of.spans);
    let start = spans().map(|span| span.month.start.min(span.whole.start)).min();
    let end = spans().map(|span| span.month.end).max();
    let mut shadows: Vec<Shadow> = Vec::new();
    for Part { of: Borne { partner_id, spans, .. }, .. } in &parts {
        for shadow in shadows_of(ground.catalog(), metering(partner_id)?, spans).map_err(wrong)? {
            add_shadow(ground, partner_id, &mut shadows, shadow)?;
        }
    }
    Ok(Rated { lines, shadows, blocked, whole: start.zip(end).map(|(start, end)| Period { start, end }) })
}

/// Whether what a month bills of the document's partner by its other documents can be derived. Where it cannot, the
/// partner is blocked, and nothing of it is billed.
///
/// # Errors
/// [`Stopped`].
pub(crate) fn check_others(
    ground: &Ground,
    meterings: &Meterings<'_>,
    taxing: &Taxing<'_>,
    month: Month,
) -> Result<(), Stopped> {
    let Some(metering) = meterings.get(&ground.partner_id) else { return Ok(()) };
    let mut by_document: BTreeMap<(&IssuerId, &str), Vec<Span<'_>>> = BTreeMap::new();
    for span in others(ground, month)? {
        let version = span.version;
        by_document.entry((&version.issuer, version.currency.code())).or_default().push(span);
    }
    for ((issuer_id, _), spans) in by_document {
        let Some(currency) = spans.first().map(|span| span.version.currency) else { continue };
        let none = || wrong(format!("the catalog has no issuer {issuer_id}"));
        let zone = ground.catalog().issuers.get(issuer_id).ok_or_else(none)?.time_zone;
        let priced = priced(ground.catalog(), currency, metering, &spans)?;
        let taxing = Taxing { issuer_id: issuer_id.as_str(), zone, currency, ..taxing.clone() };
        let of = Borne { partner_id: &ground.partner_id, spans, blocked: None };
        lines_of(ground, &taxing, month, &[&Part { of, priced, commitments: Vec::new() }])?;
    }
    Ok(())
}

/// All lines of a document: prices in the order of its parts, what contracts ask for in the order of partners.
fn lines_of(ground: &Ground, taxing: &Taxing<'_>, month: Month, parts: &[&Part<'_>]) -> Result<Vec<Line>, Stopped> {
    let mut by_partner = parts.to_vec();
    by_partner.sort_by_key(|part| part.of.partner_id);
    let prices = parts.iter().flat_map(|part| &part.priced.prices);
    let minimums = by_partner.iter().flat_map(|part| &part.priced.minimums);
    let commitments = by_partner.iter().flat_map(|part| &part.commitments);
    let lines: Vec<Coded> = prices.chain(minimums).chain(commitments).cloned().collect();
    let coupons = take_off(taxing, &ground.registry, month, &lines).map_err(wrong)?;
    let tax = taxing.lines_of(&lines, &coupons.left_minor, month).map_err(wrong)?;
    Ok(lines.into_iter().map(|(line, _)| line).chain(coupons.lines).chain(tax).collect())
}

/// Puts a shadow bill of one partner to those that are there: one for each plan and currency.
fn add_shadow(
    ground: &Ground,
    partner_id: &PartnerId,
    shadows: &mut Vec<Shadow>,
    of_partner: Shadow,
) -> Result<(), Stopped> {
    let Shadow { currency, lines, plan_id, total_minor } = of_partner;
    let known = shadows.iter().position(|shadow| shadow.plan_id == plan_id && shadow.currency == currency);
    let at = known.unwrap_or(shadows.len());
    if known.is_none() {
        shadows.push(Shadow { currency, lines: Vec::new(), plan_id, total_minor: 0 });
    }
    let shadow = &mut shadows[at];
    let sum = shadow.total_minor.checked_add(total_minor);
    shadow.total_minor = sum.ok_or_else(|| wrong("the shadow bill does not add up in 63 bits"))?;
    for line in lines {
        let line_number = shadow.lines.len() + 1;
        shadow.lines.push(Line { line_number, ..named(ground, partner_id, line) });
    }
    Ok(())
}
