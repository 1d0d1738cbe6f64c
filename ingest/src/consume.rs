//! The consumer: a thread of its own that polls Kafka, decodes straight from librdkafka's buffers and hands sealed
//! buffers to the committer.
//!
//! Partitions are assigned by hand, with their offsets inside the assignment: a seek could race with what is already
//! being fetched, and the table, not the consumer group, is the lock. Memory is bounded in bytes: what is buffered
//! here, what waits in the channel (one hand-over) and librdkafka's own queue each have a limit.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::mpsc::Sender;
use tollbook_schemas::error::{Classified as _, Kind};

use crate::buffer::{Buffer, Decided, Sealed};
use crate::decode::{Decoder, Door, Message};
use crate::error::IngestError;
use crate::run::Budget;
use crate::watermark::{Clock, Round, Step};

const METADATA_TIMEOUT: Duration = Duration::from_secs(10);
/// The end of the year 2199: later record times are mistakes of a producer.
const MILLIS_MAX: i64 = 7_258_118_399_999;
const POLL_TIMEOUT: Duration = Duration::from_millis(50);
/// How long to wait before asking again whether a transaction has ended.
const UNSETTLED: Duration = Duration::from_secs(1);

/// Where a topic is. `Debug` shows the names of the further properties only: a value may be a password.
#[derive(Clone)]
pub struct KafkaSettings {
    /// Bootstrap servers.
    pub brokers: String,
    /// Topic.
    pub topic: String,
    /// Further librdkafka properties, such as those of TLS and SASL.
    pub properties: BTreeMap<String, String>,
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.properties.keys().collect();
        f.debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .field("topic", &self.topic)
            .field("properties", &names)
            .finish()
    }
}

/// First and next offset of each partition, at one moment.
pub(crate) type Watermarks = BTreeMap<i32, (i64, i64)>;

/// Next offset of each partition, at one moment.
pub(crate) type Ends = BTreeMap<i32, i64>;

/// Whether everything below the ends may be read: no transaction that began before is open any more. Only then does
/// reading up to `readable` say that everything up to the ends was read.
pub(crate) fn is_settled(ends: &Ends, readable: &Watermarks) -> bool {
    ends.iter().all(|(partition, end)| readable.get(partition).is_some_and(|(_, next)| next >= end))
}

/// Whether the topic can still be the one that is read: it has the partitions that are read, and none ends before the
/// offset that is read next. Kafka never takes records back that it has shown, so a topic that ends earlier was deleted
/// and made again, or lost its end. Reading on would wait until its offsets had come so far, and lose all before.
fn is_what_is_read(stands: &Ends, readable: &Watermarks) -> bool {
    readable.keys().eq(stands.keys())
        && stands.iter().all(|(partition, next)| readable.get(partition).is_some_and(|(_, end)| next <= end))
}

impl KafkaSettings {
    pub(crate) fn failed(&self, doing: &'static str) -> impl FnOnce(KafkaError) -> IngestError + use<> {
        let (brokers, topic) = (self.brokers.clone(), self.topic.clone());
        move |source| IngestError::Kafka { brokers, topic, doing, source: Box::new(source) }
    }

    fn consumer(&self) -> Result<BaseConsumer, IngestError> {
        self.consumer_of("read_committed")
    }

    fn consumer_of(&self, isolation: &str) -> Result<BaseConsumer, IngestError> {
        let mut config = ClientConfig::new();
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        // After the user's own, so that nothing that exactly-once rests on can be set otherwise.
        config
            .set("bootstrap.servers", &self.brokers)
            // librdkafka wants a name even where no group is joined.
            .set("group.id", "tollbook")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // Out of range must stop, not jump: a jump would lose or double.
            .set("auto.offset.reset", "error")
            .set("isolation.level", isolation)
            .set("check.crcs", "true")
            .set("enable.partition.eof", "true")
            .set("queued.max.messages.kbytes", "16384")
            .set("fetch.queue.backoff.ms", "50");
        // librdkafka quotes a wrong property with its value, which may be a password: only the name is told.
        config.create().map_err(|error| match error {
            KafkaError::ClientConfig(_, _, property, _) => IngestError::Property { property },
            other => self.failed("creating the consumer")(other),
        })
    }

