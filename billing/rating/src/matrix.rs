//! `matrix`: a unit price for each combination of dimension values. Each combination is a quantity of its own: it is
//! converted and rounded alone, or each of its events is where another system does that, and some of them have a whole
//! price for a combination.

use std::collections::BTreeMap;

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::price::Cell;

use super::RatingError;
use super::per_event::counted;
use super::replay::{Book, CellPrice, Replay, rounding_of};
use super::steps::signed;
use super::usage::{Event, Group, Usage};
use super::working::{Component, Priced};

/// A combination that was used.
struct Used<'a> {
    unit_price: Decimal,
    /// Instead of the unit price, and of what.
    price: Option<&'a CellPrice>,
    events: Vec<Event>,
    /// Included units of its own that are left.
    free: Exact,
    units: Exact,
    exact: Exact,
}

pub(super) fn price(
    dimensions: &[String],
    cells: &[Cell],
    default_unit_price: Option<Decimal>,
    book: Book<'_>,
    usage: &Usage,
    is_last: bool,
) -> Result<Priced, RatingError> {
    let replay = book.replay;
    let Some(groups) = &usage.groups else {
        // Nothing needs no combination.
        if usage.quantity == Decimal::ZERO {
            return Ok(Priced::nothing(Exact::ZERO));
        }
        return Err(RatingError::MissingDimension(dimensions.join(", ")));
    };
    let is_each_alone = replay.per_event.is_some();
    if is_each_alone && !usage.is_group_an_event && !groups.is_empty() {
        return Err(RatingError::MissingEvents("the quantity and the values"));
    }
    // A price of its own may ask for each event, too.
    let is_alone = |values: &[&str]| {
        let of_events = usage.is_group_an_event && !replay.cell_prices.is_empty();
        is_each_alone || (of_events && price_of(cells, book, values).is_some())
    };
    let mut pooled = replay.pooled_included.map_or(Exact::ZERO, Exact::from);
    let mut off = Exact::ZERO;
    let mut used: BTreeMap<Vec<&str>, Used<'_>> = BTreeMap::new();
    for (values, quantity) in parts(dimensions, groups, &is_alone, book)? {
        let cell = match used.entry(values) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let cell = used_cell(cells, default_unit_price, book, entry.key())?;
                entry.insert(cell)
            }
        };
        if cell.price.is_some() {
            cell.events.push(Event { quantity, prorated: None, amount: None });
            continue;
        }
        let units = signed(book, counted(quantity, replay.event_quantity_minimum)?)?;
        // Units that are given back are none of those that are included.
        let own = units.most(Exact::ZERO)?.least(cell.free)?;
        cell.free = cell.free.checked_sub(own)?;
        let of_all = units.checked_sub(own)?.most(Exact::ZERO)?.least(pooled)?;
        pooled = pooled.checked_sub(of_all)?;
        let units = units.checked_sub(own)?.checked_sub(of_all)?;
        let exact = units.checked_mul(cell.unit_price.into())?;
        off = off.checked_add(rounding_of(exact, replay.event_rounding)?)?;
        cell.units = cell.units.checked_add(units)?;
        cell.exact = cell.exact.checked_add(exact)?;
    }
    let mut priced = Priced::nothing(Exact::ZERO);
    for (values, cell) in used {
        let name = format!("cell {}", values.join(", "));
        if let Some(price) = cell.price {
            let of_cell = of_cell(price, replay, cell.events, usage, is_last)?;
            priced.billable = priced.billable.checked_add(of_cell.billable)?;
            for component in of_cell.components {
                let name = format!("{name}, {}", component.label());
                priced.components.push(Component::new(name, component.quantity, component.exact));
            }
            continue;
        }
        priced.billable = priced.billable.checked_add(cell.units)?;
        priced.components.push(Component::new(name, Some(cell.units), cell.exact));
    }
    if !off.is_zero() {
        priced.components.push(Component::new("rounding of events", None, off));
    }
    Ok(priced)
}

/// What the usage of one combination costs by a price of its own.
fn of_cell(
    price: &CellPrice,
    replay: &Replay,
    events: Vec<Event>,
    usage: &Usage,
    is_last: bool,
) -> Result<Priced, RatingError> {
    let of_events = Usage::of_events(events)?;
    let of_cell = if usage.is_group_an_event { of_events } else { Usage::of(of_events.quantity) };
    let of_cell = Usage { served: usage.served.clone(), ..of_cell };
    let replay = price.replay(replay);
    super::price(Book { tariff: &price.tariff, replay: &replay }, &of_cell, is_last)
}

/// What is converted and rounded alone, in the order of the usage: each combination, or each event. Groups of a finer
/// split than the price's are added up first, so that they are rounded as one.
fn parts<'u>(
    dimensions: &[String],
    groups: &'u [Group],
    is_alone: &dyn Fn(&[&str]) -> bool,
    book: Book<'_>,
) -> Result<Vec<(Vec<&'u str>, Decimal)>, RatingError> {
    let mut parts: Vec<(Vec<&str>, Decimal)> = Vec::new();
    let mut places: BTreeMap<Vec<&str>, usize> = BTreeMap::new();
    for group in groups {
        if group.quantity.is_negative() && book.replay.negative.is_none() {
            return Err(RatingError::NegativeQuantity(group.quantity));
        }
        let value = |name: &String| {
            group.values.get(name).map(String::as_str).ok_or_else(|| RatingError::MissingDimension(name.clone()))
        };
        let values = dimensions.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        if is_alone(&values) {
            parts.push((values, group.quantity));
        } else if let Some(place) = places.get(&values) {
            let sum = &mut parts[*place].1;
            *sum = sum.checked_add(group.quantity)?;
        } else {
            places.insert(values.clone(), parts.len());
            parts.push((values, group.quantity));
        }
    }
    Ok(parts)
}

/// The cell of a combination, of which nothing was used yet.
fn used_cell<'a>(
    cells: &[Cell],
    default_unit_price: Option<Decimal>,
    book: Book<'a>,
    values: &[&str],
) -> Result<Used<'a>, RatingError> {
    let place = place_of(cells, values);
    let unit_price = match (place.map(|place| &cells[place]), default_unit_price) {
        (Some(cell), _) => cell.unit_price,
        (None, Some(unit_price)) => unit_price,
        (None, None) => {
            // The empty text is what a request that tells no value counts as.
            let told = values.iter().map(|value| if value.is_empty() { "\"\"" } else { value });
            return Err(RatingError::NoCell(told.collect::<Vec<_>>().join(", ")));
        }
    };
    let free = place.and_then(|place| book.replay.cells_included.get(place).copied().flatten());
    let price = price_of(cells, book, values);
    let free = free.map_or(Exact::ZERO, Exact::from);
    Ok(Used { unit_price, price, events: Vec::new(), free, units: Exact::ZERO, exact: Exact::ZERO })
}

fn place_of(cells: &[Cell], values: &[&str]) -> Option<usize> {
    cells.iter().position(|cell| cell.values.iter().map(String::as_str).eq(values.iter().copied()))
}

fn price_of<'a>(cells: &[Cell], book: Book<'a>, values: &[&str]) -> Option<&'a CellPrice> {
    book.replay.cell_prices.get(place_of(cells, values)?)?.as_ref()
}
