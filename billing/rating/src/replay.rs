//! Rules of other billing systems under which a price is replayed, and which no catalog price has: only `estimate`
//! reads them, nothing that is billed or stored comes from them. Each is off unless a line says it, and then the price
//! is what tollbook bills. Which words there are, and what they mean, is in `docs/estimate.md`.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::Currency;
use tollbook_schemas::price::{PriceModel, Tariff};

use super::prorate::Share;
use super::steps::allowance;
use super::usage::Usage;
use super::working::{Component, Priced};
use super::{RatingError, rounded};

/// What a quantity below zero costs, where the price's own `negative_total` is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Negative {
    /// As nothing used: what is due at 0.
    AsZero,
    /// The units cost what as many would cost, given back: through the tiers from 0 on, without flat prices and limits.
    Mirrored,
    /// The same, all at the first tier's price.
    FirstTier,
}

/// Which steps of a line each event goes through alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PerEvent {
    /// It is converted and rounded alone; the sum is priced.
    Quantity,
    /// It is priced alone, tiers from 0; limits and discount are those of the sum. Included units are used up in order.
    Price,
    /// It is a line of its own, with all its steps; only the rounding is that of the sum.
    Line,
}

/// The least and the most that a tier costs once it is entered, flat price included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TierLimits {
    pub(crate) minimum: Option<Decimal>,
    pub(crate) maximum: Option<Decimal>,
}

/// What a line comes to above an amount costs so many times as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overage {
    pub(crate) above: Decimal,
    pub(crate) factor: Decimal,
}

/// A price in other money than that which is billed: credits, or another currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exchange {
    /// What one of it is worth in the currency that is billed.
    pub(crate) rate: Exact,
    /// As what the sum is rounded before it is exchanged.
    pub(crate) rounding: Option<Currency>,
}

/// A tier of a capacity price: the most of each unit that it holds, and what it costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CapacityTier {
    pub(crate) up_to: BTreeMap<String, Decimal>,
    pub(crate) flat_price: Decimal,
}

/// A cell of a matrix that has more than a unit price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CellPrice {
    pub(crate) tariff: Tariff,
    pub(crate) tier_limits: Vec<TierLimits>,
}

impl CellPrice {
    /// The rules of the matrix, as far as they are of the usage of one cell.
    pub(crate) fn replay(&self, of_matrix: &Replay) -> Replay {
        // A percentage is one of each event anyway.
        let is_percentage = matches!(self.tariff.model, PriceModel::Percentage(_));
        Replay {
            negative: of_matrix.negative,
            per_event: of_matrix.per_event.filter(|_| !is_percentage),
            event_quantity_minimum: of_matrix.event_quantity_minimum,
            event_rounding: of_matrix.event_rounding,
            is_tier_end_next: of_matrix.is_tier_end_next,
            tier_limits: self.tier_limits.clone(),
            ..Replay::default()
        }
    }
}

