//! Prints how a line came about: working, slices, files, offsets.

use serde_json::json;
use tollbook::jobs::explain;
use tollbook::output::{data, table, talk};
use tollbook_schemas::period::print_instant;

pub(super) fn print_explained(explained: &explain::Explained, json: bool) {
    let (body, line) = (&explained.document.body, &explained.line);
    let requests: i64 = explained.evidence.iter().map(|evidence| evidence.request_count).sum();
    let billed: i64 = line.usage.iter().map(|day| day.event_count).sum();
    if json {
        let evidence: Vec<_> = explained
            .evidence
            .iter()
            .map(|e| {
                json!({ "slice_start": print_instant(e.slice.start), "slice_end": print_instant(e.slice.end),
                "source": e.source, "partition": e.partition, "first_offset": e.first_offset,
                "last_offset": e.last_offset, "requests": e.request_count })
            })
            .collect();
        data(
            &json!({ "invoice_id": explained.document.invoice_id, "partner_id": body.partner_id, "line": line,
            "requests_found": requests, "requests_billed": billed, "same_catalog": explained.same_catalog,
            "evidence": evidence })
            .to_string(),
        );
        return;
    }
    let total = tollbook_schemas::money::Money { minor: line.amount_minor, currency: body.currency };
    data(&format!(
        "{} · {} · line {}: {}",
        body.partner_id, explained.document.invoice_id, line.line_number, line.description
    ));
    let unit = line.unit.as_deref().unwrap_or("");
    data(&format!(
        "{} {} {unit} in [{}, {}) = {total}",
        line.price_model,
        line.quantity,
        print_instant(line.span_start),
        print_instant(line.span_end)
    ));
    data(&format!("working: {}", serde_json::to_string(&line.working).unwrap_or_default()));
    let computed = explained.how_computed();
    if !computed.is_empty() {
        data(&table(&["how computed", "quantity", "price", "exact"], &computed));
    }
    data(&format!("pin: {}", body.pin));
    let rows: Vec<Vec<String>> = explained
        .evidence
        .iter()
        .map(|e| {
            vec![
                print_instant(e.slice.start),
                print_instant(e.slice.end),
                e.source.clone(),
                e.partition.to_string(),
                e.first_offset.to_string(),
                e.last_offset.to_string(),
                e.request_count.to_string(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        data(&table(&["slice", "to", "source", "partition", "first offset", "last offset", "requests"], &rows));
    }
    data(&format!("requests behind the line: {requests}; requests it billed: {billed}"));
    if !explained.same_catalog {
        talk("the catalog has changed since: the rows are metered by today's, the line by the one of its pin");
    }
}
