//! Rating: a price model and a quantity in, an amount and its working out. Pure and exact.
//!
//! One model is one file: [`flat`], [`per_unit`], [`graduated`]. A model gives an unrounded sum; this module rounds
//! it once, half away from zero, to the minor unit of the currency (I4).
//!
//! The steps of a line, in this order and no other. A step that a price does not name is left out; only **price**
//! and **round** exist so far, and a later step takes its place here, not beside:
//!
//! 1. convert: the quantity into the unit that is priced;
//! 2. round quantity: as the price says, never by itself;
//! 3. included units: taken off before any price;
//! 4. **price**: the model;
//! 5. minimum and maximum: of the line;
//! 6. discount: of the line;
//! 7. **round**: once, to the minor unit.
//!
//! Conventions where billing systems differ: tiers are `(from, up_to]` over decimals, so 5.001 lies in the tier after
//! 5; a tier's flat price is due when the quantity is above the tier's lower bound, the first tier's always, at 0 too.

mod flat;
mod graduated;
mod part;
mod per_unit;

use serde::{Deserialize, Serialize};
use tollbook_schemas::catalog::PriceModel;
use tollbook_schemas::decimal::{Decimal, DecimalError};
use tollbook_schemas::money::{Currency, Money, MoneyError};

/// Why a quantity has no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RatingError {
    /// Below zero.
    #[error("quantity {0} is below zero, and no price applies to that; look for wrong values in the meter's source")]
    NegativeQuantity(Decimal),
    /// No tier.
    #[error("the graduated price has no open last tier; load the catalog again")]
    NoTier,
    /// Too large.
    #[error("the amount is too large to be exact")]
    Overflow(#[source] DecimalError),
    /// Not an amount of the currency.
    #[error("the amount cannot be printed in {currency}")]
    Money {
        /// Currency.
        currency: Currency,
        /// Why.
        #[source]
        source: MoneyError,
    },
}

/// One tier's share of a graduated line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierWorking {
    /// Exact, unrounded share: quantity × unit price + flat price, in major units.
    pub exact: String,
    /// Flat price of the tier, charged once.
    pub flat_price: Decimal,
    /// The tier begins after this quantity.
    pub from: Decimal,
    /// Units that lie in the tier.
    pub quantity: Decimal,
    /// Price of each of them.
    pub unit_price: Decimal,
    /// Last quantity of the tier; none for the last tier.
    pub up_to: Option<Decimal>,
}

/// How an amount came about. Its JSON is canonical: fields in order of name, decimals as text, tiers that the
/// quantity did not enter left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Working {
    /// The sum before it was rounded, in major units.
    pub exact: String,
    /// Tiers, for a graduated price.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<TierWorking>,
    /// Unit price, for a price per unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<Decimal>,
}

impl Working {
    /// One line of canonical JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A priced quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rated {
    /// What is printed.
    pub amount: Money,
    /// How it came about.
    pub working: Working,
}

/// Prices a quantity. A flat price takes any quantity that is not negative and charges the same.
///
/// # Errors
/// [`RatingError`].
pub fn rate(model: &PriceModel, quantity: Decimal, currency: Currency) -> Result<Rated, RatingError> {
    if quantity.is_negative() {
        return Err(RatingError::NegativeQuantity(quantity));
    }
    let (sum, tiers, unit_price) = match model {
        PriceModel::Flat { amount } => (flat::price(*amount), Vec::new(), None),
        PriceModel::PerUnit { unit_price, .. } => {
            (per_unit::price(*unit_price, quantity), Vec::new(), Some(*unit_price))
        }
        PriceModel::Graduated { tiers, .. } => {
            let (sum, tiers) = graduated::price(tiers, quantity)?;
            (sum, tiers, None)
        }
    };
    let amount = Money::round(sum.exact(), currency).map_err(|source| RatingError::Money { currency, source })?;
    Ok(Rated { amount, working: Working { exact: sum.to_string(), tiers, unit_price } })
}

#[cfg(test)]
mod tests;