    /// Assigns partitions, each with its offset inside the assignment; what was fetched for an earlier one is dropped.
    fn assign(&self, consumer: &BaseConsumer, offsets: &BTreeMap<i32, i64>) -> Result<(), IngestError> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))
                .map_err(self.failed("assigning partitions"))?;
        }
        consumer.assign(&list).map_err(self.failed("assigning partitions"))
    }

    /// The partitions of the topic with their first offsets and the next ones that may be read: a consumer that reads
    /// only what is committed is told no end behind the first open transaction. Blocks.
    pub(crate) fn watermarks(&self) -> Result<Watermarks, IngestError> {
        self.watermarks_of(&self.consumer()?)
    }

    /// The next offset of each partition, records of open transactions included. Blocks.
    pub(crate) fn ends(&self) -> Result<Ends, IngestError> {
        let watermarks = self.watermarks_of(&self.consumer_of("read_uncommitted")?)?;
        Ok(watermarks.into_iter().map(|(partition, (_, end))| (partition, end)).collect())
    }

    fn watermarks_of(&self, consumer: &BaseConsumer) -> Result<Watermarks, IngestError> {
        let metadata = consumer
            .fetch_metadata(Some(&self.topic), METADATA_TIMEOUT)
            .map_err(self.failed("reading the metadata"))?;
        let partitions: Vec<i32> =
            metadata.topics().iter().flat_map(|topic| topic.partitions()).map(|partition| partition.id()).collect();
        if partitions.is_empty() {
            return Err(IngestError::NoTopic { brokers: self.brokers.clone(), topic: self.topic.clone() });
        }
        let mut watermarks = BTreeMap::new();
        for partition in partitions {
            let pair = consumer
                .fetch_watermarks(&self.topic, partition, METADATA_TIMEOUT)
                .map_err(self.failed("reading the watermarks"))?;
            watermarks.insert(partition, pair);
        }
        Ok(watermarks)
    }
}

/// The topic's ends, open transactions included, and the instant before which they were not asked for.
struct Asked {
    asked_at: DateTime<Utc>,
    ends: Ends,
}

/// What the thread hands over.
#[derive(Debug)]
pub(crate) enum Handed {
    /// Rows to commit.
    Sealed(Vec<Sealed>),
    /// Everything up to the wanted offsets has been handed over.
    CaughtUp,
    /// Where the topic ends now.
    Ends(BTreeMap<i32, i64>),
    /// Everything that the topic held at this instant has been handed over.
    Passed(DateTime<Utc>),
    /// The topic is not as it is read: it has other partitions, or ends before what was read.
    Changed,
}

/// What the thread needs to start.
pub(crate) struct Consuming {
    pub settings: KafkaSettings,
    pub door: Door,
    /// Next offset of each partition.
    pub assignment: BTreeMap<i32, i64>,
    pub decided: HashMap<i32, Decided>,
    /// Where to end; `None` to go on until stopped.
    pub until: Option<BTreeMap<i32, i64>>,
    /// With it, tells at intervals how far it has read.
    pub clock: Option<Clock>,
    pub budget: Budget,
    pub stop: Arc<AtomicBool>,
}

impl Consuming {
    /// Runs until it has caught up, is told to stop, or fails; what it holds then is handed over.
    pub(crate) fn run(self, out: &Sender<Handed>) -> Result<(), IngestError> {
        let consumer = self.settings.consumer()?;
        self.settings.assign(&consumer, &self.assignment)?;
        let decoder = self.door.decoder;
        let mut buffers: BTreeMap<i32, Buffer> =
            self.assignment.iter().map(|(p, offset)| (*p, Buffer::new(*p, *offset, decoder))).collect();
        let ended = self.read(&consumer, &mut buffers, out);
        if ended.is_err() {
            // Kafka may not have it any more: a topic that was deleted is an error too.
            hand_over(&mut buffers, decoder, out)?;
        }
        ended
    }

