//! Apache Kafka in KRaft mode: one broker for all tests that run at the time, and a producer that counts.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use tempfile::TempDir;

use crate::parts::{Process, free_ports, install, wanted};
use crate::wire::Wire;

const PATIENCE: Duration = Duration::from_secs(60);

/// A running broker.
pub struct Kafka {
    brokers: String,
    wire: Wire,
    // In this order: the process ends before its folder goes.
    _process: Process,
    _folder: TempDir,
}

static RUNNING: Mutex<Weak<Kafka>> = Mutex::new(Weak::new());

impl Kafka {
    /// The broker that other tests use already, or a new one; it ends with the last test that holds it.
    pub fn shared() -> Option<Arc<Self>> {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kafka) = running.upgrade() {
            return Some(kafka);
        }
        let kafka = Arc::new(wanted("Apache Kafka", Self::start)?);
        *running = Arc::downgrade(&kafka);
        Some(kafka)
    }

    fn start() -> Result<Self, String> {
        let begun = Instant::now();
        let libs = install("kafka")?;
        let installed = begun.elapsed();
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let [port, watched, controller] = free_ports();
        // The wire's own port is the one that the broker tells clients of this listener.
        let wire = Wire::to(watched);
        let properties = folder.path().join("server.properties");
        std::fs::write(
            &properties,
            format!(
                "process.roles=broker,controller\nnode.id=1\n\
                 controller.quorum.voters=1@127.0.0.1:{controller}\n\
                 listeners=PLAINTEXT://127.0.0.1:{port},WATCHED://127.0.0.1:{watched},CONTROLLER://127.0.0.1:{controller}\n\
                 advertised.listeners=PLAINTEXT://127.0.0.1:{port},WATCHED://127.0.0.1:{}\n\
                 controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\n\
                 listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,WATCHED:PLAINTEXT\n\
                 log.dirs={}\nauto.create.topics.enable=false\n\
                 offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n\
                 transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
                 transaction.state.log.num.partitions=1\n\
                 share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\n\
                 group.initial.rebalance.delay.ms=0\n",
                wire.port(),
                folder.path().join("data").display(),
            ),
        )
        .map_err(|error| error.to_string())?;
        let classpath = format!("{}/*", libs.display());
        // The cluster's id only has to be well formed: the cluster dies with the test.
        let format = Command::new("java")
            .args(["-Xmx256m", "-cp", &classpath, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg"])
            .arg("-c")
            .arg(&properties)
            .output()
            .map_err(|error| format!("java does not start: {error}"))?;
        if !format.status.success() {
            return Err(format!("its storage cannot be formatted: {}", String::from_utf8_lossy(&format.stderr)));
        }
        let mut server = Command::new("java");
        server.args(["-Xmx512m", "-cp", &classpath, "kafka.Kafka"]).arg(&properties);
        let mut process = Process::start(&mut server, &folder.path().join("output.txt"))?;
        let brokers = format!("127.0.0.1:{port}");
        let asking: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &brokers)
            .set("reconnect.backoff.max.ms", "250")
            .create()
            .map_err(|error| error.to_string())?;
        while asking.fetch_metadata(None, Duration::from_millis(500)).is_err() {
            process.alive()?;
            if begun.elapsed() > PATIENCE + installed {
                return Err(format!("it does not answer: {}", process.last_words()));
            }
        }
        println!("kafka: installed after {installed:.1?}, answers after {:.1?}, at {brokers}", begun.elapsed());
        Ok(Self { brokers, wire, _process: process, _folder: folder })
    }

    /// Bootstrap servers.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Bootstrap servers behind the wire that counts.
    pub fn watched_brokers(&self) -> String {
        format!("127.0.0.1:{}", self.wire.port())
    }

    /// Bytes that clients behind the wire have received.
    pub fn watched_bytes(&self) -> u64 {
        self.wire.received()
    }

    /// Makes a topic.
    pub fn make_topic(&self, topic: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap();
        let new = [NewTopic::new(topic, partitions, TopicReplication::Fixed(1))];
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(15)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let made = runtime.block_on(admin.create_topics(&new, &options)).unwrap();
        assert!(made.iter().all(Result::is_ok), "{topic} cannot be made: {made:?}");
    }

    /// Deletes a topic and makes it again, with one partition.
    pub fn remake_topic(&self, topic: &str) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(15)));
        let deleted = runtime.block_on(admin.delete_topics(&[topic], &options)).unwrap();
        assert!(deleted.iter().all(Result::is_ok), "{topic} cannot be deleted: {deleted:?}");
        let new = [NewTopic::new(topic, 1, TopicReplication::Fixed(1))];
        let begun = Instant::now();
        // The name is free a moment after the answer.
        while runtime.block_on(admin.create_topics(&new, &options)).unwrap().iter().any(Result::is_err) {
            assert!(begun.elapsed() < PATIENCE, "{topic} cannot be made again");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Adds partitions to a topic, up to this many.
    pub fn grow_topic(&self, topic: &str, partitions: usize) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(15)));
        let grown =
            runtime.block_on(admin.create_partitions([&NewPartitions::new(topic, partitions)], &options)).unwrap();
        assert!(grown.iter().all(Result::is_ok), "{topic} cannot grow: {grown:?}");
    }

    /// Next offset of a partition.
    pub fn high_watermark(&self, topic: &str, partition: i32) -> i64 {
        let asking: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap();
        asking.fetch_watermarks(topic, partition, Duration::from_secs(15)).unwrap().1
    }

    /// A producer; with a transactional id it must open transactions before it sends.
    pub fn producer(&self, topic: &str, transactional_id: Option<&str>) -> Producer {
        let counts = Counts::default();
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            // A retry must not become a second record: the ledger has each once.
            .set("enable.idempotence", "true")
            .set("linger.ms", "5");
        if let Some(id) = transactional_id {
            config.set("transactional.id", id);
        }
        let inner: BaseProducer<Counts> = config.create_with_context(counts.clone()).unwrap();
        if transactional_id.is_some() {
            inner.init_transactions(PATIENCE).unwrap();
        }
        Producer { inner, counts, topic: topic.to_owned() }
    }
}

