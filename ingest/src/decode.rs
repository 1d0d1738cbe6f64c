//! The door: which table a topic fills, by which decoder; and what a decoder says about one message.
//!
//! A message gives one or more records; each is accepted or rejected, by itself. Index is the record's place in its
//! message, dense from 0 (I1). A message that cannot be read as a whole is one rejected record at index 0.

use chrono::{DateTime, Utc};
use tollbook_schemas::source::Source;
use tollbook_schemas::tables::{Table, access_log, partner_event};

use crate::credential::KeyRing;
use crate::record::AccessFormat;
use crate::{kong, native, nginx};

/// How messages are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoder {
    /// Our own access-log JSON: `native.rs`. What each decoder reads is in `docs/messages.md`.
    Native,
    /// NGINX's access log as JSON: `nginx.rs`.
    Nginx,
    /// Kong's http-log, file-log and their like: `kong.rs`.
    Kong,
    /// Lifecycle events, CloudEvents 1.0: `cloudevents.rs`.
    CloudEvents,
}

impl Decoder {
    /// The words that [`Decoder::parse`] knows.
    pub const WORDS: &'static str = "native, nginx, kong or cloudevents";

    /// Reads the word of the configuration.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "native" => Some(Self::Native),
            "nginx" => Some(Self::Nginx),
            "kong" => Some(Self::Kong),
            "cloudevents" => Some(Self::CloudEvents),
            _ => None,
        }
    }

    /// The word of the configuration.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Nginx => "nginx",
            Self::Kong => "kong",
            Self::CloudEvents => "cloudevents",
        }
    }

    /// The table that it fills.
    #[must_use]
    pub fn table(self) -> &'static Table {
        match self {
            Self::Native | Self::Nginx | Self::Kong => &access_log::TABLE,
            Self::CloudEvents => &partner_event::TABLE,
        }
    }

    /// How it reads access logs, if it does.
    pub(crate) fn access_format(self) -> Option<&'static AccessFormat> {
        match self {
            Self::Native => Some(&native::FORMAT),
            Self::Nginx => Some(&nginx::FORMAT),
            Self::Kong => Some(&kong::FORMAT),
            Self::CloudEvents => None,
        }
    }

    /// Whether it reads the access logs of a gateway; then its doors need the gateway's name.
    #[must_use]
    pub fn needs_gateway(self) -> bool {
        self.access_format().is_some()
    }
}

/// One topic as it is configured.
#[derive(Debug, Clone)]
pub struct Door {
    /// Source name: part of every key.
    pub source: Source,
    /// How messages are read.
    pub decoder: Decoder,
    /// Id of the gateway; event ids are unique within it.
    pub gateway: String,
    /// Environment of records that say none, if configured.
    pub environment_default: Option<String>,
    /// Keys for credentials.
    pub keys: KeyRing,
}

/// One message, borrowed from the consumer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub partition: i32,
    pub offset: i64,
    pub received_at: DateTime<Utc>,
    pub payload: Option<&'a [u8]>,
    pub headers: &'a [(String, Vec<u8>)],
}

/// Why one record is rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    /// Short name, for counting.
    pub reason: &'static str,
    /// In words, without values of the record.
    pub detail: String,
}

impl Rejection {
    pub(crate) fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// The payload as text, or why not.
pub(crate) fn text_of<'a>(message: &Message<'a>) -> Result<&'a str, Rejection> {
    let payload = match message.payload {
        None => return Err(Rejection::new("null_message", "the message has no value")),
        Some([]) => return Err(Rejection::new("empty_message", "the message is empty")),
        Some(payload) => payload,
    };
    std::str::from_utf8(payload)
        .map_err(|error| Rejection::new("invalid_utf8", format!("not UTF-8 at byte {}", error.valid_up_to())))
}
