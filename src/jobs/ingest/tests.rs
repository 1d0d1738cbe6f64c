use std::path::Path;
use std::sync::atomic::Ordering;

use rdkafka::config::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tollbook_lake::TxnStep;
use tollbook_schemas::error::Kind;
use tollbook_schemas::tables::runs::JOB_RUN;
use tollbook_schemas::tables::{Row, access_log};

use super::*;
use crate::jobs::kind_of;

const TOPIC: &str = "access-log";
const SOURCE: &str = "here/access-log/1";
const GOOD: &str = r#"{"event_id":"e","occurred_at":"2026-06-01T00:00:00Z"}"#;

/// A configuration of one topic in a folder, as a process of its own opens it.
fn context(folder: &Path, brokers: &str) -> JobContext {
    std::fs::write(folder.join("credential.key"), "a key of the tests").unwrap();
    let text = format!(
        r#"lake.root = "lake"
catalog.folder = "catalog"
ingest = {{ commit_interval_ms = 100, checkpoint_commits = 2 }}
kafka = {{ brokers = "{brokers}", cluster_alias = "here" }}
credentials.current = {{ key_id = "t1", secret_file = "credential.key" }}

[[topic]]
name = "{TOPIC}"
decoder = "native"
gateway = "edge"
generation = "1"
"#
    );
    std::fs::write(folder.join("tollbook.toml"), text).unwrap();
    JobContext::open(&folder.join("tollbook.toml")).unwrap()
}

fn produce(brokers: &str, payloads: &[&str]) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    for payload in payloads {
        let record: BaseRecord<'_, str, str> = BaseRecord::to(TOPIC).partition(0).payload(payload);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(10)).unwrap();
}

/// The runs, first to last.
async fn runs(context: &JobContext) -> Vec<Row> {
    let mut runs = context.lake.rows(&JOB_RUN, None).await.unwrap();
    runs.sort_by_key(|run| run.instant("started_at"));
    runs
}

/// Job, result, mode, accepted and rejected; of the source named, what it tells; the next offset of the topic.
fn told(run: &Row, source: &str) -> (String, String, String, u64, u64, u64, Option<i64>) {
    let json = |column: &str| -> Value { serde_json::from_str(run.text(column).unwrap()).unwrap() };
    let (counts, pin) = (json("counts"), json("pin"));
    let text = |column: &str| run.text(column).unwrap().to_owned();
    (
        text("job"),
        text("result"),
        counts["mode"].as_str().unwrap().to_owned(),
        counts["accepted"].as_u64().unwrap(),
        counts["rejected"].as_u64().unwrap(),
        counts["sources"][source]["accepted"].as_u64().unwrap(),
        pin["access_log"][SOURCE]["0"].as_i64(),
    )
}

fn row(
    job: &str,
    result: &str,
    mode: &str,
    counts: [u64; 3],
    next: Option<i64>,
) -> (String, String, String, u64, u64, u64, Option<i64>) {
    let [accepted, rejected, of_source] = counts;
    (job.to_owned(), result.to_owned(), mode.to_owned(), accepted, rejected, of_source, next)
}