/// What became of the records.
#[derive(Clone, Default)]
struct Counts {
    delivered: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl ClientContext for Counts {}

impl ProducerContext for Counts {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let counter = if result.is_ok() { &self.delivered } else { &self.failed };
        counter.fetch_add(1, Ordering::SeqCst);
    }
}

/// A producer to one topic.
pub struct Producer {
    inner: BaseProducer<Counts>,
    counts: Counts,
    topic: String,
}

impl Producer {
    /// Sends a record; `None` is a null value.
    pub fn send(&self, partition: i32, payload: Option<&[u8]>) {
        loop {
            let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.topic).partition(partition);
            record.payload = payload;
            match self.inner.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.inner.poll(Duration::from_millis(20));
                }
                Err((error, _)) => panic!("producing to {} failed: {error}", self.topic),
            }
        }
        self.inner.poll(Duration::ZERO);
    }

    /// Counter of the records that the broker has.
    pub fn delivered(&self) -> Arc<AtomicU64> {
        self.counts.delivered.clone()
    }

    /// Waits until the broker has everything.
    pub fn flush(&self) {
        self.inner.flush(PATIENCE).unwrap();
        assert_eq!(self.counts.failed.load(Ordering::SeqCst), 0, "records were not delivered to {}", self.topic);
    }

    /// Opens a transaction.
    pub fn begin(&self) {
        self.inner.begin_transaction().unwrap();
    }

    /// Commits the open transaction: a marker follows its records in each partition.
    pub fn commit(&self) {
        self.inner.commit_transaction(PATIENCE).unwrap();
    }

    /// Gives the open transaction up, after its records have reached the broker.
    pub fn abort(&self) {
        self.inner.flush(PATIENCE).unwrap();
        self.inner.abort_transaction(PATIENCE).unwrap();
    }
}
