//! Transactional producers: control records and aborted records at a partition's end never become messages, so
//! `--until-caught-up` must not wait for their offsets; and an open transaction must not hold it either.

use std::time::{Duration, Instant};

use crate::catch::Catch;
use crate::folder::Folder;
use crate::kafka::{Kafka, Producer};
use crate::ledger::Ledger;

const PATIENCE: Duration = Duration::from_secs(60);

fn send(ledger: &mut Ledger, producer: &Producer, partition: i32, messages: usize) {
    for _ in 0..messages {
        let (partition, payload) = ledger.message_to(partition);
        producer.send(partition, payload.as_deref());
    }
}

fn check(folder: &Folder, ledger: &Ledger) {
    let differences = Catch::read(&folder.lake(), &folder.source()).against(ledger);
    assert_eq!(differences, Default::default(), "tables and ledger differ");
}

#[test]
fn markers_and_aborted_records_at_the_end_do_not_hold_a_bounded_run() {
    let Some(kafka) = Kafka::shared() else { return };
    kafka.make_topic("transactions", 3);
    let mut ledger = Ledger::new(3, 3);
    let folder = Folder::new(kafka.brokers(), "transactions");

    // Partition 0 ends with the marker of a commit, partition 1 with aborted records and their marker.
    let producer = kafka.producer("transactions", Some("first"));
    producer.begin();
    send(&mut ledger, &producer, 0, 100);
    send(&mut ledger, &producer, 1, 50);
    producer.commit();
    ledger.skip(0);
    ledger.skip(1);
    producer.begin();
    for _ in 0..30 {
        producer.send(1, Some(b"given up"));
        ledger.skip(1);
    }
    producer.abort();
    ledger.skip(1);
    for (partition, next) in ledger.next_offsets() {
        assert_eq!(kafka.high_watermark("transactions", *partition), *next, "partition {partition}: no markers?");
    }
    let begun = Instant::now();
    let report = folder.ingest_to_the_end(PATIENCE);
    println!("caught up behind markers after {:.1?}: {report}", begun.elapsed());
    assert_eq!(report["lag"], 0, "control records are nothing that is left to read");
    check(&folder, &ledger);

    // Partition 2 holds a transaction that nobody has ended: what is behind it waits for a later run.
    let open = kafka.producer("transactions", Some("second"));
    open.begin();
    let committed = ledger.records.len();
    send(&mut ledger, &open, 2, 20);
    open.flush();
    let (begun, before) = (Instant::now(), folder.watermark());
    let report = folder.ingest_to_the_end(PATIENCE);
    assert_eq!((&report["held_back"], folder.watermark()), (&true.into(), before), "behind it is nobody knows what");
    println!("caught up before an open transaction after {:.1?}", begun.elapsed());
    assert_eq!(Catch::read(&folder.lake(), &folder.source()).records.len(), committed);

    open.commit();
    ledger.skip(2);
    let report = folder.ingest_to_the_end(PATIENCE);
    assert!(report["held_back"] == false && folder.watermark() > before, "{report}");
    check(&folder, &ledger);
}
