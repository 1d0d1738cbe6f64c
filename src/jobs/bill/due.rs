//! Which months `--period` names.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use tollbook_aggregate::read_registry;
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::period::{Month, print_instant};
use tollbook_schemas::registry::Subscription;
use tollbook_schemas::tables::billing::{INVOICE, INVOICE_EVENT};

use crate::configuration::ConfigurationError;
use crate::context::JobContext;

/// The months that `--period` names, as of an instant: a month, `previous`, or `due`, so that a scheduler computes no
/// dates. Due is every ended month in which a subscription ran, by its own calendar, or that a line by hand is for; and
/// every one of which a document is stored. Once something was issued, the last ended one is due too.
///
/// # Errors
/// A word that is none of these.
pub async fn months(context: &JobContext, period: &str, as_of: DateTime<Utc>) -> anyhow::Result<Vec<Month>> {
    let previous = Month::of(as_of, chrono_tz::UTC).previous();
    match period {
        "previous" => Ok(vec![previous]),
        "due" => {
            let (_, events) = context.pins().await?;
            let registry = read_registry(&context.lake, &events, Some(as_of)).await?;
            // What was issued is pushed and listed also where the catalog cannot be read just now.
            let catalog = context.catalog().ok();
            let subscriptions: Vec<&Subscription> = registry.subscriptions.values().collect();
            let first = subscriptions.iter().map(|subscription| subscription.started_at).min();
            let mut months = Vec::new();
            // One month earlier than by UTC: west of Greenwich the first instant may still lie in it.
            let first = first.map(|first| Month::of(first, chrono_tz::UTC).previous());
            // What was made by hand is billed also where no subscription ran.
            let by_hand: BTreeSet<Month> = registry.adjustments.values().map(|made| made.month).collect();
            let mut month = first.into_iter().chain(by_hand.first().copied()).min();
            while let Some(at) = month.filter(|month| *month <= previous) {
                let ran = subscriptions.iter().any(|subscription| ran_in(subscription, catalog.as_ref(), at));
                // A subscription may have been corrected away after its month was drafted or issued.
                if ran
                    || by_hand.contains(&at)
                    || !context.lake.rows(&INVOICE, Some(&format!("period = '{at}'"))).await?.is_empty()
                {
                    months.push(at);
                }
                month = Some(at.next());
            }
            // Nobody runs any more, and still something may come for a month that was billed: the last month adjusts
            // it.
            let is_issued = || context.lake.rows(&INVOICE_EVENT, Some("kind = 'issued'"));
            if !months.is_empty() && !months.contains(&previous) && !is_issued().await?.is_empty() {
                months.push(previous);
            }
            Ok(months)
        }
        month => Ok(vec![month.parse().context("--period takes a month such as 2026-06, or previous, or due")?]),
    }
}

/// A line for each month that is over by the clock and due, and is none of those that are due by the instant up to
/// which the data reach.
///
/// # Errors
/// The lake's.
pub async fn overdue(context: &JobContext, by_data: &[Month], as_of: DateTime<Utc>) -> anyhow::Result<Vec<String>> {
    let by_clock = months(context, "due", context.clock.now()).await?;
    let line = |month: &Month| {
        format!(
            "{month} is over and is left: the data reach only to {}; run `tollbook ingest --until-caught-up` and `tollbook \
             aggregate`, then this again",
            print_instant(as_of)
        )
    };
    Ok(by_clock.iter().filter(|month| !by_data.contains(month)).map(line).collect())
}

/// A month that has not begun anywhere on earth has nothing to bill: a slip of the year would draft it all the same.
///
/// # Errors
/// Where it has not begun, by the clock.
pub(super) fn refuse_not_begun(context: &JobContext, month: Month, participle: &str) -> anyhow::Result<()> {
    let (begins, now) = (month.period(Tz::Etc__GMTMinus14)?.start, context.clock.now());
    if begins > now {
        bail!(ConfigurationError(format!(
            "{month} cannot be {participle}: it has not begun, it is {} now; name a month that has",
            print_instant(now)
        )));
    }
    Ok(())
}

/// Whether a subscription ran in a month of its zone, whether or not a period of it ends there. Where it is not known
/// which zone that is, in that of any that it may be: drafting tells why it cannot be billed. One that ends later than
/// a cancellation says that waits for its period is looked at once too often, which drafts nothing.
fn ran_in(subscription: &Subscription, catalog: Option<&Catalog>, month: Month) -> bool {
    let ended_at = subscription.ended_at.unwrap_or(DateTime::<Utc>::MAX_UTC);
    let reaches = |zone: &Tz| match month.period(*zone) {
        Ok(month) => subscription.started_at < ended_at.min(month.end) && ended_at > month.start,
        Err(_) => true,
    };
    zones_of(subscription, catalog).iter().any(reaches)
}

fn zones_of(subscription: &Subscription, catalog: Option<&Catalog>) -> Vec<Tz> {
    if let Some(zone) = subscription.time_zone {
        return vec![zone];
    }
    let Some(catalog) = catalog else {
        // The ends of the earth.
        return vec![Tz::Etc__GMTPlus12, Tz::UTC, Tz::Etc__GMTMinus14];
    };
    match catalog.plans.get(&subscription.plan_id) {
        Some(versions) => {
            let issuers = versions.iter().filter_map(|version| catalog.issuers.get(&version.issuer));
            issuers.map(|issuer| issuer.time_zone).collect()
        }
        None => vec![Tz::UTC],
    }
}
