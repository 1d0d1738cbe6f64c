//! Which documents of a month are due, for whom, and why one is not an invoice yet. Pure.
//!
//! Takes what the month comes to now, the stored drafts, what holds them, and the clock; gives a row for each place
//! that is not issued, with everything that keeps it, in the order in which it is mended. What nothing keeps is ready:
//! the next `bill issue` makes an invoice of it. Nobody is left out (I9): who is blocked has a row too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use tollbook_schemas::id::{InvoiceId, IssuerId, PartnerId};
use tollbook_schemas::money::Money;
use tollbook_schemas::period::{Month, print_instant};

use crate::document::{Document, DocumentKind};
use crate::draft::Drafted;
use crate::hold::HeldDraft;
use crate::issue::{Slots, billed_before, billed_elsewhere, billed_subscriptions};

/// What decides.
pub struct DueInput<'a> {
    /// What the month comes to now.
    pub drafted: &'a Drafted,
    /// The stored documents of the month.
    pub documents: &'a BTreeMap<InvoiceId, Document>,
    /// What is issued and what is drafted.
    pub slots: &'a Slots,
    /// Drafts that a person or a policy holds.
    pub held: &'a [HeldDraft],
    /// Partners of which lifecycle events are known that `usage` does not know yet.
    pub overtaken: &'a BTreeSet<PartnerId>,
    /// By the jobs' clock.
    pub now: DateTime<Utc>,
    /// How long behind its end a period stays open.
    pub grace: TimeDelta,
    /// How far the data behind `usage` reach; none where nobody knows.
    pub reach: Option<DateTime<Utc>>,
}

/// One place that no invoice fills yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRow {
    /// Partner that is billed.
    pub partner_id: PartnerId,
    /// Month.
    pub month: Month,
    /// Issuer; none where nothing can be drafted.
    pub issuer_id: Option<IssuerId>,
    /// What it will be.
    pub kind: Option<DocumentKind>,
    /// What it comes to now.
    pub total: Option<Money>,
    /// The stored draft, where there is one.
    pub draft: Option<InvoiceId>,
    /// First instant after the period.
    pub period_end: Option<DateTime<Utc>>,
    /// From when on it may be issued: the end with the grace behind it.
    pub closes_at: Option<DateTime<Utc>>,
    /// Everything that keeps it; none where it is ready.
    pub why_not: Vec<WhyNot>,
}

impl DueRow {
    /// Whether the next `bill issue` makes an invoice of it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.why_not.is_empty()
    }
}

/// What keeps a place from being issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyNot {
    /// The partner cannot be billed.
    Blocked(String),
    /// The period runs.
    NotEnded(DateTime<Utc>),
    /// The period ended, and stays open for what comes late.
    InGrace(DateTime<Utc>),
    /// The data do not reach to the end of the period; how far they do, where that is known.
    Incomplete(Option<DateTime<Utc>>),
    /// Newer lifecycle events of the partner are in no usage.
    Overtaken,
    /// Nothing is drafted.
    NotDrafted,
    /// What is drafted is not what it comes to now.
    Stale,
    /// A person or a policy holds it.
    Held(String),
    /// One of its subscriptions was billed for the month in another place, and what it has of others is on no document.
    BilledElsewhere(String),
}

impl WhyNot {
    /// One word, for machines.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Blocked(_) => "blocked",
            Self::NotEnded(_) => "not_ended",
            Self::InGrace(_) => "in_grace",
            Self::Incomplete(_) => "incomplete",
            Self::Overtaken => "overtaken",
            Self::NotDrafted => "not_drafted",
            Self::Stale => "stale",
            Self::Held(_) => "held",
            Self::BilledElsewhere(_) => "billed_elsewhere",
        }
    }
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked(reason) => write!(f, "blocked: {reason}"),
            Self::NotEnded(end) => write!(f, "the period ends at {}", print_instant(*end)),
            Self::InGrace(until) => write!(f, "it stays open for what comes late until {}", print_instant(*until)),
            Self::Incomplete(Some(reach)) => {
                write!(f, "the data reach only to {}: ingest and aggregate", print_instant(*reach))
            }
            Self::Incomplete(None) => write!(f, "it is not known how far the data reach: ingest and aggregate"),
            Self::Overtaken => write!(f, "newer lifecycle events are in no usage: aggregate and draft"),
            Self::NotDrafted => write!(f, "not drafted: `tollbook bill draft`"),
            Self::Stale => write!(f, "drafted from what was known before: `tollbook bill draft`"),
            Self::Held(by) => write!(f, "{by}"),
            Self::BilledElsewhere(what) => write!(f, "{what}"),
        }
    }
}

