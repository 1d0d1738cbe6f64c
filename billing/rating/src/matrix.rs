//! `matrix`: a unit price for each combination of dimension values. Each combination is a quantity of its own: it is
//! converted and rounded alone.

use std::collections::BTreeMap;

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::price::Cell;

use super::RatingError;
use super::replay::Book;
use super::steps::{converted, signed};
use super::usage::Usage;
use super::working::{Component, Priced};

pub(super) fn price(
    dimensions: &[String],
    cells: &[Cell],
    default_unit_price: Option<Decimal>,
    book: Book<'_>,
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
    let mut order: Vec<Vec<&str>> = Vec::new();
    for group in groups {
        if group.quantity.is_negative() && book.replay.negative.is_none() {
            return Err(RatingError::NegativeQuantity(group.quantity));
        }
        let value = |name: &String| {
            group.values.get(name).map(String::as_str).ok_or_else(|| RatingError::MissingDimension(name.clone()))
        };
        let values = dimensions.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        if book.replay.pooled_included.is_some() && !sums.contains_key(&values) {
            order.push(values.clone());
        }
        let sum = sums.entry(values).or_insert(Decimal::ZERO);
        *sum = sum.checked_add(group.quantity)?;
    }
    let mut free = free_units(book, &order, &sums)?;
    let mut priced = Priced::nothing(Exact::ZERO);
    for (values, quantity) in sums {
        let cell = cells.iter().position(|cell| cell.values.iter().map(String::as_str).eq(values.iter().copied()));
        let unit_price = match (cell.map(|cell| &cells[cell]), default_unit_price) {
            (Some(cell), _) => cell.unit_price,
            (None, Some(unit_price)) => unit_price,
            (None, None) => {
                // The empty text is what a request that tells no value counts as.
                let told = values.iter().map(|value| if value.is_empty() { "\"\"" } else { value });
                return Err(RatingError::NoCell(told.collect::<Vec<_>>().join(", ")));
            }
        };
        let mut quantity = signed(book, quantity)?;
        let own = cell.and_then(|cell| book.replay.cells_included.get(cell).copied().flatten());
        for included in free.remove(&values).into_iter().chain(own.map(Exact::from)) {
            // Units that are given back are none of those that are included.
            if !quantity.is_negative() {
                quantity = quantity.checked_sub(included)?.most(Exact::ZERO)?;
            }
        }
        let exact = quantity.checked_mul(unit_price.into())?;
        priced.billable = priced.billable.checked_add(quantity)?;
        priced.components.push(Component::new(format!("cell {}", values.join(", ")), Some(quantity), exact));
    }
    Ok(priced)
}

/// What is free of each combination, of units that are included in all: used up in the order in which the usage tells them.
fn free_units<'u>(
    book: Book<'_>,
    order: &[Vec<&'u str>],
    sums: &BTreeMap<Vec<&'u str>, Decimal>,
) -> Result<BTreeMap<Vec<&'u str>, Exact>, RatingError> {
    let mut left = book.replay.pooled_included.map_or(Exact::ZERO, Exact::from);
    let mut free = BTreeMap::new();
    for values in order {
        let quantity = sums.get(values).copied().unwrap_or(Decimal::ZERO);
        let taken = converted(book.tariff, quantity)?.most(Exact::ZERO)?.least(left)?;
        left = left.checked_sub(taken)?;
        free.insert(values.clone(), taken);
    }
    Ok(free)
}
