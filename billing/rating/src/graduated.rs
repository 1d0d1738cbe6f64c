//! `graduated`: each unit costs what its own tier says, and entering a tier may cost a flat price.
//!
//! Tiers are `(from, up_to]`; `from` is the end of the tier before, 0 for the first. The catalog guarantees that they
//! follow each other and that the last is open; here that is checked once more, because a quantity without a tier would
//! be free of charge without a word. A tier that sells packages counts them within itself: the unit that begins a tier
//! begins a package.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::price::Tier;
use tollbook_schemas::price::setting::{Settings, ZeroUsageFirstTierFlat};

use super::RatingError;
use super::package::sold;
use super::replay::{Replay, limit_tier};
use super::working::{Component, Priced, TierWorking, Told};

pub(super) fn price(
    tiers: &[Tier],
    replay: &Replay,
    quantity: Exact,
    settings: Settings,
    told: Told,
) -> Result<Priced, RatingError> {
    let mut priced = Priced::nothing(quantity);
    if told == Told::Tiers {
        priced.tiers.reserve_exact(entered(tiers, quantity));
    }
    let mut from = Decimal::ZERO;
    for (index, tier) in tiers.iter().enumerate() {
        if index > 0 && !replay.enters_next(quantity.checked_cmp(from.into())?) {
            return Ok(priced);
        }
        let until = match tier.up_to {
            None => quantity,
            Some(up_to) => quantity.least(up_to.into())?,
        };
        let inside = until.checked_sub(from.into())?;
        let (sold, name) = sold(tier, inside, settings)?;
        let units = sold.checked_mul(tier.unit_price.into())?;
        // The first tier is entered by nobody's leave: its flat price is due at 0 too, unless the price says otherwise.
        let nothing_used = index == 0 && quantity.is_zero();
        let is_charged = !nothing_used || settings.zero_usage_first_tier_flat == ZeroUsageFirstTierFlat::Charged;
        let flat = if is_charged { tier.flat_price.into() } else { Exact::ZERO };
        if told == Told::Tiers {
            let exact = units.checked_add(flat)?;
            priced.tiers_sum = priced.tiers_sum.checked_add(exact)?;
            priced.tiers.push(TierWorking {
                exact: exact.to_string(),
                flat_price: tier.flat_price,
                from,
                quantity: inside.to_decimal().ok_or(RatingError::NoTier("graduated"))?,
                unit_price: tier.unit_price,
                up_to: tier.up_to,
            });
        } else {
            if tier.unit_price != Decimal::ZERO {
                priced.components.push(Component::of_tier(name, index + 1, Some(sold), units));
            }
            if !flat.is_zero() {
                priced.components.push(Component::of_tier("flat", index + 1, None, flat));
            }
            if is_charged {
                limit_tier(replay, index, units.checked_add(flat)?, &mut priced.components)?;
            }
        }
        match tier.up_to {
            None => return Ok(priced),
            Some(up_to) => from = up_to,
        }
    }
    let is_inside = quantity.checked_cmp(from.into())?.is_le() && !tiers.is_empty();
    if is_inside { Ok(priced) } else { Err(RatingError::NoTier("graduated")) }
}

/// How many tiers a quantity enters, so that they are told in one piece of memory and no larger one.
fn entered(tiers: &[Tier], quantity: Exact) -> usize {
    let Some(quantity) = quantity.to_decimal() else { return 0 };
    let passed = |tier: &&Tier| tier.up_to.is_some_and(|up_to| up_to < quantity);
    tiers.len().min(1 + tiers.iter().take_while(passed).count())
}
