//! Months whose data do not reach to their end: refused, unless somebody accepts what is missing and says why.
//!
//! A month is complete when ingest has read every configured topic past its end, on every partition, and usage was
//! computed from that. Where no requests are ever read (a program of flat plans), nobody can know: then it takes a
//! reason too. The reason is part of the invoice's `issued` event and of the run's row in `job_run`.

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use tollbook_billing::issue::Issued;
use tollbook_schemas::period::{Month, print_instant};
use tollbook_schemas::source::Source;
use tollbook_schemas::tables::{Table, access_log, partner_event};

use super::Unavailable;
use crate::context::JobContext;

/// Longest reason.
const REASON_MAX: usize = 200;

/// Reads the reason of `--accept-incomplete`.
///
/// # Errors
/// In words.
pub fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > REASON_MAX || text.contains(char::is_control) {
        return Err(format!("say why in 1 to {REASON_MAX} characters: it is printed on the invoices"));
    }
    Ok(text.to_owned())
}

/// The instant from which issuing looks: as given, else now. A month that is over and whose data are not there is told
/// as incomplete, and never as one that has not ended.
///
/// # Errors
/// Where nobody knows how far the data reach, and nobody accepted it.
pub async fn issue_as_of(
    context: &JobContext,
    given: Option<&str>,
    accept_incomplete: Option<&str>,
) -> anyhow::Result<DateTime<Utc>> {
    if given.is_none() && accept_incomplete.is_some() {
        return Ok(context.clock.now());
    }
    let found = context.as_of(given).await.context(
        "no month can be closed; where there are no requests to wait for, `--accept-incomplete REASON` issues all the \
         same",
    )?;
    // How far the data reach decides what is complete, and the clock what has ended.
    Ok(if given.is_none() { context.clock.now() } else { found })
}

/// What is missing of the month's drafts that are left, and how to go on; none where none is left for that reason.
///
/// # Errors
/// The lake's.
pub async fn what_is_missing(
    context: &JobContext,
    month: Month,
    issued: &Issued,
    reach: Option<DateTime<Utc>>,
) -> anyhow::Result<Option<String>> {
    let Some(end) = issued.incomplete.iter().map(|(_, period_end)| *period_end).max() else { return Ok(None) };
    let feeds = context.configuration.feeds()?;
    let mut behind = Vec::new();
    for (table, sources) in [(&access_log::TABLE, &feeds.access_log), (&partner_event::TABLE, &feeds.partner_event)] {
        for source in sources {
            behind.extend(is_behind(context, table, source, end).await?);
        }
    }
    let missing = match (reach, behind.is_empty()) {
        (_, false) => behind.join(", "),
        (Some(_), true) => "every topic was read to that end: usage was computed before".to_owned(),
        (None, true) => "nothing was read yet that says how far the data reach".to_owned(),
    };
    let reach = match reach {
        Some(reach) => format!("the data behind usage reach only to {}", print_instant(reach)),
        None => "it is not known how far the data behind usage reach".to_owned(),
    };
    let partners: Vec<&str> = issued.incomplete.iter().map(|(partner_id, _)| partner_id.as_str()).collect();
    Ok(Some(format!(
        "{month}: {} drafts are not issued ({}): their period ended, the last at {}, but {reach}, so requests and \
         lifecycle events of it may be missing ({missing}). Run `tollbook ingest --until-caught-up`, `tollbook \
         aggregate` and `tollbook bill draft`, then this again; or issue without them: `--period {month} \
         --accept-incomplete REASON`",
        partners.len(),
        partners.join(", "),
        print_instant(end)
    )))
}

/// How far a topic was read, where that is before an instant.
async fn is_behind(
    context: &JobContext,
    table: &'static Table,
    source: &Source,
    end: DateTime<Utc>,
) -> anyhow::Result<Option<String>> {
    let passed = context.lake.watermark(table, std::slice::from_ref(source)).await?;
    Ok(match passed {
        Some(passed) if passed >= end => None,
        Some(passed) => Some(format!("{source} was read up to {}", print_instant(passed))),
        None => Some(format!("{source} was never read to its end")),
    })
}

/// Ends with an error where drafts were left because their data are incomplete, so that a scheduler sees it.
///
/// # Errors
/// One line for each month.
pub fn complain_of_incomplete(missing: &[String]) -> anyhow::Result<()> {
    if missing.is_empty() { Ok(()) } else { bail!(Unavailable(missing.join("\n"))) }
}
