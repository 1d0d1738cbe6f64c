//! What each command runs and prints: data to stdout, talk to stderr.

pub(super) mod bill;
mod demo;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tollbook::context::JobContext;
use tollbook::jobs::past::{self, PastRun};
use tollbook::jobs::{self, aggregate, catalog, ingest, lake, partner, report};
use tollbook::output::{data, table, talk};
use tollbook_aggregate::SEMANTICS;
use tollbook_schemas::period::{Month, print_instant};

use super::{Pages, PartnerStep, ReportStep};

pub(super) use bill::{estimate, run_bill};
#[cfg(test)]
pub(super) use demo::print_demo;
pub(super) use demo::run_demo;

pub(super) async fn run_ingest(
    context: &JobContext,
    until_caught_up: bool,
    file: Option<ingest::GivenFile>,
    json: bool,
) -> anyhow::Result<()> {
    let origin = if file.is_some() { "file" } else { "topic" };
    let reports = if let Some(file) = file {
        let done = ingest::file(context, file).await?;
        vec![(done.source.to_string(), done.report)]
    } else if until_caught_up {
        ingest::until_caught_up(context).await?
    } else {
        let stop = Arc::new(AtomicBool::new(false));
        let signalled = stop.clone();
        tokio::spawn(async move {
            if stop_signal().await.is_ok() {
                talk("stopping: committing what is in hand");
                signalled.store(true, Ordering::Relaxed);
            }
        });
        ingest::until_stopped(context, &stop).await?
    };
    let rows: Vec<Vec<String>> = reports
        .iter()
        .map(|(topic, report)| {
            let numbers = [report.accepted_total, report.rejected_total, report.commits_total];
            let lag = report.lag_offsets().to_string();
            std::iter::once(topic.clone()).chain(numbers.iter().map(ToString::to_string)).chain([lag]).collect()
        })
        .collect();
    if json {
        for (topic, report) in &reports {
            data(
                &json!({ origin: topic, "accepted": report.accepted_total, "rejected": report.rejected_total,
                "commits": report.commits_total, "restarts": report.restarts_total, "lag": report.lag_offsets(),
                "held_back": report.is_held_back })
                .to_string(),
            );
        }
    } else {
        data(&table(&[origin, "accepted", "rejected", "commits", "lag"], &rows));
    }
    for (name, _) in reports.iter().filter(|(_, report)| report.is_held_back) {
        talk(&format!(
            "{name}: a Kafka transaction is open: what lies behind it was not read, and how far the topic was read is \
             not recorded; run it again when the transaction has ended"
        ));
    }
    Ok(())
}

async fn stop_signal() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        result = tokio::signal::ctrl_c() => result,
    }
}

pub(super) async fn run_report(context: &JobContext, step: ReportStep, json: bool) -> anyhow::Result<()> {
    let (ReportStep::Funnel(pages) | ReportStep::Roi(pages) | ReportStep::Invoices { pages, .. }) = &step;
    let folder = pages.out.clone().unwrap_or_else(|| context.configuration.path("reports"));
    let folder = (!json).then_some(folder.as_path());
    let past = past_of(context, pages).await?;
    let past = past.as_ref();
    let as_of = match past {
        Some(run) => run.as_of(),
        None => context.figures_as_of(pages.as_of.as_deref()).await?,
    };
    let mut figures = Vec::new();
    let mut written = Vec::new();
    match &step {
        ReportStep::Funnel(_) => {
            let (report, paths) = report::funnel(context, as_of, past, folder).await?;
            figures.push(serde_json::to_string(&report)?);
            written.extend(paths);
        }
        ReportStep::Roi(_) => {
            let (report, paths) = report::roi(context, as_of, past, folder).await?;
            figures.push(serde_json::to_string(&report)?);
            written.extend(paths);
        }
        ReportStep::Invoices { period, .. } => {
            for month in jobs::bill::months(context, period, as_of).await? {
                let (documents, paths) = report::invoices(context, month, past, folder).await?;
                for document in &documents {
                    figures.push(serde_json::to_string(document)?);
                }
                written.extend(paths);
            }
        }
    }
    if json {
        figures.iter().for_each(|line| data(line));
    } else {
        written.iter().for_each(|path| data(&path.display().to_string()));
    }
    Ok(())
}

/// The run whose tables a report reads, where one is named.
async fn past_of(context: &JobContext, pages: &Pages) -> anyhow::Result<Option<PastRun>> {
    match (&pages.as_of_run, pages.as_of_close) {
        (Some(run_id), _) => Ok(Some(past::run(context, run_id).await?)),
        (None, Some(month)) => Ok(Some(close_of(context, month).await?)),
        (None, None) => Ok(None),
    }
}

/// The run that issued a month, said to whoever asked for it.
pub(super) async fn close_of(context: &JobContext, month: Month) -> anyhow::Result<PastRun> {
    let run = past::close_of(context, month).await?;
    talk(&past::told(month, &run));
    Ok(run)
}

pub(super) async fn run_catalog_diff(
    context: &JobContext,
    old: &str,
    new: Option<&str>,
    json: bool,
) -> anyhow::Result<()> {
    let compared = Box::pin(catalog::diff::compare(context, old, new)).await?;
    data(&if json { compared.json().to_string() } else { compared.shown() });
    Ok(())
}

pub(super) async fn run_catalog_coverage(
    context: &JobContext,
    month: Option<Month>,
    (depth, top): (u32, u32),
    json: bool,
) -> anyhow::Result<()> {
    let found = Box::pin(catalog::coverage::coverage(context, month, depth, top)).await?;
    data(&if json { found.json().to_string() } else { found.shown() });
    Ok(())
}

