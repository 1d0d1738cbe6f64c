//! Decoder `nginx`: the access log of NGINX as JSON, one object a message (or an array of them, as some shippers
//! batch), or one object a line of a file. The `log_format` to paste, and what becomes of each field, is in
//! `docs/messages.md`.
//!
//! Every value stands in quotes, numbers too; `-` and the empty text are absent, which is never zero. NGINX logs at the
//! end of a request, so its start is `msec` less `request_time`, in whole milliseconds, and `time_basis` is
//! `end_minus_latency`. Bytes are counted with headers; only where `body_bytes_sent` stands alone are they without.
//!
//! Two things that the log cannot tell: `request_length` leaves out a body that NGINX never read (401, 413, timeouts),
//! and a response that stalled is logged with the status of a whole one.

use std::borrow::Cow;

use chrono::DateTime;
use serde::Deserialize;

use crate::decode::{Message, Rejection, text_of};
use crate::numeral::{integer, scaled};
use crate::record::{AccessFormat, AccessRecord, Text, is_event_id, object, occurred, status, without_query};

/// Fields in which bytes that are no UTF-8 are replaced, because the client writes them: it must not be able to take
/// its requests off the bill by sending garbage. Everywhere else they reject the record.
const LENIENT_FIELDS: &[&str] = &["request_uri", "http_user_agent", "host", "credential"];

/// One line as it stands in the log.
#[derive(Debug, Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    request_id: Text<'a>,
    msec: Text<'a>,
    request_time: Text<'a>,
    host: Text<'a>,
    server_name: Text<'a>,
    request_method: Text<'a>,
    request_uri: Text<'a>,
    status: Text<'a>,
    request_length: Text<'a>,
    body_bytes_sent: Text<'a>,
    bytes_sent: Text<'a>,
    upstream_response_time: Text<'a>,
    upstream_cache_status: Text<'a>,
    http_user_agent: Text<'a>,
    remote_addr: Text<'a>,
    consumer: Text<'a>,
    credential: Text<'a>,
    environment: Text<'a>,
    product: Text<'a>,
    route: Text<'a>,
    scope: Text<'a>,
    workspace: Text<'a>,
    path_template: Text<'a>,
    client_tag: Text<'a>,
    error_code: Text<'a>,
    idempotency_key: Text<'a>,
}

/// How it is read.
pub(crate) const FORMAT: AccessFormat = AccessFormat { text_of: mended_text_of, read: |text| check(object(text)?) };

/// The text of a message; where only lenient fields are no UTF-8, with replacement characters in them.
fn mended_text_of<'a>(message: &Message<'a>) -> Result<Cow<'a, str>, Rejection> {
    match (text_of(message), message.payload) {
        (Err(rejection), Some(payload)) if rejection.reason == "invalid_utf8" => {
            String::from_utf8(mend(payload)).map(Cow::Owned).map_err(|_| rejection)
        }
        (text, _) => text.map(Cow::Borrowed),
    }
}

/// Replaces what is no UTF-8 inside the values of lenient fields. Quotes and backslashes are ASCII and never part of
/// a longer character, so strings can be found in any bytes.
fn mend(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 16);
    let mut lenient = false;
    let mut rest = payload;
    while let Some(open) = rest.iter().position(|byte| *byte == b'"') {
        let (between, string) = rest.split_at(open + 1);
        out.extend_from_slice(between);
        let (inside, after) = string.split_at(length_inside(string));
        if lenient {
            out.extend_from_slice(String::from_utf8_lossy(inside).as_bytes());
        } else {
            out.extend_from_slice(inside);
        }
        // A name is followed by a colon; the string behind that is its value.
        let is_name = after.get(1..).unwrap_or_default().trim_ascii_start().starts_with(b":");
        lenient = is_name && LENIENT_FIELDS.iter().any(|field| field.as_bytes() == inside);
        let (quote, further) = after.split_at(after.len().min(1));
        out.extend_from_slice(quote);
        rest = further;
    }
    out.extend_from_slice(rest);
    out
}

/// Bytes up to the closing quote of a string, or up to the end where there is none.
fn length_inside(string: &[u8]) -> usize {
    let mut escaped = false;
    let closing = string.iter().position(|byte| match byte {
        _ if escaped => {
            escaped = false;
            false
        }
        b'\\' => {
            escaped = true;
            false
        }
        byte => *byte == b'"',
    });
    closing.unwrap_or(string.len())
}

