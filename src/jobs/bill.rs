//! `tollbook bill draft|issue|push|sync|register`.

use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use serde_json::json;
use tollbook_aggregate::{USAGE_REFRESH, read_registry, usage_is_of, usage_pin, usage_reach};
use tollbook_billing::draft::{DraftInput, Drafted, draft};
use tollbook_billing::event::events_of;
use tollbook_billing::issue::{DraftCounts, Issued, UsageState, draft_into, issue as issue_drafts, read_documents};
use tollbook_billing::profile::Profile;
use tollbook_billing::register::{RegisterRow, register as make_register};
use tollbook_billing::stripe::{
    PushReport, PushSettings, SecretKey, SyncReport, Transport, push as push_invoices, sync as sync_invoices,
};
use tollbook_billing::usage::UsageSlice;
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::period::Month;
use tollbook_schemas::tables::billing::{BILLING_PROFILE, INVOICE_EVENT};
use tollbook_schemas::tables::derived::USAGE;
use tollbook_schemas::tables::{access_log, partner_event};

use crate::context::JobContext;

/// The months that `--period` names, as of an instant: a month, `previous`, or `due` (every ended month in which a
/// subscription ran), so that a scheduler computes no dates.
///
/// # Errors
/// A word that is none of these.
pub async fn months(context: &JobContext, period: &str, as_of: DateTime<Utc>) -> anyhow::Result<Vec<Month>> {
    let previous = Month::of(as_of, chrono_tz::UTC).previous();
    match period {
        "previous" => Ok(vec![previous]),
        "due" => {
            let (_, events) = context.pins().await?;
            let registry = read_registry(&context.lake, &events, Some(as_of)).await?;
            let first = registry.subscriptions.values().map(|subscription| subscription.started_at).min();
            let mut months = Vec::new();
            // One month earlier than by UTC: west of Greenwich the first instant may still lie in it.
            let mut month = first.map(|first| Month::of(first, chrono_tz::UTC).previous());
            while let Some(at) = month.filter(|month| *month <= previous) {
                months.push(at);
                month = Some(at.next());
            }
            Ok(months)
        }
        month => Ok(vec![month.parse().context("--period takes a month such as 2026-06, or previous, or due")?]),
    }
}

/// What drafting a month gave: the documents, and what was written of them.
pub struct DraftResult {
    /// Documents, and who has none and why.
    pub drafted: Drafted,
    /// What was written.
    pub counts: DraftCounts,
}

/// Rates the usage of a month into documents.
///
/// # Errors
/// The job's.
pub async fn draft_month(context: &JobContext, month: Month, as_of: DateTime<Utc>) -> anyhow::Result<DraftResult> {
    let catalog = context.catalog()?;
    let work = async {
        let drafted = rate(context, month, as_of).await?;
        let counts = draft_into(&context.lake, &drafted, context.clock.now()).await?;
        let told = json!({
            "month": month, "documents": drafted.documents.len(), "drafted": counts.drafted,
            "unchanged": counts.unchanged, "blocked": drafted.blocked.len(), "without": drafted.without.len(),
            "pin": serde_json::from_str::<serde_json::Value>(&usage_pin_json(context).await?)?,
        });
        Ok((DraftResult { drafted, counts }, told))
    };
    context.run("bill draft", Some(catalog.sha256.clone()), work).await
}

/// Rates a month, without writing anything. The pin is that of the usage that is read: everything is of one refresh.
async fn rate(context: &JobContext, month: Month, as_of: DateTime<Utc>) -> anyhow::Result<Drafted> {
    let catalog = context.catalog()?;
    if !usage_is_of(&context.lake, &catalog).await? {
        bail!(Stale("usage was computed with another catalog, or never; run `tollbook aggregate` first".to_owned()));
    }
    for _ in 0..5 {
        let before = context.lake.txn(&USAGE, USAGE_REFRESH).await?;
        let drafted = rate_once(context, &catalog, month, as_of).await?;
        if context.lake.txn(&USAGE, USAGE_REFRESH).await? == before {
            return Ok(drafted);
        }
    }
    bail!(Stale("usage kept changing while it was rated; run the command again".to_owned()))
}

/// What was rated, or would be issued, does not belong to the present usage.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Stale(String);

/// The pin of `usage` as documents carry it.
async fn usage_pin_json(context: &JobContext) -> anyhow::Result<String> {
    let access = usage_pin(&context.lake, &access_log::TABLE).await?;
    let events = usage_pin(&context.lake, &partner_event::TABLE).await?;
    Ok(json!({ "access_log": access, "partner_event": events }).to_string())
}

