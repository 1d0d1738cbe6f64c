//! Ingest end to end from Apache Kafka, in CPU seconds of this process per million records, against its floors on the
//! same topic in the same run: consume and discard; the same and decode; the same and encode to Parquet in memory.
//! And the door from a file, on the same messages.
//!
//! `TOLLBOOK_REAL` must be set, or Kafka is left out. `TOLLBOOK_BENCH_EVENTS` and `TOLLBOOK_BENCH_ROUNDS` say how much.

mod encoding;
mod figures;
mod inputs;

#[allow(dead_code)]
#[path = "../tests/real/kafka.rs"]
mod kafka;
#[allow(dead_code)]
#[path = "../tests/real/parts.rs"]
mod parts;
#[allow(dead_code)]
#[path = "../tests/real/wire.rs"]
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tollbook_ingest::bench::Decoded;
use tollbook_ingest::{Budget, Decoder, FileIngestor, Ingestor, KafkaSettings};
use tollbook_lake::{Lake, parquet_properties};

use figures::{Took, measured, median, setting};
use inputs::{PARTITIONS, Partitions};
use kafka::Kafka;

const TOPIC: &str = "access";

/// Everything that a topic holds.
struct Topic {
    brokers: String,
    ends: BTreeMap<i32, i64>,
    messages: u64,
    bytes: u64,
}

impl Topic {
    /// Produces the traffic; the same messages go to a file, one a line.
    fn fill(kafka: &Kafka, events: u64, file: &Path) -> Self {
        kafka.make_topic(TOPIC, PARTITIONS);
        let producer = kafka.producer(TOPIC, None);
        let mut file = std::io::BufWriter::new(std::fs::File::create(file).unwrap());
        let (mut messages, mut bytes) = (0, 0);
        for message in inputs::world_of(events).traffic() {
            producer.send(message.partition, message.payload.as_deref());
            messages += 1;
            if let Some(payload) = &message.payload {
                bytes += u64::try_from(payload.len()).unwrap();
                // A message with a line break would be two lines.
                let line: Vec<u8> = payload.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect();
                file.write_all(&line).unwrap();
            }
            file.write_all(b"\n").unwrap();
        }
        producer.flush();
        file.flush().unwrap();
        let ends = (0..PARTITIONS).map(|partition| (partition, kafka.high_watermark(TOPIC, partition))).collect();
        Self { brokers: kafka.brokers().to_owned(), ends, messages, bytes }
    }

