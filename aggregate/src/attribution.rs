//! Whose traffic a request is, in which environment, for which product: one SQL view over `access_log`.
//!
//! The links and the spans of partners are small tables made by pure code; the view joins them by time. A credential
//! link goes before a consumer link. Nothing is guessed: two links that name different partners, or a link and a
//! record that name different environments, leave the row unattributed, with the reason, counted, never billed (I9).
//!
//! The view `attributed` has, beside the columns of `access_log`: `delivery` (1 for the delivery that counts, more for
//! repeated ones, 0 for those in whose place a correction stands: I2), `partner_id`, `environment`,
//! `unattributed_reason`, `product_id`, `partner_is_internal`, `partner_is_test`, `slice_start`, `slice_end`.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use chrono::{DateTime, Utc};
use datafusion::datasource::MemTable;
use datafusion::execution::context::SessionContext;
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::period::Period;
use tollbook_schemas::registry::{IdentityLink, LinkSystem, Registry};
use tollbook_schemas::tables::Row;

use crate::contested;
use crate::error::AggregateError;
use crate::id_index::REQUEST_ID_SQL;
use crate::product::product_case;
use crate::segments::segments;

/// Stands for "for ever" in the joins; no record can be later (ingest refuses years past 2199).
pub(crate) const FAR: DateTime<Utc> = DateTime::from_timestamp(7_258_118_400, 0).unwrap();
const LONG_AGO: DateTime<Utc> = DateTime::from_timestamp(0, 0).unwrap();

/// Registers the small tables and the view with a session that has `access_log` and [`crate::arrival`]'s table already.
///
/// `condition` selects the rows that exist for this purpose (the pin, and whole hours to look at); `contested` has the
/// rows of `contested_request` of that pin and those hours.
pub(crate) async fn register(
    context: &SessionContext,
    registry: &Registry,
    catalog: &Catalog,
    range: Period,
    condition: &str,
    contested: &[Row],
) -> Result<(), AggregateError> {
    register_links(context, "credential_link", LinkSystem::Credential, registry)?;
    register_links(context, "consumer_link", LinkSystem::Consumer, registry)?;
    register_spans(context, registry, catalog, range)?;
    register_flags(context, registry)?;
    contested::register(context, contested)?;
    context.sql(&view(catalog, condition)).await?;
    Ok(())
}

pub(crate) fn instants(values: Vec<DateTime<Utc>>) -> TimestampMicrosecondArray {
    let micros: Vec<i64> = values.iter().map(DateTime::timestamp_micros).collect();
    TimestampMicrosecondArray::from(micros).with_timezone("UTC")
}

pub(crate) fn instant_field(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false)
}

fn register_links(
    context: &SessionContext,
    name: &str,
    system: LinkSystem,
    registry: &Registry,
) -> Result<(), AggregateError> {
    let links: Vec<&IdentityLink> = registry.links.iter().filter(|link| link.system == system).collect();
    let schema = Arc::new(Schema::new(vec![
        Field::new("external_id", DataType::Utf8, false),
        Field::new("partner_id", DataType::Utf8, true),
        Field::new("environment", DataType::Utf8, true),
        instant_field("valid_from"),
        instant_field("valid_to"),
    ]));
    let batch = RecordBatch::try_new(
        schema.clone(),
        vec![
            Arc::new(links.iter().map(|link| Some(link.external_id.as_str())).collect::<StringArray>()),
            Arc::new(links.iter().map(|link| link.partner_id.as_ref().map(|id| id.as_str())).collect::<StringArray>()),
            Arc::new(links.iter().map(|link| link.environment.map(|e| e.as_str())).collect::<StringArray>()),
            Arc::new(instants(links.iter().map(|link| link.valid_from).collect())),
            Arc::new(instants(links.iter().map(|link| link.valid_to.unwrap_or(FAR)).collect())),
        ],
    )?;
    context.register_table(name, Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))?;
    Ok(())
}

fn register_spans(
    context: &SessionContext,
    registry: &Registry,
    catalog: &Catalog,
    range: Period,
) -> Result<(), AggregateError> {
    let spans = segments(registry, catalog, range)?;
    let rows: Vec<(&str, Period)> =
        spans.iter().flat_map(|(partner, spans)| spans.iter().map(move |span| (partner.as_str(), *span))).collect();
    let schema = Arc::new(Schema::new(vec![
        Field::new("partner_id", DataType::Utf8, false),
        instant_field("span_start"),
        instant_field("span_end"),
    ]));
    let batch = RecordBatch::try_new(
        schema.clone(),
        vec![
            Arc::new(rows.iter().map(|(partner, _)| Some(*partner)).collect::<StringArray>()),
            Arc::new(instants(rows.iter().map(|(_, span)| span.start).collect())),
            Arc::new(instants(rows.iter().map(|(_, span)| span.end).collect())),
        ],
    )?;
    context.register_table("partner_span", Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))?;
    Ok(())
}

