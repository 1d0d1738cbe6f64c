//! Decoder `cloudevents`: partner lifecycle events, CloudEvents 1.0 in structured mode (the whole event is the value)
//! or binary mode (attributes in headers `ce_…`, data in the value). Rules of content are `schemas::lifecycle`'s.

use serde_json::{Map, Value};
use tollbook_schemas::lifecycle::{EventError, LifecycleEvent};
use tollbook_schemas::tables::Row;

use crate::decode::{Door, Message, Rejection, text_of};

/// Decodes a message into one row of `partner_event` (without the columns of its place).
pub(crate) fn decode(message: &Message<'_>, door: &Door) -> Result<Row, Rejection> {
    let text = text_of(message)?;
    let refuse = |error: EventError| Rejection::new(error.reason(), error.to_string());
    let header = |name: &str| {
        let value = message.headers.iter().find(|(key, _)| key.strip_prefix("ce_") == Some(name));
        value.and_then(|(_, value)| String::from_utf8(value.clone()).ok())
    };
    let binary = header("specversion").is_some();
    let value: Value = serde_json::from_str(text).map_err(|error| {
        Rejection::new("invalid_json", format!("not valid JSON at line {} column {}", error.line(), error.column()))
    })?;
    let mut event = if binary {
        let data: Map<String, Value> = match value {
            Value::Object(data) => data,
            _ => return Err(refuse(EventError::Data)),
        };
        LifecycleEvent::from_attributes(header, data).map_err(refuse)?
    } else {
        LifecycleEvent::from_structured(value).map_err(refuse)?
    };
    if let Some(credential) = event.take_credential() {
        event.data.insert("credential_hashes".to_owned(), door.keys.all_hashes(&credential).into());
    }
    Ok(event.row())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use tollbook_schemas::source::Source;

    use super::*;
    use crate::credential::{CredentialKey, KeyRing};
    use crate::decode::Decoder;

    fn door() -> Door {
        Door {
            source: Source::kafka("test", "partner-lifecycle", "1").unwrap(),
            decoder: Decoder::CloudEvents,
            gateway: "none".into(),
            environment_default: None,
            keys: KeyRing { current: CredentialKey::new("k1", "secret"), previous: None },
        }
    }

    fn decode_text(text: &str, headers: &[(String, Vec<u8>)]) -> Result<Row, Rejection> {
        let received_at = DateTime::from_timestamp_millis(0).unwrap();
        decode(&Message { partition: 0, offset: 0, received_at, payload: Some(text.as_bytes()), headers }, &door())
    }

    #[test]
    fn both_modes_give_one_row_and_no_raw_credential() {
        let data = r#"{"credential":"raw-key","environment":"sandbox"}"#;
        let attributes = [
            ("specversion", "1.0"),
            ("type", "com.x.partner.credential.issued.v1"),
            ("source", "/portal"),
            ("id", "7"),
            ("time", "2026-06-01T00:00:00Z"),
            ("subject", "partner/acme"),
        ];
        let headers: Vec<_> = attributes.iter().map(|(k, v)| (format!("ce_{k}"), v.as_bytes().to_vec())).collect();
        let fields: Vec<_> = attributes.iter().map(|(k, v)| format!("\"{k}\":\"{v}\"")).collect();
        let structured = decode_text(&format!("{{{},\"data\":{data}}}", fields.join(",")), &[]).unwrap();
        let binary = decode_text(data, &headers).unwrap();
        assert_eq!(structured, binary);
        let stored = structured.text("data").unwrap();
        assert!(stored.contains("\"k1:") && !stored.contains("raw-key"), "{stored}");
        assert_eq!(structured.text("event_type"), Some("credential.issued"));
    }

    #[test]
    fn what_is_no_event_is_rejected() {
        for (text, reason) in [("{", "invalid_json"), ("3", "event_not_an_object"), ("", "empty_message")] {
            assert_eq!(decode_text(text, &[]).unwrap_err().reason, reason);
        }
    }
}
