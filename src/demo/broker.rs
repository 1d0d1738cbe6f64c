//! The demo's broker: librdkafka's own mock cluster inside this process, or a real one; and the producer.
//!
//! The mock keeps 5 MiB or 100,000 messages of a partition and then forgets the oldest. So the producer stays less
//! than 4 MiB and 80,000 messages ahead of what is committed, partition by partition, as a gateway's disk buffer
//! would.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _, ProducerContext};
use tollbook_ingest::IngestError;
use tollbook_simulate::{Message, Traffic};

use crate::configuration::ConfigurationError;

/// Next committed offset of each partition, as the ingestor reports it.
pub type Committed = Arc<Mutex<BTreeMap<i32, i64>>>;

const AHEAD_BYTES_MAX: u64 = 4 * 1024 * 1024;
const AHEAD_MESSAGES_MAX: i64 = 80_000;

/// A broker with the demo's two topics.
pub struct Broker {
    address: String,
    topics: [String; 2],
    // Lives as long as the broker: dropping it stops the mock.
    _mock: Option<MockCluster<'static, DefaultProducerContext>>,
}

impl Broker {
    /// Starts the mock, or makes the topics on a real broker.
    ///
    /// # Errors
    /// A broker that is not there, or topics that are there already.
    pub async fn start(brokers: Option<&str>, partitions: i32) -> anyhow::Result<Self> {
        let topics = ["access-log".to_owned(), "partner-lifecycle".to_owned()];
        let Some(brokers) = brokers else {
            let mock = MockCluster::new(1).context("the embedded broker does not start")?;
            mock.create_topic(&topics[0], partitions, 1)?;
            mock.create_topic(&topics[1], 1, 1)?;
            return Ok(Self { address: mock.bootstrap_servers(), topics, _mock: Some(mock) });
        };
        let topics = topics.map(|topic| format!("tollbook-demo-{topic}"));
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", brokers).create().context("no admin client")?;
        let new = [
            NewTopic::new(&topics[0], partitions, TopicReplication::Fixed(1)),
            NewTopic::new(&topics[1], 1, TopicReplication::Fixed(1)),
        ];
        let options = AdminOptions::new()
            .request_timeout(Some(Duration::from_secs(10)))
            .operation_timeout(Some(Duration::from_secs(10)));
        // As ingest tells of a broker: the same command may succeed later.
        let failed = |topic: &str, source| IngestError::Kafka {
            brokers: brokers.to_owned(),
            topic: topic.to_owned(),
            doing: "making the topic",
            source: Box::new(source),
        };
        let made = admin.create_topics(&new, &options).await;
        for result in made.map_err(|error| failed(&topics[0], error))? {
            match result {
                Ok(_) => {}
                Err((topic, RDKafkaErrorCode::TopicAlreadyExists)) => bail!(ConfigurationError(format!(
                    "topic {topic} is on {brokers} already, of an earlier demo; delete tollbook-demo-access-log and \
                     tollbook-demo-partner-lifecycle there, and start the demo again"
                ))),
                Err((topic, code)) => bail!(failed(&topic, KafkaError::AdminOp(code))),
            }
        }
        Ok(Self { address: brokers.to_owned(), topics, _mock: None })
    }

    /// Bootstrap servers.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Topic of access logs.
    #[must_use]
    pub fn access_topic(&self) -> &str {
        &self.topics[0]
    }

    /// Topic of lifecycle events.
    #[must_use]
    pub fn lifecycle_topic(&self) -> &str {
        &self.topics[1]
    }

    /// Produces a few messages.
    ///
    /// # Errors
    /// A message that was not delivered.
    pub async fn produce_all(&self, topic: &str, messages: Vec<Message>) -> anyhow::Result<()> {
        let (address, topic) = (self.address.clone(), topic.to_owned());
        tokio::task::spawn_blocking(move || {
            let producer = Sending::new(&address, topic)?;
            for message in &messages {
                producer.send(message)?;
            }
            producer.finish()
        })
        .await?
    }

