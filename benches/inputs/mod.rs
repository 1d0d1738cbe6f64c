//! What the benchmarks are fed: the simulator's traffic; the same requests as NGINX and as Kong would log them; the
//! traffic as Arrow batches, in the portions in which ingest would commit them.

// Each benchmark uses its own part of it.
#![allow(dead_code)]

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tollbook_ingest::bench::{Decoded, Decoding};
use tollbook_ingest::{CredentialKey, Decoder, Door, KeyRing};
use tollbook_schemas::source::Source;
use tollbook_simulate::{Message, Settings, World, world};

/// Message bytes of one commit: the default of `[ingest] batch_bytes_max`.
pub const COMMIT_BYTES: usize = 32 * 1024 * 1024;
/// Partitions of the access topic.
pub const PARTITIONS: i32 = 4;

/// A world with at least this many requests.
pub fn world_of(events: u64) -> World {
    world(&Settings { seed: 7, events, partners: 40, partitions: PARTITIONS })
}

/// The source of a topic.
pub fn source(topic: &str) -> Source {
    Source::kafka("bench", topic, "1").unwrap()
}

/// A door as a deployment would configure it.
pub fn door(decoder: Decoder, topic: &str) -> Door {
    Door {
        source: source(topic),
        decoder,
        gateway: "edge".to_owned(),
        environment_default: None,
        keys: KeyRing { current: CredentialKey::new("bench", "a key of the benchmarks"), previous: None },
    }
}

/// When a message arrived.
pub fn arrived(message: &Message) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(message.timestamp_ms).unwrap()
}

/// The first requests of the traffic, one a message, in tollbook's own form.
pub fn native_lines(count: usize) -> Vec<String> {
    let events = u64::try_from(count).unwrap();
    let single = |message: Message| {
        let text = String::from_utf8(message.payload?).ok()?;
        // Arrays and garbage are left out: the rivals are to read the very same records.
        let object: Value = serde_json::from_str(&text).ok()?;
        let whole = object.get("status").is_some_and(|status| (100..600).contains(&status.as_i64().unwrap_or(0)));
        whole.then_some(text)
    };
    let mut decoding = Decoding::new(door(Decoder::Native, "access"), 0);
    let accepted = |text: &String| {
        decoding.push(0, DateTime::UNIX_EPOCH, Some(text.as_bytes()), &[]);
        let decoded = decoding.seal().unwrap();
        decoding = Decoding::new(door(Decoder::Native, "access"), 0);
        decoded.rejected_total == 0
    };
    let lines: Vec<String> = world_of(events * 3).traffic().filter_map(single).filter(accepted).take(count).collect();
    assert_eq!(lines.len(), count, "the traffic has too few single requests");
    lines
}

/// The same requests as NGINX logs them in the `log_format` of the README.
pub fn nginx_lines(native: &[String]) -> Vec<String> {
    native.iter().map(|line| nginx_line(&serde_json::from_str(line).unwrap())).collect()
}

fn nginx_line(record: &Value) -> String {
    let text = |name: &str| record[name].as_str().unwrap_or_default();
    let int = |name: &str| record[name].as_i64().unwrap_or_default();
    let latency_ms = int("latency_us") / 1000;
    let seconds = |ms: i64| format!("{}.{:03}", ms / 1000, ms % 1000);
    let end_ms = DateTime::parse_from_rfc3339(text("occurred_at")).unwrap().timestamp_millis() + latency_ms;
    let body = int("response_bytes");
    format!(
        concat!(
            r#"{{"request_id":"{:0>32}","msec":"{}","request_time":"{}","host":"{}","server_name":"{}","#,
            r#""request_method":"{}","request_uri":"{}?v=2","status":"{}","request_length":"{}","#,
            r#""body_bytes_sent":"{}","bytes_sent":"{}","upstream_response_time":"{}","upstream_cache_status":"{}","#,
            r#""http_user_agent":"{}","remote_addr":"{}","consumer":"{}","credential":"{}","#,
            r#""environment":"production","product":"{}","route":"{}"}}"#
        ),
        text("event_id"),
        seconds(end_ms),
        seconds(latency_ms),
        text("host"),
        text("host"),
        text("method"),
        text("path"),
        int("status"),
        int("request_bytes"),
        body,
        body + 256,
        seconds(int("upstream_latency_us") / 1000),
        text("cache_status").to_uppercase(),
        text("user_agent"),
        text("client_address"),
        text("consumer"),
        text("credential"),
        text("product"),
        text("route"),
    )
}

