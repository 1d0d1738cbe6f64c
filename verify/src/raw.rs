//! The raw rows behind the usage of some partners: every delivery that a link of one of them may claim, with the answers of
//! their meters' SQL; and every delivery of the same ids, wherever it lies.
//!
//! Rows are chosen in plain code, in two passes over `access_log` for all partners of a question together: the first one
//! takes what a link claims, by names, offsets and time; the second one what has the id of such a row, of all days. The
//! engine evaluates filter, value and dimensions of a meter, row by row, over what the first pass took. It selects, joins,
//! groups and counts nothing: what a row means is decided in plain code.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use tollbook_lake::{Lake, Sieve, Sift, as_text};
use tollbook_schemas::catalog::Meter;
use tollbook_schemas::meter::Exclusion;
use tollbook_schemas::period::{Period, hour_of};
use tollbook_schemas::pin::Pin;
use tollbook_schemas::tables::access_log::TABLE as ACCESS_LOG;

use crate::error::VerifyError;
use crate::meter::Place;

/// (gateway, event id): what counts once.
pub(crate) type RequestId = (Arc<str>, Box<str>);

/// One delivery, as far as it decides which one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// The id that it is about: a correction's is the one of the request that it corrects.
    pub(crate) id: RequestId,
    pub(crate) place: Place,
    /// `request`, `retraction` or `amendment`.
    pub(crate) kind: Arc<str>,
    /// Its own id.
    pub(crate) event_id: Box<str>,
    pub(crate) received_at: DateTime<Utc>,
}

/// What a meter's SQL says of a delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Metered {
    /// Whether its filter lets it pass.
    pub(crate) passes: bool,
    pub(crate) value: Option<Arc<str>>,
    /// In the order of the meter's names.
    pub(crate) dimensions: Vec<Option<Arc<str>>>,
}

/// One delivery, as far as it decides whose it is and what it counts. A text that many have is kept once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    pub(crate) place: Place,
    pub(crate) kind: Arc<str>,
    pub(crate) at: DateTime<Utc>,
    pub(crate) consumer: Option<Arc<str>>,
    pub(crate) credential_key_id: Option<Arc<str>>,
    pub(crate) credential_hash: Option<Arc<str>>,
    pub(crate) environment_hint: Option<Arc<str>>,
    pub(crate) environment_default: Option<Arc<str>>,
    pub(crate) product_hint: Option<Arc<str>>,
    pub(crate) host: Option<Arc<str>>,
    pub(crate) method: Option<Arc<str>>,
    pub(crate) path: Option<Arc<str>>,
    /// Attributes that a rule of a product asks for.
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) client_tag: Option<Arc<str>>,
    pub(crate) cache_status: Option<Arc<str>>,
    pub(crate) idempotency_key_hash: Option<Arc<str>>,
    /// One for each meter that was asked for.
    pub(crate) metered: Vec<Metered>,
}

/// What was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct RawRows {
    pub(crate) requests: Vec<Request>,
    pub(crate) deliveries: Vec<Delivery>,
}

/// The names by which deliveries may be somebody's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Consumers that a link gives to the partner at some time.
    pub(crate) consumers: BTreeSet<String>,
    /// Credentials, `key_id:hash`, likewise.
    pub(crate) credentials: BTreeSet<String>,
}

impl Names {
    /// Whether one of them is on a delivery.
    pub(crate) fn are_on(&self, consumer: Option<&str>, key_id: Option<&str>, hash: Option<&str>) -> bool {
        consumer.is_some_and(|name| self.consumers.contains(name))
            || (!self.credentials.is_empty() && self.credentials.contains(&credential(key_id, hash)))
    }

    /// Adds others.
    pub(crate) fn add(&mut self, others: &Self) {
        self.consumers.extend(others.consumers.iter().cloned());
        self.credentials.extend(others.credentials.iter().cloned());
    }
}

/// A credential as links name it.
pub(crate) fn credential(key_id: Option<&str>, hash: Option<&str>) -> String {
    format!("{}:{}", key_id.unwrap_or(""), hash.unwrap_or(""))
}

