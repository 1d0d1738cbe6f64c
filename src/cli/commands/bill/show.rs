//! `bill show`: one document with its lines, how they came about, what it does not bill, and its life.

use serde_json::json;
use tollbook::context::JobContext;
use tollbook::jobs::bill::show::{self, Outside, Shown};
use tollbook::jobs::explain::{how_computed_rows, price_told, provenance};
use tollbook::output::{data, table};
use tollbook_billing::document::{Body, Document, Line};
use tollbook_billing::event::InvoiceEvent;
use tollbook_schemas::money::Money;
use tollbook_schemas::period::print_instant;

use super::dash;

pub(super) async fn run(context: &JobContext, name: &str, json: bool) -> anyhow::Result<()> {
    let shown = Box::pin(show::show(context, name)).await?;
    if json {
        data(&json_of(&shown).to_string());
        return Ok(());
    }
    print_head(&shown);
    print_lines(&shown.document);
    print_outside(&shown);
    print_life(&shown);
    Ok(())
}

fn print_head(shown: &Shown) {
    let body = &shown.document.body;
    let kind = match &body.credits {
        Some(credits) => format!("credit note of {}", credits.number),
        None => "invoice".to_owned(),
    };
    let number = shown.issued.as_ref().and_then(|issued| issued.number.clone());
    data(&format!(
        "{} · {} · {} · {} · {}",
        number.unwrap_or_else(|| "no number".to_owned()),
        kind,
        shown.document.invoice_id,
        body.partner_id,
        shown.state.as_str(),
    ));
    // When it was paid, or whatever its state is, is in its life below.
    let issued_at = shown.issued.as_ref().map(|issued| format!(", issued at {}", print_instant(issued.at)));
    let issued_at = issued_at.unwrap_or_default();
    data(&format!("{}: {} ({}){issued_at}", body.month, body.issuer.legal_name, body.issuer.issuer_id));
    data(&format!(
        "[{}, {}){}",
        print_instant(body.period_start),
        print_instant(body.period_end),
        // Nothing is due of what gives back.
        if body.total_minor > 0 { format!(", due in {} days", body.payment_terms_days) } else { String::new() }
    ));
    for (number, total) in &shown.credited_by {
        data(&format!("credited by {number}: {total}"));
    }
    data("");
}

fn print_lines(document: &Document) {
    let body = &document.body;
    let lines = body.lines.iter().map(|line| {
        vec![
            line.line_number.to_string(),
            line.description_with_tax(body.currency),
            line.quantity.to_string(),
            line.unit.clone().unwrap_or_default(),
            price_told(line, body.currency),
            Money { minor: line.amount_minor, currency: body.currency }.amount_text(),
            document.line_id(line.line_number).to_string(),
        ]
    });
    let headings = ["line", "description", "quantity", "unit", "price", "amount", "line id"];
    data(&table(&headings, &lines.collect::<Vec<_>>()));
    let net = document.net_minor().filter(|net| *net != body.total_minor);
    if let Some(minor) = net {
        data(&format!("before tax and credits {}", Money { minor, currency: body.currency }));
    }
    data(&format!("total {}\n", document.total()));
    print_what_lines_are_of(body, &body.lines);
    for line in &body.lines {
        print_working(body, line);
    }
    for shadow in &body.shadows {
        let total = Money { minor: shadow.total_minor, currency: shadow.currency };
        data(&format!("\non plan {} this would have cost {total}; it is not charged", shadow.plan_id));
        let lines = shadow.lines.iter().map(|line| {
            let amount = Money { minor: line.amount_minor, currency: shadow.currency }.amount_text();
            let unit = line.unit.clone().unwrap_or_default();
            vec![line.description.clone(), line.quantity.to_string(), unit, price_told(line, shadow.currency), amount]
        });
        data(&table(&["description", "quantity", "unit", "price", "amount"], &lines.collect::<Vec<_>>()));
    }
}

