//! Encoding: rows of `access_log` as Arrow, to Parquet in memory as the lake writes it, against no compression and
//! snappy; and to files in a lake, with its commit.

mod encoding;
mod figures;
mod inputs;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::json;
use tollbook_ingest::Decoder;
use tollbook_lake::{Lake, Outcome, Part, TxnStep, parquet_properties};
use tollbook_schemas::tables::access_log;

fn encode(criterion: &mut Criterion) {
    let rows = usize::try_from(figures::setting("ROWS", 50_000)).unwrap();
    let lines = inputs::native_lines(rows);
    let batch = inputs::decode(Decoder::Native, &lines);
    let days = encoding::by_day(&batch);
    let compressed = |compression| WriterProperties::builder().set_compression(compression).build();
    let ways = [
        ("as the lake (zstd 1)", parquet_properties()),
        ("snappy", compressed(Compression::SNAPPY)),
        ("no compression", compressed(Compression::UNCOMPRESSED)),
    ];
    let mut group = criterion.benchmark_group("encode");
    group.sample_size(10).throughput(Throughput::Elements(u64::try_from(rows).unwrap()));
    let mut bytes_per_row = serde_json::Map::new();
    for (name, properties) in &ways {
        let bytes: usize = days.iter().map(|day| encoding::parquet(day, properties.clone()).len()).sum();
        bytes_per_row.insert((*name).to_owned(), json!(f64_of(bytes) / f64_of(rows)));
        group.bench_function(*name, |bencher| {
            bencher.iter_batched(
                || (),
                |()| days.iter().map(|day| encoding::parquet(day, properties.clone())).collect::<Vec<_>>(),
                BatchSize::PerIteration,
            );
        });
    }
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(&folder.path().display().to_string()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut commits = 0;
    group.bench_function("into a lake, with the commit", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                commits += 1;
                let step = TxnStep { app_id: format!("bench {commits}"), expected: None, next: 1 };
                let parts = [Part { step, batches: vec![batch.clone()] }];
                let begun = Instant::now();
                let outcomes = runtime.block_on(lake.append_parts(&access_log::TABLE, &parts)).unwrap();
                total += begun.elapsed();
                assert_eq!(black_box(outcomes), [Outcome::Committed]);
            }
            total
        });
    });
    group.finish();
    let bytes: usize = lines.iter().map(String::len).sum();
    let figures = json!({
        "rows": rows, "days": days.len(), "json_bytes_per_row": f64_of(bytes) / f64_of(rows),
        "bytes_per_row": bytes_per_row,
    });
    figures::write("encode", &figures);
}

fn f64_of(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

criterion_group!(benches, encode);
criterion_main!(benches);
