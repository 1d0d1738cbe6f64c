//! The hash of a request's id and of its content: 64 bits, fixed for ever, since `id_index` keeps them.
//!
//! Takes columns of `access_log`; gives the hash as a function of SQL, of one id, and of the rows of a batch that is
//! sieved before the rest of it is read: three ways to the same number. Two ids may share it, so whoever finds a hash
//! looks at the ids.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, Int64Array, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use datafusion::common::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use tollbook_lake::Sieve;
use twox_hash::XxHash64;

/// The id under which deliveries meet: a correction's is the one of the request that it corrects.
pub(crate) const REQUEST_ID_SQL: &str = "coalesce(case when kind <> 'request' then corrects_event_id end, event_id)";

/// What decides price, owner and time of a request: every column of it that a meter may ask for. Not what is hashed
/// with a key, of the credential and of the idempotency key: a request that is shipped again after that key was changed
/// is the same request. A column may be added: of what was delivered before, the stored hash then makes a candidate,
/// and the rows decide.
pub(crate) const CONTENT_SQL: &str = "occurred_at, host, route, product_hint, method, path, path_template, status, error_code, \
     request_bytes, response_bytes, bytes_basis, latency_us, upstream_latency_us, consumer, scope, environment_hint, \
     environment_default, workspace, cache_status, client_tag, client_address, user_agent, attributes";

/// The hash of a row's id, as SQL over `access_log`.
pub(crate) fn request_hash_sql() -> String {
    format!("row_hash(gateway, {REQUEST_ID_SQL})")
}

/// What [`request_hash_sql`] gives for an id.
pub(crate) fn hash_of_id(gateway: &str, request_id: &str) -> i64 {
    let mut hash = XxHash64::with_seed(0);
    for text in [gateway, request_id] {
        hash.write(&[1]);
        hash_text(text, &mut hash);
    }
    hash.finish().cast_signed()
}

/// What [`request_hash_sql`] gives for the rows of a batch of a [`Sieve`] over gateway, kind and ids; `None` where they
/// are of other types.
fn request_hashes(batch: &RecordBatch) -> Option<Vec<i64>> {
    let coded = |name| batch.column_by_name(name)?.as_dictionary_opt::<Int32Type>();
    let (gateways, kinds) = (coded("gateway")?, coded("kind")?);
    let (names, words) = (gateways.values().as_string_opt::<i32>()?, kinds.values().as_string_opt::<i32>()?);
    let plain = |name| batch.column_by_name(name).map(|column| column.as_string_view_opt());
    // Most files have no correction, and not that column.
    let (own, corrected) = (plain("event_id")??, plain("corrects_event_id").map_or(Some(None), |of| of.map(Some))?);
    // A gateway has many rows: its part of the hash is made once.
    let begun: Vec<XxHash64> = (0..names.len())
        .map(|at| {
            let mut hash = XxHash64::with_seed(0);
            hash.write(&[1]);
            hash_text(names.value(at), &mut hash);
            hash
        })
        .collect();
    let is_request: Vec<bool> = (0..words.len()).map(|at| words.value(at) == "request").collect();
    let of_row = |row: usize| {
        let mut hash = begun.get(gateways.key(row)?)?.clone();
        let correction = corrected.filter(|corrected| !corrected.is_null(row));
        let id = match correction {
            Some(corrected) if !*is_request.get(kinds.key(row)?)? => corrected.value(row),
            _ => own.value(row),
        };
        hash.write(&[1]);
        hash_text(id, &mut hash);
        Some(hash.finish().cast_signed())
    };
    (0..batch.num_rows()).map(of_row).collect()
}

/// The sieve that leaves rows of `access_log` whose id has one of these hashes.
pub(crate) fn with_hash(hashes: Arc<Hashes>) -> Sieve {
    let keep = move |batch: &RecordBatch| {
        let found = match request_hashes(batch) {
            Some(of_rows) => BooleanBuffer::collect_bool(of_rows.len(), |row| hashes.contains(&of_rows[row])),
            // Whoever asks looks at the hashes once more.
            None => BooleanBuffer::new_set(batch.num_rows()),
        };
        BooleanArray::new(found, None)
    };
    Sieve { coded: &["gateway", "kind"], plain: &["event_id", "corrects_event_id"], keep: Arc::new(keep) }
}

/// `row_hash(column, …)`: 64 bits over the columns, each with its length, null apart from empty. Fixed for ever: the
/// index is stored.
#[derive(Debug, PartialEq, Eq, Hash)]
struct RowHash(Signature);

/// The function, to be registered with a session.
pub(crate) fn row_hash() -> ScalarUDF {
    ScalarUDF::from(RowHash(Signature::variadic_any(Volatility::Immutable)))
}

impl ScalarUDFImpl for RowHash {
    fn name(&self) -> &'static str {
        "row_hash"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let columns = ColumnarValue::values_to_arrays(&arguments.args)?;
        let rows = columns.first().map_or(0, |column| column.len());
        let mut hashes = vec![XxHash64::with_seed(0); rows];
        for column in &columns {
            hash_column(column, &mut hashes)?;
        }
        let hashes: Int64Array = hashes.iter().map(|hash| hash.finish().cast_signed()).collect();
        Ok(ColumnarValue::Array(Arc::new(hashes)))
    }
}

