//! `tollbook close`: what a month end needs, in order; what a scheduler calls. Each step is safe to run again, so a
//! run that ended anywhere is taken up by the next one.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tollbook_aggregate::data_reach;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::period::{Month, print_instant};

use crate::context::JobContext;
use crate::jobs::{aggregate, bill, report};
use crate::output::talk;

/// What a close tells as it goes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
pub enum Told {
    /// A month was pushed.
    Month(Box<Closed>),
    /// Payments were read, of all months.
    Payments {
        /// Counts, as `bill sync` prints them.
        payments: serde_json::Value,
    },
}

/// What closing one month did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Closed {
    /// The month.
    pub month: Month,
    /// Documents rated.
    pub documents: usize,
    /// Invoices issued by this run.
    pub issued: usize,
    /// Invoices of the month that were issued before.
    pub already_issued: usize,
    /// Drafts that are left, because their period has not ended.
    pub not_ended: usize,
    /// Drafts that are left, because their period stays open for what comes late.
    pub in_grace: usize,
    /// Drafts that are left, because their period ended after `reach`.
    pub incomplete: usize,
    /// Drafts that are left, because they must be made again first.
    pub stale: usize,
    /// Invoices that were issued by this run although their period ended after `reach`.
    pub issued_incomplete: usize,
    /// Drafts that may not be issued any more.
    pub withdrawn: usize,
    /// Partners of which a document or draft is left, because another invoice has billed its subscription.
    pub billed_elsewhere: usize,
    /// Invoices that would be others today: a later month's draft adjusts them.
    pub changed_since_issue: usize,
    /// Lines of the month's documents that adjust earlier months.
    pub adjustment_lines: usize,
    /// Issued credit notes of the month, which somebody has to credit at Stripe.
    pub credit_notes: usize,
    /// Earlier months of partners that come to something else now and cannot be adjusted.
    pub unadjusted: usize,
    /// How far the data behind the month's usage reach; none where nobody knows.
    pub reach: Option<String>,
    /// Partners that cannot be billed, with the reason.
    pub blocked: Vec<String>,
    /// Drafts that are left, because somebody or a policy holds them, with the reason.
    pub held: Vec<String>,
    /// Invoices that became final at Stripe by this run.
    pub finalised: usize,
    /// Invoices that are not final at Stripe, though they should be.
    pub unfinished: usize,
}

/// Closes months: usage, draft, issue, push, sync, then the program's figures and the reports. Each month is told as
/// soon as it is pushed, so that what was issued is known also where a later step fails.
///
/// Where a reason is given, months are issued although data are missing. The figures and reports never look further
/// than the data reach, if that is known.
///
/// # Errors
/// The first step that fails; what came before it stands. Drafts whose data are incomplete, and invoices that Stripe
/// refused, or did not tell of, are an error at the end, when all else is done.
pub async fn close(
    context: &JobContext,
    months: &[Month],
    as_of: DateTime<Utc>,
    accept_incomplete: Option<&str>,
    tell: &(dyn Fn(&Told) + Send + Sync),
) -> anyhow::Result<()> {
    aggregate::usage(context).await?;
    let alerts = Box::pin(bill::alert::evaluate(context, as_of)).await?;
    bill::alert::told(&alerts).iter().for_each(|line| talk(line));
    let mut reports = Vec::new();
    let mut missing = Vec::new();
    let mut stale = None;
    for month in months {
        let result = bill::draft_month(context, *month, as_of).await?;
        result.told().iter().for_each(|line| talk(line));
        let bill::DraftResult { drafted, counts, document_count, adjustment_line_count, .. } = result;
        let issued = bill::issue_accepting(context, *month, as_of, accept_incomplete).await;
        let bill::IssueResult { issued, reach, in_grace, .. } = match issued {
            Ok(result) => result,
            // The others were issued, and must not wait for one partner's news.
            Err(error) => {
                let (left, result) = bill::Stale::take(error)?;
                talk(&left.to_string());
                stale = stale.or(Some(left));
                result
            }
        };
        in_grace.iter().for_each(|one| talk(&one.told(*month)));
        missing.extend(bill::what_is_missing(context, *month, &issued, reach).await?);
        let pushed = bill::push_month(context, *month).await?;
        // A document that is not written has no draft to be left: most are told by the drafting, one by a race.
        let elsewhere = counts.billed_elsewhere.iter().map(|one| &one.partner_id);
        let of_drafts = issued.billed_elsewhere.iter().map(|(partner_id, _)| partner_id);
        let billed_elsewhere: BTreeSet<&PartnerId> = elsewhere.chain(of_drafts).collect();
        tell(&Told::Month(Box::new(Closed {
            month: *month,
            documents: document_count,
            issued: issued.invoices.len(),
            already_issued: issued.already_issued,
            not_ended: issued.not_ended.len(),
            in_grace: in_grace.len(),
            incomplete: issued.incomplete.len(),
            stale: issued.stale.len(),
            issued_incomplete: issued.invoices.iter().filter(|one| one.incomplete.is_some()).count(),
            withdrawn: counts.withdrawn.len(),
            billed_elsewhere: billed_elsewhere.len(),
            changed_since_issue: counts.changed_since_issue.len(),
            adjustment_lines: adjustment_line_count,
            credit_notes: pushed.credit_notes.len(),
            unadjusted: drafted.unadjusted.len(),
            reach: reach.map(print_instant),
            blocked: drafted.blocked.iter().map(|one| format!("{}: {}", one.partner_id, one.reason)).collect(),
            held: bill::hold::told(*month, &issued.held),
            finalised: pushed.finalised.len(),
            unfinished: pushed.failed.len() + pushed.unfinished.len(),
        })));
        reports.push(pushed);
    }
    let synced = bill::sync(context).await?;
    bill::not_to_be_paid(&synced).iter().for_each(|line| talk(line));
    tell(&Told::Payments { payments: bill::payments(&synced) });
    let looks_to = data_reach(&context.lake, &context.configuration.feeds()?).await?.map_or(as_of, |to| to.min(as_of));
    aggregate::program(context, looks_to).await?;
    report::all(context, months, looks_to).await?;
    if let Some(stale) = stale {
        return Err(stale.into());
    }
    bill::complain_of_incomplete(&missing)?;
    bill::complain(&reports)?;
    bill::complain_of_sync(&synced)
}

#[cfg(test)]
mod tests;
