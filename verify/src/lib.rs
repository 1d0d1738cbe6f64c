#![doc = include_str!("../README.md")]
// A wrong cast or a panic here is a proof that proves nothing. Tests may.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::as_conversions))]

mod compare;
mod deliveries;
mod document;
mod error;
mod evidence;
mod meter;
pub mod number;
mod owner;
pub mod rating;
mod raw;
mod rederive;
mod slices;
mod spans;
mod stored;
mod usage;

use std::fmt;

use serde::Serialize;
use tollbook_lake::Lake;
use tollbook_schemas::id::InvoiceId;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::Month;

pub use compare::{DayDifference, Difference};
pub use error::VerifyError;

use evidence::{Evidence, Pins};
use rederive::{Rederived, Stopped, rederive};
use stored::Stored;

/// What to verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// One invoice, by its id or its number.
    Invoice(String),
    /// Every issued invoice of a month.
    Month(Month),
}

impl From<&str> for Wanted {
    /// A month such as `2026-06`; anything else is an id or a number.
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Invoice(text.to_owned()), Self::Month)
    }
}

/// An invoice that was verified. It holds where nothing differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Invoice.
    pub invoice_id: String,
    /// Number.
    pub number: String,
    /// Partner.
    pub partner_id: String,
    /// Month.
    pub month: String,
    /// Currency.
    pub currency: String,
    /// Total of its document, in minor units.
    pub total_minor: i64,
    /// Its printed lines.
    pub line_count: usize,
    /// Rows of `access_log` that it was re-derived from: the deliveries of every request that may be its partner's.
    pub rows_read: usize,
    /// What differs, the first thing first; none where it holds.
    pub differences: Vec<Difference>,
}

impl Verified {
    /// Whether the invoice holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.differences.is_empty()
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, partner_id, line_count, rows_read, .. } = self;
        let total = match Currency::parse(&self.currency) {
            Ok(currency) => Money { minor: self.total_minor, currency }.to_string(),
            Err(_) => format!("{} {}", self.total_minor, self.currency),
        };
        let Some((first, others)) = self.differences.split_first() else {
            return write!(f, "OK {number} {partner_id} {total} {line_count} lines {rows_read} rows");
        };
        write!(f, "DIFFERENT {number} {partner_id} {total}: {first}")?;
        others.iter().try_for_each(|other| write!(f, "\n  also: {other}"))
    }
}

/// Verifies what is wanted, by issuer and number. What is wrong with one invoice is a difference of it.
///
/// # Errors
/// [`VerifyError`] where the lake cannot be read, or one invoice was asked for that nobody issued.
pub async fn verify(lake: &Lake, wanted: &Wanted) -> Result<Vec<Verified>, VerifyError> {
    let events = stored::issued_events(lake).await?;
    let mut evidence = Evidence::over(lake);
    let mut verified = Vec::new();
    for stored in stored::read(lake, wanted, &events).await? {
        // On the heap: the steps of one invoice together are more than a small stack holds.
        verified.push(Box::pin(one(&mut evidence, &stored, &events)).await?);
    }
    Ok(verified)
}

async fn one(
    evidence: &mut Evidence<'_>,
    stored: &Stored,
    events: &[tollbook_schemas::tables::Row],
) -> Result<Verified, VerifyError> {
    let mut differences = Vec::new();
    let mut rows_read = 0;
    match rederive(evidence, stored).await {
        Err(Stopped::Lake(error)) => return Err(error),
        Err(Stopped::Here(difference)) => differences.push(difference),
        Ok(Rederived { body, found, rows_read: rows }) => {
            let text = serde_json::to_string(&body).map_err(|error| VerifyError::Stored {
                table: "invoice",
                what: format!("the re-derived document has no JSON: {error}"),
            })?;
            rows_read = rows;
            let first = compare::first_difference(&stored.text, &text);
            if let (Some(first), Ok(pins)) = (first, Pins::read(stored.text_of("pin"))) {
                differences.push(first);
                differences.extend(evidence.holes(&pins.access).await?);
            }
            differences.extend(found);
        }
    }
    differences.extend(stored::check(evidence.lake, stored, events).await?);
    let derived = InvoiceId::derive([&stored.text]);
    if derived.as_str() != stored.invoice_id {
        let what = format!("it is {}, and the document has the hash {derived}", stored.invoice_id);
        differences.push(Difference::told("invoice_id", what));
    }
    Ok(Verified {
        invoice_id: stored.invoice_id.clone(),
        number: stored.number().to_owned(),
        partner_id: stored.text_of("partner_id").to_owned(),
        month: stored.text_of("month").to_owned(),
        currency: stored.text_of("currency").to_owned(),
        total_minor: stored.body.get("total_minor").and_then(serde_json::Value::as_i64).unwrap_or_default(),
        line_count: stored.lines().count(),
        rows_read,
        differences,
    })
}