/// Partners that a meter may leave out.
fn register_flags(context: &SessionContext, registry: &Registry) -> Result<(), AggregateError> {
    let flagged: Vec<_> =
        registry.partners.iter().filter(|(_, partner)| partner.is_internal || partner.is_test).collect();
    let schema = Arc::new(Schema::new(vec![
        Field::new("flagged_id", DataType::Utf8, false),
        Field::new("is_internal", DataType::Boolean, false),
        Field::new("is_test", DataType::Boolean, false),
    ]));
    let batch = RecordBatch::try_new(
        schema.clone(),
        vec![
            Arc::new(flagged.iter().map(|(id, _)| Some(id.as_str())).collect::<StringArray>()),
            Arc::new(flagged.iter().map(|(_, partner)| Some(partner.is_internal)).collect::<BooleanArray>()),
            Arc::new(flagged.iter().map(|(_, partner)| Some(partner.is_test)).collect::<BooleanArray>()),
        ],
    )?;
    context.register_table("partner_flag", Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))?;
    Ok(())
}

/// The small table stands left in every join: that side is held and looked up in, the other streams through. The engine
/// does not turn a join whose sides it cannot weigh, and `access_log left join …` would hold every request in memory,
/// six times.
fn view(catalog: &Catalog, condition: &str) -> String {
    let product = product_case(&catalog.product_rules());
    format!(
        "create view attributed as
with arrived as (
  select *, {REQUEST_ID_SQL} as request_id, coalesce(arrival_of_repeated, 1) as arrival
  from (select ranked_source, ranked_partition, ranked_offset, ranked_index, arrival as arrival_of_repeated from ranked)
  right join access_log
    on ranked_partition = kafka_partition and ranked_offset = kafka_offset and ranked_index = record_index
    and ranked_source = source
  where {condition}
),
judged as (
  select a.*, c.superseded, c.event_id is not null as is_contested,
    a.source = c.counted_source and a.kafka_partition = c.counted_partition
      and a.kafka_offset = c.counted_offset and a.record_index = c.counted_index as is_counted
  from contested c
  right join arrived a
    on c.gateway = a.gateway and c.event_id = a.request_id and c.hour = date_trunc('hour', a.occurred_at)
),
delivered as (
  select *,
    case when not is_contested then arrival
      when coalesce(is_counted, false) then 1
      when superseded then 0
      else arrival + 1 end as delivery
  from judged
  where kind = 'request' or coalesce(is_counted, false)
),
linked as (
  select d.*,
    k.external_id is not null as by_consumer, k.partner_id as consumer_partner, k.environment as consumer_environment,
    {product} as product_id
  from consumer_link k
  right join (
    select d.*, c.external_id is not null as by_credential, c.partner_id as credential_partner,
      c.environment as credential_environment
    from credential_link c
    right join delivered d
      on c.external_id = concat(d.credential_key_id, ':', d.credential_hash)
      and d.occurred_at >= c.valid_from and d.occurred_at < c.valid_to
  ) d
    on k.external_id = d.consumer and d.occurred_at >= k.valid_from and d.occurred_at < k.valid_to
),
decided as (
  select *,
    coalesce(credential_environment, consumer_environment) as link_environment,
    coalesce(credential_environment, consumer_environment, environment_hint, environment_default) as any_environment,
    case
      when not by_credential and not by_consumer then 'unknown_consumer'
      when (by_credential and credential_partner is null) or (by_consumer and consumer_partner is null) then 'link_conflict'
      when by_credential and by_consumer and credential_partner <> consumer_partner then 'link_conflict'
      when credential_environment <> consumer_environment then 'environment_conflict'
      when coalesce(credential_environment, consumer_environment) <> environment_hint then 'environment_conflict'
      when coalesce(credential_environment, consumer_environment, environment_hint, environment_default) is null
        or coalesce(credential_environment, consumer_environment, environment_hint, environment_default)
          not in ('production', 'sandbox') then 'environment_unknown'
    end as unattributed_reason
  from linked
),
owned as (
  select *,
    case when unattributed_reason is null then coalesce(credential_partner, consumer_partner) end as partner_id,
    case when unattributed_reason is null then any_environment end as environment
  from decided
)
select o.*,
  coalesce(o.is_internal, false) as partner_is_internal, coalesce(o.is_test, false) as partner_is_test,
  greatest(date_trunc('hour', o.occurred_at), coalesce(s.span_start, {long_ago})) as slice_start,
  least(date_trunc('hour', o.occurred_at) + interval '1 hour', coalesce(s.span_end, {far})) as slice_end
from partner_span s
right join (
  select o.*, f.is_internal, f.is_test
  from partner_flag f right join owned o on f.flagged_id = o.partner_id
) o
  on s.partner_id = o.partner_id and o.occurred_at >= s.span_start and o.occurred_at < s.span_end",
        long_ago = instant_sql(LONG_AGO),
        far = instant_sql(FAR),
    )
}

/// An instant as an SQL literal of the tables' own type.
pub(crate) fn instant_sql(instant: DateTime<Utc>) -> String {
    format!("arrow_cast({}, 'Timestamp(Microsecond, Some(\"UTC\"))')", instant.timestamp_micros())
}