/// All rules of a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Replay {
    pub(crate) negative: Option<Negative>,
    pub(crate) per_event: Option<PerEvent>,
    /// An event that is there counts at least so much, before it is converted.
    pub(crate) event_quantity_minimum: Option<Decimal>,
    /// Each event's amount is rounded as this currency is.
    pub(crate) event_rounding: Option<Currency>,
    /// Each component is rounded as this currency is, such as a tier that is a line of its own.
    pub(crate) component_rounding: Option<Currency>,
    /// By tier; shorter where the last have none.
    pub(crate) tier_limits: Vec<TierLimits>,
    /// What lies on the end of a tier belongs to the next one.
    pub(crate) is_tier_end_next: bool,
    /// Of a matrix: included units of each cell, in order.
    pub(crate) cells_included: Vec<Option<Decimal>>,
    /// Of a matrix: the price of each cell that has one, in order.
    pub(crate) cell_prices: Vec<Option<CellPrice>>,
    /// Of a matrix: included units of all cells, used up in the order of the usage.
    pub(crate) pooled_included: Option<Decimal>,
    pub(crate) overage: Option<Overage>,
    /// What each included unit that was not used gives back when the period ends.
    pub(crate) unused_unit_price: Option<Decimal>,
    /// Instead of the model.
    pub(crate) capacity: Option<Vec<CapacityTier>>,
    /// What the price comes to costs nothing up to here.
    pub(crate) included_amount: Option<Decimal>,
    /// What the quantity counts at least when the period ends, after its conversion.
    pub(crate) quantity_minimum: Option<Decimal>,
    /// What it counts at most.
    pub(crate) quantity_maximum: Option<Decimal>,
    /// What the price comes to is in other money.
    pub(crate) exchange: Option<Exchange>,
    /// As much of what the line comes to as this part of a period is worth.
    pub(crate) part: Option<Share>,
    /// A difference is rounded alone, and is not the difference of two that were.
    pub(crate) is_difference_rounded: bool,
    /// A split that comes to less than the ones before gives nothing back; the next ones are due above the highest so
    /// far.
    pub(crate) is_credit_held: bool,
    /// Of a percentage: the event that uses the free total up pays what is due for an event.
    pub(crate) is_free_total_end_charged: bool,
    /// The most included units that are carried over in all.
    pub(crate) rollover_maximum: Option<Decimal>,
}

/// None of the rules: what tollbook bills.
static NONE: Replay = Replay {
    negative: None,
    per_event: None,
    event_quantity_minimum: None,
    event_rounding: None,
    component_rounding: None,
    tier_limits: Vec::new(),
    is_tier_end_next: false,
    cells_included: Vec::new(),
    cell_prices: Vec::new(),
    pooled_included: None,
    overage: None,
    unused_unit_price: None,
    capacity: None,
    included_amount: None,
    quantity_minimum: None,
    quantity_maximum: None,
    exchange: None,
    part: None,
    is_difference_rounded: false,
    is_credit_held: false,
    is_free_total_end_charged: false,
    rollover_maximum: None,
};

impl Replay {
    /// Whether it has no rule.
    pub(crate) fn is_none(&self) -> bool {
        std::ptr::eq(self, &NONE) || *self == NONE
    }
}

/// A price, and the rules under which it is replayed.
#[derive(Debug, Clone, Copy)]
pub struct Book<'a> {
    pub(crate) tariff: &'a Tariff,
    pub(crate) replay: &'a Replay,
}

impl<'a> From<&'a Tariff> for Book<'a> {
    fn from(tariff: &'a Tariff) -> Self {
        Self { tariff, replay: &NONE }
    }
}

impl Replay {
    /// Whether a quantity at such a place to the end of a tier enters the next one.
    pub(crate) fn enters_next(&self, to_the_end: Ordering) -> bool {
        to_the_end.is_gt() || (self.is_tier_end_next && to_the_end.is_eq())
    }
}

/// Holds what a tier costs within its own limits.
pub(crate) fn limit_tier(
    replay: &Replay,
    index: usize,
    due: Exact,
    components: &mut Vec<Component>,
) -> Result<(), RatingError> {
    let Some(limits) = replay.tier_limits.get(index) else { return Ok(()) };
    if let Some(least) = limits.minimum {
        let raised = due.most(least.into())?.checked_sub(due)?;
        if !raised.is_zero() {
            components.push(Component::of_tier("minimum", index + 1, None, raised));
        }
    }
    if let Some(most) = limits.maximum {
        let lowered = due.least(most.into())?.checked_sub(due)?;
        if !lowered.is_zero() {
            components.push(Component::of_tier("maximum", index + 1, None, lowered));
        }
    }
    Ok(())
}

/// Makes what lies above an amount cost more, or less.
pub(crate) fn overage(overage: Option<Overage>, priced: &mut Priced) -> Result<(), RatingError> {
    let Some(Overage { above, factor }) = overage else { return Ok(()) };
    let over = priced.sum()?.checked_sub(above.into())?;
    if !over.is_negative() && !over.is_zero() {
        let more = Exact::from(factor).checked_sub(Exact::whole(1))?;
        priced.components.push(Component::new("overage", None, over.checked_mul(more)?));
    }
    Ok(())
}

