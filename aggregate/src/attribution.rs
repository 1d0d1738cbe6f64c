//! Whose traffic a request is, in which environment, for which product: one SQL view over `access_log`.
//!
//! The links and the spans of partners are looked up by pure code, in the SQL function `owner_of`: a join for each of
//! them would write all columns of all requests anew (benches/README.md). A credential link goes before a consumer
//! link. Nothing is guessed: two links that name different partners, or a link and a record that name different
//! environments, leave the row unattributed, with the reason, counted, never billed (I9).
//!
//! The view `attributed` has, beside the columns of `access_log`: `delivery` (1 for the delivery that counts, more for
//! repeated ones, 0 for those in whose place a correction stands: I2), `partner_id`, `environment`,
//! `unattributed_reason`, `product_id`, `partner_is_internal`, `partner_is_test`, `slice_start`, `slice_end`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, BooleanBuilder, StringArray, StringBuilder, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use chrono::{DateTime, Utc};
use datafusion::common::cast::{as_string_array, as_timestamp_microsecond_array};
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::period::Period;
use tollbook_schemas::registry::{LinkSystem, Registry};

use crate::error::AggregateError;
use crate::product::product_case;
use crate::segments::segments;
use crate::touched::AN_HOUR;

/// Stands for "for ever" in the joins; no record can be later (ingest refuses years past 2199).
pub(crate) const FAR: DateTime<Utc> = DateTime::from_timestamp(7_258_118_400, 0).unwrap();

/// Registers the view with a session that has `access_log` and [`crate::arrival`]'s function already.
///
/// `condition` selects the rows that exist for this purpose (the pin, and whole hours to look at).
pub(crate) async fn register(
    context: &SessionContext,
    registry: &Registry,
    catalog: &Catalog,
    range: Period,
    condition: &str,
) -> Result<(), AggregateError> {
    context.register_udf(owner_of(Owners::new(registry, catalog, range)?));
    context.sql(&view(catalog, condition)).await?;
    Ok(())
}

pub(crate) fn instants(values: Vec<DateTime<Utc>>) -> TimestampMicrosecondArray {
    let micros: Vec<i64> = values.iter().map(DateTime::timestamp_micros).collect();
    TimestampMicrosecondArray::from(micros).with_timezone("UTC")
}

pub(crate) fn instant_field(name: &str) -> Field {
    Field::new(name, instant_type(), false)
}

fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// One link, in microseconds.
#[derive(Debug)]
struct Link {
    from: i64,
    to: i64,
    /// Nobody's where links contradict each other.
    partner: Option<usize>,
    environment: Option<&'static str>,
}

/// A partner that some link names.
#[derive(Debug)]
struct Owner {
    id: String,
    is_internal: bool,
    is_test: bool,
    /// Spans of time in which its slices are not cut, in order, as first instant and end, in microseconds.
    spans: Vec<(i64, i64)>,
}

/// Who is who: what requests are looked up in.
#[derive(Debug)]
struct Owners {
    credentials: HashMap<String, Vec<Link>>,
    consumers: HashMap<String, Vec<Link>>,
    partners: Vec<Owner>,
}

/// What a request says of its owner.
#[derive(Debug, Clone, Copy)]
struct Said<'a> {
    /// `key_id:hash`.
    credential: &'a str,
    consumer: Option<&'a str>,
    environment_hint: Option<&'a str>,
    environment_default: Option<&'a str>,
    at: i64,
}

