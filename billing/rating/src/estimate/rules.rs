//! Rules of other billing systems that a line may say beside or inside its price, and no catalog can: read here, and
//! taken out of the price before that is read as the catalog reads it.
//!
//! - inside the price (`rules/of_price.rs`): `minimum` and `maximum` of a tier; `included` of a matrix, pooled and of
//!   each cell; `price` of a cell; the model `capacity`;
//! - beside it: `negative_quantity`, `per_event`, `event_digits`, `event_quantity_minimum`, `quantity_minimum`,
//!   `quantity_maximum`, `rounded`, `overage`, `included_amount`, `exchange_rate`, `exchange_digits`, `part`,
//!   `unused_unit_price`, `tier_end`, `split_amounts`, `split_credits`, `free_total_end`, `rollover_maximum`.

mod of_price;

use tollbook_schemas::decimal::SCALE;
use tollbook_schemas::money::Currency;
use tollbook_schemas::price::node::Node;
use tollbook_schemas::price::read::{Reading, Table};
use tollbook_schemas::price::setting::{NegativeTotal, Proration, QuantityBasis};
use tollbook_schemas::price::{Percentage, PriceModel, Tariff};

use super::document::share;
use super::input::amount;
use super::job::Job;
use crate::prorate::Share;
use crate::replay::{Exchange, Negative, Overage, PerEvent, Replay, TierLimits};
pub(super) use of_price::{OfPrice, split};

/// One of several words.
macro_rules! rule {
    ($table:expr, $reading:expr, $key:literal, { $($word:literal => $value:expr),+ }) => {
        $table.optional($reading, $key, |node, path, reading| {
            match Table::text(node, path, reading)?.as_str() {
                $($word => Some($value),)+
                other => {
                    let words = [$($word),+].join(", ");
                    let what = format!("{other:?} is no value of {}, expected one of {words}", $key);
                    reading.flaw(node.at.clone(), path, what, format!("use one of {words}"));
                    None
                }
            }
        })?
    };
}

