//! The appendix of an invoice: of each line that bills usage, the days with quantity, requests and the hash of their
//! rows, and what the line stands on. Whoever holds the rows can compare them day by day.

use tollbook_schemas::period::print_instant;

use super::{InvoiceDocument, InvoiceLine};
use crate::page::{Column, Page};

/// Writes it; nothing where no line bills usage.
pub(super) fn appendix(page: &mut Page, invoice: &InvoiceDocument) {
    let metered: Vec<&InvoiceLine> = invoice.lines.iter().filter(|line| !line.usage.is_empty()).collect();
    if metered.is_empty() {
        return;
    }
    page.raw("<section class=\"appendix\">");
    page.heading("Usage appendix");
    page.definition(
        "What each metered line is made of, by UTC day. The hash is SHA-256 over the usage rows of the day, in the order of their \
         keys: the same rows give the same hash. Distinct values of several days may be the same ones, so quantities of days \
         need not add up to that of the line; requests do.",
    );
    for line in metered {
        page.element("h3", "", &format!("Line {}: {}", line.line_number, line.description));
        page.definition(&stands_on(line));
        let mut rows: Vec<Vec<String>> = line
            .usage
            .iter()
            .map(|day| {
                vec![
                    day.event_date.to_string(),
                    day.quantity.to_string(),
                    day.event_count.to_string(),
                    day.usage_sha256.clone(),
                ]
            })
            .collect();
        let requests = line.usage.iter().try_fold(0_i64, |sum, day| sum.checked_add(day.event_count));
        let counted = line.adjusts.as_ref().map_or(line.quantity, |adjusts| adjusts.now_quantity);
        let requests = requests.map_or_else(|| "more than 63 bits".to_owned(), |requests| requests.to_string());
        rows.push(vec!["The line".to_owned(), counted.to_string(), requests, String::new()]);
        let unit = line.unit.as_deref().unwrap_or("units");
        let quantity = format!("Quantity ({unit})");
        let columns = [
            Column::Words("Day (UTC)"),
            Column::Figure(&quantity),
            Column::Figure("Requests"),
            Column::Hash("SHA-256 of the usage rows"),
        ];
        page.table(&columns, &rows);
    }
    page.raw("</section>");
}

/// What a line stands on, in one sentence.
fn stands_on(line: &InvoiceLine) -> String {
    let mut told = vec![format!("Plan {}, price {}, {}", line.plan, line.price_id, line.price_model.replace('_', " "))];
    told.extend(line.meter_id.iter().map(|meter| format!("meter {meter}")));
    told.push(format!("subscription {}", line.subscription_id));
    let (from, until) = (print_instant(line.span_start), print_instant(line.span_end));
    told.push(format!("usage from {from} until before {until}"));
    told.extend(line.line_id.iter().map(|line_id| format!("line id {line_id}")));
    format!("{}.", told.join("; "))
}