fn hash_column(column: &ArrayRef, hashes: &mut [XxHash64]) -> Result<(), DataFusionError> {
    match column.data_type() {
        DataType::Utf8 => {
            let texts = column.as_string::<i32>();
            each(column, hashes, |row, hash| hash_text(texts.value(row), hash));
        }
        DataType::Int32 => {
            let numbers = column.as_primitive::<Int32Type>();
            each(column, hashes, |row, hash| hash.write(&numbers.value(row).to_le_bytes()));
        }
        DataType::Int64 => {
            let numbers = column.as_primitive::<Int64Type>();
            each(column, hashes, |row, hash| hash.write(&numbers.value(row).to_le_bytes()));
        }
        DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, _) => {
            let instants = column.as_primitive::<TimestampMicrosecondType>();
            each(column, hashes, |row, hash| hash.write(&instants.value(row).to_le_bytes()));
        }
        DataType::Map(..) => {
            let maps = column.as_map();
            each(column, hashes, |row, hash| {
                let entries = maps.value(row);
                let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1).as_string::<i32>());
                // A message may name its attributes in another order when it is sent again.
                let mut pairs: Vec<(&str, Option<&str>)> = (0..entries.len())
                    .map(|at| (keys.value(at), (!values.is_null(at)).then(|| values.value(at))))
                    .collect();
                pairs.sort_unstable();
                for (key, value) in pairs {
                    hash_text(key, hash);
                    hash_text(value.unwrap_or_default(), hash);
                }
            });
        }
        other => return Err(DataFusionError::Plan(format!("row_hash cannot take a column of {other}"))),
    }
    Ok(())
}

fn each(column: &ArrayRef, hashes: &mut [XxHash64], write: impl Fn(usize, &mut XxHash64)) {
    for (row, hash) in hashes.iter_mut().enumerate() {
        if column.is_null(row) {
            hash.write(&[0]);
        } else {
            hash.write(&[1]);
            write(row, hash);
        }
    }
}

fn hash_text(text: &str, hash: &mut XxHash64) {
    hash.write(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
    hash.write(text.as_bytes());
}

/// A hasher of what is a hash already.
#[derive(Debug, Default, Clone, Copy)]
pub struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only `write_i64` is ever asked; this is right for whatever else.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_i64(&mut self, hash: i64) {
        self.0 = hash.cast_unsigned();
    }
}

/// Hashes of ids.
pub type Hashes = HashSet<i64, BuildHasherDefault<AsItIs>>;

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, StringViewArray};
    use tollbook_schemas::tables::access_log;

    use super::*;

    /// The sieve decides by the hash that is stored, of whichever kind and gateway a row is.
    #[test]
    fn a_sieve_hashes_as_the_index_does() {
        let rows = [
            ("gw", "request", None, "a"),
            ("gw", "request", Some("b"), "a"),
            ("gw", "amendment", Some("b"), "a"),
            ("other", "retraction", Some("a"), "c"),
            ("other", "retraction", None, "c"),
            ("gw", "request", None, ""),
        ];
        let coded =
            |texts: Vec<&str>| -> ArrayRef { Arc::new(texts.into_iter().collect::<DictionaryArray<Int32Type>>()) };
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("gateway", coded(rows.iter().map(|row| row.0).collect()), true),
            ("kind", coded(rows.iter().map(|row| row.1).collect()), true),
            ("event_id", Arc::new(rows.iter().map(|row| Some(row.3)).collect::<StringViewArray>()), true),
            ("corrects_event_id", Arc::new(rows.iter().map(|row| row.2).collect::<StringViewArray>()), true),
        ])
        .unwrap();
        let wanted: Vec<i64> = rows
            .iter()
            .map(|(gateway, kind, corrects, own)| {
                hash_of_id(gateway, corrects.filter(|_| *kind != "request").unwrap_or(own))
            })
            .collect();
        assert_eq!(request_hashes(&batch).unwrap(), wanted);
        let one = with_hash(Arc::new([hash_of_id("gw", "b")].into_iter().collect()));
        let kept: Vec<bool> = (one.keep)(&batch).iter().map(|kept| kept.unwrap()).collect();
        assert_eq!(kept, [false, false, true, false, false, false]);
        // A file without corrections has no such column.
        let own: Vec<i64> = rows.iter().map(|(gateway, _, _, own)| hash_of_id(gateway, own)).collect();
        assert_eq!(request_hashes(&batch.project(&[0, 1, 2]).unwrap()).unwrap(), own);
        // What cannot be hashed is not lost.
        let unknown = batch.project(&[0, 2]).unwrap();
        assert_eq!((one.keep)(&unknown).true_count(), rows.len());
    }

    /// Whoever adds a column decides whether two deliveries of a request may differ in it.
    #[test]
    fn every_column_is_content_or_left_out_on_purpose() {
        let about_the_delivery = [
            "source",
            "kafka_partition",
            "kafka_offset",
            "record_index",
            "kind",
            "corrects_event_id",
            "received_at",
            "gateway",
            "event_id",
            "id_basis",
            "time_basis",
            "event_date",
        ];
        let with_a_key = ["credential_key_id", "credential_hash", "idempotency_key_hash"];
        let content: Vec<&str> = CONTENT_SQL.split(", ").map(str::trim).collect();
        for column in access_log::TABLE.columns {
            let places = [&about_the_delivery[..], &with_a_key[..], &content[..]];
            let count = places.iter().filter(|names| names.contains(&column.name)).count();
            assert_eq!(count, 1, "{}", column.name);
        }
        assert!(content.iter().all(|name| access_log::TABLE.columns.iter().any(|column| column.name == *name)));
    }
}
