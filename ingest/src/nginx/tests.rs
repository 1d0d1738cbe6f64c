use super::*;
use crate::record::outcomes;

const LINES: &str = include_str!("../../samples/nginx/records.jsonl");

fn line(at: usize) -> AccessRecord<'static> {
    (FORMAT.read)(LINES.lines().nth(at).unwrap()).unwrap()
}

/// One good line in which `from` stands as `to`.
fn changed(from: &str, to: &str) -> Vec<u8> {
    let good = LINES.lines().next().unwrap();
    assert!(good.contains(from), "{from}");
    good.replace(from, to).into_bytes()
}

#[test]
fn a_whole_line_is_read_exactly() {
    let record = line(0);
    // 1780272000.123 less 45 ms.
    assert_eq!(record.occurred_at.timestamp_micros(), 1_780_272_000_078_000);
    assert_eq!(
        (record.time_basis, record.id_basis, record.bytes_basis),
        ("end_minus_latency", "gateway", "body_and_headers")
    );
    assert_eq!((record.request_bytes, record.response_bytes), (Some(512), Some(1280)));
    assert_eq!(record.attributes, [("body_bytes_sent".into(), "1024".into())]);
    assert_eq!((record.latency_us, record.upstream_latency_us), (Some(45_000), Some(40_000)));
    let texts = [&record.path, &record.consumer, &record.cache_status, &record.product_hint, &record.environment_hint];
    let texts: Vec<_> = texts.iter().map(|text| text.as_deref().unwrap()).collect();
    assert_eq!(texts, ["/v1/payments/42", "acme", "miss", "payments", "production"]);
    assert_eq!((record.status, record.credential.as_deref()), (Some(200), Some("acme-key")));
}

#[test]
fn what_has_no_value_is_absent_and_never_zero() {
    let denied = line(1);
    assert_eq!((denied.consumer, denied.credential, denied.user_agent, denied.cache_status), (None, None, None, None));
    assert_eq!((denied.upstream_latency_us, denied.latency_us), (None, Some(0)));
    let retried = line(2);
    assert_eq!((retried.upstream_latency_us, retried.path.as_deref()), (Some(1_210_000), Some("/v1/rät\"es")));
    let broken = line(3);
    assert_eq!((broken.status, broken.method, broken.path, broken.route), (None, None, None, None));
    assert_eq!((broken.request_bytes, broken.response_bytes), (Some(0), Some(0)));
}

