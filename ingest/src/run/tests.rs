//! The consumer against librdkafka's own mock broker, in this process.

use std::collections::BTreeSet;

use rdkafka::config::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use tollbook_schemas::source::Source;
use tollbook_schemas::tables::{access_log, rejected};

use tollbook_schemas::tables::Table;

use super::*;
use crate::credential::{CredentialKey, KeyRing};
use crate::decode::Decoder;

const TOPIC: &str = "access-log";
const PARTITIONS: i32 = 3;
const MESSAGES: i32 = 1000;

/// What a message holds: the records that are accepted and rejected of it, by its number.
fn message(number: i32) -> (Option<String>, &'static [bool]) {
    let good = format!(r#"{{"event_id":"e{number}","occurred_at":"2026-06-01T00:00:00Z"}}"#);
    match number % 11 {
        2 => (Some("garbage".to_owned()), &[false]),
        5 => (Some(format!("[{good},{{}},{good}]")), &[true, false, true]),
        7 => (None, &[false]),
        9 => (Some(String::new()), &[false]),
        _ => (Some(good), &[true]),
    }
}

/// Partition, offset and index of a record.
type Place = (i64, i64, i64);

/// The places of all records of the topic that are to be accepted (or rejected).
fn expected(accepted: bool) -> Vec<Place> {
    let mut places: Vec<Place> = (0..MESSAGES)
        .flat_map(|number| {
            let (partition, offset) = (i64::from(number % PARTITIONS), i64::from(number / PARTITIONS));
            let records = (0_i64..).zip(message(number).1);
            records.filter(move |(_, is)| **is == accepted).map(move |(index, _)| (partition, offset, index))
        })
        .collect();
    places.sort_unstable();
    places
}

struct World {
    folder: tempfile::TempDir,
    brokers: String,
    _mock: MockCluster<'static, DefaultProducerContext>,
}

impl World {
    fn new() -> Self {
        let mock = MockCluster::new(1).unwrap();
        mock.create_topic(TOPIC, PARTITIONS, 1).unwrap();
        let brokers = mock.bootstrap_servers();
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &brokers)
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .create()
            .unwrap();
        for number in 0..MESSAGES {
            let (payload, _) = message(number);
            let mut record: BaseRecord<'_, str, str> =
                BaseRecord::to(TOPIC).partition(number % PARTITIONS).timestamp(1_780_300_000_000 + i64::from(number));
            if let Some(payload) = &payload {
                record = record.payload(payload);
            }
            producer.send(record).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), brokers, _mock: mock }
    }

    fn lake(&self) -> Lake {
        Lake::open(self.folder.path().to_str().unwrap()).unwrap()
    }

    /// As a process of its own would have it.
    fn ingestor(&self, batch_bytes_max: usize) -> Ingestor {
        Ingestor {
            lake: self.lake(),
            door: Door {
                source: Source::kafka("test", TOPIC, "1").unwrap(),
                decoder: Decoder::Native,
                gateway: "edge".to_owned(),
                environment_default: None,
                keys: KeyRing { current: CredentialKey::new("k1", "secret"), previous: None },
            },
            kafka: KafkaSettings {
                brokers: self.brokers.clone(),
                topic: TOPIC.to_owned(),
                properties: BTreeMap::new(),
            },
            budget: Budget { batch_bytes_max, ..Budget::default() },
        }
    }

    async fn places(&self, table: &'static Table) -> Vec<Place> {
        let rows = self.lake().rows(table, None).await.unwrap();
        let place = ["kafka_partition", "kafka_offset", "record_index"];
        let mut places: Vec<Place> = rows
            .iter()
            .map(|row| {
                let [partition, offset, index] = place.map(|column| row.int(column).unwrap());
                (partition, offset, index)
            })
            .collect();
        places.sort_unstable();
        places
    }

    /// I1: every record of every offset is accepted or rejected, once.
    async fn is_whole(&self) {
        assert_eq!(self.places(&access_log::TABLE).await, expected(true));
        assert_eq!(self.places(&rejected::TABLE).await, expected(false));
    }
}

fn clock_at() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_780_400_000_000).unwrap()
}

fn silent(_: &Progress) {}

