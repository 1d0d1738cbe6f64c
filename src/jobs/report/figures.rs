//! Figures of the funnel and the return, read from the lake.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::DataType;
use chrono::{DateTime, Utc};
use serde_json::json;
use tollbook_aggregate::SEMANTICS;
use tollbook_lake::pin_condition;
use tollbook_report::{
    Completeness, FunnelReport, FunnelStep, IssuedAmount, RecordedCost, RejectedCount, RoiReport, TopCalls,
    UnattributedCount, UsageDay, UsageSeries, cost_lines, currency_sides, top_revenue, weeks_of,
};
use tollbook_schemas::catalog::{Aggregation, Catalog};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::MeterId;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::{Month, print_instant};
use tollbook_schemas::tables::billing::{INVOICE, INVOICE_EVENT};
use tollbook_schemas::tables::derived::{FUNNEL, PARTNER, PARTNER_360};
use tollbook_schemas::tables::{Row, access_log, partner_event};

use super::read::Read;

/// Partners that a list of the largest shows.
pub(super) const TOP: usize = 8;

/// Rows of a query as text, each value in its exact printed form.
async fn texts(read: &Read<'_>, sql: &str) -> anyhow::Result<Vec<Vec<Option<String>>>> {
    let mut rows = Vec::new();
    for batch in read.query(sql).await? {
        let columns = batch.columns().iter().map(|column| arrow::compute::cast(column, &DataType::Utf8));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        for at in 0..batch.num_rows() {
            let text = columns.iter().map(|column| {
                let strings = column.as_string::<i32>();
                strings.is_valid(at).then(|| strings.value(at).to_owned())
            });
            rows.push(text.collect());
        }
    }
    Ok(rows)
}

fn until(as_of: DateTime<Utc>) -> String {
    format!("timestamp '{}'", print_instant(as_of))
}

async fn completeness(read: &Read<'_>, as_of: DateTime<Utc>) -> anyhow::Result<Completeness> {
    let (access, events) = (&read.access_log, &read.partner_event);
    // Rejected rows above the frontier of their table are not decided yet.
    let decided = format!(
        "((target = '{}' and {}) or (target = '{}' and {}))",
        access_log::TABLE.name,
        pin_condition(access),
        partner_event::TABLE.name,
        pin_condition(events)
    );
    let sql = format!("select target, reason, count(*) from rejected where {decided} group by 1, 2 order by 1, 2");
    let mut rejected = Vec::new();
    for row in texts(read, &sql).await? {
        if let [Some(target), Some(reason), Some(count)] = row.as_slice() {
            rejected.push(RejectedCount { target: target.clone(), reason: reason.clone(), count: count.parse()? });
        }
    }
    let sql = format!(
        "select meter_id, unattributed_reason, sum(event_count) from usage
         where unattributed_reason is not null and slice_start < {} group by 1, 2 order by 1, 2",
        until(as_of)
    );
    let mut unattributed = Vec::new();
    for row in texts(read, &sql).await? {
        if let [Some(meter_id), Some(reason), Some(count)] = row.as_slice() {
            let (meter_id, reason) = (meter_id.clone(), reason.clone());
            unattributed.push(UnattributedCount { meter_id, reason, count: count.parse()? });
        }
    }
    Ok(Completeness {
        watermark: read.reach,
        rejected,
        unattributed,
        pin: json!({ "access_log": access, "partner_event": events }).to_string(),
    })
}

fn is_ours(row: &Row) -> bool {
    use tollbook_schemas::tables::Value;
    *row.get("is_internal") == Value::Flag(true) || *row.get("is_test") == Value::Flag(true)
}

/// The newest instant, not after another, at which the funnel was counted.
pub(super) async fn funnel_before(read: &Read<'_>, as_of: DateTime<Utc>) -> anyhow::Result<Option<DateTime<Utc>>> {
    let rows = read.rows(&FUNNEL, Some(&format!("as_of <= {}", until(as_of)))).await?;
    Ok(rows.iter().filter_map(|row| row.instant("as_of")).max())
}

