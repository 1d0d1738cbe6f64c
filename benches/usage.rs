//! Hourly usage: a deduplicated group-by over the lake's own Parquet files, ours against DuckDB on the same files with
//! the same answer; and our whole refresh (attribution, every meter of the demo's catalog, the commit).
//!
//! `TOLLBOOK_REAL` must be set, or DuckDB is left out. `TOLLBOOK_BENCH_USAGE_ROWS` and `TOLLBOOK_BENCH_ROUNDS` say how
//! much.

mod figures;
mod inputs;

#[allow(dead_code)]
#[path = "../tests/real/parts.rs"]
mod parts;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use serde_json::{Value, json};
use tollbook_aggregate::{UsageReport, bench, read_registry, refresh_usage};
use tollbook_ingest::Decoder;
use tollbook_lake::{Lake, Outcome, Part, TxnStep};
use tollbook_schemas::catalog::{Catalog, CatalogFile};
use tollbook_schemas::tables::{Table, access_log, partner_event};
use tollbook_simulate::{Message, World};

use figures::{Took, measured, median, setting};
use inputs::Partitions;

const MICROS_OF_HOUR: i64 = 3_600_000_000;

/// The two queries; `{hour}` and `{from}` are each engine's own.
const QUERIES: [(&str, &str); 2] = [
    (
        "first delivery by window, then group",
        "select {hour} as hour, consumer, route, count(*) as requests, sum(response_bytes) as bytes from (
           select occurred_at, consumer, route, response_bytes, row_number() over (
             partition by gateway, event_id, {hour}
             order by source, kafka_partition, kafka_offset, record_index) as delivery
           from {from} where kind = 'request') as delivered
         where delivery = 1 group by 1, 2, 3",
    ),
    (
        "group, with distinct event ids",
        "select {hour} as hour, consumer, route, count(distinct event_id) as requests, sum(response_bytes) as bytes
         from {from} where kind = 'request' group by 1, 2, 3",
    ),
];

/// What `aggregate usage` does in place of the first one: the id index tells whose rows to rank, the rest is counted as
/// it is.
const BY_INDEX: &str = "select {hour} as hour, consumer, route, count(*) as requests, sum(response_bytes) as bytes
     from {from} where kind = 'request' and delivery_of(source, kafka_partition, kafka_offset, record_index, kind) = 1
     group by 1, 2, 3";

/// Arguments: threads, rounds, files. Queries on stdin, as JSON. Prints seconds and rows of each, as JSON. The answer
/// stays in DuckDB while the clock runs: making Python objects of it is not the query.
const DUCKDB: &str = r#"
import json, sys, time
import duckdb
threads, rounds, *files = sys.argv[1:]
db = duckdb.connect(config={"threads": int(threads)})
# A lake that is open keeps the footers of its files.
db.execute("set parquet_metadata_cache = true")
# It would stand among what is read here.
db.execute("set enable_progress_bar = false")
names = ", ".join(f"'{name}'" for name in files)
answers = []
for query in json.load(sys.stdin):
    query = query.replace("{from}", f"read_parquet([{names}])").replace("{hour}", "epoch_us(occurred_at) // 3600000000")
    seconds = []
    for _ in range(int(rounds) + 1):
        begun = time.perf_counter()
        db.execute(f"create or replace temp table answer as {query}")
        seconds.append(time.perf_counter() - begun)
    rows = db.execute("from answer").fetchall()
    answers.append({"seconds": seconds[1:], "rows": [[str(cell) for cell in row] for row in rows]})
print(json.dumps({"version": duckdb.__version__, "answers": answers}))
"#;

type Answer = Vec<[String; 5]>;

