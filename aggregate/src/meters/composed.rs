//! The queries that a refresh makes of the meters, planned over tables without rows: whatever the engine has against
//! them is told when the catalog is loaded, and not by the run that needs them. The last check, for what nobody
//! foresaw.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::context::SessionContext;
use futures::FutureExt as _;
use tollbook_schemas::catalog::{Catalog, Meter};
use tollbook_schemas::id::MeterId;
use tollbook_schemas::meter::Aggregation;
use tollbook_schemas::tables::access_log;

use super::offender;
use crate::error::AggregateError;
use crate::exact::exact_decimal;
use crate::usage::{base_sql, meter_sql};

/// The parts of meters without which all could be planned; nothing where all can.
pub(super) fn problems(catalog: &Catalog) -> Vec<AggregateError> {
    let Err(error) = planned(catalog.meters.values()) else { return Vec::new() };
    let mut problems = Vec::new();
    for (id, meter) in &catalog.meters {
        let refused = parts_of(meter).into_iter().filter_map(|(field, alone)| Some((field, planned([&alone]).err()?)));
        problems.extend(refused.map(|(field, error)| refusal(catalog, id, &field, &error)));
    }
    if problems.is_empty() { vec![error.into()] } else { problems }
}

fn refusal(catalog: &Catalog, id: &MeterId, field: &str, error: &DataFusionError) -> AggregateError {
    let what = format!("meter {id}: {field} cannot be used in a query over access_log: {}", offender::said_by(error));
    let mend = "write it another way; `tollbook sql \"describe access_log\"` lists columns with their types";
    AggregateError::Meter(Box::new(catalog.problem_in_sql(id, field, None, what, mend)))
}

/// Meters that have one expression of a meter each.
fn parts_of(meter: &Meter) -> Vec<(String, Meter)> {
    let bare = Meter {
        aggregation: Aggregation::Count,
        value: None,
        filter: None,
        group_by: BTreeMap::new(),
        exclude: Vec::new(),
        ..meter.clone()
    };
    let mut parts = Vec::new();
    if meter.filter.is_some() {
        parts.push(("filter".to_owned(), Meter { filter: meter.filter.clone(), ..bare.clone() }));
    }
    if meter.value.is_some() {
        let valued = Meter { aggregation: meter.aggregation, value: meter.value.clone(), ..bare.clone() };
        parts.push(("value".to_owned(), valued));
    }
    for (name, sql) in &meter.group_by {
        let group_by = BTreeMap::from([(name.clone(), sql.clone())]);
        parts.push((format!("group_by.{name}"), Meter { group_by, ..bare.clone() }));
    }
    parts
}

/// Plans the queries of meters. Tables in memory answer at once, so that nobody waits.
fn planned<'a>(meters: impl IntoIterator<Item = &'a Meter, IntoIter: Clone>) -> Result<(), DataFusionError> {
    let meters = meters.into_iter();
    let context = SessionContext::new();
    context.register_udf(exact_decimal());
    let register = |name, schema| context.register_table(name, Arc::new(EmptyTable::new(schema)));
    register("attributed", attributed())?;
    let base = plan(&context, &base_sql(meters.clone()))?;
    register("base", base)?;
    meters.enumerate().try_for_each(|(at, meter)| plan(&context, &meter_sql(at, meter)).map(drop))
}

/// The columns of a query that can be run.
fn plan(context: &SessionContext, sql: &str) -> Result<SchemaRef, DataFusionError> {
    let planned = async {
        let frame = context.sql(sql).await?;
        Ok(frame.create_physical_plan().await?.schema())
    };
    let waits = || DataFusionError::Internal("planning over empty tables waited".to_owned());
    planned.now_or_never().unwrap_or_else(|| Err(waits()))
}

/// The view that meters are asked over, as `attribution.rs` makes it.
fn attributed() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let flag = |name: &str| Field::new(name, DataType::Boolean, true);
    let request = access_log::TABLE.arrow_schema();
    let instant = request.fields().iter().find(|field| field.name() == "occurred_at");
    let instant = instant.map_or(DataType::Null, |field| field.data_type().clone());
    let own = [
        text("partner_id"),
        text("environment"),
        text("unattributed_reason"),
        text("product_id"),
        flag("partner_is_internal"),
        flag("partner_is_test"),
        Field::new("slice_start", instant.clone(), true),
        Field::new("slice_end", instant, true),
        Field::new("delivery", DataType::Int64, true),
    ];
    Arc::new(Schema::new(request.fields().iter().cloned().chain(own.map(Arc::new)).collect::<Vec<_>>()))
}
