//! How an amount came about: exact components while it is computed, canonical JSON when it is kept.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::Money;
use tollbook_schemas::price::{PriceModel, Tariff};

use super::{RatingError, is_plain};

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

/// One component of a line that has more than a price: `tier 2 flat`, `fixed_fee`, `minimum`, `discount`; of a flat
/// price in a part of its period, which part: `240 of 720 h`, `5 units, 10 of 30 days`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentWorking {
    /// Exact, unrounded share, in major units; a reduction is negative.
    pub exact: String,
    /// What it is.
    pub name: String,
    /// Units, packages or events that it prices, where it prices some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
}

/// How an amount came about. Its JSON is canonical: fields in order of name, decimals as text, tiers that the
/// quantity did not enter left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Working {
    /// The quantity that was priced, for a price with steps or of another model than flat, per unit and graduated, and
    /// of a flat price in a part of its period: that part, times its units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billable: Option<String>,
    /// Components, for the same prices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ComponentWorking>,
    /// The sum before it was rounded, in major units.
    pub exact: String,
    /// Tiers, for a graduated price without steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<TierWorking>,
    /// Unit price, for a price per unit without steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<Decimal>,
}

impl Working {
    /// One line of canonical JSON.
    ///
    /// # Errors
    /// serde's, which this form cannot give today: an empty text would be a line without its proof.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
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

/// One component of a line, exact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// What it is.
    pub name: Cow<'static, str>,
    /// The tier that it belongs to, from 1.
    pub tier: Option<usize>,
    /// Units, packages or events that it prices, where it prices some.
    pub quantity: Option<Exact>,
    /// Share, in major units; a reduction is negative.
    pub exact: Exact,
}

impl Component {
    pub(crate) fn new(name: impl Into<Cow<'static, str>>, quantity: Option<Exact>, exact: Exact) -> Self {
        Self { name: name.into(), tier: None, quantity, exact }
    }

    pub(crate) fn of_tier(name: &'static str, tier: usize, quantity: Option<Exact>, exact: Exact) -> Self {
        Self { name: Cow::Borrowed(name), tier: Some(tier), quantity, exact }
    }

    /// `units`, `tier 2 flat`.
    #[must_use]
    pub fn label(&self) -> String {
        match self.tier {
            Some(tier) => format!("tier {tier} {}", self.name),
            None => self.name.to_string(),
        }
    }

    pub(crate) fn working(&self) -> ComponentWorking {
        ComponentWorking {
            exact: self.exact.to_string(),
            name: self.label(),
            quantity: self.quantity.map(|quantity| quantity.to_string()),
        }
    }
}

/// What a graduated price tells of its tiers: nobody reads both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Each tier, for a working of the [plain form](super::is_plain).
    Tiers,
    /// Components, as all other prices.
    Components,
}

/// A line before its rounding.
#[derive(Debug, Clone)]
pub(crate) struct Priced {
    /// The quantity that was priced.
    pub billable: Exact,
    pub components: Vec<Component>,
    /// Instead of components, and what they come to.
    pub tiers: Vec<TierWorking>,
    pub tiers_sum: Exact,
    /// Whether a share of the period, or a number of units, is in the components.
    pub is_part: bool,
}

impl Priced {
    pub(crate) fn nothing(billable: Exact) -> Self {
        Self::of(billable, Vec::new())
    }

    pub(crate) fn of(billable: Exact, components: Vec<Component>) -> Self {
        Self { billable, components, tiers: Vec::new(), tiers_sum: Exact::ZERO, is_part: false }
    }

    pub(crate) fn sum(&self) -> Result<Exact, RatingError> {
        let mut sum = self.tiers_sum;
        for component in &self.components {
            sum = sum.checked_add(component.exact)?;
        }
        Ok(sum)
    }

    pub(crate) fn working(self, sum: Exact, tariff: &Tariff) -> Working {
        let exact = sum.to_string();
        if self.is_part || !is_plain(tariff) {
            let components = self.components.iter().map(Component::working).collect();
            let billable = Some(self.billable.to_string());
            return Working { billable, components, exact, ..Working::default() };
        }
        let unit_price = match tariff.model {
            PriceModel::PerUnit { unit_price } => Some(unit_price),
            _ => None,
        };
        Working { exact, tiers: self.tiers, unit_price, ..Working::default() }
    }
}
