//! Drafting: usage, registry, catalog and billing profiles at a pin in, documents for one month out. Pure.
//!
//! For each subscription: its billing periods that end in the month, in its own time zone and cut to its own start and
//! end, are the **spans** that are billed; the plan version in force at the start of a span prices it, and so does the
//! contract that its partner has then. A plan's periods are the months of the calendar unless it says otherwise. Every
//! price of the plan is a line, at 0 too, so that a customer sees what was counted. Subscriptions of a partner with the
//! same issuer and currency share one document, ordered by subscription, then as the plan lists its prices.
//!
//! Decisions, each chosen so that nothing is billed by a guess:
//!
//! - a flat price is charged in full for a part of a month unless it says `proration`; its working tells the share;
//! - only production usage is billed (I8), and a slice must lie inside the span: one that straddles its edge means
//!   that usage was cut by other rules than billing's (I3), and the partner is blocked;
//! - two subscriptions that would bill the same meter for the same time block the partner;
//! - a partner that cannot be billed is blocked with a reason that says how to mend it; the others go on.

mod adjust;
mod advance;
mod by_hand;
mod changed_terms;
mod commitment;
mod contract;
mod coupon;
mod credit;
mod documents;
mod foreseen;
mod going_live;
mod index;
mod line;
mod outside;
mod parts;
mod payer;
mod rollover;
mod shadow;
mod side_by_side;
mod span;
mod tax;
mod taxed_otherwise;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use chrono::{DateTime, TimeDelta, Utc};
use tollbook_schemas::catalog::{Catalog, Issuer};
use tollbook_schemas::id::{IssuerId, PartnerId};
use tollbook_schemas::money::Currency;
use tollbook_schemas::period::{Month, print_instant};
use tollbook_schemas::registry::{Finding, Registry, Subscription};

use crate::billed::IssuedDocument;
use crate::document::{Body, Document, DocumentKind, FORMAT, IssuedBy, Line};
use crate::error::BillingError;
use crate::profile::{Profile, Profiles, TERMS_DAYS_MAX};
use crate::usage::UsageSlice;

use documents::{Documents, closed};
use index::UsageIndex;
pub use line::PAUSED;
use span::Span;

pub use adjust::Unadjusted;
pub use by_hand::is_current_by_hand;
pub(crate) use by_hand::{BilledByHand, billed_by_hand};
pub use changed_terms::{ChangedTerms, TermsChanges, changed_terms};
pub(crate) use commitment::COMMITMENT;
pub use credit::{Used, is_current_credit, used_credits};
pub use foreseen::{Foreseen, foreseen};

/// Everything a draft is made from.
#[derive(Debug, Clone, Copy)]
pub struct DraftInput<'a> {
    /// Month to bill.
    pub month: Month,
    /// Usage rows; those of other months and partners may be among them.
    pub usage: &'a [UsageSlice],
    /// Partners and subscriptions at the pin.
    pub registry: &'a Registry,
    /// Catalog.
    pub catalog: &'a Catalog,
    /// Billing profiles, all versions.
    pub profiles: &'a Profiles,
    /// What was known, as JSON.
    pub pin_json: &'a str,
    /// Instant at which a billing profile must be in force.
    pub as_of: DateTime<Utc>,
    /// What of the present catalog would make another month of the past, by the hash of an earlier catalog and issuer:
    /// months that were billed with it are not adjusted. See [`changed_terms`].
    pub terms_changes: &'a TermsChanges,
}

/// A partner that should be billed and cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// Partner.
    pub partner_id: PartnerId,
    /// Why, and how to mend it.
    pub reason: String,
}