/// The time of the rows that matter: whole hours, since a retry looks at its whole hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    /// First instant; none where all that was before matters too.
    pub(crate) from: Option<DateTime<Utc>>,
    /// First instant after them.
    pub(crate) until: DateTime<Utc>,
}

impl Times {
    /// Those of a span that is billed.
    pub(crate) fn of(span: Period, with_all_before: bool) -> Self {
        let from = (!with_all_before).then(|| hour_of(span.start));
        Self { from, until: hour_of(span.end) + TimeDelta::hours(1) }
    }

    /// Those that hold both.
    pub(crate) fn and(self, other: Self) -> Self {
        let from = self.from.zip(other.from).map(|(one, other)| one.min(other));
        Self { from, until: self.until.max(other.until) }
    }

    pub(crate) fn contains(&self, at: DateTime<Utc>) -> bool {
        self.from.is_none_or(|from| from <= at) && at < self.until
    }
}

/// What to read.
pub(crate) struct Question<'a> {
    /// What was known.
    pub(crate) pin: &'a Pin,
    /// What may be the partners'.
    pub(crate) names: Names,
    pub(crate) times: Times,
    /// Attributes that rules of products ask for.
    pub(crate) tags: BTreeSet<String>,
    /// Further columns that rules of products ask for.
    pub(crate) rule_columns: BTreeSet<&'static str>,
    /// Meters that price it.
    pub(crate) meters: Vec<&'a Meter>,
}

/// Columns that are read in any case, in the order in which a row is taken apart.
const ALWAYS: [&str; 15] = [
    "gateway",
    "event_id",
    "source",
    "kafka_partition",
    "kafka_offset",
    "record_index",
    "kind",
    "occurred_at",
    "consumer",
    "credential_key_id",
    "credential_hash",
    "environment_hint",
    "environment_default",
    "product_hint",
    "corrects_event_id",
];
/// Columns that are read where a rule asks for them.
const AT_NEED: [&str; 6] = ["path", "client_tag", "cache_status", "idempotency_key_hash", "host", "method"];

impl Question<'_> {
    /// The SQL of its meters.
    fn expressions(&self) -> impl Iterator<Item = &str> {
        self.meters.iter().flat_map(|meter| {
            let parts = [meter.filter.as_deref(), meter.value.as_deref()];
            parts.into_iter().flatten().chain(meter.group_by.values().map(String::as_str))
        })
    }

    /// The columns that somebody asks for. Of SQL every column counts whose name is in its text: one too many costs time,
    /// and one too few cannot be, since a column cannot be meant without its name.
    fn columns(&self) -> Vec<&'static str> {
        let mut wanted: BTreeSet<&str> = ALWAYS.into_iter().chain(self.rule_columns.iter().copied()).collect();
        for rule in self.meters.iter().flat_map(|meter| &meter.exclude) {
            wanted.extend(match rule {
                Exclusion::HealthChecks => &["path", "client_tag"][..],
                Exclusion::CacheHits => &["cache_status"],
                Exclusion::TryIt => &["client_tag"],
                Exclusion::Retries => &["idempotency_key_hash"],
                Exclusion::InternalPartners | Exclusion::TestPartners => &[],
            });
        }
        let sql: Vec<String> = self.expressions().map(str::to_lowercase).collect();
        let is_named = |column: &str| sql.iter().any(|sql| sql.contains(column));
        let needs_tags = !self.tags.is_empty();
        let is_wanted = |name: &str| wanted.contains(name) || is_named(name) || (name == "attributes" && needs_tags);
        ACCESS_LOG.columns.iter().map(|column| column.name).filter(|name| is_wanted(name)).collect()
    }
}

