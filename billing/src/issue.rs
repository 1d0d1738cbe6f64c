//! Drafts into the lake, and drafts into invoices.
//!
//! What a draft writes (`invoice_line`, `billed_usage`, `invoice`) is inert: ids are derived from content, so the same
//! draft written twice is one. The `drafted` event makes it the current draft of its slot, and withdraws the one
//! before, also where a partner has nothing to bill any more. Only the `issued` event makes an invoice: it and the
//! txn `number/<issuer>` (the issuer's next free number) are one commit on `invoice_event`, so numbers have no gap and
//! a number is given once, however many issue at the same time. A slot with an issued invoice is closed (I5). What somebody
//! or a policy holds is left (`hold`); whoever holds a draft while it is issued makes that commit fail, too.

mod changed;
mod issued;
mod slots;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use tollbook_lake::{KnownGroups, Lake, Outcome, TxnStep, each_beside, rows_app_id};
use tollbook_schemas::actor::Actor;
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::id::{IdError, InvoiceId, IssuerId, PartnerId, SlotId, SubscriptionId};
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::{Month, print_instant};
use tollbook_schemas::tables::billing::{BILLED_USAGE, INVOICE, INVOICE_EVENT, INVOICE_LINE};
use tollbook_schemas::tables::{Cells, Row};

use crate::billed::{Billed, IssuedDocument};
use crate::document::{Document, Line, billed_usage_batch, count_of, invoice_batch, line_batch};
use crate::draft::{Drafted, is_current_by_hand, is_current_credit};
use crate::error::BillingError;
use crate::event::{EventKind, InvoiceEvent, events_of};
use crate::hold::{self, HeldDraft, Holds};
use crate::policy::HoldPolicy;
use crate::range::PartnerRange;

pub use changed::{ChangedSinceIssue, changed_since_issue};
pub use issued::{read_issued, read_issued_of};
pub use slots::{Slot, Slots};

/// The step of events about drafts.
pub(crate) const DRAFT: &str = "draft";
/// The step of the event that issues.
pub(crate) const ISSUE: &str = "issue";
/// Attempts to win the number sequence before somebody else must be asked what is going on.
const ATTEMPTS: usize = 20;
/// The kinds of events that decide what a slot holds.
const SLOT_KINDS: &str = "kind IN ('drafted', 'withdrawn', 'issued')";

/// What [`draft_into`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DraftCounts {
    /// Documents that became the current draft of their slot.
    pub drafted: usize,
    /// Documents that were the current draft already.
    pub unchanged: usize,
    /// Drafts that may not be issued any more.
    pub withdrawn: Vec<(PartnerId, InvoiceId)>,
    /// Partners whose slot holds an issued invoice.
    pub already_issued: Vec<(PartnerId, InvoiceId)>,
    /// Issued invoices of the month that would be others today: a later month's draft adjusts them.
    pub changed_since_issue: Vec<ChangedSinceIssue>,
    /// Documents that would bill a subscription a second time for the month, in another slot (its plan moved to
    /// another issuer or currency), and the invoice that billed it: never written.
    pub billed_elsewhere: Vec<(PartnerId, InvoiceId)>,
}

impl DraftCounts {
    /// Takes in what was done for other partners.
    pub fn add(&mut self, other: Self) {
        self.drafted += other.drafted;
        self.unchanged += other.unchanged;
        self.withdrawn.extend(other.withdrawn);
        self.already_issued.extend(other.already_issued);
        self.changed_since_issue.extend(other.changed_since_issue);
        self.billed_elsewhere.extend(other.billed_elsewhere);
    }
}

/// What `usage` is now: only documents that were rated from just this, with the present catalog, are issued.
#[derive(Debug, Clone, Copy)]
pub struct UsageState<'a> {
    /// Its pin, as documents carry it.
    pub pin_json: &'a str,
    /// How far the data behind it reach: a period that ends later is not complete. None where nobody knows.
    pub reach: Option<DateTime<Utc>>,
    /// The instant from which is looked: a period that ends later has not ended.
    pub as_of: DateTime<Utc>,
    /// Why invoices are issued although their period is not complete; none where they are not.
    pub accept_incomplete: Option<&'a str>,
    /// Partners of which lifecycle events are known that `usage` and drafts do not know yet: their drafts are stale.
    /// A subscription may have been cancelled, and its customer must not be charged for what is known to be over.
    pub overtaken: &'a BTreeSet<PartnerId>,
    /// Which drafts wait for somebody to approve them.
    pub policy: &'a HoldPolicy,
}

