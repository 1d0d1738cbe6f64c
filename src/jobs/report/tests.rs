//! What the pages say against what the simulator knows: every figure derived again, by plain additions.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde_json::Value;
use tollbook_schemas::tables::derived::{PARTNER_360, USAGE};
use tollbook_simulate::stripe_double::InvoiceStatus;

use super::*;
use crate::demo::DemoResult;

#[test]
fn a_number_cannot_leave_its_folder() {
    for (number, name) in [("NW-2026-000001", "NW-2026-000001"), ("../a b/1", ".._a_b_1"), ("Ä#1", "__1")] {
        assert_eq!(file_name(number), name);
    }
}

/// What `cost.recorded` events of the simulator add up to (`simulate/src/lifecycle.rs`); of yen nobody records a cost.
const COSTS: [(&str, &str); 2] = [("EUR", "1446.87"), ("USD", "167.405")];

/// An amount in minor units as pages print it.
fn printed(minor: i128, currency: &str) -> String {
    match currency {
        "JPY" => format!("{minor} JPY"),
        _ => format!("{}.{:02} {currency}", minor / 100, minor % 100),
    }
}

/// An exact figure of the JSON, without the zeros that say nothing.
fn exact(figure: &Value) -> String {
    let text = figure.as_str().unwrap_or_else(|| panic!("{figure} is no text"));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
}

fn in_major(minor: i128, currency: &str) -> String {
    let text = printed(minor, currency);
    exact(&Value::from(text.split(' ').next().unwrap()))
}

fn page(result: &DemoResult, name: &str) -> String {
    std::fs::read_to_string(result.reports.join(name)).unwrap()
}

/// A cell of a table of figures.
fn has_figure(html: &str, figure: &str) {
    assert!(html.contains(&format!("<td class=\"figure\">{figure}</td>")), "{figure} is not on the page");
}

/// Called by the test of the demo, on the lake that it made.
pub(crate) async fn figures_are_those_of_the_ledger(context: &JobContext, result: &DemoResult, as_of: DateTime<Utc>) {
    funnel_of(context, result, as_of).await;
    let (report, _) = roi(context, as_of, None, None).await.unwrap();
    let json = serde_json::to_value(&report).unwrap();
    let html = page(result, "roi.html");
    return_of(result, &json, &html);
    usage_of(result, &json, &html);
    calls_of(context, result, &json, as_of).await;
}

async fn funnel_of(context: &JobContext, result: &DemoResult, as_of: DateTime<Utc>) {
    let (report, _) = funnel(context, as_of, None, None).await.unwrap();
    let json = serde_json::to_value(&report).unwrap();
    let html = page(result, "funnel.html");
    let ledger = &result.ledger.funnel;
    let steps = [
        ("registered", ledger.registered),
        ("sandbox", ledger.sandbox),
        ("production", ledger.production),
        ("revenue", ledger.revenue),
    ];
    assert_eq!(json["steps"].as_array().unwrap().len(), steps.len());
    for (at, (name, expected)) in steps.into_iter().enumerate() {
        let step = &json["steps"][at];
        assert_eq!(step["step"], name);
        assert_eq!(
            (step["reached"].as_u64(), step["skipped"].as_u64()),
            (Some(expected.reached), Some(expected.skipped))
        );
        let before = if at == 0 { expected.reached } else { steps[at - 1].1.reached };
        assert_eq!(step["dropped"].as_u64(), Some(before - expected.reached), "{name}");
        has_figure(&html, &expected.reached.to_string());
    }
    // Weeks: every registration of a partner that is not ours is in one.
    let milestones = result.ledger.milestones.values();
    let registered = milestones.filter(|milestones| !milestones.is_internal).count();
    let weeks: u64 = json["weeks"].as_array().unwrap().iter().map(|week| week["registered"].as_u64().unwrap()).sum();
    assert_eq!(usize::try_from(weeks).unwrap(), registered);
    let rejected = json["completeness"]["rejected"].as_array().unwrap();
    let rejected: u64 = rejected.iter().map(|one| one["count"].as_u64().unwrap()).sum();
    assert_eq!(rejected, result.ledger.access.rejected + result.ledger.lifecycle.rejected);
}