    fn read(
        &self,
        consumer: &BaseConsumer,
        buffers: &mut BTreeMap<i32, Buffer>,
        out: &Sender<Handed>,
    ) -> Result<(), IngestError> {
        let decoder = self.door.decoder;
        let mut at_end: BTreeSet<i32> = BTreeSet::new();
        let mut sealed_at = Instant::now();
        let mut round: Option<Round> = None;
        let mut round_due_at = Instant::now();
        let mut asked: Option<Asked> = None;
        loop {
            let stopping = self.stop.load(Ordering::Relaxed);
            match consumer.poll(POLL_TIMEOUT) {
                None => {}
                Some(Ok(message)) => {
                    self.take(&message, buffers);
                    if let Some(round) = &mut round {
                        round.heard(message.partition(), Instant::now());
                    }
                }
                // The end of what exists: control records at the end never become messages, so offsets alone would
                // wait for ever.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    at_end.insert(partition);
                    if let Some(round) = &mut round {
                        round.at_end(partition);
                    }
                }
                Some(Err(error)) if is_passing(&error, self.until.is_some()) => {}
                Some(Err(error)) => return Err(self.settings.failed("reading")(error)),
            }
            let caught_up = self.until.as_ref().is_some_and(|until| {
                until.iter().all(|(partition, high)| {
                    at_end.contains(partition) || buffers.get(partition).is_none_or(|b| b.next_offset() >= *high)
                })
            });
            let passed = self.passed(consumer, &mut round, buffers)?;
            let bytes: usize = buffers.values().map(Buffer::bytes).sum();
            let due = bytes >= self.budget.batch_bytes_max || sealed_at.elapsed() >= self.budget.commit_interval;
            if due || caught_up || stopping || passed.is_some() {
                hand_over(buffers, decoder, out)?;
                sealed_at = Instant::now();
            }
            if caught_up {
                // The receiver may be gone already; then nobody waits for the word.
                let _ = out.blocking_send(Handed::CaughtUp);
                return Ok(());
            }
            if let Some(asked_at) = passed {
                // After the rows, through the same channel: whoever receives it has committed them.
                let _ = out.blocking_send(Handed::Passed(asked_at));
            }
            if stopping || out.is_closed() {
                return Ok(());
            }
            if round.is_none()
                && Instant::now() >= round_due_at
                && let Some(clock) = &self.clock
            {
                match self.ask(clock, asked.take()) {
                    Ok((question, readable)) if is_what_is_read(&stands(buffers), &readable) => {
                        let ends: Ends = readable.iter().map(|(partition, (_, next))| (*partition, *next)).collect();
                        let _ = out.blocking_send(Handed::Ends(ends.clone()));
                        if is_settled(&question.ends, &readable) {
                            round = Some(Round::new(question.asked_at, ends, Instant::now()));
                            round_due_at = Instant::now() + self.budget.watermark_interval;
                        } else {
                            // The same question again, until its transactions have ended.
                            asked = Some(question);
                            round_due_at = Instant::now() + self.budget.watermark_interval.min(UNSETTLED);
                        }
                    }
                    Ok(_) => {
                        hand_over(buffers, decoder, out)?;
                        // Whoever begins again from the table looks what it is: partitions more, or another topic.
                        let _ = out.blocking_send(Handed::Changed);
                        return Ok(());
                    }
                    // The broker is away: reading says so where it lasts, and the next question may be answered.
                    Err(error) if error.kind() == Kind::Retry => {
                        round_due_at = Instant::now() + self.budget.watermark_interval;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Takes a step of the round, if there is one; gives the instant that has passed, and ends the round then.
    fn passed(
        &self,
        consumer: &BaseConsumer,
        round: &mut Option<Round>,
        buffers: &BTreeMap<i32, Buffer>,
    ) -> Result<Option<DateTime<Utc>>, IngestError> {
        let Some(open) = round else { return Ok(None) };
        match open.step(|partition| buffers.get(&partition).map(Buffer::next_offset), Instant::now()) {
            Step::Wait => Ok(None),
            Step::Passed(asked_at) => {
                *round = None;
                Ok(Some(asked_at))
            }
            Step::BeginAnew => {
                self.settings.assign(consumer, &stands(buffers))?;
                Ok(None)
            }
        }
    }

    /// Asks for the topic's ends, the clock first (what came between counts as not yet read), where no question is
    /// open; then up to where it may be read now.
    fn ask(&self, clock: &Clock, open: Option<Asked>) -> Result<(Asked, Watermarks), IngestError> {
        let asked = match open {
            Some(asked) => asked,
            None => {
                let asked_at = clock();
                Asked { asked_at, ends: self.settings.ends()? }
            }
        };
        Ok((asked, self.settings.watermarks()?))
    }

    fn take(&self, message: &rdkafka::message::BorrowedMessage<'_>, buffers: &mut BTreeMap<i32, Buffer>) {
        // A record time that no calendar has (a producer may set any) must not stop the partition. The epoch stands
        // for "not known": it decides neither hour nor price.
        let time_ms = message.timestamp().to_millis().filter(|ms| (0..=MILLIS_MAX).contains(ms)).unwrap_or(0);
        let received_at = DateTime::from_timestamp_millis(time_ms).unwrap_or(DateTime::UNIX_EPOCH);
        let mut headers = Vec::new();
        if self.door.decoder == Decoder::CloudEvents
            && let Some(found) = message.headers()
        {
            let pairs = found.iter().map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()));
            headers.extend(pairs);
        }
        let partition = message.partition();
        let message =
            Message { partition, offset: message.offset(), received_at, payload: message.payload(), headers: &headers };
        let nothing = Decided::new();
        let decided = self.decided.get(&partition).unwrap_or(&nothing);
        if let Some(buffer) = buffers.get_mut(&partition) {
            buffer.push(&message, &self.door, decided);
        }
    }
}

/// The offset that each partition waits for.
fn stands(buffers: &BTreeMap<i32, Buffer>) -> Ends {
    buffers.iter().map(|(partition, buffer)| (*partition, buffer.next_offset())).collect()
}

fn hand_over(buffers: &mut BTreeMap<i32, Buffer>, decoder: Decoder, out: &Sender<Handed>) -> Result<(), IngestError> {
    let full = buffers.values_mut().filter(|buffer| !buffer.is_empty());
    let sealed: Vec<Sealed> = full.map(|buffer| buffer.seal(decoder)).collect::<Result<_, _>>()?;
    if !sealed.is_empty() {
        // Blocks while the committer is busy: that is the back-pressure. A closed channel is seen by the caller.
        let _ = out.blocking_send(Handed::Sealed(sealed));
    }
    Ok(())
}

/// Whether librdkafka will mend it by itself. A bounded run does not wait for a broker that is gone.
fn is_passing(error: &KafkaError, bounded: bool) -> bool {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::AllBrokersDown) => !bounded,
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::RequestTimedOut
            | RDKafkaErrorCode::Resolve,
        ) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_ends_before_what_was_read_is_another_one() {
        for (name, stands, readable, is_it) in [
            ("more to read", &[(0, 5), (1, 0)][..], &[(0, (0, 9)), (1, (0, 0))][..], true),
            ("read to its end", &[(0, 5)], &[(0, (0, 5))], true),
            ("retention has come behind what was read", &[(0, 5)], &[(0, (5, 5))], true),
            ("made again, shorter", &[(0, 5)], &[(0, (0, 4))], false),
            ("made again, empty", &[(0, 5)], &[(0, (0, 0))], false),
            ("one of two is shorter", &[(0, 5), (1, 5)], &[(0, (0, 9)), (1, (0, 4))], false),
            ("partitions were added", &[(0, 5)], &[(0, (0, 5)), (1, (0, 0))], false),
            ("partitions are gone", &[(0, 5), (1, 0)], &[(0, (0, 5))], false),
        ] {
            let (stands, readable) = (stands.iter().copied().collect(), readable.iter().copied().collect());
            assert_eq!(is_what_is_read(&stands, &readable), is_it, "{name}");
        }
    }
}
