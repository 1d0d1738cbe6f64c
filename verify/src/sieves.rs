//! Which rows of `access_log` are worth looking at: by the names that they bear, by what was known at a pin and when,
//! by the id that they are about. Plain code over batches, in columns; what a row means is decided elsewhere.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use chrono::DateTime;
use tollbook_lake::Sieve;
use tollbook_schemas::pin::Pin;
use twox_hash::XxHash64;

use crate::needs::{Names, Times, credential};

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
pub(crate) fn text_at(column: Option<&ArrayRef>, row: usize) -> Option<&str> {
    let column = column.filter(|column| !column.is_null(row))?;
    match column.as_dictionary_opt::<Int32Type>() {
        Some(coded) => Some(coded.values().as_string_opt::<i32>()?.value(coded.key(row)?)),
        None => Some(column.as_string_opt::<i32>()?.value(row)),
    }
}

/// The first look of the first pass: rows that bear a name.
pub(crate) fn claimed(names: Names) -> Sieve {
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

/// The next offset of each partition of each source at a pin.
#[derive(Clone, Default)]
pub(crate) struct Offsets(HashMap<String, BTreeMap<i32, i64>>);

impl Offsets {
    pub(crate) fn of(pin: &Pin) -> Self {
        let mut next = Self::default();
        for (source, partition, offset) in pin.iter() {
            next.0.entry(source.as_str().to_owned()).or_default().insert(partition, offset);
        }
        next
    }

    /// Whether a row was known.
    pub(crate) fn know(&self, source: &str, partition: i32, offset: i64) -> bool {
        self.0.get(source).and_then(|partitions| partitions.get(&partition)).is_some_and(|next| offset < *next)
    }
}

/// Rows that were known at a pin, and not at another one, and lie in some time.
pub(crate) fn known(pin: &Pin, before: Option<&Pin>, times: Option<Times>) -> Sieve {
    let (pin, before) = (Offsets::of(pin), before.map(Offsets::of));
    let plain: &[&str] = match times {
        Some(_) => &["kafka_partition", "kafka_offset", "occurred_at"],
        None => &["kafka_partition", "kafka_offset"],
    };
    let sources: Vec<String> = pin.0.keys().cloned().collect();
    let keep = move |batch: &RecordBatch| {
        let (rows, column) = (batch.num_rows(), |name| batch.column_by_name(name));
        let of_source = |source: &String| {
            let before = before.as_ref().and_then(|before| before.0.get(source));
            (pin.0.get(source), before)
        };
        let partitions: Vec<_> = sources.iter().map(of_source).collect();
        let source =
            marks(column("source"), rows, |name| sources.iter().position(|known| Some(known.as_str()) == name));
        let partition = column("kafka_partition").and_then(|column| column.as_primitive_opt::<Int32Type>());
        let offset = column("kafka_offset").and_then(|column| column.as_primitive_opt::<Int64Type>());
        let micros = column("occurred_at").and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        let is_wanted = |row: usize| -> Option<bool> {
            let (known, before) = partitions.get((*source.get(row)?)?)?;
            let (partition, offset) = (partition?.value(row), offset?.value(row));
            let is_below = |next: &BTreeMap<i32, i64>| next.get(&partition).is_some_and(|next| offset < *next);
            let is_known = known.is_some_and(is_below) && !before.is_some_and(is_below);
            let Some(times) = &times else { return Some(is_known) };
            Some(is_known && times.contains(DateTime::from_timestamp_micros(micros?.value(row))?))
        };
        BooleanArray::from_iter((0..rows).map(|row| Some(is_wanted(row).unwrap_or(false))))
    };
    Sieve { coded: &["source"], plain, keep: Arc::new(keep) }
}

/// A hash as its own hash.
#[derive(Default)]
pub(crate) struct AsIs(u64);

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
pub(crate) type IdHashes = HashSet<u64, BuildHasherDefault<AsIs>>;

pub(crate) fn hash_of(gateway: u64, id: &str) -> u64 {
    XxHash64::oneshot(gateway, id.as_bytes())
}

pub(crate) fn gateway_hash(gateway: Option<&str>) -> u64 {
    XxHash64::oneshot(0, gateway.unwrap_or("").as_bytes())
}

/// The first look of the second pass: rows about one of these ids.
pub(crate) fn about(ids: IdHashes) -> Sieve {
    let keep = move |batch: &RecordBatch| {
        let (rows, column) = (batch.num_rows(), |name| batch.column_by_name(name));
        let gateway = marks(column("gateway"), rows, gateway_hash);
        let is_request = marks(column("kind"), rows, |kind| kind == Some("request"));
        let texts = |name| column(name).and_then(|column| column.as_string_view_opt());
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
