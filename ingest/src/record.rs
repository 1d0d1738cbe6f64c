//! One request as any gateway told it, checked; and how the message of a gateway becomes such records.
//!
//! A message holds one JSON object or an array of them. Each is accepted or rejected by itself; its place in the
//! message is its index, dense from 0 (I1). What a decoder does not name here never reaches the lake.

use std::borrow::Cow;

use chrono::{DateTime, Datelike as _, Utc};
use serde::Deserialize;
use sonic_rs::LazyValue;

use crate::decode::{Message, Rejection};

/// A text that may be absent.
pub(crate) type Text<'a> = Option<Cow<'a, str>>;

/// What a record says: a request, or what corrects one by its event id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordKind<'a> {
    /// A request.
    Request,
    /// The request with this id was none: it counts as nothing.
    Retraction(Cow<'a, str>),
    /// This record stands in place of the request with this id.
    Amendment(Cow<'a, str>),
}

impl RecordKind<'_> {
    /// The words of the columns `kind` and `corrects_event_id`.
    pub(crate) fn columns(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Request => ("request", None),
            Self::Retraction(id) => ("retraction", Some(id)),
            Self::Amendment(id) => ("amendment", Some(id)),
        }
    }
}

/// One accepted record, checked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AccessRecord<'a> {
    pub event_id: Cow<'a, str>,
    /// Whether it is a request, or corrects one.
    pub kind: RecordKind<'a>,
    pub occurred_at: DateTime<Utc>,
    pub host: Text<'a>,
    pub route: Text<'a>,
    pub product_hint: Text<'a>,
    pub method: Text<'a>,
    pub path: Text<'a>,
    pub path_template: Text<'a>,
    pub status: Option<i32>,
    pub error_code: Text<'a>,
    pub request_bytes: Option<i64>,
    pub response_bytes: Option<i64>,
    pub latency_us: Option<i64>,
    pub upstream_latency_us: Option<i64>,
    pub consumer: Text<'a>,
    pub credential: Text<'a>,
    pub scope: Text<'a>,
    pub environment_hint: Text<'a>,
    pub workspace: Text<'a>,
    pub cache_status: Text<'a>,
    pub client_tag: Text<'a>,
    pub idempotency_key: Text<'a>,
    pub client_address: Text<'a>,
    pub user_agent: Text<'a>,
    /// `gateway` where the gateway gave the id.
    pub id_basis: &'static str,
    /// What the byte counts mean; `absent` where there are none.
    pub bytes_basis: &'static str,
    /// `start`, or `end_minus_latency` where the gateway logs the end.
    pub time_basis: &'static str,
    pub attributes: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> AccessRecord<'a> {
    /// A record of which only this much is known.
    pub(crate) fn new(event_id: Cow<'a, str>, occurred_at: DateTime<Utc>, time_basis: &'static str) -> Self {
        Self {
            event_id,
            kind: RecordKind::Request,
            occurred_at,
            host: None,
            route: None,
            product_hint: None,
            method: None,
            path: None,
            path_template: None,
            status: None,
            error_code: None,
            request_bytes: None,
            response_bytes: None,
            latency_us: None,
            upstream_latency_us: None,
            consumer: None,
            credential: None,
            scope: None,
            environment_hint: None,
            workspace: None,
            cache_status: None,
            client_tag: None,
            idempotency_key: None,
            client_address: None,
            user_agent: None,
            id_basis: "gateway",
            bytes_basis: "absent",
            time_basis,
            attributes: Vec::new(),
        }
    }
}

/// How the access log of one kind of gateway is read.
#[derive(Debug)]
pub(crate) struct AccessFormat {
    /// The message as text.
    pub text_of: for<'m> fn(&Message<'m>) -> Result<Cow<'m, str>, Rejection>,
    /// One object of it.
    pub read: for<'t> fn(&'t str) -> Result<AccessRecord<'t>, Rejection>,
}

impl AccessFormat {
    /// Gives each record of a message with its index and its own bytes, in order.
    pub(crate) fn each(
        &self,
        message: &Message<'_>,
        mut take: impl FnMut(i32, Result<AccessRecord<'_>, Rejection>, &[u8]),
    ) {
        let whole = message.payload.unwrap_or_default();
        let text = match (self.text_of)(message) {
            Ok(text) => text,
            Err(rejection) => return take(0, Err(rejection), whole),
        };
        if is_too_deep(text.as_bytes()) {
            let detail = format!("objects and arrays are nested deeper than {DEPTH_MAX} levels");
            return take(0, Err(Rejection::new("too_deep", detail)), whole);
        }
        if !text.trim_start().starts_with('[') {
            return take(0, (self.read)(&text), whole);
        }
        match sonic_rs::from_str::<Vec<LazyValue<'_>>>(&text) {
            Ok(elements) if elements.is_empty() => {
                take(0, Err(Rejection::new("empty_message", "the array has no element")), whole);
            }
            Ok(elements) => {
                for (index, element) in (0_i32..).zip(&elements) {
                    // Each element is read for itself, so that a bad one rejects itself alone.
                    match element.as_raw_cow() {
                        Cow::Borrowed(text) => take(index, (self.read)(text), text.as_bytes()),
                        Cow::Owned(text) => take(index, (self.read)(&text), text.as_bytes()),
                    }
                }
            }
            Err(error) => take(0, Err(unreadable(&error)), whole),
        }
    }
}