/// Takes off what the price comes to up to an amount.
pub(crate) fn include_amount(included: Option<Decimal>, priced: &mut Priced) -> Result<(), RatingError> {
    let Some(included) = included else { return Ok(()) };
    let off = priced.sum()?.least(included.into())?;
    if !off.is_negative() && !off.is_zero() {
        priced.components.push(Component::new("included amount", None, Exact::ZERO.checked_sub(off)?));
    }
    Ok(())
}

/// Holds a quantity between the least and the most that counts; the least is due when the period ends.
pub(crate) fn hold_quantity(replay: &Replay, quantity: Exact, is_last: bool) -> Result<Exact, RatingError> {
    let held = match replay.quantity_maximum {
        Some(most) => quantity.least(most.into())?,
        None => quantity,
    };
    match replay.quantity_minimum.filter(|_| is_last) {
        Some(least) => Ok(held.most(least.into())?),
        None => Ok(held),
    }
}

/// Exchanges what the price comes to. Where each component is rounded, each is exchanged, and else the sum.
pub(crate) fn exchange(replay: &Replay, priced: &mut Priced) -> Result<(), RatingError> {
    let Some(Exchange { rate, rounding }) = replay.exchange else { return Ok(()) };
    if replay.component_rounding.is_some() {
        for component in &mut priced.components {
            component.exact = component.exact.checked_mul(rate)?;
        }
        return round_components(replay.component_rounding, priced);
    }
    let off = rounding_of(priced.sum()?, rounding)?;
    if !off.is_zero() {
        priced.components.push(Component::new("rounding before the exchange", None, off));
    }
    let more = priced.sum()?.checked_mul(rate.checked_sub(Exact::whole(1))?)?;
    if !more.is_zero() {
        priced.components.push(Component::new("exchange", None, more));
    }
    Ok(())
}

/// Takes off what the rest of the period would cost.
pub(crate) fn take_part(part: Option<Share>, priced: &mut Priced) -> Result<(), RatingError> {
    let Some(part) = part else { return Ok(()) };
    let sum = priced.sum()?;
    let off = part.of(sum)?.checked_sub(sum)?;
    if !off.is_zero() {
        priced.components.push(Component::new("rest of the period", None, off));
    }
    Ok(())
}

/// Gives back what included units that were not used are worth.
pub(crate) fn give_back_unused(book: Book<'_>, usage: &Usage, priced: &mut Priced) -> Result<(), RatingError> {
    let Some(unit_price) = book.replay.unused_unit_price else { return Ok(()) };
    let allowance = allowance(book.tariff, usage)?;
    let unused = allowance.included.checked_sub(allowance.quantity)?.most(Exact::ZERO)?;
    if !unused.is_zero() {
        let exact = Exact::ZERO.checked_sub(unused.checked_mul(unit_price.into())?)?;
        priced.components.push(Component::new("unused units", Some(unused), exact));
    }
    Ok(())
}

/// Rounds each component, as systems do that print each as a line.
pub(crate) fn round_components(currency: Option<Currency>, priced: &mut Priced) -> Result<(), RatingError> {
    let Some(currency) = currency else { return Ok(()) };
    for component in &mut priced.components {
        let amount = rounded(component.exact, currency)?;
        component.exact = Exact::scaled(amount.minor, currency.exponent());
    }
    Ok(())
}

/// What rounding an event's amount adds to it, or takes off.
pub(crate) fn rounding_of(exact: Exact, currency: Option<Currency>) -> Result<Exact, RatingError> {
    let Some(currency) = currency else { return Ok(Exact::ZERO) };
    let amount = rounded(exact, currency)?;
    Ok(Exact::scaled(amount.minor, currency.exponent()).checked_sub(exact)?)
}
