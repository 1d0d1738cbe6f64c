//! The fields that jobs read of each known type, and the form of each: one table.
//!
//! Takes the type and data of an event, gives the first field that is missing or has another form. Ingest refuses such
//! an event; the fold, which also reads what an older version stored, makes it a finding. A field that no job reads may
//! be anything, and `null` is a field that is not there. What a text *says* (an id, a zone, an instant) is judged by
//! the fold where the partner is better blocked than the event lost.

use serde_json::{Map, Value};

use crate::period::parse_instant;
use crate::printed::unprintable;
use crate::registry::{Environment, RENEWAL, TERM_MONTHS_MAX, WHEN};

/// The form of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A text that is not empty.
    Text,
    /// A text that customers read: not empty, and printable on one line.
    Printed,
    /// `true` or `false`.
    Flag,
    /// A text with an instant.
    Instant,
    /// Exactly `production` or `sandbox`: what is read as neither would be billed by the default of the door.
    Environment,
    /// A word in small letters: `Gateway` is not `gateway`, and its traffic would be nobody's.
    System,
    /// A list of texts, not empty.
    Texts,
    /// How many: a whole number from 0 on.
    Count,
    /// Texts by name.
    NamedTexts,
    /// Units: text, which the fold reads, or a whole number from 0 on.
    Quantity,
    /// A whole number.
    Whole,
    /// A whole number of months.
    TermMonths,
    /// What follows a term.
    Renewal,
    /// When a cancellation holds.
    When,
}

