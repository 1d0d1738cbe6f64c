//! `capacity`, of `estimate` alone (Kill Bill): the first tier that holds the most of every unit is charged once. A
//! unit that a tier does not name is not limited by it; where nothing at all was used, nothing is due.

use std::collections::BTreeMap;

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;

use super::RatingError;
use super::replay::CapacityTier;
use super::usage::Usage;
use super::working::{Component, Priced};

/// The dimension under which usage tells its units.
pub(crate) const UNIT: &str = "unit";
/// The unit of a bare quantity, and of an `up_to` that is a number.
pub(crate) const ONLY_UNIT: &str = "quantity";

pub(super) fn price(tiers: &[CapacityTier], usage: &Usage) -> Result<Priced, RatingError> {
    let mut used: BTreeMap<&str, Decimal> = BTreeMap::new();
    match &usage.groups {
        None => _ = used.insert(ONLY_UNIT, usage.quantity),
        Some(groups) => {
            for group in groups {
                let unit = group.values.get(UNIT).ok_or_else(|| RatingError::MissingDimension(UNIT.to_owned()))?;
                if used.insert(unit, group.quantity).is_some() {
                    let what = format!("the unit {unit} is there twice");
                    return Err(RatingError::Input { what, mend: "give the most of each unit, once" });
                }
            }
        }
    }
    let is_limited = tiers.iter().any(|tier| !tier.up_to.is_empty());
    for (unit, quantity) in &used {
        if quantity.is_negative() {
            return Err(RatingError::NegativeQuantity(*quantity));
        }
        let is_known = tiers.iter().any(|tier| tier.up_to.contains_key(*unit));
        if is_limited && !is_known && *quantity != Decimal::ZERO {
            let known: Vec<&str> = tiers.iter().flat_map(|tier| tier.up_to.keys()).map(String::as_str).collect();
            let what = format!("no tier limits the unit {unit}: they know {}", known.join(", "));
            return Err(RatingError::Input {
                what,
                mend: "name it in the up_to of a tier, or leave it out of the usage",
            });
        }
    }
    let billable = Exact::from_decimal(usage.quantity);
    if used.values().all(|quantity| *quantity == Decimal::ZERO) {
        return Ok(Priced::nothing(billable));
    }
    let holds = |tier: &CapacityTier| {
        used.iter().all(|(unit, quantity)| tier.up_to.get(*unit).is_none_or(|most| quantity <= most))
    };
    let Some((index, tier)) = tiers.iter().enumerate().find(|(_, tier)| holds(tier)) else {
        let what = "the usage is above the last tier of the capacity".to_owned();
        return Err(RatingError::Input { what, mend: "add a tier without up_to, or look for a wrong quantity" });
    };
    let component = Component::of_tier("capacity", index + 1, None, tier.flat_price.into());
    Ok(Priced::of(billable, vec![component]))
}
