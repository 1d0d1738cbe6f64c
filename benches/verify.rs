//! `verify` of one invoice beside a long history: what it takes to re-derive it from the raw rows, which are looked
//! through once more for it, by a program that asks no index.
//!
//! Every month of the history is aggregated, drafted and issued as the jobs do it; then invoices are verified one by
//! one, each as a command would, and every invoice of the last month together.
//!
//! `TOLLBOOK_BENCH_VERIFY_ROWS` (a month) and `_VERIFY_MONTHS` say how much; with `_VERIFY_COMPACTED=1` the lake is
//! compacted before, as `tollbook lake compact` would.

mod figures;
mod history;
mod inputs;

use std::ops::Range;
use std::time::Instant;

use serde_json::json;
use tollbook::clock::Clock;
use tollbook::context::JobContext;
use tollbook::demo::profile_rows;
use tollbook::jobs::catalog::keep;
use tollbook::jobs::lake::compact;
use tollbook::jobs::{bill, check};
use tollbook_aggregate::{read_registry, refresh_usage};
use tollbook_lake::Lake;
use tollbook_schemas::tables::billing::BILLING_PROFILE;
use tollbook_schemas::tables::{access_log, partner_event};
use tollbook_verify::{Verified, Wanted, verify};

use figures::{median, setting};
use history::{Month, write_history};

/// What `tollbook lake compact` makes of small files.
const COMPACTED_BYTES: u64 = 128 << 20;

/// Verifies as a process that starts; gives the seconds.
async fn verified(root: &str, wanted: Wanted) -> (Vec<Verified>, f64) {
    let begun = Instant::now();
    let lake = Lake::open(root).unwrap();
    let verified = Box::pin(verify(&lake, &wanted)).await.unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    for one in &verified {
        assert!(one.holds(), "{} of {}: {:?}", one.number, one.partner_id, one.differences.first());
    }
    (verified, seconds)
}

async fn run() {
    let (month_rows, months) = (setting("VERIFY_ROWS", 800_000), setting("VERIFY_MONTHS", 12));
    let world = inputs::world_of(month_rows);
    let month = Month::of(&world);
    let folder = tempfile::tempdir().unwrap();
    check::init(folder.path()).unwrap();
    std::fs::remove_dir_all(folder.path().join("catalog")).unwrap();
    std::fs::create_dir(folder.path().join("catalog")).unwrap();
    for (name, text) in world.catalog_files() {
        std::fs::write(folder.path().join("catalog").join(name), text).unwrap();
    }
    let days = |at: usize| month.days.iter().map(move |day: &Range<usize>| day.clone().map(|row| (at, row)).collect());
    let length = usize::try_from(months).unwrap();
    let root = folder.path().join("lake");
    write_history(&root, &world, &month, (0..length).flat_map(days)).await;
    let root = root.display().to_string();
    let mut context = JobContext::open(&folder.path().join("tollbook.toml")).unwrap();
    let first = world.month();
    let mut last = first;
    context.clock = Clock::Fixed(world.now() + chrono::TimeDelta::days(31 * i64::try_from(months).unwrap()));
    context
        .lake
        .append_missing(&BILLING_PROFILE, &profile_rows(world.billing_profiles(), world.now()).unwrap())
        .await
        .unwrap();
    // As the job does it, but for how far the data reach: no topic was read.
    let (catalog, as_of) = (context.catalog().unwrap(), context.clock.now());
    keep(&context, &catalog).await.unwrap();
    let events = context.lake.pin(&partner_event::TABLE).await.unwrap();
    let registry = read_registry(&context.lake, &events, None).await.unwrap();
    refresh_usage(&context.lake, &registry, &events, &catalog, Some(as_of)).await.unwrap();
    for number in 0..months {
        last = if number == 0 { first } else { last.next() };
        bill::draft_month(&context, last, as_of).await.unwrap();
        let issued = bill::issue_month(&context, last, as_of).await.unwrap().issued;
        println!("{last}: {} invoices", issued.invoices.len());
    }
    if setting("VERIFY_COMPACTED", 0) > 0 {
        compact(&context, &[], COMPACTED_BYTES).await.unwrap();
    }
    figures::forget_peak_memory();
    let mut each = Vec::new();
    for calendar in [first, last] {
        let (all, seconds) = verified(&root, Wanted::Month(calendar)).await;
        let peak_bytes = figures::peak_memory_bytes();
        let mut seconds_of: Vec<(f64, usize)> = Vec::new();
        for one in &all {
            let (alone, seconds) = verified(&root, Wanted::Invoice(one.number.clone())).await;
            seconds_of.push((seconds, alone[0].rows_read));
        }
        seconds_of.sort_by_key(|(_, rows)| *rows);
        let told = |at: usize| json!({ "seconds": seconds_of[at].0, "rows_read": seconds_of[at].1 });
        each.push(json!({
            "month": calendar.to_string(), "invoices": all.len(), "all_seconds": seconds, "peak_bytes": peak_bytes,
            "median_seconds": median(seconds_of.iter().map(|(seconds, _)| *seconds).collect()),
            "smallest": told(0), "largest": told(seconds_of.len() - 1),
        }));
        println!("{:#}", each.last().unwrap());
    }
    let files = Lake::open(&root).unwrap().files(access_log::TABLE.name).await.unwrap().unwrap();
    figures::write(
        "verify",
        &json!({
            "rows": month.rows_total() * length, "months": months, "files": files.len(), "each": each
        }),
    );
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run());
}
