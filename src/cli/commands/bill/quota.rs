//! `bill quota`: who is over its plan's quota.

use serde_json::json;
use tollbook::context::JobContext;
use tollbook::jobs::bill::quota;
use tollbook::output::{data, table};
use tollbook_billing::quota::QuotaUse;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::period::{Month, print_instant};

/// What is looked at.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Given {
    /// Month such as 2026-06.
    #[arg(long, value_name = "MONTH")]
    period: Month,
    /// Only of this partner.
    #[arg(long, value_name = "PARTNER")]
    partner: Option<PartnerId>,
    /// Those that are within their quota too.
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(context: &JobContext, given: Given, json: bool) -> anyhow::Result<()> {
    let uses = quota::quota(context, given.period, given.partner.as_ref()).await?;
    let count = uses.len();
    let over = uses.iter().filter(|one| one.is_over()).count();
    // What cannot be said is shown: it may be over.
    let shown: Vec<&QuotaUse> = uses.iter().filter(|one| given.all || one.is_over() || one.used.is_err()).collect();
    if json {
        for one in shown {
            let line = json!({ "month": given.period, "partner_id": one.partner_id, "subscription_id": one.subscription_id,
                "plan_id": one.plan_id, "plan_version": one.plan_version, "meter_id": one.meter_id,
                "from": print_instant(one.period.start), "until": print_instant(one.period.end),
                "quota": one.quota, "used": one.used.as_ref().ok(), "error": one.used.as_ref().err(),
                "is_over": one.is_over() });
            data(&line.to_string());
        }
        return Ok(());
    }
    let rows: Vec<Vec<String>> = shown
        .iter()
        .map(|one| {
            let (used, note) = match &one.used {
                Ok(used) if one.is_over() => (used.to_string(), "over".to_owned()),
                Ok(used) => (used.to_string(), String::new()),
                Err(reason) => ("-".to_owned(), reason.clone()),
            };
            let ids = [one.partner_id.to_string(), one.subscription_id.to_string(), one.plan_id.to_string()];
            let figures = [one.meter_id.to_string(), used, one.quota.to_string(), note];
            ids.into_iter().chain(figures).collect()
        })
        .collect();
    data(&table(&["partner", "subscription", "plan", "meter", "used", "quota", "note"], &rows));
    data(&format!("\n{count} quotas in {}; {over} are exceeded", given.period));
    Ok(())
}
