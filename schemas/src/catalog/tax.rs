//! Tax rates: which one holds for a line, by issuer, tax code, customer and time. Pure data, and the one choice among
//! them.
//!
//! A rate stands in versions that never change, as plans do; a line is taxed by the version in force at the last
//! instant of what it bills, because tax arises when the service of a period is complete. An issuer without rates
//! taxes nothing, and nothing before its first one. From then on every line needs a rate: what none is for is an
//! error, never 0.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::Catalog;
use crate::decimal::Decimal;
use crate::id::{IssuerId, TaxRateId};

/// Plan that tax lines name, which no catalog has.
pub const TAX_PLAN: &str = "tax";

/// Whether amounts contain their tax.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TaxMode {
    /// Tax comes on top.
    #[default]
    Exclusive,
    /// Tax is inside: 119 at 19 % contain 19.
    Inclusive,
}

impl TaxMode {
    /// The words in the file, the default first.
    pub const WORDS: &[&str] = &["exclusive", "inclusive"];

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Exclusive, Self::Inclusive].into_iter().find(|mode| mode.as_str() == word)
    }

    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Inclusive => "inclusive",
        }
    }
}

/// How many tax lines a rate makes on a document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TaxPerLine {
    /// One, rounded once.
    #[default]
    PerRate,
    /// One for each line that it taxes, each rounded.
    PerLine,
}

impl TaxPerLine {
    /// The words in the file, the default first.
    pub const WORDS: &[&str] = &["per_rate", "per_line"];

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::PerRate, Self::PerLine].into_iter().find(|lines| lines.as_str() == word)
    }

    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PerRate => "per_rate",
            Self::PerLine => "per_line",
        }
    }
}

/// One immutable version of a tax rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaxRateVersion {
    /// Version, from 1.
    pub version: u32,
    /// First instant at which it holds.
    pub effective_from: DateTime<Utc>,
    /// Who taxes by it; the same in every version.
    pub issuer: IssuerId,
    /// What the customer reads, such as `VAT 19 %`.
    pub description: String,
    /// Per cent, 0 to 100.
    pub percent: Decimal,
    /// Whether amounts contain it.
    pub mode: TaxMode,
    /// How many lines it makes.
    pub lines: TaxPerLine,
    /// The tax codes of the prices that it taxes; empty: those without a code.
    pub tax_codes: BTreeSet<String>,
    /// Countries of the customers that it is for; empty: those for which no other rate is.
    pub countries: BTreeSet<String>,
    /// Whether it is only for customers with a tax id.
    pub customer_tax_id: bool,
}

impl TaxRateVersion {
    /// Whether it taxes prices of a code; `None` for those without one.
    #[must_use]
    pub fn is_of_code(&self, tax_code: Option<&str>) -> bool {
        match tax_code {
            None => self.tax_codes.is_empty(),
            Some(code) => self.tax_codes.contains(code),
        }
    }

    fn is_for(&self, customer: Customer<'_>) -> bool {
        (self.countries.is_empty() || self.countries.contains(customer.country))
            && (customer.has_tax_id || !self.customer_tax_id)
    }

    /// The more specific one wins: that for a country, then that for customers with a tax id.
    fn rank(&self) -> (bool, bool) {
        (!self.countries.is_empty(), self.customer_tax_id)
    }

    /// Whether two rates would both be the one for some line.
    pub(super) fn clashes_with(&self, other: &Self) -> bool {
        let same_codes = match (self.tax_codes.is_empty(), other.tax_codes.is_empty()) {
            (true, true) => true,
            _ => !self.tax_codes.is_disjoint(&other.tax_codes),
        };
        let same_countries = match (self.countries.is_empty(), other.countries.is_empty()) {
            (true, true) => true,
            _ => !self.countries.is_disjoint(&other.countries),
        };
        self.issuer == other.issuer && same_codes && same_countries && self.customer_tax_id == other.customer_tax_id
    }
}

/// What of a customer decides its tax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Customer<'a> {
    /// ISO 3166 code of two capital letters.
    pub country: &'a str,
    /// Whether the billing profile has a tax id.
    pub has_tax_id: bool,
}

/// A rate that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaxInForce<'a> {
    /// Rate of the catalog.
    pub tax_rate_id: &'a TaxRateId,
    /// The version that holds.
    pub version: &'a TaxRateVersion,
}