/// One field: its name, its form, and whether it must be there.
type Field = (&'static str, Form, bool);

const MAY: bool = false;
const MUST: bool = true;

/// Every known type with its fields. A type that is not here is kept as it is.
const TYPES: &[(&str, &[Field])] = &[
    (
        "registered",
        &[
            ("display_name", Form::Text, MAY),
            ("segment", Form::Text, MAY),
            ("owner", Form::Text, MAY),
            ("is_internal", Form::Flag, MAY),
            ("is_test", Form::Flag, MAY),
        ],
    ),
    ("offboarded", &[("effective_at", Form::Instant, MAY)]),
    ("reactivated", &[("effective_at", Form::Instant, MAY)]),
    (
        "identity.linked",
        &[
            ("system", Form::System, MUST),
            ("external_id", Form::Text, MUST),
            ("environment", Form::Environment, MAY),
            ("env", Form::Environment, MAY),
            ("valid_from", Form::Text, MAY),
        ],
    ),
    (
        "identity.unlinked",
        &[
            ("system", Form::System, MUST),
            ("external_id", Form::Text, MUST),
            ("environment", Form::Environment, MAY),
            ("env", Form::Environment, MAY),
            ("valid_to", Form::Text, MAY),
        ],
    ),
    ("credential.issued", CREDENTIAL),
    ("credential.revoked", CREDENTIAL),
    (
        "subscription.started",
        &[
            ("subscription_id", Form::Text, MUST),
            ("plan_id", Form::Text, MUST),
            ("time_zone", Form::Text, MAY),
            ("quantity", Form::Quantity, MAY),
            ("term_months", Form::TermMonths, MAY),
            ("renewal", Form::Renewal, MAY),
        ],
    ),
    (
        // A change of something else than plan and quantity is kept, and becomes a finding of the fold.
        "subscription.changed",
        &[
            ("subscription_id", Form::Text, MUST),
            ("plan_id", Form::Text, MAY),
            ("time_zone", Form::Text, MAY),
            ("quantity", Form::Quantity, MAY),
            ("effective_at", Form::Text, MAY),
        ],
    ),
    (
        "subscription.cancelled",
        &[("subscription_id", Form::Text, MUST), ("effective_at", Form::Instant, MAY), ("at", Form::When, MAY)],
    ),
    ("subscription.paused", TURN),
    ("subscription.resumed", TURN),
    ("subscription.renewed", TURN),
    ("contract.signed", CONTRACT),
    ("contract.ended", CONTRACT),
    ("payer.named", &[("payer_id", Form::Text, MUST), ("effective_at", Form::Instant, MAY)]),
    ("payer.ended", &[("effective_at", Form::Instant, MAY)]),
    ("billing.started", &[("billing_starts_at", Form::Instant, MUST)]),
    (
        // One of `meter_id` and `price_id` must be there: [`wrong`] looks.
        "opening.recorded",
        &[
            ("subscription_id", Form::Text, MUST),
            ("meter_id", Form::Text, MAY),
            ("price_id", Form::Text, MAY),
            ("dimensions", Form::NamedTexts, MAY),
            ("quantity", Form::Quantity, MUST),
            ("event_count", Form::Count, MAY),
        ],
    ),
    ("coupon.redeemed", COUPON),
    ("coupon.withdrawn", COUPON),
    (
        "credit.granted",
        &[
            ("credit_id", Form::Text, MUST),
            ("amount", Form::Text, MUST),
            ("currency", Form::Text, MUST),
            ("issuer_id", Form::Text, MUST),
            ("description", Form::Printed, MUST),
            ("priority", Form::Whole, MAY),
            ("expires_at", Form::Instant, MAY),
            ("effective_at", Form::Instant, MAY),
        ],
    ),
    ("credit.voided", &[("credit_id", Form::Text, MUST), ("effective_at", Form::Instant, MAY)]),
    ("cost.recorded", &[("amount", Form::Text, MUST), ("currency", Form::Text, MUST), ("period", Form::Text, MAY)]),
    (
        "adjustment.made",
        &[
            ("adjustment_id", Form::Text, MUST),
            ("month", Form::Text, MUST),
            ("amount", Form::Text, MUST),
            ("currency", Form::Text, MUST),
            ("issuer_id", Form::Text, MUST),
            ("description", Form::Printed, MUST),
            ("reason", Form::Text, MUST),
            ("for_invoice", Form::Text, MAY),
        ],
    ),
    ("adjustment.revoked", &[("adjustment_id", Form::Text, MUST), ("reason", Form::Text, MUST)]),
];

const TURN: &[Field] = &[("subscription_id", Form::Text, MUST), ("effective_at", Form::Instant, MAY)];

/// One of `credential`, which is hashed at ingest, and `credential_hashes` must be there: [`wrong`] looks.
const CREDENTIAL: &[Field] = &[
    ("credential", Form::Text, MAY),
    ("credential_hashes", Form::Texts, MAY),
    ("environment", Form::Environment, MAY),
    ("env", Form::Environment, MAY),
];

/// Without a subscription it is of every one of the partner to the contract's plan.
const CONTRACT: &[Field] =
    &[("contract_id", Form::Text, MUST), ("subscription_id", Form::Text, MAY), ("effective_at", Form::Instant, MAY)];

/// Without a subscription it is of all of the partner.
const COUPON: &[Field] =
    &[("coupon_id", Form::Text, MUST), ("subscription_id", Form::Text, MAY), ("effective_at", Form::Instant, MAY)];

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrongField {
    /// Its name.
    pub(crate) field: &'static str,
    /// What it should be.
    pub(crate) expected: &'static str,
}

/// The types of the table.
#[cfg(test)]
pub(super) fn types() -> Vec<&'static str> {
    TYPES.iter().map(|(known, _)| *known).collect()
}

/// Each type of the table with the name of each of its fields.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    TYPES.iter().flat_map(|(known, fields)| fields.iter().map(move |(field, ..)| (*known, *field)))
}

/// The fields of a type that are missing or have another form.
pub(crate) fn wrong(event_type: &str, data: &Map<String, Value>) -> Vec<WrongField> {
    let Some((_, fields)) = TYPES.iter().find(|(known, _)| *known == event_type) else { return Vec::new() };
    let given = |field: &str| data.get(field).filter(|value| !value.is_null());
    let mut wrong: Vec<WrongField> = fields
        .iter()
        .filter(|(field, form, must)| given(field).map_or(*must, |value| !form.fits(value)))
        .map(|(field, form, _)| WrongField { field, expected: expected(field, *form) })
        .collect();
    if event_type.starts_with("credential.") && given("credential").or_else(|| given("credential_hashes")).is_none() {
        wrong.push(WrongField { field: "credential", expected: "the credential, which is hashed at ingest" });
    }
    if event_type == "opening.recorded" && given("meter_id").is_some() == given("price_id").is_some() {
        let expected = "the meter that it is of, or in its place price_id, of a flat price";
        wrong.push(WrongField { field: "meter_id", expected });
    }
    // Both words for one thing: where they differ, nobody can say which is meant.
    if let (Some(environment), Some(env)) = (given("environment"), given("env"))
        && environment != env
        && wrong.is_empty()
        && fields.iter().any(|(_, form, _)| *form == Form::Environment)
    {
        wrong.push(WrongField { field: "env", expected: "the same as data.environment; send one of the two" });
    }
    wrong
}

