//! The documents of a month, read from the lake.

use std::collections::BTreeMap;

use tollbook_lake::Lake;
use tollbook_schemas::id::InvoiceId;
use tollbook_schemas::period::Month;
use tollbook_schemas::tables::billing::INVOICE;

use super::Document;
use crate::error::BillingError;
use crate::range::PartnerRange;

/// The documents of a month, drafts and invoices.
///
/// # Errors
/// [`BillingError`].
pub async fn read_documents(lake: &Lake, month: Month) -> Result<BTreeMap<InvoiceId, Document>, BillingError> {
    read_documents_of(lake, month, &PartnerRange::ALL).await
}

/// The same, of some partners.
///
/// # Errors
/// [`BillingError`].
pub(crate) async fn read_documents_of(
    lake: &Lake,
    month: Month,
    range: &PartnerRange,
) -> Result<BTreeMap<InvoiceId, Document>, BillingError> {
    let rows = lake.rows(&INVOICE, Some(&format!("period = '{month}' and {}", range.condition()))).await?;
    let documents = rows.iter().map(Document::from_row).collect::<Result<Vec<_>, _>>()?;
    Ok(documents.into_iter().map(|document| (document.invoice_id.clone(), document)).collect())
}