/// What a month comes to. Every partner of the registry is in exactly one of the three lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drafted {
    /// Month.
    pub month: Month,
    /// Documents, by issuer, partner and currency.
    pub documents: Vec<Document>,
    /// Partners that cannot be billed, with the reason.
    pub blocked: Vec<Blocked>,
    /// Partners that have nothing to bill, with the reason.
    pub without: Vec<(PartnerId, String)>,
    /// Earlier months that were billed, come to something else now, and cannot be adjusted.
    pub unadjusted: Vec<Unadjusted>,
    /// What partners with documents used in the month before billing started here: listed, and never billed.
    pub elsewhere: Vec<(PartnerId, String)>,
    /// What partners used in the month outside their subscriptions: listed, and never billed.
    pub outside: Vec<(PartnerId, String)>,
    /// Subscriptions of one partner that bill one product for the same time: billed as they say, and listed.
    pub side_by_side: Vec<(PartnerId, String)>,
}

impl Drafted {
    /// Documents that give something back.
    #[must_use]
    pub fn credit_note_count(&self) -> usize {
        self.documents.iter().filter(|document| !document.body.kind.is_invoice()).count()
    }

    /// Lines that adjust earlier months, on whatever document.
    #[must_use]
    pub fn adjustment_line_count(&self) -> usize {
        let lines = self.documents.iter().flat_map(|document| &document.body.lines);
        lines.filter(|line| line.adjusts.is_some()).count()
    }

    /// Nothing yet.
    #[must_use]
    pub fn of(month: Month) -> Self {
        Self {
            month,
            documents: Vec::new(),
            blocked: Vec::new(),
            without: Vec::new(),
            unadjusted: Vec::new(),
            elsewhere: Vec::new(),
            outside: Vec::new(),
            side_by_side: Vec::new(),
        }
    }

    /// Takes in what other partners come to.
    pub fn add(&mut self, other: Self) {
        self.documents.extend(other.documents);
        self.blocked.extend(other.blocked);
        self.without.extend(other.without);
        self.unadjusted.extend(other.unadjusted);
        self.elsewhere.extend(other.elsewhere);
        self.outside.extend(other.outside);
        self.side_by_side.extend(other.side_by_side);
    }
}

/// Drafts a month, without what earlier months are to be adjusted by.
#[must_use]
pub fn draft(input: &DraftInput<'_>) -> Drafted {
    let Ok(drafted) = parts::draft_parts(input, &[], parts::PART_PARTNERS, |input, part| {
        let mut drafted = regular(input, &part.usage);
        list_beside(input, &part.usage, &mut drafted);
        // Nothing that was issued is looked at, so nothing of it can be wrong.
        Ok::<_, Infallible>(drafted)
    });
    drafted
}

/// Drafts a month with what earlier months are to be adjusted by, what was made by hand, and the credits that pay for
/// it.
///
/// # Errors
/// [`BillingError::Stored`] where what was issued contradicts itself.
pub fn draft_adjusting(input: &DraftInput<'_>, issued: &[IssuedDocument]) -> Result<Drafted, BillingError> {
    parts::draft_parts(input, issued, parts::PART_PARTNERS, |input, part| of_partners(input, &part.usage, &part.issued))
}

/// The same for partners of which all is given: what a document has, in the order in which it comes to it.
fn of_partners(
    input: &DraftInput<'_>,
    usage: &UsageIndex<'_>,
    issued: &[&IssuedDocument],
) -> Result<Drafted, BillingError> {
    let mut drafted = regular(input, usage);
    let mut documents = Documents::of(std::mem::take(&mut drafted.documents));
    adjust::add(input, usage, issued, &mut documents, &mut drafted)?;
    by_hand::add(input, issued, &mut documents, &mut drafted);
    // Last: they pay what everything else comes to.
    credit::add(input, issued, &mut documents, &mut drafted);
    drafted.documents = documents.into_sorted();
    list_beside(input, usage, &mut drafted);
    let with_documents: BTreeSet<&PartnerId> = drafted.documents.iter().map(|one| &one.body.partner_id).collect();
    let blocked: BTreeSet<&PartnerId> = drafted.blocked.iter().map(|one| &one.partner_id).collect();
    drafted.without.retain(|(partner_id, _)| !with_documents.contains(partner_id) && !blocked.contains(partner_id));
    Ok(drafted)
}

