//! `bill adjustments`: a row for each charge or credit by hand.

use serde_json::json;
use tollbook::context::JobContext;
use tollbook::jobs::bill::adjustments::adjustments;
use tollbook::output::{data, table, talk};
use tollbook_billing::adjustments::Account;
use tollbook_schemas::id::PartnerId;

use super::dash;

/// Which charges and credits.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Given {
    /// Only of this partner.
    #[arg(long, value_name = "PARTNER")]
    partner: Option<PartnerId>,
    /// Also those that issued documents bear, and those that were taken back.
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(context: &JobContext, given: Given, json: bool) -> anyhow::Result<()> {
    let accounts = adjustments(context, given.partner.as_ref(), given.all).await?;
    if json {
        accounts.iter().for_each(|one| data(&json_of(one).to_string()));
        return Ok(());
    }
    if accounts.is_empty() && !given.all {
        talk("nothing that was made by hand is still to be billed; --all lists the rest too");
    }
    let headings = [
        "partner",
        "adjustment",
        "month",
        "issuer",
        "currency",
        "amount",
        "billed",
        "open",
        "for invoice",
        "state",
        "made by",
        "description",
    ];
    let cells = accounts.iter().map(|one| {
        let made = &one.made;
        vec![
            made.partner_id.to_string(),
            made.adjustment_id.to_string(),
            made.month.to_string(),
            made.issuer_id.to_string(),
            made.amount.currency.to_string(),
            made.amount.amount_text(),
            one.billed.amount_text(),
            one.open.amount_text(),
            dash(made.for_invoice.as_deref()),
            state_of(one).to_owned(),
            made.actor.to_string(),
            made.description.clone(),
        ]
    });
    data(&table(&headings, &cells.collect::<Vec<_>>()));
    Ok(())
}

/// Whether something is still to be billed, and whether it was taken back.
fn state_of(one: &Account) -> &'static str {
    match (one.made.is_revoked(), one.open.minor != 0) {
        (false, true) => "open",
        (false, false) => "billed",
        (true, true) => "to be given back",
        (true, false) => "taken back",
    }
}

fn json_of(one: &Account) -> serde_json::Value {
    let made = &one.made;
    json!({ "partner_id": made.partner_id, "adjustment_id": made.adjustment_id, "month": made.month,
        "issuer_id": made.issuer_id, "currency": made.amount.currency, "amount_minor": made.amount.minor,
        "billed_minor": one.billed.minor, "open_minor": one.open.minor, "state": state_of(one),
        "for_invoice": made.for_invoice, "description": made.description, "reason": made.reason,
        "actor": made.actor.as_str() })
}
