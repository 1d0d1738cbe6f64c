//! What a product and a plan promise beside the price. Plain data: tollbook bills by none of it, and enforces none.

use crate::decimal::Decimal;
use crate::id::{MeterId, ProductId};

/// Where a product can be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// The product whose requests are those of the sandbox.
    pub product: ProductId,
    /// What must have been called there before production, such as `GET /maps/tiles/`.
    pub required_endpoints: Vec<String>,
}

/// How fast a partner may call: for the gateway, which enforces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests in each window.
    pub requests: u32,
    /// The window.
    pub per: RateWindow,
}

/// The window of a rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateWindow {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
}

impl RateWindow {
    /// The words in the file.
    pub const WORDS: &[&str] = &["s", "min", "h", "day"];
    const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let at = Self::WORDS.iter().position(|known| *known == word)?;
        Self::ALL.get(at).copied()
    }

    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "min",
            Self::Hour => "h",
            Self::Day => "day",
        }
    }
}

/// How much of a meter a partner may use in a month: for the gateway or portal, which enforces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// The meter.
    pub meter: MeterId,
    /// Quantity, in the meter's unit.
    pub per_month: Decimal,
}
