//! `tollbook report funnel|roi|invoices`: reads the lake, of now or as a run left it, gives the figures, writes the
//! pages. Nothing is computed that another job has not counted already; the pages say what they were made from.

mod figures;
mod invoices;
mod read;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde_json::json;
use tollbook_report::{FunnelReport, InvoiceDocument, RoiReport, funnel_html, invoice_html, roi_html};
use tollbook_schemas::period::Month;

use crate::configuration::ConfigurationError;
use crate::context::JobContext;
use crate::jobs::past::PastRun;

use read::Read;

/// Every report of an instant and of some months, into the configuration's `reports` folder.
///
/// # Errors
/// The lake's, or a file that cannot be written.
pub async fn all(context: &JobContext, months: &[Month], as_of: DateTime<Utc>) -> anyhow::Result<PathBuf> {
    let folder = context.configuration.path("reports");
    funnel(context, as_of, None, Some(&folder)).await?;
    roi(context, as_of, None, Some(&folder)).await?;
    for month in months {
        invoices(context, *month, None, Some(&folder)).await?;
    }
    Ok(folder)
}

/// The figures of the funnel, and its page where it was written.
///
/// # Errors
/// The job's.
pub async fn funnel(
    context: &JobContext,
    as_of: DateTime<Utc>,
    past: Option<&PastRun>,
    folder: Option<&Path>,
) -> anyhow::Result<(FunnelReport, Vec<PathBuf>)> {
    let work = async {
        let read = Read::of(context, past).await?;
        let as_of = match past {
            Some(run) => figures::funnel_before(&read, as_of).await?.ok_or_else(|| no_funnel(run))?,
            None => as_of,
        };
        let report = figures::funnel(&read, as_of).await?;
        let paths = match folder {
            Some(folder) => vec![write(folder, "funnel.html", &funnel_html(&report)?)?],
            None => Vec::new(),
        };
        let told = json!({ "as_of": report.as_of, "steps": report.steps.len(), "pages": paths.len(),
            "as_of_run": past.map(|run| run.run_id.as_str()),
            "pin": serde_json::from_str::<serde_json::Value>(&report.completeness.pin)? });
        Ok(((report, paths), told))
    };
    context.run("report funnel", None, work).await
}

/// The figures on return, and their page where it was written.
///
/// # Errors
/// The job's.
pub async fn roi(
    context: &JobContext,
    as_of: DateTime<Utc>,
    past: Option<&PastRun>,
    folder: Option<&Path>,
) -> anyhow::Result<(RoiReport, Vec<PathBuf>)> {
    let catalog = context.catalog()?;
    let work = async {
        let report = figures::roi(&Read::of(context, past).await?, &catalog, as_of).await?;
        let paths = match folder {
            Some(folder) => vec![write(folder, "roi.html", &roi_html(&report)?)?],
            None => Vec::new(),
        };
        let told = json!({ "as_of": as_of, "currencies": report.currencies.len(), "pages": paths.len(),
            "as_of_run": past.map(|run| run.run_id.as_str()),
            "pin": serde_json::from_str::<serde_json::Value>(&report.completeness.pin)? });
        Ok(((report, paths), told))
    };
    context.run("report roi", Some(catalog.sha256.clone()), work).await
}

/// The issued invoices of a month in the order of their numbers, and a page for each where they were written.
///
/// # Errors
/// The job's; an invoice whose billing profile is not there.
pub async fn invoices(
    context: &JobContext,
    month: Month,
    past: Option<&PastRun>,
    folder: Option<&Path>,
) -> anyhow::Result<(Vec<InvoiceDocument>, Vec<PathBuf>)> {
    let work = async {
        let documents = invoices::issued(context, &Read::of(context, past).await?, month).await?;
        let mut paths = Vec::new();
        if let Some(folder) = folder {
            for document in &documents {
                // Numbers are unique for each issuer only; the start of the id keeps two issuers' apart.
                let tail = document.invoice_id.chars().rev().take(6).collect::<String>();
                let tail: String = tail.chars().rev().collect();
                let name = format!("{}-{tail}.html", file_name(&document.number));
                paths.push(write(&folder.join("invoices"), &name, &invoice_html(document))?);
            }
        }
        let told = json!({ "month": month, "invoices": documents.len(), "pages": paths.len(),
            "as_of_run": past.map(|run| run.run_id.as_str()) });
        Ok(((documents, paths), told))
    };
    context.run("report invoices", None, work).await
}

fn no_funnel(run: &PastRun) -> ConfigurationError {
    ConfigurationError(format!(
        "no funnel had been counted when run {} ended; `tollbook aggregate` counts one, and only later runs have it",
        run.run_id
    ))
}

/// A number as part of a file name, whatever an issuer puts into its prefix.
fn file_name(number: &str) -> String {
    number.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect()
}

/// Writes a page whole or not at all: a reader never sees half of one.
fn write(folder: &Path, name: &str, html: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join(name);
    let partial = folder.join(format!(".{name}.partial"));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&partial, html))
        .and_then(|()| std::fs::rename(&partial, &path))
        .with_context(|| format!("{} cannot be written; choose a folder with --out", path.display()))?;
    Ok(path)
}

#[cfg(test)]
pub(crate) mod tests;
