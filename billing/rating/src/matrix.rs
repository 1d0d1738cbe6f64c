//! `matrix`: a unit price for each combination of dimension values. Each combination is a quantity of its own: it is
//! converted and rounded alone.

use std::collections::BTreeMap;

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::price::{Cell, Tariff};

use super::RatingError;
use super::steps::converted;
use super::usage::Usage;
use super::working::{Component, Priced};

pub(super) fn price(
    dimensions: &[String],
    cells: &[Cell],
    default_unit_price: Option<Decimal>,
    tariff: &Tariff,
    usage: &Usage,
) -> Result<Priced, RatingError> {
    let Some(groups) = &usage.groups else {
        // Nothing needs no combination.
        if usage.quantity == Decimal::ZERO {
            return Ok(Priced::nothing(Exact::ZERO));
        }
        return Err(RatingError::MissingDimension(dimensions.join(", ")));
    };
    // Groups of a finer split than the price's are added up first, so that they are rounded as one.
    let mut sums: BTreeMap<Vec<&str>, Decimal> = BTreeMap::new();
    for group in groups {
        if group.quantity.is_negative() {
            return Err(RatingError::NegativeQuantity(group.quantity));
        }
        let value = |name: &String| {
            group.values.get(name).map(String::as_str).ok_or_else(|| RatingError::MissingDimension(name.clone()))
        };
        let values = dimensions.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        let sum = sums.entry(values).or_insert(Decimal::ZERO);
        *sum = sum.checked_add(group.quantity)?;
    }
    let mut priced = Priced::nothing(Exact::ZERO);
    for (values, quantity) in sums {
        let cell = cells.iter().find(|cell| cell.values.iter().map(String::as_str).eq(values.iter().copied()));
        let unit_price = match (cell, default_unit_price) {
            (Some(cell), _) => cell.unit_price,
            (None, Some(unit_price)) => unit_price,
            (None, None) => return Err(RatingError::NoCell(values.join(", "))),
        };
        let quantity = converted(tariff, quantity)?;
        let exact = quantity.checked_mul(unit_price.into())?;
        priced.billable = priced.billable.checked_add(quantity)?;
        priced.components.push(Component::new(format!("cell {}", values.join(", ")), Some(quantity), exact));
    }
    Ok(priced)
}
