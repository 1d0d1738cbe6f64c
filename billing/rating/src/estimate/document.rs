//! What concerns no single price: an allocation, a proration, a commitment; a whole document is `invoice.rs`.
//!
//! - `allocate`: `amount`, `weights`, optional `keys`, optional `digits` in place of the currency's own, `split`;
//! - `prorate`: `amount`, `period` and `service` as `[start, end]`, optional `time_zone`, `by` (`time`, the default, or
//!   `days`), `period_end`, `termination_day`, `day_count`, `rest` (give back what is left);
//! - `commitment`: `amount`, `billed`, and the same periods, both optional.

use serde_json::{Map, Value as Json, json};
use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::{Period, Tz, print_instant};
use tollbook_schemas::price::node::{Node, Value};
use tollbook_schemas::price::read::{Reading, Table};

use super::input::{amount, amounts, flag};
use super::instants::{Ends, ends, zone};
use super::invoice::invoice;
use super::{Failure, plain, totals, whole_money};
use crate::allocate::{allocate, allocate_units_by};
use crate::commitment::true_up;
use crate::coupon::{Split, rounded_each, with_the_rest};
use crate::prorate::{DayCount, DaySettings, PeriodEnd, Share, TerminationDay};
use crate::{RatingError, rounded};

pub(super) type Answer = Option<Result<Map<String, Json>, Failure>>;
type Operation = fn(&Node, &str, Currency, &mut Reading) -> Answer;

pub(super) const OPERATIONS: [(&str, Operation); 5] = [
    ("allocate", allocation),
    ("prorate", proration),
    ("commitment", commitment),
    ("invoice", invoice),
    ("round", rounding),
];

/// One of several words; the first is the default.
macro_rules! word {
    ($table:expr, $reading:expr, $key:literal, { $first:literal => $default:expr, $($word:literal => $value:expr),+ }) => {
        $table
            .optional($reading, $key, |node, path, reading| {
                let value = match Table::text(node, path, reading)?.as_str() {
                    $first => $default,
                    $($word => $value,)+
                    other => {
                        let what = format!("{other:?} is no value of {}", $key);
                        let mend = concat!("use ", $first, $(" or ", $word),+);
                        reading.flaw(node.at.clone(), path, what, mend);
                        return None;
                    }
                };
                Some(value)
            })?
            .unwrap_or($default)
    };
}
pub(super) use word;

fn rounding(node: &Node, path: &str, currency: Currency, reading: &mut Reading) -> Answer {
    let exact = amount(node, path, reading)?;
    Some(rounded(exact, currency).map(|money| totals(currency, money, Vec::new())).map_err(Failure::at("round")))
}

