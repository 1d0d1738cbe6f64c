//! The structure of one price: a model with its parameters, the steps around it, the settings where billing systems
//! differ. One form for the catalog's TOML and for the JSON of `estimate`; [`tariff`] checks both.
//!
//! What is read here is whole: a key that its model does not have, a gap between tiers, a negative price are
//! [`Flaw`]s with their place and how to mend them. How a quantity becomes an amount is not known here
//! (`billing/rating`). Numbers that are money or quantities are text or whole numbers, never floats.

pub(crate) mod foreign;
pub mod node;
pub mod read;
pub mod setting;
pub mod tariff;
mod tiers;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::decimal::Decimal;
use crate::exact::Direction;
use node::Node;
use read::{Flaw, Reading, Table};
pub use setting::Settings;

/// One tier: `(previous up_to, up_to]`, the first from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tier {
    /// Last quantity that belongs to it; `None` for the last tier.
    pub up_to: Option<Decimal>,
    /// Price of each unit in it, or of each package where it has a size, in major units of the currency.
    pub unit_price: Decimal,
    /// Charged once when the quantity enters the tier, in major units.
    pub flat_price: Decimal,
    /// Units of a package, above 0, where the tier sells packages and not units.
    pub package_size: Option<Decimal>,
}

/// One tier of a graduated percentage, bounds as in [`Tier`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PercentTier {
    /// Last amount that belongs to it; `None` for the last tier.
    pub up_to: Option<Decimal>,
    /// Per cent of the amount that lies in it.
    pub percent: Decimal,
    /// Charged once when the amount enters the tier, in major units.
    pub flat_price: Decimal,
}

/// A percentage of an amount that the meter sums up, and what each event costs beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percentage {
    /// Per cent: 1.3 means 0.013 of the amount.
    pub percent: Decimal,
    /// Fee of each event that is not free, in major units.
    pub fixed_fee: Decimal,
    /// Least charge of an event that is not free, fee included.
    pub event_minimum: Option<Decimal>,
    /// Most charge of an event, fee included.
    pub event_maximum: Option<Decimal>,
    /// The first so many events are free; with `free_total` only as far as both allow.
    pub free_events: Option<u32>,
    /// The first so much of the amount is free.
    pub free_total: Option<Decimal>,
}

impl Percentage {
    /// Whether the sum of the amounts is not enough: each event is needed.
    #[must_use]
    pub fn needs_events(&self) -> bool {
        let fee = self.fixed_fee != Decimal::ZERO;
        let by_event = self.event_minimum.is_some() || self.event_maximum.is_some() || self.free_events.is_some();
        by_event || (fee && self.free_total.is_some())
    }
}

/// One cell of a matrix: the values of all dimensions, and the price there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// One value for each dimension, in their order.
    pub values: Vec<String>,
    /// In major units.
    pub unit_price: Decimal,
}

/// How a quantity becomes an amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PriceModel {
    /// A fixed amount for each period.
    Flat {
        /// In major units.
        amount: Decimal,
    },
    /// Every unit costs the same.
    PerUnit {
        /// In major units.
        unit_price: Decimal,
    },
    /// Each unit costs what its own tier says.
    Graduated {
        /// Tiers without gap, the last one open.
        tiers: Vec<Tier>,
    },
    /// All units cost what the tier of the whole quantity says.
    Volume {
        /// Tiers without gap, the last one open.
        tiers: Vec<Tier>,
    },
    /// Units are sold in packages.
    Package {
        /// Units of a package, above 0.
        package_size: Decimal,
        /// Price of a package, in major units.
        package_price: Decimal,
        /// Units before the first package.
        free_units: Decimal,
    },
    /// A percentage of an amount.
    Percentage(Percentage),
    /// A percentage by tiers of an amount.
    GraduatedPercentage {
        /// Tiers without gap, the last one open.
        tiers: Vec<PercentTier>,
    },
    /// A unit price for each combination of dimension values.
    Matrix {
        /// Names of the dimensions, as the meter's `group_by` has them.
        dimensions: Vec<String>,
        /// Prices.
        cells: Vec<Cell>,
        /// Price where no cell fits; none makes such usage an error.
        default_unit_price: Option<Decimal>,
    },
    /// Each event brings its price: the quantity, or the events' own amounts, times a factor.
    Dynamic {
        /// Factor, 1 where the price names none.
        multiplier: Decimal,
    },
}

