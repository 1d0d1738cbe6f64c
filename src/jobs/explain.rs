//! `tollbook bill explain LINE`: from a printed line to the usage slices and offsets that made it.

use anyhow::{Context as _, bail};
use tollbook_aggregate::{Evidence, explain as evidence_of, read_registry};
use tollbook_billing::document::{Document, Line};
use tollbook_lake::as_text;
use tollbook_schemas::id::LineId;
use tollbook_schemas::period::Period;
use tollbook_schemas::pin::Pin;
use tollbook_schemas::tables::billing::{INVOICE, INVOICE_LINE};

use crate::context::JobContext;

/// A line with what is behind it.
pub struct Explained {
    /// The document that it is printed on.
    pub document: Document,
    /// The line.
    pub line: Line,
    /// Offsets by slice and partition; none for a flat price.
    pub evidence: Vec<Evidence>,
    /// Whether today's catalog is the one that priced the line: another may meter the rows otherwise.
    pub same_catalog: bool,
}

/// Walks a line back.
///
/// # Errors
/// A line that does not exist, or stored rows that cannot be read.
pub async fn explain(context: &JobContext, line_id: &str) -> anyhow::Result<Explained> {
    let line_id = LineId::parse(line_id).context("a line id looks like lin_0123…; see the table invoice_line")?;
    let condition = format!("line_id = {}", as_text(line_id.as_str()));
    let rows = context.lake.rows(&INVOICE_LINE, Some(&condition)).await?;
    let Some(row) = rows.first() else {
        bail!("there is no line {line_id}; list them: tollbook sql \"select line_id, description from invoice_line\"");
    };
    let invoice_id = row.text("invoice_id").context("a line without an invoice")?;
    let condition = format!("invoice_id = {}", as_text(invoice_id));
    let invoices = context.lake.rows(&INVOICE, Some(&condition)).await?;
    let document = Document::from_row(invoices.first().context("a line whose invoice is missing")?)?;
    let number = row.int("line_number");
    let line = document.body.lines.iter().find(|line| Some(i64::from(line.line_number)) == number);
    let line = line.context("a line that its document does not have")?.clone();
    let catalog = context.catalog()?;
    let pin: serde_json::Value = serde_json::from_str(&document.body.pin)?;
    let access: Pin = serde_json::from_value(pin["access_log"].clone()).context("the document's pin")?;
    let events: Pin = serde_json::from_value(pin["partner_event"].clone()).context("the document's pin")?;
    let registry = read_registry(&context.lake, &events, None).await?;
    let span = Period::new(line.span_start, line.span_end)?;
    let meter = line
        .meter_id
        .as_ref()
        .map(|id| catalog.meters.get(id).with_context(|| format!("the catalog has no meter {id} any more")));
    let evidence = match meter.transpose()? {
        None => Vec::new(),
        Some(meter) => {
            evidence_of(&context.lake, &registry, &catalog, &access, meter, &document.body.partner_id, span).await?
        }
    };
    let same_catalog = catalog.sha256 == document.body.catalog_sha256;
    Ok(Explained { document, line, evidence, same_catalog })
}
