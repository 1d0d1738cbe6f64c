//! The steps around the model: convert, round quantity, included units before it; minimum, maximum, discount after.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::price::Tariff;
use tollbook_schemas::price::setting::{Limits, SplitRounding};

use super::RatingError;
use super::percentage::part;
use super::usage::Usage;
use super::working::{Component, Priced};

/// Steps 1 to 3.
pub(super) fn billable(tariff: &Tariff, usage: &Usage) -> Result<Exact, RatingError> {
    let each = tariff.settings.split_rounding == SplitRounding::Each && !usage.pieces.is_empty();
    let mut quantity = if each {
        let mut sum = Exact::ZERO;
        for piece in &usage.pieces {
            sum = sum.checked_add(converted(tariff, *piece)?)?;
        }
        sum
    } else {
        converted(tariff, usage.quantity)?
    };
    if let Some(included) = tariff.steps.included {
        quantity = quantity.checked_sub(included.into())?.most(Exact::ZERO)?;
    }
    Ok(quantity)
}

/// Steps 1 and 2.
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
pub(super) fn limit_and_discount(tariff: &Tariff, is_last: bool, priced: &mut Priced) -> Result<(), RatingError> {
    match tariff.settings.limits {
        Limits::BeforeDiscount => {
            limit(tariff, is_last, priced)?;
            discount(tariff, priced)
        }
        Limits::AfterDiscount => {
            discount(tariff, priced)?;
            limit(tariff, is_last, priced)
        }
    }
}

fn limit(tariff: &Tariff, is_last: bool, priced: &mut Priced) -> Result<(), RatingError> {
    let sum = priced.sum()?;
    if let Some(least) = tariff.steps.minimum
        && is_last
    {
        let raised = sum.most(least.into())?.checked_sub(sum)?;
        if !raised.is_zero() {
            priced.components.push(Component::new("minimum", None, raised));
        }
    }
    if let Some(most) = tariff.steps.maximum {
        let lowered = sum.least(most.into())?.checked_sub(sum)?;
        if !lowered.is_zero() {
            priced.components.push(Component::new("maximum", None, lowered));
        }
    }
    Ok(())
}

fn discount(tariff: &Tariff, priced: &mut Priced) -> Result<(), RatingError> {
    let Some(percent) = tariff.steps.discount_percent else { return Ok(()) };
    let off = Exact::ZERO.checked_sub(part(percent, priced.sum()?)?)?;
    if !off.is_zero() {
        priced.components.push(Component::new("discount", None, off));
    }
    Ok(())
}
