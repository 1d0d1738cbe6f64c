//! `tollbook bill list`: stored documents with their state, now or as a run left them; writes nothing.

use tollbook_billing::document::Document;
use tollbook_billing::event::events_of;
use tollbook_billing::list::{Filter, ListRow, list as make_list};
use tollbook_billing::stripe::State;
use tollbook_lake::as_text;
use tollbook_schemas::tables::billing::{INVOICE, INVOICE_EVENT};

use super::Months;
use crate::context::JobContext;
use crate::jobs::past::{PastRun, Tables};

/// A list, and what it leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The documents.
    pub rows: Vec<ListRow>,
    /// Withdrawn drafts that the list would have, if it were asked for them.
    pub withdrawn_count: usize,
}

/// Lists the documents of some months, or of all; now, or as a run left them.
///
/// # Errors
/// The lake's.
pub async fn list(
    context: &JobContext,
    past: Option<&PastRun>,
    months: Option<&Months>,
    filter: &Filter,
) -> anyhow::Result<Listed> {
    let tables = Tables::of(context, past).await?;
    let of_month = months.map(Months::condition);
    let of_partner = filter.partner_id.as_ref().map(|id| format!("partner_id = {}", as_text(id.as_str())));
    let condition: Vec<&str> = of_month.iter().chain(&of_partner).map(String::as_str).collect();
    let condition = (!condition.is_empty()).then(|| condition.join(" and "));
    let rows = tables.rows(&INVOICE, condition.as_deref()).await?;
    let documents = rows.iter().map(Document::from_row).collect::<Result<Vec<_>, _>>()?;
    let events = events_of(&tables.rows(&INVOICE_EVENT, of_partner.as_deref()).await?)?;
    let withdrawn = Filter { state: Some(State::Withdrawn), ..filter.clone() };
    let withdrawn_count = match filter.state {
        None => make_list(&documents, &events, &withdrawn).len(),
        Some(_) => 0,
    };
    Ok(Listed { rows: make_list(&documents, &events, filter), withdrawn_count })
}
