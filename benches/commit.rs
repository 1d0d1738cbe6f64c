//! What a commit costs as a table's log and its live files grow: one small row and its offset a commit, without
//! checkpoints and with one now and then, as ingest writes them; what a start costs; and what compaction gives back.

mod figures;

use std::time::Instant;

use chrono::DateTime;
use figures::setting;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tollbook_lake::{CHECKPOINT_ENTRIES, Lake, Outcome, TxnStep};
use tollbook_schemas::tables::{Row, Table, partner_event};

const EVENTS: &Table = &partner_event::TABLE;
/// Size that compaction aims at: the default of `tollbook lake compact`.
const TARGET_BYTES: u64 = 128 << 20;

fn event(offset: i64) -> Row {
    let at = DateTime::from_timestamp_micros(1_780_000_000_000_000 + offset).unwrap();
    Row::new()
        .with("source", "bench/events/1")
        .with("kafka_partition", 0_i32)
        .with("kafka_offset", offset)
        .with("record_index", 0_i32)
        .with("event_source", "/bench")
        .with("event_id", offset.to_string())
        .with("event_type", "registered")
        .with("event_type_full", "com.bench.partner.registered.v1")
        .with("occurred_at", at)
        .with("received_at", at)
        .with("data", "{}")
        .with("event_month", if offset % 3 == 0 { "2026-05" } else { "2026-06" })
}

/// A lake in a folder of its own, and its next offset.
struct Growing {
    folder: tempfile::TempDir,
    lake: Lake,
    next: i64,
    checkpoint_entries: Option<u64>,
}

impl Growing {
    fn new(checkpoint_entries: Option<u64>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&folder.path().display().to_string()).unwrap();
        Self { folder, lake, next: 0, checkpoint_entries }
    }

    /// Milliseconds a commit.
    async fn grow(&mut self, commits: u64) -> f64 {
        let begun = Instant::now();
        for _ in 0..commits {
            let (offset, expected) = (self.next, (self.next > 0).then_some(self.next));
            let step = TxnStep { app_id: "bench/events/1#0".to_owned(), expected, next: offset + 1 };
            let outcome = self.lake.append(EVENTS, &[event(offset)], &[step]).await.unwrap();
            assert_eq!(outcome, Outcome::Committed);
            self.next += 1;
            if let Some(entries) = self.checkpoint_entries {
                self.lake.checkpoint(EVENTS, entries).await.unwrap();
            }
        }
        begun.elapsed().as_secs_f64() * 1000.0 / commits as f64
    }

    /// Milliseconds until a process that starts knows all offsets.
    async fn start(&self) -> f64 {
        let begun = Instant::now();
        let lake = Lake::open(&self.folder.path().display().to_string()).unwrap();
        assert_eq!(lake.txn(EVENTS, "bench/events/1#0").await.unwrap(), Some(self.next));
        begun.elapsed().as_secs_f64() * 1000.0
    }
}

async fn measure(checkpoint_entries: Option<u64>, commits: u64, window: u64) -> Value {
    let mut growing = Growing::new(checkpoint_entries);
    let mut windows = Vec::new();
    for to in (window..=commits).step_by(usize::try_from(window).unwrap()) {
        let ms = growing.grow(window).await;
        println!("commit: {checkpoint_entries:?}: {} to {to}: {ms:.1} ms each", to - window);
        windows.push(ms);
    }
    let start_ms = growing.start().await;
    let begun = Instant::now();
    growing.lake.compact(EVENTS, TARGET_BYTES).await.unwrap();
    let compact_ms = begun.elapsed().as_secs_f64() * 1000.0;
    let start_after_ms = growing.start().await;
    let after_ms = growing.grow(window).await;
    json!({ "windows_ms": windows, "start_ms": start_ms, "compact_ms": compact_ms, "start_after_ms": start_after_ms,
        "after_ms": after_ms })
}

fn main() {
    let commits = setting("COMMITS", 400);
    let window = (commits / 8).max(1);
    let runtime = Runtime::new().unwrap();
    let never = runtime.block_on(measure(None, commits, window));
    let now_and_then = runtime.block_on(measure(Some(CHECKPOINT_ENTRIES), commits, window));
    let figures =
        json!({ "window": window, "entries": CHECKPOINT_ENTRIES, "never": never, "checkpoints": now_and_then });
    figures::write("commit", &figures);
}