impl PriceModel {
    /// The word in the catalog.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Flat { .. } => "flat",
            Self::PerUnit { .. } => "per_unit",
            Self::Graduated { .. } => "graduated",
            Self::Volume { .. } => "volume",
            Self::Package { .. } => "package",
            Self::Percentage(_) => "percentage",
            Self::GraduatedPercentage { .. } => "graduated_percentage",
            Self::Matrix { .. } => "matrix",
            Self::Dynamic { .. } => "dynamic",
        }
    }
}

/// Conversion of the metered unit into the priced one: the quantity times `multiply_by`, divided by `divide_by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convert {
    /// Divisor, above 0.
    pub divide_by: Decimal,
    /// Factor, above 0.
    pub multiply_by: Decimal,
}

/// Rounding of the quantity, before any price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundQuantity {
    /// Which way.
    pub direction: Direction,
    /// To a multiple of this, above 0.
    pub to_multiple_of: Decimal,
}

/// The steps around the model. One that is not there is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Steps {
    /// Into the unit that is priced.
    pub convert: Option<Convert>,
    /// To whole or other steps.
    pub round_quantity: Option<RoundQuantity>,
    /// Units taken off before any price: included units, a usage discount.
    pub included: Option<Decimal>,
    /// For how many periods included units that were not used carry over; none where they are lost.
    pub rollover_periods: Option<u32>,
    /// The line costs at least this, in major units.
    pub minimum: Option<Decimal>,
    /// The line costs at most this, in major units.
    pub maximum: Option<Decimal>,
    /// Taken off the line, per cent.
    pub discount_percent: Option<Decimal>,
}

/// One price: everything that turns usage into an amount, except the currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tariff {
    /// The model.
    pub model: PriceModel,
    /// The steps around it.
    pub steps: Steps,
    /// Where billing systems differ.
    pub settings: Settings,
}

impl Tariff {
    /// A model without steps, under the default settings.
    #[must_use]
    pub fn of(model: PriceModel) -> Self {
        Self { model, steps: Steps::default(), settings: Settings::default() }
    }

    /// Reads and checks a tree, such as JSON that was read into one.
    ///
    /// # Errors
    /// Every [`Flaw`].
    pub fn from_node(node: &Node) -> Result<Self, Vec<Flaw>> {
        let mut reading = Reading::default();
        let tariff = Table::of(node, "price", &mut reading).and_then(|mut table| {
            let tariff = tariff::tariff(&mut table, &mut reading);
            table.finish(&mut reading);
            tariff
        });
        match tariff {
            Some(tariff) if reading.flaws.is_empty() => Ok(tariff),
            _ => Err(reading.flaws),
        }
    }
}

impl<'de> Deserialize<'de> for Tariff {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(deserializer)?;
        Self::from_node(&node).map_err(|flaws| {
            let told: Vec<String> = flaws.iter().map(ToString::to_string).collect();
            serde::de::Error::custom(told.join("; "))
        })
    }
}

/// The conversions that have a name: the factor that divides.
#[must_use]
pub fn named_conversions() -> BTreeMap<&'static str, i64> {
    BTreeMap::from([
        ("bytes_to_kb", 1_000),
        ("bytes_to_mb", 1_000_000),
        ("bytes_to_gb", 1_000_000_000),
        ("bytes_to_tb", 1_000_000_000_000),
        ("bytes_to_kib", 1 << 10),
        ("bytes_to_mib", 1 << 20),
        ("bytes_to_gib", 1 << 30),
        ("bytes_to_tib", 1 << 40),
        ("ms_to_s", 1_000),
        ("s_to_min", 60),
        ("s_to_h", 3_600),
    ])
}

#[cfg(test)]
mod tests;