/// The same requests as Kong's http-log sends them, with the headers of an ordinary client.
pub fn kong_lines(native: &[String]) -> Vec<String> {
    native.iter().map(|line| kong_line(&serde_json::from_str(line).unwrap()).to_string()).collect()
}

fn kong_line(record: &Value) -> Value {
    let text = |name: &str| record[name].as_str().unwrap_or_default();
    let int = |name: &str| record[name].as_i64().unwrap_or_default();
    let (host, path) = (text("host"), text("path"));
    let started_at = DateTime::parse_from_rfc3339(text("occurred_at")).unwrap().timestamp_millis();
    let proxy = int("upstream_latency_us") / 1000;
    json!({
        "request": {
            "id": format!("{:0>32}", text("event_id")),
            "method": text("method"),
            "uri": format!("{path}?v=2"),
            "url": format!("https://{host}:8443{path}?v=2"),
            "querystring": { "v": "2" },
            "headers": { "host": host, "user-agent": text("user_agent"), "accept": "*/*", "accept-encoding": "gzip, br",
                "x-forwarded-for": text("client_address"), "x-request-id": text("event_id") },
            "size": int("request_bytes"),
            "tls": { "version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384", "client_verify": "NONE" },
        },
        "upstream_uri": path,
        "upstream_status": int("status").to_string(),
        "response": {
            "status": int("status"),
            "headers": { "content-type": "application/json", "via": "1.1 kong/3.9.0", "server": "upstream",
                "x-kong-upstream-latency": proxy.to_string(), "x-kong-proxy-latency": "1" },
            "size": int("response_bytes"),
        },
        "tries": [{ "ip": "10.0.0.8", "port": 8080, "balancer_latency": 0, "balancer_start": started_at }],
        "latencies": { "kong": 3, "proxy": proxy, "request": int("latency_us") / 1000, "receive": 2 },
        "authenticated_entity": { "id": "c1b2a3d4-0000-4000-8000-000000000001" },
        "consumer": { "id": "5d4c3b2a-0000-4000-8000-000000000002", "username": text("consumer"), "custom_id": "p7",
            "created_at": 1_770_000_000, "tags": ["gold"] },
        "service": { "id": "s1", "name": text("product"), "host": "upstream.internal", "port": 8080,
            "protocol": "http", "ws_id": "w1" },
        "route": { "id": "r1", "name": text("route"), "paths": [path], "methods": [text("method")],
            "service": { "id": "s1" }, "ws_id": "w1" },
        "workspace": "w1",
        "workspace_name": "default",
        "client_ip": text("client_address"),
        "started_at": started_at,
    })
}

/// All lines through our decoder into one batch.
///
/// # Panics
/// Where a line is refused: then the rivals would not read the same.
pub fn decode(decoder: Decoder, lines: &[String]) -> RecordBatch {
    let mut decoding = Decoding::new(door(decoder, "access"), 0);
    for (offset, line) in (0_i64..).zip(lines) {
        decoding.push(offset, DateTime::UNIX_EPOCH, Some(line.as_bytes()), &[]);
    }
    let decoded = decoding.seal().unwrap();
    assert_eq!(decoded.rejected_total, 0, "{decoder:?}: lines were refused");
    decoded.accepted.unwrap()
}

/// Several partitions of one door, sealed together whenever they hold what one commit takes.
pub struct Partitions {
    door: Door,
    decodings: BTreeMap<i32, Decoding>,
}

impl Partitions {
    pub fn new(door: Door) -> Self {
        Self { door, decodings: BTreeMap::new() }
    }

    /// Takes a message; gives what to commit where enough is there.
    pub fn push(
        &mut self,
        partition: i32,
        offset: i64,
        received_at: DateTime<Utc>,
        payload: Option<&[u8]>,
        headers: &[(String, Vec<u8>)],
    ) -> Option<Vec<(i32, Decoded)>> {
        let door = &self.door;
        let decoding = self.decodings.entry(partition).or_insert_with(|| Decoding::new(door.clone(), partition));
        decoding.push(offset, received_at, payload, headers);
        let bytes: usize = self.decodings.values().map(Decoding::bytes).sum();
        (bytes >= COMMIT_BYTES).then(|| self.seal())
    }

    /// What is left.
    pub fn seal(&mut self) -> Vec<(i32, Decoded)> {
        self.decodings.iter_mut().map(|(partition, decoding)| (*partition, decoding.seal().unwrap())).collect()
    }
}
