//! Several periods of one price, one after the other: each is billed alone, and gives what it left of its included
//! units to the ones after it, as far as `rollover_periods` says. A period uses first what expires first, then its own.
//! What is charged once is charged with the first one.

use serde_json::{Map, Value as Json, json};
use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::price::setting::Charged;

use super::job::{fitted, whole};
use super::{Failure, plain, totals};
use crate::steps::allowance;
use crate::{Book, RatingError, Usage};

/// What one period left.
struct Left {
    /// The last period that may use it, by its place.
    last: usize,
    units: Exact,
}

/// Answers each period with a line of its own, and all of them in total.
pub(super) fn periods_of(book: Book<'_>, periods: &[Usage], currency: Currency) -> Result<Map<String, Json>, Failure> {
    let tariff = book.tariff;
    let mut total = Money::zero(currency);
    let mut lines = Vec::new();
    let mut left: Vec<Left> = Vec::new();
    for (place, usage) in periods.iter().enumerate() {
        let field = format!("periods[{place}]");
        let failure = Failure::of_usage(&field);
        let usage = fitted(tariff, usage).map_err(&failure)?;
        let (amount, mut line) = match tariff.steps.rollover_periods {
            _ if place > 0 && tariff.settings.charged == Charged::Once => {
                let nothing = Money::zero(currency);
                (nothing, json!({ "amount": plain(nothing), "billable": "0", "components": [], "exact": "0" }))
            }
            None => whole(book, &usage, currency).map_err(&failure)?,
            Some(reach) => {
                let (carried, unused) = carry(book, &usage, (place, reach), &mut left).map_err(&failure)?;
                let usage = Usage { carried: Some(carried), ..usage };
                let (amount, mut line) = whole(book, &usage, currency).map_err(&failure)?;
                line["carried"] = json!(carried.to_string());
                line["left"] = json!(unused.to_string());
                (amount, line)
            }
        };
        line["period"] = json!(place + 1);
        total = total.checked_add(amount).map_err(|source| failure(RatingError::Money { currency, source }))?;
        lines.push(line);
    }
    Ok(totals(currency, total, lines))
}

/// What earlier periods left for this one, and what is left after it; `left` becomes that. What was carried over from
/// before the first period (`carried` of its usage) expires with it.
fn carry(
    Book { tariff, replay }: Book<'_>,
    usage: &Usage,
    (place, reach): (usize, u32),
    left: &mut Vec<Left>,
) -> Result<(Exact, Exact), RatingError> {
    if place > 0 && usage.carried.is_some() {
        let what = "carried is what the periods before left".to_owned();
        return Err(RatingError::Input { what, mend: "remove it here; the first period may have it" });
    }
    if let Some(units) = usage.carried {
        left.push(Left { last: place, units });
    }
    let sum = |left: &[Left]| left.iter().try_fold(Exact::ZERO, |sum, one| sum.checked_add(one.units));
    let carried = sum(left)?;
    let allowance = allowance(tariff, usage)?;
    let mut rest = allowance.quantity;
    for one in left.iter_mut() {
        let taken = rest.least(one.units)?;
        one.units = one.units.checked_sub(taken)?;
        rest = rest.checked_sub(taken)?;
    }
    let units = allowance.included.checked_sub(rest)?.most(Exact::ZERO)?;
    left.push(Left { last: place.saturating_add(usize::try_from(reach).unwrap_or(usize::MAX)), units });
    // What expires with this period is left for none.
    left.retain(|one| place < one.last && !one.units.is_zero());
    if let Some(most) = replay.rollover_maximum {
        // What is too much is cut from what expires first.
        let mut excess = sum(left)?.checked_sub(most.into())?.most(Exact::ZERO)?;
        for one in left.iter_mut() {
            let cut = one.units.least(excess)?;
            one.units = one.units.checked_sub(cut)?;
            excess = excess.checked_sub(cut)?;
        }
    }
    Ok((carried, sum(left)?))
}