/// A mark for each row of a column of texts, asked for once for each value of a dictionary.
fn marks<T: Copy>(column: Option<&ArrayRef>, rows: usize, of: impl Fn(Option<&str>) -> T) -> Vec<T> {
    let Some(column) = column else { return vec![of(None); rows] };
    if let Some(coded) = column.as_dictionary_opt::<Int32Type>()
        && let Some(values) = coded.values().as_string_opt::<i32>()
    {
        let nothing = of(None);
        let by_value: Vec<T> = values.iter().map(|value| value.map_or(nothing, |value| of(Some(value)))).collect();
        let keys = coded.keys().iter();
        return keys
            .map(|key| key.and_then(|key| by_value.get(usize::try_from(key).ok()?)).copied().unwrap_or(nothing))
            .collect();
    }
    match column.as_string_opt::<i32>() {
        Some(texts) => texts.iter().map(of).collect(),
        None => vec![of(None); rows],
    }
}

/// The text of a row of a column that may be a dictionary.
fn text_at(column: Option<&ArrayRef>, row: usize) -> Option<&str> {
    let column = column.filter(|column| !column.is_null(row))?;
    match column.as_dictionary_opt::<Int32Type>() {
        Some(coded) => Some(coded.values().as_string_opt::<i32>()?.value(coded.key(row)?)),
        None => Some(column.as_string_opt::<i32>()?.value(row)),
    }
}

/// The first look of the first pass: rows that bear a name.
fn claimed(names: Names) -> Sieve {
    // A key's id may have colons; the hash has none.
    let hashes: HashSet<String> =
        names.credentials.iter().filter_map(|name| Some(name.rsplit_once(':')?.1.to_owned())).collect();
    let keep = move |batch: &RecordBatch| {
        let (rows, column) = (batch.num_rows(), |name| batch.column_by_name(name));
        let by_consumer =
            marks(column("consumer"), rows, |name| name.is_some_and(|name| names.consumers.contains(name)));
        let by_hash = marks(column("credential_hash"), rows, |hash| hashes.contains(hash.unwrap_or("")));
        let is_credential = |row| {
            let part = |name| text_at(column(name), row);
            names.credentials.contains(&credential(part("credential_key_id"), part("credential_hash")))
        };
        let marked = by_consumer.into_iter().zip(by_hash).enumerate();
        BooleanArray::from_iter(
            marked.map(|(row, (by_consumer, by_hash))| Some(by_consumer || (by_hash && is_credential(row)))),
        )
    };
    Sieve { coded: &["consumer", "credential_key_id", "credential_hash"], plain: &[], keep: Arc::new(keep) }
}

/// Rows that were known at a pin and lie in some time.
fn known(pin: &Pin, times: Option<Times>) -> Sieve {
    let mut next: HashMap<String, BTreeMap<i32, i64>> = HashMap::new();
    for (source, partition, offset) in pin.iter() {
        next.entry(source.as_str().to_owned()).or_default().insert(partition, offset);
    }
    let sources: Vec<(String, BTreeMap<i32, i64>)> = next.into_iter().collect();
    let keep = move |batch: &RecordBatch| {
        let (rows, column) = (batch.num_rows(), |name| batch.column_by_name(name));
        let source =
            marks(column("source"), rows, |name| sources.iter().position(|(known, _)| Some(known.as_str()) == name));
        let partition = column("kafka_partition").and_then(|column| column.as_primitive_opt::<Int32Type>());
        let offset = column("kafka_offset").and_then(|column| column.as_primitive_opt::<Int64Type>());
        let micros = column("occurred_at").and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        let is_known = |row: usize| -> Option<bool> {
            let (_, partitions) = sources.get((*source.get(row)?)?)?;
            let is_below = partitions
                .get(&partition?.value(row))
                .is_some_and(|next| offset.is_some_and(|offset| offset.value(row) < *next));
            let Some(times) = times else { return Some(is_below) };
            Some(is_below && times.contains(DateTime::from_timestamp_micros(micros?.value(row))?))
        };
        BooleanArray::from_iter((0..rows).map(|row| Some(is_known(row).unwrap_or(false))))
    };
    let plain: &[&str] = match times {
        Some(_) => &["kafka_partition", "kafka_offset", "occurred_at"],
        None => &["kafka_partition", "kafka_offset"],
    };
    Sieve { coded: &["source"], plain, keep: Arc::new(keep) }
}

/// The days of some time, in UTC.
fn days(times: Times) -> std::ops::RangeInclusive<NaiveDate> {
    times.from.map_or(NaiveDate::MIN, |from| from.date_naive())..=times.until.date_naive()
}

