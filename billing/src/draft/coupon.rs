//! The coupons of a document's own month: its lines in, lines of coupons out, and what each line is worth after them.
//!
//! Coupons come after the minimum of a contract and before tax, in the order in which they were redeemed, each on what
//! the ones before left. One takes off its lines no more than they are worth; what it takes off is rounded once, and
//! split over its lines by largest remainder, so that each is taxed of what is left of it. What is computed again later
//! takes off what it comes to then: a coupon's line is adjusted as any other.

use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::catalog::coupon::{COUPON_PLAN, CouponOff};
use tollbook_schemas::exact::Exact;
use tollbook_schemas::id::{IdError, PartnerId, PlanId, PriceId, SubscriptionId};
use tollbook_schemas::money::Money;
use tollbook_schemas::period::Month;
use tollbook_schemas::registry::RedeemedCoupon;

use super::PAUSED;
use super::tax::Taxing;
use crate::document::{Line, LineCoupon, LineOf, slot_of};
use crate::rating::Working;
use crate::rating::coupon::{Coupon, Off, Split, reductions};
use crate::rating::working::ComponentWorking;

/// What coupons make of lines.
pub(super) struct Couponed {
    /// Their lines, without numbers.
    pub(super) lines: Vec<Line>,
    /// What each line is worth after them, in minor units.
    pub(super) left_minor: Vec<i64>,
}

/// The lines of coupons for lines of a month.
pub(super) fn coupons(place: &Taxing<'_>, lines: &[Line]) -> Result<Couponed, String> {
    let money = |minor| Money { minor, currency: place.currency };
    let mut left: Vec<Money> = lines.iter().map(|line| money(line.amount_minor)).collect();
    let mut found = Vec::new();
    let is_here = |one: &&RedeemedCoupon| {
        let mut owners = lines.iter().map(|line| owner_of(place, line));
        owners.any(|owner| *owner == one.partner_id)
    };
    for redeemed in place.input.registry.coupons.iter().filter(is_here) {
        let told = |what: String| format!("coupon {}: {what}", redeemed.coupon_id);
        let Some((off, mine)) = on(place, redeemed, lines)? else { continue };
        let coupon = Coupon { off, lines: Some(mine) };
        let parts = reductions(&left, &[coupon], Split::LargestRemainder, place.currency);
        let parts = parts.map_err(|error| told(error.to_string()))?;
        let mut components = Vec::new();
        let mut total = 0_i64;
        for ((part, left), line) in parts.iter().zip(&mut left).zip(lines) {
            let minor = Money::round(*part, place.currency).map_err(|error| told(error.to_string()))?.minor;
            if minor == 0 {
                continue;
            }
            let too_big = || told("what it takes off does not fit".to_owned());
            left.minor = left.minor.checked_sub(minor).ok_or_else(too_big)?;
            total = total.checked_add(minor).ok_or_else(too_big)?;
            components.push(ComponentWorking {
                exact: Exact::scaled(-minor, place.currency.exponent()).to_string(),
                name: line.description.clone(),
                quantity: None,
            });
        }
        if total != 0 {
            found.push(line_of(place, redeemed, total, components).map_err(told)?);
        }
    }
    Ok(Couponed { lines: found, left_minor: left.iter().map(|left| left.minor).collect() })
}

/// What a coupon takes off in this month and of which lines; none where it is not for this document.
fn on(place: &Taxing<'_>, redeemed: &RedeemedCoupon, lines: &[Line]) -> Result<Option<(Off, Vec<usize>)>, String> {
    let catalog: &Catalog = place.input.catalog;
    let id = &redeemed.coupon_id;
    let coupon = catalog.coupons.get(id).ok_or_else(|| {
        format!(
            "coupon {id} was redeemed, and the catalog does not have it; add it, or record coupon.withdrawn of it at the \
             instant of its redemption"
        )
    })?;
    let zone = place.issuer.time_zone;
    let month = place.input.month.period(zone).map_err(|error| error.to_string())?;
    let is_withdrawn = redeemed.withdrawn_at.is_some_and(|at| at <= month.start);
    let holds = coupon.holds_in(place.input.month, month.start, Month::of(redeemed.redeemed_at, zone));
    if coupon.issuer != *place.issuer_id || is_withdrawn || !holds {
        return Ok(None);
    }
    let off = match coupon.off {
        CouponOff::Percent(percent) => Off::Percent(percent),
        CouponOff::Amount(amount) if amount.currency == place.currency => Off::Amount(amount),
        CouponOff::Amount(_) => return Ok(None),
    };
    let is_for = |line: &Line| {
        *owner_of(place, line) == redeemed.partner_id
            && redeemed.subscription_id.as_ref().is_none_or(|own| *own == line.subscription_id)
            && line.price_model != PAUSED
            && coupon.is_for(catalog, &line.plan_id, &line.price_id, line.meter_id.as_ref())
    };
    let mine = lines.iter().enumerate().filter(|(_, line)| is_for(line)).map(|(at, _)| at).collect();
    Ok(Some((off, mine)))
}

/// Whose line it is: of the partner that pays, or of one that it pays for.
fn owner_of<'a>(place: &'a Taxing<'_>, line: &'a Line) -> &'a PartnerId {
    line.for_partner.as_ref().unwrap_or(place.partner_id)
}

fn line_of(
    place: &Taxing<'_>,
    redeemed: &RedeemedCoupon,
    total_minor: i64,
    components: Vec<ComponentWorking>,
) -> Result<Line, String> {
    let bad = |error: IdError| error.to_string();
    let month = place.input.month.period(place.issuer.time_zone).map_err(|error| error.to_string())?;
    let slot = slot_of(place.issuer_id, place.partner_id, place.currency, place.input.month);
    let description = place.input.catalog.coupons.get(&redeemed.coupon_id).map(|coupon| coupon.description.clone());
    let of = LineOf {
        subscription_id: match &redeemed.subscription_id {
            Some(subscription_id) => subscription_id.clone(),
            None => SubscriptionId::parse(slot.as_str()).map_err(bad)?,
        },
        plan_id: PlanId::parse(COUPON_PLAN).map_err(bad)?,
        plan_version: 0,
        price_id: PriceId::parse(redeemed.coupon_id.as_str()).map_err(bad)?,
        price_model: COUPON_PLAN,
    };
    let amount = Money { minor: -total_minor, currency: place.currency };
    Ok(Line {
        coupon: Some(LineCoupon { coupon_id: redeemed.coupon_id.clone(), redeemed_at: redeemed.redeemed_at }),
        description: description.unwrap_or_default(),
        for_partner: (redeemed.partner_id != *place.partner_id).then(|| redeemed.partner_id.clone()),
        working: Working {
            exact: Exact::scaled(-total_minor, place.currency.exponent()).to_string(),
            components,
            ..Working::default()
        },
        ..Line::beside(of, month, amount)
    })
}

#[cfg(test)]
pub(crate) mod tests;