/// Whose each line is, by which plan and contract, of which time; columns that no line fills are left out.
fn print_what_lines_are_of(body: &Body, lines: &[Line]) {
    let rows: Vec<[String; 9]> = lines
        .iter()
        .map(|line| {
            let contract = line.contract.as_ref().map(|one| format!("{} v{}", one.contract_id, one.version));
            [
                line.line_number.to_string(),
                format!("{} v{}", line.plan_id, line.plan_version),
                contract.unwrap_or_default(),
                line.for_partner.as_ref().map(ToString::to_string).unwrap_or_default(),
                line.subscription_id.to_string(),
                line.price_model.clone(),
                line.meter_id.as_ref().map(ToString::to_string).unwrap_or_default(),
                print_instant(line.span_start),
                print_instant(line.span_end),
            ]
        })
        .collect();
    let headings =
        ["line", "plan", "contract", "for partner", "subscription", "model", "meter", "from", "until before"];
    let shown: Vec<usize> = (0..headings.len()).filter(|at| rows.iter().any(|row| !row[*at].is_empty())).collect();
    let cells: Vec<Vec<String>> = rows.iter().map(|row| shown.iter().map(|at| row[*at].clone()).collect()).collect();
    let headings: Vec<&str> = shown.iter().map(|at| headings[*at]).collect();
    if !body.lines.is_empty() {
        data(&table(&headings, &cells));
    }
}

fn print_working(body: &Body, line: &Line) {
    let computed = how_computed_rows(line, body.currency);
    let told = provenance(line, body.currency);
    if computed.is_empty() && told.is_empty() {
        return;
    }
    data(&format!("\nline {}: {}", line.line_number, line.description));
    told.iter().for_each(|told| data(told));
    if !computed.is_empty() {
        data(&table(&["how computed", "quantity", "price", "exact"], &computed));
    }
}

fn print_outside(shown: &Shown) {
    match &shown.outside {
        Outside::Listed(outside) => {
            for (partner_id, told) in outside {
                data(&format!("\nnot billed: {partner_id}: {told}"));
            }
        }
        Outside::Unknown(why) => {
            data(&format!("\nwhether something was used outside its subscriptions is not known now: {why}"));
        }
    }
}

fn print_life(shown: &Shown) {
    let body = &shown.document.body;
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
}

fn json_of(shown: &Shown) -> serde_json::Value {
    let document = &shown.document;
    let body = &document.body;
    let line_ids: Vec<_> = body.lines.iter().map(|line| document.line_id(line.line_number)).collect();
    let prices: Vec<_> = body
        .lines
        .iter()
        .map(|line| tollbook::jobs::explain::unit_price_of(line).map(|price| price.to_string()))
        .collect();
    let (outside, unknown) = match &shown.outside {
        Outside::Listed(outside) => {
            let one = |(partner_id, told): &(_, String)| json!({ "partner_id": partner_id, "told": told });
            (Some(outside.iter().map(one).collect::<Vec<_>>()), None)
        }
        Outside::Unknown(why) => (None, Some(why)),
    };
    let credited_by: Vec<_> = shown
        .credited_by
        .iter()
        .map(|(number, total)| json!({ "number": number, "total_minor": total.minor }))
        .collect();
    json!({ "invoice_id": document.invoice_id, "slot_id": document.slot_id, "kind": body.kind,
        "number": shown.issued.as_ref().and_then(|issued| issued.number.clone()), "state": shown.state.as_str(),
        "credits_number": body.credits.as_ref().map(|credits| &credits.number), "credited_by": credited_by,
        "issued_at": shown.issued.as_ref().map(|issued| print_instant(issued.at)), "stripe_id": shown.stripe_id,
        "document": body, "line_ids": line_ids, "unit_prices": prices,
        "used_outside_subscriptions": outside, "used_outside_unknown": unknown,
        "history": shown.history.iter().map(event_json).collect::<Vec<_>>() })
}

fn event_json(event: &InvoiceEvent) -> serde_json::Value {
    json!({ "at": print_instant(event.at), "kind": event.kind.as_str(), "step": event.step,
        "generation": event.generation, "number": event.number, "http_status": event.http_status,
        "stripe_request_id": event.stripe_request_id, "stripe_id": event.stripe_id,
        "amount_minor": event.amount_minor, "detail": event.detail })
}
