use super::*;
use crate::record::outcomes;

fn decode_bytes(payload: Option<&[u8]>) -> Vec<Result<String, Rejection>> {
    outcomes(&FORMAT, payload)
}

#[test]
fn the_samples_are_read() {
    let array = include_bytes!("../../samples/native/array.json");
    assert!(decode_bytes(Some(array)).iter().all(Result::is_ok));
    for line in include_str!("../../samples/native/records.jsonl").lines() {
        assert!(decode_bytes(Some(line.as_bytes()))[0].is_ok(), "{line}");
    }
}

const WHOLE: &str = r#"{"event_id":"e1","occurred_at":"2026-06-01T00:00:00.123456Z","status":200,"path":"/a?secret=1",
    "response_bytes":7,"attributes":{"tokens":0.125,"user":"u\u0031","big":123456789012345678901234567890}}"#;

#[test]
fn a_whole_record_is_read_exactly() {
    let record = (FORMAT.read)(WHOLE).unwrap();
    assert_eq!(record.occurred_at.timestamp_micros() % 1_000_000, 123_456);
    assert_eq!((record.path.as_deref(), record.bytes_basis), (Some("/a"), "body"));
    let attributes: Vec<_> = record.attributes.iter().map(|(name, text)| (name.as_ref(), text.as_ref())).collect();
    // Numbers keep their digits: none of them passed through a float.
    assert_eq!(attributes, [("big", "123456789012345678901234567890"), ("tokens", "0.125"), ("user", "u1")]);
}

#[test]
fn corrections_name_the_request_that_they_correct() {
    for (kind, columns) in [
        ("", ("request", None)),
        (r#","kind":"request""#, ("request", None)),
        (r#","kind":"retraction","corrects_event_id":"e1""#, ("retraction", Some("e1"))),
        (r#","kind":"amendment","corrects_event_id":"e1","status":404"#, ("amendment", Some("e1"))),
    ] {
        let text = format!(r#"{{"event_id":"c1","occurred_at":"2026-06-01T00:00:00Z"{kind}}}"#);
        assert_eq!((FORMAT.read)(&text).unwrap().kind.columns(), columns, "{text}");
    }
}

/// Each row puts one field into a record that is good otherwise.
#[test]
fn bad_records_are_rejected_with_a_reason() {
    for (field, reason) in [
        (r#""event_id":"""#, "event_id"),
        (r#""event_id":null"#, "event_id"),
        (r#""event_id":7"#, "wrong_type"),
        (r#""event_id":"a","event_id":"b""#, "wrong_type"),
        (r#""event_id":"e","occurred_at":"1969-12-31T23:59:59Z""#, "occurred_at"),
        (r#""event_id":"e","occurred_at":"3000-01-01T00:00:00Z""#, "occurred_at"),
        (r#""event_id":"e","occurred_at":"2026-06-31T00:00:00Z""#, "occurred_at"),
        (r#""event_id":"e","occurred_at":1780000000"#, "wrong_type"),
        (r#""event_id":"e""#, "occurred_at"),
        (r#""event_id":"e","occurred_at":"2026-06-01T00:00:00Z","status":99"#, "status"),
        (r#""event_id":"e","occurred_at":"2026-06-01T00:00:00Z","status":"200""#, "wrong_type"),
        (r#""event_id":"e","occurred_at":"2026-06-01T00:00:00Z","status":200.5"#, "wrong_type"),
        (r#""event_id":"e","occurred_at":"2026-06-01T00:00:00Z","response_bytes":-1"#, "negative_count"),
        (r#""event_id":"e","occurred_at":"2026-06-01T00:00:00Z","response_bytes":99999999999999999999"#, "wrong_type"),
        (r#""event_id":"e","occurred_at":"2026-06-01T00:00:00Z","response_bytes":1e3"#, "wrong_type"),
        (r#""event_id":"e","occurred_at":"2026-06-01T00:00:00Z","attributes":{"a":[1]}"#, "wrong_type"),
        (r#""event_id":"e","occurred_at":"2026-06-01T00:00:00Z","kind":"reversal""#, "kind"),
        (r#""event_id":"e","occurred_at":"2026-06-01T00:00:00Z","kind":"retraction""#, "corrects_event_id"),
        (
            r#""event_id":"e","occurred_at":"2026-06-01T00:00:00Z","kind":"amendment","corrects_event_id":"""#,
            "corrects_event_id",
        ),
        (r#""event_id":"e","occurred_at":"2026-06-01T00:00:00Z","corrects_event_id":"d""#, "corrects_event_id"),
    ] {
        let text = format!("{{{field}}}");
        let records = decode_bytes(Some(text.as_bytes()));
        assert_eq!(records.len(), 1);
        let rejection = records[0].as_ref().unwrap_err();
        assert_eq!(rejection.reason, reason, "{text}: {}", rejection.detail);
    }
}

#[test]
fn messages_that_are_no_records_are_one_reject() {
    let long = format!(r#"{{"event_id":"{}","occurred_at":"2026-06-01T00:00:00Z"}}"#, "x".repeat(201));
    for (payload, reason) in [
        (None, "null_message"),
        (Some(&b""[..]), "empty_message"),
        (Some(b"[]"), "empty_message"),
        (Some(b"\xff\xfe{}"), "invalid_utf8"),
        (Some(b"{\"event_id\":"), "invalid_json"),
        (Some(b"garbage"), "invalid_json"),
        (Some(b"3"), "wrong_type"),
        (Some(b"[{\"event_id\":\"e\""), "invalid_json"),
        (Some(b"{} {}"), "invalid_json"),
        (Some(long.as_bytes()), "event_id"),
    ] {
        let records = decode_bytes(payload);
        assert_eq!(records.len(), 1, "{payload:?}");
        assert_eq!(records[0].as_ref().unwrap_err().reason, reason, "{payload:?}");
    }
}

#[test]
fn in_an_array_a_bad_element_rejects_itself_alone() {
    let good = r#"{"event_id":"e","occurred_at":"2026-06-01T00:00:00Z"}"#;
    let text = format!("[{good},{{\"event_id\":5}},3,{good}]");
    let accepted: Vec<bool> = decode_bytes(Some(text.as_bytes())).iter().map(Result::is_ok).collect();
    assert_eq!(accepted, [true, false, false, true]);
}

/// `serde_json` is the oracle: what our parser takes for JSON, it takes too, and the other way round.
#[test]
fn the_parser_agrees_with_serde_json() {
    let pieces =
        ["{", "}", "[", "]", ":", ",", "\"a\"", "1", "-0", "01", "1.5", "1e5", "true", "nul", "\"\\u12\"", " "];
    let mut state = 7_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..=(state % 9) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[usize::try_from((state >> 33) % 16).unwrap()]);
        }
        let ours = sonic_rs::from_str::<sonic_rs::Value>(&text).is_ok();
        let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        assert_eq!(ours, theirs, "{text}");
    }
}

/// Each field that is read stands on the page, under the name of the decoder.
#[test]
fn every_field_is_documented() {
    let page = include_str!("../../../docs/messages.md");
    let (_, section) = page.split_once("\n## Access logs: `native`\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let (_, fields) = include_str!("../native.rs").split_once("struct Raw<'a> {\n").unwrap();
    let (fields, _) = fields.split_once("\n}\n").unwrap();
    let names: Vec<&str> = fields.lines().filter_map(|line| Some(line.trim().split_once(": ")?.0)).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(section.contains(&format!("`{name}`")), "docs/messages.md does not tell of {name}");
    }
}
