//! Documents as batches of `invoice`, `invoice_line` and `billed_usage`, column by column: the close of a month writes
//! millions of rows, and no row is built of them.
//!
//! Takes documents, in order; gives one batch of each table. All of it can be made anew from the documents' texts.

use arrow::array::RecordBatch;
use serde::Serialize;
use tollbook_lake::LakeError;
use tollbook_schemas::id::InvoiceId;
use tollbook_schemas::tables::Columns;
use tollbook_schemas::tables::billing::{BILLED_USAGE, INVOICE, INVOICE_LINE};

use super::{BilledDay, ByHand, Document, Line, LineOpening, count_of, no_json};
use crate::error::BillingError;
use crate::rating::Working;

/// Their rows of `invoice`.
///
/// # Errors
/// [`BillingError`] where a value does not fit its column.
pub fn invoice_batch(documents: &[&Document]) -> Result<RecordBatch, BillingError> {
    let bodies = || documents.iter().map(|document| &document.body);
    let batch = Columns::of(&INVOICE)
        .texts("invoice_id", documents.iter().map(|document| &document.invoice_id))
        .texts("slot_id", documents.iter().map(|document| &document.slot_id))
        .texts("issuer_id", bodies().map(|body| &body.issuer.issuer_id))
        .texts("partner_id", bodies().map(|body| &body.partner_id))
        .texts("profile_version_id", bodies().map(|body| &body.profile_version_id))
        .texts("currency", bodies().map(|body| body.currency.code()))
        .instants("period_start", bodies().map(|body| body.period_start))
        .instants("period_end", bodies().map(|body| body.period_end))
        .ints("line_count", bodies().map(|body| count_of(body.lines.len())))
        .ints("total_minor", bodies().map(|body| body.total_minor))
        .texts("pin", bodies().map(|body| &body.pin))
        .texts("catalog_sha256", bodies().map(|body| &body.catalog_sha256))
        .texts("document", documents.iter().map(|document| &document.text))
        .texts("period", months_of(documents));
    finish(batch)
}

/// Their rows of `invoice_line`.
///
/// # Errors
/// [`BillingError::Bug`] where a working has no JSON; where a value does not fit its column.
pub fn line_batch(documents: &[&Document]) -> Result<RecordBatch, BillingError> {
    let months = months_of(documents);
    let of: Vec<(&Document, &str, &Line)> = documents
        .iter()
        .zip(&months)
        .flat_map(|(document, month)| document.body.lines.iter().map(move |line| (*document, month.as_str(), line)))
        .collect();
    let bodies = || of.iter().map(|(document, ..)| &document.body);
    let lines = || of.iter().map(|(.., line)| *line);
    let workings = lines().map(working_json).collect::<Result<Vec<_>, _>>()?;
    let batch = Columns::of(&INVOICE_LINE)
        .texts("line_id", of.iter().map(|(document, _, line)| document.line_id(line.line_number)))
        .texts("invoice_id", of.iter().map(|(document, ..)| &document.invoice_id))
        .ints("line_number", lines().map(|line| i64::from(line.line_number)))
        .texts("partner_id", bodies().map(|body| &body.partner_id))
        .texts("subscription_id", lines().map(|line| &line.subscription_id))
        .texts("plan_id", lines().map(|line| &line.plan_id))
        .ints("plan_version", lines().map(|line| i64::from(line.plan_version)))
        .texts("price_id", lines().map(|line| &line.price_id))
        .optional_texts("meter_id", lines().map(|line| line.meter_id.as_ref()))
        .texts("price_model", lines().map(|line| &line.price_model))
        .texts("description", lines().map(|line| &line.description))
        .decimals("quantity", lines().map(|line| line.quantity))
        .texts("working", workings)
        .ints("amount_minor", lines().map(|line| line.amount_minor))
        .texts("currency", bodies().map(|body| body.currency.code()))
        .instants("period_start", lines().map(|line| line.span_start))
        .instants("period_end", lines().map(|line| line.span_end))
        .texts("period", of.iter().map(|(_, month, _)| month));
    finish(batch)
}

/// Their rows of `billed_usage`: what each day was billed once. A line that adjusts has all days of its month as they
/// are now, which were billed before but for the difference: they stay in the text.
///
/// # Errors
/// [`BillingError`] where a value does not fit its column.
pub fn billed_usage_batch(documents: &[&Document]) -> Result<RecordBatch, BillingError> {
    let months = months_of(documents);
    let mut of: Vec<(usize, &InvoiceId, &str, &BilledDay)> = Vec::new();
    let mut line_ids = Vec::new();
    for (document, month) in documents.iter().zip(&months) {
        for line in document.body.lines.iter().filter(|line| line.adjusts.is_none()) {
            of.extend(line.usage.iter().map(|day| (line_ids.len(), &document.invoice_id, month.as_str(), day)));
            line_ids.push(document.line_id(line.line_number));
        }
    }
    let days = || of.iter().map(|(.., day)| *day);
    let batch = Columns::of(&BILLED_USAGE)
        .texts("line_id", of.iter().map(|(line, ..)| &line_ids[*line]))
        .texts("invoice_id", of.iter().map(|(_, invoice_id, ..)| invoice_id))
        .dates("event_date", days().map(|day| day.event_date))
        .decimals("quantity", days().map(|day| day.quantity))
        .ints("event_count", days().map(|day| day.event_count))
        .ints("slice_count", days().map(|day| day.slice_count))
        .texts("usage_sha256", days().map(|day| day.usage_sha256.hex()))
        .texts("period", of.iter().map(|(_, _, month, _)| month));
    finish(batch)
}

fn months_of(documents: &[&Document]) -> Vec<String> {
    documents.iter().map(|document| document.body.month.to_string()).collect()
}

/// How a line came about, with who made it, or what was billed before.
fn working_json(line: &Line) -> Result<String, BillingError> {
    let (by_hand, opening, working) = (line.by_hand.as_ref(), line.opening.as_ref(), &line.working);
    let json = match (by_hand, opening) {
        (None, None) => working.to_json(),
        _ => serde_json::to_string(&WorkingBeside { by_hand, opening, working }),
    };
    json.map_err(|error| no_json("a working", &error))
}

#[derive(Serialize)]
struct WorkingBeside<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    by_hand: Option<&'a ByHand>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opening: Option<&'a LineOpening>,
    #[serde(flatten)]
    working: &'a Working,
}

/// What does not fit its column would not fit the table either: the lake's error.
fn finish(columns: Columns) -> Result<RecordBatch, BillingError> {
    Ok(columns.finish().map_err(LakeError::from)?)
}
