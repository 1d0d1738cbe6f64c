//! A condition opens no more files than it must, and answers as if it had opened all.

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use datafusion::physical_plan::displayable;
use tollbook_schemas::period::parse_instant;
use tollbook_schemas::tables::{Row, access_log};

use crate::commit::TxnStep;
use crate::open::Lake;

/// One commit for each day from the 1st and each of two partitions, with offsets that go on; the path of every third
/// row is null.
async fn history(lake: &Lake, days: i64) {
    for day in 0..days {
        for partition in 0..2_i32 {
            let rows: Vec<Row> = (0..10)
                .map(|at| {
                    let occurred_at = parse_instant("2026-06-01T03:00:00Z").unwrap()
                        + chrono::TimeDelta::days(day)
                        + chrono::TimeDelta::minutes(at * 7);
                    Row::new()
                        .with("source", format!("test/web/{}", 1 + partition))
                        .with("kafka_partition", partition)
                        .with("kafka_offset", day * 10 + at)
                        .with("record_index", 0_i32)
                        .with("kind", "request")
                        .with("occurred_at", occurred_at)
                        .with("received_at", occurred_at)
                        .with("gateway", "gw")
                        .with("event_id", format!("{}{partition}-{day}-{at}", "long ".repeat(20)))
                        .with("path", (at % 3 > 0).then(|| format!("/{at}")))
                        .with("id_basis", "gateway")
                        .with("bytes_basis", "body")
                        .with("time_basis", "start")
                        .with("event_date", occurred_at.date_naive())
                })
                .collect();
            let step = TxnStep {
                app_id: format!("test/web/{}#{partition}", 1 + partition),
                expected: (day > 0).then_some(day * 10),
                next: day * 10 + 10,
            };
            lake.append(&access_log::TABLE, &rows, &[step]).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_query_opens_only_files_in_which_its_condition_can_hold() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
    history(&lake, 6).await;
    let instant = |text: &str| format!("arrow_cast('{text}', 'Timestamp(Microsecond, Some(\"UTC\"))')");
    for (condition, files) in [
        ("true".to_owned(), 12),
        ("event_date = date '2026-06-03'".to_owned(), 2),
        ("event_date in (date '2026-06-03', date '2026-06-04', date '2026-07-04')".to_owned(), 4),
        ("source = 'test/web/1' and kafka_partition = 0 and kafka_offset >= 45 and kafka_offset < 52".to_owned(), 2),
        ("not (source = 'test/web/1' and kafka_partition = 0 and kafka_offset < 50)".to_owned(), 7),
        ("kafka_offset >= 60".to_owned(), 0),
        ("kafka_offset < 0 or kafka_offset > 58".to_owned(), 2),
        (format!("occurred_at >= {}", instant("2026-06-05T04:03:00Z")), 4),
        // The log's times are bounds to the millisecond, rounded outwards.
        (format!("occurred_at > {}", instant("2026-06-05T04:03:00Z")), 4),
        (format!("occurred_at > {}", instant("2026-06-05T04:03:00.002Z")), 2),
        (format!("occurred_at < {}", instant("2026-06-01T03:00:00.000001Z")), 2),
        // What the log does not bound, or not in the shape of the condition, is read.
        ("path is null".to_owned(), 12),
        ("user_agent is null".to_owned(), 12),
        ("kafka_offset % 10 = 3".to_owned(), 12),
        // Of a time of day the bounds of a file say nothing.
        ("cast(occurred_at as time) = '03:07:00'".to_owned(), 12),
        ("cast(occurred_at as time) = '03:07:00' and event_date = date '2026-06-03'".to_owned(), 2),
    ] {
        let context = lake.empty_session().unwrap();
        lake.register(&context, &access_log::TABLE, None).await.unwrap();
        let sql = format!("select count(*) from access_log where {condition}");
        let plan = context.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
        let opened = displayable(plan.as_ref()).indent(true).to_string().matches(".parquet").count();
        assert_eq!(opened, files, "{condition}");
        let count = |batches: Vec<arrow::array::RecordBatch>| batches[0].column(0).as_primitive::<Int64Type>().value(0);
        let found = count(lake.query(&context, &sql).await.unwrap());
        // A condition over a table in memory is asked of every row.
        let all = lake.query(&context, "select * from access_log").await.unwrap();
        let table = datafusion::datasource::MemTable::try_new(all[0].schema(), vec![all]).unwrap();
        let memory = lake.empty_session().unwrap();
        memory.register_table("access_log", std::sync::Arc::new(table)).unwrap();
        assert_eq!(found, count(lake.query(&memory, &sql).await.unwrap()), "{condition}");
    }
    let days = lake.partition_values(&access_log::TABLE).await.unwrap();
    let days: Vec<String> = days.iter().map(ToString::to_string).collect();
    assert_eq!((days.len(), &*days[0], &*days[5]), (6, "2026-06-01", "2026-06-06"));
}