/// A hash as its own hash.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Ids by a hash of 64 bits: which rows are worth looking at. Two ids of one hash are told apart later.
type IdHashes = HashSet<u64, BuildHasherDefault<AsIs>>;

fn hash_of(gateway: u64, id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(gateway);
    hasher.write(id.as_bytes());
    hasher.finish()
}

fn gateway_hash(gateway: Option<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(gateway.unwrap_or("").as_bytes());
    hasher.finish()
}

/// The first look of the second pass: rows about one of these ids.
fn about(ids: IdHashes) -> Sieve {
    let keep = move |batch: &RecordBatch| {
        let (rows, column) = (batch.num_rows(), |name| batch.column_by_name(name));
        let gateway = marks(column("gateway"), rows, gateway_hash);
        let is_request = marks(column("kind"), rows, |kind| kind == Some("request"));
        let texts = |name| column(name).and_then(|column| column.as_string_opt::<i32>());
        let (own, corrected) = (texts("event_id"), texts("corrects_event_id"));
        let is_about = |row: usize| -> Option<bool> {
            let of =
                corrected.filter(|corrected| !is_request.get(row).copied().unwrap_or(true) && !corrected.is_null(row));
            let id = of.or(own)?.value(row);
            Some(ids.contains(&hash_of(*gateway.get(row)?, id)))
        };
        BooleanArray::from_iter((0..rows).map(|row| Some(is_about(row).unwrap_or(false))))
    };
    Sieve { coded: &["gateway", "kind"], plain: &["event_id", "corrects_event_id"], keep: Arc::new(keep) }
}

/// How many rows bear one of some names, for each of them: what reading them together would keep.
///
/// # Errors
/// [`VerifyError::Lake`].
pub(crate) async fn counts(lake: &Lake, pin: &Pin, times: Times, all: Vec<Names>) -> Result<Vec<usize>, VerifyError> {
    let mut together = Names::default();
    all.iter().for_each(|names| together.add(names));
    let sift = Sift {
        table: &ACCESS_LOG,
        days: Some(days(times)),
        sieves: vec![claimed(together), known(pin, Some(times))],
        columns: vec!["consumer", "credential_key_id", "credential_hash"],
    };
    let length = all.len();
    let by_batch = lake.sift(sift, move |batch| {
        let mut by_names: HashMap<[Option<&str>; 3], usize> = HashMap::new();
        for row in 0..batch.num_rows() {
            let part = |column: usize| text_at(Some(batch.column(column)), row);
            *by_names.entry([part(0), part(1), part(2)]).or_default() += 1;
        }
        let mut counts = vec![0_usize; all.len()];
        for ([consumer, key_id, hash], rows) in by_names {
            let theirs = counts.iter_mut().zip(&all).filter(|(_, names)| names.are_on(consumer, key_id, hash));
            theirs.for_each(|(count, _)| *count += rows);
        }
        Ok::<_, VerifyError>(counts)
    });
    let mut counts = vec![0_usize; length];
    for of_batch in by_batch.await? {
        counts.iter_mut().zip(of_batch).for_each(|(count, more)| *count += more);
    }
    Ok(counts)
}

/// Reads what may be the partners', and every delivery of the same ids.
///
/// # Errors
/// [`VerifyError::Lake`], [`VerifyError::Stored`].
pub(crate) async fn read(lake: &Lake, question: &Question<'_>) -> Result<RawRows, VerifyError> {
    let requests = requests(lake, question).await?;
    let ids: IdHashes =
        requests.iter().map(|request| hash_of(gateway_hash(Some(&request.id.0)), &request.id.1)).collect();
    if ids.is_empty() {
        return Ok(RawRows::default());
    }
    // The earliest delivery may lie in any hour of any month, and be of anybody.
    let sift = Sift {
        table: &ACCESS_LOG,
        days: None,
        sieves: vec![about(ids), known(question.pin, None)],
        columns: vec![
            "gateway",
            "event_id",
            "source",
            "kafka_partition",
            "kafka_offset",
            "record_index",
            "kind",
            "received_at",
            "corrects_event_id",
        ],
    };
    let by_batch = lake.sift(sift, |batch| {
        let mut texts = Texts::default();
        let delivery = |row| {
            let cells = Cells { batch, row };
            let kind = texts.must(&cells, 6)?;
            Ok::<_, VerifyError>(Delivery {
                id: cells.id(&mut texts, &kind, [0, 1, 8])?,
                place: cells.place(&mut texts, 2)?,
                event_id: cells.must(1)?.into(),
                received_at: cells.instant(7)?,
                kind,
            })
        };
        (0..batch.num_rows()).map(delivery).collect::<Result<Vec<_>, _>>()
    });
    let deliveries = by_batch.await?.into_iter().flatten().collect();
    Ok(RawRows { requests, deliveries })
}