/// What is told of partners and stands on no document (I9).
fn list_beside(input: &DraftInput<'_>, usage: &UsageIndex<'_>, drafted: &mut Drafted) {
    let own = by_partner(input.registry);
    outside::list(input, usage, &own, drafted);
    side_by_side::list(input, &own, drafted);
}

/// What a month bills of itself.
fn regular(input: &DraftInput<'_>, usage: &UsageIndex<'_>) -> Drafted {
    let mut drafted = Drafted::of(input.month);
    let subscribers = input.registry.subscriptions.values().map(|subscription| &subscription.partner_id);
    let partners: BTreeSet<&PartnerId> = input.registry.partners.keys().chain(subscribers).collect();
    for partner_id in partners {
        match documents_of(input, usage, partner_id) {
            Err(reason) => drafted.blocked.push(Blocked { partner_id: partner_id.clone(), reason }),
            Ok(documents) if documents.is_empty() => {
                drafted.without.push((partner_id.clone(), why_nothing(input, usage, partner_id)));
            }
            Ok(documents) => {
                let used = going_live::used_before(input, usage, partner_id);
                drafted.elsewhere.extend(used.map(|used| (partner_id.clone(), used)));
                drafted.documents.extend(documents);
            }
        }
    }
    drafted.documents.sort_by(|a, b| order_of(a).cmp(&order_of(b)));
    drafted
}

/// The order in which documents are listed and numbered: a credit note after the invoice, by the number that it
/// credits.
pub(crate) fn order_of(document: &Document) -> (&IssuerId, &PartnerId, Currency, Option<&str>) {
    let body = &document.body;
    let credited = body.credits.as_ref().map(|credits| credits.number.as_str());
    (&body.issuer.issuer_id, &body.partner_id, body.currency, credited)
}

fn documents_of(
    input: &DraftInput<'_>,
    usage: &UsageIndex<'_>,
    partner_id: &PartnerId,
) -> Result<Vec<Document>, String> {
    let own = spans_of_partner(input, partner_id)?;
    let (paid, mut spans): (Vec<Span<'_>>, Vec<Span<'_>>) = own.into_iter().partition(|span| span.payer.is_some());
    // What another pays for is on its invoice, and what is wrong with it is told here: it blocks nobody else.
    for payer in paid.iter().filter_map(|span| span.payer).collect::<BTreeSet<_>>() {
        let borne: Vec<&Span<'_>> = paid.iter().filter(|span| span.payer == Some(payer)).collect();
        payer::check(input, usage, payer, &borne)?;
    }
    for child in payer::children(input, partner_id) {
        let Ok(of_child) = spans_of_partner(input, child) else { continue };
        let of_child = of_child.into_iter().filter(|span| span.payer == Some(partner_id)).collect::<Vec<_>>();
        if payer::check(input, usage, partner_id, &of_child.iter().collect::<Vec<_>>()).is_ok() {
            spans.extend(of_child);
        }
    }
    if spans.is_empty() {
        return Ok(Vec::new());
    }
    let profile = profile_of(input, partner_id)?;
    by_document(&spans.iter().collect::<Vec<_>>())
        .into_iter()
        .filter_map(|((issuer, currency), spans)| {
            document_of(input, usage, profile, issuer, currency, &spans).transpose()
        })
        .collect()
}

/// Subscriptions by the partner whose they are, whoever pays.
type ByPartner<'a> = BTreeMap<&'a PartnerId, Vec<&'a Subscription>>;

fn by_partner(registry: &Registry) -> ByPartner<'_> {
    let mut by_partner = ByPartner::new();
    for subscription in registry.subscriptions.values() {
        by_partner.entry(&subscription.partner_id).or_default().push(subscription);
    }
    by_partner
}

/// Spans by the document that they are on.
fn by_document<'s, 'a>(spans: &[&'s Span<'a>]) -> BTreeMap<(&'a IssuerId, Currency), Vec<&'s Span<'a>>> {
    let mut by_document: BTreeMap<_, Vec<&Span<'_>>> = BTreeMap::new();
    for span in spans {
        by_document.entry((&span.version.issuer, span.version.currency)).or_default().push(*span);
    }
    by_document
}

