//! `[billing]`: how long a period stays open, and who must see a draft before it becomes an invoice. It changes no
//! document, so it is no part of the pin and may be changed at any time: the next `bill draft`, `issue` or `register`
//! looks at it.

use chrono::TimeDelta;
use serde::Deserialize;
use tollbook_billing::policy::{CustomerField, Deviation, HeldCreditNotes, HoldPolicy, IssuerField};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::nearest::nearest;

use super::place::WrongValue;

/// Name of the environment variable that says who drafts.
pub const ACTOR_VARIABLE: &str = "TOLLBOOK_ACTOR";

/// Who drafts, as the environment says; none where it says nothing.
#[must_use]
#[allow(clippy::disallowed_methods)]
pub fn actor_of_environment() -> Option<String> {
    std::env::var(ACTOR_VARIABLE).ok()
}

/// `[billing]`: the section and each key may be left out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BillingSection {
    /// Hours behind the end of a period in which no invoice is made of it; 0 by default.
    pub grace_hours: Option<u32>,
    /// What is held until somebody approves it.
    #[serde(default)]
    pub hold: HoldSection,
    /// Whether somebody said that this run does not wait for it; never in the file.
    #[serde(skip)]
    pub skips_grace: bool,
}

/// The longest grace: a slip of the unit would keep every month open for years.
const GRACE_HOURS_MAX: u32 = 24 * 92;

impl BillingSection {
    /// How long behind its end a period stays open.
    ///
    /// # Errors
    /// One that is too long, at its place.
    pub(super) fn grace(&self) -> Result<TimeDelta, WrongValue> {
        let hours = self.grace_hours.unwrap_or(0);
        if hours > GRACE_HOURS_MAX {
            let what = format!("[billing] grace_hours is {hours}, more than {GRACE_HOURS_MAX} (92 days)");
            return Err(WrongValue::at(&["billing", "grace_hours"], what, "write hours, such as 48"));
        }
        Ok(if self.skips_grace { TimeDelta::zero() } else { TimeDelta::hours(i64::from(hours)) })
    }
}

/// `[billing.hold]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldSection {
    /// Totals further than this from the mean of the trailing three issued periods are held; none by default.
    pub deviation_percent: Option<u32>,
    /// Smaller differences than this are not held, in major units; "0" by default.
    pub deviation_minimum: Option<Decimal>,
    /// Whether the first invoice of an issuer, partner and currency is held; false by default.
    pub first_invoice: Option<bool>,
    /// Whether an invoice of a total below 0 is held; true by default.
    pub negative_total: Option<bool>,
    /// Whether an invoice of more lines than Stripe takes is held; true by default.
    pub too_many_lines: Option<bool>,
    /// Whether credit notes are held: all, or none; by default those that nobody made by hand.
    pub credit_note: Option<bool>,
    /// Whether documents with a line made by hand are held; false by default.
    pub by_hand: Option<bool>,
    /// Whether every draft is held; false by default.
    pub every_invoice: Option<bool>,
    /// Fields without which an invoice is held: of the issuer.
    pub issuer_fields: Option<Vec<String>>,
    /// The same of the billing profile.
    pub customer_fields: Option<Vec<String>>,
    /// Whether only somebody else than who drafted may approve; false by default.
    pub four_eyes: Option<bool>,
}

impl HoldSection {
    /// The policy.
    ///
    /// # Errors
    /// What the types do not say, at its place.
    pub(super) fn policy(&self) -> Result<HoldPolicy, WrongValue> {
        let usual = HoldPolicy::default();
        let wrong = |key: &str, what: String, mend: String| WrongValue::at(&["billing", "hold", key], what, mend);
        let minimum = self.deviation_minimum.unwrap_or(Decimal::ZERO);
        if minimum.is_negative() {
            let what = format!("[billing.hold] deviation_minimum is {minimum}, below 0");
            return Err(wrong("deviation_minimum", what, "write an amount such as \"10\"".to_owned()));
        }
        if self.deviation_minimum.is_some() && self.deviation_percent.is_none() {
            let what = "[billing.hold] deviation_minimum without deviation_percent holds nothing".to_owned();
            return Err(wrong("deviation_minimum", what, "add such as deviation_percent = 50".to_owned()));
        }
        let fields = |key: &str, field: &String, words: Vec<&str>| {
            let mend = match nearest(field, words.iter().copied()) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("use {}", words.join(", ")),
            };
            wrong(key, format!("[billing.hold] {key}: {field:?} is no field"), mend)
        };
        let issuer_fields = match &self.issuer_fields {
            None => usual.issuer_fields,
            Some(given) => {
                let read = |field: &String| {
                    let unknown = || fields("issuer_fields", field, IssuerField::words());
                    IssuerField::parse(field).ok_or_else(unknown)
                };
                given.iter().map(read).collect::<Result<_, _>>()?
            }
        };
        let customer_fields = match &self.customer_fields {
            None => usual.customer_fields,
            Some(given) => {
                let read = |field: &String| {
                    let unknown = || fields("customer_fields", field, CustomerField::words());
                    CustomerField::parse(field).ok_or_else(unknown)
                };
                given.iter().map(read).collect::<Result<_, _>>()?
            }
        };
        Ok(HoldPolicy {
            deviation: self.deviation_percent.map(|limit_percent| Deviation { limit_percent, minimum }),
            first_invoice: self.first_invoice.unwrap_or(usual.first_invoice),
            negative_total: self.negative_total.unwrap_or(usual.negative_total),
            too_many_lines: self.too_many_lines.unwrap_or(usual.too_many_lines),
            credit_note: match self.credit_note {
                None => usual.credit_note,
                Some(true) => HeldCreditNotes::All,
                Some(false) => HeldCreditNotes::Nothing,
            },
            by_hand: self.by_hand.unwrap_or(usual.by_hand),
            every_invoice: self.every_invoice.unwrap_or(usual.every_invoice),
            issuer_fields,
            customer_fields,
            four_eyes: self.four_eyes.unwrap_or(usual.four_eyes),
        })
    }
}
