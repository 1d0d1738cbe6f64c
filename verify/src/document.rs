//! The document once more: its content in this crate's own form, and the text that it makes. Keys stand in the order of
//! their names, numbers that are no counts are texts, instants are RFC 3339 in UTC: what `docs/architecture.md` calls
//! the canonical JSON of an invoice.

use chrono::NaiveDate;
use serde::Serialize;
use tollbook_schemas::money::Currency;
use tollbook_schemas::period::{Period, print_instant};

use crate::rating::Working;
use crate::stored::Object;
use crate::tax::major;
use crate::terms::Terms;

/// The form of a document that this program writes.
pub(crate) const FORMAT: u32 = 1;
/// The kind of a document that gives something back.
pub(crate) const CREDIT_NOTE: &str = "credit_note";

/// The keys of a document that this program knows.
pub(crate) const KEYS: [&str; 16] = [
    "catalog_sha256",
    "credits",
    "currency",
    "format",
    "issuer",
    "kind",
    "lines",
    "month",
    "partner_id",
    "payment_terms_days",
    "period_end",
    "period_start",
    "pin",
    "profile_version_id",
    "shadows",
    "total_minor",
];
/// The keys of a line that it knows.
pub(crate) const LINE_KEYS: [&str; 22] = [
    "adjusts",
    "amount_minor",
    "by_hand",
    "contract",
    "coupon",
    "credit",
    "description",
    "for_partner",
    "line_number",
    "meter_id",
    "plan_id",
    "plan_version",
    "price_id",
    "price_model",
    "quantity",
    "span_end",
    "span_start",
    "subscription_id",
    "tax",
    "unit",
    "usage",
    "working",
];

/// What one line billed on one UTC day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct BilledDay {
    pub(crate) event_count: i64,
    pub(crate) event_date: NaiveDate,
    pub(crate) quantity: String,
    pub(crate) slice_count: usize,
    pub(crate) usage_sha256: String,
}

/// The contract that priced a line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct LineContract {
    pub(crate) contract_id: String,
    pub(crate) version: u32,
}

/// The coupon that a line takes off by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LineCoupon {
    pub(crate) coupon_id: String,
    pub(crate) redeemed_at: String,
}

/// The prepaid credit that a line pays with; amounts in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LineCredit {
    pub(crate) after_minor: i64,
    pub(crate) before_minor: i64,
    pub(crate) credit_id: String,
    pub(crate) first_month: String,
    pub(crate) granted_minor: i64,
}

/// Who made a line, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ByHand {
    pub(crate) actor: String,
    pub(crate) adjustment_id: String,
    pub(crate) billed_minor: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) for_invoice: Option<String>,
    /// Told where it was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) is_revoked: Option<bool>,
    pub(crate) month: String,
    pub(crate) reason: String,
}

/// What a tax line is computed by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LineTax {
    /// The tax that other lines contain, in minor units, where they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) contained_minor: Option<i64>,
    pub(crate) percent: String,
    pub(crate) profile_version_id: String,
    pub(crate) tax_rate_id: String,
    pub(crate) version: u32,
}

/// One printed line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    pub(crate) amount_minor: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) by_hand: Option<ByHand>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) contract: Option<LineContract>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) coupon: Option<LineCoupon>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) credit: Option<LineCredit>,
    pub(crate) description: String,
    /// Whose it is, where the document's partner pays for another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) for_partner: Option<String>,
    pub(crate) line_number: usize,
    pub(crate) meter_id: Option<String>,
    pub(crate) plan_id: String,
    pub(crate) plan_version: u32,
    pub(crate) price_id: String,
    pub(crate) price_model: String,
    pub(crate) quantity: String,
    pub(crate) span_end: String,
    pub(crate) span_start: String,
    pub(crate) subscription_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tax: Option<LineTax>,
    #[serde(flatten)]
    pub(crate) terms: Terms,
    pub(crate) unit: Option<String>,
    pub(crate) usage: Vec<BilledDay>,
    pub(crate) working: Working,
}

impl Line {
    /// A line that no price of a plan makes: one of something, over a time; without words and ids.
    pub(crate) fn over(time: Period, amount_minor: i64, currency: Currency) -> Self {
        Self {
            amount_minor,
            quantity: "1".to_owned(),
            span_end: print_instant(time.end),
            span_start: print_instant(time.start),
            working: Working::of_exact(&major(amount_minor, currency)),
            ..Self::default()
        }
    }
}

/// What the usage would have cost on another plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Shadow {
    pub(crate) currency: String,
    pub(crate) lines: Vec<Line>,
    pub(crate) plan_id: String,
    pub(crate) total_minor: i64,
}

/// Who issues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct IssuedBy {
    pub(crate) address: Vec<String>,
    pub(crate) issuer_id: String,
    pub(crate) legal_name: String,
    pub(crate) tax_id: Option<String>,
}

/// The invoice of which a credit note gives something back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Credits {
    pub(crate) invoice_id: String,
    pub(crate) number: String,
}

/// The content of an invoice, or of a credit note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Body {
    pub(crate) catalog_sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) credits: Option<Credits>,
    pub(crate) currency: String,
    pub(crate) format: u32,
    pub(crate) issuer: IssuedBy,
    /// Named where it is no invoice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<&'static str>,
    /// Each a [`Line`], with `adjusts` where it adjusts an earlier month; keys in the order of their names.
    pub(crate) lines: Vec<Object>,
    pub(crate) month: String,
    pub(crate) partner_id: String,
    pub(crate) payment_terms_days: i64,
    pub(crate) period_end: String,
    pub(crate) period_start: String,
    pub(crate) pin: String,
    pub(crate) profile_version_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) shadows: Vec<Shadow>,
    pub(crate) total_minor: i64,
}
