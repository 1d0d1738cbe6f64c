mod ways;

use std::collections::BTreeSet;
use std::sync::Arc;

use tollbook_lake::{Part, TxnStep};
use tollbook_schemas::tables::{Table, access_log, batch_of, rejected};

use super::*;
use crate::credential::CredentialKey;

const LINES_TOTAL: i64 = 60;

/// Good lines with garbage and blank ones among them, the last without a line feed.
fn text() -> String {
    let line = |at: i64| match at % 10 {
        3 => "garbage".to_owned(),
        6 => "  ".to_owned(),
        _ => format!(
            r#"{{"request_id":"r{at}","msec":"1780272000.{at:03}","request_time":"0.001","status":"200","consumer":"acme"}}"#
        ),
    };
    (0..LINES_TOTAL).map(line).collect::<Vec<_>>().join("\n")
}

fn received_at() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_780_300_000_000).unwrap()
}

fn begun_at() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_780_400_000_000).unwrap()
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(place.path("edge.log"), text()).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn lake(&self) -> Lake {
        Lake::open(self.path("lake").to_str().unwrap()).unwrap()
    }

    /// As a process of its own would have it.
    fn ingestor(&self, name: &str, batch_bytes_max: usize) -> FileIngestor {
        FileIngestor {
            lake: self.lake(),
            path: self.path(name),
            decoder: Decoder::Nginx,
            gateway: "edge".to_owned(),
            environment_default: Some("production".to_owned()),
            generation: None,
            begun_at: begun_at(),
            keys: KeyRing { current: CredentialKey::new("k1", "secret"), previous: None },
            budget: Budget { batch_bytes_max, ..Budget::default() },
        }
    }

    async fn offsets(&self, table: &'static Table) -> Vec<i64> {
        let rows = self.lake().rows(table, None).await.unwrap();
        let mut offsets: Vec<i64> = rows.iter().map(|row| row.int("kafka_offset").unwrap()).collect();
        offsets.sort_unstable();
        offsets
    }

    /// I1: every line is accepted or rejected, once; blank lines are neither.
    async fn is_whole(&self) {
        self.is_whole_of(1).await;
    }

    /// I1 for each reading: of the last one all that can be accepted is, and of those before nothing.
    async fn is_whole_of(&self, readings: usize) {
        let expected = |wanted: fn(i64) -> bool| (0..LINES_TOTAL).filter(|at| wanted(at % 10)).collect::<Vec<_>>();
        assert_eq!(self.offsets(&access_log::TABLE).await, expected(|rest| rest != 3 && rest != 6));
        let mut rejects = expected(|rest| rest == 3);
        rejects.extend(vec![expected(|rest| rest != 6); readings - 1].concat());
        rejects.sort_unstable();
        assert_eq!(self.offsets(&rejected::TABLE).await, rejects);
    }
}

