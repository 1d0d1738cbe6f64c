//! `bill due`: a row for each place that is not issued, with what keeps it.

use std::collections::BTreeMap;

use serde_json::json;
use tollbook::context::JobContext;
use tollbook::jobs::bill::clock::{Due, due_now};
use tollbook::output::{data, table, talk};
use tollbook_billing::due::{DueRow, WhyNot};
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::money::Money;
use tollbook_schemas::period::print_instant;

/// What is looked at.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Given {
    /// A month such as 2026-06, `previous`, or `due`: every month that is over by the clock.
    #[arg(long, default_value = "due", value_parser = crate::cli::period)]
    period: String,
    /// Only of this partner.
    #[arg(long, value_name = "PARTNER")]
    partner: Option<PartnerId>,
}

pub(super) async fn run(context: &JobContext, given: Given, json: bool) -> anyhow::Result<()> {
    let due = Box::pin(due_now(context, &given.period, given.partner.as_ref())).await?;
    if json {
        due.rows.iter().for_each(|row| data(&json_of(row).to_string()));
    } else {
        print_table(&due.rows);
    }
    told(&due).iter().for_each(|line| talk(line));
    Ok(())
}

fn print_table(rows: &[DueRow]) {
    let cells = rows.iter().map(|row| {
        let why: Vec<String> = row.why_not.iter().map(ToString::to_string).collect();
        vec![
            row.month.to_string(),
            row.partner_id.to_string(),
            row.kind.map_or("-", |kind| kind.as_str()).to_owned(),
            row.total.map_or_else(|| "-".to_owned(), |total| total.currency.to_string()),
            row.total.map_or_else(|| "-".to_owned(), Money::amount_text),
            row.closes_at.map_or_else(|| "-".to_owned(), print_instant),
            if row.is_ready() { "ready".to_owned() } else { why.join("; ") },
        ]
    });
    let headings = ["month", "partner", "kind", "currency", "amount", "closes at", "why not yet"];
    data(&table(&headings, &cells.collect::<Vec<_>>()));
}

/// What a person must know of all of it, a line each.
fn told(due: &Due) -> Vec<String> {
    let reach = match due.reach {
        Some(reach) => format!("the data behind usage reach to {}", print_instant(reach)),
        None => "it is not known how far the data behind usage reach".to_owned(),
    };
    let months: Vec<String> = due.months.iter().map(ToString::to_string).collect();
    let months = if months.is_empty() { "no month is due".to_owned() } else { months.join(", ") };
    let ready = due.rows.iter().filter(|row| row.is_ready()).count();
    let mut kept: BTreeMap<&str, usize> = BTreeMap::new();
    for word in due.rows.iter().flat_map(|row| &row.why_not).map(WhyNot::word) {
        *kept.entry(word).or_default() += 1;
    }
    let kept: Vec<String> = kept.iter().map(|(word, count)| format!("{count} {word}")).collect();
    let kept = if kept.is_empty() { String::new() } else { format!("; {}", kept.join(", ")) };
    let summary = format!("{months}: {} are not issued, {ready} are ready{kept}; {reach}", due.rows.len());
    std::iter::once(summary).chain(due.unseen.clone()).collect()
}

fn json_of(row: &DueRow) -> serde_json::Value {
    let why: Vec<_> = row.why_not.iter().map(|why| json!({ "why": why.word(), "told": why.to_string() })).collect();
    json!({ "month": row.month, "partner_id": row.partner_id, "issuer_id": row.issuer_id, "kind": row.kind,
        "invoice_id": row.draft, "currency": row.total.map(|total| total.currency),
        "total_minor": row.total.map(|total| total.minor), "period_end": row.period_end.map(print_instant),
        "closes_at": row.closes_at.map(print_instant), "ready": row.is_ready(), "why_not": why })
}