fn check(raw: Raw<'_>) -> Result<AccessRecord<'_>, Rejection> {
    let event_id = present(raw.request_id).filter(|id| is_event_id(id)).ok_or_else(|| {
        let detail = "request_id is missing, empty or too long: log \"request_id\":\"$request_id\" in the log_format";
        Rejection::new("event_id", detail)
    })?;
    let required = |field: &'static str, text: Text<'_>| {
        let missing = || Rejection::new("occurred_at", format!("{field} is missing: log \"{field}\":\"${field}\""));
        seconds(field, text, 3)?.ok_or_else(missing)
    };
    let end_ms = required("msec", raw.msec)?;
    let latency_ms = required("request_time", raw.request_time)?;
    let occurred_at = occurred(DateTime::from_timestamp_millis(end_ms - latency_ms), "msec less request_time")?;
    let request_length = count("request_length", present(raw.request_length))?;
    let bytes_sent = count("bytes_sent", present(raw.bytes_sent))?;
    let body_bytes_sent = count("body_bytes_sent", present(raw.body_bytes_sent))?;
    let mut record = AccessRecord {
        host: present(raw.host).or(present(raw.server_name)),
        route: present(raw.route),
        product_hint: present(raw.product),
        method: present(raw.request_method),
        path: present(raw.request_uri).map(without_query),
        path_template: present(raw.path_template),
        status: three_digits(present(raw.status))?,
        error_code: present(raw.error_code),
        latency_us: latency_ms.checked_mul(1000),
        upstream_latency_us: upstream_us(present(raw.upstream_response_time))?,
        consumer: present(raw.consumer),
        credential: present(raw.credential),
        scope: present(raw.scope),
        environment_hint: present(raw.environment),
        workspace: present(raw.workspace),
        cache_status: present(raw.upstream_cache_status).map(|word| Cow::Owned(word.to_ascii_lowercase())),
        client_tag: present(raw.client_tag),
        idempotency_key: present(raw.idempotency_key),
        client_address: present(raw.remote_addr),
        user_agent: present(raw.http_user_agent),
        ..AccessRecord::new(event_id, occurred_at, "end_minus_latency")
    };
    let attribute = |name: &'static str, number: Option<i64>| {
        number.map(|number| (Cow::Borrowed(name), Cow::Owned(number.to_string())))
    };
    if bytes_sent.is_none() && body_bytes_sent.is_some() {
        record.response_bytes = body_bytes_sent;
        record.bytes_basis = "body";
        record.attributes.extend(attribute("request_length", request_length));
    } else if bytes_sent.is_some() || request_length.is_some() {
        record.request_bytes = request_length;
        record.response_bytes = bytes_sent;
        record.bytes_basis = "body_and_headers";
        record.attributes.extend(attribute("body_bytes_sent", body_bytes_sent));
    }
    Ok(record)
}

/// NGINX writes `-` or nothing for a variable that has no value.
fn present(text: Text<'_>) -> Text<'_> {
    text.filter(|text| !text.is_empty() && text != "-")
}

fn count(field: &'static str, text: Text<'_>) -> Result<Option<i64>, Rejection> {
    let wrong = || Rejection::new("wrong_number", format!("{field} is not a whole number of digits"));
    text.map(|text| integer(&text).ok_or_else(wrong)).transpose()
}

/// Seconds times ten to the power of `digits`.
fn seconds(field: &'static str, text: Text<'_>, digits: usize) -> Result<Option<i64>, Rejection> {
    let wrong = || Rejection::new("wrong_number", format!("{field} is not seconds with at most {digits} decimals"));
    present(text).map(|text| scaled(&text, digits).ok_or_else(wrong)).transpose()
}

fn three_digits(text: Text<'_>) -> Result<Option<i32>, Rejection> {
    match text.as_deref() {
        None | Some("000" | "009") => Ok(None),
        Some(text) => status(integer(text).filter(|_| text.len() == 3).unwrap_or_default()).map(Some),
    }
}

/// The sum over all tries, in microseconds; absent where no try has a time.
fn upstream_us(list: Text<'_>) -> Result<Option<i64>, Rejection> {
    let Some(list) = list else { return Ok(None) };
    let mut sum: Option<i64> = None;
    for part in list.split([',', ':']) {
        let us = seconds("upstream_response_time", Some(Cow::Borrowed(part.trim_matches(' '))), 6)?;
        if let Some(us) = us {
            sum = sum.unwrap_or_default().checked_add(us);
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests;