/// What may be the partners', with what their meters say of it.
async fn requests(lake: &Lake, question: &Question<'_>) -> Result<Vec<Request>, VerifyError> {
    let sift = Sift {
        table: &ACCESS_LOG,
        days: Some(days(question.times)),
        sieves: vec![claimed(question.names.clone()), known(question.pin, Some(question.times))],
        columns: question.columns(),
    };
    let schema = sift.schema();
    let there: BTreeSet<&str> = sift.columns.iter().copied().collect();
    let batches = lake.sift(sift, |batch| Ok::<_, VerifyError>(batch.clone())).await?;
    let context = lake.empty_session()?;
    lake.register_batches(&context, &ACCESS_LOG, schema, batches)?;
    let mut columns = ALWAYS.join(", ");
    for name in AT_NEED {
        columns += if there.contains(name) { ", " } else { ", null as " };
        columns += name;
    }
    for key in &question.tags {
        columns += &format!(", attributes[{}]", as_text(key));
    }
    for (at, meter) in question.meters.iter().enumerate() {
        let filter = meter.filter.as_deref().unwrap_or("true");
        let value = meter.value.as_deref().unwrap_or("null");
        columns += &format!(", coalesce(({filter}), false) as m{at}_passes, cast(({value}) as varchar) as m{at}_value");
        for (number, sql) in meter.group_by.values().enumerate() {
            columns += &format!(", cast(({sql}) as varchar) as m{at}_d{number}");
        }
    }
    let (mut requests, mut texts) = (Vec::new(), Texts::default());
    for batch in lake.query(&context, &format!("select {columns} from access_log")).await? {
        for row in 0..batch.num_rows() {
            requests.push(request_of(&Cells { batch: &batch, row }, &mut texts, question)?);
        }
    }
    Ok(requests)
}

/// The texts of the first column of an answer.
pub(crate) fn texts(batch: &RecordBatch) -> Vec<String> {
    (0..batch.num_rows()).filter_map(|row| Some(Cells { batch, row }.text(0)?.to_owned())).collect()
}

/// Adds the offsets of an answer of (source, partition, offset).
pub(crate) fn offsets(batch: &RecordBatch, there: &mut BTreeMap<(String, i64), BTreeSet<i64>>) {
    for row in 0..batch.num_rows() {
        let cells = Cells { batch, row };
        if let (Some(source), Some(partition), Some(offset)) = (cells.text(0), cells.int(1), cells.int(2)) {
            there.entry((source.to_owned(), partition)).or_default().insert(offset);
        }
    }
}

