//! `bill compare`: a parallel run against another billing system.

use std::path::PathBuf;

use serde_json::json;
use tollbook::context::JobContext;
use tollbook::jobs::bill::Months;
use tollbook::jobs::bill::compare::{self, CompareResult, DIFFERENT};
use tollbook::output::{data, table, talk};
use tollbook_billing::compare::{Difference, Side};
use tollbook_schemas::money::{Currency, Money};

/// What is compared.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Given {
    /// CSV file of what the other system billed: partner_id, period, price_id or description, quantity (may be left
    /// out), amount, currency.
    #[arg(long, value_name = "FILE")]
    with: PathBuf,
    /// Months: 2026-06, 2026-01..2026-06, or several behind commas; those of the file by default.
    #[arg(long, value_name = "MONTHS", value_parser = Months::read)]
    period: Option<Months>,
    /// Billing profiles as they are in force at this instant; the watermark of the data by default.
    #[arg(long, value_name = "INSTANT")]
    as_of: Option<String>,
}

/// Prints what differs; gives the exit code.
pub(super) async fn run(context: &JobContext, given: Given, json: bool) -> anyhow::Result<u8> {
    let as_of = context.as_of(given.as_of.as_deref()).await?;
    let result = compare::compare(context, &given.with, given.period.as_ref(), as_of).await?;
    if json {
        print_json(&result);
    } else {
        print_tables(&result);
    }
    for (month, one) in &result.blocked {
        talk(&format!("{month} {} is blocked, so tollbook has no lines of it: {}", one.partner_id, one.reason));
    }
    if !result.left_out.is_empty() {
        let lines: usize = result.left_out.values().sum();
        let months: Vec<String> = result.left_out.iter().map(|(month, count)| format!("{month} ({count})")).collect();
        talk(&format!(
            "{lines} lines of the file are of months that --period does not name, and are not compared: {}",
            months.join(", ")
        ));
    }
    talk("nothing was written, and nothing sent");
    Ok(if result.compared.differences.is_empty() { 0 } else { DIFFERENT })
}

fn print_tables(result: &CompareResult) {
    let compared = &result.compared;
    if !compared.differences.is_empty() {
        let headings = [
            "partner",
            "period",
            "line",
            "what",
            "currency",
            "legacy",
            "tollbook",
            "difference",
            "legacy quantity",
            "tollbook quantity",
        ];
        let rows: Vec<Vec<String>> = compared.differences.iter().map(cells).collect();
        data(&format!("{}\n", table(&headings, &rows)));
    }
    let totals = compared.totals.iter().map(|one| {
        vec![
            one.partner_id.to_string(),
            one.legacy.currency.to_string(),
            one.legacy.amount_text(),
            one.tollbook.amount_text(),
            Money { minor: one.difference_minor, currency: one.legacy.currency }.amount_text(),
            one.different_lines.to_string(),
        ]
    });
    let headings = ["partner", "currency", "legacy", "tollbook", "difference", "lines that differ"];
    data(&table(&headings, &totals.collect::<Vec<_>>()));
    data(&format!(
        "\n{} lines are equal, {} differ; {} lines of 0 are on one side alone",
        compared.equal,
        compared.differences.len(),
        compared.zero_alone
    ));
}

fn cells(one: &Difference) -> Vec<String> {
    let amount = |side: &Option<Side>, currency: Currency| {
        side.as_ref().map_or_else(|| "-".to_owned(), |side| Money { minor: side.amount_minor, currency }.amount_text())
    };
    let quantity = |side: &Option<Side>| {
        side.as_ref().and_then(|side| side.quantity).map_or_else(|| "-".to_owned(), |quantity| quantity.to_string())
    };
    vec![
        one.partner_id.to_string(),
        one.month.to_string(),
        one.line.clone(),
        one.what().replace('_', " "),
        one.currency.to_string(),
        amount(&one.legacy, one.currency),
        amount(&one.tollbook, one.currency),
        Money { minor: one.difference_minor, currency: one.currency }.amount_text(),
        quantity(&one.legacy),
        quantity(&one.tollbook),
    ]
}

/// An object for each line that differs, for each partner and currency, for each partner that is blocked; one at the
/// end.
fn print_json(result: &CompareResult) {
    let compared = &result.compared;
    let side = |side: &Option<Side>| {
        side.as_ref().map(|side| json!({ "amount_minor": side.amount_minor, "quantity": side.quantity }))
    };
    for one in &compared.differences {
        data(
            &json!({ "what": one.what(), "partner_id": one.partner_id, "month": one.month, "line": one.line,
            "currency": one.currency, "legacy": side(&one.legacy), "tollbook": side(&one.tollbook),
            "difference_minor": one.difference_minor, "file_lines": one.file_lines })
            .to_string(),
        );
    }
    for one in &compared.totals {
        data(
            &json!({ "what": "total", "partner_id": one.partner_id, "currency": one.legacy.currency,
            "legacy_minor": one.legacy.minor, "tollbook_minor": one.tollbook.minor,
            "difference_minor": one.difference_minor, "different_lines": one.different_lines })
            .to_string(),
        );
    }
    for (month, one) in &result.blocked {
        data(
            &json!({ "what": "blocked", "partner_id": one.partner_id, "month": month, "reason": one.reason })
                .to_string(),
        );
    }
    data(
        &json!({ "what": "summary", "months": result.months, "equal": compared.equal,
        "different": compared.differences.len(), "zero_alone": compared.zero_alone,
        "left_out": result.left_out.values().sum::<usize>() })
        .to_string(),
    );
}
