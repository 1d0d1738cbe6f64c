//! `tollbook bill`: drafts, issues, pushes, syncs and the register; what people do to drafts is in `bill/hold.rs`, and
//! what only reads has a file of its own below.
//!
//! The work of each job lies on the heap: the steps of a close together are more than a thread's stack.

pub mod adjust;
pub mod adjustments;
pub mod alert;
pub mod clock;
pub mod compare;
pub mod credits;
mod due;
pub mod fit;
pub mod hold;
mod incomplete;
mod inputs;
pub mod lines;
pub mod list;
mod past_register;
mod periods;
pub mod preview;
pub mod quota;
pub mod reprice;
pub mod show;
mod unseen;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tollbook_aggregate::usage_reach;
use tollbook_billing::billed::IssuedDocument;
use tollbook_billing::document::{Document, read_documents};
use tollbook_billing::draft::{Drafted, draft_adjusting};
use tollbook_billing::event::events_of;
use tollbook_billing::hold::{HeldDraft, Holds, held_among, mark_held, read as read_holds};
use tollbook_billing::issue::{ChangedSince, IssueTerms, Issued, issue as issue_drafts, read_issued, read_issued_of};
use tollbook_billing::register::{RegisterRow, register as make_register};
use tollbook_billing::stripe::{
    PushReport, PushSettings, SecretKey, SyncReport, Transport, push as push_invoices, sync as sync_invoices,
};
use tollbook_billing::usage::UsageSlice;
use tollbook_billing::write_drafts::{DraftCounts, KnownDrafts, draft_of};
use tollbook_lake::each_beside;
use tollbook_schemas::actor::Actor;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::money::Money;
use tollbook_schemas::period::{Month, print_instant};
use tollbook_schemas::tables::billing::INVOICE_EVENT;

use crate::context::JobContext;
use crate::jobs::catalog::frozen::refuse_changes;
use crate::jobs::catalog::keep;

pub use clock::InGrace;
pub use due::{months, overdue};
pub use incomplete::{complain_of_incomplete, issue_as_of, reason, what_is_missing};
pub use inputs::{Chunk, Inputs, Share, Sources};
pub use past_register::register_at;
pub use periods::Months;
pub use unseen::{Unseen, unseen};
pub use verify::{Different, complain_of_different, verify_month, verify_named};

use inputs::usage_pin_json;

/// What drafting a month gave, and what was written of it. The documents are in the lake: of many partners they are not
/// kept here.
pub struct DraftResult {
    /// Documents that the month comes to.
    pub document_count: usize,
    /// Those of them that give something back.
    pub credit_note_count: usize,
    /// Their lines that adjust earlier months.
    pub adjustment_line_count: usize,
    /// Who has no document, and why, and what is not adjusted; it holds no documents.
    pub drafted: Drafted,
    /// What was written.
    pub counts: DraftCounts,
    /// What the documents do not know yet.
    pub unseen: Unseen,
    /// Drafts of the month that will not be issued before a person lets them.
    pub held: Vec<HeldDraft>,
}

impl DraftResult {
    fn of(month: Month) -> Self {
        Self {
            document_count: 0,
            credit_note_count: 0,
            adjustment_line_count: 0,
            drafted: Drafted::of(month),
            counts: DraftCounts::default(),
            unseen: Unseen::default(),
            held: Vec::new(),
        }
    }

    /// Takes in what other partners came to.
    fn add(&mut self, other: Self) {
        self.document_count += other.document_count;
        self.credit_note_count += other.credit_note_count;
        self.adjustment_line_count += other.adjustment_line_count;
        self.drafted.add(other.drafted);
        self.counts.add(other.counts);
    }

    /// Counts the documents of some partners and gives those that may have to wait for somebody.
    fn take_documents(&mut self, drafted: &mut Drafted, holds: Option<&Holds<'_>>) -> Vec<Document> {
        self.document_count += drafted.documents.len();
        self.credit_note_count += drafted.credit_note_count();
        self.adjustment_line_count += drafted.adjustment_line_count();
        let mut documents = std::mem::take(&mut drafted.documents);
        documents.retain(|document| holds.is_none_or(|holds| holds.may_hold(document)));
        documents
    }

