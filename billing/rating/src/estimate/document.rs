//! What concerns no single price: an allocation, a proration, a commitment, a whole document.
//!
//! - `allocate`: `amount`, `weights`, optional `keys`, optional `digits` in place of the currency's own, `split`;
//! - `prorate`: `amount`, `period` and `service` as `[start, end]`, optional `time_zone`, `by` (`time`, the default, or `days`),
//!   `period_end`, `termination_day`, `day_count`, `rest` (give back what is left);
//! - `commitment`: `amount`, `billed`, and the same periods, both optional;
//! - `invoice`: `lines` (`amount`, `tax_percent` or `tax_percents`), `coupons` (`amount`, or `percent` and `maximum`; `lines`), `split`
//!   (`largest_remainder`, `exact` or `each`), `tax_mode`, `tax_lines`, `line_amounts`, `credits_pay`, `credits` (`amount`, `expires_at`, `priority`), `at`.

use serde_json::{Map, Value as Json, json};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::{Period, Tz};
use tollbook_schemas::price::node::Node;
use tollbook_schemas::price::read::{Reading, Table};

use super::input::{amount, amounts, flag, list};
use super::instants::{Ends, ends, instant_us, zone};
use super::{Failure, plain, totals, whole_money};
use crate::allocate::{allocate, allocate_units_by};
use crate::commitment::true_up;
use crate::coupon::{Coupon, Off, Split, reductions_of, rounded_each};
use crate::credit::{Credit, Draw, draw};
use crate::prorate::{DayCount, DaySettings, PeriodEnd, Share, TerminationDay};
use crate::split::minus;
use crate::tax::{TaxLines, TaxMode, Taxable, tax_lines};
use crate::{RatingError, rounded};