#[test]
fn bytes_of_different_meaning_are_not_mixed() {
    for (from, to, request, response, basis) in [
        (r#""bytes_sent":"1280""#, r#""bytes_sent":"-""#, None, Some(1024), "body"),
        (r#""body_bytes_sent":"1024","#, "", Some(512), Some(1280), "body_and_headers"),
        (r#""request_length":"512","#, "", None, Some(1280), "body_and_headers"),
        (r#""body_bytes_sent":"1024","bytes_sent":"1280","#, "", Some(512), None, "body_and_headers"),
        (r#""request_length":"512","body_bytes_sent":"1024","bytes_sent":"1280","#, "", None, None, "absent"),
    ] {
        let text = String::from_utf8(changed(from, to)).unwrap();
        let record = (FORMAT.read)(&text).unwrap();
        assert_eq!((record.request_bytes, record.response_bytes, record.bytes_basis), (request, response, basis));
    }
}

#[test]
fn bad_lines_are_rejected_with_a_reason() {
    for (from, to, reason) in [
        (r#""request_id":"3f1c9a4e0b7d4d6f8a2b1c3d4e5f6071","#, "", "event_id"),
        ("3f1c9a4e0b7d4d6f8a2b1c3d4e5f6071", "", "event_id"),
        ("3f1c9a4e0b7d4d6f8a2b1c3d4e5f6071", "-", "event_id"),
        (r#""msec":"1780272000.123","#, "", "occurred_at"),
        (r#""request_time":"0.045","#, "", "occurred_at"),
        ("1780272000.123", "-100.000", "wrong_number"),
        ("1780272000.123", "1780272000.1234", "wrong_number"),
        ("1780272000.123", "1e9", "wrong_number"),
        ("1780272000.123", "0.000", "occurred_at"),
        ("1780272000.123", "32503680000.000", "occurred_at"),
        ("1780272000.123", "999999999999999.000", "occurred_at"),
        (r#""msec":"1780272000.123""#, r#""msec":1780272000.123"#, "wrong_type"),
        (r#""status":"200""#, r#""status":"20""#, "status"),
        (r#""status":"200""#, r#""status":"0200""#, "status"),
        (r#""status":"200""#, r#""status":"2e2""#, "status"),
        (r#""status":"200""#, r#""status":200"#, "wrong_type"),
        (r#""bytes_sent":"1280""#, r#""bytes_sent":"-1""#, "wrong_number"),
        (r#""bytes_sent":"1280""#, r#""bytes_sent":"1280.0""#, "wrong_number"),
        (r#""bytes_sent":"1280""#, r#""bytes_sent":"99999999999999999999""#, "wrong_number"),
        (r#""upstream_response_time":"0.040""#, r#""upstream_response_time":"0.040; 1""#, "wrong_number"),
        (r#""request_method":"GET""#, r#""request_method":["GET"]"#, "wrong_type"),
        (r#""host":"api.example.com","#, r#""host":"a","host":"b","#, "wrong_type"),
        (r#"payments-v1"}"#, "payments-v1\"", "invalid_json"),
        ("GET", "G\nET", "invalid_json"),
    ] {
        let outcomes = outcomes(&FORMAT, Some(&changed(from, to)));
        assert_eq!(outcomes.len(), 1);
        let rejection = outcomes[0].as_ref().unwrap_err();
        assert_eq!(rejection.reason, reason, "{from} -> {to}: {}", rejection.detail);
    }
    let plain = br#"203.0.113.7 - - [01/Jun/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 5"#;
    assert_eq!(outcomes(&FORMAT, Some(plain))[0].as_ref().unwrap_err().reason, "invalid_json");
    let missing = changed("3f1c9a4e0b7d4d6f8a2b1c3d4e5f6071", "");
    assert!(outcomes(&FORMAT, Some(&missing))[0].as_ref().unwrap_err().detail.contains("$request_id"));
}

/// A client chooses the bytes of its path and user agent: they must not free it from the bill.
#[test]
fn what_a_client_writes_is_billed_in_any_bytes_and_other_such_fields_are_rejected() {
    let spoil = |marker: &str, bytes: &[u8]| {
        let good = LINES.lines().next().unwrap().as_bytes().to_vec();
        let at = good.windows(marker.len()).position(|window| window == marker.as_bytes()).unwrap();
        [&good[..at], bytes, &good[at..]].concat()
    };
    for (marker, accepted) in [("/v1/payments", true), ("?token", true), ("acme-client", true), ("GET", false)] {
        for bytes in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f", b"\\\"\xfe\\\\"] {
            let outcomes = outcomes(&FORMAT, Some(&spoil(marker, bytes)));
            assert_eq!(outcomes.len(), 1);
            let reason = outcomes[0].as_ref().map_err(|rejection| rejection.reason);
            assert_eq!(reason.is_ok(), accepted, "{marker} {bytes:?}: {reason:?}");
            assert!(accepted || reason == Err("invalid_utf8"));
        }
    }
    let spoilt = spoil("/v1/payments", b"/\xff");
    let text = mended_text_of(&Message {
        partition: 0,
        offset: 0,
        received_at: DateTime::UNIX_EPOCH,
        payload: Some(&spoilt),
        headers: &[],
    })
    .unwrap();
    assert_eq!((FORMAT.read)(&text).unwrap().path.as_deref(), Some("/\u{fffd}/v1/payments/42"));
    // Two wrongs, of which the path is one; a string without an end; a value that only looks like the name.
    for payload in
        [&b"{\"request_uri\":\"\xff\",\"host\":\"\xff\"}"[..], b"{\"request_uri\":\"\xff", b"\"request_uri\"\xff"]
    {
        assert!(outcomes(&FORMAT, Some(payload))[0].is_err());
    }
}

#[test]
fn a_shipper_may_batch_lines_into_an_array() {
    let array = format!("[{},{{}}]", LINES.lines().collect::<Vec<_>>().join(","));
    let accepted: Vec<bool> = outcomes(&FORMAT, Some(array.as_bytes())).iter().map(Result::is_ok).collect();
    assert_eq!(accepted, [true, true, true, true, false]);
}

/// Lines that a real NGINX 1.22 wrote with the documented `log_format` (each of them a request that it answered):
/// retries, paths that are no UTF-8, HTTP/0.9, a TLS hello on a plain port.
#[test]
fn a_real_log_of_hostile_requests_is_read() {
    let log = include_bytes!("../../samples/nginx/nginx_1_22_hostile.jsonl");
    let lines: Vec<&[u8]> = log.trim_ascii_end().split(|byte| *byte == b'\n').collect();
    let reasons: Vec<_> = lines
        .iter()
        .map(|line| outcomes(&FORMAT, Some(line)).remove(0).err().map(|rejection| rejection.reason))
        .collect();
    // The eighth has a user agent in Latin-1: it is billed all the same.
    assert_eq!(reasons, [None; 15]);
    let retried = std::str::from_utf8(lines[1]).unwrap();
    assert!(retried.contains(r#""upstream_response_time":"0.000, 0.000""#));
    let record = (FORMAT.read)(retried).unwrap();
    assert_eq!((record.upstream_latency_us, record.consumer.as_deref()), (Some(0), Some("acme")));
    assert_eq!((record.request_bytes, record.response_bytes, record.status), (Some(105), Some(147), Some(200)));
}

/// Each field that is read stands on the page, under the name of the decoder.
#[test]
fn every_field_is_documented() {
    let page = include_str!("../../../docs/messages.md");
    let (_, section) = page.split_once("\n## Access logs: `nginx`\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let (_, fields) = include_str!("../nginx.rs").split_once("struct Raw<'a> {\n").unwrap();
    let (fields, _) = fields.split_once("\n}\n").unwrap();
    let names: Vec<&str> = fields.lines().filter_map(|line| Some(line.trim().split_once(": ")?.0)).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(section.contains(&format!("`{name}`")), "docs/messages.md does not tell of {name}");
    }
}