fn total(accepted: bool) -> u64 {
    u64::try_from(expected(accepted).len()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_taken_in_once() {
    let world = World::new();
    let first = world.ingestor(1 << 20).until_caught_up(clock_at(), &silent).await.unwrap();
    assert_eq!((first.accepted_total, first.rejected_total, first.lag_offsets()), (total(true), total(false), 0));
    assert_eq!(
        world.lake().watermark(&access_log::TABLE, &[Source::kafka("test", TOPIC, "1").unwrap()]).await.unwrap(),
        Some(clock_at())
    );
    let again = world.ingestor(1 << 20).until_caught_up(clock_at(), &silent).await.unwrap();
    assert_eq!((again.accepted_total, again.rejected_total, again.commits_total), (0, 0, 0));
    world.is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_consumers_at_once_count_nothing_twice() {
    let world = World::new();
    let (one, two) = (world.ingestor(60_000), world.ingestor(90_000));
    let (one, two) = tokio::join!(one.until_caught_up(clock_at(), &silent), two.until_caught_up(clock_at(), &silent));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.accepted_total + two.accepted_total, total(true), "{one:?} {two:?}");
    world.is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_cut_off_is_taken_up() {
    let world = World::new();
    for after in [1, 2] {
        let seen = Arc::new(tokio::sync::Notify::new());
        let told = seen.clone();
        let ingestor = world.ingestor(60_000);
        let progress = move |progress: &Progress| {
            if progress.commits_total == after {
                told.notify_one();
            }
        };
        tokio::select! {
            biased;
            () = seen.notified() => {}
            result = ingestor.until_caught_up(clock_at(), &progress) => panic!("it ended: {result:?}"),
        }
    }
    let partly = world.places(&access_log::TABLE).await.len();
    assert!(partly > 0 && partly < expected(true).len(), "{partly}");
    world.ingestor(1 << 20).until_caught_up(clock_at(), &silent).await.unwrap();
    world.is_whole().await;
}

/// Each row puts frontiers into a lake that the topic contradicts. Nothing may be guessed then.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_contradicts_the_lake_stops_the_run() {
    let world = World::new();
    let high = world.ingestor(1).watermarks().await.unwrap()[&0].1;
    for (frontiers, word) in [
        // The topic was truncated, or made again.
        (BTreeMap::from([(0, high + 1), (1, 0), (2, 0)]), "ends at"),
        // The table was restored or damaged.
        (BTreeMap::from([(0, 0), (2, 0)]), "has no frontier"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut ingestor = world.ingestor(1 << 20);
        ingestor.lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
        Committer::new(ingestor.lake.clone(), ingestor.door.clone()).genesis(&frontiers).await.unwrap();
        let error = ingestor.until_caught_up(clock_at(), &silent).await.unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
        assert!(ingestor.lake.rows(&access_log::TABLE, None).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_run_commits_what_it_holds() {
    let world = World::new();
    let stop = Arc::new(AtomicBool::new(false));
    let told = stop.clone();
    // Small commits; told to stop at the first.
    let progress = move |progress: &Progress| told.store(progress.commits_total > 0, Ordering::Relaxed);
    let report = world.ingestor(60_000).until_stopped(None, &stop, &progress).await.unwrap();
    let accepted: BTreeSet<Place> = world.places(&access_log::TABLE).await.into_iter().collect();
    assert_eq!(u64::try_from(accepted.len()).unwrap(), report.accepted_total);
    world.ingestor(1 << 20).until_caught_up(clock_at(), &silent).await.unwrap();
    world.is_whole().await;
}

/// A service records how far it has read without ever ending: at its start, and again at each interval.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_tells_how_far_it_has_read() {
    let world = World::new();
    let stop = Arc::new(AtomicBool::new(false));
    let mut service = world.ingestor(60_000);
    service.budget.watermark_interval = Duration::from_millis(20);
    let asked = Arc::new(std::sync::atomic::AtomicI64::new(0));
    let clock: Clock = {
        let asked = asked.clone();
        // A clock that goes on by a second whenever it is looked at.
        Arc::new(move || clock_at() + chrono::Duration::seconds(asked.fetch_add(1, Ordering::Relaxed)))
    };
    let running = {
        let stop = stop.clone();
        tokio::spawn(async move { service.until_stopped(Some(clock), &stop, &silent).await })
    };
    let sources = [Source::kafka("test", TOPIC, "1").unwrap()];
    let lake = world.lake();
    let passed = async |later_than: DateTime<Utc>| {
        for _ in 0..400 {
            if let Some(passed) =
                lake.watermark(&access_log::TABLE, &sources).await.unwrap().filter(|p| *p > later_than)
            {
                return passed;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("no watermark later than {later_than}")
    };
    let first = passed(DateTime::UNIX_EPOCH).await;
    world.is_whole().await;
    let second = passed(first).await;
    assert!(second > first);
    stop.store(true, Ordering::Relaxed);
    running.await.unwrap().unwrap();
}
