//! The refresh of usage, against computing everything: what it costs after new rows, and whether that follows the length
//! of history (1, 6, 12 months). The search of the id index, which does follow it, is also measured apart.
//!
//! History is one simulated month of traffic, again and again: each month 30 days later and with ids of its own. One
//! commit a day, a file for each of four partitions. New are the newest rows in time order, and of those of the last 24
//! hours before them as many as one in a thousand, which come late. Each round begins with a copy of the lake.
//!
//! `TOLLBOOK_BENCH_REFRESH_ROWS` (a month), `_MONTHS_MAX` and `_ROUNDS` say how much.

mod figures;
mod inputs;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{
    ArrayRef, AsArray as _, Date32Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt32Array,
};
use arrow::compute::{concat_batches, sort_to_indices, take_record_batch};
use arrow::datatypes::{Date32Type, Int32Type, TimestampMicrosecondType};
use serde_json::json;
use tollbook_aggregate::{bench, read_registry, refresh_usage};
use tollbook_ingest::Decoder;
use tollbook_lake::{Lake, Outcome, Part, TxnStep};
use tollbook_schemas::catalog::{Catalog, CatalogFile};
use tollbook_schemas::tables::{access_log, partner_event};
use tollbook_simulate::World;

use figures::{median, setting};

const DAY_MICROS: i64 = 86_400_000_000;
/// Days of one month of history.
const DAYS: i64 = 30;

/// One month of traffic in the order of its requests, with the rows of each day.
struct Month {
    rows: RecordBatch,
    days: Vec<Range<usize>>,
}

impl Month {
    fn of(world: &World) -> Self {
        let mut partitions = inputs::Partitions::new(inputs::door(Decoder::Native, "access"));
        let (mut offsets, mut batches) = (BTreeMap::<i32, i64>::new(), Vec::new());
        let mut keep = |sealed: Vec<(i32, tollbook_ingest::bench::Decoded)>| {
            batches.extend(sealed.into_iter().filter_map(|(_, part)| part.accepted));
        };
        for message in world.traffic() {
            let offset = offsets.entry(message.partition).or_default();
            let (arrived, payload) = (inputs::arrived(&message), message.payload.as_deref());
            if let Some(sealed) = partitions.push(message.partition, *offset, arrived, payload, &message.headers) {
                keep(sealed);
            }
            *offset += 1;
        }
        keep(partitions.seal());
        let rows = concat_batches(&access_log::TABLE.arrow_schema(), &batches).unwrap();
        let order = sort_to_indices(rows.column_by_name("occurred_at").unwrap(), None, None).unwrap();
        let rows = take_record_batch(&rows, &order).unwrap();
        let dates = rows.column_by_name("event_date").unwrap().as_primitive::<Date32Type>().values();
        // The days of a month; what is stamped long before or after is none of them.
        let first = dates[dates.len() / 2] - 15;
        let mut days = Vec::new();
        for day in first..first + i32::try_from(DAYS).unwrap() {
            days.push(dates.partition_point(|date| *date < day)..dates.partition_point(|date| *date <= day));
        }
        Self { rows, days }
    }

    fn rows_total(&self) -> usize {
        self.days.last().unwrap().end - self.days[0].start
    }

    /// Some rows of this month, `months` later, as parts of a commit that continues from `next`.
    fn parts(&self, chosen: &[(usize, usize)], next: &mut BTreeMap<i32, i64>) -> Vec<Part> {
        let partition = self.rows.column_by_name("kafka_partition").unwrap().as_primitive::<Int32Type>();
        let mut of_partitions: BTreeMap<i32, Vec<(usize, usize)>> = BTreeMap::new();
        for (months, row) in chosen {
            of_partitions.entry(partition.value(*row)).or_default().push((*months, *row));
        }
        let each = of_partitions.into_iter().map(|(partition, chosen)| {
            let expected = next.get(&partition).copied();
            let from = expected.unwrap_or(0);
            let to = from + i64::try_from(chosen.len()).unwrap();
            next.insert(partition, to);
            let step = TxnStep { app_id: inputs::source("access").app_id(partition), expected, next: to };
            Part { step, batches: vec![self.shifted(&chosen, from)] }
        });
        each.collect()
    }