/// What the month bills of a partner's subscriptions, whoever pays.
fn spans_of_partner<'a>(input: &DraftInput<'a>, partner_id: &PartnerId) -> Result<Vec<Span<'a>>, String> {
    // A subscription that could not be read would otherwise look like none: unbilled, and nobody told.
    let contradiction =
        |finding: &&Finding| finding.partner_id.as_ref() == Some(partner_id) && finding.blocks_billing();
    if let Some(finding) = input.registry.findings.iter().find(contradiction) {
        return Err(format!(
            "{}; put it right with `tollbook partner record`, see \"Correcting partners\" in docs/operations.md",
            finding.what
        ));
    }
    let mut spans = Vec::new();
    for subscription in input.registry.subscriptions_of(partner_id) {
        spans.extend(span::spans_of(input, subscription)?);
    }
    span::check_openings(input, partner_id)?;
    span::check_overlaps(&spans)?;
    payer::check_one(input, partner_id, &spans)?;
    commitment::check_billed(input, partner_id, &spans)?;
    Ok(spans)
}

/// The billing profile in force.
fn profile_of<'a>(input: &DraftInput<'a>, partner_id: &PartnerId) -> Result<&'a Profile, String> {
    let profile = input.profiles.at(partner_id, input.as_of)?.ok_or_else(|| {
        format!(
            "no billing profile is in force; import one with `tollbook partner import` and draft {} again",
            input.month
        )
    })?;
    if profile.payment_terms_days > TERMS_DAYS_MAX {
        return Err(format!(
            "billing profile {} has payment_terms_days {}, more than {TERMS_DAYS_MAX}; import it again with \
             `tollbook partner import`",
            profile.profile_version_id, profile.payment_terms_days
        ));
    }
    Ok(profile)
}

/// An issuer, as it is now.
fn issuer_named<'a>(input: &DraftInput<'a>, issuer_id: &IssuerId) -> Result<&'a Issuer, String> {
    let issuer = input.catalog.issuers.get(issuer_id);
    issuer.ok_or_else(|| format!("the catalog has no issuer {issuer_id} any more; put it back"))
}

/// The version of an issuer that a document of a period bears: the one in force at its last instant.
fn issuer_of<'a>(
    input: &DraftInput<'a>,
    issuer_id: &IssuerId,
    period_end: DateTime<Utc>,
) -> Result<&'a Issuer, String> {
    issuer_named(input, issuer_id)?;
    let last = period_end - TimeDelta::microseconds(1);
    input.catalog.issuer_at(issuer_id, last).ok_or_else(|| {
        format!(
            "issuer {issuer_id} has no version in force at {}, the end of the period; give a version an earlier \
             effective_from",
            print_instant(last)
        )
    })
}

