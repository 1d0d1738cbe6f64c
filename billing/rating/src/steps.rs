//! The steps around the model: convert, round quantity, included units before it; minimum, maximum, discount after.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::Currency;
use tollbook_schemas::price::setting::{Limits, NegativeTotal, SplitRounding};
use tollbook_schemas::price::{PriceModel, Tariff};

use super::per_event::counted;
use super::percentage::part;
use super::replay::{Book, Negative, PerEvent, hold_quantity};
use super::served::By;
use super::usage::Usage;
use super::working::{Component, Priced};
use super::{RatingError, rounded};

/// Steps 1 and 2 of all that is converted and rounded alone: the whole, each event or each piece. The sum of parts may
/// be below zero where their quantity is not.
pub(super) fn units(book: Book<'_>, usage: &Usage) -> Result<Exact, RatingError> {
    let Book { tariff, replay } = book;
    let mut sum = Exact::ZERO;
    if matches!(tariff.model, PriceModel::Matrix { .. }) {
        // Its combinations are converted one by one.
        sum = usage.quantity.into();
    } else if replay.per_event == Some(PerEvent::Quantity) {
        for event in usage.events.as_ref().ok_or(RatingError::MissingEvents("the quantity"))? {
            let quantity = counted(event.quantity, replay.event_quantity_minimum)?;
            sum = sum.checked_add(signed(book, quantity)?)?;
        }
    } else if tariff.settings.split_rounding == SplitRounding::Each && !usage.pieces.is_empty() {
        for piece in &usage.pieces {
            // A piece that takes back what others brought is no usage below zero.
            sum = sum.checked_add(converted(tariff, *piece)?)?;
        }
    } else {
        sum = converted(tariff, usage.quantity)?;
    }
    Ok(sum)
}

/// Step 3, and before it what the quantity counts at least and at most.
pub(super) fn billable(book: Book<'_>, usage: &Usage, units: Exact, is_last: bool) -> Result<Exact, RatingError> {
    let quantity = hold_quantity(book.replay, units, is_last)?;
    match book.tariff.steps.included {
        None => Ok(quantity),
        Some(_) => Ok(quantity.checked_sub(included(book.tariff, usage)?)?.most(Exact::ZERO)?),
    }
}

/// Steps 1 and 2 of a quantity that may be below zero, as the rule for that says.
///
/// # Errors
/// [`RatingError::NegativeQuantity`] where there is none.
pub(super) fn signed(book: Book<'_>, quantity: Decimal) -> Result<Exact, RatingError> {
    match (book.replay.negative, book.tariff.settings.negative_total) {
        _ if !quantity.is_negative() => converted(book.tariff, quantity),
        (Some(Negative::Mirrored | Negative::FirstTier), _) => converted(book.tariff, quantity),
        (Some(Negative::AsZero), _) | (None, NegativeTotal::NothingDue) => Ok(Exact::ZERO),
        (None, NegativeTotal::Refused) => Err(RatingError::NegativeQuantity(quantity)),
    }
}

/// Included units of the part of the period that was served, with those that earlier periods left.
pub(super) fn included(tariff: &Tariff, usage: &Usage) -> Result<Exact, RatingError> {
    let Some(included) = tariff.steps.included else { return Ok(Exact::ZERO) };
    Ok(in_part(tariff, usage, included)?.0.checked_add(usage.carried.unwrap_or(Exact::ZERO))?)
}

/// What a period includes, and what was used of it, both in the unit that is priced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Included units of the part of the period that was served.
    pub included: Exact,
    /// What was used, converted and rounded.
    pub quantity: Exact,
}

/// What a price includes of a period's usage, without what earlier periods left.
///
/// # Errors
/// [`RatingError`].
pub fn allowance(tariff: &Tariff, usage: &Usage) -> Result<Allowance, RatingError> {
    let included = in_part(tariff, usage, tariff.steps.included.unwrap_or(Decimal::ZERO))?.0;
    Ok(Allowance { included, quantity: converted(tariff, usage.quantity)?.most(Exact::ZERO)? })
}