/// Commits sealed messages as ingest would.
async fn commit(lake: &Lake, def: &'static Table, topic: &str, next: &mut BTreeMap<i32, i64>, sealed: Sealed) -> usize {
    let mut rows = 0;
    let mut parts = Vec::new();
    for (partition, part) in sealed {
        let expected = next.insert(partition, part.to);
        if expected == Some(part.to) {
            continue;
        }
        rows += part.accepted.as_ref().map_or(0, RecordBatch::num_rows);
        let step = TxnStep { app_id: inputs::source(topic).app_id(partition), expected, next: part.to };
        parts.push(Part { step, batches: part.accepted.into_iter().collect() });
    }
    let outcomes = lake.append_parts(def, &parts).await.unwrap();
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Committed), "{outcomes:?}");
    rows
}

type Sealed = Vec<(i32, tollbook_ingest::bench::Decoded)>;

/// Takes in messages without Kafka, in the portions in which ingest commits.
async fn take_in(lake: &Lake, decoder: Decoder, topic: &str, messages: impl Iterator<Item = Message>) -> usize {
    let mut partitions = Partitions::new(inputs::door(decoder, topic));
    let (mut offsets, mut next) = (BTreeMap::<i32, i64>::new(), BTreeMap::new());
    let mut rows = 0;
    for message in messages {
        let offset = offsets.entry(message.partition).or_default();
        let arrived = inputs::arrived(&message);
        let payload = message.payload.as_deref();
        if let Some(sealed) = partitions.push(message.partition, *offset, arrived, payload, &message.headers) {
            rows += commit(lake, decoder.table(), topic, &mut next, sealed).await;
        }
        *offset += 1;
    }
    rows + commit(lake, decoder.table(), topic, &mut next, partitions.seal()).await
}

fn sorted(mut answer: Answer) -> Answer {
    answer.sort();
    answer
}

fn answer_of(batches: &[RecordBatch]) -> Answer {
    let mut answer = Vec::new();
    for batch in batches {
        let hours = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        let (consumers, routes) = (batch.column(1).as_string::<i32>(), batch.column(2).as_string::<i32>());
        let (requests, bytes) =
            (batch.column(3).as_primitive::<Int64Type>(), batch.column(4).as_primitive::<Int64Type>());
        for row in 0..batch.num_rows() {
            let text = |column: &arrow::array::StringArray| {
                // As Python prints it.
                if column.is_null(row) { "None".to_owned() } else { column.value(row).to_owned() }
            };
            let sum = if bytes.is_null(row) { "None".to_owned() } else { bytes.value(row).to_string() };
            let hour = hours.value(row).div_euclid(MICROS_OF_HOUR);
            answer.push([hour.to_string(), text(consumers), text(routes), requests.value(row).to_string(), sum]);
        }
    }
    sorted(answer)
}

/// Our answer and the seconds of each round; the first round warms up and does not count.
async fn ours(lake: &Lake, query: &str, rounds: u64) -> (Answer, Vec<f64>) {
    let pin = lake.pin(&access_log::TABLE).await.unwrap();
    let query = query.replace("{from}", "access_log").replace("{hour}", "date_trunc('hour', occurred_at)");
    let (mut answer, mut seconds) = (Vec::new(), Vec::new());
    for _ in 0..=rounds {
        let context = lake.empty_session().unwrap();
        lake.register(&context, &access_log::TABLE, None).await.unwrap();
        let begun = Instant::now();
        if query.contains("delivery_of") {
            bench::register_deliveries(lake, &context, &pin, "true", None, &[]).await.unwrap();
        }
        let batches = lake.query(&context, &query).await.unwrap();
        seconds.push(begun.elapsed().as_secs_f64());
        answer = answer_of(&batches);
    }
    (answer, seconds.split_off(1))
}