/// What is decided of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decided<'a> {
    Owned { partner: usize, environment: &'a str },
    Nobody { reason: &'static str },
}

impl Owners {
    fn new(registry: &Registry, catalog: &Catalog, range: Period) -> Result<Self, AggregateError> {
        let mut spans = segments(registry, catalog, range)?;
        let mut known: BTreeMap<&str, usize> = BTreeMap::new();
        let mut owners = Self { credentials: HashMap::new(), consumers: HashMap::new(), partners: Vec::new() };
        for link in &registry.links {
            let partner = link.partner_id.as_ref().map(|id| {
                *known.entry(id.as_str()).or_insert_with(|| {
                    let flags = registry.partners.get(id);
                    let spans = spans.remove(id).unwrap_or_default();
                    owners.partners.push(Owner {
                        id: id.as_str().to_owned(),
                        is_internal: flags.is_some_and(|partner| partner.is_internal),
                        is_test: flags.is_some_and(|partner| partner.is_test),
                        spans: spans
                            .iter()
                            .map(|span| (span.start.timestamp_micros(), span.end.timestamp_micros()))
                            .collect(),
                    });
                    owners.partners.len() - 1
                })
            });
            let of_system = match link.system {
                LinkSystem::Credential => &mut owners.credentials,
                LinkSystem::Consumer => &mut owners.consumers,
            };
            of_system.entry(link.external_id.clone()).or_default().push(Link {
                from: link.valid_from.timestamp_micros(),
                to: link.valid_to.unwrap_or(FAR).timestamp_micros(),
                partner,
                environment: link.environment.map(|environment| environment.as_str()),
            });
        }
        Ok(owners)
    }

    fn decide<'a>(&self, said: Said<'a>) -> Decided<'a> {
        let at = |links: Option<&Vec<Link>>| -> Option<(Option<usize>, Option<&'static str>)> {
            let link = links?.iter().find(|link| link.from <= said.at && said.at < link.to)?;
            Some((link.partner, link.environment))
        };
        let by_credential = at(self.credentials.get(said.credential));
        let by_consumer = said.consumer.and_then(|consumer| at(self.consumers.get(consumer)));
        let nobody = |reason| Decided::Nobody { reason };
        let partner = match (by_credential, by_consumer) {
            (None, None) => return nobody("unknown_consumer"),
            (Some((Some(one), _)), Some((Some(other), _))) if one != other => return nobody("link_conflict"),
            (Some((None, _)), _) | (_, Some((None, _))) => return nobody("link_conflict"),
            (Some((Some(partner), _)), _) | (None, Some((Some(partner), _))) => partner,
        };
        let of_credential = by_credential.and_then(|(_, environment)| environment);
        let of_consumer = by_consumer.and_then(|(_, environment)| environment);
        let differ = |one: Option<&str>, other: Option<&str>| one.zip(other).is_some_and(|(one, other)| one != other);
        let of_link = of_credential.or(of_consumer);
        if differ(of_credential, of_consumer) || differ(of_link, said.environment_hint) {
            return nobody("environment_conflict");
        }
        match of_link.or(said.environment_hint).or(said.environment_default) {
            Some(environment @ ("production" | "sandbox")) => Decided::Owned { partner, environment },
            _ => nobody("environment_unknown"),
        }
    }

    /// The slice of a request: its hour, cut where a span of its owner begins or ends.
    fn slice(&self, partner: Option<usize>, at: i64) -> (i64, i64) {
        let hour = at - at.rem_euclid(HOUR_MICROS);
        let spans = partner.and_then(|partner| self.partners.get(partner)).map_or(&[][..], |owner| &owner.spans);
        let after = spans.partition_point(|(start, _)| *start <= at);
        match after.checked_sub(1).and_then(|at| spans.get(at)).filter(|(_, end)| at < *end) {
            Some((start, end)) => (hour.max(*start), (hour + HOUR_MICROS).min(*end)),
            None => (hour, hour + HOUR_MICROS),
        }
    }
}

const HOUR_MICROS: i64 = AN_HOUR.num_seconds() * 1_000_000;

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("partner_id", DataType::Utf8, true),
        Field::new("environment", DataType::Utf8, true),
        Field::new("unattributed_reason", DataType::Utf8, true),
        Field::new("partner_is_internal", DataType::Boolean, true),
        Field::new("partner_is_test", DataType::Boolean, true),
        Field::new("slice_start", instant_type(), true),
        Field::new("slice_end", instant_type(), true),
    ])
}

