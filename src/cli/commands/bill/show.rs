//! `bill show`: one document with its lines, how they came about, and its life.

use serde_json::json;
use tollbook::context::JobContext;
use tollbook::jobs::bill::show::{self, Shown};
use tollbook::jobs::explain::how_computed_rows;
use tollbook::output::{data, table};
use tollbook_billing::event::InvoiceEvent;
use tollbook_schemas::money::Money;
use tollbook_schemas::period::print_instant;

use super::dash;

pub(super) async fn run(context: &JobContext, name: &str, json: bool) -> anyhow::Result<()> {
    let shown = show::show(context, name).await?;
    if json {
        data(&json_of(&shown).to_string());
        return Ok(());
    }
    let body = &shown.document.body;
    let issued_at = shown.issued.as_ref().map(|issued| format!(" at {}", print_instant(issued.at)));
    let kind = match &body.credits {
        Some(credits) => format!("credit note of {}", credits.number),
        None => "invoice".to_owned(),
    };
    let number = shown.issued.as_ref().and_then(|issued| issued.number.clone());
    data(&format!(
        "{} · {} · {} · {} · {}{}",
        number.unwrap_or_else(|| "no number".to_owned()),
        kind,
        shown.document.invoice_id,
        body.partner_id,
        shown.state.as_str(),
        issued_at.unwrap_or_default()
    ));
    data(&format!("{}: {} ({})", body.month, body.issuer.legal_name, body.issuer.issuer_id));
    data(&format!(
        "[{}, {}){}\n",
        print_instant(body.period_start),
        print_instant(body.period_end),
        // Nothing is due of what gives back.
        if body.total_minor > 0 { format!(", due in {} days", body.payment_terms_days) } else { String::new() }
    ));
    let lines = body.lines.iter().map(|line| {
        vec![
            line.line_number.to_string(),
            line.description_with_tax(body.currency),
            line.quantity.to_string(),
            line.unit.clone().unwrap_or_default(),
            line.price_model.clone(),
            Money { minor: line.amount_minor, currency: body.currency }.amount_text(),
            shown.document.line_id(line.line_number).to_string(),
        ]
    });
    let headings = ["line", "description", "quantity", "unit", "model", "amount", "line id"];
    data(&table(&headings, &lines.collect::<Vec<_>>()));
    let net = shown.document.net_minor().filter(|net| *net != body.total_minor);
    if let Some(minor) = net {
        data(&format!("before tax and credits {}", Money { minor, currency: body.currency }));
    }
    data(&format!("total {}", shown.document.total()));
    for line in &body.lines {
        let computed = how_computed_rows(line, body.currency);
        if !computed.is_empty() {
            data(&format!("\nline {}: {}", line.line_number, line.description));
            data(&table(&["how computed", "quantity", "price", "exact"], &computed));
        }
    }
    let history = shown.history.iter().map(|event| {
        vec![
            print_instant(event.at),
            event.kind.to_string(),
            event.step.clone(),
            event.generation.to_string(),
            event
                .amount_minor
                .map_or_else(|| "-".to_owned(), |minor| Money { minor, currency: body.currency }.amount_text()),
            dash(event.stripe_id.as_deref()),
            event.detail.clone().or_else(|| event.number.clone()).unwrap_or_default(),
        ]
    });
    data("");
    let headings = ["at", "event", "step", "generation", "amount", "stripe", "detail"];
    data(&table(&headings, &history.collect::<Vec<_>>()));
    data(&format!("\ncatalog {}; billing profile {}", body.catalog_sha256, body.profile_version_id));
    data(&format!("pin: {}", body.pin));
    Ok(())
}

fn json_of(shown: &Shown) -> serde_json::Value {
    let document = &shown.document;
    let line_ids: Vec<_> = document.body.lines.iter().map(|line| document.line_id(line.line_number)).collect();
    json!({ "invoice_id": document.invoice_id, "slot_id": document.slot_id,
        "number": shown.issued.as_ref().and_then(|issued| issued.number.clone()), "state": shown.state.as_str(),
        "issued_at": shown.issued.as_ref().map(|issued| print_instant(issued.at)), "stripe_id": shown.stripe_id,
        "document": document.body, "line_ids": line_ids,
        "history": shown.history.iter().map(event_json).collect::<Vec<_>>() })
}

fn event_json(event: &InvoiceEvent) -> serde_json::Value {
    json!({ "at": print_instant(event.at), "kind": event.kind.as_str(), "step": event.step,
        "generation": event.generation, "number": event.number, "http_status": event.http_status,
        "stripe_request_id": event.stripe_request_id, "stripe_id": event.stripe_id,
        "amount_minor": event.amount_minor, "detail": event.detail })
}
