//! From traffic, registry and invoices to the tables `funnel` and `partner_360`, at one instant.

use std::collections::BTreeMap;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, Duration, Utc};
use tollbook_lake::{Lake, Outcome, TxnStep, pin_condition};
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::period::Period;
use tollbook_schemas::pin::Pin;
use tollbook_schemas::registry::{Partner, Registry};
use tollbook_schemas::tables::{Row, Table, Value, access_log, derived};

use crate::arrival;
use crate::attribution::{self, instant_sql};
use crate::contested::contested_at;
use crate::error::AggregateError;
use crate::exact::text_at;
use crate::funnel::{Funnel, PartnerMilestones, fold_funnel};

/// What the program looks like at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramReport {
    /// The instant.
    pub as_of: DateTime<Utc>,
    /// The funnel.
    pub funnel: Funnel,
    /// Partners with a production 2xx in the last 30 days.
    pub active_total: usize,
    /// Partners in the view.
    pub partners_total: usize,
}

/// What one partner did in one environment.
#[derive(Debug, Clone, Copy, Default)]
struct Activity {
    first_success_at: Option<DateTime<Utc>>,
    last_at: Option<DateTime<Utc>>,
    calls_30d: i64,
    successes_30d: i64,
    calls_14d: i64,
    calls_14d_before: i64,
}

/// Computes and writes `funnel` and `partner_360` as of an instant.
///
/// `revenue_at` is when each partner's first invoice above zero was issued; invoices are billing's to read.
///
/// # Errors
/// [`AggregateError`].
pub async fn refresh_program(
    lake: &Lake,
    registry: &Registry,
    catalog: &Catalog,
    pin: &Pin,
    revenue_at: &BTreeMap<PartnerId, DateTime<Utc>>,
    as_of: DateTime<Utc>,
) -> Result<ProgramReport, AggregateError> {
    let activity = activity(lake, registry, catalog, pin, as_of).await?;
    let of = |partner: &PartnerId, environment: &str| {
        activity.get(&(partner.as_str().to_owned(), environment.to_owned())).copied().unwrap_or_default()
    };
    let mut counted = Vec::new();
    let mut views = Vec::new();
    let mut active_total = 0;
    for (id, partner) in &registry.partners {
        let (sandbox, production) = (of(id, "sandbox"), of(id, "production"));
        let milestones = PartnerMilestones {
            registered_at: partner.registered_at.filter(|at| *at <= as_of),
            sandbox_at: sandbox.first_success_at,
            production_at: production.first_success_at,
            revenue_at: revenue_at.get(id).copied().filter(|at| *at <= as_of),
        };
        if !partner.is_internal && !partner.is_test {
            counted.push(milestones);
        }
        active_total += usize::from(production.successes_30d > 0 && !partner.is_internal && !partner.is_test);
        views.push(view_of(id, partner, &milestones, &sandbox, &production, as_of));
    }
    let funnel = fold_funnel(&counted);
    let rows: Vec<Row> = funnel
        .iter()
        .zip(1_i32..)
        .map(|(step, number)| {
            Row::new()
                .with("as_of", as_of)
                .with("step_number", number)
                .with("step", step.step)
                .with("reached_count", step.reached)
                .with("dropped_count", step.dropped)
                .with("skipped_count", step.skipped)
                .with("conversion_from_start_percent", step.conversion_from_start_percent)
                .with("conversion_from_previous_percent", step.conversion_from_previous_percent)
                .with("median_seconds_from_previous", step.median_seconds_from_previous)
                .with("as_of_date", as_of.date_naive())
        })
        .collect();
    replace_instant(lake, &derived::FUNNEL, as_of, rows).await?;
    let partners_total = views.len();
    replace_instant(lake, &derived::PARTNER_360, as_of, views).await?;
    Ok(ProgramReport { as_of, funnel, active_total, partners_total })
}

fn view_of(
    id: &PartnerId,
    partner: &Partner,
    milestones: &PartnerMilestones,
    sandbox: &Activity,
    production: &Activity,
    as_of: DateTime<Utc>,
) -> Row {
    // The stage is the furthest thing that happened, whatever the order: that is what a partner manager asks.
    let stage = if partner.offboarded_at.is_some_and(|at| at <= as_of) {
        "offboarded"
    } else if milestones.revenue_at.is_some() {
        "revenue"
    } else if milestones.production_at.is_some() {
        "production"
    } else if milestones.sandbox_at.is_some() {
        "sandbox"
    } else {
        "registered"
    };
    Row::new()
        .with("as_of", as_of)
        .with("partner_id", id.as_str())
        .with("stage", stage)
        .with("registered_at", milestones.registered_at)
        .with("first_sandbox_success_at", milestones.sandbox_at)
        .with("first_production_success_at", milestones.production_at)
        .with("first_revenue_at", milestones.revenue_at)
        .with("last_activity_at", sandbox.last_at.max(production.last_at))
        .with("calls_30d_total", production.calls_30d)
        .with("successful_calls_30d_total", production.successes_30d)
        .with("active", production.successes_30d > 0 && !partner.is_internal && !partner.is_test)
        .with("trend", trend(production, as_of))
        .with("as_of_date", as_of.date_naive())
}

