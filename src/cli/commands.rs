//! What each command runs and prints: data to stdout, talk to stderr.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tollbook::context::JobContext;
use tollbook::demo::{self, DemoSettings, verdict};
use tollbook::jobs::{aggregate, bill, catalog, explain, ingest, lake, partner, report};
use tollbook::output::{data, table, talk};
use tollbook_aggregate::SEMANTICS;
use tollbook_billing::register::RegisterRow;
use tollbook_schemas::error::Kind;
use tollbook_schemas::period::{Month, print_instant};

use super::{BillStep, PartnerStep, ReportStep};

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
    let as_of = context.figures_as_of(pages.as_of.as_deref()).await?;
    let mut figures = Vec::new();
    let mut written = Vec::new();
    match &step {
        ReportStep::Funnel(_) => {
            let (report, paths) = report::funnel(context, as_of, folder).await?;
            figures.push(serde_json::to_string(&report)?);
            written.extend(paths);
        }
        ReportStep::Roi(_) => {
            let (report, paths) = report::roi(context, as_of, folder).await?;
            figures.push(serde_json::to_string(&report)?);
            written.extend(paths);
        }
        ReportStep::Invoices { period, .. } => {
            for month in bill::months(context, period, as_of).await? {
                let (documents, paths) = report::invoices(context, month, folder).await?;
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
            "funnel": steps, "semantics": SEMANTICS })
            .to_string(),
        );
        return Ok(());
    }
    data(&format!(
        "usage: {} hours computed, {} rows; {} duplicates dropped; {} corrected, {} contested; unattributed {:?}; invalid values {:?}",
        usage.hours_total,
        usage.usage_rows_total,
        usage.duplicates_total,
        usage.corrected_total,
        usage.contested_total,
        usage.unattributed,
        usage.invalid_values
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

/// Answers each line of stdin; the exit code tells whether one was refused.
pub(super) fn estimate() -> anyhow::Result<u8> {
    let mut refused = false;
    for line in std::io::stdin().lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = tollbook_billing::rating::estimate::line(&line);
        refused |= serde_json::from_str::<serde_json::Value>(&answer)?.get("error").is_some();
        data(&answer);
    }
    Ok(if refused { Kind::Reject.exit_code() } else { 0 })
}

pub(super) async fn run_bill(context: &JobContext, step: BillStep, json: bool) -> anyhow::Result<()> {
    match step {
        BillStep::Draft(period) => {
            let as_of = context.as_of(period.as_of.as_deref()).await?;
            let mut told_unseen = None;
            for month in bill::months(context, &period.period, as_of).await? {
                let result = bill::draft_month(context, month, as_of).await?;
                data(&result.to_json().to_string());
                result.told().iter().for_each(|line| talk(line));
                told_unseen = result.unseen.told();
            }
            // The same for every month: said once.
            told_unseen.iter().for_each(|line| talk(line));
        }
        BillStep::Issue { period, accept } => {
            let reason = accept.reason.as_deref();
            let as_of = bill::issue_as_of(context, period.as_of.as_deref(), reason).await?;
            let mut missing = Vec::new();
            let mut told_unseen = None;
            for month in bill::months(context, &period.period, as_of).await? {
                let result = bill::issue_accepting(context, month, as_of, reason).await?;
                let bill::IssueResult { issued, reach, unseen } = result;
                data(
                    &json!({ "month": month, "issued": issued.invoices.len(), "already_issued": issued.already_issued,
                    "not_ended": issued.not_ended.len(), "incomplete": issued.incomplete.len(),
                    "billed_elsewhere": issued.billed_elsewhere.len(), "reach": reach.map(print_instant),
                    "newer_events": unseen.event_count, "newer_requests": unseen.request_count })
                    .to_string(),
                );
                for (partner_id, _) in &issued.not_ended {
                    talk(&format!("{month} {partner_id}: left, because its period has not ended"));
                }
                for one in &issued.invoices {
                    one.incomplete
                        .iter()
                        .for_each(|told| talk(&format!("{month} {} {}: {told}", one.partner_id, one.number)));
                }
                for (partner_id, _) in &issued.billed_elsewhere {
                    talk(&format!("{month} {partner_id}: left, because another invoice has billed its subscription"));
                }
                missing.extend(bill::what_is_missing(context, month, &issued, reach).await?);
                told_unseen = unseen.told();
            }
            told_unseen.iter().for_each(|line| talk(line));
            bill::complain_of_incomplete(&missing)?;
        }
        BillStep::Push(period) => {
            let as_of = context.as_of(period.as_of.as_deref()).await?;
            let mut reports = Vec::new();
            for month in bill::months(context, &period.period, as_of).await? {
                let report = bill::push_month(context, month).await?;
                data(
                    &json!({ "month": month, "finalised": report.finalised.len(),
                        "already_finalised": report.already_finalised, "nothing_due": report.nothing_due.len(),
                        "failed": report.failed.len(), "unfinished": report.unfinished.len(),
                        "write_requests": report.write_request_count })
                    .to_string(),
                );
                reports.push(report);
            }
            bill::complain(&reports)?;
        }
        // Needs no lake: `run` answers it before one is opened.
        BillStep::Estimate => {
            estimate()?;
        }
        BillStep::Sync => {
            let report = bill::sync(context).await?;
            data(&bill::payments(&report).to_string());
            bill::not_to_be_paid(&report).iter().for_each(|line| talk(line));
            bill::complain_of_sync(&report)?;
        }
        BillStep::Explain { line } => print_explained(&explain::explain(context, &line).await?, json),
        BillStep::Register { period, csv } => {
            let as_of = context.as_of(period.as_of.as_deref()).await?;
            let mut rows = Vec::new();
            for month in bill::months(context, &period.period, as_of).await? {
                let of_month = bill::register(context, month, as_of).await?;
                rows.extend(of_month.into_iter().map(|row| (month, row)));
            }
            print_register(&rows, csv, json);
        }
    }
    Ok(())
}

fn print_explained(explained: &explain::Explained, json: bool) {
    let (body, line) = (&explained.document.body, &explained.line);
    let requests: i64 = explained.evidence.iter().map(|evidence| evidence.request_count).sum();
    let billed: i64 = line.usage.iter().map(|day| day.event_count).sum();
    if json {
        let evidence: Vec<_> = explained
            .evidence
            .iter()
            .map(|e| {
                json!({ "slice_start": print_instant(e.slice.start), "slice_end": print_instant(e.slice.end),
                "source": e.source, "partition": e.partition, "first_offset": e.first_offset,
                "last_offset": e.last_offset, "requests": e.request_count })
            })
            .collect();
        data(
            &json!({ "invoice_id": explained.document.invoice_id, "partner_id": body.partner_id, "line": line,
            "requests_found": requests, "requests_billed": billed, "same_catalog": explained.same_catalog,
            "evidence": evidence })
            .to_string(),
        );
        return;
    }
    let total = tollbook_schemas::money::Money { minor: line.amount_minor, currency: body.currency };
    data(&format!(
        "{} · {} · line {}: {}",
        body.partner_id, explained.document.invoice_id, line.line_number, line.description
    ));
    let unit = line.unit.as_deref().unwrap_or("");
    data(&format!(
        "{} {} {unit} in [{}, {}) = {total}",
        line.price_model,
        line.quantity,
        print_instant(line.span_start),
        print_instant(line.span_end)
    ));
    if let Some(contract) = &line.contract {
        data(&format!("by contract {} version {}", contract.contract_id, contract.version));
    }
    data(&format!("working: {}", serde_json::to_string(&line.working).unwrap_or_default()));
    let computed = explained.how_computed();
    if !computed.is_empty() {
        data(&table(&["how computed", "quantity", "price", "exact"], &computed));
    }
    data(&format!("pin: {}", body.pin));
    let rows: Vec<Vec<String>> = explained
        .evidence
        .iter()
        .map(|e| {
            vec![
                print_instant(e.slice.start),
                print_instant(e.slice.end),
                e.source.clone(),
                e.partition.to_string(),
                e.first_offset.to_string(),
                e.last_offset.to_string(),
                e.request_count.to_string(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        data(&table(&["slice", "to", "source", "partition", "first offset", "last offset", "requests"], &rows));
    }
    data(&format!("requests behind the line: {requests}; requests it billed: {billed}"));
    if !explained.same_catalog {
        talk("the catalog has changed since: the rows are metered by today's, the line by the one of its pin");
    }
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

/// The columns of a register; for people without the ids that only machines need.
const REGISTER: [&str; 10] =
    ["month", "partner", "issuer", "invoice_id", "number", "state", "currency", "amount", "stripe", "note"];

fn register_cells(month: Month, row: &RegisterRow) -> [Option<String>; 10] {
    let amount = row.total.map(|total| {
        let printed = total.to_string();
        printed.split(' ').next().unwrap_or_default().to_owned()
    });
    [
        Some(month.to_string()),
        Some(row.partner_id.to_string()),
        row.issuer_id.as_ref().map(ToString::to_string),
        row.invoice_id.as_ref().map(ToString::to_string),
        row.number.clone(),
        row.state.map(|state| state.as_str().to_owned()),
        row.total.map(|total| total.currency.to_string()),
        amount,
        row.stripe_id.clone(),
        row.note.clone(),
    ]
}

/// One table, or one heading, however many months there are.
fn print_register(rows: &[(Month, RegisterRow)], csv: bool, json: bool) {
    let cells = rows.iter().map(|(month, row)| register_cells(*month, row));
    if json {
        for (month, row) in rows {
            data(
                &json!({ "month": month, "partner_id": row.partner_id, "issuer_id": row.issuer_id,
                "invoice_id": row.invoice_id, "number": row.number, "state": row.state.map(|s| s.as_str()),
                "total_minor": row.total.map(|t| t.minor), "currency": row.total.map(|t| t.currency),
                "stripe_id": row.stripe_id, "note": row.note })
                .to_string(),
            );
        }
    } else if csv {
        data(&REGISTER.join(","));
        for row in cells {
            // An empty cell is nothing; a quoted one is text.
            let quoted = |cell: &Option<String>| {
                cell.as_ref().map_or_else(String::new, |text| format!("\"{}\"", text.replace('"', "\"\"")))
            };
            data(&row.iter().map(quoted).collect::<Vec<_>>().join(","));
        }
    } else {
        let is_shown = |column: &usize| !matches!(REGISTER[*column], "issuer" | "invoice_id");
        let shown: Vec<usize> = (0..REGISTER.len()).filter(is_shown).collect();
        let headings: Vec<&str> = shown.iter().map(|column| REGISTER[*column]).collect();
        let cells: Vec<Vec<String>> = cells
            .map(|row| {
                let cell = |column: &usize| match (&row[*column], REGISTER[*column]) {
                    (Some(cell), _) => cell.clone(),
                    (None, "note") => String::new(),
                    (None, _) => "-".to_owned(),
                };
                shown.iter().map(cell).collect()
            })
            .collect();
        data(&table(&headings, &cells));
    }
}

/// "How many active partners do we have?"
const ACTIVE_PARTNERS: &str = "select count(*) as active_partners from active_partner";

pub(super) async fn run_demo(settings: &DemoSettings, json: bool) -> anyhow::Result<u8> {
    Ok(print_demo(&demo::run(settings).await?, json))
}

/// Prints the comparison; gives the exit code.
pub(super) fn print_demo(result: &demo::DemoResult, json: bool) -> u8 {
    let checks = verdict::compare(&result.ledger, &result.found);
    let wrong: Vec<_> = checks.iter().filter(|check| !check.is_equal()).collect();
    let code = verdict::exit_code(&checks);
    if json {
        let documents: Vec<_> = result
            .found
            .invoices
            .iter()
            .map(|(partner, invoice)| json!({ "partner": partner, "document_sha256": invoice.document_sha256 }))
            .collect();
        data(
            &json!({ "equal": wrong.is_empty(), "checks": checks, "documents": documents,
            "stripe_calls": result.stripe.counts(), "config": demo::shown(&result.config) })
            .to_string(),
        );
        return code;
    }
    let mut rows: Vec<Vec<String>> = Vec::new();
    for check in &checks {
        // Counts and funnel are few and shown one by one; usage and invoices are summed up unless they differ.
        if matches!(check.class, "counts" | "funnel") || !check.is_equal() {
            let equal = if check.is_equal() { "yes" } else { "NO" };
            rows.push(vec![
                check.class.into(),
                check.figure.clone(),
                check.expected.clone(),
                check.found.clone(),
                equal.into(),
            ]);
        }
    }
    for class in ["usage", "invoices"] {
        let (all, equal) = checks
            .iter()
            .filter(|c| c.class == class)
            .fold((0, 0), |(all, equal), check| (all + 1, equal + usize::from(check.is_equal())));
        let word = if all == equal { "yes" } else { "NO" };
        rows.push(vec![class.into(), "all figures".into(), all.to_string(), equal.to_string(), word.into()]);
    }
    data(&table(&["class", "figure", "expected", "found", "equal"], &rows));
    let times: Vec<String> = result.seconds.iter().map(|(name, seconds)| format!("{name} {seconds:.1} s")).collect();
    talk(&format!("\n{}", times.join(" · ")));
    let config = demo::shown(&result.config);
    if !wrong.is_empty() {
        talk(&format!(
            "{} of {} figures differ: the lake is left at {config} for you to look",
            wrong.len(),
            checks.len()
        ));
        return code;
    }
    data(&format!(
        "\nall {} figures equal the simulator's ledger. The lake and its configuration: {config}",
        checks.len()
    ));
    let program = std::env::args().next().unwrap_or_else(|| "tollbook".to_owned());
    data("try next:");
    data(&format!("  open {}", demo::shown(&result.reports.join("funnel.html"))));
    data(&format!("  {program} --config {config} bill explain {}", result.line));
    data(&format!("  {program} --config {config} sql \"{ACTIVE_PARTNERS}\""));
    code
}
