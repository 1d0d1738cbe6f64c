//! A part of an amount, and what each event costs beside it: of the sum where that is enough, else of each event by
//! itself. Pure.

use tollbook_schemas::price::Percentage;

use super::{Priced, Used, above_zero, part, per_cent};
use crate::number::Ratio;

pub(super) fn of_percentage(percentage: &Percentage, used: &Used, fee_at_zero: bool) -> Result<Priced, String> {
    let Percentage { percent, fixed_fee, event_minimum, event_maximum, free_events, free_total } = percentage;
    let fee = Ratio::decimal(*fixed_fee);
    let by_event = event_minimum.is_some() || event_maximum.is_some() || free_events.is_some();
    let total = &used.quantity;
    if total.is_zero() && !fee_at_zero {
        return Ok(Priced::of(total, Vec::new()));
    }
    if by_event || (free_total.is_some() && !fee.is_zero()) {
        let amounts = used.amounts.as_ref().ok_or("the meter of a price of single events keeps none")?;
        return of_single_events(percentage, amounts, total);
    }
    let charged = above_zero(total - &free_total.map_or(Ratio::whole(0), Ratio::decimal));
    let mut parts = vec![part("percentage", Some(charged.clone()), per_cent(*percent, &charged))];
    if !fee.is_zero() {
        let count = Ratio::whole(used.event_count.ok_or("nobody says how many requests there were")?);
        parts.push(part("fixed_fee", Some(count.clone()), &count * &fee));
    }
    Ok(Priced::of(total, parts))
}

/// Each event by itself: what of it is free, what the rest costs, and between which limits that is held.
fn of_single_events(percentage: &Percentage, amounts: &[Ratio], total: &Ratio) -> Result<Priced, String> {
    let Percentage { percent, fixed_fee, event_minimum, event_maximum, free_events, free_total } = percentage;
    let (fee, nothing) = (Ratio::decimal(*fixed_fee), Ratio::whole(0));
    let (mut charged, mut count, mut shares, mut raised, mut lowered) =
        (nothing.clone(), 0, nothing.clone(), nothing.clone(), nothing.clone());
    // What was used of the allowance in money before this event.
    let mut passed = nothing.clone();
    for (at, amount) in amounts.iter().enumerate() {
        if amount.is_negative() {
            return Err(format!("an event has the amount {}, which is below zero", amount.text()));
        }
        let is_among_first = match (free_events, free_total) {
            (Some(first), _) => at < usize::try_from(*first).map_err(|_| "too many free events")?,
            (None, total) => total.is_some(),
        };
        let allowed = match free_total {
            Some(total) => above_zero(&Ratio::decimal(*total) - &passed),
            None => amount.clone(),
        };
        let free = match (is_among_first, allowed < *amount) {
            (false, _) => nothing.clone(),
            (true, true) => allowed,
            (true, false) => amount.clone(),
        };
        passed = &passed + &free;
        if is_among_first && free == *amount {
            continue;
        }
        let rest = amount - &free;
        let share = per_cent(*percent, &rest);
        let due = &share + &fee;
        if let Some(least) = event_minimum.map(Ratio::decimal).filter(|least| due < *least) {
            raised = &raised + &(&least - &due);
        }
        if let Some(most) = event_maximum.map(Ratio::decimal).filter(|most| *most < due) {
            lowered = &lowered + &(&most - &due);
        }
        charged = &charged + &rest;
        shares = &shares + &share;
        count += 1;
    }
    let count = Ratio::whole(count);
    let mut parts = vec![part("percentage", Some(charged), shares)];
    let others = [
        ("fixed_fee", Some(count.clone()), &count * &fee),
        ("event_minimum", None, raised),
        ("event_maximum", None, lowered),
    ];
    parts.extend(
        others.into_iter().filter(|(.., exact)| !exact.is_zero()).map(|(name, of, exact)| part(name, of, exact)),
    );
    Ok(Priced::of(total, parts))
}
