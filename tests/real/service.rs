//! `tollbook ingest` as a service: it records by itself how far it has read, never further, behind control records
//! and on idle partitions too; it reads partitions that are added to the topic; it ends on SIGTERM.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::catch::Catch;
use crate::folder::{Folder, Run};
use crate::kafka::{Kafka, Producer};
use crate::ledger::Ledger;

const PATIENCE: Duration = Duration::from_secs(30);
const TOPIC: &str = "service";

#[allow(clippy::disallowed_methods)]
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Waits for a watermark that was asked for after this call, then at once compares tables and ledger: had it run
/// ahead, rows would be missing.
fn reaches_now(folder: &Folder, service: &mut Run, ledger: &Ledger) {
    let from = now();
    let begun = Instant::now();
    while folder.watermark().is_none_or(|passed| passed < from) {
        assert!(begun.elapsed() < PATIENCE, "no watermark after {from}: {}", service.errors());
        assert!(service.ended().is_none(), "the service ended: {}", service.errors());
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("read up to now after {:.1?}", begun.elapsed());
    let differences = Catch::read(&folder.lake(), &folder.source()).against(ledger);
    assert_eq!(differences, Default::default(), "tables and ledger differ");
}

fn transaction(ledger: &mut Ledger, producer: &Producer, partition: i32, messages: usize) {
    producer.begin();
    for _ in 0..messages {
        let (partition, payload) = ledger.message_to(partition);
        producer.send(partition, payload.as_deref());
    }
    producer.commit();
    // Its marker takes an offset.
    ledger.skip(partition);
}

#[test]
fn a_service_tells_how_far_it_has_read_and_reads_new_partitions() {
    let Some(kafka) = Kafka::shared() else { return };
    kafka.make_topic(TOPIC, 2);
    let mut ledger = Ledger::new(5, 3);
    let folder = Folder::new(kafka.brokers(), TOPIC);
    let producer = kafka.producer(TOPIC, Some("service"));
    // Partition 0 ends with a marker before the service starts; partition 1 is empty.
    transaction(&mut ledger, &producer, 0, 200);
    let mut service = folder.service();
    reaches_now(&folder, &mut service, &ledger);
    // And gets another one while it runs.
    transaction(&mut ledger, &producer, 0, 300);
    reaches_now(&folder, &mut service, &ledger);

    // While a transaction is open, nobody knows what lies behind it: the watermark stands, and goes on when it ends.
    let open = kafka.producer(TOPIC, Some("open"));
    open.begin();
    for _ in 0..20 {
        let (partition, payload) = ledger.message_to(1);
        open.send(partition, payload.as_deref());
    }
    open.flush();
    let from = now();
    std::thread::sleep(Duration::from_secs(4));
    assert!(folder.watermark().unwrap() < from, "the watermark ran past an open transaction");
    open.commit();
    ledger.skip(1);
    reaches_now(&folder, &mut service, &ledger);

    kafka.grow_topic(TOPIC, 3);
    drop(producer);
    let producer = kafka.producer(TOPIC, Some("service"));
    transaction(&mut ledger, &producer, 2, 100);
    reaches_now(&folder, &mut service, &ledger);
    service.terminate(PATIENCE);
}

/// Reading on would wait for offsets that mean other records, and lose all before them.
#[test]
fn a_service_ends_when_its_topic_was_deleted_and_made_again() {
    const REMADE: &str = "remade";
    let Some(kafka) = Kafka::shared() else { return };
    kafka.make_topic(REMADE, 1);
    let mut ledger = Ledger::new(6, 1);
    let folder = Folder::new(kafka.brokers(), REMADE);
    let producer = kafka.producer(REMADE, None);
    let send = |ledger: &mut Ledger, producer: &Producer, messages: usize| {
        for _ in 0..messages {
            let (partition, payload) = ledger.message_to(0);
            producer.send(partition, payload.as_deref());
        }
        producer.flush();
    };
    send(&mut ledger, &producer, 300);
    let mut service = folder.service();
    reaches_now(&folder, &mut service, &ledger);
    // A second one ends at once: the first has the lock.
    let mut second = folder.service();
    assert_eq!(ends(&mut second).code(), Some(5), "{}", second.errors());
    // While it looks away: while there is no topic, it would rightly tell that.
    service.signal("STOP");
    drop(producer);
    kafka.remake_topic(REMADE);
    send(&mut Ledger::new(7, 1), &kafka.producer(REMADE, None), 20);
    service.signal("CONT");
    let status = ends(&mut service);
    let told = service.errors();
    assert_eq!(status.code(), Some(3), "{told}");
    assert!(told.contains("the topic ends at 20") && told.contains("set a new generation"), "{told}");
    let differences = Catch::read(&folder.lake(), &folder.source()).against(&ledger);
    assert_eq!(differences, Default::default(), "tables and ledger differ");
}

fn ends(run: &mut Run) -> std::process::ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = run.ended() {
            return status;
        }
        assert!(begun.elapsed() < PATIENCE, "it goes on: {}", run.errors());
        std::thread::sleep(Duration::from_millis(20));
    }
}
