//! Ids as types, so that a plan id cannot be passed where a partner id is meant.
//!
//! Two families. **Given** ids are chosen by people or other systems (`acme`, `maps-pro`): 1 to 64 characters of
//! letters, digits, `_`, `.`, `-`, so that they are safe in a path, a metadata value and an idempotency key.
//! **Derived** ids are a readable prefix and 20 hexadecimal digits of a SHA-256 over content: the same content
//! gives the same id on any machine, which is what makes a re-run harmless.
//!
//! A copy of an id shares its text: every line of every document names a partner, a plan and a price.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::digest::{hex_of, sha256_parts};

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {text:?} must be 1 to 64 characters of a-z, A-Z, 0-9, '_', '.', '-'{prefix_note}")]
pub struct IdError {
    kind: &'static str,
    text: String,
    prefix_note: String,
}

fn check_given(kind: &'static str, text: &str, prefix: &'static str) -> Result<(), IdError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let fits = (1..=64).contains(&text.len()) && text.chars().all(allowed) && text.starts_with(prefix);
    if fits {
        return Ok(());
    }
    let prefix_note = if prefix.is_empty() { String::new() } else { format!(", starting with {prefix:?}") };
    Err(IdError { kind, text: text.chars().take(80).collect(), prefix_note })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses an id.
            ///
            /// # Errors
            /// [`IdError`] when the text has another shape.
            pub fn parse(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                check_given(stringify!($name), &text, $prefix)?;
                Ok(Self(text.into()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

macro_rules! derived_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        id!($(#[$doc])* $name, $prefix);

        impl $name {
            /// Derives the id from content, by length-prefixed SHA-256.
            #[must_use]
            pub fn derive<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Self {
                Self(hex_of($prefix, &sha256_parts(parts)[..10]).into())
            }
        }
    };
}

id!(/// A partner of the program, as the portal or CRM names it.
    PartnerId, "");
id!(/// An API product of the catalog.
    ProductId, "");
id!(/// A meter of the catalog.
    MeterId, "");
id!(/// A plan of the catalog.
    PlanId, "");
id!(/// A price of a plan, unique within the plan version.
    PriceId, "");
id!(/// A contract of the catalog.
    ContractId, "");
id!(/// A coupon of the catalog.
    CouponId, "");
id!(/// A prepaid credit of a partner.
    CreditId, "");
id!(/// A tax rate of the catalog.
    TaxRateId, "");
id!(/// The legal entity that issues invoices.
    IssuerId, "");
id!(/// One subscription of a partner to a plan.
    SubscriptionId, "");
derived_id!(/// An invoice document, derived from its content.
    InvoiceId, "inv_");
derived_id!(/// The place that one invoice fills: issuer, partner, currency, period.
    SlotId, "slt_");
derived_id!(/// One printed line of an invoice.
    LineId, "lin_");
derived_id!(/// One run of one job.
    RunId, "run_");
derived_id!(/// One version of a billing profile.
    ProfileVersionId, "prf_");
derived_id!(/// A charge or credit that somebody made by hand.
    AdjustmentId, "adj_");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_would_break_a_path_or_a_key() {
        for bad in ["", "a b", "a/b", "ä", "a:b", &"x".repeat(65)] {
            assert!(PartnerId::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["acme", "A-1.b_c", &"x".repeat(64)] {
            assert_eq!(PartnerId::parse(good).unwrap().as_str(), good);
        }
        assert!(InvoiceId::parse("acme").is_err());
    }

    #[test]
    fn derived_ids_follow_content() {
        let one = InvoiceId::derive(["acme", "2026-06"]);
        assert_eq!(one, InvoiceId::derive(["acme", "2026-06"]));
        assert_ne!(one, InvoiceId::derive(["acm", "e2026-06"]));
        assert_eq!(InvoiceId::parse(one.as_str()).unwrap(), one);
    }
}