/// Reads the rules beside a price; none when a flaw is recorded.
pub(super) fn replay(
    table: &mut Table<'_>,
    tariff: &Tariff,
    of_price: OfPrice,
    currency: Currency,
    reading: &mut Reading,
) -> Option<Replay> {
    let negative = rule!(table, reading, "negative_quantity",
        { "as_zero" => Negative::AsZero, "mirrored" => Negative::Mirrored, "first_tier" => Negative::FirstTier });
    let per_event = rule!(table, reading, "per_event",
        { "quantity" => PerEvent::Quantity, "price" => PerEvent::Price, "line" => PerEvent::Line });
    let digits = table.optional(reading, "event_digits", Table::count)?;
    let event_quantity_minimum = table.optional(reading, "event_quantity_minimum", Table::amount)?;
    let components = rule!(table, reading, "rounded", { "line" => false, "component" => true }).unwrap_or(false);
    let overage = table.optional(reading, "overage", overage)?;
    let tier_end = rule!(table, reading, "tier_end", { "belongs" => false, "next" => true });
    let unused_unit_price = table.optional(reading, "unused_unit_price", Table::amount)?;
    let included_amount = table.optional(reading, "included_amount", Table::amount)?;
    let quantity_minimum = table.optional(reading, "quantity_minimum", Table::amount)?;
    let quantity_maximum = table.optional(reading, "quantity_maximum", Table::amount)?;
    let rollover_maximum = table.optional(reading, "rollover_maximum", Table::amount)?;
    let part = table.optional(reading, "part", part)?;
    let exchange_rate = table.optional(reading, "exchange_rate", amount)?;
    let exchange_digits = table.optional(reading, "exchange_digits", Table::count)?;
    let split_amounts = rule!(table, reading, "split_amounts", { "cumulative" => false, "each" => true });
    let split_credits = rule!(table, reading, "split_credits", { "given" => false, "held" => true });
    let free_total_end = rule!(table, reading, "free_total_end", { "free" => false, "charged" => true });
    let mut flaw = |key: &str, what: String, mend: &str| {
        reading.flaw(table.at(), &table.path_of(key), what, mend);
        None
    };
    let is_capacity = of_price.capacity.is_some();
    let word = if is_capacity { "capacity" } else { tariff.model.as_str() };
    let prices_events = matches!(tariff.model, PriceModel::Percentage(_) | PriceModel::Dynamic { .. });
    let is_flat = matches!(tariff.model, PriceModel::Flat { .. });
    let is_matrix = matches!(tariff.model, PriceModel::Matrix { .. });
    let is_single = is_flat || is_matrix;
    let is_prorated = tariff.settings.quantity_basis == QuantityBasis::Prorated;
    if negative.is_some() && tariff.settings.negative_total != NegativeTotal::Refused {
        let what = "negative_quantity and negative_total say two things".to_owned();
        return flaw("negative_quantity", what, "remove one");
    }
    if negative.is_some() && (is_flat || is_prorated) {
        let what = format!("negative_quantity says nothing here: a {word} price{} has none", prorated(is_prorated));
        return flaw("negative_quantity", what, "remove it");
    }
    if per_event.is_some() && prices_events {
        let what = format!("per_event says nothing here: a {word} price is one of each event anyway");
        return flaw("per_event", what, "remove it; event_digits rounds each event's amount");
    }
    if per_event == Some(PerEvent::Line) && is_matrix {
        let what = "per_event: line says nothing here: an event of a matrix is no line of its own".to_owned();
        return flaw("per_event", what, "write quantity, or price where each is rounded by event_digits");
    }
    if per_event.is_some() && (is_flat || is_prorated) {
        let what = format!("per_event says nothing here: a {word} price{} asks no event alone", prorated(is_prorated));
        return flaw("per_event", what, "remove it");
    }
    if per_event.is_some() && tariff.steps.rollover_periods.is_some() {
        let what = "per_event and rollover_periods do not go together".to_owned();
        return flaw("per_event", what, "remove one, and give what earlier periods left as included");
    }
    if digits.is_some_and(|digits| digits > SCALE) {
        return flaw("event_digits", "an amount has up to 12 digits after the point".to_owned(), "write 0 to 12");
    }
    let is_each = prices_events || matches!(per_event, Some(PerEvent::Price | PerEvent::Line));
    if digits.is_some() && !is_each {
        let what = "event_digits says nothing here: no event has an amount of its own".to_owned();
        return flaw("event_digits", what, "add per_event: price or line, or remove it");
    }
    if event_quantity_minimum.is_some() && per_event.is_none() {
        let what = "event_quantity_minimum says nothing here: events are added up".to_owned();
        return flaw("event_quantity_minimum", what, "add per_event: quantity, price or line, or remove it");
    }
    let carries = tariff.steps.rollover_periods.is_some();
    let is_tiered = |model: &PriceModel| {
        matches!(
            model,
            PriceModel::Graduated { .. } | PriceModel::Volume { .. } | PriceModel::GraduatedPercentage { .. }
        )
    };
    let mut cells = of_price.cell_prices.iter().flatten();
    let has_tiers = is_tiered(&tariff.model) || cells.any(|cell| is_tiered(&cell.tariff.model));
    if tier_end.is_some() && (!has_tiers || is_prorated) {
        let what = format!("tier_end says nothing here: a {word} price{} has no tiers", prorated(is_prorated));
        return flaw("tier_end", what, "remove it");
    }
    if unused_unit_price.is_some() && (tariff.steps.included.is_none() || carries || per_event.is_some()) {
        let what = "unused_unit_price says nothing here: no included units are left unused".to_owned();
        return flaw("unused_unit_price", what, "it goes with included, without rollover_periods and per_event");
    }
    let is_graduated = matches!(tariff.model, PriceModel::Graduated { .. });
    if is_prorated && is_graduated && of_price.tier_limits.iter().any(|limits| *limits != TierLimits::default()) {
        let what =
            "minimum and maximum of a tier say nothing here: prorated units are of several tiers at once".to_owned();
        return flaw("price.tiers", what, "remove them, or write quantity_basis = \"full\"");
    }
    let held = [("quantity_minimum", quantity_minimum), ("quantity_maximum", quantity_maximum)];
    let held = held.into_iter().find(|(_, quantity)| quantity.is_some()).map(|(key, _)| key);
    if let Some(key) = held
        && (is_single || prices_events || is_prorated)
    {
        let what = format!("{key} says nothing here: a {word} price{} asks no quantity alone", prorated(is_prorated));
        return flaw(key, what, "remove it; of a flat price for each unit, write the units that count");
    }
    if let Some(key) = held
        && (carries || unused_unit_price.is_some() || matches!(per_event, Some(PerEvent::Price | PerEvent::Line)))
    {
        let what = format!("{key} is of the whole quantity, and something else here is of its parts");
        return flaw(
            key,
            what,
            "remove per_event (of an event there is event_quantity_minimum), rollover_periods or unused_unit_price",
        );
    }
    if let (Some(least), Some(most)) = (quantity_minimum, quantity_maximum)
        && least > most
    {
        let what = format!("quantity_maximum {most} is below quantity_minimum {least}");
        return flaw("quantity_maximum", what, "exchange them");
    }
    if part.is_some() && is_flat && tariff.settings.proration != Proration::None {
        let what = "part and proration say two things".to_owned();
        return flaw("part", what, "remove one: proration takes its part from served");
    }
    if exchange_rate.is_some_and(|rate| rate.is_zero() || rate.is_negative()) {
        let what = "a rate of exchange is above 0".to_owned();
        return flaw("exchange_rate", what, "write what one unit of the price's money is worth in the currency");
    }
    if exchange_digits.is_some() && (exchange_rate.is_none() || components) {
        let (why, mend) = match exchange_rate {
            None => ("nothing is exchanged", "add exchange_rate, or remove it"),
            Some(_) => ("each component is exchanged and rounded", "remove it, or rounded"),
        };
        return flaw("exchange_digits", format!("exchange_digits says nothing here: {why}"), mend);
    }
    if exchange_digits.is_some_and(|digits| digits > SCALE) {
        return flaw("exchange_digits", "an amount has up to 12 digits after the point".to_owned(), "write 0 to 12");
    }
    let has_free_total = matches!(tariff.model, PriceModel::Percentage(Percentage { free_total: Some(_), .. }));
    if free_total_end.is_some() && !has_free_total {
        let what = "free_total_end says nothing here: the price has no free_total".to_owned();
        return flaw("free_total_end", what, "remove it");
    }
    if rollover_maximum.is_some() && !carries {
        let what = "rollover_maximum says nothing here: the price carries nothing over".to_owned();
        return flaw("rollover_maximum", what, "add included and rollover_periods to the price, or remove it");
    }
    let rounded_to = |digits: Option<u32>| currency.replayed(Some(digits?), currency.rounding());
    let event_rounding = rounded_to(digits);
    let exchange = exchange_rate.map(|rate| Exchange { rate, rounding: rounded_to(exchange_digits) });
    let OfPrice { tier_limits, cells_included, cell_prices, pooled_included, capacity } = of_price;
    Some(Replay {
        negative,
        per_event,
        event_quantity_minimum,
        event_rounding,
        component_rounding: components.then_some(currency),
        tier_limits,
        is_tier_end_next: tier_end.unwrap_or(false),
        cells_included,
        cell_prices,
        pooled_included,
        overage,
        unused_unit_price,
        capacity,
        included_amount,
        quantity_minimum,
        quantity_maximum,
        exchange,
        part,
        is_difference_rounded: split_amounts.unwrap_or(false),
        is_credit_held: split_credits.unwrap_or(false),
        is_free_total_end_charged: free_total_end.unwrap_or(false),
        rollover_maximum,
    })
}

