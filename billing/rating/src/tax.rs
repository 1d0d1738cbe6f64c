//! Tax lines: from taxable amounts and their rates to printed tax. Tax is a line of its own, rounded once like any.

use std::cmp::Ordering;

pub use tollbook_schemas::catalog::tax::TaxMode;
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::{Currency, Money};

use super::percentage::part;
use super::{RatingError, rounded};

/// How many tax lines there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TaxLines {
    /// One for each rate.
    #[default]
    PerRate,
    /// One for each line.
    PerLine,
    /// One for the whole document, rounded once. As Lago's invoice.
    Total,
}

/// An amount and its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taxable {
    /// In major units.
    pub amount: Exact,
    /// Per cent.
    pub percent: Decimal,
}

/// One printed tax line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaxLine {
    /// Its rate; none where one line covers several.
    pub percent: Option<Decimal>,
    /// What it is computed of, in major units.
    pub base: Exact,
    /// The tax.
    pub tax: Money,
}

/// The tax of an amount, unrounded, in major units.
///
/// # Errors
/// [`RatingError::Overflow`].
pub fn exact_tax(taxable: Taxable, mode: TaxMode) -> Result<Exact, RatingError> {
    match mode {
        TaxMode::Exclusive => part(taxable.percent, taxable.amount),
        TaxMode::Inclusive => {
            let hundred_and_rate = Exact::whole(100).checked_add(taxable.percent.into())?;
            Ok(taxable.amount.checked_mul(taxable.percent.into())?.checked_div(hundred_and_rate)?)
        }
    }
}

/// The tax lines of a document, by rising rate or in the order of its lines.
///
/// # Errors
/// [`RatingError::Input`] for a rate below zero; [`RatingError::Overflow`], [`RatingError::Money`].
pub fn tax_lines(
    taxables: &[Taxable],
    mode: TaxMode,
    lines: TaxLines,
    currency: Currency,
) -> Result<Vec<TaxLine>, RatingError> {
    // (rate, base, exact tax)
    let mut groups: Vec<(Option<Decimal>, Exact, Exact)> = Vec::new();
    for taxable in taxables {
        if taxable.percent.is_negative() {
            let what = format!("tax rate {} is below zero", taxable.percent);
            return Err(RatingError::Input { what, mend: "use 0 or more per cent" });
        }
        let tax = exact_tax(*taxable, mode)?;
        let same = match lines {
            TaxLines::PerLine => None,
            TaxLines::PerRate => groups.iter_mut().find(|(percent, ..)| *percent == Some(taxable.percent)),
            TaxLines::Total => groups.first_mut(),
        };
        match same {
            Some((_, base, sum)) => {
                *base = base.checked_add(taxable.amount)?;
                *sum = sum.checked_add(tax)?;
            }
            None => {
                let percent = (lines != TaxLines::Total).then_some(taxable.percent);
                groups.push((percent, taxable.amount, tax));
            }
        }
    }
    if lines == TaxLines::PerRate {
        groups.sort_by(|(one, ..), (other, ..)| one.partial_cmp(other).unwrap_or(Ordering::Equal));
    }
    groups.into_iter().map(|(percent, base, tax)| Ok(TaxLine { percent, base, tax: rounded(tax, currency)? })).collect()
}
