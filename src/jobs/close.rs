//! `tollbook close`: what a month end needs, in order; what a scheduler calls. Each step is safe to run again, so a
//! run that ended anywhere is taken up by the next one.

use chrono::{DateTime, Utc};
use tollbook_schemas::period::{Month, print_instant};

use crate::context::JobContext;
use crate::jobs::{aggregate, bill, report};

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
    /// Drafts that are left, because their period ends after `reach`.
    pub not_ended: usize,
    /// Drafts that are left, because another invoice has billed their subscription.
    pub billed_elsewhere: usize,
    /// How far the data behind the month's usage reach.
    pub reach: String,
    /// Partners that cannot be billed, with the reason.
    pub blocked: Vec<String>,
    /// Invoices that became final at Stripe by this run.
    pub finalised: usize,
    /// Invoices that are not final at Stripe, though they should be.
    pub unfinished: usize,
}

/// Closes months: usage, draft, issue, push, sync, then the program's figures and the reports. Each month is told as
/// soon as it is pushed, so that what was issued is known also where a later step fails.
///
/// # Errors
/// The first step that fails; what came before it stands. Invoices that Stripe refused, or did not tell of, are an
/// error at the end, when all else is done.
pub async fn close(
    context: &JobContext,
    months: &[Month],
    as_of: DateTime<Utc>,
    tell: &(dyn Fn(&Closed) + Send + Sync),
) -> anyhow::Result<()> {
    aggregate::usage(context).await?;
    let mut reports = Vec::new();
    for month in months {
        let drafted = bill::draft_month(context, *month, as_of).await?.drafted;
        let bill::IssueResult { issued, reach } = bill::issue_month(context, *month, as_of).await?;
        let pushed = bill::push_month(context, *month).await?;
        tell(&Closed {
            month: *month,
            documents: drafted.documents.len(),
            issued: issued.invoices.len(),
            already_issued: issued.already_issued,
            not_ended: issued.not_ended.len(),
            billed_elsewhere: issued.billed_elsewhere.len(),
            reach: print_instant(reach),
            blocked: drafted.blocked.iter().map(|one| format!("{}: {}", one.partner_id, one.reason)).collect(),
            finalised: pushed.finalised.len(),
            unfinished: pushed.failed.len() + pushed.unfinished.len(),
        });
        reports.push(pushed);
    }
    let synced = bill::sync(context).await?;
    aggregate::program(context, as_of).await?;
    report::all(context, months, as_of).await?;
    bill::complain(&reports)?;
    bill::complain_of_sync(&synced)
}

#[cfg(test)]
mod tests;
