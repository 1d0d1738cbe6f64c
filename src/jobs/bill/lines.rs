//! `bill lines`: the view `issued_line` of some months and one partner or all, in a form that ledgers take in.

use std::path::Path;

use tollbook_lake::as_text;
use tollbook_schemas::id::PartnerId;

use super::Months;
use crate::context::JobContext;
use crate::jobs::sql::{self, Format, Request};

/// The lines, by issuer, number and place: as text, or `None` where they were written to a file.
///
/// # Errors
/// As [`sql::answer`].
pub async fn lines(
    context: &JobContext,
    months: Option<&Months>,
    partner_id: Option<&PartnerId>,
    format: Format,
    out: Option<&Path>,
) -> anyhow::Result<Option<String>> {
    let of_months = months.map(Months::condition);
    let of_partner = partner_id.map(|partner_id| format!("partner_id = {}", as_text(partner_id.as_str())));
    let conditions: Vec<String> = of_months.into_iter().chain(of_partner).collect();
    let condition = if conditions.is_empty() { "true".to_owned() } else { conditions.join(" and ") };
    // A table is for people: what tells machines where a line comes from would push the amounts off the screen.
    let columns = match format {
        Format::Table => {
            "number, document_kind, partner_id, period, line_number, description, quantity, amount_minor, currency"
        }
        Format::Csv | Format::Json | Format::Parquet => "*",
    };
    let query = format!("select {columns} from issued_line where {condition} order by issuer_id, number, line_number");
    sql::answer(context, &Request { query: &query, format, as_of_run: None, out }).await
}
