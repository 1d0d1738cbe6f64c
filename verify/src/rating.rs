//! A price once more: what a quantity costs, from `docs/money.md` and not from `billing/rating`. Takes a price of the
//! catalog and what was used, gives minor units and the working that is printed beside them. Exact to the one rounding.
//!
//! What the catalog keeps out of plans (prices of single events, prorated units) is an error here.

mod model;
mod percentage;
mod used;
mod working;

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::money::Currency;
use tollbook_schemas::price::setting::{Limits, NegativeTotal, QuantityBasis};
use tollbook_schemas::price::{PriceModel, Steps, Tariff};

use crate::number::Ratio;
use model::{of_model, units_of};
use used::Measure;

pub use used::{Dimensions, Length, Served, Stretch, Used};
pub use working::{PartWorking, TierWorking, Working};

/// One part of a sum.
struct Part {
    name: String,
    quantity: Option<Ratio>,
    exact: Ratio,
}

fn part(name: impl Into<String>, quantity: Option<Ratio>, exact: Ratio) -> Part {
    Part { name: name.into(), quantity, exact }
}

/// What is done to a price behind its model.
type Step<'a> = &'a dyn Fn(&Steps, &mut Priced);

/// What a model makes of a quantity.
struct Priced {
    billable: Ratio,
    parts: Vec<Part>,
    tiers: Vec<TierWorking>,
    /// Whether a part of the month, or a number of units, is told.
    is_part: bool,
}

impl Priced {
    fn of(billable: &Ratio, parts: Vec<Part>) -> Self {
        Self { billable: billable.clone(), parts, tiers: Vec::new(), is_part: false }
    }

    fn sum(&self) -> Ratio {
        self.parts.iter().map(|part| part.exact.clone()).sum()
    }
}

/// What is due, in minor units, and how it came about.
///
/// # Errors
/// Why there is no amount, in words.
pub fn price(tariff: &Tariff, used: &Used, currency: Currency) -> Result<(i64, Working), String> {
    if tariff.settings.quantity_basis == QuantityBasis::Prorated {
        return Err("a plan has no prorated units".to_owned());
    }
    let units = units_of(tariff, used)?;
    let below_zero = [&used.quantity, &units].into_iter().find(|quantity| quantity.is_negative());
    let mut priced = if let Some(quantity) = below_zero {
        if tariff.settings.negative_total == NegativeTotal::Refused {
            return Err(format!("the quantity {} is below zero", quantity.text()));
        }
        Priced::of(&Ratio::whole(0), Vec::new())
    } else {
        let mut priced = of_model(tariff, used, units)?;
        let limits = Limited::of(tariff, used);
        if let (Some(included), Some(label)) = (&limits.included, &limits.label) {
            priced
                .parts
                .insert(0, part(format!("included units for {label}"), Some(included.clone()), Ratio::whole(0)));
        }
        if let Some(carried) = used.carried.as_ref().filter(|carried| !carried.is_zero()) {
            priced.parts.insert(0, part("units carried over", Some(carried.clone()), Ratio::whole(0)));
        }
        let hold_in_limits = |_: &Steps, priced: &mut Priced| limits.hold(priced);
        let in_order: [Step<'_>; 2] = match tariff.settings.limits {
            Limits::BeforeDiscount => [&hold_in_limits, &take_discount],
            Limits::AfterDiscount => [&take_discount, &hold_in_limits],
        };
        in_order.iter().for_each(|step| step(&tariff.steps, &mut priced));
        priced
    };
    let exact = priced.sum();
    let minor = exact.to_minor(currency.exponent(), currency.step_minor());
    let minor = minor.ok_or_else(|| format!("{} {currency} does not fit 63 bits of minor units", exact.text()))?;
    let is_bare = tariff.steps == Steps::default() && !priced.is_part;
    let working = match &tariff.model {
        PriceModel::Flat { .. } if is_bare => Working::default(),
        PriceModel::PerUnit { unit_price } if is_bare => {
            Working { unit_price: Some(Ratio::decimal(*unit_price).text()), ..Working::default() }
        }
        PriceModel::Graduated { tiers } if is_bare && tiers.iter().all(|tier| tier.package_size.is_none()) => {
            Working { tiers: std::mem::take(&mut priced.tiers), ..Working::default() }
        }
        _ => Working {
            billable: Some(priced.billable.text()),
            components: priced
                .parts
                .into_iter()
                .map(|part| PartWorking {
                    exact: part.exact.text(),
                    name: part.name,
                    quantity: part.quantity.as_ref().map(Ratio::text),
                })
                .collect(),
            ..Working::default()
        },
    };
    Ok((minor, Working { exact: exact.text(), ..working }))
}

/// Conversion, rounding of the quantity.
fn converted(steps: &Steps, quantity: &Ratio) -> Result<Ratio, String> {
    let mut quantity = quantity.clone();
    if let Some(convert) = steps.convert {
        let by = Ratio::decimal(convert.multiply_by).over(&Ratio::decimal(convert.divide_by));
        quantity = &quantity * &by.ok_or("a conversion divides by 0")?;
    }
    if let Some(round) = steps.round_quantity {
        let step = Ratio::decimal(round.to_multiple_of);
        quantity = quantity.to_multiple(&step, round.direction).ok_or("a quantity is rounded to multiples of 0")?;
    }
    Ok(quantity)
}

/// What a price includes of the part of a period, and what of it was used, both in the unit that is priced.
///
/// # Errors
/// What cannot be converted, in words.
pub(crate) fn allowance(tariff: &Tariff, used: &Used) -> Result<(Ratio, Ratio), String> {
    let included = Limited::of(tariff, used).included.unwrap_or(Ratio::whole(0));
    Ok((included, above_zero(converted(&tariff.steps, &used.quantity)?)))
}

fn above_zero(number: Ratio) -> Ratio {
    number.max(Ratio::whole(0))
}

fn per_cent(percent: Decimal, of: &Ratio) -> Ratio {
    (&Ratio::decimal(percent) * of).part_of(100)
}

/// Included units and limits, as much of them as a part of the month is worth.
struct Limited {
    included: Option<Ratio>,
    minimum: Option<Ratio>,
    maximum: Option<Ratio>,
    /// Which part, where it is one.
    label: Option<String>,
}

impl Limited {
    fn of(tariff: &Tariff, used: &Used) -> Self {
        let measure = Measure::of_limits(tariff.settings.limits_in_part);
        let share = used.served.as_ref().zip(measure).and_then(|(served, measure)| served.all(measure));
        let exact = share.as_ref().map_or(Ratio::whole(1), |share| share.exact.clone());
        let of = |limit: Option<Decimal>| limit.map(|limit| &Ratio::decimal(limit) * &exact);
        let Steps { included, minimum, maximum, .. } = tariff.steps;
        let label = share.map(|share| share.label);
        Self { included: of(included), minimum: of(minimum), maximum: of(maximum), label }
    }

    fn hold(&self, priced: &mut Priced) {
        let sum = priced.sum();
        let least = self.minimum.as_ref().filter(|least| **least > sum);
        let most = self.maximum.as_ref().filter(|most| **most < sum);
        for (name, limit) in [("minimum", least), ("maximum", most)] {
            let name = self.label.as_ref().map_or(name.to_owned(), |label| format!("{name} for {label}"));
            priced.parts.extend(limit.map(|limit| part(name, None, limit - &sum)));
        }
    }
}

fn take_discount(steps: &Steps, priced: &mut Priced) {
    if let Some(percent) = steps.discount_percent {
        let off = -&per_cent(percent, &priced.sum());
        if !off.is_zero() {
            priced.parts.push(part("discount", None, off));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
