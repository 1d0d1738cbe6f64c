//! Money as a customer sees it: an integer of Stripe's minor unit, with its currency.
//!
//! The exponent of a currency comes from the table here, not from ISO 4217, because Stripe's API differs from the
//! standard (ISK has two digits, of which the last two must be zero). A currency that the table does not name is
//! an error, never "two digits".

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::decimal::{Decimal, DecimalError, Exact, SCALE};
use crate::exact::Rounding;

/// Why an amount cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The currency is not in the table.
    #[error("currency {0:?} is not known; use an upper-case code such as EUR, USD or JPY")]
    UnknownCurrency(String),
    /// The currency is deliberately refused.
    #[error(
        "currency {0} is refused: sources disagree about its minor unit at Stripe, and a guess would be off by 100"
    )]
    RefusedCurrency(String),
    /// Two currencies in one sum.
    #[error("cannot add {0} to {1}")]
    MixedCurrencies(Currency, Currency),
    /// The sum does not fit 63 bits.
    #[error("the sum does not fit 63 bits of minor units")]
    Overflow,
    /// An amount of a fraction of the smallest unit.
    #[error("{0} {1} is no whole number of the smallest amounts that can be charged in it")]
    NotWhole(Decimal, Currency),
    /// The amount could not be rounded.
    #[error("the amount cannot be expressed in minor units")]
    Rounding(#[source] DecimalError),
}

/// Currencies without a minor unit at Stripe.
const ZERO_DIGITS: &str = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF";
/// Currencies with three digits, of which Stripe wants the last to be zero.
const THREE_DIGITS: &str = "BHD JOD KWD OMR TND";
/// Currencies with two digits.
const TWO_DIGITS: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD \
    CAD CDF CHF CNY COP CRC CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR \
    ILS INR ISK JMD KES KGS KHR KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD \
    NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD SAR SBD SCR SEK SGD SHP SLE SOS SRD SZL THB TJS TOP \
    TRY TTD TWD TZS UAH USD UYU UZS WST XCD YER ZAR ZMW";

/// A currency of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Currency {
    code: [u8; 3],
    exponent: u8,
    step: u8,
    rounding: Rounding,
}

impl Currency {
    /// Looks a code up.
    ///
    /// # Errors
    /// [`MoneyError::UnknownCurrency`], [`MoneyError::RefusedCurrency`].
    pub fn parse(code: &str) -> Result<Self, MoneyError> {
        // Codes of three letters, with one byte between.
        let listed = |list: &str| list.as_bytes().chunks(4).any(|known| known.get(..3) == Some(code.as_bytes()));
        let (exponent, step) = match code {
            "UGX" => return Err(MoneyError::RefusedCurrency(code.to_owned())),
            "ISK" => (2, 100),
            _ if listed(ZERO_DIGITS) => (0, 1),
            _ if listed(TWO_DIGITS) => (2, 1),
            _ if listed(THREE_DIGITS) => (3, 10),
            _ => return Err(MoneyError::UnknownCurrency(code.chars().take(12).collect())),
        };
        let code = code.as_bytes().try_into().map_err(|_| MoneyError::UnknownCurrency(code.to_owned()))?;
        Ok(Self { code, exponent, step, rounding: Rounding::HalfUp })
    }

    /// The currency as another system prints its amounts: with so many digits, up to 12, where they are not those of
    /// Stripe, and rounded so. For replaying that system only: nothing that is billed or stored comes from it.
    #[must_use]
    pub fn replayed(self, digits: Option<u32>, rounding: Rounding) -> Option<Self> {
        let (exponent, step) = match digits {
            None => (self.exponent, self.step),
            Some(digits) => (u8::try_from(digits).ok().filter(|_| digits <= SCALE)?, 1),
        };
        Some(Self { exponent, step, rounding, ..self })
    }

    /// A currency of another system that is none of ours (refused or unknown here, or credits of its own), with as many
    /// digits as it prints: for replaying that system only, like [`Currency::replayed`]. None for what is no code of
    /// three capital letters.
    #[must_use]
    pub fn foreign(code: &str, digits: u32, rounding: Rounding) -> Option<Self> {
        let code: [u8; 3] = code.as_bytes().try_into().ok()?;
        let is_code = code.iter().all(u8::is_ascii_uppercase);
        Self { code, exponent: 0, step: 1, rounding }.replayed(Some(digits), rounding).filter(|_| is_code)
    }