impl UsageState<'_> {
    /// What the `issued` event of a document says, where its period is not complete; `Err` where it may not be issued.
    fn completeness(&self, document: &Document) -> Result<Option<String>, Incomplete> {
        if self.reach.is_some_and(|reach| document.body.period_end <= reach) {
            return Ok(None);
        }
        let reason = self.accept_incomplete.ok_or(Incomplete)?;
        Ok(Some(match self.reach {
            Some(reach) => format!("issued although the data reach only to {}: {reason}", print_instant(reach)),
            None => format!("issued although it is not known how far the data reach: {reason}"),
        }))
    }
}

/// The data do not reach to the end of a period.
struct Incomplete;

/// One issued invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedInvoice {
    /// Invoice.
    pub invoice_id: InvoiceId,
    /// Partner.
    pub partner_id: PartnerId,
    /// Issuer.
    pub issuer_id: IssuerId,
    /// Number.
    pub number: String,
    /// Total.
    pub total: Money,
    /// In words, that the data did not reach to the end of its period, and why it was issued all the same.
    pub incomplete: Option<String>,
}

/// A draft whose period has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotEnded {
    /// Partner.
    pub partner_id: PartnerId,
    /// Draft.
    pub invoice_id: InvoiceId,
    /// First instant after its period.
    pub period_end: DateTime<Utc>,
}

/// What [`issue`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Issued {
    /// Invoices issued now, in number order by issuer.
    pub invoices: Vec<IssuedInvoice>,
    /// Invoices of the month that were issued before.
    pub already_issued: usize,
    /// Drafts whose period has not ended; they are left as they are.
    pub not_ended: Vec<NotEnded>,
    /// Drafts whose period has ended, but the data do not reach to its end; they are left, with that end.
    pub incomplete: Vec<(PartnerId, DateTime<Utc>)>,
    /// Drafts of another state of `usage` than the present one, of another catalog, or of partners of which newer
    /// lifecycle events are known: they must be drafted again first.
    pub stale: Vec<(PartnerId, InvoiceId)>,
    /// Drafts of a subscription that another slot's invoice has billed for the month.
    pub billed_elsewhere: Vec<(PartnerId, InvoiceId)>,
    /// Drafts that would be issued, and that somebody or a policy holds.
    pub held: Vec<HeldDraft>,
}

impl Issued {
    /// Takes in what was done for others.
    fn add(&mut self, other: Self) {
        self.invoices.extend(other.invoices);
        self.already_issued += other.already_issued;
        self.not_ended.extend(other.not_ended);
        self.incomplete.extend(other.incomplete);
        self.stale.extend(other.stale);
        self.billed_elsewhere.extend(other.billed_elsewhere);
        self.held.extend(other.held);
    }
}

/// What a month's tables of drafts have, read once while its partners are drafted share by share, some beside each other.
#[derive(Debug)]
pub struct KnownDrafts {
    documents: Mutex<KnownGroups>,
    lines: Mutex<KnownGroups>,
    evidence: Mutex<KnownGroups>,
    /// Whoever adds events: shares that are drafted beside each other would only win over each other.
    events: Mutex<()>,
}

impl KnownDrafts {
    /// Of a month; nothing is read yet.
    #[must_use]
    pub fn of(month: Month) -> Self {
        // All of it is of the month.
        let of = |def| Mutex::new(KnownGroups::of(def, "invoice_id", &format!("period = '{month}'")));
        Self { documents: of(&INVOICE), lines: of(&INVOICE_LINE), evidence: of(&BILLED_USAGE), events: Mutex::new(()) }
    }
}

