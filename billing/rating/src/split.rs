//! Usage that is billed in more than one go: splits of a period, late usage, corrections of past periods, thresholds.
//!
//! One rule for all: what is due now is what the whole costs now, rounded, less what it cost before, rounded. So the
//! splits of a period add up to the period's price, whatever their number, and a residual below a minor unit is carried
//! by the next difference.

use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::{Currency, Money};

use super::replay::Book;
use super::working::{Component, Priced};
use super::{RatingError, Usage, price, rounded};

/// A difference between two states of one price's usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// What is due now; negative is a credit. Zero makes no line.
    pub amount: Money,
    /// What was priced before.
    pub billable_before: Exact,
    /// What is priced beyond that.
    pub billable: Exact,
    /// Exact differences, component by component; those without one are left out. Their sum is not rounded: it differs
    /// from `amount` by the roundings of the two states.
    pub components: Vec<Component>,
}

fn difference(book: Book<'_>, before: &Priced, now: &Priced, currency: Currency) -> Result<Delta, RatingError> {
    let amount = if book.replay.is_difference_rounded {
        rounded(now.sum()?.checked_sub(before.sum()?)?, currency)?
    } else {
        minus(rounded(now.sum()?, currency)?, rounded(before.sum()?, currency)?)?
    };
    let same = |one: &Component, two: &Component| one.name == two.name && one.tier == two.tier;
    let mut components = Vec::new();
    for component in &now.components {
        let old = before.components.iter().find(|old| same(old, component));
        let (exact, quantity) = match old {
            None => (component.exact, component.quantity),
            Some(old) => {
                let quantity = match (component.quantity, old.quantity) {
                    (Some(now), Some(before)) => Some(now.checked_sub(before)?),
                    (now, _) => now,
                };
                (component.exact.checked_sub(old.exact)?, quantity)
            }
        };
        components.push(Component { exact, quantity, ..component.clone() });
    }
    for old in &before.components {
        if !now.components.iter().any(|component| same(component, old)) {
            let quantity = old.quantity.map(|quantity| Exact::ZERO.checked_sub(quantity)).transpose()?;
            components.push(Component { exact: Exact::ZERO.checked_sub(old.exact)?, quantity, ..old.clone() });
        }
    }
    components.retain(|component| !component.exact.is_zero());
    let billable = now.billable.checked_sub(before.billable)?;
    Ok(Delta { amount, billable_before: before.billable, billable, components })
}

pub(crate) fn minus(one: Money, other: Money) -> Result<Money, RatingError> {
    let currency = one.currency;
    let money = |source| RatingError::Money { currency, source };
    let minor = other.minor.checked_neg().ok_or(tollbook_schemas::money::MoneyError::Overflow).map_err(money)?;
    one.checked_add(Money { minor, currency: other.currency }).map_err(money)
}

/// One split of a period: `before` is the usage up to the split before (none for the first), `now` the usage up to this
/// one. The minimum, and a volume price that is held, are due at the last split only.
///
/// # Errors
/// [`RatingError`].
pub fn rate_split<'a>(
    book: impl Into<Book<'a>>,
    before: Option<&Usage>,
    now: &Usage,
    is_last: bool,
    currency: Currency,
) -> Result<Delta, RatingError> {
    let book = book.into();
    let now = in_pieces(before, now)?;
    let before = match before {
        None => Priced::nothing(Exact::ZERO),
        Some(before) => price(book, before, false)?,
    };
    difference(book, &before, &price(book, &now, is_last)?, currency)
}

