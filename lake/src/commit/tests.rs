use chrono::DateTime;
use tollbook_schemas::tables::partner_event;
use tollbook_schemas::tables::runs::JOB_RUN;

use super::*;

fn event(offset: i64) -> Row {
    let at = DateTime::from_timestamp_micros(1_780_000_000_000_000).unwrap();
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
        .with("event_month", "2026-06")
}

fn step(expected: Option<i64>, next: i64) -> TxnStep {
    TxnStep { app_id: "test/events/1#0".to_owned(), expected, next }
}

fn part(expected: Option<i64>, from: i64, to: i64) -> Part {
    let rows: Vec<Row> = (from..to).map(event).collect();
    Part { step: step(expected, to), batches: vec![batch_of(&partner_event::TABLE, &rows).unwrap()] }
}

const TABLE: &Table = &partner_event::TABLE;

#[tokio::test(flavor = "multi_thread")]
async fn a_range_of_offsets_lands_once_whatever_is_retried() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(lake.append_parts(TABLE, &[part(None, 0, 3)]).await.unwrap(), [Outcome::Committed]);
    // The same range again, as after an answer that was lost.
    assert_eq!(lake.append_parts(TABLE, &[part(None, 0, 3)]).await.unwrap(), [Outcome::Already]);
    // A range that does not continue where the table stands.
    let gap = lake.append_parts(TABLE, &[part(Some(4), 4, 6)]).await.unwrap();
    assert_eq!(gap, [Outcome::Fenced { app_id: "test/events/1#0".to_owned(), found: Some(3) }]);
    assert_eq!(lake.append_parts(TABLE, &[part(Some(3), 3, 5)]).await.unwrap(), [Outcome::Committed]);
    // A second process, which read nothing of this yet, sees the same.
    let other = Lake::open(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(other.rows(TABLE, None).await.unwrap().len(), 5);
    assert_eq!(other.pin(TABLE).await.unwrap().to_json(), r#"{"test/events/1":{"0":5}}"#);
    let known = other.rows(TABLE, Some("kafka_offset < 2")).await.unwrap();
    assert_eq!(known.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_one_wins_each_range_and_nothing_doubles() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap().to_owned();
    let writer = |root: String| async move {
        let lake = Lake::open(&root).unwrap();
        let mut next = 0;
        while next < 30 {
            let expected = (next > 0).then_some(next);
            match &lake.append_parts(TABLE, &[part(expected, next, next + 3)]).await.unwrap()[0] {
                Outcome::Committed | Outcome::Already => next += 3,
                Outcome::Fenced { found, .. } => next = found.unwrap_or(0),
            }
        }
    };
    let (a, b) = (tokio::spawn(writer(root.clone())), tokio::spawn(writer(root.clone())));
    a.await.unwrap();
    b.await.unwrap();
    let lake = Lake::open(&root).unwrap();
    let mut offsets: Vec<i64> =
        lake.rows(TABLE, None).await.unwrap().iter().filter_map(|row| row.int("kafka_offset")).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, (0..30).collect::<Vec<i64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rows_are_added_once_and_replaced_ones_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(lake.append_missing(TABLE, &[event(0), event(1), event(1)]).await.unwrap(), 2);
    assert_eq!(lake.append_missing(TABLE, &[event(1), event(2)]).await.unwrap(), 1);
    assert_eq!(lake.append_missing(TABLE, &[event(0)]).await.unwrap(), 0);
    // An append-only table refuses a replacement.
    let error = lake.replace(TABLE, None, &[event(9)], &[step(None, 1)]).await.unwrap_err();
    assert!(matches!(error, LakeError::Commit { attempts: 1, .. }), "{error:?}");
    let partner = |id: &str| {
        Row::new().with("partner_id", id).with("is_internal", false).with("is_test", false).with("event_count", 1_i64)
    };
    let def = &tollbook_schemas::tables::derived::PARTNER;
    let frontier = |expected, next| [TxnStep { app_id: "frontier".to_owned(), expected, next }];
    lake.replace(def, None, &[partner("a"), partner("b")], &frontier(None, 1)).await.unwrap();
    assert_eq!(
        lake.replace(def, None, &[partner("c")], &frontier(None, 1)).await.unwrap(),
        Outcome::Already,
        "the same replacement again"
    );
    lake.replace(def, None, &[partner("c")], &frontier(Some(1), 2)).await.unwrap();
    let rows = lake.rows(def, None).await.unwrap();
    assert_eq!(rows.iter().filter_map(|row| row.text("partner_id")).collect::<Vec<_>>(), ["c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_held_by_one_and_ends_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
    let now = DateTime::from_timestamp_millis(1_780_000_000_000).unwrap();
    let later = |seconds| now + chrono::Duration::seconds(seconds);
    let mut first = lake.lease("bill", now).await.unwrap();
    assert!(matches!(lake.lease("bill", later(1)).await, Err(LakeError::LeaseHeld { .. })));
    first.renew(later(30)).await.unwrap();
    assert!(matches!(lake.lease("bill", later(61)).await, Err(LakeError::LeaseHeld { .. })));
    // The holder was killed: after its end another takes over, and the old one notices.
    let second = lake.lease("bill", later(120)).await.unwrap();
    assert!(matches!(first.renew(later(121)).await, Err(LakeError::LeaseLost { .. })));
    second.release().await.unwrap();
    lake.lease("bill", later(122)).await.unwrap();
    lake.lease("ingest", later(122)).await.unwrap();
    assert!(lake.rows(&JOB_RUN, None).await.unwrap().is_empty());
}
