//! Exact amounts as text, and the one way from there into a chart.

use tollbook_schemas::decimal::{Decimal, DecimalError};
use tollbook_schemas::money::{Currency, Money};

/// A decimal with at least `digits` digits after the point: `1200` is `1200.00`, `0.125` stays.
pub(crate) fn padded(decimal: Decimal, digits: usize) -> String {
    let text = decimal.to_string();
    if digits == 0 {
        return text;
    }
    match text.split_once('.') {
        None => format!("{text}.{:0<digits$}", ""),
        Some((whole, fraction)) => format!("{whole}.{fraction:0<digits$}"),
    }
}

/// An amount in major units with its currency: `1200.00 EUR`.
pub(crate) fn in_currency(decimal: Decimal, currency: Currency) -> String {
    format!("{} {currency}", padded(decimal, usize::try_from(currency.exponent()).unwrap_or(0)))
}

/// Money in major units.
pub(crate) fn major(money: Money) -> Result<Decimal, DecimalError> {
    // 12 digits after the point hold every minor unit there is.
    let scale = 10_i128.pow(12_u32.saturating_sub(money.currency.exponent()));
    Decimal::from_unscaled(i128::from(money.minor) * scale)
}

/// Where an exact figure lies in a chart: the only use of floating point, never printed.
pub(crate) fn coordinate(decimal: Decimal) -> f64 {
    decimal.to_string().parse().unwrap_or(0.0)
}

/// Seconds as days with one decimal, cut: `3.2 days`.
pub(crate) fn days(seconds: i64) -> String {
    format!("{}.{} days", seconds / 86_400, seconds % 86_400 * 10 / 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_digits_of_their_currency() {
        for (amount, code, printed) in [
            ("1200", "EUR", "1200.00 EUR"),
            ("0.5", "USD", "0.50 USD"),
            ("-0.125", "USD", "-0.125 USD"),
            ("5000", "JPY", "5000 JPY"),
            ("1", "KWD", "1.000 KWD"),
        ] {
            assert_eq!(in_currency(amount.parse().unwrap(), Currency::parse(code).unwrap()), printed);
        }
    }

    #[test]
    fn money_becomes_major_units() {
        for (minor, code, expected) in [(9_917, "EUR", "99.17"), (500, "JPY", "500"), (-5, "USD", "-0.05")] {
            let money = Money { minor, currency: Currency::parse(code).unwrap() };
            assert_eq!(major(money).unwrap().to_string(), expected);
        }
        assert_eq!(days(347_980), "4.0 days");
    }
}
