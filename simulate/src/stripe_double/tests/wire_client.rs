//! A small HTTP/1.1 client that shows exactly what came over the wire, half an answer included.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(super) const KEY: &str = "sk_test_double";

pub(super) struct Client(TcpStream);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub status: u16,
    headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// Whether the body is as long as the head said.
    pub whole: bool,
}

impl Client {
    pub async fn connect(base_url: &str) -> Self {
        Self(TcpStream::connect(base_url.trim_start_matches("http://")).await.unwrap())
    }

    /// `METHOD /path`, with the right key and version.
    pub async fn call(&mut self, call: &str, idempotency_key: &str, form: &str) -> Option<Seen> {
        let (method, path) = call.split_once(' ').unwrap();
        let authorization = format!("Authorization: Bearer {KEY}");
        let key = format!("Idempotency-Key: {idempotency_key}");
        let mut headers = vec![
            authorization.as_str(),
            "Stripe-Version: 2026-09-30.endive",
            "Content-Type: application/x-www-form-urlencoded",
        ];
        if !idempotency_key.is_empty() {
            headers.push(&key);
        }
        self.raw(method, path, &headers, form).await
    }

    /// Sends without waiting for an answer.
    pub async fn send(&mut self, method: &str, path: &str, headers: &[&str], body: &str) -> bool {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: double\r\nContent-Length: {}\r\n", body.len());
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        self.0.write_all(format!("{head}\r\n{body}").as_bytes()).await.is_ok()
    }

    /// Sends and reads; `None` if the connection ends before a head came.
    pub async fn raw(&mut self, method: &str, path: &str, headers: &[&str], body: &str) -> Option<Seen> {
        if !self.send(method, path, headers, body).await {
            return None;
        }
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if self.0.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return None;
            }
        };
        let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = bytes.split_off(head_end);
        while body.len() < length {
            if self.0.read_buf(&mut body).await.unwrap_or(0) == 0 {
                break;
            }
        }
        let whole = body.len() == length;
        Some(Seen { status, headers, body, whole })
    }
}

impl Seen {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Conditions, split at spaces: `path/in/json=value`, `@replayed=true`, `@original=req_…`, `@reason=…`;
    /// `-` means "not there".
    pub fn check(&self, row: &str, conditions: &str) {
        for condition in conditions.split_whitespace() {
            let (place, expected) = condition.split_once('=').unwrap();
            let found = match place.strip_prefix('@') {
                Some("replayed") => self.header("idempotent-replayed").map(str::to_owned),
                Some("original") => self.header("original-request").map(str::to_owned),
                Some("reason") => self.header("stripe-rate-limited-reason").map(str::to_owned),
                Some(other) => panic!("{row}: unknown condition {other}"),
                None => match self.json().pointer(&format!("/{place}")) {
                    Some(Value::String(text)) => Some(text.clone()),
                    // An error without a code has no such member.
                    None if expected == "null" => Some("null".to_owned()),
                    other => other.map(Value::to_string),
                },
            };
            assert_eq!(found.as_deref().unwrap_or("-"), expected, "{row}: {condition} in {}", self.text());
        }
    }
}
