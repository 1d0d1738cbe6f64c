//! Coupons once more: what each takes off which lines of a month, in the order of their redemption, and what every line
//! is worth after them. Pure. From `docs/money.md`, "Coupons on documents", and `docs/catalog.md`.

use tollbook_schemas::catalog::coupon::{Coupon, CouponOff};
use tollbook_schemas::id::SlotId;
use tollbook_schemas::period::{Month, Period, print_instant};
use tollbook_schemas::registry::{RedeemedCoupon, Registry};

use crate::document::{Line, LineCoupon};
use crate::month::{Coded, PAUSED};
use crate::number::Ratio;
use crate::rating::Working;
use crate::tax::{Taxing, major};

/// What coupons make of lines.
pub(crate) struct Taken {
    /// Their own lines, without numbers.
    pub(crate) lines: Vec<Line>,
    /// What each line is worth after them, in minor units.
    pub(crate) left_minor: Vec<i64>,
}

/// The coupons on the lines of a month; `place` says of whose document.
///
/// # Errors
/// Why nobody can say what is taken off, in words.
pub(crate) fn take_off(
    place: &Taxing<'_>,
    registry: &Registry,
    month: Month,
    lines: &[Coded],
) -> Result<Taken, String> {
    let whole = month.period(place.zone).map_err(|error| error.to_string())?;
    let mut left_minor: Vec<i64> = lines.iter().map(|(line, _)| line.amount_minor).collect();
    let is_theirs = |line: &Line, one: &RedeemedCoupon| {
        line.for_partner.as_deref().unwrap_or(place.partner_id) == one.partner_id.as_str()
    };
    let mut all: Vec<&RedeemedCoupon> = registry.coupons.iter().collect();
    all.retain(|one| lines.iter().any(|(line, _)| is_theirs(line, one)));
    all.sort_by_key(|one| (&one.partner_id, one.redeemed_at, &one.coupon_id, &one.subscription_id));
    let mut found = Vec::new();
    for one in all {
        let id = &one.coupon_id;
        let coupon = place.catalog.coupons.get(id);
        let coupon = coupon.ok_or_else(|| format!("coupon {id} was redeemed, and the catalog does not have it"))?;
        if coupon.issuer.as_str() != place.issuer_id || !holds(coupon, one, place, (month, whole)) {
            continue;
        }
        let mine = (0..).zip(lines).filter(|(_, (line, _))| is_theirs(line, one) && reduces(coupon, one, place, line));
        // What is below zero was given back already.
        let mine: Vec<usize> = mine.map(|(at, _)| at).filter(|at| left_minor[*at] >= 0).collect();
        let worth: Vec<i64> = mine.iter().map(|at| left_minor[*at]).collect();
        let Some(off_minor) = off(coupon, &worth, place)? else { continue };
        let step = place.currency.step_minor();
        let mut parts = Vec::new();
        for (at, steps) in mine.into_iter().zip(split(off_minor / step, &worth)) {
            let part = steps * step;
            left_minor[at] -= part;
            if part != 0 {
                parts.push((lines[at].0.description.clone(), major(-part, place.currency)));
            }
        }
        if off_minor != 0 {
            found.push(line_of(place, (coupon, one), (month, whole), off_minor, parts));
        }
    }
    Ok(Taken { lines: found, left_minor })
}

/// Whether it holds in a month: from that of its redemption on, for its months, and not where the month begins behind
/// its end.
fn holds(coupon: &Coupon, one: &RedeemedCoupon, place: &Taxing<'_>, (month, whole): (Month, Period)) -> bool {
    let first = Month::of(one.redeemed_at, place.zone);
    let mut age = 0_u32;
    let mut at = first;
    while at < month {
        (at, age) = (at.next(), age.saturating_add(1));
    }
    let is_over = [one.withdrawn_at, coupon.until].into_iter().flatten().any(|end| end <= whole.start);
    first <= month && !is_over && coupon.months.is_none_or(|months| age < months)
}

