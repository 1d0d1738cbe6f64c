//! The refresh of usage, against computing everything: what it costs after new rows, and whether that follows the
//! length of history (1, 6, 12 months). The search of the id index, which does follow it, is also measured apart.
//!
//! New are the newest rows of a history in time order, and of those of the last 24 hours before them as many as one in
//! a thousand, which come late. Each round begins with a copy of the lake.
//!
//! `TOLLBOOK_BENCH_REFRESH_ROWS` (a month), `_MONTHS_MAX` and `_ROUNDS` say how much.

mod figures;
mod history;
mod inputs;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use serde_json::json;
use tollbook_aggregate::{bench, read_registry, refresh_usage};
use tollbook_lake::Lake;
use tollbook_schemas::catalog::{Catalog, CatalogFile};
use tollbook_schemas::tables::{access_log, partner_event};

use figures::{median, setting};
use history::{Month, commit, next_of, write_history};

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

/// A refresh of the lake in a folder, as a process that starts, and the search of the index for the same rows once
/// more.
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

/// The highest memory since it was last asked, in bytes.
fn peak_memory() -> u64 {
    let peak_bytes = figures::peak_memory_bytes();
    figures::forget_peak_memory();
    peak_bytes
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
            write_history(&before, &world, &month, history).await;
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

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let begun = Instant::now();
    runtime.block_on(run());
    println!("refresh: {:.0} s in all", begun.elapsed().as_secs_f64());
}
