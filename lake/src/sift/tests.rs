//! What is sifted is what SQL finds, whatever file it lies in and however its texts are coded.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::AsArray as _;
use arrow::datatypes::{Int32Type, Int64Type};
use chrono::{DateTime, Utc};
use tollbook_schemas::tables::access_log::TABLE as ACCESS_LOG;
use tollbook_schemas::tables::{Kind, Row, Value};

use super::*;

fn open(folder: &Path) -> Lake {
    Lake::open(folder.to_str().unwrap()).unwrap()
}

fn row(number: i64, day: u32) -> Row {
    let at = NaiveDate::from_ymd_opt(2026, 6, day).unwrap().and_hms_opt(1, 2, 3).unwrap().and_utc();
    let mut row = Row::new()
        .with("source", "s")
        .with("kafka_offset", number)
        .with("event_id", format!("e{number}"))
        .with("gateway", if number % 2 == 0 { "even" } else { "odd" })
        .with("occurred_at", at)
        .with("event_date", at.date_naive());
    if number % 3 == 0 {
        row = row.with("consumer", format!("c{}", number % 5));
    }
    for column in ACCESS_LOG.columns.iter().filter(|column| !column.nullable) {
        if *row.get(column.name) == Value::Null {
            row = match column.kind {
                Kind::Text => row.with(column.name, "-"),
                Kind::Instant => row.with(column.name, DateTime::<Utc>::UNIX_EPOCH),
                Kind::TextMap => row.with(column.name, BTreeMap::new()),
                _ => row.with(column.name, 0_i64),
            };
        }
    }
    row
}

/// Even offsets of consumer c0, c3 or none at all, above 10.
fn sieves() -> Vec<Sieve> {
    let by_text = |batch: &RecordBatch| {
        let column = |name| Some(batch.column_by_name(name)?.as_dictionary::<Int32Type>().clone());
        let (gateway, consumer) = (column("gateway").unwrap(), column("consumer"));
        let text = |column: &arrow::array::DictionaryArray<Int32Type>, row| {
            column.key(row).map(|key| column.values().as_string::<i32>().value(key).to_owned())
        };
        let keep = |row| {
            // A file in which no row has one has no such column.
            let consumer = consumer.as_ref().and_then(|consumer| text(consumer, row));
            text(&gateway, row).as_deref() == Some("even") && consumer.is_none_or(|name| name == "c0" || name == "c3")
        };
        (0..batch.num_rows()).map(|row| Some(keep(row))).collect::<BooleanArray>()
    };
    let by_offset = |batch: &RecordBatch| {
        let offsets = batch.column_by_name("kafka_offset").unwrap().as_primitive::<Int64Type>();
        // What the sieve before left out is not looked at.
        assert!(offsets.values().iter().all(|offset| offset % 2 == 0));
        let ids = batch.column_by_name("event_id").unwrap().as_string_view();
        assert!(offsets.values().iter().zip(ids).all(|(offset, id)| id == Some(format!("e{offset}").as_str())));
        offsets.values().iter().map(|offset| Some(*offset > 10)).collect::<BooleanArray>()
    };
    vec![
        Sieve { coded: &["gateway", "consumer"], plain: &[], keep: Arc::new(by_text) },
        Sieve { coded: &[], plain: &["kafka_offset", "event_id"], keep: Arc::new(by_offset) },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sifted_is_what_sql_finds() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path());
    for part in 0..4_i64 {
        let rows: Vec<Row> = (0..60).map(|at| row(part * 60 + at, 1 + u32::try_from(at % 3).unwrap())).collect();
        assert_eq!(lake.append_missing(&ACCESS_LOG, &rows).await.unwrap(), rows.len());
    }
    let columns = vec!["event_date", "event_id", "kafka_offset", "consumer"];
    for (first, last) in [(1, 30), (2, 2), (3, 30), (20, 30)] {
        let days = [first, last].map(|day| NaiveDate::from_ymd_opt(2026, 6, day).unwrap());
        let sift =
            Sift { table: &ACCESS_LOG, days: Some(days[0]..=days[1]), sieves: sieves(), columns: columns.clone() };
        let schema = sift.schema();
        let batches = lake.sift(sift, |batch| Ok::<_, LakeError>(batch.clone())).await.unwrap();
        assert!(batches.iter().all(|batch| batch.schema() == schema));
        let asked = |context: SessionContext, condition: String| async move {
            let sql = format!(
                "select event_date, event_id, kafka_offset, consumer from access_log where {condition} order by kafka_offset"
            );
            crate::as_table(&context.sql(&sql).await.unwrap().collect().await.unwrap()).unwrap()
        };
        let context = lake.empty_session().unwrap();
        lake.register_batches(&context, &ACCESS_LOG, schema, batches).unwrap();
        let sifted = asked(context, "true".to_owned()).await;
        let context = lake.empty_session().unwrap();
        lake.register(&context, &ACCESS_LOG, None).await.unwrap();
        let condition = format!(
            "gateway = 'even' and (consumer is null or consumer in ('c0', 'c3')) and kafka_offset > 10
             and event_date between '{}' and '{}'",
            days[0], days[1]
        );
        let expected = asked(context, condition).await;
        assert_eq!(sifted, expected);
        assert_eq!(expected.lines().count() > 10, first < 20, "{expected}");
    }
}

/// What the caller's function says ends it, and so does a file that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn errors_end_it() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path());
    lake.append_missing(&ACCESS_LOG, &[row(12, 1), row(18, 2)]).await.unwrap();
    let sift = || Sift { table: &ACCESS_LOG, days: None, sieves: sieves(), columns: vec!["event_id"] };
    let refused = lake.sift(sift(), |_| Err::<(), _>(LakeError::Export { what: "no".to_owned() })).await;
    assert!(matches!(refused, Err(LakeError::Export { .. })), "{refused:?}");
    let day = folder.path().join("access_log/event_date=2026-06-02");
    std::fs::remove_dir_all(&day).unwrap();
    let gone = lake.sift(sift(), |_| Ok::<_, LakeError>(())).await.unwrap_err();
    assert!(matches!(&gone, LakeError::File { path, .. } if path.contains("event_date=2026-06-02")), "{gone:?}");
}