/// Whether it is for a line of its partner.
fn reduces(coupon: &Coupon, one: &RedeemedCoupon, place: &Taxing<'_>, line: &Line) -> bool {
    let meters = &place.catalog.meters;
    let meter = line.meter_id.as_ref().and_then(|id| meters.iter().find(|(known, _)| known.as_str() == id));
    let product = meter.and_then(|(_, meter)| meter.product.as_ref());
    let of_subscription = one.subscription_id.as_ref().is_none_or(|own| own.as_str() == line.subscription_id);
    line.price_model != PAUSED
        && of_subscription
        && (coupon.plans.is_empty() || coupon.plans.iter().any(|plan| plan.as_str() == line.plan_id))
        && (coupon.prices.is_empty() || coupon.prices.iter().any(|price| price.as_str() == line.price_id))
        && (coupon.products.is_empty() || product.is_some_and(|product| coupon.products.contains(product)))
}

/// What it takes off lines of some worth, once rounded and never more than all of it; none where they are worth
/// nothing, or it is an amount in another currency.
fn off(coupon: &Coupon, worth_minor: &[i64], place: &Taxing<'_>) -> Result<Option<i64>, String> {
    let currency = place.currency;
    let worth: Ratio = worth_minor.iter().map(|minor| major(*minor, currency)).sum();
    let off = match coupon.off {
        _ if worth.is_zero() => return Ok(None),
        CouponOff::Percent(percent) => (&Ratio::decimal(percent) * &worth).part_of(100),
        CouponOff::Amount(amount) if amount.currency == currency => major(amount.minor, currency),
        CouponOff::Amount(_) => return Ok(None),
    };
    let off = off.min(worth).to_minor(currency.exponent(), currency.step_minor());
    off.map(Some).ok_or_else(|| "what a coupon takes off does not fit 63 bits".to_owned())
}

/// So many units over parts of some weight, none below zero and not all of them zero: the whole ones of each share, and
/// what is left to those that lost most, the first where they lost the same.
pub(crate) fn split(units: i64, weights: &[i64]) -> Vec<i64> {
    let all: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
    let product = |weight: &i64| i128::from(units) * i128::from(*weight);
    let (mut parts, mut lost) = (Vec::new(), Vec::new());
    for (at, weight) in weights.iter().enumerate() {
        parts.push(i64::try_from(product(weight) / all).unwrap_or(units));
        lost.push((-(product(weight) % all), at));
    }
    let left = units - parts.iter().sum::<i64>();
    lost.sort_unstable();
    for (_, at) in lost.into_iter().take(usize::try_from(left).unwrap_or(0)) {
        parts[at] += 1;
    }
    parts
}

fn line_of(
    place: &Taxing<'_>,
    (coupon, one): (&Coupon, &RedeemedCoupon),
    (month, whole): (Month, Period),
    off_minor: i64,
    parts: Vec<(String, Ratio)>,
) -> Line {
    let slot = [place.issuer_id, place.partner_id, place.currency.code(), &month.to_string()];
    let own = one.subscription_id.as_ref().map(ToString::to_string);
    Line {
        coupon: Some(LineCoupon { coupon_id: one.coupon_id.to_string(), redeemed_at: print_instant(one.redeemed_at) }),
        description: coupon.description.clone(),
        for_partner: (one.partner_id.as_str() != place.partner_id).then(|| one.partner_id.to_string()),
        plan_id: "coupon".to_owned(),
        price_id: one.coupon_id.to_string(),
        price_model: "coupon".to_owned(),
        subscription_id: own.unwrap_or_else(|| SlotId::derive(slot).to_string()),
        working: Working::of_sum(&major(-off_minor, place.currency), parts),
        ..Line::over(whole, -off_minor, place.currency)
    }
}

#[cfg(test)]
mod tests;