async fn rate_once(
    context: &JobContext,
    catalog: &Catalog,
    month: Month,
    as_of: DateTime<Utc>,
) -> anyhow::Result<Drafted> {
    let pin_json = usage_pin_json(context).await?;
    let events = usage_pin(&context.lake, &partner_event::TABLE).await?;
    let registry = read_registry(&context.lake, &events, None).await?;
    let usage: Vec<UsageSlice> = context
        .lake
        .rows(&USAGE, Some("partner_id is not null and environment = 'production'"))
        .await?
        .iter()
        .map(UsageSlice::from_row)
        .collect::<Result<_, _>>()?;
    let profiles = profiles(context).await?;
    Ok(draft(&DraftInput {
        month,
        usage: &usage,
        registry: &registry,
        catalog,
        profiles: &profiles,
        pin_json: &pin_json,
        as_of,
    }))
}

async fn profiles(context: &JobContext) -> anyhow::Result<Vec<Profile>> {
    let rows = context.lake.rows(&BILLING_PROFILE, None).await?;
    Ok(rows.iter().map(Profile::from_row).collect::<Result<_, _>>()?)
}

/// What issuing a month gave.
#[derive(Debug)]
pub struct IssueResult {
    /// What was issued and what was not.
    pub issued: Issued,
    /// How far the data behind `usage` reach, at most `as_of`: drafts of periods that end later are left.
    pub reach: DateTime<Utc>,
}

/// Issues the drafts of a month.
///
/// # Errors
/// The job's.
pub async fn issue_month(context: &JobContext, month: Month, as_of: DateTime<Utc>) -> anyhow::Result<IssueResult> {
    let catalog = context.catalog()?;
    let work = async {
        // The reach before the pin: a refresh between the two then makes the drafts stale, and none is issued under a
        // reach whose rows it lacks. Usage that was never computed reaches nowhere.
        let reach = usage_reach(&context.lake).await?.unwrap_or(DateTime::UNIX_EPOCH).min(as_of);
        let pin_json = usage_pin_json(context).await?;
        let usage = UsageState { pin_json: &pin_json, reach };
        let issued = issue_drafts(&context.lake, &catalog, month, usage, context.clock.now()).await?;
        let told = json!({
            "month": month, "issued": issued.invoices.len(), "already_issued": issued.already_issued,
            "not_ended": issued.not_ended.len(), "stale": issued.stale.len(),
            "pin": serde_json::from_str::<serde_json::Value>(&pin_json)?,
        });
        if !issued.stale.is_empty() {
            let partners: Vec<&str> = issued.stale.iter().map(|(partner, _)| partner.as_str()).collect();
            bail!(Stale(format!(
                "{} issued, but drafts of {} were rated from other usage than the present one; run `tollbook bill draft` \
                 and issue again",
                issued.invoices.len(),
                partners.join(", ")
            )));
        }
        Ok((IssueResult { issued, reach }, told))
    };
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
    let work = async {
        let clock = || context.clock.now();
        let report = push_invoices(&context.lake, &transport, &settings, month, &clock).await?;
        let told = json!({
            "month": month, "finalised": report.finalised.len(), "already_finalised": report.already_finalised,
            "nothing_due": report.nothing_due.len(), "failed": report.failed.len(),
            "unfinished": report.unfinished.len(), "write_requests": report.write_request_count,
        });
        Ok((report, told))
    };
    context.run("bill push", None, work).await
}

/// Brings back what became of the invoices at Stripe.
///
/// # Errors
/// The job's.
pub async fn sync(context: &JobContext) -> anyhow::Result<SyncReport> {
    let (transport, settings) = transport(context)?;
    let work = async {
        let clock = || context.clock.now();
        let report = sync_invoices(&context.lake, &transport, &settings, &clock).await?;
        let told = json!({
            "paid": report.paid.len(), "payment_failed": report.payment_failed.len(), "open": report.open,
            "already_paid": report.already_paid,
        });
        Ok((report, told))
    };
    context.run("bill sync", None, work).await
}

/// Each invoice of a month with its state, and why a partner has none.
///
/// # Errors
/// The lake's.
pub async fn register(context: &JobContext, month: Month, as_of: DateTime<Utc>) -> anyhow::Result<Vec<RegisterRow>> {
    let documents: Vec<_> = read_documents(&context.lake, month).await?.into_values().collect();
    let events = events_of(&context.lake.rows(&INVOICE_EVENT, None).await?)?;
    let drafted = rate(context, month, as_of).await?;
    Ok(make_register(&documents, &events, &drafted.blocked, &drafted.without))
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

/// Stripe was not there, or refused some: the same command may succeed later.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(String);