    /// What a person must know of it, a line each.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        let month = self.drafted.month;
        let blocked = self.drafted.blocked.iter().map(|one| format!("{} is blocked: {}", one.partner_id, one.reason));
        let withdrawn = self.counts.withdrawn.iter().map(|(partner_id, invoice_id)| {
            format!("{partner_id}: draft {invoice_id} is withdrawn: another one has its place, or nothing has")
        });
        let elsewhere = self.counts.billed_elsewhere.iter().map(ToString::to_string);
        let changed = self
            .counts
            .changed_since_issue
            .iter()
            .map(|changed| format!("{} {} of {}: {changed}", changed.partner_id, changed.number, changed.billed));
        let unadjusted = self.drafted.unadjusted.iter().map(|one| {
            let now = match one.difference {
                Some(money) if money.minor < 0 => {
                    format!("{} less", Money { minor: money.minor.saturating_neg(), ..money })
                }
                Some(money) if money.minor > 0 => format!("{money} more"),
                _ => "something else".to_owned(),
            };
            format!(
                "{}: {} was billed, comes to {now} now and is not adjusted: {}",
                one.partner_id, one.month, one.reason
            )
        });
        let drafted = &self.drafted;
        let listed = drafted.elsewhere.iter().chain(&drafted.outside).chain(&drafted.side_by_side);
        let listed = listed.map(|(partner_id, used)| format!("{partner_id}: {used}"));
        let lines = blocked
            .chain(listed)
            .chain(withdrawn)
            .chain(elsewhere)
            .chain(changed)
            .chain(unadjusted)
            .map(|line| format!("{month} {line}"));
        lines.chain(hold::told(month, &self.held)).collect()
    }

    /// Counts, for machines.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (drafted, counts) = (&self.drafted, &self.counts);
        let partners = |listed: &[(PartnerId, String)]| {
            listed.iter().map(|(partner_id, _)| partner_id).collect::<BTreeSet<_>>().len()
        };
        json!({
            "month": drafted.month, "documents": self.document_count, "drafted": counts.drafted,
            "unchanged": counts.unchanged, "already_issued": counts.already_issued.len(),
            "withdrawn": counts.withdrawn.len(), "billed_elsewhere": counts.billed_elsewhere.len(),
            "changed_since_issue": counts.changed_since_issue.len(), "blocked": drafted.blocked.len(),
            "credit_notes": self.credit_note_count, "adjustment_lines": self.adjustment_line_count,
            "unadjusted": drafted.unadjusted.len(), "held": self.held.len(),
            "used_outside_subscriptions": partners(&drafted.outside),
            "subscriptions_side_by_side": partners(&drafted.side_by_side),
            "newer_events": self.unseen.event_count, "newer_requests": self.unseen.request_count,
        })
    }
}

/// Rates the usage of a month into documents, by whom the environment names.
///
/// # Errors
/// The job's.
pub async fn draft_month(context: &JobContext, month: Month, as_of: DateTime<Utc>) -> anyhow::Result<DraftResult> {
    draft_month_by(context, month, as_of, None).await
}

/// The same by somebody; where nobody is given, by whom `TOLLBOOK_ACTOR` names.
///
/// # Errors
/// The job's; a month that has not begun; where the policy must know who drafts, and nobody says it.
pub async fn draft_month_by(
    context: &JobContext,
    month: Month,
    as_of: DateTime<Utc>,
    actor: Option<&Actor>,
) -> anyhow::Result<DraftResult> {
    due::refuse_not_begun(context, month, "drafted")?;
    let policy = context.configuration.hold_policy()?;
    let actor = hold::drafter(actor, &policy)?;
    let catalog = context.catalog()?;
    let work = Box::pin(async {
        refuse_changes(context, &catalog).await?;
        keep(context, &catalog).await?;
        let sources = Sources::read(context).await?;
        let chunks = sources.chunks().await?;
        // Where not all documents are kept, then those that may have to wait for somebody.
        let is_cut = chunks.iter().map(|chunk| chunk.shares.len()).sum::<usize>() > 1;
        let holds = if is_cut { Some(Box::pin(read_holds(&context.lake, &policy)).await?) } else { None };
        let mut result = DraftResult::of(month);
        let mut documents = Vec::new();
        let known = KnownDrafts::of(month);
        for chunk in &chunks {
            let usage = sources.usage_of(&chunk.range).await?;
            let draft = async |share: &Share| {
                let issued = read_issued_of(&context.lake, None, &share.range).await?;
                let usage = UsageSlice::read_of(&usage, &share.range)?;
                let mut drafted = draft_adjusting(&sources.of_month(share, &usage, month, as_of), &issued)?;
                let (lake, range, at) = (&context.lake, &share.range, context.clock.now());
                let counts = draft_of(lake, &known, &drafted, (range, &issued), actor.as_ref(), at);
                let counts = Box::pin(counts).await?;
                let mut of_share = DraftResult::of(month);
                let documents = of_share.take_documents(&mut drafted, holds.as_ref());
                (of_share.counts, of_share.drafted) = (counts, drafted);
                anyhow::Ok((of_share, documents))
            };
            for (of_share, of_documents) in each_beside(&chunk.shares, draft).await? {
                result.add(of_share);
                documents.extend(of_documents);
            }
        }
        result.held = Box::pin(held_among(&context.lake, &documents, &policy)).await?;
        result.unseen = Box::pin(unseen(context)).await?;
        let mut told = result.to_json();
        told["without"] = json!(result.drafted.without.len());
        told["actor"] = json!(actor.as_ref().map(Actor::as_str));
        told["pin"] = serde_json::from_str::<Value>(&usage_pin_json(context).await?)?;
        Ok((result, told))
    });
    context.run("bill draft", Some(catalog.sha256.clone()), work).await
}

