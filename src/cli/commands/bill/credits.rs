//! `bill credits`: a row for each prepaid credit.

use serde_json::json;
use tollbook::context::JobContext;
use tollbook::jobs::bill::credits::credits;
use tollbook::output::{data, table};
use tollbook_billing::balance::Balance;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::period::print_instant;

/// Which credits.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Given {
    /// Only of this partner.
    #[arg(long, value_name = "PARTNER")]
    partner: Option<PartnerId>,
    /// Instant from which is looked, for what has expired: how far the data reach by default.
    #[arg(long, value_name = "INSTANT")]
    as_of: Option<String>,
}

pub(super) async fn run(context: &JobContext, given: Given, json: bool) -> anyhow::Result<()> {
    let balances = credits(context, given.partner.as_ref(), given.as_of.as_deref()).await?;
    if json {
        balances.iter().for_each(|one| data(&json_of(one).to_string()));
        return Ok(());
    }
    let headings =
        ["partner", "credit", "issuer", "currency", "granted", "used", "left", "state", "from", "expires", "priority"];
    let cells = balances.iter().map(|one| {
        let grant = &one.grant;
        vec![
            grant.partner_id.to_string(),
            grant.credit_id.to_string(),
            grant.issuer_id.to_string(),
            grant.amount.currency.to_string(),
            grant.amount.amount_text(),
            one.used.amount_text(),
            one.left.amount_text(),
            one.state.to_string(),
            print_instant(grant.granted_at),
            grant.expires_at.map_or_else(|| "-".to_owned(), print_instant),
            grant.priority.to_string(),
        ]
    });
    data(&table(&headings, &cells.collect::<Vec<_>>()));
    Ok(())
}

fn json_of(one: &Balance) -> serde_json::Value {
    let grant = &one.grant;
    json!({ "partner_id": grant.partner_id, "credit_id": grant.credit_id, "issuer_id": grant.issuer_id,
        "currency": grant.amount.currency, "granted_minor": grant.amount.minor, "used_minor": one.used.minor,
        "left_minor": one.left.minor, "state": one.state.as_str(), "description": grant.description,
        "granted_at": print_instant(grant.granted_at), "expires_at": grant.expires_at.map(print_instant),
        "voided_at": grant.voided_at.map(print_instant), "priority": grant.priority })
}