/// The funnel as `tollbook aggregate` counted it at an instant.
pub(super) async fn funnel(read: &Read<'_>, as_of: DateTime<Utc>) -> anyhow::Result<FunnelReport> {
    let mut rows = read.rows(&FUNNEL, Some(&format!("as_of = {}", until(as_of)))).await?;
    rows.sort_by_key(|row| row.int("step_number"));
    let steps = rows
        .iter()
        .map(|row| {
            Some(FunnelStep {
                step: row.text("step")?.to_owned(),
                reached: row.int("reached_count")?,
                dropped: row.int("dropped_count")?,
                skipped: row.int("skipped_count")?,
                conversion_from_start_percent: row.decimal("conversion_from_start_percent"),
                conversion_from_previous_percent: row.decimal("conversion_from_previous_percent"),
                median_seconds_from_previous: row.int("median_seconds_from_previous"),
            })
        })
        .collect::<Option<Vec<_>>>()
        .context("a row of the table funnel is not complete; run `tollbook aggregate`")?;
    let (ours, others): (Vec<Row>, Vec<Row>) = read.rows(&PARTNER, None).await?.into_iter().partition(is_ours);
    let registered_at: Vec<DateTime<Utc>> = others.iter().filter_map(|row| row.instant("registered_at")).collect();
    Ok(FunnelReport {
        as_of,
        steps,
        weeks: weeks_of(&registered_at, as_of),
        left_out: i64::try_from(ours.len())?,
        semantics: SEMANTICS.to_owned(),
        completeness: completeness(read, as_of).await?,
    })
}

/// Revenue, cost, usage and top partners at an instant.
pub(super) async fn roi(read: &Read<'_>, catalog: &Catalog, as_of: DateTime<Utc>) -> anyhow::Result<RoiReport> {
    let partners = read.rows(&PARTNER, None).await?;
    let text = |row: &Row, column: &str| row.text(column).map(str::to_owned);
    let names: BTreeMap<String, String> =
        partners.iter().filter_map(|row| text(row, "partner_id").zip(text(row, "display_name"))).collect();
    let (invoices, later_invoice_count) = invoices(read, &names, as_of).await?;
    let (costs, unusable_cost_count) = costs(read, as_of).await?;
    let ours: BTreeSet<String> =
        partners.iter().filter(|row| is_ours(row)).filter_map(|row| text(row, "partner_id")).collect();
    let (top_calls, calls_as_of) = top_calls(read, &names, &ours, as_of).await?;
    Ok(RoiReport {
        as_of,
        currencies: currency_sides(&invoices, &costs)?,
        costs: cost_lines(&costs)?,
        unusable_cost_count,
        later_invoice_count,
        usage: usage(read, catalog, as_of).await?,
        top_revenue: top_revenue(&invoices, TOP)?,
        top_calls,
        calls_as_of,
        completeness: completeness(read, as_of).await?,
    })
}

/// Issued invoices whose period ended, and how many end later. What was voided at Stripe is owed by nobody.
async fn invoices(
    read: &Read<'_>,
    names: &BTreeMap<String, String>,
    as_of: DateTime<Utc>,
) -> anyhow::Result<(Vec<IssuedAmount>, i64)> {
    let events = read.rows(&INVOICE_EVENT, Some("kind in ('issued', 'paid', 'voided')")).await?;
    let of_kind = |kind: &str| -> BTreeSet<String> {
        let of_kind = events.iter().filter(|row| row.text("kind") == Some(kind));
        of_kind.filter_map(|row| row.text("invoice_id").map(str::to_owned)).collect()
    };
    let (issued, paid, voided) = (of_kind("issued"), of_kind("paid"), of_kind("voided"));
    let (mut amounts, mut later) = (Vec::new(), 0);
    for row in read.rows(&INVOICE, None).await? {
        let missing = || "a row of the table invoice is not complete";
        let invoice_id = row.text("invoice_id").with_context(missing)?;
        if !issued.contains(invoice_id) || voided.contains(invoice_id) {
            continue;
        }
        if row.instant("period_end").with_context(missing)? > as_of {
            later += 1;
            continue;
        }
        let partner_id = row.text("partner_id").with_context(missing)?.to_owned();
        amounts.push(IssuedAmount {
            display_name: names.get(&partner_id).cloned(),
            partner_id,
            month: row.text("period").with_context(missing)?.parse()?,
            total: Money {
                minor: row.int("total_minor").with_context(missing)?,
                currency: Currency::parse(row.text("currency").with_context(missing)?)?,
            },
            is_paid: paid.contains(invoice_id),
        });
    }
    Ok((amounts, later))
}

