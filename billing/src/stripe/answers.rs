//! Reading Stripe's answers, leniently: a field that is missing or of another type is `None`.
//!
//! A strict reader would turn a new enum value or a dropped field into an error after the side effect happened.

use serde_json::Value;

use super::requests::metadata;

/// What we keep of an invoice, a customer or a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Object {
    /// Its id.
    pub(crate) id: Option<String>,
    /// When it was made, in seconds.
    pub(crate) created: Option<i64>,
    /// `draft`, `open`, `paid`, `void`, `uncollectible`, or what is new.
    pub(crate) status: Option<String>,
    /// Total of an invoice, in minor units.
    pub(crate) total: Option<i64>,
    /// Amount of a line, in minor units.
    pub(crate) amount: Option<i64>,
    /// Currency, upper case.
    pub(crate) currency: Option<String>,
    /// Attempts to collect.
    pub(crate) attempt_count: Option<i64>,
    /// Whether it was deleted.
    pub(crate) deleted: bool,
    /// Our ids, from its metadata.
    pub(crate) namespace: Option<String>,
    pub(crate) partner_id: Option<String>,
    pub(crate) profile_version_id: Option<String>,
    pub(crate) invoice_id: Option<String>,
    pub(crate) document_sha256: Option<String>,
    pub(crate) line_id: Option<String>,
}

impl Object {
    fn of(value: &Value) -> Self {
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let int = |name: &str| value.get(name).and_then(Value::as_i64);
        let ours = |name: &str| {
            value.get("metadata").and_then(|metadata| metadata.get(name)).and_then(Value::as_str).map(str::to_owned)
        };
        Self {
            id: text("id"),
            created: int("created"),
            status: text("status"),
            total: int("total"),
            amount: int("amount"),
            currency: text("currency").map(|currency| currency.to_ascii_uppercase()),
            attempt_count: int("attempt_count"),
            deleted: value.get("deleted").and_then(Value::as_bool).unwrap_or(false),
            namespace: ours(metadata::NAMESPACE),
            partner_id: ours(metadata::PARTNER),
            profile_version_id: ours(metadata::PROFILE),
            invoice_id: ours(metadata::INVOICE),
            document_sha256: ours(metadata::DOCUMENT_SHA256),
            line_id: ours(metadata::LINE),
        }
    }

    /// Reads one object; `None` when the body is no JSON object.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(body).ok()?;
        value.is_object().then(|| Self::of(&value))
    }

    /// Whether it can change no more by being finalised.
    pub(crate) fn is_past_draft(&self) -> bool {
        self.status.as_deref().is_some_and(|status| status != "draft")
    }
}

/// One page of a list.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Object>,
    pub(crate) has_more: bool,
}

impl Page {
    /// Reads a page; `None` when the body is no list.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(body).ok()?;
        let objects = value.get("data")?.as_array()?.iter().map(Object::of).collect();
        Some(Self { objects, has_more: value.get("has_more").and_then(Value::as_bool).unwrap_or(false) })
    }
}

/// The error in an answer: all that is kept of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) param: Option<String>,
}

impl Refusal {
    /// Reads the error of a body; `None` when it has none.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(body).ok()?;
        let error = value.get("error")?;
        let text = |name: &str| error.get(name).and_then(Value::as_str).map(|text| text.chars().take(300).collect());
        Some(Self { code: text("code"), kind: text("type"), message: text("message"), param: text("param") })
    }

    /// In one sentence.
    pub(crate) fn told(&self) -> String {
        format!("{}: {}", self.word(), self.message.as_deref().unwrap_or("no message"))
    }

    /// In one sentence, without Stripe's own: of a customer it repeats what was sent, such as the address.
    pub(crate) fn told_without_contact_data(&self) -> String {
        match &self.param {
            Some(param) => format!("{} about {param}", self.word()),
            None => self.word().to_owned(),
        }
    }

    fn word(&self) -> &str {
        self.code.as_deref().or(self.kind.as_deref()).unwrap_or("no code")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_new_is_none() {
        let object = Object::read(br#"{"id":"in_1","status":"something_new","total":"12","metadata":null}"#).unwrap();
        assert_eq!(object.id.as_deref(), Some("in_1"));
        assert!(object.is_past_draft());
        assert_eq!((object.total, object.invoice_id), (None, None));
        assert!(
            Object::read(b"<html>").is_none() && Object::read(b"[]").is_none() && Object::read(b"{\"id\":").is_none()
        );
        assert!(Page::read(b"{}").is_none());
        let page = Page::read(br#"{"data":[{"metadata":{"tollbook_line_id":"lin_1"},"amount":5}],"has_more":true}"#);
        let page = page.unwrap();
        assert!(page.has_more);
        assert_eq!(page.objects[0].line_id.as_deref(), Some("lin_1"));
    }
}
