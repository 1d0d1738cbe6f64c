//! Prints how a line came about: working, slices, files, offsets.

use std::collections::BTreeSet;

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
                "source": e.source, "partition": e.partition, "data_file": e.data_file, "first_offset": e.first_offset,
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
    explain::provenance(line, body.currency).iter().for_each(|told| data(told));
    let computed = explain::how_computed_rows(line, body.currency);
    if !computed.is_empty() {
        data(&table(&["how computed", "quantity", "price", "exact"], &computed));
    }
    data(&format!("pin: {}", body.pin));
    // Long names, and few of them: listed once, and told by their number.
    let files: BTreeSet<&str> = explained.evidence.iter().map(|e| e.data_file.as_str()).collect();
    let files: Vec<&str> = files.into_iter().collect();
    let number_of = |file: &str| files.iter().position(|one| *one == file).map_or(0, |at| at + 1).to_string();
    let rows: Vec<Vec<String>> = explained
        .evidence
        .iter()
        .map(|e| {
            vec![
                print_instant(e.slice.start),
                print_instant(e.slice.end),
                e.source.clone(),
                e.partition.to_string(),
                number_of(&e.data_file),
                e.first_offset.to_string(),
                e.last_offset.to_string(),
                e.request_count.to_string(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let headings = ["slice", "to", "source", "partition", "file", "first offset", "last offset", "requests"];
        data(&table(&headings, &rows));
        files.iter().for_each(|file| data(&format!("file {}: {file}", number_of(file))));
    }
    data(&format!("requests behind the line: {requests}; requests it billed: {billed}"));
    if !explained.same_catalog {
        talk("the lake does not keep the catalog that priced the line: the rows are metered by today's");
    }
}
