//! Partner lifecycle events: CloudEvents 1.0, read strictly into one plain form.
//!
//! Takes the JSON of an event (structured mode, or attributes and data of binary mode), gives a [`LifecycleEvent`] or
//! the reason why it is refused. Unknown types are kept: a later fold may know them. Of known types every field that a
//! job reads is checked (`fields`): one that cannot be read is never taken for one that is not there. Contact data and
//! secrets are refused at every depth: the first belong to the billing profile alone, the second nowhere. The raw
//! credential of a `credential.…` event is *not* hashed here (this crate knows no key); it is handed out by
//! [`LifecycleEvent::take_credential`], and ingest puts the keyed hashes back.

mod fields;
mod private;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::id::PartnerId;
use crate::period::{PeriodError, parse_instant};
use crate::tables::Row;

pub(crate) use fields::WrongField;
use private::Private;

/// Why an event is refused. Messages name fields, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not a JSON object.
    #[error("an event must be a JSON object")]
    NotAnObject,
    /// A required attribute is missing or not text.
    #[error("attribute {0} is missing or not a non-empty text")]
    Attribute(&'static str),
    /// Another version of CloudEvents.
    #[error("specversion must be 1.0")]
    SpecVersion,
    /// `time` cannot be used.
    #[error("attribute time cannot be used")]
    Time(#[source] PeriodError),
    /// The time is outside 2000 to 2199, so it is a mistake of the sender.
    #[error("attribute time is outside the years 2000 to 2199")]
    Year,
    /// No partner where the type needs one.
    #[error("the partner is missing: subject must be partner/ID, or data.partner_id an id")]
    Partner,
    /// The data is not an object.
    #[error("data must be a JSON object")]
    Data,
    /// A field of the data that this type needs.
    #[error("data.{field} is missing or wrong for {event_type}: expected {expected}")]
    Field {
        /// Normalised type.
        event_type: String,
        /// Field.
        field: &'static str,
        /// Expected form.
        expected: &'static str,
    },
    /// Contact data in a lifecycle event.
    #[error(
        "data.{0} is contact data, which only the billing profile may hold; import it with tollbook partner import"
    )]
    ContactData(String),
    /// A key, a token, a password.
    #[error(
        "data.{0} is a secret, which no event may hold; credentials belong in data.credential of a credential.… event"
    )]
    Secret(String),
    /// An actor without a name.
    #[error("attribute actor must be partner:NAME, staff:NAME or system:RULE, with a name that is not empty")]
    Actor,
    /// An actor that is an address or a key.
    #[error("attribute actor holds an e-mail address or a key; name who did it by an id, such as staff:ann")]
    PrivateActor,
}

impl EventError {
    /// A short name for counting. Whoever keeps refused messages keeps nothing of one with private data: they all have
    /// one name.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotAnObject | Self::Data => "event_not_an_object",
            Self::Attribute(_) | Self::SpecVersion | Self::Actor => "event_attribute",
            Self::Time(_) | Self::Year => "event_time",
            Self::Partner => "event_partner",
            Self::Field { .. } => "event_field",
            Self::ContactData(_) | Self::Secret(_) | Self::PrivateActor => "event_contact_data",
        }
    }
}

/// One lifecycle event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleEvent {
    /// CloudEvents `source`; with `id` it is unique.
    pub source: String,
    /// CloudEvents `id`.
    pub id: String,
    /// Type without organisation and version: `subscription.started`.
    pub event_type: String,
    /// Type as sent.
    pub event_type_full: String,
    /// Partner that the event is about.
    pub partner_id: Option<PartnerId>,
    /// When it became true.
    pub occurred_at: DateTime<Utc>,
    /// Who did it.
    pub actor: Option<String>,
    /// CloudEvents extension.
    pub correlation_id: Option<String>,
    /// CloudEvents extension.
    pub causation_id: Option<String>,
    /// The event's data.
    pub data: Map<String, Value>,
}