/// Writes drafts. Running twice changes nothing.
///
/// # Errors
/// [`BillingError`].
pub async fn draft_into(lake: &Lake, drafted: &Drafted, at: DateTime<Utc>) -> Result<DraftCounts, BillingError> {
    let issued = read_issued(lake, Some(drafted.month)).await?;
    draft_of(lake, &KnownDrafts::of(drafted.month), drafted, (&PartnerRange::ALL, &issued), None, at).await
}

/// The same of some partners, by somebody: each `drafted` event says by whom. Drafts of the others are left as they are.
/// `issued` are their issued documents, of the month at least.
///
/// # Errors
/// [`BillingError`].
pub async fn draft_of(
    lake: &Lake,
    known: &KnownDrafts,
    drafted: &Drafted,
    (range, issued): (&PartnerRange, &[IssuedDocument]),
    actor: Option<&Actor>,
    at: DateTime<Utc>,
) -> Result<DraftCounts, BillingError> {
    let slots = read_slots(lake, range).await?;
    let mut counts = DraftCounts::default();
    let mut open = Vec::new();
    let written = read_written(lake, drafted.month, range).await?;
    // Who was asked before may not know what somebody issued since.
    let known_ids: BTreeSet<&InvoiceId> = issued.iter().map(|known| &known.document.invoice_id).collect();
    let is_issued = |one: &&Written| slots.issued_in(&one.slot_id).is_some_and(|by| by.invoice_id == one.invoice_id);
    let anew = match written.iter().filter(is_issued).all(|one| known_ids.contains(&one.invoice_id)) {
        true => None,
        false => Some(read_issued_of(lake, Some(drafted.month), range).await?),
    };
    let issued = anew.as_deref().unwrap_or(issued);
    counts.changed_since_issue = changed_since_issue(drafted, &Billed::fold(issued, Some(drafted.month))?);
    let of_month = issued.iter().map(|one| &one.document).filter(|document| document.body.month == drafted.month);
    let billed = billed_subscriptions(of_month, &slots);
    for document in &drafted.documents {
        let partner_id = document.body.partner_id.clone();
        match (slots.issued_in(&document.slot_id), billed_before(document, &billed)) {
            (Some(issued), _) => counts.already_issued.push((partner_id, issued.invoice_id.clone())),
            (None, Some(invoice_id)) => counts.billed_elsewhere.push((partner_id, invoice_id.clone())),
            (None, None) => open.push(document),
        }
    }
    // Documents that are there have their lines and evidence: these are written before them.
    let there: BTreeSet<&InvoiceId> = written.iter().map(|one| &one.invoice_id).collect();
    let new: Vec<&Document> = open.iter().copied().filter(|document| !there.contains(&document.invoice_id)).collect();
    let ids: Vec<&str> = new.iter().map(|document| document.invoice_id.as_str()).collect();
    let some = |places: &[usize]| -> Vec<&Document> { places.iter().map(|at| new[*at]).collect() };
    let mut lines = known.lines.lock().await;
    lake.append_missing_groups(&mut lines, &ids, |places| line_batch(&some(places))).await?;
    drop(lines);
    let mut evidence = known.evidence.lock().await;
    lake.append_missing_groups(&mut evidence, &ids, |places| billed_usage_batch(&some(places))).await?;
    drop(evidence);
    let mut documents = known.documents.lock().await;
    lake.append_missing_groups(&mut documents, &ids, |places| invoice_batch(&some(places))).await?;
    drop(documents);

    let mut events = Vec::new();
    let current: BTreeSet<&InvoiceId> = open.iter().map(|document| &document.invoice_id).collect();
    for document in &open {
        let past = slots.draft_generation(&document.invoice_id);
        let is_there = past.is_some_and(|(_, is_live)| is_live);
        counts.unchanged += usize::from(is_there);
        counts.drafted += usize::from(!is_there);
        // Of a draft of which nobody said who drafted it, whoever drafts it again is the drafter.
        if is_there && (actor.is_none() || slots.is_drafter_known(&document.invoice_id)) {
            continue;
        }
        // A document that was withdrawn and comes back begins a new generation.
        let generation = past.map_or(0, |(generation, _)| generation + 1);
        let event = InvoiceEvent::of(document, EventKind::Drafted, DRAFT, generation, at);
        events.push(InvoiceEvent { detail: actor.map(ToString::to_string), ..event });
    }
    // Every other draft of the month is stale: another document took its slot, or its partner is billed no more.
    for one in written.iter().filter(|one| !current.contains(&one.invoice_id)) {
        if slots.issued_in(&one.slot_id).is_some() {
            continue;
        }
        if let Some((generation, true)) = slots.draft_generation(&one.invoice_id) {
            let ids = (&one.invoice_id, &one.slot_id, &one.partner_id);
            events.push(InvoiceEvent::bare(ids, EventKind::Withdrawn, DRAFT, generation, at));
            counts.withdrawn.push((one.partner_id.clone(), one.invoice_id.clone()));
        }
    }
    let rows: Vec<Row> = events.iter().map(InvoiceEvent::to_row).collect();
    let alone = known.events.lock().await;
    lake.append_missing_where(&INVOICE_EVENT, &range.condition(), &rows).await?;
    drop(alone);
    Ok(counts)
}

