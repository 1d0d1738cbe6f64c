//! `volume`: the tier in which the whole quantity lies prices all of it, and costs its flat price.
//!
//! Because one more unit can make all units cheaper, such a line is known at the end of its period only; before, the
//! setting `volume_before_end` decides.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::{Direction, Exact};
use tollbook_schemas::price::Tier;
use tollbook_schemas::price::setting::{Settings, TierEdge, VolumeBeforeEnd, ZeroUsageFirstTierFlat};

use super::RatingError;
use super::package::sold;
use super::replay::{Replay, limit_tier};
use super::working::{Component, Priced};

/// `chosen_by` finds the tier, `quantity` is priced: they differ where units are prorated.
pub(super) fn price(
    tiers: &[Tier],
    replay: &Replay,
    chosen_by: Exact,
    quantity: Exact,
    settings: Settings,
    is_last: bool,
) -> Result<Priced, RatingError> {
    if !is_last && settings.volume_before_end == VolumeBeforeEnd::Held {
        return Ok(Priced::nothing(quantity));
    }
    let place = match settings.tier_edge {
        TierEdge::HalfOpen => chosen_by,
        TierEdge::Ceil => chosen_by.round_to_multiple(Decimal::whole(1), Direction::Up)?,
    };
    for (index, tier) in tiers.iter().enumerate() {
        if let Some(up_to) = tier.up_to
            && replay.enters_next(place.checked_cmp(up_to.into())?)
        {
            continue;
        }
        let mut priced = Priced::nothing(quantity);
        if tier.unit_price != Decimal::ZERO {
            let (sold, name) = sold(tier, quantity, settings)?;
            let units = sold.checked_mul(tier.unit_price.into())?;
            priced.components.push(Component::of_tier(name, index + 1, Some(sold), units));
        }
        let is_charged = !chosen_by.is_zero() || settings.zero_usage_first_tier_flat == ZeroUsageFirstTierFlat::Charged;
        if is_charged && tier.flat_price != Decimal::ZERO {
            priced.components.push(Component::of_tier("flat", index + 1, None, tier.flat_price.into()));
        }
        if is_charged {
            limit_tier(replay, index, priced.sum()?, &mut priced.components)?;
        }
        return Ok(priced);
    }
    Err(RatingError::NoTier("volume"))
}