/// Rates a month, without writing anything. The pin is that of the usage that is read: everything is of one refresh.
async fn rate(
    context: &JobContext,
    month: Month,
    as_of: DateTime<Utc>,
    issued: &[IssuedDocument],
) -> anyhow::Result<Drafted> {
    Inputs::read(context).await?.draft_adjusting(month, as_of, issued)
}

/// What was rated, or would be issued, does not belong to the present usage.
#[derive(Debug, thiserror::Error)]
#[error("{told}")]
pub struct Stale {
    told: String,
    /// What was done all the same.
    done: Option<Box<Partly>>,
}

/// What a run issued, for whom nothing was stale.
#[derive(Debug)]
struct Partly {
    /// For `job_run`.
    counts: Value,
    result: IssueResult,
}

impl Stale {
    fn of(told: impl Into<String>) -> Self {
        Self { told: told.into(), done: None }
    }

    /// Ends with an error where something of a month was stale: after all months were issued.
    ///
    /// # Errors
    /// What is told of each month, a line each.
    pub fn complain(months: &[Self]) -> anyhow::Result<()> {
        if months.is_empty() {
            return Ok(());
        }
        bail!(Self::of(months.iter().map(|one| one.told.as_str()).collect::<Vec<_>>().join("\n")))
    }

    /// What the run did before it stopped.
    pub fn done(&self) -> Option<&Value> {
        self.done.as_ref().map(|partly| &partly.counts)
    }

    /// What was issued all the same by a run that ended with this error, and what is left to complain of: what is stale
    /// of one month keeps nobody's invoice of the next.
    ///
    /// # Errors
    /// Any other error, and that of a run that did nothing.
    pub fn take(error: anyhow::Error) -> anyhow::Result<(Self, IssueResult)> {
        let mut stale = error.downcast::<Self>()?;
        match stale.done.take() {
            Some(partly) => Ok((stale, partly.result)),
            None => Err(stale.into()),
        }
    }
}

/// What issuing a month gave.
#[derive(Debug)]
pub struct IssueResult {
    /// What was issued and what was not.
    pub issued: Issued,
    /// How far the data behind `usage` reach, at most `as_of`: drafts of periods that end later are left, unless what
    /// is missing was accepted. None where nobody knows.
    pub reach: Option<DateTime<Utc>>,
    /// What was known then and was in no draft.
    pub unseen: Unseen,
    /// Drafts whose period has ended and stays open for what comes late: they are left.
    pub in_grace: Vec<InGrace>,
}

impl IssueResult {
    /// Counts, for machines; the same whether something was stale or not.
    #[must_use]
    pub fn to_json(&self, month: Month) -> Value {
        let Self { issued, reach, unseen, in_grace } = self;
        json!({
            "month": month, "issued": issued.invoices.len(), "already_issued": issued.already_issued,
            "not_ended": issued.not_ended.len(), "in_grace": in_grace.len(), "incomplete": issued.incomplete.len(),
            "billed_elsewhere": issued.billed_elsewhere.len(), "stale": issued.stale.len(),
            "held": hold::to_json(&issued.held), "reach": reach.map(print_instant), "newer_events": unseen.event_count,
            "newer_requests": unseen.request_count,
        })
    }
}

