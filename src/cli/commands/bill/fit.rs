//! `bill fit`: the cheapest plan against the chosen one.

use std::collections::BTreeMap;

use serde_json::json;
use tollbook::context::JobContext;
use tollbook::jobs::bill::fit;
use tollbook::output::{data, table, talk};
use tollbook_billing::fit::{Fitted, SubscriptionFit};
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::money::{Currency, Money};
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
    /// Billing profiles as they are in force at this instant; the watermark of the data by default.
    #[arg(long, value_name = "INSTANT")]
    as_of: Option<String>,
}

pub(super) async fn run(context: &JobContext, given: Given, json: bool) -> anyhow::Result<()> {
    let as_of = context.as_of(given.as_of.as_deref()).await?;
    let fitted = fit::fit(context, given.period, given.partner.as_ref(), as_of).await?;
    let is_finished = given.period.period(chrono_tz::UTC)?.end <= as_of;
    if json {
        print_json(given.period, is_finished, &fitted);
    } else {
        let rows: Vec<Vec<String>> = fitted.subscriptions.iter().flat_map(rows_of).collect();
        data(&table(&["partner", "subscription", "plan", "currency", "cost", "saving", "note"], &rows));
        data(&summary(&fitted));
    }
    for one in &fitted.blocked {
        talk(&format!("{} is blocked: {}", one.partner_id, one.reason));
    }
    if !is_finished {
        talk(&format!("{} has not ended by {}: this is its usage so far", given.period, print_instant(as_of)));
    }
    Ok(())
}

/// The chosen plan, then every other.
fn rows_of(fit: &SubscriptionFit) -> Vec<Vec<String>> {
    let cheapest = fit.cheaper().map(|(other, _)| &other.plan_id);
    let named = |plan: String, cells: [String; 4]| {
        let mut row = vec![fit.partner_id.to_string(), fit.subscription_id.to_string(), plan];
        row.extend(cells);
        row
    };
    let currency = fit.cost.currency;
    let word = if cheapest.is_none() { "chosen; no plan is cheaper" } else { "chosen" };
    let chosen =
        named(fit.plan_id.to_string(), [currency.to_string(), fit.cost.amount_text(), "-".to_owned(), word.to_owned()]);
    let others = fit.others.iter().map(|other| {
        let cells = match &other.cost {
            Ok(cost) => {
                let saving = Money { minor: fit.cost.minor.saturating_sub(cost.minor), currency };
                let note = if cheapest == Some(&other.plan_id) { "cheapest" } else { "" };
                [currency.to_string(), cost.amount_text(), saving.amount_text(), note.to_owned()]
            }
            Err(reason) => ["-".to_owned(), "-".to_owned(), "-".to_owned(), format!("no candidate: {reason}")],
        };
        named(other.plan_id.to_string(), cells)
    });
    std::iter::once(chosen).chain(others).collect()
}

fn summary(fitted: &Fitted) -> String {
    let mut savings: BTreeMap<Currency, (i64, usize)> = BTreeMap::new();
    for fit in &fitted.subscriptions {
        if let Some((_, saving)) = fit.cheaper() {
            let sum = savings.entry(fit.cost.currency).or_default();
            *sum = (sum.0.saturating_add(saving), sum.1 + 1);
        }
    }
    let cheaper: usize = savings.values().map(|(_, count)| count).sum();
    let sums: Vec<String> =
        savings.into_iter().map(|(currency, (minor, _))| Money { minor, currency }.to_string()).collect();
    let saving = if sums.is_empty() { String::new() } else { format!(", by {} together", sums.join(" and ")) };
    format!("\n{} subscriptions; {cheaper} would cost less on another plan{saving}", fitted.subscriptions.len())
}

fn print_json(month: Month, is_finished: bool, fitted: &Fitted) {
    for fit in &fitted.subscriptions {
        let others: Vec<_> = fit
            .others
            .iter()
            .map(|other| {
                json!({ "plan_id": other.plan_id, "plan_version": other.plan_version,
                    "cost_minor": other.cost.as_ref().ok().map(|cost| cost.minor),
                    "no_candidate": other.cost.as_ref().err() })
            })
            .collect();
        let cheaper = fit.cheaper();
        data(
            &json!({ "month": month, "month_ended": is_finished, "partner_id": fit.partner_id, "subscription_id": fit.subscription_id,
            "from": print_instant(fit.span_start), "plan_id": fit.plan_id, "plan_version": fit.plan_version,
            "currency": fit.cost.currency, "cost_minor": fit.cost.minor,
            "cheapest": cheaper.map_or(&fit.plan_id, |(other, _)| &other.plan_id),
            "saving_minor": cheaper.map_or(0, |(_, saving)| saving), "others": others })
            .to_string(),
        );
    }
    for one in &fitted.blocked {
        data(&json!({ "month": month, "partner_id": one.partner_id, "blocked": one.reason }).to_string());
    }
}
