use arrow::array::{ArrayRef, Int64Array, RecordBatch, StructArray, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use parquet::arrow::ArrowWriter;
use tollbook_schemas::tables::{Row, derived, runs};

use super::*;
use crate::commit::{Outcome, TxnStep};

const PARTNERS: &Table = &derived::PARTNER;
const RUNS: &Table = &runs::JOB_RUN;

fn open(folder: &std::path::Path) -> Lake {
    Lake::open(folder.to_str().unwrap()).unwrap()
}

fn partner(id: &str) -> Row {
    Row::new().with("partner_id", id).with("is_internal", false).with("is_test", false).with("event_count", 1_i64)
}

/// A file for each partner, their sizes unequal.
async fn append(lake: &Lake, ids: &[&str]) {
    for id in ids {
        let expected = lake.txn(PARTNERS, "test").await.unwrap();
        let step = TxnStep::counting("test", expected);
        assert_eq!(lake.append(PARTNERS, &[partner(id)], &[step]).await.unwrap(), Outcome::Committed);
    }
}

async fn partners(lake: &Lake) -> Vec<String> {
    let rows = lake.rows(PARTNERS, None).await.unwrap();
    let mut ids: Vec<String> = rows.iter().filter_map(|row| row.text("partner_id").map(str::to_owned)).collect();
    ids.sort();
    ids
}

/// The names of the files in a table's log that belong to checkpoints.
fn published(folder: &std::path::Path) -> Vec<String> {
    let log = std::fs::read_dir(folder.join(PARTNERS.name).join("_delta_log")).unwrap();
    let mut names: Vec<String> = log.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.contains("checkpoint"));
    names.sort();
    names
}

/// What deltalake would write at the newest version, by path.
async fn written(lake: &Lake, def: &'static Table) -> Vec<(Path, Bytes)> {
    let handle = lake.handle(def).await.unwrap();
    let handle = handle.lock().await;
    let store = Arc::new(UnpublishedStore::over(lake.inner.store.clone()));
    let mut table = lake.table_over(def, store.clone()).unwrap();
    table.state = handle.table.state.clone();
    create_checkpoint(&table, None).await.unwrap();
    store.written().await.unwrap()
}

