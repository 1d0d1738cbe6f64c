//! The issued documents, read from the lake: what was billed so far.

use std::collections::{BTreeMap, BTreeSet};

use tollbook_lake::Lake;
use tollbook_schemas::id::InvoiceId;
use tollbook_schemas::period::Month;
use tollbook_schemas::tables::billing::{INVOICE, INVOICE_EVENT};

use crate::billed::IssuedDocument;
use crate::document::Document;
use crate::error::BillingError;
use crate::event::{EventKind, events_of};
use crate::range::PartnerRange;

/// The kinds of events that tell whether a document was issued, and whether it still counts.
const ISSUED_KINDS: &str = "kind IN ('issued', 'voided')";

/// The issued documents of all months, or of those from one on: what adjusts a month is never in an earlier one.
///
/// # Errors
/// [`BillingError`].
pub async fn read_issued(lake: &Lake, from: Option<Month>) -> Result<Vec<IssuedDocument>, BillingError> {
    read_issued_of(lake, from, &PartnerRange::ALL).await
}

/// The same, of some partners.
///
/// # Errors
/// [`BillingError`].
pub async fn read_issued_of(
    lake: &Lake,
    from: Option<Month>,
    range: &PartnerRange,
) -> Result<Vec<IssuedDocument>, BillingError> {
    let condition = format!("{ISSUED_KINDS} and {}", range.condition());
    let events = events_of(&lake.rows(&INVOICE_EVENT, Some(&condition)).await?)?;
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let of_kind = |kind: EventKind| events.iter().filter(move |event| event.kind == kind);
    let voided: BTreeSet<&InvoiceId> = of_kind(EventKind::Voided).map(|event| &event.invoice_id).collect();
    let numbers: BTreeMap<&InvoiceId, String> =
        of_kind(EventKind::Issued).map(|event| (&event.invoice_id, event.number.clone().unwrap_or_default())).collect();
    let from = from.map_or_else(|| "true".to_owned(), |from| format!("period >= '{from}'"));
    let condition = format!("{from} and {}", range.condition());
    let mut issued = Vec::new();
    for row in lake.rows(&INVOICE, Some(&condition)).await? {
        let document = Document::from_row(&row)?;
        let Some(number) = numbers.get(&document.invoice_id).cloned() else { continue };
        let is_voided = voided.contains(&document.invoice_id);
        issued.push(IssuedDocument { document, number, is_voided });
    }
    issued.sort_by(|a, b| a.document.invoice_id.cmp(&b.document.invoice_id));
    Ok(issued)
}
