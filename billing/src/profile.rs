//! Billing profiles: who is billed and where, in dated versions. The source of contact data: beside it only the frozen
//! bytes of the requests that make a Stripe customer, or bring it up to date, hold some (ADR 0003).
//!
//! Takes rows of `billing_profile`; gives the version in force at an instant. A row that cannot be used concerns its
//! own partner alone, and only while no later version has taken its place: rows are never edited, so importing the
//! profile again is how one is mended.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tollbook_schemas::id::{PartnerId, ProfileVersionId};
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::billing::BILLING_PROFILE;

use crate::error::BillingError;
use crate::stored::Stored;

/// Longest terms of payment, in days.
pub const TERMS_DAYS_MAX: u32 = 365;

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

/// What decides between versions: the later start, then the later import.
type Rank<'a> = (DateTime<Utc>, DateTime<Utc>, &'a str);

impl Profile {
    pub(crate) fn rank(&self) -> Rank<'_> {
        (self.effective_from, self.recorded_at, self.profile_version_id.as_str())
    }
}

/// A stored version that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unusable {
    profile_version_id: String,
    effective_from: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
    reason: String,
}

impl Unusable {
    fn rank(&self) -> Rank<'_> {
        (self.effective_from, self.recorded_at, &self.profile_version_id)
    }

    fn told(&self) -> String {
        let (id, reason) = (&self.profile_version_id, &self.reason);
        format!("billing profile {id} cannot be used: {reason}; import it again with `tollbook partner import`")
    }
}

/// All stored versions of all partners.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profiles {
    of_partners: BTreeMap<PartnerId, Versions>,
    /// Whose each usable version is: documents name versions, and a close asks for each of a hundred thousand.
    partner_of: BTreeMap<ProfileVersionId, PartnerId>,
}

/// Those of one partner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Versions {
    usable: Vec<Profile>,
    unusable: Vec<Unusable>,
}

impl From<Vec<Profile>> for Profiles {
    fn from(usable: Vec<Profile>) -> Self {
        let mut profiles = Self::default();
        usable.into_iter().for_each(|profile| profiles.add(profile));
        profiles
    }
}

impl Profiles {
    /// Reads rows of `billing_profile`. One that cannot be used is kept aside for its partner.
    ///
    /// # Errors
    /// [`BillingError::Stored`] for a row that does not even say whose it is, or since when it holds.
    pub fn read(rows: &[Row]) -> Result<Self, BillingError> {
        let mut profiles = Self::default();
        for row in rows {
            let what = match Profile::from_row(row) {
                Ok(profile) => {
                    profiles.add(profile);
                    continue;
                }
                Err(BillingError::Stored { what, .. }) => what,
                Err(other) => return Err(other),
            };
            let stored = Stored { table: &BILLING_PROFILE, row };
            let partner_id = stored.id("partner_id", PartnerId::parse)?;
            profiles.of_partners.entry(partner_id).or_default().unusable.push(Unusable {
                profile_version_id: stored.text("profile_version_id")?.to_owned(),
                effective_from: stored.instant("effective_from")?,
                recorded_at: stored.instant("recorded_at")?,
                reason: what,
            });
        }
        Ok(profiles)
    }

    fn add(&mut self, profile: Profile) {
        self.partner_of.insert(profile.profile_version_id.clone(), profile.partner_id.clone());
        self.of_partners.entry(profile.partner_id.clone()).or_default().usable.push(profile);
    }

    /// The version of a partner's profile in force at an instant, if there is one. Of two that begin at the same
    /// instant, the one that was imported later corrects the other.
    ///
    /// # Errors
    /// Why the version in force cannot be used, and how to mend it.
    pub fn at(&self, partner_id: &PartnerId, at: DateTime<Utc>) -> Result<Option<&Profile>, String> {
        let Some(own) = self.of_partners.get(partner_id) else { return Ok(None) };
        let usable = own.usable.iter().filter(|one| one.effective_from <= at);
        let unusable = own.unusable.iter().filter(|one| one.effective_from <= at);
        let usable = usable.max_by_key(|one| one.rank());
        match unusable.max_by_key(|one| one.rank()) {
            Some(bad) if usable.is_none_or(|good| good.rank() < bad.rank()) => Err(bad.told()),
            _ => Ok(usable),
        }
    }

    /// Cuts them into so many shares, each partner's in the one that is said, or in none.
    #[must_use]
    pub fn cut(&self, share_of: impl Fn(&PartnerId) -> Option<usize>, count: usize) -> Vec<Self> {
        let mut shares = vec![Self::default(); count];
        for (partner_id, own) in &self.of_partners {
            if let Some(share) = share_of(partner_id).and_then(|at| shares.get_mut(at)) {
                share.of_partners.insert(partner_id.clone(), own.clone());
                let ids = own.usable.iter().map(|one| (one.profile_version_id.clone(), partner_id.clone()));
                share.partner_of.extend(ids);
            }
        }
        shares
    }