    /// The code in upper case.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.code).unwrap_or("???")
    }

    /// Digits of the minor unit at Stripe.
    #[must_use]
    pub fn exponent(self) -> u32 {
        u32::from(self.exponent)
    }

    /// How its amounts are rounded: half away from zero, but for a [replayed](Currency::replayed) one.
    #[must_use]
    pub fn rounding(self) -> Rounding {
        self.rounding
    }

    /// Amounts must be a multiple of this many minor units (1, but 100 for ISK and 10 for three-digit currencies).
    #[must_use]
    pub fn step_minor(self) -> i64 {
        i64::from(self.step)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;
    fn try_from(code: String) -> Result<Self, MoneyError> {
        Self::parse(&code)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// An amount in minor units of a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units; negative is a credit.
    pub minor: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// Nothing, in a currency.
    #[must_use]
    pub fn zero(currency: Currency) -> Self {
        Self { minor: 0, currency }
    }

    /// Rounds an exact amount of major units, half away from zero (but for a [replayed](Currency::replayed) currency):
    /// once for each printed line (I4).
    ///
    /// # Errors
    /// [`MoneyError::Rounding`] when it does not fit.
    pub fn round(exact: Exact, currency: Currency) -> Result<Self, MoneyError> {
        let (exponent, step) = (currency.exponent(), currency.step_minor());
        let minor = exact.round_to_minor_by(exponent, step, currency.rounding).map_err(MoneyError::Rounding)?;
        Ok(Self { minor, currency })
    }

    /// An amount of major units that is a whole number of the currency's steps: nothing is rounded.
    ///
    /// # Errors
    /// [`MoneyError::NotWhole`], [`MoneyError::Rounding`] when it does not fit.
    pub fn exact(amount: Decimal, currency: Currency) -> Result<Self, MoneyError> {
        let rounded = Self::round(Exact::from(amount), currency)?;
        if Exact::scaled(rounded.minor, currency.exponent()) == Exact::from(amount) {
            return Ok(rounded);
        }
        Err(MoneyError::NotWhole(amount, currency))
    }

    /// The amount alone, in major units, where the currency stands beside it: `12.34`, `-0.05`, `500`.
    #[must_use]
    pub fn amount_text(self) -> String {
        let unit = 10_u64.pow(self.currency.exponent());
        let magnitude = self.minor.unsigned_abs();
        let sign = if self.minor < 0 { "-" } else { "" };
        let digits = usize::from(self.currency.exponent);
        match digits {
            0 => format!("{sign}{magnitude}"),
            _ => format!("{sign}{}.{:0digits$}", magnitude / unit, magnitude % unit),
        }
    }

    /// Sum within one currency.
    ///
    /// # Errors
    /// [`MoneyError::MixedCurrencies`], [`MoneyError::Overflow`].
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::MixedCurrencies(other.currency, self.currency));
        }
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, currency: self.currency })
    }
}

impl fmt::Display for Money {
    /// `12.34 EUR`, `-0.05 USD`, `500 JPY`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} {}", self.amount_text(), self.currency.code()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_are_stripes_not_isos() {
        for (code, exponent, step) in
            [("EUR", 2, 1), ("JPY", 0, 1), ("KWD", 3, 10), ("ISK", 2, 100), ("XOF", 0, 1), ("HUF", 2, 1)]
        {
            let currency = Currency::parse(code).unwrap();
            assert_eq!((currency.exponent(), currency.step_minor()), (exponent, step), "{code}");
        }
        for bad in ["", "eur", "EURO", "XXX", "€"] {
            assert!(matches!(Currency::parse(bad), Err(MoneyError::UnknownCurrency(_))), "{bad:?}");
        }
        assert!(matches!(Currency::parse("UGX"), Err(MoneyError::RefusedCurrency(_))));
    }

    #[test]
    fn a_currency_of_another_system_is_what_it_says() {
        let amount = |code, digits| {
            let currency = Currency::foreign(code, digits, Rounding::Ceiling)?;
            Some(Money::round("-1.2345".parse().unwrap(), currency).unwrap().to_string())
        };
        assert_eq!(amount("UGX", 0).as_deref(), Some("-1 UGX"));
        assert_eq!(amount("UGX", 2).as_deref(), Some("-1.23 UGX"));
        assert_eq!(amount("TOK", 4).as_deref(), Some("-1.2345 TOK"));
        for (code, digits) in [("UGX", 13), ("ugx", 0), ("UG", 0), ("UGXX", 0), ("U1X", 0), ("€", 0)] {
            assert_eq!(amount(code, digits), None, "{code} {digits}");
        }
    }

    #[test]
    fn an_exact_amount_is_never_rounded() {
        for (text, code, minor) in [
            ("12.34", "EUR", Some(1234)),
            ("-12.3", "EUR", Some(-1230)),
            ("0.005", "EUR", None),
            ("5", "JPY", Some(5)),
            ("5.5", "JPY", None),
            ("2", "ISK", Some(200)),
            ("2.01", "ISK", None),
            ("1.23", "KWD", Some(1230)),
            ("1.234", "KWD", None),
            ("99999999999999999999", "EUR", None),
        ] {
            let found = Money::exact(text.parse().unwrap(), Currency::parse(code).unwrap());
            assert_eq!(found.ok().map(|money| money.minor), minor, "{text} {code}");
        }
    }

    #[test]
    fn money_prints_and_adds_within_a_currency() {
        let eur = Currency::parse("EUR").unwrap();
        let jpy = Currency::parse("JPY").unwrap();
        assert_eq!(Money { minor: -5, currency: eur }.to_string(), "-0.05 EUR");
        assert_eq!(Money { minor: 123_456, currency: eur }.to_string(), "1234.56 EUR");
        assert_eq!(Money { minor: 500, currency: jpy }.to_string(), "500 JPY");
        assert!(Money::zero(eur).checked_add(Money::zero(jpy)).is_err());
        let most = Money { minor: i64::MAX, currency: eur };
        assert_eq!(most.checked_add(Money { minor: 1, currency: eur }), Err(MoneyError::Overflow));
    }
}
