use tollbook_schemas::source::Source;

use super::*;
use crate::credential::{CredentialKey, KeyRing};

fn door() -> Door {
    Door {
        source: Source::kafka("test", "access", "1").unwrap(),
        decoder: Decoder::Native,
        gateway: "edge".into(),
        environment_default: Some("production".into()),
        keys: KeyRing { current: CredentialKey::new("k1", "secret"), previous: None },
    }
}

fn push(buffer: &mut Buffer, offset: i64, payload: &str, decided: &Decided) {
    let received_at = DateTime::UNIX_EPOCH;
    let message = Message { partition: 0, offset, received_at, payload: Some(payload.as_bytes()), headers: &[] };
    buffer.push(&message, &door(), decided);
}

const GOOD: &str = r#"{"event_id":"e","occurred_at":"2026-06-01T00:00:00Z","credential":"raw"}"#;

#[test]
fn every_offset_is_accepted_or_rejected_once() {
    let mut buffer = Buffer::new(0, 5, Decoder::Native);
    push(&mut buffer, 5, GOOD, &Decided::new());
    push(&mut buffer, 6, "garbage", &Decided::new());
    // A stale delivery, as after a rebalance, and a gap of control records.
    push(&mut buffer, 5, GOOD, &Decided::new());
    push(&mut buffer, 9, &format!("[{GOOD},{GOOD},4]"), &Decided::new());
    let sealed = buffer.seal(Decoder::Native).unwrap();
    assert_eq!((sealed.from, sealed.to, sealed.accepted_count, sealed.rejected.len()), (5, 10, 3, 2));
    assert_eq!(sealed.rejected[1].int("record_index"), Some(2));
    // Of an array each record's own bytes are stored; size and digest name the message.
    assert_eq!(sealed.rejected[1].bytes("payload"), Some(&b"4"[..]));
    let message = format!("[{GOOD},{GOOD},4]");
    assert_eq!(sealed.rejected[1].text("payload_sha256"), Some(sha256_hex(message.as_bytes()).as_str()));
    assert_eq!(sealed.rejected[1].int("payload_bytes_total"), i64::try_from(message.len()).ok());
    let batch = sealed.accepted.unwrap();
    assert_eq!(batch.num_rows(), 3);
    assert!(!format!("{batch:?}").contains("\"raw\""), "a credential reached the batch");
    assert!(buffer.is_empty() && buffer.next_offset() == 10 && buffer.bytes() == 0);
}

#[test]
fn a_decision_that_was_committed_is_not_taken_again() {
    let mut buffer = Buffer::new(0, 5, Decoder::Native);
    // Offset 5 was rejected by an earlier process whose decoder did not know this form: it stays rejected.
    push(&mut buffer, 5, GOOD, &Decided::from([(5, 0)]));
    push(&mut buffer, 6, GOOD, &Decided::from([(5, 0)]));
    let sealed = buffer.seal(Decoder::Native).unwrap();
    assert_eq!((sealed.accepted_count, sealed.rejected.len(), sealed.decided_count), (1, 0, 1));
}
