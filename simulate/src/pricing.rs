//! The simulator's own prices and arithmetic: what each plan must charge for June.
//!
//! Takes quantities in millionths, gives printed lines in minor units. Prices are integers of 10^-12 of the major
//! unit, so a product is an integer of 10^-18 and nothing is rounded before the line is. It repeats what
//! `catalog/plans.toml` says on purpose (a test compares them): the ledger must not learn prices from the parser
//! that it checks.

use serde::Serialize;

use crate::calendar::{BERLIN, NEW_YORK, Zone};
use crate::metering::{Meter, Quantity};

/// One tier: from where the one before ends (0 for the first), up to and including `up_to` millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tier {
    pub up_to: Option<i128>,
    pub unit: i128,
    pub flat: i128,
}

/// How a price charges; amounts in 10^-12.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charge {
    Flat(i128),
    PerUnit(Meter, i128),
    Graduated(Meter, &'static [Tier]),
}

/// A plan as the ledger knows it: the version that prices June.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub id: &'static str,
    pub currency: &'static str,
    /// Digits of the minor unit.
    pub digits: u32,
    /// Zone of its issuer: months are cut there where the subscription names no zone.
    pub issuer_zone: Zone,
    pub prices: &'static [(&'static str, Charge)],
}

impl Plan {
    /// The plan whose prices a customer reads beside its own.
    pub(crate) fn shadow(&'static self) -> Option<&'static Self> {
        (*self == STARTER).then_some(&PRO)
    }

    /// The version that prices July.
    pub(crate) fn in_july(&'static self) -> &'static Self {
        if *self == PRO { &PRO_IN_JULY } else { self }
    }
}

/// One major unit.
const ONE: i128 = 1_000_000_000_000;
const CENT: i128 = ONE / 100;
/// A millionth of a unit.
const MICRO: i128 = 1_000_000;

const fn tier(up_to: i128, unit: i128, flat: i128) -> Tier {
    Tier { up_to: Some(up_to * MICRO), unit, flat }
}

const fn last(unit: i128, flat: i128) -> Tier {
    Tier { up_to: None, unit, flat }
}

pub(crate) static STARTER: Plan =
    Plan { id: "starter", currency: "USD", digits: 2, issuer_zone: NEW_YORK, prices: &[("base", Charge::Flat(0))] };

pub(crate) static PRO: Plan = Plan {
    id: "pro",
    currency: "EUR",
    digits: 2,
    issuer_zone: BERLIN,
    prices: &[
        ("base", Charge::Flat(49 * ONE)),
        (
            "map-calls",
            Charge::Graduated(
                Meter::MapCalls,
                &[tier(1000, 0, 0), tier(10_000, 2 * ONE / 1000, 0), last(ONE / 1000, 0)],
            ),
        ),
        ("routing-calls", Charge::PerUnit(Meter::RoutingCalls, CENT / 2)),
    ],
};

/// The version of [`PRO`] that prices July.
static PRO_IN_JULY: Plan = Plan {
    id: "pro",
    currency: "EUR",
    digits: 2,
    issuer_zone: BERLIN,
    prices: &[
        ("base", Charge::Flat(59 * ONE)),
        ("map-calls", Charge::PerUnit(Meter::MapCalls, 15 * ONE / 10_000)),
        ("routing-calls", Charge::PerUnit(Meter::RoutingCalls, 4 * ONE / 1000)),
    ],
};

pub(crate) static SCALE: Plan = Plan {
    id: "scale",
    currency: "EUR",
    digits: 2,
    issuer_zone: BERLIN,
    prices: &[
        (
            "map-calls",
            Charge::Graduated(
                Meter::MapCalls,
                &[tier(500, 0, 99 * ONE), tier(20_000, 15 * ONE / 10_000, 10 * ONE), last(9 * ONE / 10_000, 50 * ONE)],
            ),
        ),
        ("map-bytes", Charge::PerUnit(Meter::MapBytes, 12_000)),
        ("routing-calls", Charge::PerUnit(Meter::RoutingCalls, 31 * ONE / 10_000)),
    ],
};

pub(crate) static LLM: Plan = Plan {
    id: "llm",
    currency: "USD",
    digits: 2,
    issuer_zone: NEW_YORK,
    prices: &[
        ("base", Charge::Flat(19 * ONE)),
        ("tokens", Charge::PerUnit(Meter::LlmTokens, 125_000_000)),
        ("users", Charge::Graduated(Meter::LlmUsers, &[tier(5, 0, 0), tier(50, ONE / 2, 0), last(ONE / 4, 2 * ONE)])),
    ],
};

pub(crate) static NIPPON: Plan = Plan {
    id: "nippon",
    currency: "JPY",
    digits: 0,
    issuer_zone: BERLIN,
    prices: &[
        ("base", Charge::Flat(5000 * ONE)),
        ("calls", Charge::PerUnit(Meter::AllCalls, 35 * CENT)),
        (
            "tokens",
            Charge::Graduated(
                Meter::LlmTokens,
                &[Tier { up_to: Some(1_000_500_000), unit: 0, flat: 0 }, last(2 * CENT, 0)],
            ),
        ),
    ],
};

/// A line that the invoice must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExpectedLine {
    /// Price of the plan.
    pub price_id: String,
    /// Quantity; 1 for a flat price.
    pub quantity: Quantity,
    /// Amount in minor units.
    pub amount_minor: i128,
}

/// The lines of a plan for the total of each meter, in the plan's order.
pub(crate) fn lines(plan: &Plan, total: impl Fn(Meter) -> Quantity) -> Vec<ExpectedLine> {
    let line = |(price_id, charge): &(&str, Charge)| {
        let quantity = match charge {
            Charge::Flat(_) => Quantity::whole(1),
            Charge::PerUnit(meter, _) | Charge::Graduated(meter, _) => total(*meter),
        };
        let amount_minor = round(amount(charge, quantity), plan.digits);
        ExpectedLine { price_id: (*price_id).to_owned(), quantity, amount_minor }
    };
    plan.prices.iter().map(line).collect()
}

/// The lines by which a month differs from what was billed for it: amount and quantity are now − billed.
pub(crate) fn differences(now: &[ExpectedLine], billed: &[ExpectedLine], month: &str) -> Vec<ExpectedLine> {
    let difference = |(now, billed): (&ExpectedLine, &ExpectedLine)| ExpectedLine {
        price_id: format!("{}@{month}", now.price_id),
        quantity: now.quantity.minus(billed.quantity),
        amount_minor: now.amount_minor - billed.amount_minor,
    };
    let lines = now.iter().zip(billed).map(difference);
    lines.filter(|line| line.amount_minor != 0 || line.quantity != Quantity::default()).collect()
}

/// The exact amount, in 10^-18 of the major unit.
fn amount(charge: &Charge, quantity: Quantity) -> i128 {
    match charge {
        Charge::Flat(flat) => flat * MICRO,
        Charge::PerUnit(_, unit) => unit * quantity.millionths,
        Charge::Graduated(_, tiers) => {
            let (mut sum, mut from) = (0, 0);
            for (at, tier) in tiers.iter().enumerate() {
                if quantity.millionths <= from && at > 0 {
                    break;
                }
                let to = tier.up_to.map_or(quantity.millionths, |up_to| up_to.min(quantity.millionths));
                sum += tier.flat * MICRO + tier.unit * (to - from);
                from = to;
            }
            sum
        }
    }
}

/// Rounds 10^-18 to minor units. A half goes up, which for amounts of at least zero is away from zero.
fn round(amount: i128, digits: u32) -> i128 {
    let minor = 10_i128.pow(18 - digits);
    (amount + minor / 2) / minor
}

#[cfg(test)]
mod tests;
