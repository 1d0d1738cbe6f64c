//! Prints the register of months: every partner with its invoice and state, or why it has none.

use serde_json::json;
use tollbook::output::{data, table};
use tollbook_billing::register::RegisterRow;
use tollbook_schemas::money::Money;
use tollbook_schemas::period::Month;

/// The columns of a register; for people without the ids that only machines need.
const REGISTER: [&str; 10] =
    ["month", "partner", "issuer", "invoice_id", "number", "state", "currency", "amount", "stripe", "note"];

fn register_cells(month: Month, row: &RegisterRow) -> [Option<String>; 10] {
    [
        Some(month.to_string()),
        Some(row.partner_id.to_string()),
        row.issuer_id.as_ref().map(ToString::to_string),
        row.invoice_id.as_ref().map(ToString::to_string),
        row.number.clone(),
        row.state.map(|state| state.as_str().to_owned()),
        row.total.map(|total| total.currency.to_string()),
        row.total.map(Money::amount_text),
        row.stripe_id.clone(),
        row.note.clone(),
    ]
}

/// One table, or one heading, however many months there are.
pub(super) fn print_register(rows: &[(Month, RegisterRow)], csv: bool, json: bool) {
    let cells = rows.iter().map(|(month, row)| register_cells(*month, row));
    if json {
        for (month, row) in rows {
            data(
                &json!({ "month": month, "partner_id": row.partner_id, "issuer_id": row.issuer_id,
                "invoice_id": row.invoice_id, "number": row.number, "state": row.state.map(|s| s.as_str()),
                "total_minor": row.total.map(|t| t.minor), "currency": row.total.map(|t| t.currency),
                "stripe_id": row.stripe_id, "held": row.is_held, "note": row.note })
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