type Answer = Option<Result<Map<String, Json>, Failure>>;
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
    let split =
        word!(table, reading, "split", { "largest_remainder" => Split::LargestRemainder, "each" => Split::Each });
    if split == Split::Each {
        for (key, is_said) in [("keys", keys.is_some()), ("digits", digits.is_some())] {
            if is_said {
                let what = format!("{key} says nothing of parts that are rounded each alone");
                reading.flaw(node.at.clone(), &table.path_of(key), what, "remove it; the line may say digits");
            }
        }
    }
    table.finish(reading);
    if split == Split::Each {
        let each = || {
            let parts = rounded_each(whole, &weights, currency)?;
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
        // Digits that the currency prints, but always as 0, are no digits to split into. Finer ones are the caller's own.
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

/// The share of a period; the whole where no periods are given.
fn share(table: &mut Table<'_>, reading: &mut Reading) -> Option<Share> {
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
        day_count: word!(table, reading, "day_count",
            { "period" => DayCount::Period, "30" => DayCount::Thirty, "365" => DayCount::Year,
              "30_360" => DayCount::ThirtyEach }),
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
    if service.end < full.start || service.start > full.end {
        let what = format!("the service {service} lies outside of the period {full}");
        reading.flaw(table.at(), &table.path_of("service"), what, "give what was served of this period");
        return None;
    }
    let share = match (is_on, by_days) {
        (false, _) => Share::WHOLE,
        (true, true) => Share::by_days(full, service, zone, settings),
        (true, false) => Share::by_time(full, service),
    };
    Some(if is_rest { share.rest() } else { share })
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

struct LineInput {
    amount: Exact,
    tax_percents: Vec<Decimal>,
}

struct CouponInput {
    amount: Option<Exact>,
    percent: Option<Decimal>,
    maximum: Option<Exact>,
    lines: Option<Vec<u32>>,
}

struct CreditInput {
    amount: Exact,
    expires_at_us: Option<i64>,
    priority: Option<u32>,
}

fn line_input(node: &Node, path: &str, reading: &mut Reading) -> Option<LineInput> {
    let mut table = Table::of(node, path, reading)?;
    let amount = table.required(reading, "amount", "a line", amount)?;
    let tax_percent = table.optional(reading, "tax_percent", Table::amount)?;
    let tax_percents = table.optional(reading, "tax_percents", |n, p, r| list(n, p, r, Table::amount))?;
    table.finish(reading);
    if tax_percent.is_some() && tax_percents.is_some() {
        reading.flaw(node.at.clone(), path, "tax_percent and tax_percents say two things", "remove one");
        return None;
    }
    let tax_percents = tax_percents.unwrap_or_else(|| tax_percent.into_iter().collect());
    Some(LineInput { amount, tax_percents })
}

fn coupon_input(node: &Node, path: &str, reading: &mut Reading) -> Option<CouponInput> {
    let mut table = Table::of(node, path, reading)?;
    let amount = table.optional(reading, "amount", amount)?;
    let percent = table.optional(reading, "percent", Table::amount)?;
    let maximum = table.optional(reading, "maximum", self::amount)?;
    let lines = table.optional(reading, "lines", |node, path, reading| list(node, path, reading, Table::count))?;
    table.finish(reading);
    if amount.is_some() == percent.is_some() {
        reading.flaw(node.at.clone(), path, "a coupon takes off an amount or a percentage", "give one of them");
        return None;
    }
    if maximum.is_some() && percent.is_none() {
        let what = "maximum says nothing of a coupon that takes off an amount";
        reading.flaw(node.at.clone(), &format!("{path}.maximum"), what, "remove maximum");
        return None;
    }
    Some(CouponInput { amount, percent, maximum, lines })
}

fn credit_input(node: &Node, path: &str, reading: &mut Reading) -> Option<CreditInput> {
    let mut table = Table::of(node, path, reading)?;
    let amount = table.required(reading, "amount", "a credit", amount)?;
    let expires_at_us = table.optional(reading, "expires_at", instant_us)?;
    let priority = table.optional(reading, "priority", Table::count)?;
    table.finish(reading);
    Some(CreditInput { amount, expires_at_us, priority })
}

fn invoice(node: &Node, path: &str, currency: Currency, reading: &mut Reading) -> Answer {
    let mut table = Table::of(node, path, reading)?;
    let lines = table.required(reading, "lines", "an invoice", |n, p, r| list(n, p, r, line_input))?;
    let coupons = table.optional(reading, "coupons", |n, p, r| list(n, p, r, coupon_input))?.unwrap_or_default();
    let credits = table.optional(reading, "credits", |n, p, r| list(n, p, r, credit_input))?.unwrap_or_default();
    let at_us = table.optional(reading, "at", instant_us)?;
    let split = word!(table, reading, "split",
        { "largest_remainder" => Split::LargestRemainder, "exact" => Split::Exact, "each" => Split::Each });
    let mode = word!(table, reading, "tax_mode",
        { "exclusive" => TaxMode::Exclusive, "inclusive" => TaxMode::Inclusive });
    let by = word!(table, reading, "tax_lines",
        { "per_rate" => TaxLines::PerRate, "per_line" => TaxLines::PerLine, "total" => TaxLines::Total });
    let line_amounts = word!(table, reading, "line_amounts",
        { "printed" => LineAmounts::Printed, "round" => LineAmounts::Round, "keep" => LineAmounts::Keep });
    let pays_lines = word!(table, reading, "credits_pay", { "total" => false, "lines" => true });
    table.finish(reading);
    if pays_lines && credits.is_empty() {
        let what = "credits_pay says nothing here: there are no credits";
        reading.flaw(node.at.clone(), &format!("{path}.credits_pay"), what, "remove it");
        return None;
    }
    if credits.iter().any(|credit| credit.expires_at_us.is_some()) && at_us.is_none() {
        let what = "a credit expires, and the invoice does not say when it is";
        reading.flaw(node.at.clone(), path, what, "add at");
        return None;
    }
    let settings = DocumentSettings { line_amounts, split, mode, by, pays_lines };
    let document = || made(&lines, &coupons, &credits, at_us.unwrap_or(i64::MIN), settings, currency);
    Some(document().map_err(Failure::at("invoice")))
}

/// What is done with lines of more digits than the currency prints.
#[derive(Clone, Copy)]
enum LineAmounts {
    /// They are refused.
    Printed,
    /// Each is rounded.
    Round,
    /// They are kept until the sums are rounded.
    Keep,
}

impl LineAmounts {
    fn of(self, amount: Exact, currency: Currency) -> Result<Exact, RatingError> {
        let money = match self {
            Self::Printed => whole_money(amount, currency)?,
            Self::Round => rounded(amount, currency)?,
            Self::Keep => return Ok(amount),
        };
        Ok(Exact::scaled(money.minor, currency.exponent()))
    }
}

struct DocumentSettings {
    line_amounts: LineAmounts,
    split: Split,
    mode: TaxMode,
    by: TaxLines,
    pays_lines: bool,
}

/// Of an amount with several taxes inside what there is without the others: its net amount and this one.
fn taxed_by(amount: Exact, percent: Decimal, percents: &[Decimal]) -> Result<Exact, RatingError> {
    if let [_] = percents {
        return Ok(amount);
    }
    let hundred_and = |percent: Exact| Exact::whole(100).checked_add(percent);
    let sum = percents.iter().try_fold(Exact::ZERO, |sum, percent| sum.checked_add(Exact::from(*percent)))?;
    Ok(amount.checked_mul(hundred_and(percent.into())?)?.checked_div(hundred_and(sum)?)?)
}

/// Lines → coupons → subtotal → tax → total → credits → due.
fn made(
    lines: &[LineInput],
    coupons: &[CouponInput],
    credits: &[CreditInput],
    at_us: i64,
    DocumentSettings { line_amounts, split, mode, by, pays_lines }: DocumentSettings,
    currency: Currency,
) -> Result<Map<String, Json>, RatingError> {
    let amounts = lines.iter().map(|line| line_amounts.of(line.amount, currency)).collect::<Result<Vec<_>, _>>()?;
    let index = |line: &u32| usize::try_from(*line).unwrap_or(usize::MAX);
    let coupons = coupons.iter().map(|coupon| {
        let off = match (coupon.amount, coupon.percent) {
            (Some(amount), _) => Off::Amount(whole_money(amount, currency)?),
            (None, percent) => {
                let percent = percent.unwrap_or(Decimal::ZERO);
                match coupon.maximum {
                    None => Off::Percent(percent),
                    Some(most) => Off::PercentUpTo(percent, whole_money(most, currency)?),
                }
            }
        };
        Ok(Coupon { off, lines: coupon.lines.as_ref().map(|lines| lines.iter().map(index).collect()) })
    });
    let coupons = coupons.collect::<Result<Vec<_>, RatingError>>()?;
    let off = reductions_of(&amounts, &coupons, split, currency)?;
    let mut taxables = Vec::new();
    let mut subtotal = Exact::ZERO;
    let mut payable = Vec::new();
    for ((line, amount), off) in lines.iter().zip(&amounts).zip(&off) {
        let left = amount.checked_sub(*off)?;
        subtotal = subtotal.checked_add(left)?;
        if pays_lines {
            payable.push(whole_money(left, currency)?);
        }
        for percent in &line.tax_percents {
            let amount = if mode == TaxMode::Inclusive { taxed_by(left, *percent, &line.tax_percents)? } else { left };
            taxables.push(Taxable { amount, percent: *percent });
        }
    }
    let subtotal = rounded(subtotal, currency)?;
    let taxes = tax_lines(&taxables, mode, by, currency)?;
    let mut tax = Money::zero(currency);
    for line in &taxes {
        tax = tax.checked_add(line.tax).map_err(|source| RatingError::Money { currency, source })?;
    }
    let on_top = if mode == TaxMode::Exclusive { tax } else { Money::zero(currency) };
    let total = subtotal.checked_add(on_top).map_err(|source| RatingError::Money { currency, source })?;
    let credits = credits.iter().map(|credit| {
        let priority = i64::from(credit.priority.unwrap_or(0));
        Ok(Credit { amount: whole_money(credit.amount, currency)?, expires_at_us: credit.expires_at_us, priority })
    });
    let credits = credits.collect::<Result<Vec<_>, RatingError>>()?;
    let mut answer = totals(currency, total, Vec::new());
    if !credits.is_empty() {
        // As on documents, credits pay what all of it comes to: a line below zero leaves less to pay, and a credit note none.
        let payable = if pays_lines { [payable.as_slice(), &[on_top]].concat() } else { vec![total] };
        let paid = draw(&credits, &payable, at_us, currency)?;
        let mut due = total;
        for draw in &paid.draws {
            due = minus(due, draw.amount)?;
        }
        let told = |draw: &Draw| {
            let mut told = json!({ "amount": plain(draw.amount), "credit": draw.credit });
            if pays_lines {
                told["line"] = json!(draw.line);
            }
            told
        };
        let draws: Vec<Json> = paid.draws.iter().map(told).collect();
        answer.insert("draws".to_owned(), json!(draws));
        answer.insert("due".to_owned(), json!(plain(due)));
        answer.insert("left".to_owned(), json!(paid.left.into_iter().map(plain).collect::<Vec<_>>()));
    }
    let percent = |percent: Option<Decimal>| percent.map(|percent| percent.to_string());
    let taxes: Vec<Json> = taxes
        .iter()
        .map(|line| json!({ "base": line.base.to_string(), "percent": percent(line.percent), "tax": plain(line.tax) }))
        .collect();
    answer.insert("coupons".to_owned(), json!(off.iter().map(ToString::to_string).collect::<Vec<_>>()));
    answer.insert("subtotal".to_owned(), json!(plain(subtotal)));
    answer.insert("tax".to_owned(), json!(plain(tax)));
    answer.insert("taxes".to_owned(), Json::Array(taxes));
    Ok(answer)
}
