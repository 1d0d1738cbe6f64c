//! The fields that our decoders read, as structs for the rivals: every text borrows from the line.

// They are read from lines and never looked at.
#![allow(dead_code)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A text of the line itself, or its own where it has escapes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowing;

        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Borrowing)
    }
}

/// A text or a number.
#[derive(Debug, serde::Deserialize)]
#[serde(untagged)]
pub enum Scalar<'a> {
    #[serde(borrow)]
    Text(Text<'a>),
    Int(i64),
    Float(f64),
}

/// tollbook's own form.
#[derive(Debug, serde::Deserialize)]
pub struct Native<'a> {
    #[serde(borrow)]
    event_id: Option<Text<'a>>,
    occurred_at: Option<Text<'a>>,
    kind: Option<Text<'a>>,
    host: Option<Text<'a>>,
    route: Option<Text<'a>>,
    product: Option<Text<'a>>,
    method: Option<Text<'a>>,
    path: Option<Text<'a>>,
    path_template: Option<Text<'a>>,
    status: Option<i64>,
    error_code: Option<Text<'a>>,
    request_bytes: Option<i64>,
    response_bytes: Option<i64>,
    latency_us: Option<i64>,
    upstream_latency_us: Option<i64>,
    consumer: Option<Text<'a>>,
    credential: Option<Text<'a>>,
    scope: Option<Text<'a>>,
    environment: Option<Text<'a>>,
    workspace: Option<Text<'a>>,
    cache_status: Option<Text<'a>>,
    client_tag: Option<Text<'a>>,
    idempotency_key: Option<Text<'a>>,
    client_address: Option<Text<'a>>,
    user_agent: Option<Text<'a>>,
    bytes_basis: Option<Text<'a>>,
    attributes: Option<BTreeMap<Text<'a>, Scalar<'a>>>,
}

/// NGINX.
#[derive(Debug, serde::Deserialize)]
pub struct Nginx<'a> {
    #[serde(borrow)]
    request_id: Option<Text<'a>>,
    msec: Option<Text<'a>>,
    request_time: Option<Text<'a>>,
    host: Option<Text<'a>>,
    server_name: Option<Text<'a>>,
    request_method: Option<Text<'a>>,
    request_uri: Option<Text<'a>>,
    status: Option<Text<'a>>,
    request_length: Option<Text<'a>>,
    body_bytes_sent: Option<Text<'a>>,
    bytes_sent: Option<Text<'a>>,
    upstream_response_time: Option<Text<'a>>,
    upstream_cache_status: Option<Text<'a>>,
    http_user_agent: Option<Text<'a>>,
    remote_addr: Option<Text<'a>>,
    consumer: Option<Text<'a>>,
    credential: Option<Text<'a>>,
    environment: Option<Text<'a>>,
    product: Option<Text<'a>>,
    route: Option<Text<'a>>,
}

/// Kong.
#[derive(Debug, serde::Deserialize)]
pub struct Kong<'a> {
    #[serde(borrow)]
    request: Option<Request<'a>>,
    response: Option<Response>,
    latencies: Option<Latencies>,
    started_at: Option<i64>,
    consumer: Option<Entity<'a>>,
    authenticated_entity: Option<Entity<'a>>,
    service: Option<Entity<'a>>,
    route: Option<Entity<'a>>,
    upstream_status: Option<Text<'a>>,
    workspace: Option<Text<'a>>,
    workspace_name: Option<Text<'a>>,
    client_ip: Option<Text<'a>>,
}

/// Its request.
#[derive(Debug, serde::Deserialize)]
pub struct Request<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    method: Option<Text<'a>>,
    uri: Option<Text<'a>>,
    url: Option<Text<'a>>,
    size: Option<i64>,
}

/// Its response.
#[derive(Debug, serde::Deserialize)]
pub struct Response {
    status: Option<i64>,
    size: Option<i64>,
}

/// Its latencies.
#[derive(Debug, serde::Deserialize)]
pub struct Latencies {
    request: Option<i64>,
    proxy: Option<i64>,
}

/// A consumer, credential, service or route.
#[derive(Debug, serde::Deserialize)]
pub struct Entity<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    name: Option<Text<'a>>,
    username: Option<Text<'a>>,
    custom_id: Option<Text<'a>>,
}