fn allocation(node: &Node, path: &str, currency: Currency, reading: &mut Reading) -> Answer {
    let mut table = Table::of(node, path, reading)?;
    let whole = table.required(reading, "amount", "an allocation", amount)?;
    let weights = table.required(reading, "weights", "an allocation", amounts)?;
    let keys = table.optional(reading, "keys", Table::texts)?;
    let digits = table.optional(reading, "digits", Table::count)?;
    let split = word!(table, reading, "split", { "largest_remainder" => Split::LargestRemainder, "each" => Split::Each,
            "first" => Split::First, "last" => Split::Last });
    if split != Split::LargestRemainder {
        for (key, is_said) in [("keys", keys.is_some()), ("digits", digits.is_some())] {
            if is_said {
                let what = format!("{key} says nothing of parts that are rounded each alone");
                reading.flaw(node.at.clone(), &table.path_of(key), what, "remove it; the line may say digits");
            }
        }
    }
    table.finish(reading);
    if split != Split::LargestRemainder {
        let each = || {
            let parts = match split {
                Split::First | Split::Last => {
                    with_the_rest(whole_money(whole, currency)?, &weights, split == Split::First)?
                }
                _ => rounded_each(whole, &weights, currency)?,
            };
            let mut total = Money::zero(currency);
            for part in &parts {
                total = total.checked_add(*part).map_err(|source| RatingError::Money { currency, source })?;
            }
            let parts: Vec<String> = parts.into_iter().map(plain).collect();
            Ok(allocated(currency, parts, plain(total)))
        };
        return Some(each().map_err(Failure::at("allocate")));
    }
    let split = || -> Result<Vec<String>, RatingError> {
        if keys.is_none() && digits.is_none() {
            let parts = allocate(whole_money(whole, currency)?, &weights)?;
            return Ok(parts.into_iter().map(plain).collect());
        }
        let digits = digits.unwrap_or(currency.exponent());
        let units = whole.round_to_minor(digits, 1)?;
        if Exact::scaled(units, digits) != whole {
            let what = format!("{whole} has more than {digits} digits after the point");
            return Err(RatingError::Input { what, mend: "round it first" });
        }
        // Digits that the currency prints, but always as 0, are no digits to split into. Finer ones are the caller's
        // own.
        let coarser = currency.exponent().checked_sub(digits).and_then(|gap| 10_i64.checked_pow(gap));
        let step = coarser.map_or(1, |coarser| (currency.step_minor() / coarser).max(1));
        if units % step != 0 {
            let what =
                format!("{whole} is no multiple of {}, the smallest amount of {currency}", Exact::scaled(step, digits));
            return Err(RatingError::Input { what, mend: "round it first" });
        }
        let keys = keys.unwrap_or_else(|| vec![String::new(); weights.len()]);
        let parts = allocate_units_by(units / step, &weights, &keys)?;
        Ok(parts.into_iter().map(|part| Exact::scaled(part * step, digits).to_string()).collect())
    };
    Some(split().map_err(Failure::at("allocate")).map(|parts| allocated(currency, parts, whole.to_string())))
}

fn allocated(currency: Currency, parts: Vec<String>, total: String) -> Map<String, Json> {
    let currency = ("currency".to_owned(), json!(currency.code()));
    Map::from_iter([currency, ("parts".to_owned(), json!(parts)), ("total".to_owned(), json!(total))])
}