/// Issues the current drafts of a month whose period has ended and is complete, or accepted as it is. Running twice
/// changes nothing.
///
/// # Errors
/// [`BillingError::Conflict`] when others won the number sequence again and again; [`BillingError::Stored`] when the
/// sequence has a gap; [`BillingError::Configuration`] when an issuer is missing (the others' invoices are issued all
/// the same); the lake's errors.
pub async fn issue(
    lake: &Lake,
    catalog: &Catalog,
    month: Month,
    usage: UsageState<'_>,
    at: DateTime<Utc>,
) -> Result<Issued, BillingError> {
    let mut issued = Issued::default();
    let mut failed = None;
    // The ranges hold every partner there may be, so whoever drafts meanwhile is in one of them.
    let (issuers, ranges) = issuers_and_ranges(lake, month).await?;
    for issuer_id in issuers {
        let mut won = None;
        for _ in 0..ATTEMPTS {
            won = match issue_of(lake, catalog, (&issuer_id, &ranges), month, usage, at).await {
                // What is wrong with one issuer's place in the catalog must not stop the others.
                Err(error @ BillingError::Configuration { .. }) => {
                    failed.get_or_insert(error);
                    Some(Issued::default())
                }
                other => other?,
            };
            if won.is_some() {
                break;
            }
        }
        let Some(of_issuer) = won else {
            let what = format!("others gave numbers of issuer {issuer_id} at the same time, {ATTEMPTS} times in a row");
            return Err(BillingError::Conflict { what });
        };
        issued.add(of_issuer);
    }
    hold::note(lake, &issued.held, at).await?;
    match failed {
        Some(error) => Err(error),
        None => Ok(issued),
    }
}

/// The app id of an issuer's number sequence; its version is the next free number.
#[must_use]
pub fn number_app_id(issuer_id: &IssuerId) -> String {
    format!("number/{issuer_id}")
}