/// Levels of objects and arrays in a message. The parser takes stack for each level, and a stack that overflows ends
/// the process: one hostile message would stop ingest for good.
const DEPTH_MAX: usize = 128;

/// Whether a message is nested deeper than is read. Brackets are counted outside strings, as the parser sees them;
/// those that close nothing or are of another kind make the message no JSON, which the parser tells.
fn is_too_deep(text: &[u8]) -> bool {
    let opens = |byte: &u8| matches!(byte, b'[' | b'{');
    // Nearly every message: it has not even as many brackets. This loop is a few bytes in one instruction.
    if text.iter().filter(|byte| opens(byte)).count() <= DEPTH_MAX {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Reads one JSON object into the fields that a decoder names.
pub(crate) fn object<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, Rejection> {
    if !text.trim_start().starts_with('{') {
        return Err(match sonic_rs::from_str::<sonic_rs::Value>(text) {
            Ok(_) => Rejection::new("wrong_type", "a record must be a JSON object"),
            Err(error) => unreadable(&error),
        });
    }
    sonic_rs::from_str(text).map_err(|error| unreadable(&error))
}

fn unreadable(error: &sonic_rs::Error) -> Rejection {
    // The library's own words quote the message; ours must not.
    if error.is_syntax() || error.is_eof() {
        Rejection::new("invalid_json", format!("not valid JSON at byte {}", error.offset()))
    } else {
        let detail = format!("a field is there twice, or has a type that it must not have, at byte {}", error.offset());
        Rejection::new("wrong_type", detail)
    }
}

/// Whether a text can be an event id.
pub(crate) fn is_event_id(id: &str) -> bool {
    (1..=200).contains(&id.len())
}

/// The instant, if it is one that a gateway of today can have logged.
pub(crate) fn occurred(instant: Option<DateTime<Utc>>, field: &str) -> Result<DateTime<Utc>, Rejection> {
    instant
        .filter(|instant| (2000..2200).contains(&instant.year()))
        .ok_or_else(|| Rejection::new("occurred_at", format!("{field} is outside the years 2000 to 2199")))
}

/// An HTTP status.
pub(crate) fn status(code: i64) -> Result<i32, Rejection> {
    i32::try_from(code)
        .ok()
        .filter(|code| (100..=999).contains(code))
        .ok_or_else(|| Rejection::new("status", "status is not 100 to 999"))
}

/// Queries hold what people type: they stay out of the lake.
pub(crate) fn without_query(path: Cow<'_, str>) -> Cow<'_, str> {
    match path.find('?') {
        None => path,
        Some(at) => match path {
            Cow::Borrowed(path) => Cow::Borrowed(&path[..at]),
            Cow::Owned(path) => Cow::Owned(path[..at].to_owned()),
        },
    }
}

/// The record at each index of a message: its event id, or the reason of its rejection.
#[cfg(test)]
pub(crate) fn outcomes(format: &AccessFormat, payload: Option<&[u8]>) -> Vec<Result<String, Rejection>> {
    let message = Message { partition: 0, offset: 0, received_at: DateTime::UNIX_EPOCH, payload, headers: &[] };
    let mut outcomes = Vec::new();
    format.each(&message, |index, record, _| {
        assert_eq!(usize::try_from(index).unwrap(), outcomes.len(), "indices are dense from 0");
        outcomes.push(record.map(|record| record.event_id.into_owned()));
    });
    outcomes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_strings() {
        let nested =
            |open: &str, levels: usize, close: &str| format!("{}1{}", open.repeat(levels), close.repeat(levels));
        for (text, too_deep) in [
            (nested("[", DEPTH_MAX, "]"), false),
            (nested("[", DEPTH_MAX + 1, "]"), true),
            (nested("{\"a\":", DEPTH_MAX, "}"), false),
            (nested("{\"a\":", DEPTH_MAX + 1, "}"), true),
            ("[".repeat(1_000_000), true),
            // Many, and flat.
            ("[[1],{\"a\":2}],".repeat(1_000), false),
            // In a string, also behind an escaped quote.
            (format!("{{\"a\":\"{}\"}}", "[".repeat(1_000)), false),
            (format!("{{\"a\":\"\\\"{}\"}}", "[".repeat(1_000)), false),
            (format!("{{\"a\":\"\\\\\",\"b\":{}", "[".repeat(1_000)), true),
        ] {
            assert_eq!(is_too_deep(text.as_bytes()), too_deep, "{}", &text[..text.len().min(60)]);
        }
    }
}