/// Issues the drafts of a month whose data are complete.
///
/// # Errors
/// The job's.
pub async fn issue_month(context: &JobContext, month: Month, as_of: DateTime<Utc>) -> anyhow::Result<IssueResult> {
    issue_accepting(context, month, as_of, None).await
}

/// Issues the drafts of a month; where a reason is given, also those whose data do not reach to the end of their
/// period. Each of these says so in the event that makes it an invoice, and the run says it in `job_run`.
///
/// A draft of a partner of which newer lifecycle events are known is refused as stale: its subscription may be over.
/// Newer requests only make the invoice too low, and there are always some while ingest runs: they are told.
///
/// # Errors
/// The job's.
pub async fn issue_accepting(
    context: &JobContext,
    month: Month,
    as_of: DateTime<Utc>,
    accept_incomplete: Option<&str>,
) -> anyhow::Result<IssueResult> {
    let catalog = context.catalog()?;
    let policy = context.configuration.hold_policy()?;
    let grace = context.configuration.grace()?;
    let work = Box::pin(async {
        refuse_changes(context, &catalog).await?;
        // The reach before the pin: a refresh between the two then makes the drafts stale, and none is issued under a
        // reach whose rows it lacks. Usage that was never computed reaches nowhere.
        let reach = usage_reach(&context.lake).await?;
        let reach = reach.map(|reach| reach.min(as_of));
        // Before the pin for the same reason: an event that a refresh takes in after this makes the drafts stale by it.
        let unseen = Box::pin(unseen(context)).await?;
        let pin_json = usage_pin_json(context).await?;
        let (overtaken, policy) = (&unseen.partners, &policy);
        let ended_by = clock::ended_by(as_of, grace);
        let terms = IssueTerms { pin_json: &pin_json, reach, as_of: ended_by, accept_incomplete, overtaken, policy };
        let mut issued = Box::pin(issue_drafts(&context.lake, &catalog, month, terms, context.clock.now())).await?;
        let in_grace = clock::in_grace(&mut issued, as_of.min(context.clock.now()), grace);
        let issued_incomplete = issued.invoices.iter().filter(|one| one.incomplete.is_some()).count();
        let result = IssueResult { issued, reach, unseen, in_grace };
        let mut counts = result.to_json(month);
        counts["grace_hours"] = json!(grace.num_hours());
        counts["skips_grace"] = json!(context.configuration.billing.skips_grace);
        counts["as_of"] = json!(print_instant(as_of));
        counts["accept_incomplete"] = json!(accept_incomplete);
        counts["issued_incomplete"] = json!(issued_incomplete);
        counts["pin"] = serde_json::from_str::<Value>(&pin_json)?;
        if !result.issued.stale.is_empty() {
            let mut partners: BTreeMap<ChangedSince, BTreeSet<&str>> = BTreeMap::new();
            for one in &result.issued.stale {
                partners.entry(one.since).or_default().insert(one.partner_id.as_str());
            }
            let stale = partners.into_iter().map(|(since, partners)| {
                let partners: Vec<&str> = partners.into_iter().collect();
                format!("drafts of {} are stale: {since}", partners.join(", "))
            });
            let why = format!(
                "{month}: {} issued, but {}; run `tollbook aggregate` and `tollbook bill draft`, and issue again",
                result.issued.invoices.len(),
                stale.collect::<Vec<_>>().join("; ")
            );
            // The others' invoices are there: their run must be found by them.
            bail!(Stale { told: why, done: Some(Box::new(Partly { counts, result })) });
        }
        Ok((result, counts))
    });
    context.run("bill issue", Some(catalog.sha256.clone()), work).await
}

/// How long one answer of Stripe is waited for, where `stripe.timeout_ms` says nothing else.
const TIMEOUT_MS: u64 = 30_000;

fn transport(context: &JobContext) -> anyhow::Result<(Transport, PushSettings)> {
    let stripe = context.configuration.stripe()?;
    let key = SecretKey::parse(&context.configuration.stripe_secret()?, stripe.live)?;
    let timeout = Duration::from_millis(stripe.timeout_ms.unwrap_or(TIMEOUT_MS));
    let transport = Transport::new(&stripe.base_url, &key, stripe.account.as_deref(), timeout)?;
    let mut settings = PushSettings::of(&stripe.namespace);
    settings.retry.sends_max = stripe.sends_max.unwrap_or(settings.retry.sends_max);
    Ok((transport, settings))
}

