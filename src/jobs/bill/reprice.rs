//! `tollbook bill reprice --catalog NEW`: history under another price book; writes nothing.

use anyhow::bail;
use chrono::{DateTime, Utc};
use tollbook_billing::draft::{DraftInput, draft};
use tollbook_billing::reprice::{
    Repriced, Twice, changed_meters, newest_versions, reprice as make_reprice, versions_from, versions_within,
};
use tollbook_schemas::period::{Month, Period};

use super::due::refuse_not_begun;
use super::{Inputs, Months};
use crate::configuration::ConfigurationError;
use crate::context::JobContext;
use crate::jobs::catalog::diff::named;

/// History by two price books.
#[derive(Debug, Clone)]
pub struct RepriceResult {
    /// Hash of the present catalog.
    pub present_sha256: String,
    /// Hash of the other one.
    pub new_sha256: String,
    /// What comes of it.
    pub repriced: Repriced,
    /// Plan versions of the other catalog that begin only after the months, and so price none of them.
    pub later_versions: Vec<String>,
    /// Plan versions that only the other catalog has and that begin within the months: they price what begins after
    /// them.
    pub inner_versions: Vec<String>,
    /// Months that have not ended by the instant from which is looked: their usage so far is what was priced.
    pub unfinished: Vec<Month>,
}

/// Rates months by the present catalog and by another: a folder, or the first letters of a kept catalog's hash. With
/// `newest`, as if the newest version of each of its plans had been in force all along.
///
/// # Errors
/// A catalog with problems, or with meters that count something else; as [`Inputs::read`].
pub async fn reprice(
    context: &JobContext,
    catalog: &str,
    months: &Months,
    newest: bool,
    as_of: DateTime<Utc>,
) -> anyhow::Result<RepriceResult> {
    for month in months.as_slice() {
        refuse_not_begun(context, *month, "repriced")?;
    }
    let mut new = named(context, catalog).await?;
    let inputs = Inputs::read(context).await?;
    let changed = changed_meters(&inputs.catalog, &new);
    if !changed.is_empty() {
        bail!(ConfigurationError(format!(
            "{catalog} cannot price usage that the present catalog metered:\n{}\nGive it the meters and products of the \
             present catalog; to try others, run `tollbook aggregate` with them on a copy of the lake",
            changed.join("\n")
        )));
    }
    // The first instant that no month has in any time zone is later by some hours: good enough to say what prices
    // nothing.
    let utc = |month: Option<&Month>| month.map(|month| month.period(chrono_tz::UTC)).transpose();
    let (first, last) = (utc(months.as_slice().iter().min())?, utc(months.as_slice().iter().max())?);
    let (mut later_versions, mut inner_versions) = (Vec::new(), Vec::new());
    if let (Some(first), Some(last), false) = (first, last, newest) {
        later_versions = versions_from(&new, last.end);
        inner_versions = versions_within(&new, &inputs.catalog, Period::new(first.start, last.end)?);
    }
    if newest {
        new = newest_versions(&new);
    }
    let is_unfinished = |month: &Month| month.period(chrono_tz::UTC).is_ok_and(|period| period.end > as_of);
    let drafted: Vec<_> = months
        .as_slice()
        .iter()
        .map(|month| {
            let input = inputs.of_month(*month, as_of);
            (draft(&input), draft(&DraftInput { catalog: &new, ..input }))
        })
        .collect();
    let twice: Vec<Twice<'_>> = drafted.iter().map(|(present, new)| Twice { present, new }).collect();
    Ok(RepriceResult {
        repriced: make_reprice(&twice)?,
        present_sha256: inputs.catalog.sha256.clone(),
        new_sha256: new.sha256,
        later_versions,
        inner_versions,
        unfinished: months.as_slice().iter().copied().filter(is_unfinished).collect(),
    })
}