/// Revenue by the ledger's invoices, paid by the double's, cost by what the simulator recorded.
fn return_of(result: &DemoResult, json: &Value, html: &str) {
    let mut revenue: BTreeMap<&str, (i128, u64)> = BTreeMap::new();
    for invoice in result.ledger.invoices.values() {
        let sum = revenue.entry(&invoice.currency).or_default();
        *sum = (sum.0 + invoice.total_minor, sum.1 + 1);
    }
    let mut paid: BTreeMap<String, i128> = BTreeMap::new();
    for invoice in result.stripe.invoices().iter().filter(|invoice| invoice.status == InvoiceStatus::Paid) {
        *paid.entry(invoice.currency.to_uppercase()).or_default() += i128::from(invoice.total);
    }
    assert!(!paid.is_empty() && revenue.len() > 1, "{revenue:?}, {paid:?} paid");
    let sides = json["currencies"].as_array().unwrap();
    let found: BTreeSet<&str> = sides.iter().map(|side| side["currency"].as_str().unwrap()).collect();
    let expected: BTreeSet<&str> = revenue.keys().copied().chain(COSTS.map(|(currency, _)| currency)).collect();
    assert_eq!(found, expected);
    assert_eq!((json["later_invoice_count"].as_u64(), json["unusable_cost_count"].as_u64()), (Some(0), Some(0)));
    for side in sides {
        let currency = side["currency"].as_str().unwrap();
        if let Some((sum, invoices)) = revenue.get(currency) {
            let collected = paid.get(currency).copied().unwrap_or(0);
            assert_eq!(exact(&side["revenue"]), in_major(*sum, currency));
            assert_eq!(exact(&side["paid"]), in_major(collected, currency));
            let months = side["months"].as_array().unwrap();
            assert_eq!(months.iter().map(|month| month["invoice_count"].as_u64().unwrap()).sum::<u64>(), *invoices);
            has_figure(html, &printed(*sum, currency));
            has_figure(html, &printed(collected, currency));
        }
        match COSTS.iter().find(|(of, _)| *of == currency) {
            Some((_, cost)) => {
                assert_eq!(exact(&side["cost"]), *cost);
                has_figure(html, &format!("{cost} {currency}"));
            }
            None => assert!(side["cost"].is_null(), "a cost in {currency}"),
        }
    }
}

/// The total of each counting meter in production, over all partners.
fn usage_of(result: &DemoResult, json: &Value, html: &str) {
    let mut expected: BTreeMap<&str, i128> = BTreeMap::new();
    let counting = ["map-calls", "routing-calls", "all-calls"];
    for (key, quantity) in &result.ledger.usage {
        if key.environment == "production" && counting.contains(&key.meter.as_str()) {
            *expected.entry(&key.meter).or_default() += quantity.millionths;
        }
    }
    assert_eq!(expected.len(), counting.len());
    let series = json["usage"].as_array().unwrap();
    assert_eq!(series.len(), expected.len());
    for of_meter in series {
        let meter = of_meter["meter_id"].as_str().unwrap();
        let days = of_meter["days"].as_array().unwrap();
        let total: i128 = days.iter().map(|day| exact(&day["quantity"]).parse::<i128>().unwrap()).sum();
        assert_eq!(total * 1_000_000, expected[meter], "{meter}");
        has_figure(html, &total.to_string());
    }
}

/// Active partners and the largest ones, by the successful production calls in `usage` of the last 30 days.
async fn calls_of(context: &JobContext, result: &DemoResult, json: &Value, as_of: DateTime<Utc>) {
    let since = as_of - TimeDelta::days(30);
    let mut calls: BTreeMap<String, i64> = BTreeMap::new();
    for row in context.lake.rows(&USAGE, None).await.unwrap() {
        let is_call = row.text("meter_id") == Some("all-calls") && row.text("environment") == Some("production");
        if is_call && row.instant("slice_start").unwrap() >= since {
            *calls.entry(row.text("partner_id").unwrap().to_owned()).or_default() += row.int("event_count").unwrap();
        }
    }
    calls.retain(|partner, _| !result.ledger.milestones[partner].is_internal);
    let active: BTreeSet<&str> = calls.keys().map(String::as_str).collect();
    let rows = context.lake.rows(&PARTNER_360, Some("active")).await.unwrap();
    let found: BTreeSet<&str> = rows.iter().map(|row| row.text("partner_id").unwrap()).collect();
    assert_eq!(found, active);
    let view = crate::jobs::sql::sql(context, "select count(*) from active_partner", crate::jobs::sql::Format::Csv);
    assert_eq!(view.await.unwrap().lines().nth(1), Some(active.len().to_string().as_str()));

    let mut largest: Vec<(i64, &str)> = calls.iter().map(|(partner, calls)| (-calls, partner.as_str())).collect();
    largest.sort_unstable();
    largest.truncate(figures::TOP);
    let top = json["top_calls"].as_array().unwrap().iter();
    let top =
        top.map(|top| (-top["successful_calls_30d_total"].as_i64().unwrap(), top["partner_id"].as_str().unwrap()));
    assert_eq!(top.collect::<Vec<_>>(), largest);
}
