//! `bill lines`: the view `issued_line` of some months and one partner or all, in a form that ledgers take in; beside
//! it what only documents hold: unit, unit price, contract, whose line it is, what a credit note credits. With these a
//! line can be computed again by whoever reads the file. In CSV no text is a formula of whatever opens it
//! (`lines/cells.rs`).

mod cells;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use arrow::array::{ArrayRef, Decimal128Array, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use tollbook_billing::document::{Document, Line};
use tollbook_lake::as_text;
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::tables::Kind;
use tollbook_schemas::tables::billing::INVOICE;

use super::Months;
use crate::context::JobContext;
use crate::jobs::explain::unit_price_of;
use crate::jobs::past::PastRun;
use crate::jobs::sql::{self, Format};

/// What the lines of a file say: columns of `issued_line`, and behind `printed.` those that only documents hold.
const COLUMNS: &str = "line.number, line.document_kind, printed.credits_number, line.issuer_id, line.partner_id, \
    printed.for_partner, line.issued_at, line.status, line.period, line.line_number, line.description, line.subscription_id, \
    line.plan_id, line.plan_version, printed.contract_id, printed.contract_version, line.price_id, line.price_model, \
    line.meter_id, line.period_start, line.period_end, line.quantity, printed.unit, printed.unit_price, printed.amount, \
    line.amount_minor, line.currency, line.working, line.line_id, line.invoice_id";

/// The lines, by issuer, number and place: as text, or `None` where they were written to a file.
///
/// # Errors
/// As [`sql::answer_in`]; a document that cannot be read.
pub async fn lines(
    context: &JobContext,
    past: Option<&PastRun>,
    months: Option<&Months>,
    partner_id: Option<&PartnerId>,
    format: Format,
    out: Option<&Path>,
) -> anyhow::Result<Option<String>> {
    let session = match past {
        None => context.lake.session().await?,
        Some(run) => context.lake.session_at(&run.tables).await?,
    };
    let of_months = months.map(Months::condition);
    let of_partner = partner_id.map(|partner_id| format!("partner_id = {}", as_text(partner_id.as_str())));
    let conditions: Vec<String> = of_months.into_iter().chain(of_partner).collect();
    let condition = if conditions.is_empty() { "true".to_owned() } else { conditions.join(" and ") };
    let issued = format!("{condition} and invoice_id in (select invoice_id from invoice_status where {condition})");
    let rows = context.lake.rows_in(&session, &INVOICE, Some(&issued)).await?;
    let documents = rows.iter().map(Document::from_row).collect::<Result<Vec<_>, _>>()?;
    session.register_batch("printed_line", printed(&documents)?)?;
    // A table is for people: what tells machines where a line comes from would push the amounts off the screen.
    let columns = match format {
        Format::Table => {
            "line.number, line.document_kind as kind, line.partner_id, line.period, line.line_number as line, \
             line.description, line.quantity, printed.unit, printed.unit_price, printed.amount, line.currency"
        }
        Format::Csv | Format::Json | Format::Parquet => COLUMNS,
    };
    let query = format!(
        "select {columns} from (select * from issued_line where {condition}) as line join printed_line as printed on \
         printed.line_id = line.line_id order by line.issuer_id, line.number, line.line_number"
    );
    if format == Format::Csv {
        let rows = context.lake.answer(&session, &query).await?;
        let rows = rows.iter().map(cells::as_texts).collect::<anyhow::Result<Vec<_>>>()?;
        return sql::written(&rows, format, out);
    }
    sql::answer_in(context, &session, &query, format, out).await
}

/// What only the documents hold of their lines, a row for each.
fn printed(documents: &[Document]) -> anyhow::Result<RecordBatch> {
    let lines: Vec<(&Document, &Line)> =
        documents.iter().flat_map(|document| document.body.lines.iter().map(move |line| (document, line))).collect();
    let texts = |of: &dyn Fn(&Document, &Line) -> Option<String>| -> ArrayRef {
        Arc::new(lines.iter().map(|(document, line)| of(document, line)).collect::<StringArray>())
    };
    let decimals = |of: &dyn Fn(&Document, &Line) -> Option<Decimal>| -> ArrayRef {
        let unscaled = lines.iter().map(|(document, line)| of(document, line).map(Decimal::unscaled));
        Arc::new(unscaled.collect::<Decimal128Array>().with_data_type(Kind::Decimal.data_type()))
    };
    let mut amounts = Vec::new();
    for (document, line) in &lines {
        let exact = Exact::scaled(line.amount_minor, document.body.currency.exponent());
        amounts.push(exact.to_decimal().with_context(|| {
            format!("line {} of {} has an amount beyond every decimal", line.line_number, document.invoice_id)
        })?);
    }
    let amounts = amounts.into_iter().map(Decimal::unscaled).map(Some).collect::<Decimal128Array>();
    let versions = lines.iter().map(|(_, line)| line.contract.as_ref().map(|contract| i64::from(contract.version)));
    let columns: [(&str, ArrayRef); 8] = [
        ("line_id", texts(&|document, line| Some(document.line_id(line.line_number).to_string()))),
        ("credits_number", texts(&|document, _| document.body.credits.as_ref().map(|credits| credits.number.clone()))),
        ("for_partner", texts(&|_, line| line.for_partner.as_ref().map(ToString::to_string))),
        ("unit", texts(&|_, line| line.unit.clone())),
        ("unit_price", decimals(&|_, line| unit_price_of(line))),
        ("amount", Arc::new(amounts.with_data_type(Kind::Decimal.data_type()))),
        ("contract_id", texts(&|_, line| line.contract.as_ref().map(|contract| contract.contract_id.to_string()))),
        ("contract_version", Arc::new(versions.collect::<Int64Array>())),
    ];
    // Without lines a column would not know whether it may be empty.
    Ok(RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, name != "line_id")))?)
}
