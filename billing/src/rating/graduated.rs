//! `graduated`: each unit costs what its own tier says, and entering a tier may cost a flat price.
//!
//! Tiers are `(from, up_to]`; `from` is the end of the tier before, 0 for the first. The catalog guarantees that
//! they follow each other and that the last is open; here that is checked once more, because a quantity without a
//! tier would be free of charge without a word.

use tollbook_schemas::catalog::Tier;
use tollbook_schemas::decimal::Decimal;

use super::part::Part;
use super::{RatingError, TierWorking};

pub(super) fn price(tiers: &[Tier], quantity: Decimal) -> Result<(Part, Vec<TierWorking>), RatingError> {
    let mut sum = Part::ZERO;
    let mut working = Vec::new();
    let mut from = Decimal::ZERO;
    for (index, tier) in tiers.iter().enumerate() {
        // The first tier is entered by nobody's leave: its flat price is due at 0 too.
        if index > 0 && quantity <= from {
            return Ok((sum, working));
        }
        let until = tier.up_to.map_or(quantity, |up_to| up_to.min(quantity));
        let inside = until.checked_sub(from).map_err(RatingError::Overflow)?;
        let part = Part::of_units(tier.unit_price, inside).plus(Part::fixed(tier.flat_price))?;
        sum = sum.plus(part)?;
        working.push(TierWorking {
            exact: part.to_string(),
            flat_price: tier.flat_price,
            from,
            quantity: inside,
            unit_price: tier.unit_price,
            up_to: tier.up_to,
        });
        match tier.up_to {
            None => return Ok((sum, working)),
            Some(up_to) => from = up_to,
        }
    }
    if quantity <= from && !working.is_empty() { Ok((sum, working)) } else { Err(RatingError::NoTier) }
}
