//! `bill preview`: the invoices so far.

use serde_json::json;
use tollbook::context::JobContext;
use tollbook::jobs::bill::preview::{self, Previewed};
use tollbook::output::{data, table, talk};
use tollbook_billing::document::Document;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::money::Money;
use tollbook_schemas::period::{Month, print_instant};

/// What is previewed.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Given {
    /// Only of this partner.
    #[arg(long, value_name = "PARTNER")]
    partner: Option<PartnerId>,
    /// Month such as 2026-06; by default the one, by UTC, in which --as-of lies.
    #[arg(long, value_name = "MONTH")]
    period: Option<Month>,
    /// Count usage up to this instant, in whole hours; the watermark of the data by default.
    #[arg(long, value_name = "INSTANT")]
    as_of: Option<String>,
}

pub(super) async fn run(context: &JobContext, given: Given, json: bool) -> anyhow::Result<()> {
    let as_of = context.as_of(given.as_of.as_deref()).await?;
    let previewed = preview::preview(context, given.period, given.partner.as_ref(), as_of).await?;
    if json {
        print_json(&previewed);
    } else {
        print_tables(&previewed);
    }
    previewed.told().iter().for_each(|line| talk(line));
    Ok(())
}

fn print_tables(previewed: &Previewed) {
    let drafted = &previewed.drafted;
    let cells = drafted.documents.iter().flat_map(|document| {
        let body = &document.body;
        let lines = body.lines.iter().map(|line| {
            vec![
                body.partner_id.to_string(),
                line.description.clone(),
                line.quantity.to_string(),
                line.unit.clone().unwrap_or_default(),
                body.currency.to_string(),
                Money { minor: line.amount_minor, currency: body.currency }.amount_text(),
            ]
        });
        let total = vec![
            body.partner_id.to_string(),
            "total so far".to_owned(),
            String::new(),
            String::new(),
            body.currency.to_string(),
            document.total().amount_text(),
        ];
        lines.chain([total])
    });
    data(&format!("preview of {} up to {}\n", drafted.month, print_instant(previewed.until)));
    let headings = ["partner", "line", "quantity", "unit", "currency", "amount"];
    data(&table(&headings, &cells.collect::<Vec<_>>()));
    for one in &drafted.blocked {
        data(&format!("{} is blocked: {}", one.partner_id, one.reason));
    }
    for (partner_id, reason) in &drafted.without {
        data(&format!("{partner_id}: {reason}"));
    }
}

fn print_json(previewed: &Previewed) {
    let drafted = &previewed.drafted;
    let (month, until) = (drafted.month, print_instant(previewed.until));
    let reach = previewed.reach.map(print_instant);
    let with = |partner_id: &PartnerId, more: serde_json::Value| {
        let mut object = json!({ "preview": true, "month": month, "until": until, "reach": reach,
            "newer_events": previewed.unseen.event_count, "newer_requests": previewed.unseen.request_count,
            "partner_id": partner_id });
        if let (Some(object), serde_json::Value::Object(more)) = (object.as_object_mut(), more) {
            object.extend(more);
        }
        data(&object.to_string());
    };
    for document in &drafted.documents {
        with(&document.body.partner_id, document_json(document, previewed));
    }
    for one in &drafted.blocked {
        with(&one.partner_id, json!({ "blocked": one.reason }));
    }
    for (partner_id, reason) in &drafted.without {
        with(partner_id, json!({ "without": reason }));
    }
}

fn document_json(document: &Document, previewed: &Previewed) -> serde_json::Value {
    let body = &document.body;
    json!({ "issuer_id": body.issuer.issuer_id, "currency": body.currency, "total_minor": body.total_minor,
        "period_start": print_instant(body.period_start), "period_end": print_instant(body.period_end),
        "issued_number": previewed.issued.get(&document.slot_id), "lines": body.lines })
}