/// No rate is for a line, though its issuer taxes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "issuer {issuer_id} taxes, and none of its tax rates in force is for {} of a customer in {country}{}; add a [[tax_rate]] \
     for it (of 0 per cent where nothing is due)",
    tax_code.as_ref().map_or("prices without a tax code".to_owned(), |code| format!("tax code {code}")),
    if *has_tax_id { " with a tax id" } else { " without a tax id" }
)]
pub struct NoTaxRate {
    issuer_id: IssuerId,
    tax_code: Option<String>,
    country: String,
    has_tax_id: bool,
}

/// Tax rates by id: their versions, oldest first.
pub type TaxRates = BTreeMap<TaxRateId, Vec<TaxRateVersion>>;

/// The versions of an issuer's rates that are in force just before an instant, in order of their ids.
fn in_force_before<'a>(
    rates: &'a TaxRates,
    issuer: &'a IssuerId,
    before: DateTime<Utc>,
) -> impl Iterator<Item = TaxInForce<'a>> {
    rates.iter().filter_map(move |(tax_rate_id, versions)| {
        let version = versions.iter().rev().find(|version| version.effective_from < before)?;
        (version.issuer == *issuer).then_some(TaxInForce { tax_rate_id, version })
    })
}

/// The rate of some rates for a price's tax code that holds at the last instant before `before`; none where the issuer
/// taxes nothing yet.
///
/// # Errors
/// [`NoTaxRate`] where it taxes, and no rate is for this.
pub fn rate_before<'a>(
    rates: &'a TaxRates,
    issuer: &'a IssuerId,
    tax_code: Option<&str>,
    customer: Customer<'_>,
    before: DateTime<Utc>,
) -> Result<Option<TaxInForce<'a>>, NoTaxRate> {
    let mut in_force = in_force_before(rates, issuer, before).peekable();
    if in_force.peek().is_none() {
        return Ok(None);
    }
    let fitting = in_force.filter(|rate| rate.version.is_of_code(tax_code) && rate.version.is_for(customer));
    let found = fitting.max_by_key(|rate| rate.version.rank());
    found.map(Some).ok_or_else(|| NoTaxRate {
        issuer_id: issuer.clone(),
        tax_code: tax_code.map(str::to_owned),
        country: customer.country.to_owned(),
        has_tax_id: customer.has_tax_id,
    })
}

impl Catalog {
    /// The versions of an issuer's rates that are in force just before an instant, in order of their ids.
    pub fn tax_rates_before<'a>(
        &'a self,
        issuer: &'a IssuerId,
        before: DateTime<Utc>,
    ) -> impl Iterator<Item = TaxInForce<'a>> {
        in_force_before(&self.tax_rates, issuer, before)
    }

    /// The rate for a price's tax code that holds at the last instant before `before`; none where the issuer taxes
    /// nothing yet.
    ///
    /// # Errors
    /// As [`rate_before`].
    pub fn tax_rate_before<'a>(
        &'a self,
        issuer: &'a IssuerId,
        tax_code: Option<&str>,
        customer: Customer<'_>,
        before: DateTime<Utc>,
    ) -> Result<Option<TaxInForce<'a>>, NoTaxRate> {
        rate_before(&self.tax_rates, issuer, tax_code, customer, before)
    }

    /// The first instant from which another catalog has other tax rates of an issuer; none where it has the same.
    #[must_use]
    pub fn tax_differs_from(&self, other: &Self, issuer: &IssuerId) -> Option<DateTime<Utc>> {
        let own = |catalog: &Self| -> Vec<(TaxRateId, TaxRateVersion)> {
            let all =
                catalog.tax_rates.iter().flat_map(|(id, own)| own.iter().map(move |one| (id.clone(), one.clone())));
            all.filter(|(_, version)| version.issuer == *issuer).collect()
        };
        let (here, there) = (own(self), own(other));
        let not_in = |one: &[(TaxRateId, TaxRateVersion)], other: &[(TaxRateId, TaxRateVersion)]| {
            one.iter().filter(|rate| !other.contains(rate)).map(|(_, version)| version.effective_from).min()
        };
        [not_in(&here, &there), not_in(&there, &here)].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