/// One attempt for one issuer; `None` where somebody else was faster.
async fn issue_of(
    lake: &Lake,
    catalog: &Catalog,
    (issuer_id, ranges): (&IssuerId, &[PartnerRange]),
    month: Month,
    usage: UsageState<'_>,
    at: DateTime<Utc>,
) -> Result<Option<Issued>, BillingError> {
    let app_id = number_app_id(issuer_id);
    // The txns are read first: whoever issues, or withdraws a draft, after that makes our commit fail, and what the
    // rows say is never older.
    let expected = lake.txn(&INVOICE_EVENT, &app_id).await?;
    let events_app_id = rows_app_id(&INVOICE_EVENT);
    let events_expected = lake.txn(&INVOICE_EVENT, &events_app_id).await?;
    let slots = read_slots(lake, &PartnerRange::ALL).await?;
    let holds = hold::read(lake, usage.policy).await?;
    let next_free = expected.unwrap_or(1);
    let given = slots.last_sequence(issuer_id);
    if given >= next_free {
        return Ok(None);
    }
    if given + 1 != next_free {
        let what =
            format!("the next number of issuer {issuer_id} is {next_free}, but the last that was given is {given}");
        return Err(BillingError::stored(INVOICE_EVENT.name, what));
    }
    let sift = async |range: &PartnerRange| {
        let documents = read_documents_of(lake, month, range).await?;
        // Who pays for others is looked at with them: a subscription must be seen wherever it was billed.
        let mut lines = documents.values().flat_map(|document| &document.body.lines);
        if *range != PartnerRange::ALL && lines.any(|line| line.for_partner.is_some()) {
            return Ok(None);
        }
        let adjusted = documents.values().flat_map(adjusted_months).min();
        let before = match adjusted {
            Some(first) => read_issued_of(lake, Some(first), range).await?,
            None => Vec::new(),
        };
        let known = Known {
            slots: &slots,
            holds: &holds,
            catalog_sha256: &catalog.sha256,
            usage,
            before: &before,
            billed_before: Billed::fold(&before, adjusted)?,
            billed: billed_subscriptions(documents.values(), &slots),
            at,
        };
        let (mut issued, mut due) = (Issued::default(), Vec::new());
        for document in documents.values().filter(|document| document.body.issuer.issuer_id == *issuer_id) {
            due.extend(known.sift(document, &mut issued));
        }
        Ok::<_, BillingError>(Some((issued, due)))
    };
    let shares: Option<Vec<(Issued, Vec<Due>)>> = each_beside(ranges, sift).await?.into_iter().collect();
    let shares = match shares {
        Some(shares) => shares,
        None => sift(&PartnerRange::ALL).await?.into_iter().collect(),
    };
    let (mut issued, mut due) = (Issued::default(), Vec::new());
    for (of_share, due_of_share) in shares {
        issued.add(of_share);
        due.extend(due_of_share);
    }
    if due.is_empty() {
        return Ok(Some(issued));
    }
    due.sort_by(|a, b| a.order().cmp(&b.order()));
    let due_total = count_of(due.len());
    let issuer = catalog.issuers.get(issuer_id).ok_or_else(|| {
        BillingError::configuration(
            format!("the catalog has no issuer {issuer_id}, whose drafts are due"),
            "put it back: its number prefix is needed",
        )
    })?;
    let mut rows = Vec::new();
    for (sequence, due) in (next_free..).zip(due) {
        let number = format!("{}{sequence:06}", issuer.number_prefix);
        let ids = (&due.invoice_id, &due.slot_id, &due.partner_id);
        let mut event = InvoiceEvent::bare(ids, EventKind::Issued, ISSUE, 0, at);
        event.issuer_id = Some(issuer_id.clone());
        event.number = Some(number.clone());
        event.number_sequence = Some(sequence);
        event.detail.clone_from(&due.incomplete);
        rows.push(event.to_row());
        issued.invoices.push(IssuedInvoice {
            invoice_id: due.invoice_id,
            partner_id: due.partner_id,
            issuer_id: issuer_id.clone(),
            number,
            total: due.total,
            incomplete: due.incomplete,
        });
    }
    let step = TxnStep { app_id, expected, next: next_free.saturating_add(due_total) };
    let next = events_expected.unwrap_or(0).saturating_add(1);
    let events_step = TxnStep { app_id: events_app_id, expected: events_expected, next };
    match lake.append(&INVOICE_EVENT, &rows, &[step, events_step]).await? {
        Outcome::Committed => Ok(Some(issued)),
        // `Already` too: another run came to the same next number, perhaps with other invoices. Read what it did.
        Outcome::Already | Outcome::Fenced { .. } => Ok(None),
    }
}

/// A draft that is issued now, as far as its number and event need it: of many partners the documents are not kept.
struct Due {
    invoice_id: InvoiceId,
    slot_id: SlotId,
    partner_id: PartnerId,
    credits_number: Option<String>,
    total: Money,
    incomplete: Option<String>,
}

impl Due {
    /// As documents are listed (`draft::order_of`), within one issuer.
    fn order(&self) -> (&PartnerId, Currency, Option<&str>) {
        (&self.partner_id, self.total.currency, self.credits_number.as_deref())
    }
}

/// What decides whether a draft may be issued.
struct Known<'a> {
    slots: &'a Slots,
    holds: &'a Holds<'a>,
    catalog_sha256: &'a str,
    usage: UsageState<'a>,
    before: &'a [IssuedDocument],
    billed_before: Billed<'a>,
    billed: BTreeMap<&'a SubscriptionId, &'a Document>,
    at: DateTime<Utc>,
}

