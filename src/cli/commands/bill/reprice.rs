//! `bill reprice`: history under another price book.

use std::collections::BTreeSet;

use serde_json::json;
use tollbook::context::JobContext;
use tollbook::jobs::bill::{Months, reprice};
use tollbook::output::{data, table, talk};
use tollbook_schemas::money::Money;
use tollbook_schemas::period::print_instant;

use super::short;

/// What is repriced.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Given {
    /// The other catalog: a folder, or the first letters of the hash of one that was used (table catalog_file).
    #[arg(long, value_name = "NEW")]
    catalog: String,
    /// Months: 2026-06, 2026-01..2026-06, or several behind commas.
    #[arg(long, value_name = "MONTHS", value_parser = Months::read)]
    period: Months,
    /// As if the newest version of each plan had been in force all along; else each is priced from its effective_from.
    #[arg(long)]
    newest: bool,
    /// Billing profiles as they are in force at this instant; the watermark of the data by default.
    #[arg(long, value_name = "INSTANT")]
    as_of: Option<String>,
}

pub(super) async fn run(context: &JobContext, given: Given, json: bool) -> anyhow::Result<()> {
    let as_of = context.as_of(given.as_of.as_deref()).await?;
    let result = reprice::reprice(context, &given.catalog, &given.period, given.newest, as_of).await?;
    if json {
        print_json(&result);
    } else {
        print_tables(&result);
    }
    if !result.later_versions.is_empty() {
        talk(&format!(
            "these begin after the months and price none of them: {}; --newest prices with the newest version of each plan",
            result.later_versions.join(", ")
        ));
    }
    if !result.inner_versions.is_empty() {
        talk(&format!(
            "these begin within the months, and price of each subscription the periods that begin after that: {}; --newest \
             prices with the newest version of each plan",
            result.inner_versions.join(", ")
        ));
    }
    let left_out: BTreeSet<_> = result.repriced.left_out.iter().map(|one| (one.month, &one.partner_id)).collect();
    if !left_out.is_empty() {
        talk(&format!("{} months of partners are in no sum: one of the catalogs cannot rate them", left_out.len()));
    }
    if !result.unfinished.is_empty() {
        let months: Vec<String> = result.unfinished.iter().map(ToString::to_string).collect();
        talk(&format!("{} has not ended by {}: this is its usage so far", months.join(", "), print_instant(as_of)));
    }
    talk("nothing was written");
    Ok(())
}

fn print_tables(result: &reprice::RepriceResult) {
    let repriced = &result.repriced;
    data(&format!("from catalog {} to {}\n", short(&result.present_sha256), short(&result.new_sha256)));
    let partners = repriced.partners.iter().map(|one| {
        let delta = Money { minor: one.delta_minor, currency: one.old.currency };
        vec![
            one.partner_id.to_string(),
            one.old.currency.to_string(),
            one.old.amount_text(),
            one.new.amount_text(),
            delta.amount_text(),
        ]
    });
    data(&table(&["partner", "currency", "old", "new", "delta"], &partners.collect::<Vec<_>>()));
    let sums = repriced.summaries.iter().map(|sum| {
        let delta = Money { minor: sum.delta_minor, currency: sum.old.currency };
        let mut row =
            vec![sum.old.currency.to_string(), sum.old.amount_text(), sum.new.amount_text(), delta.amount_text()];
        row.extend([sum.losers, sum.winners, sum.unchanged].map(|count| count.to_string()));
        row
    });
    let headings = ["currency", "old", "new", "delta", "pay more (losers)", "pay less (winners)", "unchanged"];
    data(&format!("\n{}", table(&headings, &sums.collect::<Vec<_>>())));
    if repriced.left_out.is_empty() {
        return;
    }
    let left_out = repriced.left_out.iter().map(|one| {
        let other: Vec<String> = one.other.iter().map(ToString::to_string).collect();
        vec![
            one.month.to_string(),
            one.partner_id.to_string(),
            one.book.as_str().to_owned(),
            other.join(", "),
            one.reason.clone(),
        ]
    });
    let headings = ["month", "left out", "cannot be rated by", "by the other", "why"];
    data(&format!("\n{}", table(&headings, &left_out.collect::<Vec<_>>())));
}

/// An object for each partner, then for each that is left out, then a sum for each currency.
fn print_json(result: &reprice::RepriceResult) {
    let repriced = &result.repriced;
    for one in &repriced.partners {
        data(
            &json!({ "partner_id": one.partner_id, "currency": one.old.currency, "old_minor": one.old.minor,
            "new_minor": one.new.minor, "delta_minor": one.delta_minor })
            .to_string(),
        );
    }
    for one in &repriced.left_out {
        data(
            &json!({ "left_out": one.partner_id, "month": one.month, "catalog": one.book.as_str(),
            "reason": one.reason, "other": one.other })
            .to_string(),
        );
    }
    for sum in &repriced.summaries {
        data(
            &json!({ "summary": sum.old.currency, "old_minor": sum.old.minor, "new_minor": sum.new.minor,
            "delta_minor": sum.delta_minor, "winners": sum.winners, "losers": sum.losers, "unchanged": sum.unchanged,
            "old_catalog_sha256": result.present_sha256, "new_catalog_sha256": result.new_sha256,
            "unfinished_months": result.unfinished })
            .to_string(),
        );
    }
}