/// None where nothing of the spans is due in this run: all of it was billed before.
fn document_of(
    input: &DraftInput<'_>,
    usage: &UsageIndex<'_>,
    profile: &Profile,
    issuer_id: &IssuerId,
    currency: Currency,
    spans: &[&Span<'_>],
) -> Result<Option<Document>, String> {
    // Zones may differ between subscriptions: the document's period covers each one's month.
    let period_start = spans.iter().map(|span| span.month.start.min(span.period.start)).min();
    let period_end = spans.iter().map(|span| span.month.end).max();
    let (Some(period_start), Some(period_end)) = (period_start, period_end) else {
        return Err("a document has no subscription".to_owned());
    };
    let issuer = issuer_of(input, issuer_id, period_end)?;
    let over: Vec<&Span<'_>> = spans.iter().copied().filter(|span| span.bills.usage).collect();
    // With each line, for tax, its code.
    let (mut lines, mut tax_codes): (Vec<Line>, Vec<Option<&str>>) =
        priced_lines(input, usage, spans, currency)?.into_iter().unzip();
    let of = (issuer_id, currency);
    for (line, tax_code) in commitment::lines_of(input, usage, of, &over)? {
        lines.push(line);
        tax_codes.push(tax_code);
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let taxing = tax::Taxing { input, issuer_id, issuer, partner_id: &profile.partner_id, currency };
    let coupons = coupon::coupons(&taxing, &lines)?;
    let tax = taxing.lines_of(&lines, &tax_codes, &coupons.left_minor)?;
    lines.extend(coupons.lines.into_iter().chain(tax));
    closed(Body {
        catalog_sha256: input.catalog.sha256.clone(),
        credits: None,
        currency,
        format: FORMAT,
        issuer: IssuedBy::of(issuer_id, issuer),
        kind: DocumentKind::Invoice,
        lines,
        month: input.month,
        partner_id: profile.partner_id.clone(),
        payment_terms_days: profile.payment_terms_days,
        period_end,
        period_start,
        pin: input.pin_json.to_owned(),
        profile_version_id: profile.profile_version_id.clone(),
        shadows: shadow::shadows_of(input, usage, &over)?,
        total_minor: 0,
    })
    .map(Some)
}

/// The lines of prices, and what is missing to minimums of contracts, each with its tax code.
fn priced_lines<'s>(
    input: &DraftInput<'_>,
    usage: &UsageIndex<'_>,
    spans: &[&'s Span<'_>],
    currency: Currency,
) -> Result<Vec<(Line, Option<&'s str>)>, String> {
    let mut lines = Vec::new();
    let mut tax_codes: Vec<Option<&'s str>> = Vec::new();
    for span in spans {
        for price in span.prices.iter().filter(|price| span.bills.price(price)) {
            lines.push(line::line_of(input.catalog, usage, span, price)?);
            lines.extend(line::paused_line_of(input.catalog, usage, span, price)?);
            tax_codes.resize(lines.len(), price.tax_code.as_deref());
        }
    }
    let over: Vec<&'s Span<'_>> = spans.iter().copied().filter(|span| span.bills.usage).collect();
    for (line, tax_code) in contract::minimums(input, usage, &over, &lines, currency)? {
        lines.push(line);
        tax_codes.push(tax_code);
    }
    Ok(lines.into_iter().zip(tax_codes).collect())
}

/// Nothing is dropped in silence (I9): a partner without a subscription may still have traffic.
fn why_nothing(input: &DraftInput<'_>, usage: &UsageIndex<'_>, partner_id: &PartnerId) -> String {
    let month = input.month;
    if span::is_billed_elsewhere(input, partner_id)
        && let Some(reason) = going_live::elsewhere(input, partner_id)
    {
        let used = going_live::used_before(input, usage, partner_id);
        return used.map_or_else(|| reason.clone(), |used| format!("{reason}; {used}"));
    }
    let own = || input.registry.subscriptions_of(partner_id);
    if let Some(payers) = payer::billed_under(input, partner_id) {
        return format!("billed under {payers}");
    }
    if let Some(told) = own().find_map(|subscription| span::when_billed(input, subscription)) {
        return told;
    }
    if own().next().is_some() {
        // What it used all the same is in another list.
        return format!("no subscription runs in {month}");
    }
    // Without a subscription there is no zone: the UTC month will do to say that there was something.
    let inside = |slice: &&UsageSlice| {
        slice.event_date.format("%Y-%m").to_string() == month.to_string() && slice.event_count > 0
    };
    let unbilled = usage.meters_of(partner_id).filter_map(|(meter_id, slices)| {
        let slices: Vec<&UsageSlice> = slices.iter().copied().filter(inside).collect();
        (!slices.is_empty()).then(|| outside::told_of(input, meter_id, &slices))
    });
    let unbilled: Vec<String> = unbilled.collect();
    let subject = format!("never subscribed, so none runs in {month}");
    match unbilled.is_empty() {
        true => subject,
        false => format!("{subject}; its production usage of {} is not billed", unbilled.join(", ")),
    }
}

#[cfg(test)]
pub(crate) mod tests;