    /// Produces the traffic, never too far ahead of what is committed; gives it back exhausted.
    ///
    /// # Errors
    /// A message that was not delivered; `stop` set from outside (the reader failed).
    pub async fn produce(
        &self,
        topic: &str,
        mut traffic: Traffic,
        committed: Committed,
        stop: Arc<AtomicBool>,
    ) -> anyhow::Result<Traffic> {
        let (address, topic) = (self.address.clone(), topic.to_owned());
        tokio::task::spawn_blocking(move || {
            let producer = Sending::new(&address, topic)?;
            let mut ahead = Ahead::default();
            for message in traffic.by_ref() {
                while !ahead.may_send(&message, &committed) {
                    if stop.load(Ordering::Relaxed) {
                        bail!("the ingestor stopped while traffic was still produced");
                    }
                    producer.producer.poll(Duration::from_millis(5));
                }
                producer.send(&message)?;
                ahead.sent(&message);
            }
            producer.finish()?;
            Ok(traffic)
        })
        .await?
    }
}

/// How far each partition is ahead: bytes before each offset, and the next offset.
#[derive(Default)]
struct Ahead {
    bytes_before: BTreeMap<i32, Vec<u64>>,
    seen: BTreeMap<i32, usize>,
}

fn size_of(message: &Message) -> u64 {
    // Key, headers and record overhead count for the broker too.
    let payload = message.payload.as_ref().map_or(0, Vec::len);
    u64::try_from(payload).unwrap_or(u64::MAX).saturating_add(100)
}

impl Ahead {
    fn may_send(&mut self, message: &Message, committed: &Committed) -> bool {
        let bytes = self.bytes_before.entry(message.partition).or_insert_with(|| vec![0]);
        let produced = bytes.len() - 1;
        let fits = |known: usize| {
            let waiting = bytes[produced] - bytes[known.min(produced)];
            waiting + size_of(message) < AHEAD_BYTES_MAX
                && i64::try_from(produced - known.min(produced)).unwrap_or(i64::MAX) < AHEAD_MESSAGES_MAX
        };
        let seen = self.seen.entry(message.partition).or_default();
        if fits(*seen) {
            return true;
        }
        // Only now is the lock worth taking.
        let next = committed.lock().ok().and_then(|committed| committed.get(&message.partition).copied());
        *seen = next.and_then(|next| usize::try_from(next).ok()).unwrap_or(*seen);
        fits(*seen)
    }

    fn sent(&mut self, message: &Message) {
        let bytes = self.bytes_before.entry(message.partition).or_insert_with(|| vec![0]);
        let last = bytes.last().copied().unwrap_or_default();
        bytes.push(last + size_of(message));
    }
}

/// Counts what was not delivered.
#[derive(Clone, Default)]
struct Failures(Arc<AtomicU64>);

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Sending {
    producer: BaseProducer<Failures>,
    failures: Failures,
    topic: String,
}

impl Sending {
    fn new(brokers: &str, topic: String) -> anyhow::Result<Self> {
        let failures = Failures::default();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            // A retry of the producer must not become a second record: the ledger counts each once.
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .create_with_context(failures.clone())
            .context("the producer does not start")?;
        Ok(Self { producer, failures, topic })
    }

    fn send(&self, message: &Message) -> anyhow::Result<()> {
        loop {
            let mut headers = OwnedHeaders::new();
            for (key, value) in &message.headers {
                headers = headers.insert(Header { key, value: Some(value) });
            }
            let mut record: BaseRecord<'_, [u8], [u8]> =
                BaseRecord::to(&self.topic).partition(message.partition).timestamp(message.timestamp_ms);
            record.payload = message.payload.as_deref();
            record.key = message.key.as_deref();
            if !message.headers.is_empty() {
                record = record.headers(headers);
            }
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.producer.poll(Duration::from_millis(20));
                }
                Err((error, _)) => return Err(error).with_context(|| format!("producing to {} failed", self.topic)),
            }
        }
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    fn finish(&self) -> anyhow::Result<()> {
        self.producer.flush(Duration::from_secs(60)).context("the producer could not deliver everything")?;
        match self.failures.0.load(Ordering::Relaxed) {
            0 => Ok(()),
            failed => bail!("{failed} messages were not delivered to {}", self.topic),
        }
    }
}