/// Recorded costs, each event once, and how many cannot be used.
async fn costs(read: &Read<'_>, as_of: DateTime<Utc>) -> anyhow::Result<(Vec<RecordedCost>, i64)> {
    let known = pin_condition(&read.partner_event);
    let condition = format!("event_type = 'cost.recorded' and occurred_at <= {} and {known}", until(as_of));
    let mut rows = read.rows(&partner_event::TABLE, Some(&condition)).await?;
    let place = |row: &Row| {
        let source = row.text("source").map(str::to_owned);
        (source, row.int("kafka_partition"), row.int("kafka_offset"), row.int("record_index"))
    };
    rows.sort_by_key(place);
    let mut seen = BTreeSet::new();
    let (mut costs, mut unusable) = (Vec::new(), 0);
    for row in &rows {
        let id = (row.text("event_source").map(str::to_owned), row.text("event_id").map(str::to_owned));
        if !seen.insert(id) {
            continue;
        }
        match cost_of(row) {
            Some(cost) => costs.push(cost),
            None => unusable += 1,
        }
    }
    Ok((costs, unusable))
}

fn cost_of(row: &Row) -> Option<RecordedCost> {
    let data: serde_json::Value = serde_json::from_str(row.text("data")?).ok()?;
    // The month that it names; of one that names none, the UTC month in which it occurred.
    let month = match data.get("period") {
        Some(period) => period.as_str()?.parse().ok()?,
        None => Month::of(row.instant("occurred_at")?, chrono_tz::UTC),
    };
    let pool = match (data.get("cost_pool").and_then(serde_json::Value::as_str), row.text("partner_id")) {
        (Some(pool), _) => pool.to_owned(),
        (None, Some(partner)) => format!("partner {partner}"),
        (None, None) => "no pool".to_owned(),
    };
    Some(RecordedCost {
        month,
        currency: Currency::parse(data["currency"].as_str()?).ok()?,
        amount: data["amount"].as_str()?.parse().ok()?,
        pool,
    })
}

/// Production usage of meters that count, by day; the largest meter first.
async fn usage(read: &Read<'_>, catalog: &Catalog, as_of: DateTime<Utc>) -> anyhow::Result<Vec<UsageSeries>> {
    let sql = format!(
        "select meter_id, event_date, sum(quantity) from usage
         where environment = 'production' and partner_id is not null and slice_start < {}
         group by 1, 2 order by 1, 2",
        until(as_of)
    );
    let mut series: BTreeMap<MeterId, UsageSeries> = BTreeMap::new();
    for row in texts(read, &sql).await? {
        let [Some(meter_id), Some(day), Some(quantity)] = row.as_slice() else { continue };
        let id = MeterId::parse(meter_id.clone())?;
        let Some(meter) = catalog.meters.get(&id).filter(|meter| meter.aggregation == Aggregation::Count) else {
            continue;
        };
        let of_meter = series.entry(id).or_insert_with(|| UsageSeries {
            meter_id: meter_id.clone(),
            name: meter.name.clone(),
            unit: meter.unit.clone(),
            days: Vec::new(),
        });
        of_meter.days.push(UsageDay { day: day.parse()?, quantity: quantity.parse()? });
    }
    let mut series: Vec<UsageSeries> = series.into_values().collect();
    let busiest = |series: &UsageSeries| series.days.iter().map(|day| day.quantity).max().unwrap_or(Decimal::ZERO);
    series.sort_by_key(|series| std::cmp::Reverse(busiest(series)));
    Ok(series)
}

/// The partners with the most calls, from the newest view that is not younger than the instant.
async fn top_calls(
    read: &Read<'_>,
    names: &BTreeMap<String, String>,
    ours: &BTreeSet<String>,
    as_of: DateTime<Utc>,
) -> anyhow::Result<(Vec<TopCalls>, Option<DateTime<Utc>>)> {
    let views = read.rows(&PARTNER_360, Some(&format!("as_of <= {}", until(as_of)))).await?;
    let newest = views.iter().filter_map(|row| row.instant("as_of")).max();
    let mut top: Vec<TopCalls> = views
        .iter()
        .filter(|row| row.instant("as_of") == newest)
        .filter_map(|row| {
            let partner_id = row.text("partner_id")?.to_owned();
            let total = row.int("successful_calls_30d_total").filter(|total| *total > 0)?;
            Some(TopCalls {
                display_name: names.get(&partner_id).cloned(),
                partner_id,
                successful_calls_30d_total: total,
                trend: row.text("trend").unwrap_or_default().to_owned(),
            })
        })
        .filter(|top| !ours.contains(&top.partner_id))
        .collect();
    top.sort_by(|a, b| {
        (b.successful_calls_30d_total, &a.partner_id).cmp(&(a.successful_calls_30d_total, &b.partner_id))
    });
    top.truncate(TOP);
    Ok((top, newest))
}
