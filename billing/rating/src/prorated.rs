//! `graduated` over prorated units: units that were there for a part of the period cost that part, in the tier that
//! their full units lie in; the flat price of each tier that was ever entered is due once, in full. That of the first
//! tier is due where nothing was ever used, too, unless `zero_usage_first_tier_flat` says otherwise.
//!
//! Each event moves the running total of full units through the tiers, up or down. Its prorated units are spread over
//! the tiers that it crosses in proportion to the full units in each.

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::price::Tier;
use tollbook_schemas::price::setting::{Settings, ZeroUsageFirstTierFlat};

use super::RatingError;
use super::usage::Usage;
use super::working::{Component, Priced};

pub(super) fn price(tiers: &[Tier], usage: &Usage, settings: Settings) -> Result<Priced, RatingError> {
    let events = usage.events.as_ref().ok_or(RatingError::MissingEvents("the prorated units"))?;
    let mut units = vec![Exact::ZERO; tiers.len()];
    let (mut running, mut highest) = (Decimal::ZERO, Decimal::ZERO);
    let mut prorated_total = Exact::ZERO;
    for event in events {
        let prorated = event.prorated.ok_or(RatingError::MissingProrated)?;
        prorated_total = prorated_total.checked_add(prorated)?;
        let next = running.checked_add(event.quantity)?;
        if next.is_negative() {
            return Err(RatingError::NegativeQuantity(next));
        }
        let (low, high) = (running.min(next), running.max(next));
        let mut from = Decimal::ZERO;
        for (tier, units) in tiers.iter().zip(&mut units) {
            let until = tier.up_to.map_or(high, |up_to| up_to.min(high));
            let inside = until.checked_sub(low.max(from))?;
            if inside.unscaled() > 0 {
                let share = Exact::from_decimal(inside).checked_div(high.checked_sub(low)?.into())?;
                *units = units.checked_add(prorated.checked_mul(share)?)?;
            }
            match tier.up_to {
                Some(up_to) => from = up_to,
                None => break,
            }
        }
        running = next;
        highest = highest.max(next);
    }
    // Parts of units that went away may not be more than those of the units that were there.
    usage.prorated()?;
    let is_first_charged =
        highest > Decimal::ZERO || settings.zero_usage_first_tier_flat == ZeroUsageFirstTierFlat::Charged;
    let mut priced = Priced::nothing(prorated_total);
    let mut from = Decimal::ZERO;
    for (index, (tier, units)) in tiers.iter().zip(units).enumerate() {
        if index > 0 && highest <= from {
            break;
        }
        if tier.unit_price != Decimal::ZERO {
            let exact = units.checked_mul(tier.unit_price.into())?;
            priced.components.push(Component::of_tier("units", index + 1, Some(units), exact));
        }
        if tier.flat_price != Decimal::ZERO && (index > 0 || is_first_charged) {
            priced.components.push(Component::of_tier("flat", index + 1, None, tier.flat_price.into()));
        }
        from = tier.up_to.unwrap_or(from);
    }
    Ok(priced)
}