/// Sends the issued invoices of a month to Stripe.
///
/// # Errors
/// The job's; what concerns one invoice is in the report.
pub async fn push_month(context: &JobContext, month: Month) -> anyhow::Result<PushReport> {
    let (transport, settings) = transport(context)?;
    let work = Box::pin(async {
        let clock = || context.clock.now();
        let report = push_invoices(&context.lake, &transport, &settings, month, &clock).await?;
        let told = json!({
            "month": month, "finalised": report.finalised.len(), "already_finalised": report.already_finalised,
            "nothing_due": report.nothing_due.len(), "credit_notes": report.credit_notes.len(),
            "failed": report.failed.len(),
            "unfinished": report.unfinished.len(), "write_requests": report.write_request_count,
        });
        Ok((report, told))
    });
    context.run("bill push", None, work).await
}

/// Brings back what became of the invoices at Stripe.
///
/// # Errors
/// The job's.
pub async fn sync(context: &JobContext) -> anyhow::Result<SyncReport> {
    let (transport, settings) = transport(context)?;
    let work = Box::pin(async {
        let clock = || context.clock.now();
        let report = sync_invoices(&context.lake, &transport, &settings, &clock).await?;
        let told = payments(&report);
        Ok((report, told))
    });
    context.run("bill sync", None, work).await
}

/// What a sync found, in counts.
#[must_use]
pub fn payments(report: &SyncReport) -> Value {
    json!({
        "paid": report.paid.len(), "payment_failed": report.payment_failed.len(), "open": report.open,
        "already_paid": report.already_paid, "voided": report.voided.len(), "already_voided": report.already_voided,
        "uncollectible": report.uncollectible.len(), "already_uncollectible": report.already_uncollectible,
        "settled_otherwise": report.settled_otherwise.len(), "unfinished": report.unfinished.len(),
    })
}

/// The invoices that will not be paid as they stand, a line each: as soon as it is known, not with each run.
#[must_use]
pub fn not_to_be_paid(report: &SyncReport) -> Vec<String> {
    let by_hand = report.voided.iter().chain(&report.uncollectible).chain(&report.settled_otherwise);
    by_hand.map(|one| format!("{} {}: {}", one.partner_id, one.invoice_id, one.reason)).collect()
}

/// Each invoice of a month with its state, and why a partner has none.
///
/// # Errors
/// The lake's.
pub async fn register(context: &JobContext, month: Month, as_of: DateTime<Utc>) -> anyhow::Result<Vec<RegisterRow>> {
    let documents = read_documents(&context.lake, month).await?;
    let events = events_of(&context.lake.rows(&INVOICE_EVENT, None).await?)?;
    let issued = read_issued(&context.lake, None).await?;
    let drafted = rate(context, month, as_of, &issued).await?;
    let mut rows = make_register(&documents, &issued, &events, &drafted, as_of)?;
    let policy = context.configuration.hold_policy()?;
    mark_held(&mut rows, &hold::held_drafts(context, month, &policy).await?);
    Ok(rows)
}

/// Ends with an error where something was left undone, so that a scheduler sees it: after all months were pushed, so
/// that one refused invoice does not hold up the others.
///
/// # Errors
/// One line for each invoice that failed or is unfinished.
pub fn complain(reports: &[PushReport]) -> anyhow::Result<()> {
    let lines: Vec<String> = reports
        .iter()
        .flat_map(|report| &report.failed)
        .map(|one| format!("{} {}: refused: {}", one.partner_id, one.invoice_id, one.reason))
        .chain(
            reports
                .iter()
                .flat_map(|report| &report.unfinished)
                .map(|one| format!("{} {}: unfinished: {}", one.partner_id, one.invoice_id, one.reason)),
        )
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    bail!(Unavailable(format!(
        "{} invoices are not final at Stripe; run `tollbook bill push` again:\n{}",
        lines.len(),
        lines.join("\n")
    )))
}

/// Ends with an error where Stripe could not be asked about every invoice.
///
/// # Errors
/// One line for each such invoice.
pub fn complain_of_sync(report: &SyncReport) -> anyhow::Result<()> {
    if report.unfinished.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> =
        report.unfinished.iter().map(|one| format!("{} {}: {}", one.partner_id, one.invoice_id, one.reason)).collect();
    bail!(Unavailable(format!("Stripe did not tell of {} invoices:\n{}", lines.len(), lines.join("\n"))))
}

/// Stripe was not there, or refused some, or data are missing still: the same command may succeed later.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(String);

#[cfg(test)]
mod tests;