/// The share of a period; the whole where no periods are given. A service that lies outside of its period, or a part of
/// it, is refused: counted as it stands, time of another period would be charged with this one's.
pub(super) fn share(table: &mut Table<'_>, reading: &mut Reading) -> Option<Share> {
    let rules = ["period_end", "termination_day", "day_count"].into_iter().find(|key| table.has(key));
    let of_part = ["by", "time_zone", "rest", "is_prorated"].into_iter().find(|key| table.has(key)).or(rules);
    let full = table.optional(reading, "period", ends)?;
    let service = table.optional(reading, "service", ends)?;
    let zone = table.optional(reading, "time_zone", zone)?;
    let by_days = word!(table, reading, "by", { "time" => false, "days" => true });
    let settings = DaySettings {
        period_end: word!(table, reading, "period_end",
            { "exclusive" => PeriodEnd::Exclusive, "inclusive" => PeriodEnd::Inclusive }),
        termination_day: word!(table, reading, "termination_day",
            { "not_counted" => TerminationDay::NotCounted, "counted" => TerminationDay::Counted }),
        day_count: table.optional(reading, "day_count", day_count)?.unwrap_or_default(),
    };
    let is_on = table.optional(reading, "is_prorated", flag)?.unwrap_or(true);
    let is_rest = table.optional(reading, "rest", flag)?.unwrap_or(false);
    let mut flaw = |key: &str, what: String, mend: &str| {
        reading.flaw(table.at(), &table.path_of(key), what, mend);
        None
    };
    let (full, service) = match (full, service, of_part) {
        (Some(full), Some(service), _) => (full, service),
        (None, None, None) => return Some(Share::WHOLE),
        (Some(_), None, _) => return flaw("service", "a period alone is no part of it".to_owned(), "add service"),
        (None, Some(_), _) => return flaw("period", "a service alone is no part of anything".to_owned(), "add period"),
        (None, None, Some(key)) => {
            return flaw(key, format!("{key} says nothing without a period"), "add period and service");
        }
    };
    if let (false, Some(key)) = (by_days, rules) {
        return flaw(key, format!("{key} says nothing of a part by time"), "add by: days, or remove it");
    }
    // An instant inside a day of UTC is a midnight somewhere else, or a mistake; cutting it would count another day.
    let of_no_day = [("period", full), ("service", service)].into_iter().find(|(_, ends)| !ends.is_of_days());
    if let (true, None, Some((key, _))) = (by_days, zone, of_no_day) {
        let what = "days are counted, and an instant is no midnight of UTC".to_owned();
        return flaw(key, what, "add time_zone, whose days are meant, such as \"Europe/Berlin\", or give dates");
    }
    let zone = zone.unwrap_or(Tz::UTC);
    let mut period = |ends: Ends, key: &str| ends.period(zone, &table.path_of(key), reading);
    let (full, service): (Period, Period) = (period(full, "period")?, period(service, "service")?);
    // The whole and more is the whole; where days of something else are counted, it would be more days than the period
    // has.
    let is_of_period = !by_days || !matches!(settings.day_count, DayCount::Always(_));
    let is_inside = full.start <= service.start && service.end <= full.end;
    let is_whole = is_of_period && service.start <= full.start && full.end <= service.end;
    if !(is_inside || is_whole) {
        let (how, mend) = match service.intersect(&full) {
            Some(Period { start, end }) => {
                let [start, end] = [start, end].map(print_instant);
                ("lies partly outside", format!("cut it to the period: [{start:?}, {end:?}]"))
            }
            None => ("lies outside", "leave it out: nothing of it lies in the period".to_owned()),
        };
        let what = format!("the service {service} {how} of the period {full}");
        reading.flaw(table.at(), &table.path_of("service"), what, mend);
        return None;
    }
    let share = match (is_on, by_days) {
        (false, _) => Share::WHOLE,
        (true, true) => Share::by_days(full, service, zone, settings),
        (true, false) => Share::by_time(full, service),
    };
    Some(if is_rest { share.rest() } else { share })
}

/// `period`, `30_360`, or so many days.
fn day_count(node: &Node, path: &str, reading: &mut Reading) -> Option<DayCount> {
    match &node.value {
        Value::Text(word) if word == "period" => Some(DayCount::Period),
        Value::Text(word) if word == "30_360" => Some(DayCount::ThirtyEach),
        _ => {
            let mut own = Reading::default();
            let days = Table::count(node, path, &mut own).filter(|days| *days > 0);
            if days.is_none() {
                let what = format!("{} is no value of day_count", told(&node.value));
                reading.flaw(node.at.clone(), path, what, "use period, 30_360 or a number of days, such as 30 or 365");
            }
            days.map(DayCount::Always)
        }
    }
}

fn told(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Whole(number) => number.to_string(),
        other => other.name().to_owned(),
    }
}

fn proration(node: &Node, path: &str, currency: Currency, reading: &mut Reading) -> Answer {
    let mut table = Table::of(node, path, reading)?;
    let fee = table.required(reading, "amount", "a proration", amount)?;
    let share = share(&mut table, reading)?;
    table.finish(reading);
    let due = || rounded(share.of(fee)?, currency);
    Some(due().map(|due| totals(currency, due, Vec::new())).map_err(Failure::at("prorate")))
}

fn commitment(node: &Node, path: &str, currency: Currency, reading: &mut Reading) -> Answer {
    let mut table = Table::of(node, path, reading)?;
    let least = table.required(reading, "amount", "a commitment", Table::amount)?;
    let billed = table.required(reading, "billed", "a commitment", amount)?;
    let share = share(&mut table, reading)?;
    table.finish(reading);
    let due = || true_up(least, share, whole_money(billed, currency)?, currency);
    Some(due().map(|due| totals(currency, due, Vec::new())).map_err(Failure::at("commitment")))
}
