//! `bill list`: a row for each document.

use serde_json::json;
use tollbook::context::JobContext;
use tollbook::jobs::bill::{Months, list};
use tollbook::output::{data, table, talk};
use tollbook_billing::list::{Filter, ListRow};
use tollbook_billing::stripe::State;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::period::{Month, print_instant};

use super::{close_of, dash};

/// What is listed.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Given {
    /// Months: 2026-06, 2026-01..2026-06, or several behind commas; all by default.
    #[arg(long, value_name = "MONTHS", value_parser = Months::read)]
    period: Option<Months>,
    /// Only of this partner.
    #[arg(long, value_name = "PARTNER")]
    partner: Option<PartnerId>,
    /// Only in this state, such as draft, issued, sent, finalised or paid; all but withdrawn drafts by default.
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Option<State>,
    /// Documents as they stood when the invoices of this month were issued: as the run left the tables that issued the
    /// last.
    #[arg(long, value_name = "MONTH")]
    as_of_close: Option<Month>,
}

fn state(text: &str) -> Result<State, String> {
    State::parse(text).ok_or_else(|| {
        let words: Vec<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
        format!("there is no state {text}; there are {}", words.join(", "))
    })
}

pub(super) async fn run(context: &JobContext, given: Given, json: bool) -> anyhow::Result<()> {
    let filter = Filter { partner_id: given.partner, state: given.state };
    let past = close_of(context, given.as_of_close).await?;
    let listed = list::list(context, past.as_ref(), given.period.as_ref(), &filter).await?;
    if json {
        listed.rows.iter().for_each(|row| data(&json_of(row).to_string()));
        return Ok(());
    }
    let headings =
        ["number", "document", "kind", "partner", "period", "currency", "total", "state", "issued at", "note"];
    let cells = listed.rows.iter().map(|row| {
        vec![
            dash(row.number.as_deref()),
            row.invoice_id.to_string(),
            row.kind.as_str().to_owned(),
            row.partner_id.to_string(),
            row.month.to_string(),
            row.total.currency.to_string(),
            row.total.amount_text(),
            row.state.as_str().to_owned(),
            row.issued_at.map_or_else(|| "-".to_owned(), print_instant),
            row.note.clone().unwrap_or_default(),
        ]
    });
    data(&table(&headings, &cells.collect::<Vec<_>>()));
    if listed.withdrawn_count > 0 {
        let count = listed.withdrawn_count;
        talk(&format!("{count} withdrawn drafts are not listed; `--state withdrawn` lists them"));
    }
    Ok(())
}

fn json_of(row: &ListRow) -> serde_json::Value {
    json!({ "invoice_id": row.invoice_id, "number": row.number, "kind": row.kind, "issuer_id": row.issuer_id,
        "partner_id": row.partner_id, "month": row.month, "currency": row.total.currency,
        "total_minor": row.total.minor, "state": row.state.as_str(), "issued_at": row.issued_at.map(print_instant),
        "stripe_id": row.stripe_id, "note": row.note })
}