/// Bounded, as a service, and failing: each run has a row with what it committed and where the table stands.
#[tokio::test(flavor = "multi_thread")]
async fn every_run_of_a_topic_is_told_with_what_is_committed() {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic(TOPIC, 1, 1).unwrap();
    let (brokers, folder) = (mock.bootstrap_servers(), tempfile::tempdir().unwrap());
    let context = context(folder.path(), &brokers);
    produce(&brokers, &[GOOD, "garbage", GOOD]);
    until_caught_up(&context).await.unwrap();
    produce(&brokers, &[GOOD, GOOD]);
    let stop = Arc::new(AtomicBool::new(false));
    let watching = {
        let (lake, stop) = (context.lake.clone(), stop.clone());
        tokio::spawn(async move {
            while lake.rows(&access_log::TABLE, None).await.unwrap().len() < 4 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            stop.store(true, Ordering::Relaxed);
        })
    };
    until_stopped(&context, &stop).await.unwrap();
    watching.await.unwrap();
    // The table says that more was read than the topic has: the topic was made again.
    produce(&brokers, &[GOOD]);
    let step = TxnStep { app_id: format!("{SOURCE}#0"), expected: Some(5), next: 99 };
    context.lake.append(&access_log::TABLE, &[], &[step]).await.unwrap();
    let error = until_caught_up(&context).await.unwrap_err();
    assert!(kind_of(&error) == Some(Kind::Data) && error.to_string().contains("made again"), "{error:#}");
    let runs = runs(&context).await;
    let found: Vec<_> = runs
        .iter()
        .map(|run| match run.text("result") {
            Some("ok") => told(run, SOURCE),
            // It failed before it knew a source.
            _ => {
                let counts: Value = serde_json::from_str(run.text("counts").unwrap()).unwrap();
                assert_eq!(counts["sources"], json!({}));
                row(
                    run.text("job").unwrap(),
                    run.text("result").unwrap(),
                    counts["mode"].as_str().unwrap(),
                    [0, 0, 0],
                    Some(99),
                )
            }
        })
        .collect();
    assert_eq!(
        found,
        [
            row(JOB, "ok", "until caught up", [2, 1, 2], Some(3)),
            row(JOB, "ok", "service", [2, 0, 2], Some(5)),
            row(JOB, "data", "until caught up", [0, 0, 0], Some(99)),
        ]
    );
    // The versions are those behind the commits: `--as-of-run` reads them.
    assert!(runs[1].text("table_versions").unwrap().contains("\"access_log\":"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_of_a_source_ends_at_once_and_is_not_told() {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic(TOPIC, 1, 1).unwrap();
    let (brokers, folder) = (mock.bootstrap_servers(), tempfile::tempdir().unwrap());
    let (one, two) = (context(folder.path(), &brokers), context(folder.path(), &brokers));
    let stop = Arc::new(AtomicBool::new(false));
    let service = {
        let (one, stop) = (one.clone(), stop.clone());
        tokio::spawn(async move { until_stopped(&one, &stop).await })
    };
    let asks = Arc::new(AtomicBool::new(true));
    // Once the service reads, everybody else is refused: the topic, and no file. To ask for its lock would be to take
    // it from the service, where that has not begun.
    produce(&brokers, &[GOOD]);
    while one.lake.rows(&access_log::TABLE, None).await.unwrap().is_empty() {
        assert!(!service.is_finished(), "the service ended: {:?}", service.await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for error in [until_caught_up(&two).await.unwrap_err(), until_stopped(&two, &asks).await.unwrap_err()] {
        assert!(kind_of(&error) == Some(Kind::Conflict) && error.to_string().contains(SOURCE), "{error:#}");
    }
    let path = folder.path().join("given.log");
    std::fs::write(&path, GOOD).unwrap();
    file(&two, given(&path)).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    service.await.unwrap().unwrap();
    // Nobody waits for a lease of one that has ended.
    until_caught_up(&two).await.unwrap();
    let jobs: Vec<_> = runs(&two).await.iter().map(|run| run.text("job").unwrap().to_owned()).collect();
    assert_eq!(jobs, [JOB, FILE_JOB, JOB]);
}

fn given(path: &Path) -> GivenFile {
    GivenFile {
        path: path.to_owned(),
        decoder: "native".to_owned(),
        gateway: Some("edge".to_owned()),
        environment: None,
        generation: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_told_by_its_source_and_read_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path(), "127.0.0.1:1");
    let path = folder.path().join("given.log");
    std::fs::write(&path, format!("{GOOD}\ngarbage\n")).unwrap();
    let source = file(&context, given(&path)).await.unwrap().source;
    file(&context, given(&path)).await.unwrap();
    // Configuration that is wrong is not a run.
    let missing = file(&context, given(&folder.path().join("missing.log"))).await.unwrap_err();
    assert_eq!(kind_of(&missing), Some(Kind::Configuration), "{missing:#}");
    let held = context.lake.lock(&format!("{FILE_JOB} {}", path.canonicalize().unwrap().display())).unwrap();
    let error = file(&context, given(&path)).await.unwrap_err();
    assert_eq!(kind_of(&error), Some(Kind::Conflict), "{error:#}");
    drop(held);
    let found: Vec<_> = runs(&context).await.iter().map(|run| told(run, source.as_str())).collect();
    assert_eq!(found, [row(FILE_JOB, "ok", "file", [1, 1, 1], None), row(FILE_JOB, "ok", "file", [0, 0, 0], None)],);
}