impl Form {
    fn fits(self, value: &Value) -> bool {
        let text = value.as_str().filter(|text| !text.is_empty());
        match self {
            Self::Text => text.is_some(),
            Self::Printed => text.is_some_and(|text| unprintable(text).is_none()),
            Self::Flag => value.is_boolean(),
            Self::Instant => text.is_some_and(|text| parse_instant(text).is_ok()),
            Self::Environment => text.and_then(Environment::parse).is_some(),
            Self::System => text.is_some_and(is_small_word),
            Self::Count => value.as_u64().is_some_and(|count| u32::try_from(count).is_ok()),
            Self::NamedTexts => value.as_object().is_some_and(|values| values.values().all(Value::is_string)),
            Self::Quantity => text.is_some() || value.as_u64().is_some(),
            Self::Whole => value.as_i64().is_some(),
            Self::TermMonths => value.as_u64().is_some_and(|months| (1..=TERM_MONTHS_MAX).contains(&months)),
            Self::Renewal => text.is_some_and(|text| RENEWAL.contains(&text)),
            Self::When => text.is_some_and(|text| WHEN.contains(&text)),
            Self::Texts => value.as_array().is_some_and(|values| {
                !values.is_empty() && values.iter().all(|value| value.as_str().is_some_and(|text| !text.is_empty()))
            }),
        }
    }
}

fn is_small_word(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.' | b'/'))
}

/// The words for a message: what to send instead.
fn expected(field: &str, form: Form) -> &'static str {
    match (form, field) {
        (Form::Flag, _) => "true or false, without quotes; or leave it out",
        (Form::Instant, "billing_starts_at") => "an instant in text, such as \"2026-06-30T22:00:00Z\"",
        (Form::Instant, _) => "an instant in text, such as \"2026-06-30T22:00:00Z\"; or leave it out",
        (Form::Environment, _) => "\"production\" or \"sandbox\", in small letters; or leave it out",
        (Form::System, _) => "a word in small letters: \"gateway\" where external_id is the consumer name",
        (Form::Count, _) => "a whole number from 0 on; or leave it out",
        (Form::NamedTexts, _) => "an object of texts, such as {\"region\":\"eu\"}; or leave it out",
        (Form::Quantity, _) => "a decimal in text, such as \"5\"; or leave it out",
        (Form::Whole, _) => "a whole number, such as 1; or leave it out",
        (Form::TermMonths, _) => "a whole number of months, 1 to 120; or leave it out",
        (Form::Renewal, _) => "\"automatic\" or \"none\"; or leave it out",
        (Form::When, _) => "\"now\", \"end_of_period\" or \"end_of_term\"; or leave it out",
        (Form::Texts, _) => "a list of texts, key id and hash of each key",
        (
            Form::Text,
            "subscription_id" | "plan_id" | "contract_id" | "coupon_id" | "credit_id" | "issuer_id" | "meter_id"
            | "price_id" | "payer_id",
        ) => "an id in text",
        (Form::Text, "adjustment_id") => "an id in text that begins with adj_",
        (Form::Text, "month") => "a month in text, such as \"2026-06\"",
        (Form::Printed, _) => "a text of one line, without control characters, that is not empty",
        (Form::Text, "reason") => "a text that is not empty",
        (Form::Text, "external_id") => "the consumer name",
        (Form::Text, "credential") => "the credential, which is hashed at ingest",
        (Form::Text, "amount") => "a decimal in text, such as \"1200.00\"",
        (Form::Text, "currency") => "a currency code",
        (Form::Text, "period") => "a month in text, such as \"2026-06\"; or leave it out",
        (Form::Text, "time_zone") => "the name of a time zone in text, such as \"Europe/Berlin\"; or leave it out",
        (Form::Text, "valid_from" | "valid_to" | "effective_at") => {
            "an instant in text, such as \"2026-06-30T22:00:00Z\"; or leave it out"
        }
        (Form::Text, _) => "a text that is not empty; or leave it out",
    }
}
