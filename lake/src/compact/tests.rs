use std::path::Path;

use chrono::DateTime;
use tollbook_schemas::tables::{Row, derived, partner_event};

use super::*;
use crate::commit::{Outcome, TxnStep};

const EVENTS: &Table = &partner_event::TABLE;
const PARTNERS: &Table = &derived::PARTNER;
const TARGET: u64 = 1 << 27;

fn event(offset: i64) -> Row {
    let at = DateTime::from_timestamp_micros(1_780_000_000_000_000 + offset).unwrap();
    Row::new()
        .with("source", "test/events/1")
        .with("kafka_partition", 0_i32)
        .with("kafka_offset", offset)
        .with("record_index", 0_i32)
        .with("event_source", "/test")
        .with("event_id", offset.to_string())
        .with("event_type", "registered")
        .with("event_type_full", "com.test.partner.registered.v1")
        .with("occurred_at", at)
        .with("received_at", at)
        .with("data", "{}")
        .with("event_month", if offset % 3 == 0 { "2026-05" } else { "2026-06" })
}

fn partner(id: &str) -> Row {
    Row::new().with("partner_id", id).with("is_internal", false).with("is_test", false).with("event_count", 1_i64)
}

fn step(app_id: &str, expected: Option<i64>, next: i64) -> TxnStep {
    TxnStep { app_id: app_id.to_owned(), expected, next }
}

fn open(folder: &Path) -> Lake {
    Lake::open(folder.to_str().unwrap()).unwrap()
}

/// One commit for each offset from `from` to `to`.
async fn ingest(lake: &Lake, from: i64, to: i64) {
    for offset in from..to {
        let step = step("test/events/1#0", (offset > 0).then_some(offset), offset + 1);
        assert_eq!(lake.append(EVENTS, &[event(offset)], &[step]).await.unwrap(), Outcome::Committed);
    }
}

/// Three files of three partners.
async fn three_partners(lake: &Lake) {
    for (at, id) in ["a", "b", "c"].iter().enumerate() {
        lake.append(PARTNERS, &[partner(id)], &[step("test", (at > 0).then_some(at as i64), at as i64 + 1)])
            .await
            .unwrap();
    }
}

/// All rows, as text, in order of offset.
async fn events(lake: &Lake) -> Vec<String> {
    let mut rows = lake.rows(EVENTS, None).await.unwrap();
    rows.sort_by_key(|row| row.int("kafka_offset"));
    rows.iter().map(|row| format!("{row:?}")).collect()
}

async fn partners(lake: &Lake) -> Vec<String> {
    let rows = lake.rows(PARTNERS, None).await.unwrap();
    let mut ids: Vec<String> = rows.iter().filter_map(|row| row.text("partner_id").map(str::to_owned)).collect();
    ids.sort();
    ids
}