    fn shifted(&self, chosen: &[(usize, usize)], from: i64) -> RecordBatch {
        let indices: UInt32Array = chosen.iter().map(|(_, row)| Some(u32::try_from(*row).unwrap())).collect();
        let rows = take_record_batch(&self.rows, &indices).unwrap();
        let later: Vec<i64> =
            chosen.iter().map(|(months, _)| i64::try_from(*months).unwrap() * DAYS * DAY_MICROS).collect();
        let schema = rows.schema();
        let columns = schema.fields().iter().zip(rows.columns()).map(|(field, column)| -> ArrayRef {
            match field.name().as_str() {
                "kafka_offset" => Arc::new(Int64Array::from_iter_values((from..).take(chosen.len()))),
                "record_index" => Arc::new(Int32Array::from(vec![0; chosen.len()])),
                "occurred_at" | "received_at" => {
                    let instants = column.as_primitive::<TimestampMicrosecondType>().values();
                    let shifted = instants.iter().zip(&later).map(|(at, later)| at + later);
                    Arc::new(TimestampMicrosecondArray::from_iter_values(shifted).with_timezone("UTC"))
                }
                "event_date" => {
                    let dates = column.as_primitive::<Date32Type>().values();
                    let days = |later: &i64| i32::try_from(later / DAY_MICROS).unwrap();
                    Arc::new(Date32Array::from_iter_values(
                        dates.iter().zip(&later).map(|(date, later)| date + days(later)),
                    ))
                }
                "event_id" | "corrects_event_id" => {
                    let ids = column.as_string::<i32>().iter();
                    let own = ids.zip(chosen).map(|(id, (months, _))| id.map(|id| format!("{months}-{id}")));
                    Arc::new(own.collect::<StringArray>())
                }
                _ => column.clone(),
            }
        });
        RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
    }
}

async fn commit(lake: &Lake, parts: Vec<Part>) {
    let outcomes = lake.append_parts(&access_log::TABLE, &parts).await.unwrap();
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Committed), "{outcomes:?}");
}

/// The partner events of the world.
async fn take_in_events(lake: &Lake, world: &World) {
    let mut partitions = inputs::Partitions::new(inputs::door(Decoder::CloudEvents, "lifecycle"));
    let mut offsets = BTreeMap::<i32, i64>::new();
    for message in world.lifecycle_messages() {
        let offset = offsets.entry(message.partition).or_default();
        let (arrived, payload) = (inputs::arrived(&message), message.payload.as_deref());
        assert!(partitions.push(message.partition, *offset, arrived, payload, &message.headers).is_none());
        *offset += 1;
    }
    let part = |(partition, part): (i32, tollbook_ingest::bench::Decoded)| {
        let app_id = inputs::source("lifecycle").app_id(partition);
        let step = TxnStep { app_id, expected: None, next: part.to };
        Part { step, batches: part.accepted.into_iter().collect() }
    };
    let parts: Vec<Part> = partitions.seal().into_iter().map(part).collect();
    lake.append_parts(&partner_event::TABLE, &parts).await.unwrap();
}

fn copied(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    assert!(std::process::Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
}

/// What one refresh took.
struct Refreshed {
    seconds: f64,
    probe_seconds: f64,
    hours: usize,
    records: i64,
}

/// A refresh of the lake in a folder, as a process that starts, and the search of the index for the same rows once more.
async fn refresh(root: &Path, catalog: &Catalog) -> Refreshed {
    let lake = Lake::open(&root.display().to_string()).unwrap();
    let events = lake.pin(&partner_event::TABLE).await.unwrap();
    let registry = read_registry(&lake, &events, None).await.unwrap();
    let known = tollbook_aggregate::usage_pin(&lake, &access_log::TABLE).await.unwrap();
    let begun = Instant::now();
    let report = refresh_usage(&lake, &registry, &events, catalog, None).await.unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    bench::search_index(&lake, &known, &report.pin).await.unwrap();
    let probe_seconds = begun.elapsed().as_secs_f64();
    Refreshed { seconds, probe_seconds, hours: report.hours_total, records: report.records_total }
}

/// The highest memory since it was last asked, in bytes; 0 where the kernel does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    // 5 sets the mark back to what is used now.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    kibibytes.unwrap_or(0) * 1024
}

