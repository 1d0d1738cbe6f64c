//! What is left of prepaid credits. Pure.
//!
//! Takes the credits of the registry, everything that was issued and the instant from which is looked; gives for each
//! credit what was granted, used and left, and whether it can still be used. It is computed from issued documents every
//! time and kept nowhere: granted = used + left, always.

use std::fmt;

use chrono::{DateTime, Utc};
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::money::Money;
use tollbook_schemas::registry::{Grant, Registry};

use crate::billed::IssuedDocument;
use crate::draft::used_credits;
use crate::error::BillingError;

/// Whether a credit can be used by documents whose period ends later than an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreditState {
    /// It begins later.
    Later,
    /// It can be used.
    Usable,
    /// Nothing is left.
    UsedUp,
    /// What is left expired.
    Expired,
    /// What is left was taken back.
    Voided,
}

impl CreditState {
    /// The word in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Later => "later",
            Self::Usable => "usable",
            Self::UsedUp => "used up",
            Self::Expired => "expired",
            Self::Voided => "voided",
        }
    }
}

impl fmt::Display for CreditState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One credit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// As it was granted.
    pub grant: Grant,
    /// What issued documents used of it.
    pub used: Money,
    /// What they left, whether or not it can still be used.
    pub left: Money,
    /// Whether it can.
    pub state: CreditState,
}

/// All credits, or those of one partner, by partner, begin and id.
///
/// # Errors
/// [`BillingError::Stored`] where what was used does not fit.
pub fn balances(
    registry: &Registry,
    issued: &[IssuedDocument],
    partner_id: Option<&PartnerId>,
    as_of: DateTime<Utc>,
) -> Result<Vec<Balance>, BillingError> {
    let used = used_credits(issued).map_err(|what| BillingError::stored("invoice", what))?;
    let mut all: Vec<Balance> = Vec::new();
    for grant in registry.credits.values().filter(|grant| partner_id.is_none_or(|own| grant.partner_id == *own)) {
        let money = |minor| Money { minor, currency: grant.amount.currency };
        let used = used.get(&grant.credit_id).copied().unwrap_or(0);
        let left = grant.amount.minor.checked_sub(used).ok_or_else(|| {
            BillingError::stored("invoice", format!("what is left of credit {} does not fit", grant.credit_id))
        })?;
        let is_over = |end: Option<DateTime<Utc>>| end.is_some_and(|end| end <= as_of);
        let state = if left <= 0 {
            CreditState::UsedUp
        } else if is_over(grant.voided_at) {
            CreditState::Voided
        } else if is_over(grant.expires_at) {
            CreditState::Expired
        } else if grant.granted_at > as_of {
            CreditState::Later
        } else {
            CreditState::Usable
        };
        all.push(Balance { grant: grant.clone(), used: money(used), left: money(left), state });
    }
    all.sort_by(|a, b| {
        let (a, b) = (&a.grant, &b.grant);
        (&a.partner_id, a.granted_at, &a.credit_id).cmp(&(&b.partner_id, b.granted_at, &b.credit_id))
    });
    Ok(all)
}

#[cfg(test)]
mod tests;
