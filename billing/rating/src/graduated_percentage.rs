//! `graduated_percentage`: each part of an amount pays the per cent of its own tier, and entering a tier may cost a
//! flat price. Tiers and the first flat price follow the rules of `graduated`.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::price::PercentTier;
use tollbook_schemas::price::setting::{Settings, ZeroUsageFirstTierFlat};

use super::RatingError;
use super::percentage::part;
use super::replay::{Replay, limit_tier};
use super::working::{Component, Priced};

pub(super) fn price(
    tiers: &[PercentTier],
    replay: &Replay,
    amount: Exact,
    settings: Settings,
) -> Result<Priced, RatingError> {
    let mut priced = Priced::nothing(amount);
    let mut from = Decimal::ZERO;
    for (index, tier) in tiers.iter().enumerate() {
        let to_the_end = amount.checked_cmp(from.into())?;
        let is_above = to_the_end.is_gt();
        if index > 0 && !replay.enters_next(to_the_end) {
            return Ok(priced);
        }
        let until = match tier.up_to {
            None => amount,
            Some(up_to) => amount.least(up_to.into())?,
        };
        let inside = until.checked_sub(from.into())?;
        let mut due = part(tier.percent, inside)?;
        if tier.percent != Decimal::ZERO {
            let exact = due;
            priced.components.push(Component::of_tier("percentage", index + 1, Some(inside), exact));
        }
        let is_charged =
            is_above || index > 0 || settings.zero_usage_first_tier_flat == ZeroUsageFirstTierFlat::Charged;
        if is_charged && tier.flat_price != Decimal::ZERO {
            priced.components.push(Component::of_tier("flat", index + 1, None, tier.flat_price.into()));
            due = due.checked_add(tier.flat_price.into())?;
        }
        if is_charged {
            limit_tier(replay, index, due, &mut priced.components)?;
        }
        match tier.up_to {
            None => return Ok(priced),
            Some(up_to) => from = up_to,
        }
    }
    if !tiers.is_empty() && amount.checked_cmp(from.into())?.is_le() {
        return Ok(priced);
    }
    Err(RatingError::NoTier("graduated_percentage"))
}
