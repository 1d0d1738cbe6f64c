//! How an amount came about, as a line prints it. Pure data, in the form of a document.

use serde::Serialize;

use crate::number::Ratio;

/// One tier of a graduated price, as printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TierWorking {
    pub(super) exact: String,
    pub(super) flat_price: String,
    pub(super) from: String,
    pub(super) quantity: String,
    pub(super) unit_price: String,
    pub(super) up_to: Option<String>,
}

/// One part of a sum, as printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartWorking {
    pub(super) exact: String,
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) quantity: Option<String>,
}

/// How an amount came about, as printed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Working {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) billable: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) components: Vec<PartWorking>,
    pub(super) exact: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tiers: Vec<TierWorking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unit_price: Option<String>,
}

impl Working {
    /// Of what no price makes: the sum alone.
    pub(crate) fn of_exact(exact: &Ratio) -> Self {
        Self { exact: exact.text(), ..Self::default() }
    }

    /// Of a sum that is told by its parts.
    pub(crate) fn of_sum(exact: &Ratio, parts: Vec<(String, Ratio)>) -> Self {
        let part = |(name, exact): (String, Ratio)| PartWorking { exact: exact.text(), name, quantity: None };
        Self { components: parts.into_iter().map(part).collect(), ..Self::of_exact(exact) }
    }

    /// Of parts with their quantities.
    pub(crate) fn of_parts(exact: &Ratio, parts: Vec<(String, Ratio, Ratio)>) -> Self {
        let part = |(name, quantity, exact): (String, Ratio, Ratio)| PartWorking {
            exact: exact.text(),
            name,
            quantity: Some(quantity.text()),
        };
        Self { components: parts.into_iter().map(part).collect(), ..Self::of_exact(exact) }
    }
}
