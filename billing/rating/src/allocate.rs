//! One amount over several parts, by weight, so that the parts add up to it: largest remainder.
//!
//! Each part gets the whole units of its exact share; what is left over goes, one unit each, to the parts whose shares
//! lost most. Equal losses are served in input order, or in the order of a key where one is given.

use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::Money;

use super::RatingError;

/// The exact shares of an amount, unrounded.
///
/// # Errors
/// [`RatingError::Input`] for a negative weight or weights that are all zero; [`RatingError::Overflow`].
pub fn shares(amount: Exact, weights: &[Exact]) -> Result<Vec<Exact>, RatingError> {
    let mut whole = Exact::ZERO;
    for weight in weights {
        if weight.is_negative() {
            let what = format!("weight {weight} is below zero");
            return Err(RatingError::Input { what, mend: "use weights of 0 or more" });
        }
        whole = whole.checked_add(*weight)?;
    }
    if whole.is_zero() {
        let what = format!("{} weights add up to zero, so nothing can be split by them", weights.len());
        return Err(RatingError::Input { what, mend: "give at least one weight above 0" });
    }
    weights.iter().map(|weight| Ok(amount.checked_mul(*weight)?.checked_div(whole)?)).collect()
}

/// Splits whole units by weight; equal remainders in input order.
///
/// # Errors
/// As [`shares`].
pub fn allocate_units(units: i64, weights: &[Exact]) -> Result<Vec<i64>, RatingError> {
    let keys: Vec<usize> = (0..weights.len()).collect();
    allocate_units_by(units, weights, &keys)
}

/// Splits whole units by weight; equal remainders in the order of their keys, then in input order.
///
/// # Errors
/// As [`shares`]; [`RatingError::Input`] when there are not as many keys as weights.
pub fn allocate_units_by<K: Ord>(units: i64, weights: &[Exact], keys: &[K]) -> Result<Vec<i64>, RatingError> {
    if keys.len() != weights.len() {
        let what = format!("{} keys for {} weights", keys.len(), weights.len());
        return Err(RatingError::Input { what, mend: "give one key for each weight" });
    }
    let too_large = || RatingError::Overflow(tollbook_schemas::decimal::DecimalError::Overflow("an allocation"));
    let magnitude = units.checked_abs().ok_or_else(too_large)?;
    let mut parts = Vec::with_capacity(weights.len());
    let mut losses = Vec::with_capacity(weights.len());
    let mut left = magnitude;
    for (index, share) in shares(Exact::whole(magnitude), weights)?.into_iter().enumerate() {
        let one = tollbook_schemas::decimal::Decimal::whole(1);
        let part = share.round_to_multiple(one, tollbook_schemas::exact::Direction::Down)?.round_to_minor(0, 1)?;
        left -= part;
        losses.push((index, share.checked_sub(Exact::whole(part))?));
        parts.push(part);
    }
    let mut failure = None;
    losses.sort_by(|(one, a), (other, b)| {
        let larger_first = b.checked_cmp(*a).unwrap_or_else(|error| {
            failure = Some(error);
            std::cmp::Ordering::Equal
        });
        larger_first.then_with(|| keys[*one].cmp(&keys[*other])).then(one.cmp(other))
    });
    if let Some(error) = failure {
        return Err(error.into());
    }
    let left = usize::try_from(left).map_err(|_| too_large())?;
    for (index, _) in losses.into_iter().take(left) {
        parts[index] += 1;
    }
    Ok(if units < 0 { parts.into_iter().map(|part| -part).collect() } else { parts })
}

/// Splits money by weight, in the smallest amounts that its currency can print.
///
/// # Errors
/// As [`shares`]; [`RatingError::Input`] when the amount itself cannot be printed in the currency.
pub fn allocate(amount: Money, weights: &[Exact]) -> Result<Vec<Money>, RatingError> {
    let step = amount.currency.step_minor();
    if amount.minor % step != 0 {
        let what = format!("{amount} is no multiple of {step} minor units");
        return Err(RatingError::Input { what, mend: "round the amount first" });
    }
    let parts = allocate_units(amount.minor / step, weights)?;
    Ok(parts.into_iter().map(|part| Money { minor: part * step, currency: amount.currency }).collect())
}