/// Included units or a limit, as much of it as the part of the period is worth; and which part that is, if it is one.
fn in_part(tariff: &Tariff, usage: &Usage, number: Decimal) -> Result<(Exact, Option<String>), RatingError> {
    match usage.part(By::of_limits(tariff.settings.limits_in_part)) {
        None => Ok((number.into(), None)),
        Some(part) => Ok((part.of(number)?, Some(part.label))),
    }
}

/// Steps 1 and 2; below zero as above it, with the other sign.
pub(super) fn converted(tariff: &Tariff, quantity: Decimal) -> Result<Exact, RatingError> {
    let mut exact = Exact::from_decimal(quantity);
    if let Some(convert) = tariff.steps.convert {
        exact = exact.checked_mul(convert.multiply_by.into())?.checked_div(convert.divide_by.into())?;
    }
    if let Some(round) = tariff.steps.round_quantity {
        exact = exact.round_to_multiple(round.to_multiple_of, round.direction)?;
    }
    Ok(exact)
}

/// Steps 5 and 6. The minimum is due when the period ends, not at splits before.
pub(super) fn limit_and_discount(
    Book { tariff, replay }: Book<'_>,
    usage: &Usage,
    is_last: bool,
    priced: &mut Priced,
) -> Result<(), RatingError> {
    // Which part of the included units was taken off is told; the units themselves cost nothing.
    if let Some(included) = tariff.steps.included
        && let (included, Some(part)) = in_part(tariff, usage, included)?
    {
        let name = format!("included units for {part}");
        priced.components.insert(0, Component::new(name, Some(included), Exact::ZERO));
    }
    if let Some(carried) = usage.carried.filter(|carried| !carried.is_zero()) {
        priced.components.insert(0, Component::new("units carried over", Some(carried), Exact::ZERO));
    }
    match tariff.settings.limits {
        Limits::BeforeDiscount => {
            limit(tariff, usage, is_last, priced)?;
            discount(tariff, replay.component_rounding, priced)
        }
        Limits::AfterDiscount => {
            discount(tariff, replay.component_rounding, priced)?;
            limit(tariff, usage, is_last, priced)
        }
    }
}

fn limit(tariff: &Tariff, usage: &Usage, is_last: bool, priced: &mut Priced) -> Result<(), RatingError> {
    if tariff.steps.minimum.is_none() && tariff.steps.maximum.is_none() {
        return Ok(());
    }
    let sum = priced.sum()?;
    let named = |name: &str, part: Option<String>| match part {
        Some(part) => format!("{name} for {part}"),
        None => name.to_owned(),
    };
    if let Some(least) = tariff.steps.minimum
        && is_last
    {
        let (least, part) = in_part(tariff, usage, least)?;
        let raised = sum.most(least)?.checked_sub(sum)?;
        if !raised.is_zero() {
            priced.components.push(Component::new(named("minimum", part), None, raised));
        }
    }
    if let Some(most) = tariff.steps.maximum {
        let (most, part) = in_part(tariff, usage, most)?;
        let lowered = sum.least(most)?.checked_sub(sum)?;
        if !lowered.is_zero() {
            priced.components.push(Component::new(named("maximum", part), None, lowered));
        }
    }
    Ok(())
}

/// The discount of the line; where each component is a line of its own, each has its own, and it is rounded.
pub(super) fn discount(tariff: &Tariff, each: Option<Currency>, priced: &mut Priced) -> Result<(), RatingError> {
    let Some(percent) = tariff.steps.discount_percent else { return Ok(()) };
    let mut off = Exact::ZERO;
    match each {
        None => off = part(percent, priced.sum()?)?,
        Some(currency) => {
            for component in &priced.components {
                let own = rounded(part(percent, component.exact)?, currency)?;
                off = off.checked_add(Exact::scaled(own.minor, currency.exponent()))?;
            }
        }
    }
    let off = Exact::ZERO.checked_sub(off)?;
    if !off.is_zero() {
        priced.components.push(Component::new("discount", None, off));
    }
    Ok(())
}