/// DuckDB's answers and seconds to all queries.
fn duckdb(python: &Path, files: &[String], rounds: u64) -> (String, Vec<(Answer, Vec<f64>)>) {
    use std::io::Write as _;
    let mut child = Command::new(python)
        .args(["-c", DUCKDB, "2", &rounds.to_string()])
        .args(files)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let queries: Vec<&str> = QUERIES.iter().map(|(_, query)| *query).collect();
    child.stdin.take().unwrap().write_all(json!(queries).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "DuckDB failed");
    let mut printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let version = printed["version"].as_str().unwrap().to_owned();
    let answers: Vec<Value> = serde_json::from_value(printed["answers"].take()).unwrap();
    let answers = answers
        .into_iter()
        .map(|mut answer| {
            let rows: Answer = serde_json::from_value(answer["rows"].take()).unwrap();
            (sorted(rows), serde_json::from_value(answer["seconds"].take()).unwrap())
        })
        .collect();
    (version, answers)
}

/// The whole refresh, on an empty `usage` each time.
async fn refresh(root: &Path, world: &World, rounds: u64) -> (UsageReport, Vec<Took>) {
    let files: Vec<CatalogFile> =
        world.catalog_files().into_iter().map(|(path, text)| CatalogFile { path, text }).collect();
    let catalog = Catalog::parse(&files).unwrap();
    let (mut last, mut took) = (UsageReport::default(), Vec::new());
    for _ in 0..rounds {
        let _ = std::fs::remove_dir_all(root.join("usage"));
        let lake = Lake::open(&root.display().to_string()).unwrap();
        let events = lake.pin(&partner_event::TABLE).await.unwrap();
        let registry = read_registry(&lake, &events, None).await.unwrap();
        let (cpu_before, begun) = (figures::cpu(), Instant::now());
        last = refresh_usage(&lake, &registry, &events, &catalog, None).await.unwrap();
        let wall_seconds = begun.elapsed().as_secs_f64();
        took.push(Took { cpu_seconds: (figures::cpu() - cpu_before).as_secs_f64(), wall_seconds });
    }
    (last, took)
}

async fn run() {
    let rounds = setting("ROUNDS", 3);
    let world = inputs::world_of(setting("USAGE_ROWS", 2_000_000));
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(&folder.path().display().to_string()).unwrap();
    take_in(&lake, Decoder::CloudEvents, "lifecycle", world.lifecycle_messages().into_iter()).await;
    let rows = take_in(&lake, Decoder::Native, "access", world.traffic()).await;
    let files = lake.files("access_log").await.unwrap().unwrap();
    let file_bytes: u64 = files.iter().map(|file| std::fs::metadata(file).unwrap().len()).sum();

    let python = parts::wanted("DuckDB", || parts::install("duckdb-rival"));
    let rival = python.map(|python| duckdb(&python, &files, rounds));
    let mut queries = serde_json::Map::new();
    for (at, (name, query)) in QUERIES.iter().enumerate() {
        let (answer, seconds) = ours(&lake, query, rounds).await;
        let mut figures = json!({ "groups": answer.len(), "tollbook_seconds": median(seconds) });
        if at == 0 {
            let (by_index, seconds) = ours(&lake, BY_INDEX, rounds).await;
            assert!(by_index == answer, "the index gives another answer than the window");
            figures["by_index_seconds"] = json!(median(seconds));
        }
        if let Some((_, answers)) = &rival {
            let (theirs, seconds) = &answers[at];
            assert!(answer == *theirs, "{name}: DuckDB gives another answer");
            figures["duckdb_seconds"] = json!(median(seconds.clone()));
        }
        queries.insert((*name).to_owned(), figures);
    }
    let (report, took) = refresh(folder.path(), &world, rounds).await;
    let figures = json!({
        "rows": rows, "files": files.len(), "file_bytes": file_bytes, "rounds": rounds,
        "duckdb": rival.map(|(version, _)| version), "queries": queries,
        "refresh": {
            "wall_seconds": median(took.iter().map(|took| took.wall_seconds).collect()),
            "cpu_seconds": median(took.iter().map(|took| took.cpu_seconds).collect()),
            "usage_rows": report.usage_rows_total, "records": report.records_total,
            "duplicates": report.duplicates_total,
        },
    });
    figures::write("usage", &figures);
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let ((), took) = measured(|| runtime.block_on(run()));
    println!("usage: {:.0} s in all", took.wall_seconds);
}
