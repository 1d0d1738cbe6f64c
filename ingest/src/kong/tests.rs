use super::*;
use crate::record::outcomes;

const HTTP_LOG: &str = include_str!("../../samples/kong/http_log.json");
const FILE_LOG: &str = include_str!("../../samples/kong/file_log.jsonl");
const BATCH: &str = include_str!("../../samples/kong/batch.json");

#[test]
fn a_whole_record_is_read_exactly() {
    let record = (FORMAT.read)(HTTP_LOG).unwrap();
    assert_eq!(record.occurred_at.timestamp_millis(), 1_780_272_000_078);
    assert_eq!((record.time_basis, record.id_basis, record.bytes_basis), ("start", "gateway", "body_and_headers"));
    assert_eq!((record.request_bytes, record.response_bytes, record.status), (Some(512), Some(1280), Some(200)));
    assert_eq!((record.latency_us, record.upstream_latency_us), (Some(45_000), Some(40_000)));
    let texts = [
        &record.host,
        &record.path,
        &record.consumer,
        &record.product_hint,
        &record.route,
        &record.workspace,
        &record.credential,
    ];
    let texts: Vec<_> = texts.iter().map(|text| text.as_deref().unwrap()).collect();
    let credential = "c1b2a3d4-0000-4000-8000-000000000001";
    assert_eq!(texts, ["api.example.com", "/v1/payments/42", "acme", "payments", "payments-v1", "default", credential]);
    assert_eq!(record.attributes, [("upstream_status".into(), "502, 200".into())]);
    assert!(!format!("{record:?}").contains("-secret"), "a header or a query was kept");
}

#[test]
fn what_kong_does_not_know_is_absent() {
    let records: Vec<_> = FILE_LOG.lines().map(|line| (FORMAT.read)(line).unwrap()).collect();
    let denied = &records[0];
    assert_eq!((denied.request_bytes, denied.response_bytes), (Some(300), Some(210)));
    assert_eq!((denied.latency_us, denied.upstream_latency_us), (Some(1001), None));
    assert_eq!((&denied.consumer, &denied.credential, &denied.route, &denied.workspace), (&None, &None, &None, &None));
    assert_eq!(denied.host.as_deref(), Some("[2001:db8::1]"));
    let unrouted = &records[1];
    assert_eq!((unrouted.consumer.as_deref(), unrouted.route.as_deref()), (Some("partner-9"), Some("r9")));
    assert_eq!((unrouted.workspace.as_deref(), unrouted.host.as_deref()), (Some("w1"), Some("api.example.com")));
    assert_eq!((&unrouted.path, &unrouted.product_hint, unrouted.attributes.len()), (&None, &None, 0));
}

#[test]
fn in_a_batch_a_record_without_an_id_rejects_itself_alone() {
    let outcomes = outcomes(&FORMAT, Some(BATCH.as_bytes()));
    let rejection = outcomes[1].as_ref().unwrap_err();
    assert!(rejection.reason == "event_id" && rejection.detail.contains("3.5"));
    assert_eq!((outcomes[0].as_deref(), outcomes[2].as_deref()), (Ok("b1"), Ok("b3")));
}

#[test]
fn bad_records_are_rejected_with_a_reason() {
    let good = FILE_LOG.lines().next().unwrap();
    for (from, to, reason) in [
        (r#""id":"k1","#, "", "event_id"),
        (r#""id":"k1""#, r#""id":null"#, "event_id"),
        (r#""id":"k1""#, r#""id":7"#, "wrong_type"),
        ("1780272001000", "\"soon\"", "wrong_number"),
        ("1780272001000", "1780272001000.5", "wrong_number"),
        ("1780272001000", "1.78e12", "wrong_number"),
        ("1780272001000", "-1000", "wrong_number"),
        ("1780272001000", "0", "occurred_at"),
        ("1780272001000", "32503680000000", "occurred_at"),
        ("1780272001000", "null", "occurred_at"),
        ("1780272001000", "[]", "wrong_type"),
        (r#""size":"300""#, r#""size":"3e2""#, "wrong_number"),
        (r#""size":"300""#, r#""size":-300"#, "wrong_number"),
        (r#""size":"300""#, r#""size":99999999999999999999"#, "wrong_number"),
        (r#""size":"300""#, r#""size":true"#, "wrong_type"),
        (r#""status":401"#, r#""status":0"#, "status"),
        (r#""status":401"#, r#""status":4010"#, "status"),
        (r#""proxy":-1"#, r#""proxy":-2"#, "wrong_number"),
        (r#""proxy":-1"#, r#""proxy":"-""#, "wrong_number"),
        (r#""request":{"#, r#""session":{"#, "request"),
        (r#""client_ip":"2001:db8::1""#, r#""client_ip":4"#, "wrong_type"),
        (r#""started_at":"#, r#""consumer":"acme","started_at":"#, "wrong_type"),
    ] {
        assert!(good.contains(from), "{from}");
        let outcomes = outcomes(&FORMAT, Some(good.replacen(from, to, 1).as_bytes()));
        assert_eq!(outcomes.len(), 1);
        let rejection = outcomes[0].as_ref().unwrap_err();
        assert_eq!(rejection.reason, reason, "{from} -> {to}: {}", rejection.detail);
    }
    // APISIX and others send the raw request: it is no JSON.
    let raw = b"GET / HTTP/1.1\r\nauthorization: Bearer x\r\n\r\n";
    assert_eq!(outcomes(&FORMAT, Some(raw))[0].as_ref().unwrap_err().reason, "invalid_json");
}

#[test]
fn hosts_lose_user_and_port() {
    for (url, host) in [
        ("http://a.example:8000/x", Some("a.example")),
        ("https://u:p@a.example/x@y:1", Some("a.example")),
        ("http://[::1]:8000/", Some("[::1]")),
        ("http://[::1]/", Some("[::1]")),
        ("http://a?x=http://b:1", Some("a")),
        ("http:///x", None),
        ("/x", None),
    ] {
        assert_eq!(host_of(url), host, "{url}");
    }
}