impl Known<'_> {
    /// The draft, where it is due; else it is put down under what keeps it.
    fn sift(&self, document: &Document, issued: &mut Issued) -> Option<Due> {
        let Self { slots, usage, .. } = self;
        let body = &document.body;
        let named = || (body.partner_id.clone(), document.invoice_id.clone());
        if let Some(invoice) = slots.issued_in(&document.slot_id) {
            issued.already_issued += usize::from(invoice.invoice_id == document.invoice_id);
            return None;
        }
        if slots.current_draft(&document.slot_id) != Some(&document.invoice_id) {
            return None;
        }
        if body.period_end > self.at.min(usage.as_of) {
            let (partner_id, invoice_id) = named();
            issued.not_ended.push(NotEnded { partner_id, invoice_id, period_end: body.period_end });
            return None;
        }
        let Ok(incomplete) = usage.completeness(document) else {
            issued.incomplete.push((body.partner_id.clone(), body.period_end));
            return None;
        };
        // Drafted at prices that were corrected since, or before a cancellation that is known by now: nobody's invoice,
        // however right it was when it was drafted.
        if body.pin != usage.pin_json
            || body.catalog_sha256 != self.catalog_sha256
            || usage.overtaken.contains(&body.partner_id)
            || body.lines.iter().any(|line| line.for_partner.as_ref().is_some_and(|own| usage.overtaken.contains(own)))
            || !self.billed_before.is_current(document)
            || !is_current_by_hand(document, self.before)
            || !is_current_credit(document, self.before)
        {
            issued.stale.push(named());
            return None;
        }
        if billed_before(document, &self.billed).is_some() {
            issued.billed_elsewhere.push(named());
            return None;
        }
        if let Some(held) = self.holds.why_held(document) {
            issued.held.push(held);
            return None;
        }
        Some(Due {
            invoice_id: document.invoice_id.clone(),
            slot_id: document.slot_id.clone(),
            partner_id: body.partner_id.clone(),
            credits_number: body.credits.as_ref().map(|credits| credits.number.clone()),
            total: document.total(),
            incomplete,
        })
    }
}

/// Partners whose documents are looked at together when they are issued; in tests so few that there are several shares.
const PARTNERS_MAX: usize = if cfg!(test) { 1 } else { 4_000 };
/// And lines of these documents.
const LINES_AT_ONCE_MAX: i64 = 20_000;

/// The issuers of a month's documents, and ranges of the partners that bound what is read of them at once.
async fn issuers_and_ranges(
    lake: &Lake,
    month: Month,
) -> Result<(BTreeSet<IssuerId>, Vec<PartnerRange>), BillingError> {
    let session = lake.empty_session()?;
    lake.register(&session, &INVOICE, None).await?;
    let sql = format!("select issuer_id, partner_id, line_count from invoice where period = '{month}'");
    let (mut issuers, mut lines) = (BTreeSet::new(), BTreeMap::new());
    for batch in lake.query(&session, &sql).await? {
        let cells = |column| Cells::of(&INVOICE, &batch, column);
        let (issuer_id, partner_id, line_count) = (cells("issuer_id")?, cells("partner_id")?, cells("line_count")?);
        for row in 0..batch.num_rows() {
            let wrong = |error: IdError| BillingError::stored(INVOICE.name, error.to_string());
            issuers.insert(IssuerId::parse(issuer_id.some_text(row)?).map_err(wrong)?);
            let partner_id = PartnerId::parse(partner_id.some_text(row)?).map_err(wrong)?;
            *lines.entry(partner_id).or_insert(0_i64) += line_count.some_int(row)?;
        }
    }
    let lines: Vec<(PartnerId, i64)> = lines.into_iter().collect();
    Ok((issuers, PartnerRange::cut(&lines, LINES_AT_ONCE_MAX, PARTNERS_MAX)))
}