/// `owner_of(credential_key_id, credential_hash, consumer, environment_hint, environment_default, occurred_at)`.
fn owner_of(owners: Owners) -> ScalarUDF {
    let look = move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let [keys, hashes, consumers, hints, defaults, at] = arrays.as_slice() else {
            return datafusion::common::plan_err!("owner_of takes six columns");
        };
        let text = as_string_array;
        let (keys, hashes, consumers) = (text(keys)?, text(hashes)?, text(consumers)?);
        let (hints, defaults) = (text(hints)?, text(defaults)?);
        let at = as_timestamp_microsecond_array(at)?.values();
        let rows = at.len();
        let (mut partners, mut environments) = (StringBuilder::new(), StringBuilder::new());
        let mut reasons = StringBuilder::new();
        let (mut internal, mut test) = (BooleanBuilder::with_capacity(rows), BooleanBuilder::with_capacity(rows));
        let (mut starts, mut ends) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        let mut credential = String::new();
        for (row, at) in at.iter().enumerate() {
            credential.clear();
            // As SQL's `concat`: what is null is nothing.
            credential.push_str(value_of(keys, row).unwrap_or_default());
            credential.push(':');
            credential.push_str(value_of(hashes, row).unwrap_or_default());
            let decided = owners.decide(Said {
                credential: &credential,
                consumer: value_of(consumers, row),
                environment_hint: value_of(hints, row),
                environment_default: value_of(defaults, row),
                at: *at,
            });
            let (partner, environment, reason) = match decided {
                Decided::Owned { partner, environment } => (Some(partner), Some(environment), None),
                Decided::Nobody { reason } => (None, None, Some(reason)),
            };
            let owner = partner.and_then(|partner| owners.partners.get(partner));
            partners.append_option(owner.map(|owner| owner.id.as_str()));
            environments.append_option(environment);
            reasons.append_option(reason);
            internal.append_value(owner.is_some_and(|owner| owner.is_internal));
            test.append_value(owner.is_some_and(|owner| owner.is_test));
            let (start, end) = owners.slice(partner, *at);
            starts.push(start);
            ends.push(end);
        }
        let instants = |micros: Vec<i64>| Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC"));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(partners.finish()),
            Arc::new(environments.finish()),
            Arc::new(reasons.finish()),
            Arc::new(internal.finish()),
            Arc::new(test.finish()),
            instants(starts),
            instants(ends),
        ];
        Ok(ColumnarValue::Array(Arc::new(StructArray::try_new(fields(), columns, None)?)))
    };
    let takes = [vec![DataType::Utf8; 5], vec![instant_type()]].concat();
    create_udf("owner_of", takes, DataType::Struct(fields()), Volatility::Immutable, Arc::new(look))
}

fn value_of(texts: &StringArray, row: usize) -> Option<&str> {
    texts.is_valid(row).then(|| texts.value(row))
}

fn view(catalog: &Catalog, condition: &str) -> String {
    let product = product_case(&catalog.product_rules());
    let owned: Vec<String> =
        fields().iter().map(|field| format!("get_field(owner, '{0}') as {0}", field.name())).collect();
    format!(
        "create view attributed as
with delivered as (
  select *, delivery_of(source, kafka_partition, kafka_offset, record_index, kind) as delivery
  from access_log
  where {condition}
),
owned as (
  select *, {product} as product_id,
    owner_of(credential_key_id, credential_hash, consumer, environment_hint, environment_default, occurred_at) as owner
  from delivered
  where kind = 'request' or delivery is not null
)
select *, {} from owned",
        owned.join(", ")
    )
}

/// An instant as an SQL literal of the tables' own type.
pub(crate) fn instant_sql(instant: DateTime<Utc>) -> String {
    format!("arrow_cast({}, 'Timestamp(Microsecond, Some(\"UTC\"))')", instant.timestamp_micros())
}