fn silent(_: &Progress) {}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_adds_nothing_under_whatever_name() {
    let place = Place::new();
    assert_eq!(place.lake().watermark(&access_log::TABLE, &[]).await.unwrap(), None);
    let first = place.ingestor("edge.log", 1 << 20).run(received_at(), &silent).await.unwrap();
    assert_eq!((first.report.accepted_total, first.report.rejected_total, first.report.lag_offsets()), (48, 6, 0));
    place.is_whole().await;
    assert_eq!(place.lake().watermark(&access_log::TABLE, &[]).await.unwrap(), Some(received_at()));
    std::fs::copy(place.path("edge.log"), place.path("copy.log")).unwrap();
    for name in ["edge.log", "copy.log"] {
        let again = place.ingestor(name, 1 << 20).run(received_at(), &silent).await.unwrap();
        assert_eq!((again.report.accepted_total, again.report.rejected_total, again.report.commits_total), (0, 0, 0));
        assert_eq!(again.source, first.source);
    }
    place.is_whole().await;
    let row = place.lake().rows(&access_log::TABLE, Some("kafka_offset = 59")).await.unwrap().remove(0);
    assert_eq!((row.text("event_id"), row.text("time_basis")), (Some("r59"), Some("end_minus_latency")));
    assert_eq!((row.text("gateway"), row.instant("received_at")), (Some("edge"), Some(received_at())));
    let source = row.text("source").unwrap();
    assert!(source.starts_with("file:/") && source.contains("edge.log@"), "{source}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_cut_off_is_taken_up() {
    let place = Place::new();
    // Cut off after the first, the second, … commit, each time by a process that knows nothing of the one before.
    for after in [1, 2, 1, 3] {
        let seen = Arc::new(tokio::sync::Notify::new());
        let told = seen.clone();
        let ingestor = place.ingestor("edge.log", 1000);
        let progress = move |progress: &Progress| {
            if progress.commits_total == after {
                told.notify_one();
            }
        };
        tokio::select! {
            biased;
            () = seen.notified() => {}
            result = ingestor.run(received_at(), &progress) => panic!("it ended: {result:?}"),
        }
    }
    let partly = place.offsets(&access_log::TABLE).await.len();
    assert!(partly > 0 && partly < 48, "{partly}");
    let last = place.ingestor("edge.log", 1000).run(received_at(), &silent).await.unwrap();
    assert!(last.report.accepted_total > 0 && last.report.commits_total > 1);
    place.is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_count_nothing_twice() {
    let place = Place::new();
    let (one, two) = (place.ingestor("edge.log", 500), place.ingestor("edge.log", 700));
    let (one, two) = tokio::join!(one.run(received_at(), &silent), two.run(received_at(), &silent));
    let (one, two) = (one.unwrap().report, two.unwrap().report);
    assert_eq!(one.accepted_total + two.accepted_total, 48, "{one:?} {two:?}");
    place.is_whole().await;
}

/// Killed after `rejected` was committed and before the main table was: the decisions stand, also where the next
/// process would decide otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn decisions_of_a_run_that_died_between_its_commits_stand() {
    let place = Place::new();
    let ingestor = place.ingestor("edge.log", 1 << 20);
    let survey = survey_of(&ingestor.path).unwrap();
    let door = ingestor.door(known::admit(&ingestor, &survey).await.unwrap().source);
    Committer::new(ingestor.lake.clone(), door.clone()).genesis(&BTreeMap::from([(PARTITION, 0)])).await.unwrap();
    let mut buffer = Buffer::new(PARTITION, 0, Decoder::Nginx);
    let rejection = Rejection::new("other", "a decoder of old did not know this form");
    for offset in [1, 3] {
        let payload = Some(&b"?"[..]);
        let message = Message { partition: PARTITION, offset, received_at: received_at(), payload, headers: &[] };
        buffer.reject_whole(&message, &rejection, &door, &Decided::new());
    }
    let sealed = buffer.seal(Decoder::Nginx).unwrap();
    let step = TxnStep { app_id: door.source.app_id(PARTITION), expected: None, next: sealed.to };
    let batches = vec![batch_of(&rejected::TABLE, &sealed.rejected).unwrap()];
    ingestor.lake.append_parts(&rejected::TABLE, &[Part { step, batches }]).await.unwrap();

    let report = place.ingestor("edge.log", 1 << 20).run(received_at(), &silent).await.unwrap().report;
    assert_eq!((report.accepted_total, report.rejected_total, report.decided_total), (47, 5, 2));
    let accepted: BTreeSet<i64> = place.offsets(&access_log::TABLE).await.into_iter().collect();
    let rejected = place.offsets(&rejected::TABLE).await;
    assert!(!accepted.contains(&1) && accepted.len() == 47);
    assert_eq!(rejected, [1, 3, 13, 23, 33, 43, 53]);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_trusted_are_told() {
    let place = Place::new();
    let missing = place.ingestor("none.log", 1).run(received_at(), &silent).await.unwrap_err();
    assert!(missing.to_string().contains("none.log cannot be read"), "{missing}");
    std::fs::write(place.path("a#b.log"), "{}").unwrap();
    let named = place.ingestor("a#b.log", 1).run(received_at(), &silent).await.unwrap_err();
    assert!(matches!(named, IngestError::FileName { .. }), "{named}");

    let ingestor = place.ingestor("edge.log", 1 << 20);
    let survey = survey_of(&ingestor.path).unwrap();
    let reading = |survey: &Survey| Reading {
        path: ingestor.path.clone(),
        survey: survey.clone(),
        door: Door {
            source: Source::file("edge.log", &survey.sha256).unwrap(),
            decoder: Decoder::Nginx,
            gateway: "edge".to_owned(),
            environment_default: None,
            keys: ingestor.keys.clone(),
        },
        from: 0,
        decided: Decided::new(),
        received_at: received_at(),
        batch_bytes_max: 1 << 20,
    };
    // What was appended since is left for the file's next name; what was changed is an error.
    for (text, lines) in [(text() + "x\nmore\n", Some(LINES_TOTAL)), (text().replace("r0", "r1"), None)] {
        std::fs::write(&ingestor.path, text).unwrap();
        let (out, mut handed) = tokio::sync::mpsc::channel(1);
        let reading = reading(&survey);
        let result = tokio::task::spawn_blocking(move || reading.run(&out)).await.unwrap();
        assert_eq!(result.is_ok(), lines.is_some(), "{result:?}");
        assert_eq!(handed.try_recv().ok().map(|sealed| sealed.to), lines);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_and_one_endless_line_are_files_too() {
    let place = Place::new();
    std::fs::write(place.path("empty.log"), "").unwrap();
    let report = place.ingestor("empty.log", 1).run(received_at(), &silent).await.unwrap().report;
    assert_eq!((report.accepted_total, report.rejected_total, report.lag_offsets()), (0, 0, 0));
    std::fs::write(place.path("long.log"), " ".repeat(LINE_BYTES_MAX + 1) + "\n{}").unwrap();
    let error = place.ingestor("long.log", 1 << 20).run(received_at(), &silent).await.unwrap_err();
    assert!(matches!(error, IngestError::NothingAccepted { rejected: 2, .. }), "{error}");
    let rows = place.lake().rows(&rejected::TABLE, Some("kafka_offset = 0")).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.text("reason")).collect::<Vec<_>>(), [Some("line_too_long")]);
}

/// Written as Windows writes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_byte_order_mark_is_no_part_of_the_first_line() {
    let place = Place::new();
    std::fs::write(place.path("edge.log"), format!("\u{feff}{}", text())).unwrap();
    let report = place.ingestor("edge.log", 1000).run(received_at(), &silent).await.unwrap().report;
    assert_eq!((report.accepted_total, report.rejected_total), (48, 6));
    place.is_whole().await;
}
