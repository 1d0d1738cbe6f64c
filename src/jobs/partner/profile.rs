//! Billing profiles of a file as rows of `billing_profile`: a version is added where it says something new.

use chrono::{DateTime, Duration, Utc};
use tollbook_schemas::id::{PartnerId, ProfileVersionId};
use tollbook_schemas::period::print_instant;
use tollbook_schemas::tables::Row;

/// Who is billed and where, as a file says. `Debug` shows no contact data.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) partner_id: PartnerId,
    pub(crate) effective_from: DateTime<Utc>,
    pub(crate) legal_name: String,
    pub(crate) address: String,
    pub(crate) country: String,
    pub(crate) tax_id: Option<String>,
    pub(crate) billing_email: String,
    pub(crate) purchase_order: Option<String>,
    pub(crate) payment_terms_days: i32,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Profile({} from {})", self.partner_id, print_instant(self.effective_from))
    }
}

impl Profile {
    /// The columns that are the profile itself, without its id and when it was imported.
    fn row(&self) -> Row {
        Row::new()
            .with("partner_id", self.partner_id.as_str())
            .with("effective_from", self.effective_from)
            .with("legal_name", self.legal_name.as_str())
            .with("address", self.address.as_str())
            .with("country", self.country.as_str())
            .with("tax_id", self.tax_id.clone())
            .with("billing_email", self.billing_email.as_str())
            .with("purchase_order", self.purchase_order.clone())
            .with("payment_terms_days", self.payment_terms_days)
    }

    fn is(&self, stored: &Row) -> bool {
        const COLUMNS: [&str; 9] = [
            "partner_id",
            "effective_from",
            "legal_name",
            "address",
            "country",
            "tax_id",
            "billing_email",
            "purchase_order",
            "payment_terms_days",
        ];
        let row = self.row();
        COLUMNS.iter().all(|column| match *column {
            // Stored integers may be of another width.
            "payment_terms_days" => row.int(column) == stored.int(column),
            column => row.get(column) == stored.get(column),
        })
    }

    /// The row of the version, recorded at an instant.
    pub(crate) fn recorded(&self, again: usize, at: DateTime<Utc>) -> Row {
        self.row().with("profile_version_id", self.id(again).as_str()).with("recorded_at", at)
    }

    /// The id of the version: what it says. `again` tells apart what was said, taken back and said again.
    fn id(&self, again: usize) -> ProfileVersionId {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let mut parts = vec![
            self.partner_id.as_str().to_owned(),
            print_instant(self.effective_from),
            self.legal_name.clone(),
            self.address.clone(),
            self.country.clone(),
            text(&self.tax_id),
            self.billing_email.clone(),
            text(&self.purchase_order),
            self.payment_terms_days.to_string(),
        ];
        if again > 0 {
            parts.push(again.to_string());
        }
        ProfileVersionId::derive(parts)
    }
}

/// Rows of those profiles that differ from what holds: of two of one instant the one imported later counts, so one
/// that is as it was before is news too.
pub(super) fn missing(stored: &[Row], profiles: &[Profile], now: DateTime<Utc>) -> Vec<Row> {
    let mut new: Vec<Row> = Vec::new();
    for profile in profiles {
        let of_its_instant = |row: &&Row| {
            row.text("partner_id") == Some(profile.partner_id.as_str())
                && row.instant("effective_from") == Some(profile.effective_from)
        };
        let there = || stored.iter().chain(&new).filter(of_its_instant);
        let newest = there().max_by_key(|row| (row.instant("recorded_at"), row.text("profile_version_id")));
        if newest.is_some_and(|newest| profile.is(newest)) {
            continue;
        }
        let after = newest.and_then(|row| row.instant("recorded_at")).map(|at| at + Duration::microseconds(1));
        let again = there().filter(|row| profile.is(row)).count();
        new.push(profile.recorded(again, after.map_or(now, |after| after.max(now))));
    }
    new
}