/// The months that a document adjusts, as late usage or by hand.
fn adjusted_months(document: &Document) -> impl Iterator<Item = Month> {
    let by_hand = |line: &Line| line.by_hand.as_ref().map(|by_hand| by_hand.month);
    document.body.lines.iter().filter_map(move |line| {
        let credit = || line.credit.as_ref().map(|credit| credit.first_month);
        line.adjusts.as_ref().map(|a| a.month).or_else(|| by_hand(line)).or_else(credit)
    })
}

/// Which invoice of the month has billed each subscription.
pub(crate) fn billed_subscriptions<'a>(
    documents: impl Iterator<Item = &'a Document>,
    slots: &Slots,
) -> BTreeMap<&'a SubscriptionId, &'a Document> {
    let is_issued = |document: &&Document| {
        slots.issued_in(&document.slot_id).is_some_and(|issued| issued.invoice_id == document.invoice_id)
    };
    let issued = documents.filter(is_issued);
    issued.flat_map(|document| own_lines(document).map(move |line| (&line.subscription_id, document))).collect()
}

/// What a document bills of its own month.
fn own_lines(document: &Document) -> impl Iterator<Item = &Line> {
    document.body.lines.iter().filter(|line| line.adjusts.is_none())
}

/// The invoice of another slot that billed a subscription of this document.
pub(crate) fn billed_before<'a>(
    document: &Document,
    billed: &BTreeMap<&SubscriptionId, &'a Document>,
) -> Option<&'a InvoiceId> {
    let others = own_lines(document).filter_map(|line| billed.get(&line.subscription_id));
    others.filter(|other| other.slot_id != document.slot_id).map(|other| &other.invoice_id).next()
}

async fn read_slots(lake: &Lake, range: &PartnerRange) -> Result<Slots, BillingError> {
    let condition = format!("{SLOT_KINDS} and {}", range.condition());
    Slots::fold(&events_of(&lake.rows(&INVOICE_EVENT, Some(&condition)).await?)?)
}

/// A document of a month, draft or invoice, without its content.
struct Written {
    invoice_id: InvoiceId,
    slot_id: SlotId,
    partner_id: PartnerId,
}

/// The documents of a month and some partners, without their contents: most of them are looked for, and not looked at.
async fn read_written(lake: &Lake, month: Month, range: &PartnerRange) -> Result<Vec<Written>, BillingError> {
    let session = lake.empty_session()?;
    lake.register(&session, &INVOICE, None).await?;
    let condition = format!("period = '{month}' and {}", range.condition());
    let sql = format!("select invoice_id, slot_id, partner_id from invoice where {condition} order by invoice_id");
    let mut written = Vec::new();
    for batch in lake.query(&session, &sql).await? {
        let cells = |column| Cells::of(&INVOICE, &batch, column);
        let (invoice_id, slot_id, partner_id) = (cells("invoice_id")?, cells("slot_id")?, cells("partner_id")?);
        let wrong = |error: IdError| BillingError::stored(INVOICE.name, error.to_string());
        for row in 0..batch.num_rows() {
            written.push(Written {
                invoice_id: InvoiceId::parse(invoice_id.some_text(row)?).map_err(wrong)?,
                slot_id: SlotId::parse(slot_id.some_text(row)?).map_err(wrong)?,
                partner_id: PartnerId::parse(partner_id.some_text(row)?).map_err(wrong)?,
            });
        }
    }
    Ok(written)
}

/// The documents of a month, drafts and invoices.
///
/// # Errors
/// [`BillingError`].
pub async fn read_documents(lake: &Lake, month: Month) -> Result<BTreeMap<InvoiceId, Document>, BillingError> {
    read_documents_of(lake, month, &PartnerRange::ALL).await
}

/// The same, of some partners.
///
/// # Errors
/// [`BillingError`].
pub(crate) async fn read_documents_of(
    lake: &Lake,
    month: Month,
    range: &PartnerRange,
) -> Result<BTreeMap<InvoiceId, Document>, BillingError> {
    let rows = lake.rows(&INVOICE, Some(&format!("period = '{month}' and {}", range.condition()))).await?;
    let documents = rows.iter().map(Document::from_row).collect::<Result<Vec<_>, _>>()?;
    Ok(documents.into_iter().map(|document| (document.invoice_id.clone(), document)).collect())
}

#[cfg(test)]
mod tests;
