//! The catalog: issuers, products, meters, plans and prices, contracts, coupons, tax rates. Text in, checked types or
//! problems with places out.
//!
//! A catalog is a folder of TOML files; all files together form one catalog. Nothing here knows whether a meter's
//! SQL can be planned: `aggregate` checks that against the schema of `access_log`. What is loaded is whole: every
//! reference resolves, every tier follows the one before, so that rating never meets a gap.

mod check;
pub mod contract;
pub mod coupon;
pub mod diff;
mod file;
mod issuer;
mod kept;
mod place;
pub mod problem;
pub mod route;
mod syntax;
pub mod tax;
mod terms;
mod unmetered;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::digest::{sha256_hex, sha256_parts};
use crate::id::{ContractId, CouponId, IssuerId, MeterId, PlanId, PriceId, ProductId};
use crate::money::Currency;
use crate::period::cadence::Cadence;

pub use crate::meter::{Aggregation, Exclusion};
pub use crate::price::{PriceModel, Tariff, Tier};
pub use contract::ContractVersion;
pub use coupon::Coupon;
pub use file::CatalogFile;
pub use kept::KeptError;
pub use problem::Problem;
pub use route::Rule;
pub use tax::TaxRateVersion;
pub use terms::{Quota, RateLimit, RateWindow, Sandbox};

/// The legal entity that issues invoices: one version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// First instant at which it holds; from the beginning where it says none.
    pub effective_from: Option<DateTime<Utc>>,
    /// Legal name, as printed.
    pub legal_name: String,
    /// Address lines, as printed.
    pub address: Vec<String>,
    /// Tax id, as printed.
    pub tax_id: Option<String>,
    /// What invoice numbers start with: `AC-2026-` gives `AC-2026-000001`.
    pub number_prefix: String,
    /// Zone whose months are the billing periods where a subscription names none.
    pub time_zone: Tz,
    /// Days until an invoice is due where the billing profile names none.
    pub payment_terms_days: u32,
    /// How many months back an issued invoice is adjusted at most; all where `None`.
    pub adjust_months_max: Option<u32>,
}

/// An API product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Name, as printed.
    pub name: String,
    /// Path prefixes that belong to it: rules that give a route alone.
    pub routes: Vec<String>,
    /// Which other requests belong to it; [`route`] says which rule of which product decides.
    pub rules: Vec<Rule>,
    /// What it is, for whoever chooses it.
    pub description: Option<String>,
    /// Version of the terms of use that a partner accepts with it.
    pub terms_version: Option<String>,
    /// Where it can be tried.
    pub sandbox: Option<Sandbox>,
}

impl Product {
    /// Its rules, those of `routes` first.
    pub fn all_rules(&self) -> impl Iterator<Item = Rule> {
        self.routes.iter().map(|route| Rule::of_route(route)).chain(self.rules.iter().cloned())
    }
}

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meter {
    /// Name, as printed.
    pub name: String,
    /// Unit, as printed: `call`, `byte`.
    pub unit: String,
    /// Product whose traffic it meters; all products where `None`.
    pub product: Option<ProductId>,
    /// How.
    pub aggregation: Aggregation,
    /// SQL expression over `access_log` whose value is aggregated; none for count.
    pub value: Option<String>,
    /// SQL condition over `access_log`: which requests count.
    pub filter: Option<String>,
    /// Rules that leave requests out, in the order in which they are tried.
    pub exclude: Vec<Exclusion>,
    /// Whether a value may be below zero; where not, it is invalid and counted.
    pub allow_negative: bool,
    /// Named SQL expressions over `access_log` that split the usage: dimension name to expression.
    pub group_by: BTreeMap<String, String>,
}

/// One price of a plan: one printed line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// Id within the plan version.
    pub price_id: PriceId,
    /// What the customer reads.
    pub description: String,
    /// Meter that gives the quantity; none for a flat price.
    pub meter: Option<MeterId>,
    /// How it is computed.
    pub tariff: Tariff,
    /// What it is for tax: the code of whoever computes tax, such as `txcd_10103001`.
    pub tax_code: Option<String>,
}

/// One immutable version of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanVersion {
    /// Version, from 1.
    pub version: u32,
    /// First instant at which it applies; the version in force at the start of a billing period prices it.
    pub effective_from: DateTime<Utc>,
    /// How long a billing period is, and where it begins.
    pub cadence: Cadence,
    /// Local days from the start of the subscription in which its flat prices of each period cost nothing.
    pub trial_days: Option<u32>,
    /// The plan that a shadow bill beside each document tells the cost of: what the same usage would have cost on it.
    pub shadow_of: Option<PlanId>,
    /// Name, as printed.
    pub name: String,
    /// Who issues the invoice.
    pub issuer: IssuerId,
    /// Currency of all its prices.
    pub currency: Currency,
    /// Prices, in printed order.
    pub prices: Vec<Price>,
    /// How fast a subscriber may call.
    pub rate_limit: Option<RateLimit>,
    /// How much of which meters a subscriber may use in a month.
    pub quotas: Vec<Quota>,
}

/// A checked catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    /// Issuers, each by its last version: for what is the same in all of them.
    pub issuers: BTreeMap<IssuerId, Issuer>,
    /// Issuers: their versions, oldest first.
    pub issuer_versions: BTreeMap<IssuerId, Vec<Issuer>>,
    /// Products.
    pub products: BTreeMap<ProductId, Product>,
    /// Meters.
    pub meters: BTreeMap<MeterId, Meter>,
    /// Plans: their versions, oldest first.
    pub plans: BTreeMap<PlanId, Vec<PlanVersion>>,
    /// Contracts: their versions, oldest first.
    pub contracts: BTreeMap<ContractId, Vec<ContractVersion>>,
    /// Coupons.
    pub coupons: BTreeMap<CouponId, Coupon>,
    /// Tax rates: their versions, oldest first.
    pub tax_rates: tax::TaxRates,
    /// SHA-256 over the files, in name order: part of every pin.
    pub sha256: String,
    /// The files it was read from, in name order: what the lake keeps, and where a plan stands.
    files: Vec<CatalogFile>,
    /// Where the SQL of meters stands, for [`Catalog::problem_in_sql`].
    places: place::Places,
}

impl Catalog {
    /// Reads and checks the files of a catalog.
    ///
    /// # Errors
    /// Every [`Problem`] found, in file and line order.
    pub fn parse(files: &[CatalogFile]) -> Result<Self, Vec<Problem>> {
        let (catalog, problems) = Self::parse_partly(files);
        if problems.is_empty() { Ok(catalog) } else { Err(problems) }
    }

    /// Reads and checks the files of a catalog; gives what is right in it, and every [`Problem`] found, in file and
    /// line order. Only for finding more problems: what is billed is parsed by [`Catalog::parse`].
    #[must_use]
    pub fn parse_partly(files: &[CatalogFile]) -> (Self, Vec<Problem>) {
        let mut files: Vec<&CatalogFile> = files.iter().collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let parts = files.iter().flat_map(|file| [file.path.as_bytes(), file.text.as_bytes()]);
        let sha256 = sha256_hex(&sha256_parts(parts));
        let (mut catalog, problems) = check::check(&files, sha256);
        catalog.files = files.into_iter().cloned().collect();
        (catalog, problems)
    }

    /// The version of a plan in force at an instant.
    #[must_use]
    pub fn plan_at(&self, plan: &PlanId, at: DateTime<Utc>) -> Option<&PlanVersion> {
        self.plans.get(plan)?.iter().rev().find(|version| version.effective_from <= at)
    }
}

#[cfg(test)]
mod editor_schema;
#[cfg(test)]
mod tests;
