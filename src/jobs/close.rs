//! `tollbook close`: what a month end needs, in order; what a scheduler calls. Each step is safe to run again, so a
//! run that ended anywhere is taken up by the next one.

use chrono::{DateTime, Utc};
use tollbook_schemas::period::Month;

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
    /// Partners that cannot be billed, with the reason.
    pub blocked: Vec<String>,
    /// Invoices that became final at Stripe by this run.
    pub finalised: usize,
}

/// Closes months: usage, draft, issue, push, sync, then the program's figures and the reports.
///
/// # Errors
/// The first step that fails; what came before it stands. Invoices that Stripe refused are told at the end.
pub async fn close(context: &JobContext, months: &[Month], as_of: DateTime<Utc>) -> anyhow::Result<Vec<Closed>> {
    aggregate::usage(context).await?;
    let mut closed = Vec::new();
    let mut reports = Vec::new();
    for month in months {
        let drafted = bill::draft_month(context, *month, as_of).await?.drafted;
        let issued = bill::issue_month(context, *month, as_of).await?;
        let pushed = bill::push_month(context, *month).await?;
        closed.push(Closed {
            month: *month,
            documents: drafted.documents.len(),
            issued: issued.invoices.len(),
            blocked: drafted.blocked.iter().map(|one| format!("{}: {}", one.partner_id, one.reason)).collect(),
            finalised: pushed.finalised.len(),
        });
        reports.push(pushed);
    }
    bill::sync(context).await?;
    aggregate::program(context, as_of).await?;
    report::all(context, months, as_of).await?;
    bill::complain(&reports)?;
    Ok(closed)
}