async fn merged(lake: &Lake, def: &'static Table) -> Merged {
    let plan = lake.plan_compaction(def, TARGET).await.unwrap().expect("something to do");
    lake.merge(def, plan).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_only_table_has_the_same_rows_and_transactions_in_fewer_files() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path());
    ingest(&lake, 0, 9).await;
    let (rows, mut txns) = (events(&lake).await, lake.txns(EVENTS).await.unwrap());
    let done = lake.compact(EVENTS, TARGET).await.unwrap();
    assert_eq!((done.files_before, done.files_after, done.rows_total, done.commits_total), (9, 2, 9, 1));
    assert_eq!(done.checkpoint, Some(u64::try_from(done.version).unwrap()));
    txns.insert(MAINTENANCE.to_owned(), 1);
    for reader in [lake.clone(), open(folder.path())] {
        assert_eq!(events(&reader).await, rows);
        assert_eq!(reader.txns(EVENTS).await.unwrap(), txns);
        assert_eq!(reader.pin(EVENTS).await.unwrap().to_json(), r#"{"test/events/1":{"0":9}}"#);
        assert_eq!(reader.files(EVENTS.name).await.unwrap().unwrap().len(), 2);
    }
    // Rows stay in the order in which they came.
    let may = lake.rows(EVENTS, Some("event_month = '2026-05'")).await.unwrap();
    assert_eq!(may.iter().filter_map(|row| row.int("kafka_offset")).collect::<Vec<_>>(), [0, 3, 6]);
    let again = lake.compact(EVENTS, TARGET).await.unwrap();
    assert_eq!((again.commits_total, again.version, again.checkpoint), (0, done.version, None));
    // The writer goes on where it was, and the merged files take part in the next compaction.
    ingest(&lake, 9, 12).await;
    let next = lake.compact(EVENTS, TARGET).await.unwrap();
    assert_eq!((next.files_before, next.files_after, next.rows_total), (5, 2, 12));
    assert_eq!(events(&open(folder.path())).await.len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_reader_needs_no_entry_before_the_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path());
    ingest(&lake, 0, 6).await;
    assert_eq!(lake.checkpoint(EVENTS, CHECKPOINT_ENTRIES_MIN).await.unwrap(), None, "too few entries");
    let at = lake.checkpoint(EVENTS, 1).await.unwrap().unwrap();
    assert_eq!(lake.checkpoint(EVENTS, 1).await.unwrap(), None, "nothing came since");
    ingest(&lake, 6, 8).await;
    let (rows, txns) = (events(&lake).await, lake.txns(EVENTS).await.unwrap());
    for entry in 0..=at {
        let name = format!("{}/_delta_log/{entry:020}.json", EVENTS.name);
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    let cold = open(folder.path());
    assert_eq!((events(&cold).await, cold.txns(EVENTS).await.unwrap()), (rows, txns));
    ingest(&cold, 8, 9).await;
    assert_eq!(events(&lake).await.len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_neither_disturb_a_compaction_nor_are_disturbed() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, writer) = (open(folder.path()), open(folder.path()));
    ingest(&writer, 0, 4).await;
    let first = merged(&lake, EVENTS).await;
    // Lands between plan and commit: the commit is checked against it.
    ingest(&writer, 4, 5).await;
    assert!(lake.commit_merged(EVENTS, &first, TARGET).await.unwrap());
    // The writer's snapshot is from before the compaction.
    ingest(&writer, 5, 6).await;
    let reader = open(folder.path());
    assert_eq!(events(&reader).await, (0..6).map(|offset| format!("{:?}", event(offset))).collect::<Vec<_>>());
    // Lands between the check of the snapshot and the entry in the log, as deltalake itself resolves it.
    let second = merged(&lake, EVENTS).await;
    let handle = lake.handle(EVENTS).await.unwrap();
    let mut handle = handle.lock().await;
    let step = maintenance_step(handle.txns().await.unwrap().get(MAINTENANCE).copied());
    ingest(&writer, 6, 7).await;
    let actions = actions(&handle, &second);
    let attempt = handle.commit_once(Operation::Compact { target_bytes: TARGET }, actions, &[&step]).await.unwrap();
    assert!(matches!(attempt, Attempt::Landed));
    assert_eq!(events(&reader).await, (0..7).map(|offset| format!("{:?}", event(offset))).collect::<Vec<_>>());
}

fn actions(handle: &crate::open::Handle, merged: &Merged) -> Vec<Action> {
    let inputs: Vec<&str> = merged.plan.bins.iter().flatten().map(|file| file.path.as_str()).collect();
    let removes = handle.removes(None).unwrap().into_iter().filter(|file| inputs.contains(&file.path.as_str()));
    let removes = removes.map(|file| Action::Remove(Remove { data_change: false, ..file }));
    removes.chain(merged.adds.iter().cloned().map(Action::Add)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_compaction_and_a_replacement_one_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, other) = (open(folder.path()), open(folder.path()));
    three_partners(&lake).await;
    // The replacement lands between the plan and the commit of a compaction.
    let stale = merged(&lake, PARTNERS).await;
    other.replace(PARTNERS, None, &[partner("d")], &[step("test", Some(3), 4)]).await.unwrap();
    assert_eq!(other.txn(PARTNERS, MAINTENANCE).await.unwrap(), Some(1));
    assert!(!lake.commit_merged(PARTNERS, &stale, TARGET).await.unwrap());
    assert_eq!(partners(&lake).await, ["d"]);
    // A compaction lands between the snapshot of a replacement and its commit.
    other.append(PARTNERS, &[partner("e")], &[step("test", Some(4), 5)]).await.unwrap();
    let begun = std::sync::atomic::AtomicUsize::new(0);
    let rows = [tollbook_schemas::tables::batch_of(PARTNERS, &[partner("f")]).unwrap()];
    let steps = [step("test", Some(5), 6)];
    let handle = other.handle(PARTNERS).await.unwrap();
    let mut handle = handle.lock().await;
    let adds = handle.write_files(&rows).await.unwrap();
    let outcome = handle.change(Operation::Replace, &adds, &steps, |handle| {
        if begun.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            let path = folder.path().to_owned();
            let compacting = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
                runtime.block_on(async { open(&path).compact(PARTNERS, TARGET).await.unwrap() })
            });
            assert_eq!(compacting.join().unwrap().commits_total, 1);
        }
        handle.removes(None)
    });
    assert_eq!(outcome.await.unwrap(), Outcome::Committed);
    assert_eq!(begun.into_inner(), 2, "the replacement read again");
    assert_eq!(partners(&open(folder.path())).await, ["f"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_compactions_one_lands() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, other) = (open(folder.path()), open(folder.path()));
    three_partners(&lake).await;
    let (mine, theirs) = (merged(&lake, PARTNERS).await, merged(&other, PARTNERS).await);
    let handle = lake.handle(PARTNERS).await.unwrap();
    let mut handle = handle.lock().await;
    let actions = actions(&handle, &mine);
    assert!(other.commit_merged(PARTNERS, &theirs, TARGET).await.unwrap());
    // With a snapshot from before, as when both were checked at the same moment.
    let step = maintenance_step(None);
    let compact = Operation::Compact { target_bytes: TARGET };
    let attempt = handle.commit_once(compact, actions, &[&step]).await.unwrap();
    assert!(matches!(attempt, Attempt::Lost(_)));
    drop(handle);
    assert!(!lake.commit_merged(PARTNERS, &mine, TARGET).await.unwrap());
    assert_eq!(partners(&lake).await, ["a", "b", "c"]);
    assert_eq!(lake.compact(PARTNERS, TARGET).await.unwrap().commits_total, 0);
}