async fn run() {
    let (rounds, month_rows) = (setting("ROUNDS", 3), setting("REFRESH_ROWS", 300_000));
    let world = inputs::world_of(month_rows);
    let month = Month::of(&world);
    let files: Vec<CatalogFile> =
        world.catalog_files().into_iter().map(|(path, text)| CatalogFile { path, text }).collect();
    let catalog = Catalog::parse(&files).unwrap();
    let lengths = [1, 6, 12, 36, 120].into_iter().filter(|length| *length <= setting("MONTHS_MAX", 12));
    let mut all = Vec::new();
    for length in lengths.map(|length| usize::try_from(length).unwrap()) {
        let folder = tempfile::tempdir().unwrap();
        let (before, after) = (folder.path().join("before"), folder.path().join("after"));
        let rows: Vec<(usize, Vec<Range<usize>>)> = (0..length).map(|at| (at, month.days.clone())).collect();
        let total = month.rows_total() * length;
        // As many as one in a hundred of one month, and of all.
        for (share, new) in [("of a month", month.rows_total() / 100), ("of all", total / 100)] {
            if share == "of all" && length == 1 {
                continue;
            }
            let mut history: Vec<Vec<(usize, usize)>> = Vec::new();
            let mut news: Vec<(usize, usize)> = Vec::new();
            for (months, days) in &rows {
                history.extend(days.iter().map(|day| day.clone().map(|row| (*months, row)).collect()));
            }
            // The newest rows, and late ones of the 24 hours before them: every so many-th.
            let mut left = new;
            let mut day_before = 0;
            for day in history.iter_mut().rev() {
                let take = left.min(day.len());
                news.splice(0..0, day.split_off(day.len() - take));
                left -= take;
                if left == 0 {
                    day_before += day.len();
                    let late = (new / 1_000).max(1);
                    let step = (day.len() / late).max(1);
                    let chosen: Vec<usize> = (0..day.len()).rev().step_by(step).take(late).collect();
                    for row in chosen {
                        news.push(day.remove(row));
                    }
                    if day_before > 0 {
                        break;
                    }
                }
            }
            copied_history(&before, &world, &month, &history).await;
            let mut next = next_of(&before).await;
            let full = refresh(&before, &catalog).await;
            let full_peak = peak_memory();
            let mut rounds_of = Vec::new();
            let parts = |next: &mut BTreeMap<i32, i64>| month.parts(&news, next);
            let unchanged = next.clone();
            for _ in 0..rounds {
                copied(&before, &after);
                next.clone_from(&unchanged);
                commit(&Lake::open(&after.display().to_string()).unwrap(), parts(&mut next)).await;
                rounds_of.push(refresh(&after, &catalog).await);
            }
            let refresh_peak = peak_memory();
            // Everything once more, with the new rows: what the refresh is a share of, and must be equal to.
            for table in ["usage", "id_index", "contested_request"] {
                std::fs::remove_dir_all(after.join(table)).unwrap();
            }
            let whole = refresh(&after, &catalog).await;
            let middle = |of: fn(&Refreshed) -> f64| median(rounds_of.iter().map(of).collect());
            all.push(json!({
                "months": length, "share": share, "rows": total, "new_rows": news.len(),
                "files": Lake::open(&after.display().to_string()).unwrap().files("access_log").await.unwrap().unwrap().len(),
                "hours": rounds_of[0].hours, "records": rounds_of[0].records,
                "refresh_seconds": middle(|refreshed| refreshed.seconds),
                "probe_seconds": middle(|refreshed| refreshed.probe_seconds),
                "full_seconds": median(vec![full.seconds, whole.seconds, full.seconds.min(whole.seconds)]),
                "full_peak_bytes": full_peak, "refresh_peak_bytes": refresh_peak,
            }));
            println!("{:#}", all.last().unwrap());
        }
    }
    figures::write("refresh", &json!({ "rounds": rounds, "lengths": all }));
}

/// A lake with the partner events and these days, one commit each.
async fn copied_history(root: &Path, world: &World, month: &Month, days: &[Vec<(usize, usize)>]) {
    let _ = std::fs::remove_dir_all(root);
    let lake = Lake::open(&root.display().to_string()).unwrap();
    take_in_events(&lake, world).await;
    let mut next = BTreeMap::new();
    for day in days.iter().filter(|day| !day.is_empty()) {
        commit(&lake, month.parts(day, &mut next)).await;
    }
}

/// Where each partition of the access log goes on.
async fn next_of(root: &Path) -> BTreeMap<i32, i64> {
    let lake = Lake::open(&root.display().to_string()).unwrap();
    let pin = lake.pin(&access_log::TABLE).await.unwrap();
    pin.iter().map(|(_, partition, next)| (partition, next)).collect()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let begun = Instant::now();
    runtime.block_on(run());
    println!("refresh: {:.0} s in all", begun.elapsed().as_secs_f64());
}