/// The places of a month that are not issued, by partner, issuer and currency; who is blocked comes behind the
/// documents of the same partner.
#[must_use]
pub fn due(input: &DueInput<'_>) -> Vec<DueRow> {
    let billed = billed_subscriptions(input.documents.values(), input.slots);
    let is_not_issued = |document: &&Document| input.slots.issued_in(&document.slot_id).is_none();
    let is_open = |document: &&Document| is_not_issued(document) && billed_before(document, &billed).is_none();
    let today: BTreeMap<_, _> = input.drafted.documents.iter().map(|document| (&document.slot_id, document)).collect();
    let mut rows: Vec<DueRow> =
        today.values().copied().filter(is_open).map(|document| row_of(input, document)).collect();
    // Drafts of what the month does not come to any more.
    let is_left = |document: &&Document| {
        input.slots.current_draft(&document.slot_id) == Some(&document.invoice_id)
            && !today.contains_key(&document.slot_id)
    };
    for document in input.documents.values().filter(is_open).filter(is_left) {
        let row = row_of(input, document);
        let why_not = row.why_not.into_iter().filter(|why| *why != WhyNot::Stale).chain([WhyNot::Stale]).collect();
        rows.push(DueRow { why_not, ..row });
    }
    // What was billed in another place is not due again; what else such a document has is on none.
    for document in today.values().copied().filter(is_not_issued) {
        let elsewhere = billed_elsewhere(document, &billed);
        let Some(elsewhere) = elsewhere.filter(|one| one.rest.is_none_or(|rest| rest.minor != 0)) else { continue };
        let why_not = vec![WhyNot::BilledElsewhere(elsewhere.to_string())];
        rows.push(DueRow { why_not, total: elsewhere.rest, ..row_of(input, document) });
    }
    let amount = |row: &DueRow| row.total.map(|total| (total.currency, total.minor));
    rows.sort_by(|a, b| (&a.partner_id, &a.issuer_id, amount(a)).cmp(&(&b.partner_id, &b.issuer_id, amount(b))));
    for blocked in &input.drafted.blocked {
        let at = rows.partition_point(|row| row.partner_id <= blocked.partner_id);
        let row = DueRow {
            partner_id: blocked.partner_id.clone(),
            month: input.drafted.month,
            issuer_id: None,
            kind: None,
            total: None,
            draft: None,
            period_end: None,
            closes_at: None,
            why_not: vec![WhyNot::Blocked(blocked.reason.clone())],
        };
        rows.insert(at, row);
    }
    rows
}

fn row_of(input: &DueInput<'_>, document: &Document) -> DueRow {
    let body = &document.body;
    let end = body.period_end;
    // A period so late that it has no end with the grace is never closed.
    let closes_at = end.checked_add_signed(input.grace).unwrap_or(DateTime::<Utc>::MAX_UTC);
    let mut why_not = Vec::new();
    if end > input.now {
        why_not.push(WhyNot::NotEnded(end));
    } else if closes_at > input.now {
        why_not.push(WhyNot::InGrace(closes_at));
    }
    if end <= input.now && input.reach.is_none_or(|reach| reach < end) {
        why_not.push(WhyNot::Incomplete(input.reach));
    }
    let for_others = body.lines.iter().filter_map(|line| line.for_partner.as_ref());
    if for_others.chain([&body.partner_id]).any(|partner_id| input.overtaken.contains(partner_id)) {
        why_not.push(WhyNot::Overtaken);
    }
    let draft = input.slots.current_draft(&document.slot_id);
    match draft {
        // A period that runs is not drafted, and needs not be.
        None if end > input.now => {}
        None => why_not.push(WhyNot::NotDrafted),
        Some(draft) if *draft != document.invoice_id => why_not.push(WhyNot::Stale),
        Some(_) => {}
    }
    let held = input.held.iter().find(|held| held.slot_id == document.slot_id);
    why_not.extend(held.map(|held| WhyNot::Held(held.to_string())));
    DueRow {
        partner_id: body.partner_id.clone(),
        month: body.month,
        issuer_id: Some(body.issuer.issuer_id.clone()),
        kind: Some(body.kind),
        total: Some(document.total()),
        draft: draft.cloned(),
        period_end: Some(end),
        closes_at: Some(closes_at),
        why_not,
    }
}

#[cfg(test)]
mod tests;