/// Why [`MAINTENANCE`] exists. When this fails, deltalake has closed the hole; the transaction may still stay.
#[tokio::test(flavor = "multi_thread")]
async fn deltalake_alone_brings_rows_back_behind_a_compaction() {
    let compact = Operation::Compact { target_bytes: TARGET };
    for (operation, left) in
        [(compact, &["a", "a", "b", "b", "c", "c"][..]), (Operation::Replace, &["a", "b", "c", "d"])]
    {
        let folder = tempfile::tempdir().unwrap();
        let (lake, other) = (open(folder.path()), open(folder.path()));
        three_partners(&lake).await;
        let (mine, theirs) = (merged(&lake, PARTNERS).await, merged(&other, PARTNERS).await);
        let handle = lake.handle(PARTNERS).await.unwrap();
        let mut handle = handle.lock().await;
        let actions = if operation == compact {
            actions(&handle, &mine)
        } else {
            let rows = [tollbook_schemas::tables::batch_of(PARTNERS, &[partner("d")]).unwrap()];
            let adds = handle.write_files(&rows).await.unwrap().into_iter().map(Action::Add);
            handle.removes(None).unwrap().into_iter().map(Action::Remove).chain(adds).collect()
        };
        assert!(other.commit_merged(PARTNERS, &theirs, TARGET).await.unwrap());
        let attempt = handle.commit_once(operation, actions, &[]).await.unwrap();
        assert!(matches!(attempt, Attempt::Landed));
        drop(handle);
        assert_eq!(partners(&lake).await, left, "{operation:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_whose_file_is_gone_is_not_committed() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path());
    three_partners(&lake).await;
    let stale = merged(&lake, PARTNERS).await;
    {
        // Another tool, which knows nothing of the transaction, deletes a file.
        let handle = lake.handle(PARTNERS).await.unwrap();
        let mut handle = handle.lock().await;
        let one = handle.removes(None).unwrap().into_iter().take(1).map(Action::Remove).collect();
        assert!(matches!(handle.commit_once(Operation::Replace, one, &[]).await.unwrap(), Attempt::Landed));
    }
    let left = partners(&lake).await;
    assert_eq!(left.len(), 2);
    assert!(!lake.commit_merged(PARTNERS, &stale, TARGET).await.unwrap());
    lake.compact(PARTNERS, TARGET).await.unwrap();
    assert_eq!(partners(&lake).await, left);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_the_commit_leaves_only_files_that_nobody_reads() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path());
    ingest(&lake, 0, 5).await;
    let (rows, files) = (events(&lake).await, lake.files(EVENTS.name).await.unwrap());
    drop(merged(&lake, EVENTS).await);
    let after = open(folder.path());
    assert_eq!((events(&after).await, after.files(EVENTS.name).await.unwrap()), (rows.clone(), files));
    assert_eq!(after.compact(EVENTS, TARGET).await.unwrap().files_after, 2);
    assert_eq!(events(&after).await, rows);
}

#[test]
fn bins_hold_two_small_files_or_more_of_one_value() {
    let file = |value: &str, at: i64, size: i64| DataFile {
        path: at.to_string(),
        size,
        value: Some(value.to_owned()),
        rows: None,
        modified_ms: at,
    };
    type Case = (&'static str, Vec<DataFile>, Vec<Vec<i64>>);
    let cases: [Case; 6] = [
        ("none", vec![], vec![]),
        ("one of each value", vec![file("a", 1, 10), file("b", 2, 10)], vec![]),
        (
            "two values",
            vec![file("b", 1, 10), file("a", 2, 1), file("b", 3, 10), file("a", 4, 1)],
            vec![vec![2, 4], vec![1, 3]],
        ),
        ("large ones are left", vec![file("a", 1, 50), file("a", 2, 49), file("a", 3, 49)], vec![vec![2, 3]]),
        (
            "the target is kept",
            vec![file("a", 1, 40), file("a", 2, 40), file("a", 3, 40), file("a", 4, 40)],
            vec![vec![1, 2], vec![3, 4]],
        ),
        ("one commit has an end", (0..40).map(|at| file("a", at, 45)).collect(), {
            (0..8).map(|pair| vec![2 * pair, 2 * pair + 1]).collect()
        }),
    ];
    for (name, files, expected) in cases {
        let found: Vec<Vec<i64>> =
            bins(files, 100).iter().map(|bin| bin.iter().map(|file| file.modified_ms).collect()).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_fingerprint_knows_a_row_that_is_lost_doubled_or_changed_but_no_order() {
    let of = |offsets: &[i64]| {
        let rows: Vec<Row> = offsets.iter().map(|offset| event(*offset)).collect();
        let mut fingerprint = Fingerprint::default();
        fingerprint.add(&tollbook_schemas::tables::batch_of(EVENTS, &rows).unwrap()).unwrap();
        fingerprint
    };
    assert_eq!(of(&[1, 2, 3]), of(&[3, 1, 2]));
    for other in [&[1, 2][..], &[1, 2, 2], &[1, 2, 4], &[1, 2, 3, 3]] {
        assert_ne!(of(&[1, 2, 3]), of(other), "{other:?}");
    }
}