pub(super) async fn run_compact(
    context: &JobContext,
    tables: &[String],
    target_bytes: u64,
    json: bool,
) -> anyhow::Result<()> {
    let done = lake::compact(context, tables, target_bytes).await?;
    if json {
        done.iter().for_each(|table| data(&table.to_json().to_string()));
        return Ok(());
    }
    let changed: Vec<Vec<String>> = done
        .iter()
        .filter(|table| table.changed())
        .map(|lake::CompactedTable { table, done }| {
            vec![
                (*table).to_owned(),
                done.files_before.to_string(),
                done.files_after.to_string(),
                done.bytes_before.to_string(),
                done.bytes_after.to_string(),
                done.rows_total.to_string(),
                done.version.to_string(),
                done.checkpoint.map_or("-".to_owned(), |version| version.to_string()),
            ]
        })
        .collect();
    if changed.is_empty() {
        talk("nothing to do: no partition has two small files, and no log has 50 entries since its checkpoint");
    } else {
        let headings =
            ["table", "files before", "after", "bytes before", "after", "rows merged", "version", "checkpoint"];
        data(&table(&headings, &changed));
        talk("rows merged: those of the small files that became one; each table has the rows that it had");
    }
    Ok(())
}

pub(super) async fn run_aggregate(context: &JobContext, as_of: Option<&str>, json: bool) -> anyhow::Result<()> {
    let as_of = context.figures_as_of(as_of).await?;
    let usage = aggregate::usage(context).await?;
    let alerts = Box::pin(jobs::bill::alert::evaluate(context, as_of)).await?;
    jobs::bill::alert::told(&alerts).iter().for_each(|line| talk(line));
    let program = aggregate::program(context, as_of).await?;
    if json {
        let steps: Vec<_> = program
            .funnel
            .iter()
            .map(|s| {
                json!({ "step": s.step, "reached": s.reached, "dropped": s.dropped, "skipped": s.skipped,
                "conversion_from_previous_percent": s.conversion_from_previous_percent,
                "median_seconds_from_previous": s.median_seconds_from_previous })
            })
            .collect();
        data(
            &json!({ "as_of": print_instant(as_of), "hours": usage.hours_total, "usage_rows": usage.usage_rows_total,
            "duplicates": usage.duplicates_total, "corrected": usage.corrected_total,
            "contested": usage.contested_total, "unmapped": usage.unmapped_total,
            "unattributed": usage.unattributed,
            "invalid_values": usage.invalid_values, "partners": program.partners_total, "active": program.active_total,
            "funnel": steps, "alerts": jobs::bill::alert::to_json(&alerts), "semantics": SEMANTICS })
            .to_string(),
        );
        return Ok(());
    }
    data(&format!(
        "usage: {} hours computed, {} rows; {} duplicates dropped; {} corrected, {} contested; unattributed: {}; invalid values: {}",
        usage.hours_total,
        usage.usage_rows_total,
        usage.duplicates_total,
        usage.corrected_total,
        usage.contested_total,
        counts(&usage.unattributed),
        counts(&usage.invalid_values)
    ));
    if usage.unmapped_total > 0 {
        let share = catalog::coverage::percent(usage.unmapped_total, usage.requests_total);
        talk(&format!(
            "of {} requests in these hours {} ({share}) are of no product; `tollbook catalog coverage` lists them",
            usage.requests_total, usage.unmapped_total
        ));
    }
    data(&format!(
        "partners: {}, active in production in the last 30 days: {}\n",
        program.partners_total, program.active_total
    ));
    let dash = || "-".to_owned();
    let rows: Vec<Vec<String>> = program
        .funnel
        .iter()
        .map(|s| {
            vec![
                s.step.to_owned(),
                s.reached.to_string(),
                s.conversion_from_previous_percent.map_or_else(dash, |p| format!("{p} %")),
                s.dropped.to_string(),
                s.skipped.to_string(),
                s.median_seconds_from_previous
                    .map_or_else(dash, |s| format!("{}.{} d", s / 86_400, s % 86_400 * 10 / 86_400)),
            ]
        })
        .collect();
    data(&table(&["step", "reached", "of previous", "dropped", "skipped", "median time"], &rows));
    data(&format!("\nas of {}. {SEMANTICS}", print_instant(as_of)));
    Ok(())
}

/// Counts by name as a person reads them.
fn counts<K: std::fmt::Display>(by_name: &BTreeMap<K, i64>) -> String {
    let counts: Vec<String> = by_name.iter().map(|(name, count)| format!("{count} {name}")).collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}

pub(super) async fn run_partner(config: &std::path::Path, step: PartnerStep, json: bool) -> anyhow::Result<()> {
    match step {
        PartnerStep::Import { template: true, .. } => data(partner::TEMPLATE.trim_end()),
        PartnerStep::Import { file, apply, .. } => {
            let context = JobContext::open(config)?;
            let plan = partner::plan(&context, &file.unwrap_or_default()).await?;
            if json {
                plan.json().iter().for_each(|line| data(&line.to_string()));
            } else {
                plan.lines.iter().for_each(|line| data(line));
            }
            if apply {
                let (events, profiles) = partner::apply(&context, &plan).await?;
                talk(&format!("{events} events and {profiles} billing profiles were added"));
            } else {
                talk("nothing was written; run it again with --apply");
            }
        }
        PartnerStep::Record(recorded) => {
            let recorded = partner::record_event(&JobContext::open(config)?, &recorded).await?;
            data(&if json { recorded.json().to_string() } else { recorded.to_string() });
        }
    }
    Ok(())
}
