//! What a request counts for, by the simulator's own arithmetic: quantities are integers of millionths.
//!
//! Takes the facts of one successful request, keeps one running quantity for each meter and product. Deliberately
//! naive: a few additions and a set of users, no decimal type, no SQL.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Serialize, Serializer};

/// Products of the demo's catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Product {
    Maps,
    Routing,
    Llm,
    Unmapped,
}

impl Product {
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Maps => "maps",
            Self::Routing => "routing",
            Self::Llm => "llm",
            Self::Unmapped => "unmapped",
        }
    }
}

/// Meters of the demo's catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Meter {
    MapCalls,
    MapBytes,
    RoutingCalls,
    LlmTokens,
    LlmUsers,
    AllCalls,
}

impl Meter {
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::MapCalls => "map-calls",
            Self::MapBytes => "map-bytes",
            Self::RoutingCalls => "routing-calls",
            Self::LlmTokens => "llm-tokens",
            Self::LlmUsers => "llm-users",
            Self::AllCalls => "all-calls",
        }
    }
}

/// An exact quantity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    /// In millionths of the meter's unit: the demo's traffic has at most six digits after the point.
    pub millionths: i128,
}

impl Quantity {
    /// A whole number.
    #[must_use]
    pub fn whole(number: u64) -> Self {
        Self { millionths: i128::from(number) * 1_000_000 }
    }
}

impl Quantity {
    /// What is left of it without another.
    pub(crate) fn minus(self, other: Self) -> Self {
        Self { millionths: self.millionths - other.millionths }
    }
}

impl fmt::Display for Quantity {
    /// Without trailing zeros: `12`, `12.5`, `0.000125`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, magnitude) = (if self.millionths < 0 { "-" } else { "" }, self.millionths.unsigned_abs());
        let fraction = format!("{:06}", magnitude % 1_000_000);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        f.pad(&format!("{sign}{}{point}{fraction}", magnitude / 1_000_000))
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What the ledger has to know of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    pub product: Product,
    pub status: u16,
    pub response_bytes: Option<u64>,
    pub tokens_millionths: Option<u64>,
    pub user: Option<u64>,
}

impl Facts {
    /// Whether the request succeeded: only such count.
    pub(crate) fn succeeded(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Running quantities.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    sums: BTreeMap<(Meter, Product), Quantity>,
    users: BTreeSet<u64>,
}

impl Tally {
    /// Counts a request, once.
    pub(crate) fn count(&mut self, facts: &Facts) {
        if !facts.succeeded() {
            return;
        }
        self.add(Meter::AllCalls, facts.product, Quantity::whole(1));
        match facts.product {
            Product::Maps => {
                self.add(Meter::MapCalls, Product::Maps, Quantity::whole(1));
                if let Some(bytes) = facts.response_bytes {
                    self.add(Meter::MapBytes, Product::Maps, Quantity::whole(bytes));
                }
            }
            Product::Routing => self.add(Meter::RoutingCalls, Product::Routing, Quantity::whole(1)),
            Product::Llm => {
                if let Some(tokens) = facts.tokens_millionths {
                    self.add(Meter::LlmTokens, Product::Llm, Quantity { millionths: i128::from(tokens) });
                }
                self.users.extend(facts.user);
            }
            Product::Unmapped => {}
        }
    }

    /// Takes back a request that was counted. It must have no user: another request may have had the same.
    pub(crate) fn take_back(&mut self, facts: &Facts) {
        let mut one = Self::default();
        one.count(facts);
        for (key, quantity) in one.sums {
            self.sums.entry(key).or_default().millionths -= quantity.millionths;
        }
    }

    fn add(&mut self, meter: Meter, product: Product, quantity: Quantity) {
        self.sums.entry((meter, product)).or_default().millionths += quantity.millionths;
    }

    /// Every quantity that something counted for.
    pub(crate) fn quantities(&self) -> BTreeMap<(Meter, Product), Quantity> {
        let mut all = self.sums.clone();
        if !self.users.is_empty() {
            all.insert((Meter::LlmUsers, Product::Llm), Quantity::whole(self.users.iter().map(|_| 1).sum()));
        }
        all
    }

    /// The total of a meter over all products.
    pub(crate) fn total(&self, meter: Meter) -> Quantity {
        let of_meter = self.quantities().into_iter().filter(|((other, _), _)| *other == meter);
        Quantity { millionths: of_meter.map(|(_, quantity)| quantity.millionths).sum() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_print_like_decimals() {
        for (millionths, text) in [
            (0, "0"),
            (1, "0.000001"),
            (12_500_000, "12.5"),
            (-125, "-0.000125"),
            (7_000_000, "7"),
            (1_000_500_000_000, "1000500"),
        ] {
            assert_eq!(Quantity { millionths }.to_string(), text);
            assert_eq!(text.parse::<tollbook_schemas::decimal::Decimal>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn only_success_counts_and_users_count_once() {
        let llm = Facts {
            product: Product::Llm,
            status: 200,
            response_bytes: None,
            tokens_millionths: Some(5),
            user: Some(1),
        };
        let mut tally = Tally::default();
        for facts in [
            llm,
            llm,
            Facts { status: 500, user: Some(2), ..llm },
            Facts { status: 204, user: Some(3), ..llm },
            Facts { status: 300, ..llm },
            Facts { product: Product::Maps, response_bytes: Some(10), ..llm },
            Facts { product: Product::Maps, response_bytes: None, ..llm },
            Facts { product: Product::Unmapped, response_bytes: Some(10), ..llm },
        ] {
            tally.count(&facts);
        }
        let total = |meter| tally.total(meter).to_string();
        assert_eq!(total(Meter::LlmTokens), "0.000015");
        assert_eq!(total(Meter::LlmUsers), "2");
        assert_eq!((total(Meter::MapCalls), total(Meter::MapBytes)), ("2".into(), "10".into()));
        assert_eq!((total(Meter::AllCalls), total(Meter::RoutingCalls)), ("6".into(), "0".into()));
        assert_eq!(tally.quantities()[&(Meter::AllCalls, Product::Llm)].to_string(), "3");
        assert!(!tally.quantities().contains_key(&(Meter::RoutingCalls, Product::Routing)));
    }
}