    /// Reads all of it, with the settings of the product's own consumer.
    fn consume(&self, mut take: impl FnMut(&BorrowedMessage<'_>)) {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", "bench")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true")
            .set("enable.partition.eof", "true")
            .set("queued.max.messages.kbytes", "16384")
            .set("fetch.queue.backoff.ms", "50")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        for partition in self.ends.keys() {
            list.add_partition_offset(TOPIC, *partition, Offset::Offset(0)).unwrap();
        }
        consumer.assign(&list).unwrap();
        let mut at_end = BTreeSet::new();
        let mut messages = 0;
        while at_end.len() < self.ends.len() {
            match consumer.poll(Duration::from_millis(50)) {
                None => {}
                Some(Ok(message)) => {
                    messages += 1;
                    take(&message);
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    at_end.insert(partition);
                }
                Some(Err(error)) => panic!("reading {TOPIC} failed: {error}"),
            }
        }
        assert_eq!(messages, self.messages, "the topic was not read whole");
    }

    /// Reads and decodes; hands over what ingest would commit together. Gives accepted and rejected.
    fn decode(&self, mut hand_over: impl FnMut(Vec<(i32, Decoded)>)) -> (usize, usize) {
        let mut partitions = Partitions::new(inputs::door(Decoder::Native, TOPIC));
        let (mut accepted, mut rejected) = (0, 0);
        let mut count = |sealed: Vec<(i32, Decoded)>| {
            accepted += sealed.iter().flat_map(|(_, part)| &part.accepted).map(|batch| batch.num_rows()).sum::<usize>();
            rejected += sealed.iter().map(|(_, part)| part.rejected_total).sum::<usize>();
            hand_over(sealed);
        };
        self.consume(|message| {
            let received_at = DateTime::from_timestamp_millis(message.timestamp().to_millis().unwrap_or(0)).unwrap();
            let (partition, offset) = (message.partition(), message.offset());
            if let Some(sealed) = partitions.push(partition, offset, received_at, message.payload(), &[]) {
                count(sealed);
            }
        });
        count(partitions.seal());
        (accepted, rejected)
    }

    fn discarding(&self) {
        let mut bytes = 0;
        self.consume(|message| bytes += message.payload_len());
        assert_eq!(u64::try_from(bytes).unwrap(), self.bytes);
    }

    fn decoding(&self) -> (usize, usize) {
        self.decode(|sealed| {
            black_box(sealed);
        })
    }

    fn encoding(&self) -> (usize, usize) {
        self.decode(|sealed| {
            for batch in sealed.iter().flat_map(|(_, part)| &part.accepted) {
                for day in encoding::by_day(batch) {
                    black_box(encoding::parquet(&day, parquet_properties()));
                }
            }
        })
    }

    /// What an operator runs.
    fn ingest(&self, runtime: &Runtime, now: DateTime<Utc>) -> (usize, usize) {
        let folder = tempfile::tempdir().unwrap();
        let ingestor = Ingestor {
            lake: Lake::open(&folder.path().display().to_string()).unwrap(),
            door: inputs::door(Decoder::Native, TOPIC),
            kafka: KafkaSettings {
                brokers: self.brokers.clone(),
                topic: TOPIC.to_owned(),
                properties: BTreeMap::new(),
            },
            budget: Budget::default(),
        };
        let report = runtime.block_on(ingestor.until_caught_up(now, &|_| {})).unwrap();
        (usize::try_from(report.accepted_total).unwrap(), usize::try_from(report.rejected_total).unwrap())
    }
}

fn ingest_file(runtime: &Runtime, file: &Path, now: DateTime<Utc>) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let door = inputs::door(Decoder::Native, TOPIC);
    let ingestor = FileIngestor {
        lake: Lake::open(&folder.path().display().to_string()).unwrap(),
        path: file.to_owned(),
        decoder: Decoder::Native,
        gateway: door.gateway,
        environment_default: None,
        generation: None,
        begun_at: now,
        keys: door.keys,
        budget: Budget::default(),
    };
    let report = runtime.block_on(ingestor.run(now, &|_| {})).unwrap().report;
    usize::try_from(report.accepted_total).unwrap()
}

fn main() {
    let events = setting("EVENTS", 1_000_000);
    let rounds = setting("ROUNDS", 3);
    let Some(kafka) = Kafka::shared() else {
        figures::write("ingest", &json!({ "left_out": "Apache Kafka was not asked for, or cannot be had" }));
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.jsonl");
    let world = inputs::world_of(events);
    let topic = Topic::fill(&kafka, events, &file);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut took: BTreeMap<&str, Vec<Took>> = BTreeMap::new();
    let mut totals = BTreeSet::new();
    // Round by round, so that a disturbance meets all ways alike.
    for round in 1..=rounds {
        took.entry("consume and discard").or_default().push(measured(|| topic.discarding()).1);
        let (total, time) = measured(|| topic.decoding());
        totals.insert(total);
        took.entry("consume, decode").or_default().push(time);
        let (total, time) = measured(|| topic.encoding());
        totals.insert(total);
        took.entry("consume, decode, encode").or_default().push(time);
        let (total, time) = measured(|| topic.ingest(&runtime, world.now()));
        totals.insert(total);
        took.entry("tollbook ingest, from Kafka").or_default().push(time);
        let (accepted, time) = measured(|| ingest_file(&runtime, &file, world.now()));
        took.entry("tollbook ingest, from a file").or_default().push(time);
        println!("ingest: round {round} of {rounds}: {total:?} accepted and rejected; from the file {accepted}");
    }
    assert_eq!(totals.len(), 1, "the ways accepted different records: {totals:?}");
    let (accepted, rejected) = totals.into_iter().next().unwrap();
    let millions = (accepted as f64 + rejected as f64) / 1e6;
    let per_million = |seconds: fn(&Took) -> f64, took: &[Took]| median(took.iter().map(seconds).collect()) / millions;
    let ways: serde_json::Map<String, Value> = took
        .iter()
        .map(|(name, took)| {
            let figures = json!({
                "cpu_seconds_per_million": per_million(|took| took.cpu_seconds, took),
                "wall_seconds_per_million": per_million(|took| took.wall_seconds, took),
            });
            ((*name).to_owned(), figures)
        })
        .collect();
    let figures = json!({
        "messages": topic.messages, "bytes": topic.bytes, "accepted": accepted, "rejected": rejected,
        "rounds": rounds, "partitions": PARTITIONS, "ways": ways,
    });
    figures::write("ingest", &figures);
}