fn rows_of(bytes: &Bytes) -> RecordBatch {
    let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap();
    let batches: Vec<RecordBatch> = builder.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn bytes_of(rows: &RecordBatch) -> Bytes {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
    bytes.into()
}

/// The rows that have this action.
fn rows_with(rows: &RecordBatch, action: &str) -> Vec<u64> {
    let column = rows.column_by_name(action).unwrap();
    (0..rows.num_rows()).filter(|row| column.is_valid(*row)).map(|row| row as u64).collect()
}

fn only(rows: &RecordBatch, kept: impl IntoIterator<Item = u64>) -> RecordBatch {
    take_record_batch(rows, &UInt64Array::from_iter_values(kept)).unwrap()
}

/// Another column of an action, from the one that is there.
fn with(rows: &RecordBatch, action: &str, field: &str, change: impl Fn(&ArrayRef) -> ArrayRef) -> RecordBatch {
    let at = rows.schema().index_of(action).unwrap();
    let (fields, mut columns, nulls) = rows.column(at).as_struct().clone().into_parts();
    let inner = fields.find(field).unwrap().0;
    columns[inner] = change(&columns[inner]);
    let mut all = rows.columns().to_vec();
    all[at] = Arc::new(StructArray::new(fields, columns, nulls));
    RecordBatch::try_new(rows.schema(), all).unwrap()
}

/// A value of a column from one row less: each row has that of the row before it.
fn shifted(column: &ArrayRef, rows: &[u64]) -> ArrayRef {
    let mut from: Vec<u64> = (0..column.len() as u64).collect();
    for pair in rows.windows(2) {
        from[pair[0] as usize] = pair[1];
    }
    from[*rows.last().unwrap() as usize] = rows[0];
    arrow::compute::take(column, &UInt64Array::from(from), None).unwrap()
}

/// Every way in which it could lie about rows or offsets: none gets its name, and the table reads as before.
#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_lies_is_never_published() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path());
    append(&lake, &["a", "b"]).await;
    let old = written(&lake, PARTNERS).await;
    let old = rows_of(&old.iter().find(|(path, _)| path.to_string().ends_with(".parquet")).unwrap().1);
    lake.replace(PARTNERS, None, &[partner("c"), partner("d")], &[]).await.unwrap();
    append(&lake, &["e"]).await;
    let good = written(&lake, PARTNERS).await;
    let rows = rows_of(&good.iter().find(|(path, _)| path.to_string().ends_with(".parquet")).unwrap().1);
    let (adds, removes) = (rows_with(&rows, "add"), rows_with(&rows, "remove"));
    assert_eq!((adds.len(), removes.len()), (2, 2), "two live files, two that were taken out");
    let all = || 0..rows.num_rows() as u64;
    let revived = only(&old, rows_with(&old, "add").into_iter().take(1));
    let cases: [(&str, RecordBatch, &str); 8] = [
        ("a live file is lost", only(&rows, all().filter(|row| *row != adds[0])), "is missing"),
        ("all live files are lost", only(&rows, all().filter(|row| !adds.contains(row))), "is missing"),
        (
            "a file is revived, its tombstone forgotten",
            concat_batches(&rows.schema(), [&only(&rows, all().filter(|row| !removes.contains(row))), &revived])
                .unwrap(),
            "is not live",
        ),
        (
            "a file is revived beside its tombstone",
            concat_batches(&rows.schema(), [&rows, &revived]).unwrap(),
            "taken out",
        ),
        ("a file is there twice", only(&rows, all().chain([adds[0]])), "is there twice"),
        (
            "another size",
            with(&rows, "add", "size", |sizes| {
                let sizes = sizes.as_primitive::<Int64Type>();
                Arc::new(sizes.iter().map(|size| size.map(|size| size + 1)).collect::<Int64Array>())
            }),
            "another size or partition value",
        ),
        (
            "a transaction is lost",
            only(&rows, all().filter(|row| !rows_with(&rows, "txn")[..1].contains(row))),
            "its transactions differ",
        ),
        (
            "a transaction stands elsewhere",
            with(&rows, "txn", "version", |versions| {
                let versions = versions.as_primitive::<Int64Type>();
                Arc::new(versions.iter().map(|at| at.map(|at| at - 1)).collect::<Int64Array>())
            }),
            "its transactions differ",
        ),
    ];
    let version = u64::try_from(lake.version(PARTNERS).await.unwrap()).unwrap();
    let handle = lake.handle(PARTNERS).await.unwrap();
    for (name, lie, words) in &cases {
        let told = good.iter().map(|(path, bytes)| {
            let is_it = path.to_string().ends_with(".parquet");
            (path.clone(), if is_it { bytes_of(lie) } else { bytes.clone() })
        });
        let error = handle.lock().await.publish_checkpoint(version, told.collect()).await.unwrap_err();
        assert!(matches!(&error, LakeError::Log { what, .. } if what.contains(words)), "{name}: {error}");
        assert_eq!(published(folder.path()), Vec::<String>::new(), "{name}");
    }
    let garbage = good.iter().map(|(path, bytes)| (path.clone(), bytes.slice(..bytes.len() / 2))).collect();
    assert!(handle.lock().await.publish_checkpoint(version, garbage).await.is_err());
    let hint_alone = good.iter().filter(|(path, _)| path.filename() == Some(HINT)).cloned().collect();
    assert!(handle.lock().await.publish_checkpoint(version, hint_alone).await.is_err());
    assert_eq!(published(folder.path()), Vec::<String>::new());
    for reader in [&lake, &open(folder.path())] {
        assert_eq!(partners(reader).await, ["c", "d", "e"]);
    }
    // What it wrote itself says what the log says, and whoever starts reads it: entries before it are not needed.
    handle.lock().await.publish_checkpoint(version, good).await.unwrap();
    assert_eq!(published(folder.path()), [format!("{version:020}.checkpoint.parquet"), HINT.to_owned()]);
    for entry in 0..=version {
        let name = format!("{}/_delta_log/{entry:020}.json", PARTNERS.name);
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    assert_eq!(partners(&open(folder.path())).await, ["c", "d", "e"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn partition_values_of_files_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path());
    let column = RUNS.partition_by.expect("a partitioned table");
    let run = |month: &str| {
        Row::new()
            .with("run_id", month)
            .with("job", "test")
            .with("started_at", chrono::DateTime::UNIX_EPOCH)
            .with("duration_ms", 1_i64)
            .with("result", "ok")
            .with("pin", "{}")
            .with("table_versions", "{}")
            .with("counts", "{}")
            .with(column, month)
    };
    for month in ["2026-05", "2026-06"] {
        lake.append(RUNS, &[run(month)], &[]).await.unwrap();
    }
    let good = written(&lake, RUNS).await;
    let bytes = &good.iter().find(|(path, _)| path.to_string().ends_with(".parquet")).unwrap().1;
    let rows = rows_of(bytes);
    let swapped = with(&rows, "add", "partitionValues", |values| shifted(values, &rows_with(&rows, "add")));
    let handle = lake.handle(RUNS).await.unwrap();
    let mut handle = handle.lock().await;
    let (txns, files) = (handle.txns().await.unwrap().clone(), handle.live_files().unwrap());
    assert_eq!(compare(bytes.clone(), &txns, &files), Ok(()));
    let told = compare(bytes_of(&swapped), &txns, &files).unwrap_err();
    assert!(told.contains("another size or partition value"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_written_after_so_many_entries_whoever_wrote_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, other) = (open(folder.path()), open(folder.path()));
    // The entry that makes the table counts too.
    append(&lake, &["a", "b", "c"]).await;
    assert_eq!(lake.checkpoint(PARTNERS, 5).await.unwrap(), None);
    append(&lake, &["d"]).await;
    assert_eq!(lake.checkpoint(PARTNERS, 5).await.unwrap(), Some(4));
    assert_eq!(lake.checkpoint(PARTNERS, 1).await.unwrap(), None, "nothing came since");
    append(&other, &["e", "f", "g", "h"]).await;
    assert_eq!(other.checkpoint(PARTNERS, 4).await.unwrap(), Some(8));
    // This one still believes in the first.
    append(&lake, &["i"]).await;
    assert_eq!(lake.checkpoint(PARTNERS, 5).await.unwrap(), None, "one came since that of the other");
    assert_eq!(partners(&lake).await.len(), 9);
    for reader in [&lake, &other, &open(folder.path())] {
        assert_eq!(partners(reader).await, ["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
        assert_eq!(reader.txn(PARTNERS, "test").await.unwrap(), Some(9));
    }
}
