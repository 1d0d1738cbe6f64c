//! Billing profiles: who is billed and where, in dated versions. The source of contact data: beside it only the frozen
//! bytes of a request that makes a Stripe customer hold some (ADR 0003).

use chrono::{DateTime, Utc};
use tollbook_schemas::id::{PartnerId, ProfileVersionId};
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::billing::BILLING_PROFILE;

use crate::error::BillingError;
use crate::stored::Stored;

/// One version of a billing profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Id of the version.
    pub profile_version_id: ProfileVersionId,
    /// Partner.
    pub partner_id: PartnerId,
    /// First instant at which it holds.
    pub effective_from: DateTime<Utc>,
    /// Legal name.
    pub legal_name: String,
    /// Address, lines separated by line feeds.
    pub address: String,
    /// Country code.
    pub country: String,
    /// Tax id.
    pub tax_id: Option<String>,
    /// Where invoices go.
    pub billing_email: String,
    /// Purchase order.
    pub purchase_order: Option<String>,
    /// Days until an invoice is due.
    pub payment_terms_days: u32,
    /// When it was imported.
    pub recorded_at: DateTime<Utc>,
}

impl Profile {
    /// Reads a row of `billing_profile`.
    ///
    /// # Errors
    /// [`BillingError::Stored`].
    pub fn from_row(row: &Row) -> Result<Self, BillingError> {
        let stored = Stored { table: &BILLING_PROFILE, row };
        let text = |column| stored.text(column).map(str::to_owned);
        Ok(Self {
            profile_version_id: stored.id("profile_version_id", ProfileVersionId::parse)?,
            partner_id: stored.id("partner_id", PartnerId::parse)?,
            effective_from: stored.instant("effective_from")?,
            legal_name: text("legal_name")?,
            address: text("address")?,
            country: text("country")?,
            tax_id: row.text("tax_id").map(str::to_owned),
            billing_email: text("billing_email")?,
            purchase_order: row.text("purchase_order").map(str::to_owned),
            payment_terms_days: stored.small("payment_terms_days")?,
            recorded_at: stored.instant("recorded_at")?,
        })
    }
}

/// The version of a partner's profile in force at an instant. Of two that begin at the same instant, the one that
/// was imported later corrects the other.
#[must_use]
pub fn profile_at<'a>(profiles: &'a [Profile], partner_id: &PartnerId, at: DateTime<Utc>) -> Option<&'a Profile> {
    profiles
        .iter()
        .filter(|profile| profile.partner_id == *partner_id && profile.effective_from <= at)
        .max_by_key(|profile| (profile.effective_from, profile.recorded_at, &profile.profile_version_id))
}