fn request_of(cells: &Cells<'_>, texts: &mut Texts, question: &Question<'_>) -> Result<Request, VerifyError> {
    let begin = ALWAYS.len() + AT_NEED.len();
    let tags = question.tags.iter().zip(begin..);
    let tags = tags.filter_map(|(key, column)| Some((key.clone(), cells.text(column)?.to_owned()))).collect();
    let mut metered = Vec::new();
    let mut column = begin + question.tags.len();
    for meter in &question.meters {
        let dimensions = (0..meter.group_by.len()).map(|number| texts.may(cells, column + 2 + number)).collect();
        metered.push(Metered { passes: cells.flag(column), value: texts.may(cells, column + 1), dimensions });
        column += 2 + meter.group_by.len();
    }
    let kind = texts.must(cells, 6)?;
    Ok(Request {
        id: cells.id(texts, &kind, [0, 1, 14])?,
        place: cells.place(texts, 2)?,
        kind,
        at: cells.instant(7)?,
        consumer: texts.may(cells, 8),
        credential_key_id: texts.may(cells, 9),
        credential_hash: texts.may(cells, 10),
        environment_hint: texts.may(cells, 11),
        environment_default: texts.may(cells, 12),
        product_hint: texts.may(cells, 13),
        path: texts.may(cells, 15),
        client_tag: texts.may(cells, 16),
        cache_status: texts.may(cells, 17),
        idempotency_key_hash: texts.may(cells, 18),
        host: texts.may(cells, 19),
        method: texts.may(cells, 20),
        tags,
        metered,
    })
}

/// Texts that many rows have, each kept once.
#[derive(Default)]
struct Texts(HashSet<Arc<str>>);

impl Texts {
    fn of(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let text: Arc<str> = text.into();
        self.0.insert(text.clone());
        text
    }

    fn may(&mut self, cells: &Cells<'_>, column: usize) -> Option<Arc<str>> {
        cells.text(column).map(|text| self.of(text))
    }

    fn must(&mut self, cells: &Cells<'_>, column: usize) -> Result<Arc<str>, VerifyError> {
        Ok(self.of(cells.must(column)?))
    }
}

/// One row of an answer.
struct Cells<'a> {
    batch: &'a RecordBatch,
    row: usize,
}

impl<'a> Cells<'a> {
    fn there(&self, column: usize) -> Option<&'a ArrayRef> {
        Some(self.batch.column(column)).filter(|cells| !cells.is_null(self.row))
    }

    fn text(&self, column: usize) -> Option<&'a str> {
        let cells = self.there(column)?;
        let plain = cells.as_string_opt::<i32>().map(|texts| texts.value(self.row));
        plain.or_else(|| Some(cells.as_string_view_opt()?.value(self.row)))
    }

    fn flag(&self, column: usize) -> bool {
        self.there(column).and_then(|cells| cells.as_boolean_opt()).is_some_and(|flags| flags.value(self.row))
    }

    fn int(&self, column: usize) -> Option<i64> {
        Some(self.there(column)?.as_primitive_opt::<Int64Type>()?.value(self.row))
    }

    fn must(&self, column: usize) -> Result<&'a str, VerifyError> {
        self.text(column).ok_or_else(|| self.damaged(column))
    }

    /// What it is about, from the columns of gateway, own id and corrected id.
    fn id(&self, texts: &mut Texts, kind: &str, columns: [usize; 3]) -> Result<RequestId, VerifyError> {
        let [gateway, own, corrected] = columns;
        let corrected = if kind == "request" { None } else { self.text(corrected) };
        let id = corrected.map_or_else(|| self.must(own), Ok)?;
        Ok((texts.must(self, gateway)?, id.into()))
    }

    fn instant(&self, column: usize) -> Result<DateTime<Utc>, VerifyError> {
        let micros = self.there(column).and_then(|cells| cells.as_primitive_opt::<TimestampMicrosecondType>());
        let at = micros.and_then(|micros| DateTime::from_timestamp_micros(micros.value(self.row)));
        at.ok_or_else(|| self.damaged(column))
    }

    /// Source, partition, offset and index, from a column on.
    fn place(&self, texts: &mut Texts, column: usize) -> Result<Place, VerifyError> {
        let small = |column: usize| self.there(column)?.as_primitive_opt::<Int32Type>().map(|n| n.value(self.row));
        let (partition, offset, index) = (small(column + 1), self.int(column + 2), small(column + 3));
        match (partition, offset, index) {
            (Some(partition), Some(offset), Some(index)) => Ok((texts.must(self, column)?, partition, offset, index)),
            _ => Err(self.damaged(column)),
        }
    }

    fn damaged(&self, column: usize) -> VerifyError {
        let what = format!("column {} cannot be read", self.batch.schema().field(column).name());
        VerifyError::Stored { table: ACCESS_LOG.name, what }
    }
}
