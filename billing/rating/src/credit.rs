//! Prepaid credits: which credit pays which line.
//!
//! Credits are used up one after the other: the smaller `priority` first, then the one that expires sooner (one that
//! never does last), then in input order. Lines are paid in their order. A credit that has expired pays nothing.

use tollbook_schemas::money::{Currency, Money};

use super::RatingError;
use super::split::minus;

/// A credit and what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// Left.
    pub amount: Money,
    /// First instant, in microseconds UTC, at which it cannot be used any more.
    pub expires_at_us: Option<i64>,
    /// Smaller is used first.
    pub priority: i64,
}

/// One use of a credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// Index of the credit.
    pub credit: usize,
    /// Index of the line.
    pub line: usize,
    /// How much of it.
    pub amount: Money,
}

/// What the credits paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawdown {
    /// Each use, in order.
    pub draws: Vec<Draw>,
    /// What is left to pay of each line.
    pub due: Vec<Money>,
    /// What is left of each credit.
    pub left: Vec<Money>,
}

/// Pays lines with credits at an instant (microseconds UTC). Lines of zero or less are left alone.
///
/// # Errors
/// [`RatingError::Input`] for a negative credit; [`RatingError::Money`] for another currency.
pub fn draw(credits: &[Credit], lines: &[Money], at_us: i64, currency: Currency) -> Result<Drawdown, RatingError> {
    draw_where(credits, lines, at_us, currency, |_, _| true)
}

/// The same where not every credit pays every line; both are told by their index. For replaying other systems only.
pub(crate) fn draw_where(
    credits: &[Credit],
    lines: &[Money],
    at_us: i64,
    currency: Currency,
    may_pay: impl Fn(usize, usize) -> bool,
) -> Result<Drawdown, RatingError> {
    let mut order: Vec<usize> = (0..credits.len()).collect();
    order.sort_by_key(|index| {
        let credit = &credits[*index];
        (credit.priority, credit.expires_at_us.is_none(), credit.expires_at_us, *index)
    });
    let mut left: Vec<Money> = credits.iter().map(|credit| credit.amount).collect();
    let mut due = lines.to_vec();
    let mut draws = Vec::new();
    for credit in order {
        if left[credit].minor < 0 {
            let what = format!("a credit of {} is below zero", left[credit]);
            return Err(RatingError::Input { what, mend: "give what is left of it, 0 or more" });
        }
        if credits[credit].expires_at_us.is_some_and(|expires_at_us| expires_at_us <= at_us) {
            continue;
        }
        for (line, due) in due.iter_mut().enumerate() {
            let minor = left[credit].minor.min(due.minor);
            if minor <= 0 || !may_pay(credit, line) {
                continue;
            }
            let amount = Money { minor, currency };
            *due = minus(*due, amount)?;
            left[credit] = minus(left[credit], amount)?;
            draws.push(Draw { credit, line, amount });
        }
    }
    Ok(Drawdown { draws, due, left })
}
