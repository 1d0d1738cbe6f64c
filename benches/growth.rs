//! Everything anew as the table grows tenfold and a hundredfold: whether time follows the rows, and memory does not.
//!
//! Each size is a history of twelve months. A process of its own computes it, as `aggregate usage` would, so that its
//! memory is that of the work and not of what made the rows. CPU seconds tell the growth: they say little of what else
//! ran.
//!
//! `TOLLBOOK_BENCH_GROWTH_ROWS` says how many rows the largest history has; the others have a tenth and a hundredth of
//! it.

mod figures;
mod history;
mod inputs;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tollbook_aggregate::{read_registry, refresh_usage};
use tollbook_lake::Lake;
use tollbook_schemas::catalog::{Catalog, CatalogFile};
use tollbook_schemas::tables::{access_log, partner_event};

use figures::{measured_of, setting};
use history::{Month, write_history};

const MONTHS: usize = 12;
/// Given to the process that computes, before the folder of the lake.
const COMPUTE: &str = "--compute";

/// A lake of about so many rows; gives how many it has.
async fn write(root: &Path, rows: u64) -> usize {
    let world = inputs::world_of(rows / u64::try_from(MONTHS).unwrap());
    let month = Month::of(&world);
    let days = |at: usize| month.days.iter().map(move |day| day.clone().map(|row| (at, row)).collect::<Vec<_>>());
    write_history(root, &world, &month, (0..MONTHS).flat_map(days)).await;
    month.rows_total() * MONTHS
}

/// Computes everything, and prints what it took as JSON.
async fn compute(root: &str) {
    let files: Vec<CatalogFile> =
        inputs::world_of(1).catalog_files().into_iter().map(|(path, text)| CatalogFile { path, text }).collect();
    let catalog = Catalog::parse(&files).unwrap();
    let lake = Lake::open(root).unwrap();
    let events = lake.pin(&partner_event::TABLE).await.unwrap();
    let registry = read_registry(&lake, &events, None).await.unwrap();
    figures::forget_peak_memory();
    let (report, took) = measured_of(refresh_usage(&lake, &registry, &events, &catalog, None)).await;
    let report = report.unwrap();
    let figures = json!({
        "records": report.records_total, "duplicates": report.duplicates_total, "usage_rows": report.usage_rows_total,
        "wall_seconds": took.wall_seconds, "cpu_seconds": took.cpu_seconds, "peak_bytes": figures::peak_memory_bytes(),
    });
    println!("{figures}");
}

async fn run() {
    let most = setting("GROWTH_ROWS", 10_000_000);
    let mut all = Vec::new();
    for rows in [most / 100, most / 10, most] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("lake");
        let rows = write(&root, rows).await;
        let files = Lake::open(&root.display().to_string()).unwrap().files(access_log::TABLE.name).await.unwrap();
        let done = Command::new(std::env::current_exe().unwrap()).args([COMPUTE, &root.display().to_string()]).output();
        let done = done.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let mut figures: Value = serde_json::from_slice(&done.stdout).unwrap();
        figures["rows"] = json!(rows);
        figures["files"] = json!(files.unwrap().len());
        println!("{figures:#}");
        all.push(figures);
    }
    figures::write("growth", &json!({ "months": MONTHS, "sizes": all }));
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [compute_it, root] if compute_it == COMPUTE => runtime.block_on(compute(root)),
        _ => runtime.block_on(run()),
    }
}