/// The usage up to a split, with its pieces: those up to the split before, and what came since. So it is the same
/// whether a split is told by what it adds or by the sum so far, where each split is rounded alone. Usage that has its
/// pieces keeps them; without a split before, it is one.
fn in_pieces(before: Option<&Usage>, now: &Usage) -> Result<Usage, RatingError> {
    let pieces = match before {
        _ if !now.pieces.is_empty() => now.pieces.clone(),
        None => vec![now.quantity],
        Some(before) => {
            let mut pieces = before.pieces.clone();
            if pieces.is_empty() {
                pieces.push(before.quantity);
            }
            pieces.push(now.quantity.checked_sub(before.quantity)?);
            pieces
        }
    };
    Ok(Usage { pieces, ..now.clone() })
}

/// Late or corrected usage of a period that was billed to its end: rate(now) − rate(billed).
///
/// # Errors
/// [`RatingError`].
pub fn delta<'a>(
    book: impl Into<Book<'a>>,
    billed: &Usage,
    now: &Usage,
    currency: Currency,
) -> Result<Delta, RatingError> {
    let book = book.into();
    difference(book, &price(book, billed, true)?, &price(book, now, true)?, currency)
}

/// What each part of a period costs, from the cumulative usage at the end of each part.
///
/// # Errors
/// [`RatingError`].
pub fn parts<'a>(
    book: impl Into<Book<'a>>,
    cumulative: &[Usage],
    is_last: bool,
    currency: Currency,
) -> Result<Vec<Money>, RatingError> {
    let book = book.into();
    let mut before: Option<Usage> = None;
    let mut parts = Vec::new();
    for (index, now) in cumulative.iter().enumerate() {
        let is_end = is_last && index + 1 == cumulative.len();
        let now = in_pieces(before.as_ref(), now)?;
        parts.push(rate_split(book, before.as_ref(), &now, is_end, currency)?.amount);
        before = Some(now);
    }
    Ok(parts)
}

/// Corrections that stay in their own part of the period: what each part costs now, less what it cost when the run
/// before billed it. Both are cumulative usage at the end of each part, as known to the respective run. A part that the
/// run before did not know yet is due in full; one that it billed cannot go away, but its usage can be 0.
///
/// # Errors
/// [`RatingError`]; [`RatingError::Input`] where more parts were billed than there are now.
pub fn corrections<'a>(
    book: impl Into<Book<'a>>,
    billed: &[Usage],
    now: &[Usage],
    is_last: bool,
    currency: Currency,
) -> Result<Vec<Money>, RatingError> {
    // A part that was billed and has no counterpart would stay billed without a word.
    if billed.len() > now.len() {
        let what = format!("{} parts were billed, and {} are given now", billed.len(), now.len());
        let mend = "give every part that was billed; one without usage has the quantity of the part before it";
        return Err(RatingError::Input { what, mend });
    }
    let book = book.into();
    let billed = parts(book, billed, false, currency)?;
    let mut corrections = parts(book, now, is_last, currency)?;
    for (now, before) in corrections.iter_mut().zip(billed) {
        *now = minus(*now, before)?;
    }
    Ok(corrections)
}

/// Progressive billing: what is due when usage reached `now` and `billed` was billed. Before the end of the period
/// nothing is, until the price passes a threshold that the bills so far did not; then all of it is. Above the largest
/// of them there may be one again after each `recurring` amount.
///
/// # Errors
/// [`RatingError::Money`].
pub fn due_by_threshold(
    thresholds: &[Money],
    recurring: Option<Money>,
    billed: Money,
    now: Money,
    is_last: bool,
) -> Result<Option<Money>, RatingError> {
    let passed = |threshold: &Money| billed.minor < threshold.minor && threshold.minor <= now.minor;
    let largest = thresholds.iter().map(|threshold| threshold.minor).max().unwrap_or(0);
    // How many of the recurring ones lie below an amount.
    let below = |amount: Money, step: i64| amount.minor.saturating_sub(largest).max(0).checked_div(step).unwrap_or(0);
    let recurs = recurring.is_some_and(|step| below(billed, step.minor) < below(now, step.minor));
    if is_last || recurs || thresholds.iter().any(passed) { minus(now, billed).map(Some) } else { Ok(None) }
}