/// The types that are checked and folded; any other type is kept as it is.
pub const KNOWN_TYPES: &[&str] = &[
    "registered",
    "offboarded",
    "reactivated",
    "identity.linked",
    "identity.unlinked",
    "credential.issued",
    "credential.revoked",
    "subscription.started",
    "subscription.changed",
    "subscription.cancelled",
    "subscription.paused",
    "subscription.resumed",
    "subscription.renewed",
    "contract.signed",
    "contract.ended",
    "payer.named",
    "payer.ended",
    "billing.started",
    "opening.recorded",
    "coupon.redeemed",
    "coupon.withdrawn",
    "credit.granted",
    "credit.voided",
    "cost.recorded",
    "adjustment.made",
    "adjustment.revoked",
];

/// Strips organisation and version: `com.acme.partner.subscription.started.v1` is `subscription.started`.
#[must_use]
pub fn normalise_type(full: &str) -> String {
    let without_version = match full.rsplit_once(".v") {
        Some((head, version)) if !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit()) => head,
        _ => full,
    };
    let start = without_version.find("partner.").map_or(0, |at| at + "partner.".len());
    without_version[start..].to_owned()
}

impl LifecycleEvent {
    /// Reads a structured-mode event.
    ///
    /// # Errors
    /// [`EventError`].
    pub fn from_structured(value: Value) -> Result<Self, EventError> {
        let Value::Object(mut object) = value else { return Err(EventError::NotAnObject) };
        let data = match object.remove("data") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(data)) => data,
            Some(_) => return Err(EventError::Data),
        };
        Self::from_attributes(|name| object.get(name).and_then(Value::as_str).map(str::to_owned), data)
    }

    /// Reads an event from its attributes (binary mode: headers `ce_*`) and its data.
    ///
    /// # Errors
    /// [`EventError`].
    pub fn from_attributes(
        attribute: impl Fn(&str) -> Option<String>,
        data: Map<String, Value>,
    ) -> Result<Self, EventError> {
        // First of all: of an event with private data nothing may be kept, whatever else is wrong with it.
        check_private(attribute("type").as_deref().unwrap_or_default(), &data)?;
        if let Some(actor) = attribute("actor") {
            check_actor(&actor)?;
        }
        let required =
            |name: &'static str| attribute(name).filter(|v| !v.is_empty()).ok_or(EventError::Attribute(name));
        if required("specversion")? != "1.0" {
            return Err(EventError::SpecVersion);
        }
        let event_type_full = required("type")?;
        let occurred_at = parse_instant(&required("time")?).map_err(EventError::Time)?;
        if !(2000..2200).contains(&chrono::Datelike::year(&occurred_at)) {
            return Err(EventError::Year);
        }
        let from_subject = attribute("subject").and_then(|s| s.strip_prefix("partner/").map(str::to_owned));
        let from_data = data.get("partner_id").and_then(Value::as_str).map(str::to_owned);
        let partner_id = match from_subject.or(from_data) {
            Some(text) => Some(PartnerId::parse(text).map_err(|_| EventError::Partner)?),
            None => None,
        };
        let event = Self {
            source: required("source")?,
            id: required("id")?,
            event_type: normalise_type(&event_type_full),
            event_type_full,
            partner_id,
            occurred_at,
            actor: attribute("actor"),
            correlation_id: attribute("correlationid"),
            causation_id: attribute("causationid"),
            data,
        };
        event.check()?;
        Ok(event)
    }

    fn check(&self) -> Result<(), EventError> {
        if !KNOWN_TYPES.contains(&self.event_type.as_str()) {
            return Ok(());
        }
        // A cost may be of the whole program.
        if self.event_type != "cost.recorded" {
            self.need_partner()?;
        }
        let wrong =
            |WrongField { field, expected }| EventError::Field { event_type: self.event_type.clone(), field, expected };
        let said = self.data.get("partner_id").filter(|said| !said.is_null());
        if said.is_some_and(|said| said.as_str() != self.partner_id.as_ref().map(PartnerId::as_str)) {
            return Err(wrong(WrongField { field: "partner_id", expected: "the partner of the subject, in text" }));
        }
        self.wrong_fields().into_iter().next().map_or(Ok(()), |first| Err(wrong(first)))
    }

    /// Fields of the data that jobs read of this type, and that are missing or have another form. There are none in an
    /// event that came through [`LifecycleEvent::from_attributes`]; an older version has stored some.
    pub(crate) fn wrong_fields(&self) -> Vec<WrongField> {
        fields::wrong(&self.event_type, &self.data)
    }

    fn need_partner(&self) -> Result<(), EventError> {
        self.partner_id.as_ref().map(|_| ()).ok_or(EventError::Partner)
    }

    /// A text field of the data.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.data.get(field).and_then(Value::as_str)
    }

    /// Takes the raw credential out of the data, so that it can be replaced by its keyed hashes.
    pub fn take_credential(&mut self) -> Option<String> {
        match self.data.remove("credential") {
            Some(Value::String(credential)) => Some(credential),
            _ => None,
        }
    }

    /// Reads a row of `partner_event` back.
    ///
    /// # Errors
    /// The column that is missing or damaged.
    pub fn from_row(row: &Row) -> Result<Self, &'static str> {
        let text = |column: &'static str| row.text(column).map(str::to_owned).ok_or(column);
        Ok(Self {
            source: text("event_source")?,
            id: text("event_id")?,
            event_type: text("event_type")?,
            event_type_full: text("event_type_full")?,
            partner_id: row.text("partner_id").map(PartnerId::parse).transpose().map_err(|_| "partner_id")?,
            occurred_at: row.instant("occurred_at").ok_or("occurred_at")?,
            actor: row.text("actor").map(str::to_owned),
            correlation_id: row.text("correlation_id").map(str::to_owned),
            causation_id: row.text("causation_id").map(str::to_owned),
            data: serde_json::from_str(&text("data")?).map_err(|_| "data")?,
        })
    }

    /// The event's own columns of `partner_event`; who appends it adds its place and `received_at`.
    #[must_use]
    pub fn row(&self) -> Row {
        Row::new()
            .with("event_source", self.source.as_str())
            .with("event_id", self.id.as_str())
            .with("event_type", self.event_type.as_str())
            .with("event_type_full", self.event_type_full.as_str())
            .with("partner_id", self.partner_id.as_ref().map(|id| id.as_str().to_owned()))
            .with("occurred_at", self.occurred_at)
            .with("actor", self.actor.clone())
            .with("correlation_id", self.correlation_id.clone())
            .with("causation_id", self.causation_id.clone())
            .with("data", self.data_json())
            .with("event_month", self.occurred_at.format("%Y-%m").to_string())
    }

    /// The data as canonical JSON (keys sorted).
    #[must_use]
    pub fn data_json(&self) -> String {
        Value::Object(self.data.clone()).to_string()
    }
}

/// Whether a text holds contact data or a secret, which nothing that is kept for good may hold.
#[must_use]
pub fn holds_private_data(text: &str) -> bool {
    private::of_text(text).is_some()
}

/// Words before the name are free: a producer may have kinds of its own.
fn check_actor(actor: &str) -> Result<(), EventError> {
    let name = actor.split_once(':').map_or(actor, |(_, name)| name);
    if private::of_text(actor).is_some() {
        return Err(EventError::PrivateActor);
    }
    if name.trim().is_empty() { Err(EventError::Actor) } else { Ok(()) }
}

fn check_private(event_type_full: &str, data: &Map<String, Value>) -> Result<(), EventError> {
    let raw = normalise_type(event_type_full).starts_with("credential.").then_some("credential");
    match private::find(data, raw) {
        None => Ok(()),
        Some((place, Private::Contact)) => Err(EventError::ContactData(place)),
        Some((place, Private::Secret)) => Err(EventError::Secret(place)),
    }
}

#[cfg(test)]
mod tests;