/// The last 14 days against the 14 before: a quarter more is growing, a quarter less declining.
fn trend(production: &Activity, as_of: DateTime<Utc>) -> &'static str {
    let (now, before) = (production.calls_14d, production.calls_14d_before);
    match production.first_success_at {
        _ if now == 0 => "dormant",
        Some(first) if first > as_of - Duration::days(28) => "new",
        _ if now * 4 >= before * 5 => "growing",
        _ if now * 4 <= before * 3 => "declining",
        _ => "steady",
    }
}

async fn activity(
    lake: &Lake,
    registry: &Registry,
    catalog: &Catalog,
    pin: &Pin,
    as_of: DateTime<Utc>,
) -> Result<BTreeMap<(String, String), Activity>, AggregateError> {
    let context = lake.empty_session()?;
    lake.register(&context, &access_log::TABLE, None).await?;
    let condition = format!("{} and occurred_at <= {}", pin_condition(pin), instant_sql(as_of));
    // Spans do not matter here: an empty range cuts nothing.
    let nothing = Period { start: as_of, end: as_of };
    let contested = contested_at(lake, pin).await?;
    arrival::register(lake, &context, pin, &condition, None, &contested).await?;
    attribution::register(&context, registry, catalog, nothing, &condition).await?;
    let since = |days: i64| format!("occurred_at > {}", instant_sql(as_of - Duration::days(days)));
    let success = "status between 200 and 299";
    let sql = format!(
        "select partner_id, environment,
           min(occurred_at) filter (where {success}), max(occurred_at),
           count(*) filter (where {month}), count(*) filter (where {month} and {success}),
           count(*) filter (where {half}), count(*) filter (where not {half} and {whole})
         from attributed where delivery = 1 and partner_id is not null group by partner_id, environment",
        month = since(30),
        half = since(14),
        whole = since(28),
    );
    let mut activity = BTreeMap::new();
    for batch in lake.query(&context, &sql).await? {
        for row in 0..batch.num_rows() {
            let key = text_at(batch.column(0), row).zip(text_at(batch.column(1), row));
            let Some((partner, environment)) = key else { continue };
            activity.insert((partner.to_owned(), environment.to_owned()), activity_of(&batch, row));
        }
    }
    Ok(activity)
}

fn activity_of(batch: &RecordBatch, row: usize) -> Activity {
    let instant = |column: usize| {
        let instants = batch.column(column).as_primitive::<TimestampMicrosecondType>();
        instants.is_valid(row).then(|| DateTime::from_timestamp_micros(instants.value(row))).flatten()
    };
    let count = |column: usize| batch.column(column).as_primitive::<Int64Type>().value(row);
    Activity {
        first_success_at: instant(2),
        last_at: instant(3),
        calls_30d: count(4),
        successes_30d: count(5),
        calls_14d: count(6),
        calls_14d_before: count(7),
    }
}

/// Replaces the rows of one instant; those of other instants of that day stay.
async fn replace_instant(
    lake: &Lake,
    def: &'static Table,
    as_of: DateTime<Utc>,
    rows: Vec<Row>,
) -> Result<(), AggregateError> {
    let day = as_of.date_naive().to_string();
    for _ in 0..5 {
        let expected = lake.txn(def, "refresh").await?;
        let stored = lake.rows(def, Some(&format!("as_of_date = date '{day}'"))).await?;
        let (same, other): (Vec<Row>, Vec<Row>) =
            stored.into_iter().partition(|row| *row.get("as_of") == Value::Instant(as_of));
        if same.len() == rows.len() && rows.iter().all(|row| same.contains(row)) {
            return Ok(());
        }
        let all: Vec<Row> = other.into_iter().chain(rows.iter().cloned()).collect();
        let step = TxnStep::counting("refresh", expected);
        if lake.replace(def, Some(std::slice::from_ref(&day)), &all, &[step]).await? == Outcome::Committed {
            return Ok(());
        }
    }
    Err(AggregateError::Contention(def.name))
}