fn prorated(is_prorated: bool) -> &'static str {
    if is_prorated { " of prorated units" } else { "" }
}

/// The part of a period that the line is of, as `prorate` says it.
pub(super) fn part(node: &Node, path: &str, reading: &mut Reading) -> Option<Share> {
    let mut table = Table::of(node, path, reading)?;
    if !table.has("period") && !table.has("service") {
        reading.flaw(node.at.clone(), path, "a part needs period and service", "add them, as in prorate");
        return None;
    }
    let share = share(&mut table, reading)?;
    table.finish(reading);
    Some(share)
}

pub(super) fn overage(node: &Node, path: &str, reading: &mut Reading) -> Option<Overage> {
    let mut table = Table::of(node, path, reading)?;
    let above = table.required(reading, "above", "an overage", Table::amount)?;
    let factor = table.required(reading, "factor", "an overage", Table::amount)?;
    table.finish(reading);
    Some(Overage { above, factor })
}

/// Whether the usage is told in a form that the rules have a meaning for.
pub(super) fn fits(job: &Job, replay: &Replay, table: &Table<'_>, reading: &mut Reading) -> Option<()> {
    let mut says_nothing = |key: &str, why: &str| {
        let what = format!("{key} says nothing here: {why}");
        reading.flaw(table.at(), &table.path_of(key), what, format!("remove {key}"));
        None
    };
    if replay.is_difference_rounded && !job.has_differences() {
        return says_nothing("split_amounts", "no amount is a difference");
    }
    if replay.is_credit_held && !matches!(job, Job::Splits { .. }) {
        return says_nothing("split_credits", "only splits have others before them that may be higher");
    }
    if replay.rollover_maximum.is_some() && !matches!(job, Job::Periods { .. }) {
        return says_nothing("rollover_maximum", "only what several periods leave is carried over");
    }
    let Some(key) = job.adds_up() else { return Some(()) };
    let (what, mend) = if replay.capacity.is_some() {
        ("the most of each unit does not add up over splits", "give quantity, or billed with quantity")
    } else if replay.pooled_included.is_some() {
        (
            "units that are included in all cells are used up in an order, which splits do not have",
            "give quantity, or billed with quantity, or say included of each cell",
        )
    } else if (replay.unused_unit_price.is_some() || replay.quantity_minimum.is_some()) && key == "opening" {
        (
            "what counts at the end is known of the whole period, and an opening is a part of it",
            "give billed with quantity",
        )
    } else {
        return Some(());
    };
    reading.flaw(table.at(), &table.path_of(key), what, mend);
    None
}
