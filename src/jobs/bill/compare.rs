//! `tollbook bill compare --with FILE`: a parallel run against another billing system; writes and sends nothing.

mod legacy;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::bail;
use chrono::{DateTime, Utc};
use tollbook_billing::compare::{Compared, LegacyLine, compare as make_compare, own_lines};
use tollbook_billing::document::read_documents;
use tollbook_billing::draft::Blocked;
use tollbook_billing::event::events_of;
use tollbook_billing::issue::{Slots, read_issued};
use tollbook_schemas::period::Month;
use tollbook_schemas::tables::billing::INVOICE_EVENT;

use super::{Inputs, Months};
use crate::configuration::ConfigurationError;
use crate::context::JobContext;

/// Exit code where a line differs.
pub const DIFFERENT: u8 = 10;

/// Two systems, compared.
#[derive(Debug, Clone)]
pub struct CompareResult {
    /// The months that were compared.
    pub months: Vec<Month>,
    /// What is different.
    pub compared: Compared,
    /// Partners that tollbook cannot bill, with the reason: they have no lines here.
    pub blocked: Vec<(Month, Blocked)>,
    /// Lines of the file by months that were not asked for: not compared.
    pub left_out: BTreeMap<Month, usize>,
}

/// Compares what a file says that another system billed with what tollbook bills: issued invoices, and for the rest
/// what would be drafted today. The months are those that are named, else those of the file.
///
/// # Errors
/// A file that cannot be read, with each of its problems; as [`Inputs::read`].
pub async fn compare(
    context: &JobContext,
    path: &Path,
    months: Option<&Months>,
    as_of: DateTime<Utc>,
) -> anyhow::Result<CompareResult> {
    let bytes = std::fs::read(path).map_err(|error| {
        ConfigurationError(format!("{} cannot be read ({error}); name a CSV file with --with", path.display()))
    })?;
    let mut theirs = legacy::read(path, &bytes)?;
    let months = match months {
        Some(months) => months.clone(),
        None => Months::from(theirs.iter().map(|line| line.month).collect::<Vec<_>>()),
    };
    let months: BTreeSet<Month> = months.as_slice().iter().copied().collect();
    let mut left_out: BTreeMap<Month, usize> = BTreeMap::new();
    for line in theirs.iter().filter(|line| !months.contains(&line.month)) {
        *left_out.entry(line.month).or_default() += 1;
    }
    theirs.retain(|line: &LegacyLine| months.contains(&line.month));
    if months.is_empty() {
        bail!(ConfigurationError(format!(
            "{} has no lines, so no month is compared; name one with --period",
            path.display()
        )));
    }
    let inputs = Inputs::read(context).await?;
    let slots = Slots::fold(&events_of(&context.lake.rows(&INVOICE_EVENT, None).await?)?)?;
    let issued = read_issued(&context.lake, None).await?;
    let (mut ours, mut blocked) = (Vec::new(), Vec::new());
    for month in &months {
        let drafted = inputs.draft_adjusting(*month, as_of, &issued)?;
        ours.extend(own_lines(&drafted, &read_documents(&context.lake, *month).await?, &slots));
        blocked.extend(drafted.blocked.into_iter().map(|one| (*month, one)));
    }
    let compared = make_compare(&theirs, &ours)?;
    Ok(CompareResult { compared, months: months.into_iter().collect(), blocked, left_out })
}
