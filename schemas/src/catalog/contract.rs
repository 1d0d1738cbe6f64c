//! Contracts: what was agreed with somebody beside a plan's list prices. Pure data, and what it makes of a plan's
//! prices.
//!
//! The terms stand in the catalog, in versions that never change; who signed them, and when, are events
//! (`crate::registry`). A contract is of one plan: of its prices it replaces some by id, whole, and takes a discount
//! off the others; it may ask for a minimum in each billing period.

use chrono::{DateTime, Utc};

use super::{Catalog, PlanVersion, Price};
use crate::decimal::Decimal;
use crate::id::{ContractId, PlanId};
use crate::money::Currency;

/// Id of the price that what is missing to a contract's commitment is printed as.
pub const COMMITMENT_PRICE: &str = "contract-commitment";

/// Id of the price that a contract's minimum is printed as.
pub const MINIMUM_PRICE: &str = "contract-minimum";

/// One immutable version of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractVersion {
    /// Version, from 1.
    pub version: u32,
    /// Name, for us; it is printed nowhere.
    pub name: String,
    /// First instant of its term. A later version takes the place of this one from its own.
    pub starts: DateTime<Utc>,
    /// First instant after its term; `None` where it has no end of its own.
    pub ends: Option<DateTime<Utc>>,
    /// The plan whose prices it changes.
    pub plan: PlanId,
    /// Currency of its amounts: that of the plan, in every version of the term.
    pub currency: Currency,
    /// Prices in the place of those of the plan with the same id.
    pub prices: Vec<Price>,
    /// Taken off every price that is not replaced, per cent.
    pub discount_percent: Option<Decimal>,
    /// What a billing period costs at least.
    pub minimum: Option<ContractMinimum>,
    /// What the whole term of this version costs at least; it has an end then.
    pub commitment: Option<ContractMinimum>,
}

/// What a billing period, or a term, costs at least: what is missing to it is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractMinimum {
    /// What the customer reads.
    pub description: String,
    /// In major units, without parts of a minor unit.
    pub amount: Decimal,
    /// What it is for tax, as of a price.
    pub tax_code: Option<String>,
}

impl ContractVersion {
    /// The prices of a plan version under this contract, in the plan's order.
    #[must_use]
    pub fn prices_of(&self, plan: &PlanVersion) -> Vec<Price> {
        let own = |price: &Price| self.prices.iter().find(|own| own.price_id == price.price_id).cloned();
        let discounted = |price: &Price| {
            let mut price = price.clone();
            // The check refuses a discount beside another one.
            price.tariff.steps.discount_percent = self.discount_percent.or(price.tariff.steps.discount_percent);
            price
        };
        plan.prices.iter().map(|price| own(price).unwrap_or_else(|| discounted(price))).collect()
    }
}

impl Catalog {
    /// The version of a contract at an instant of its term; none before the first one starts, and where the last one
    /// that started has ended.
    #[must_use]
    pub fn contract_at(&self, contract: &ContractId, at: DateTime<Utc>) -> Option<&ContractVersion> {
        let started = self.contracts.get(contract)?.iter().rev().find(|version| version.starts <= at)?;
        Some(started).filter(|version| version.ends.is_none_or(|ends| at < ends))
    }
}

#[cfg(test)]
mod tests;
