//! `tollbook catalog coverage`: how much traffic the products of the catalog cover, and where their rules overlap.
//!
//! Looks at the requests that `usage` was computed from, with the catalog of the configured folder: so a changed
//! catalog can be tried before `aggregate` uses it. Counts are integers, and so are the hundredths of a per cent that
//! are printed.

use anyhow::bail;
use serde_json::{Value, json};
use tollbook_aggregate::{Coverage, Look, Unmapped, coverage as count, usage_pin};
use tollbook_schemas::period::Month;
use tollbook_schemas::tables::access_log;

use crate::configuration::ConfigurationError;
use crate::context::JobContext;
use crate::output::table;

/// What was found, and in which month.
#[derive(Debug)]
pub struct Found {
    month: Option<Month>,
    coverage: Coverage,
}

/// Counts the requests of a month (of UTC), or of all time.
///
/// # Errors
/// The catalog's problems; the lake's; nothing that was aggregated.
pub async fn coverage(context: &JobContext, month: Option<Month>, depth: u32, top: u32) -> anyhow::Result<Found> {
    let catalog = context.catalog()?;
    let pin = usage_pin(&context.lake, &access_log::TABLE).await?;
    if pin.iter().next().is_none() {
        let what = "no request was counted yet; run `tollbook ingest` and `tollbook aggregate` first";
        bail!(ConfigurationError(what.to_owned()));
    }
    let period = month.map(|month| month.period(chrono_tz::UTC)).transpose()?;
    let coverage = count(&context.lake, &catalog, &pin, Look { period, depth, top }).await?;
    Ok(Found { month, coverage })
}

/// A part of a whole in per cent, to the hundredth, half away from zero. A part that is not nothing is never shown as
/// nothing, nor one that is not all as all.
#[must_use]
pub fn percent(part: i64, whole: i64) -> String {
    let (part, whole) = (i128::from(part), i128::from(whole));
    if whole == 0 {
        return "-".to_owned();
    }
    match (part * 20_000 + whole) / (2 * whole) {
        0 if part > 0 => "< 0.01 %".to_owned(),
        10_000 if part < whole => "> 99.99 %".to_owned(),
        hundredths => format!("{}.{:02} %", hundredths / 100, hundredths % 100),
    }
}

impl Found {
    /// For people.
    #[must_use]
    pub fn shown(&self) -> String {
        let Coverage { products, overlaps, unmapped, unmapped_groups } = &self.coverage;
        let when = self.month.map_or("in all that was counted".to_owned(), |month| format!("in {month} (UTC)"));
        let all = self.coverage.requests();
        if all == 0 {
            return format!("no request {when}");
        }
        let none = self.coverage.unmapped_requests();
        let mut shown =
            vec![format!("{all} requests {when}; of no product: {none}, which is {}\n", percent(none, all))];
        let rows: Vec<Vec<String>> = products
            .iter()
            .map(|(product, covered)| {
                vec![
                    product.clone(),
                    covered.requests.to_string(),
                    percent(covered.requests, all),
                    covered.hinted.to_string(),
                ]
            })
            .collect();
        shown.push(table(&["product", "requests", "share", "named by gateway"], &rows));
        if !overlaps.is_empty() {
            let row = |(overlap, requests): (&tollbook_aggregate::Overlap, &i64)| {
                let by = if overlap.by_hint { "the gateway's word" } else { "the more specific rule" };
                vec![
                    overlap.won.clone(),
                    overlap.other.clone(),
                    requests.to_string(),
                    percent(*requests, all),
                    by.to_owned(),
                ]
            };
            let rows: Vec<Vec<String>> = overlaps.iter().map(row).collect();
            shown.push(format!("\n{}", table(&["decided for", "fits too", "requests", "share", "by"], &rows)));
        }
        if !unmapped.is_empty() {
            let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            let row = |group: &Unmapped| {
                let share = percent(group.requests, all);
                vec![dash(&group.host), dash(&group.method), dash(&group.route), group.requests.to_string(), share]
            };
            let rows: Vec<Vec<String>> = unmapped.iter().map(row).collect();
            shown.push(format!("\n{}", table(&["of no product: host", "method", "route", "requests", "share"], &rows)));
            let listed: i64 = unmapped.iter().map(|group| group.requests).sum();
            if none > listed {
                let more = unmapped_groups - i64::try_from(unmapped.len()).unwrap_or(i64::MAX);
                shown.push(format!("and {more} groups more, with {} requests", none - listed));
            }
        }
        shown.join("\n")
    }

    /// For machines: one object.
    #[must_use]
    pub fn json(&self) -> Value {
        let Coverage { products, overlaps, unmapped, unmapped_groups } = &self.coverage;
        let products = products.iter().map(|(product, covered)| {
            json!({ "product_id": product, "requests": covered.requests, "hinted": covered.hinted })
        });
        let overlaps = overlaps.iter().map(|(overlap, requests)| {
            let by = if overlap.by_hint { "hint" } else { "rule" };
            json!({ "won": overlap.won, "other": overlap.other, "by": by, "requests": requests })
        });
        let groups = unmapped.iter().map(|group| {
            json!({ "host": group.host, "method": group.method, "route": group.route, "requests": group.requests })
        });
        json!({ "month": self.month, "requests": self.coverage.requests(),
            "unmapped": self.coverage.unmapped_requests(), "products": products.collect::<Vec<_>>(),
            "overlaps": overlaps.collect::<Vec<_>>(), "unmapped_groups": groups.collect::<Vec<_>>(),
            "unmapped_group_count": unmapped_groups })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_once_and_never_to_nothing_or_all() {
        for (part, whole, shown) in [
            (0, 0, "-"),
            (0, 5, "0.00 %"),
            (5, 5, "100.00 %"),
            (1, 3, "33.33 %"),
            (2, 3, "66.67 %"),
            (1, 8, "12.50 %"),
            (1, 20_000, "0.01 %"),
            (1, 20_001, "< 0.01 %"),
            (999_999, 1_000_000, "> 99.99 %"),
            (i64::MAX, i64::MAX, "100.00 %"),
        ] {
            assert_eq!(percent(part, whole), shown, "{part} of {whole}");
        }
    }
}
