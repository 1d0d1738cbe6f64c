//! Decoding: the lines of three gateways into Arrow builders, against JSON parsers alone on the same lines.
//!
//! The rivals do less: they check no field, hash no credential, cut no address, build no columns. The nearest floor is
//! sonic-rs into a struct that borrows every text; the lowest is sonic-rs that only finds the end of each record.

mod figures;
mod inputs;
mod raw;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde::Deserialize;
use tollbook_ingest::Decoder;

use raw::{Kong, Native, Nginx};

fn read_all<'a, T: Deserialize<'a>>(lines: &'a [String]) {
    for line in lines {
        black_box(sonic_rs::from_str::<T>(line).unwrap());
    }
}

fn read_all_by_serde_json<'a, T: Deserialize<'a>>(lines: &'a [String]) {
    for line in lines {
        black_box(serde_json::from_str::<T>(line).unwrap());
    }
}

fn rivals<'a, T: Deserialize<'a>>(criterion: &mut Criterion, format: &str, decoder: Decoder, lines: &'a [String]) {
    let bytes = lines.iter().map(|line| u64::try_from(line.len()).unwrap()).sum();
    let mut group = criterion.benchmark_group(format!("decode {format}"));
    group
        .sample_size(20)
        .throughput(Throughput::ElementsAndBytes { elements: u64::try_from(lines.len()).unwrap(), bytes });
    group.bench_function("tollbook to Arrow", |bencher| {
        // Dropping the batch is not decoding.
        bencher.iter_batched(|| (), |()| inputs::decode(decoder, lines), BatchSize::PerIteration);
    });
    group.bench_function("sonic-rs, skip", |bencher| {
        bencher.iter(|| {
            for line in lines {
                black_box(sonic_rs::from_str::<sonic_rs::LazyValue<'_>>(line).unwrap());
            }
        });
    });
    group.bench_function("sonic-rs, borrowed struct", |bencher| bencher.iter(|| read_all::<T>(lines)));
    group.bench_function("serde_json, borrowed struct", |bencher| {
        bencher.iter(|| read_all_by_serde_json::<T>(lines));
    });
    group.finish();
}

fn decode(criterion: &mut Criterion) {
    let count = usize::try_from(figures::setting("LINES", 20_000)).unwrap();
    let native = inputs::native_lines(count);
    let (nginx, kong) = (inputs::nginx_lines(&native), inputs::kong_lines(&native));
    rivals::<Native<'_>>(criterion, "native", Decoder::Native, &native);
    rivals::<Nginx<'_>>(criterion, "nginx", Decoder::Nginx, &nginx);
    rivals::<Kong<'_>>(criterion, "kong", Decoder::Kong, &kong);
}

criterion_group!(benches, decode);
criterion_main!(benches);
