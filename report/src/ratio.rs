//! Return on investment, exactly: integers all the way, cut to two decimals at the end.
//!
//! Takes what came in and what was spent in one currency, gives a percentage or the reason why there is none. A side
//! that nobody measured is "not instrumented"; it is never taken for zero.

use serde::{Serialize, Serializer};
use tollbook_schemas::decimal::Decimal;

/// A percentage, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roi {
    /// (revenue − cost) / cost in percent, cut (not rounded) to two decimals.
    Percent(Decimal),
    /// No invoice was issued in this currency and span.
    NoRevenue,
    /// No cost was recorded in this currency and span.
    NoCost,
    /// Neither.
    Nothing,
    /// Both sides are known, but never of the same month.
    NoMonthWithBoth,
    /// The recorded costs add up to zero or less, so nothing can be divided by them.
    CostNotPositive,
    /// The figures are too large to be divided exactly.
    TooLarge,
}

impl Roi {
    /// As printed.
    #[must_use]
    pub fn printed(&self) -> String {
        match self {
            Self::Percent(percent) => format!("{} %", two_decimals(*percent)),
            Self::NoRevenue => "not instrumented: no issued invoice".to_owned(),
            Self::NoCost => "not instrumented: no cost.recorded event".to_owned(),
            Self::Nothing => "not instrumented: neither invoice nor cost".to_owned(),
            Self::NoMonthWithBoth => "undefined: no month has both sides".to_owned(),
            Self::CostNotPositive => "undefined: costs add up to zero or less".to_owned(),
            Self::TooLarge => "undefined: too large to be exact".to_owned(),
        }
    }
}

impl Serialize for Roi {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Percent(percent) => serializer.serialize_str(&two_decimals(*percent)),
            other => serializer.serialize_str(&other.printed()),
        }
    }
}

/// (revenue − cost) / cost in percent, cut to two decimals toward zero.
#[must_use]
pub fn roi_of(revenue: Option<Decimal>, cost: Option<Decimal>) -> Roi {
    let (revenue, cost) = match (revenue, cost) {
        (Some(revenue), Some(cost)) => (revenue.unscaled(), cost.unscaled()),
        (None, Some(_)) => return Roi::NoRevenue,
        (Some(_), None) => return Roi::NoCost,
        (None, None) => return Roi::Nothing,
    };
    if cost <= 0 {
        return Roi::CostNotPositive;
    }
    // Both have the same scale, so it cancels: hundredths of a percent are a whole number after one cut.
    let hundredths = revenue.checked_sub(cost).and_then(|gain| gain.checked_mul(10_000)).map(|gain| gain / cost);
    let percent = hundredths.and_then(|hundredths| hundredths.checked_mul(10_000_000_000));
    percent.and_then(|unscaled| Decimal::from_unscaled(unscaled).ok()).map_or(Roi::TooLarge, Roi::Percent)
}

/// With exactly two decimals where it has no more.
fn two_decimals(percent: Decimal) -> String {
    crate::amount::padded(percent, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_exact_and_cut() {
        for (revenue, cost, printed) in [
            ("150", "100", "50.00 %"),
            ("100", "100", "0.00 %"),
            ("0", "100", "-100.00 %"),
            // A third, cut toward zero on both sides of it: 33.33… and -66.66…
            ("4", "3", "33.33 %"),
            ("1", "3", "-66.66 %"),
            ("2", "3", "-33.33 %"),
            // 0.009… % is cut to nothing; floating point or rounding would show 0.01.
            ("100.0099", "100", "0.00 %"),
            ("100.01", "100", "0.01 %"),
            ("1234567.89", "0.01", "12345678800.00 %"),
            // Not exact in binary: 0.3 / 0.1.
            ("0.3", "0.1", "200.00 %"),
            ("92233720368547758.07", "0.000000000001", "undefined: too large to be exact"),
            ("10", "0", "undefined: costs add up to zero or less"),
            ("10", "-5", "undefined: costs add up to zero or less"),
            ("-", "10", "not instrumented: no issued invoice"),
            ("10", "-", "not instrumented: no cost.recorded event"),
            ("-", "-", "not instrumented: neither invoice nor cost"),
        ] {
            let side = |text: &str| text.parse::<Decimal>().ok();
            assert_eq!(roi_of(side(revenue), side(cost)).printed(), printed, "{revenue} over {cost}");
        }
    }
}