    /// Who a partner was at an instant, for tax: the version in force then, else the first that began since, up to
    /// another instant.
    ///
    /// # Errors
    /// As [`Profiles::at`].
    pub fn at_or_first(
        &self,
        partner_id: &PartnerId,
        at: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<&Profile>, String> {
        if let Some(profile) = self.at(partner_id, at)? {
            return Ok(Some(profile));
        }
        let Some(own) = self.of_partners.get(partner_id) else { return Ok(None) };
        let begun = own.usable.iter().map(|one| one.effective_from);
        let begun = begun.chain(own.unusable.iter().map(|one| one.effective_from));
        let first = begun.filter(|from| *from <= until).min();
        first.map_or(Ok(None), |first| self.at(partner_id, first))
    }

    /// One version.
    ///
    /// # Errors
    /// Why it cannot be used, and how to mend it.
    pub fn version(&self, id: &ProfileVersionId) -> Result<&Profile, String> {
        let own = self.partner_of.get(id).and_then(|partner_id| self.of_partners.get(partner_id));
        let usable = own.and_then(|own| own.usable.iter().find(|one| one.profile_version_id == *id));
        let mut unusable = self.of_partners.values().flat_map(|own| &own.unusable);
        usable.ok_or_else(|| match unusable.find(|one| one.profile_version_id == id.as_str()) {
            Some(bad) => bad.told(),
            None => format!("billing profile {id} is not in the lake any more; import it again"),
        })
    }
}

#[cfg(test)]
mod tests {
    use tollbook_schemas::error::{Classified, Kind};
    use tollbook_schemas::period::parse_instant;

    use super::*;

    fn at(day: &str) -> DateTime<Utc> {
        parse_instant(&format!("{day}T00:00:00Z")).unwrap()
    }

    /// `version partner effective_from recorded_at terms`.
    fn row(text: &str) -> Row {
        let [version, partner, from, recorded, terms] = text.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{text}")
        };
        Row::new()
            .with("profile_version_id", ProfileVersionId::derive([version]).as_str())
            .with("partner_id", partner)
            .with("effective_from", at(from))
            .with("legal_name", version)
            .with("address", "Road 1")
            .with("country", "DE")
            .with("billing_email", "bills@acme.example")
            .with("payment_terms_days", terms.parse::<i32>().unwrap())
            .with("recorded_at", at(recorded))
    }

    const GOOD: &str = "v1 acme 2026-01-01 2026-01-01 14";

    #[test]
    fn a_version_that_cannot_be_used_blocks_its_partner_until_another_takes_its_place() {
        for (rows, day, found) in [
            (vec![GOOD], "2026-07-01", "v1"),
            (vec![GOOD], "2025-12-31", "none"),
            (vec!["v1 acme 2026-01-01 2026-01-01 -14"], "2026-07-01", "payment_terms_days"),
            (vec![GOOD, "v2 acme 2026-03-01 2026-03-01 -1"], "2026-07-01", "payment_terms_days"),
            (vec![GOOD, "v2 acme 2026-03-01 2026-03-01 -1"], "2026-02-01", "v1"),
            (vec![GOOD, "v2 acme 2026-01-01 2026-02-01 -1"], "2026-07-01", "payment_terms_days"),
            // Mended by importing it again.
            (vec![GOOD, "v2 acme 2026-01-01 2026-02-01 -1", "v3 acme 2026-01-01 2026-02-02 7"], "2026-07-01", "v3"),
            // Another partner's, and one that never was.
            (vec![GOOD, "v2 bolt 2026-01-01 2026-02-01 -1"], "2026-07-01", "v1"),
            (vec!["v2 bolt 2026-01-01 2026-02-01 -1"], "2026-07-01", "none"),
        ] {
            let rows: Vec<Row> = rows.into_iter().map(row).collect();
            let profiles = Profiles::read(&rows).unwrap();
            let told = match profiles.at(&PartnerId::parse("acme").unwrap(), at(day)) {
                Ok(profile) => profile.map_or("none".to_owned(), |profile| profile.legal_name.clone()),
                Err(told) => told,
            };
            assert!(told.contains(found), "{found}: {told}");
            assert!(!told.contains("bills@") && !told.contains("Road"), "contact data in {told}");
        }
    }

    #[test]
    fn a_row_that_is_nobodys_stops_the_run() {
        let nobody = row("v1 acme 2026-01-01 2026-01-01 -14").with("partner_id", "a cme");
        assert_eq!(Profiles::read(&[nobody]).unwrap_err().kind(), Kind::Data);
        let profiles = Profiles::read(&[row("v1 acme 2026-01-01 2026-01-01 -14"), row(GOOD)]).unwrap();
        assert!(profiles.version(&ProfileVersionId::derive(["v1"])).is_ok(), "one of two rows of an id is usable");
        let missing = profiles.version(&ProfileVersionId::derive(["v9"])).unwrap_err();
        assert!(missing.contains("not in the lake any more"), "{missing}");
    }
}
