//! A whole document of another system: lines → coupons → limits → subtotal → tax → total → credits → due.
//!
//! - `lines`: `amount`, or `price` with all that may stand beside one; `tax_percent` or `tax_percents`, `tax_mode`;
//! - `coupons`: `amount`, or `percent` and `maximum`; `rounding`, `lines`;
//! - `limits` (`invoice/limits.rs`): `overage`, `minimum`, `maximum`, `part`, `lines`, and the tax of what they add;
//! - `credits`: `amount`, `effective_at`, `expires_at`, `priority`, `lines`;
//! - `line_amounts`, `split`, `tax_mode`, `tax_lines`, `tax_rounding`, `compound_tax`, `credits_pay`, `at`.
//!
//! Lines and credits are told by their place, from 0 on. Each printed amount is rounded once.

mod limits;
mod made;

use serde_json::Value as Json;
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::{Exact, Rounding};
use tollbook_schemas::money::Currency;
use tollbook_schemas::price::node::Node;
use tollbook_schemas::price::read::{Reading, Table};

use super::document::{Answer, word};
use super::input::{amount, flag, list};
use super::instants::instant_us;
use super::{Failure, asked, rounding};
use crate::coupon::Split;
use crate::tax::{TaxLines, TaxMode};
use limits::limit_input;
use made::made;

struct LineInput {
    amount: Exact,
    /// Of a price: its lines.
    told: Vec<Json>,
    tax_percents: Vec<Decimal>,
    /// In place of the document's.
    mode: Option<TaxMode>,
}

struct CouponInput {
    amount: Option<Exact>,
    percent: Option<Decimal>,
    maximum: Option<Exact>,
    /// In place of the line's.
    rounding: Option<Rounding>,
    lines: Option<Vec<u32>>,
}

struct CreditInput {
    amount: Exact,
    effective_at_us: Option<i64>,
    expires_at_us: Option<i64>,
    priority: Option<u32>,
    lines: Option<Vec<u32>>,
}

/// What is done with lines of more digits than the currency prints.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LineAmounts {
    /// They are refused.
    Printed,
    /// Each is rounded.
    Round,
    /// They are kept until the sums are rounded.
    Keep,
}

/// What credits pay.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pays {
    /// What all of it comes to.
    Total,
    /// The lines in their order, and then the taxes.
    Lines,
    /// The lines in their order, and taxes are of what is left.
    BeforeTax,
}

#[derive(Clone, Copy)]
struct DocumentSettings {
    line_amounts: LineAmounts,
    split: Split,
    mode: TaxMode,
    by: TaxLines,
    is_compound: bool,
    pays: Pays,
    at_us: i64,
    /// As what taxes are rounded.
    tax_currency: Currency,
}

fn tax_mode(node: &Node, path: &str, reading: &mut Reading) -> Option<TaxMode> {
    match Table::text(node, path, reading)?.as_str() {
        "exclusive" => Some(TaxMode::Exclusive),
        "inclusive" => Some(TaxMode::Inclusive),
        other => {
            let what = format!("{other:?} is no value of tax_mode");
            reading.flaw(node.at.clone(), path, what, "use exclusive or inclusive");
            None
        }
    }
}

/// The taxes of a line, and whether they are on top of it.
fn taxes_of(table: &mut Table<'_>, reading: &mut Reading) -> Option<(Option<Vec<Decimal>>, Option<TaxMode>)> {
    let one = table.optional(reading, "tax_percent", Table::amount)?;
    let several = table.optional(reading, "tax_percents", |n, p, r| list(n, p, r, Table::amount))?;
    let mode = table.optional(reading, "tax_mode", tax_mode)?;
    if one.is_some() && several.is_some() {
        let (at, path) = (table.at(), table.path_of("tax_percent"));
        reading.flaw(at, &path, "tax_percent and tax_percents say two things", "remove one");
        return None;
    }
    Some((several.or(one.map(|percent| vec![percent])), mode))
}

fn line_input(
    node: &Node,
    path: &str,
    line_amounts: LineAmounts,
    currency: Currency,
    reading: &mut Reading,
) -> Option<LineInput> {
    let mut table = Table::of(node, path, reading)?;
    table.know(&["price"]);
    let is_priced = table.has("price") && !table.has("amount");
    let amount = if is_priced { Exact::ZERO } else { table.required(reading, "amount", "a line", amount)? };
    let (tax_percents, mode) = taxes_of(&mut table, reading)?;
    let (mut amount, mut told) = (amount, Vec::new());
    if is_priced {
        let asked = asked(table, currency, reading)?;
        let kept = match (line_amounts, asked.exact()) {
            (LineAmounts::Keep, Some(exact)) => Some(exact),
            (LineAmounts::Keep, None) => {
                let what = "line_amounts: keep says nothing of a price that is billed in more than one go";
                let mend = "give the usage of the whole period, or remove line_amounts: each difference is rounded";
                reading.flaw(node.at.clone(), path, what, mend);
                return None;
            }
            _ => None,
        };
        let failed = |failure: Failure, reading: &mut Reading| failure.inside(path, reading);
        let answer = asked.answer(currency).map_err(|failure| failed(failure, reading)).ok()?;
        told = answer.get("lines").and_then(Json::as_array).cloned().unwrap_or_default();
        amount = match kept {
            None => Exact::scaled(answer.get("total_minor").and_then(Json::as_i64)?, currency.exponent()),
            Some(exact) => exact.map_err(|failure| failed(failure, reading)).ok()?,
        };
    } else if let Some(price) = table.place("price") {
        reading.flaw(price, &table.path_of("price"), "amount and price say two things", "remove one");
        return None;
    } else {
        table.finish(reading);
    }
    Some(LineInput { amount, told, tax_percents: tax_percents.unwrap_or_default(), mode })
}

fn coupon_input(node: &Node, path: &str, reading: &mut Reading) -> Option<CouponInput> {
    let mut table = Table::of(node, path, reading)?;
    let amount = table.optional(reading, "amount", amount)?;
    let percent = table.optional(reading, "percent", Table::amount)?;
    let maximum = table.optional(reading, "maximum", self::amount)?;
    let rounding = table.optional(reading, "rounding", rounding)?;
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
    Some(CouponInput { amount, percent, maximum, rounding, lines })
}

fn credit_input(node: &Node, path: &str, reading: &mut Reading) -> Option<CreditInput> {
    let mut table = Table::of(node, path, reading)?;
    let amount = table.required(reading, "amount", "a credit", amount)?;
    let effective_at_us = table.optional(reading, "effective_at", instant_us)?;
    let expires_at_us = table.optional(reading, "expires_at", instant_us)?;
    let priority = table.optional(reading, "priority", Table::count)?;
    let lines = table.optional(reading, "lines", |node, path, reading| list(node, path, reading, Table::count))?;
    table.finish(reading);
    Some(CreditInput { amount, effective_at_us, expires_at_us, priority, lines })
}

pub(super) fn invoice(node: &Node, path: &str, currency: Currency, reading: &mut Reading) -> Answer {
    let mut table = Table::of(node, path, reading)?;
    let lines_path = table.path_of("lines");
    let line_amounts = word!(table, reading, "line_amounts",
        { "printed" => LineAmounts::Printed, "round" => LineAmounts::Round, "keep" => LineAmounts::Keep });
    let lines = table.required(reading, "lines", "an invoice", |node, _, _| Some(node.clone()))?;
    let lines = list(&lines, &lines_path, reading, |n, p, r| line_input(n, p, line_amounts, currency, r))?;
    let coupons = table.optional(reading, "coupons", |n, p, r| list(n, p, r, coupon_input))?.unwrap_or_default();
    let limits = table.optional(reading, "limits", |n, p, r| list(n, p, r, limit_input))?.unwrap_or_default();
    let credits = table.optional(reading, "credits", |n, p, r| list(n, p, r, credit_input))?.unwrap_or_default();
    let at_us = table.optional(reading, "at", instant_us)?;
    let split = word!(table, reading, "split",
        { "largest_remainder" => Split::LargestRemainder, "exact" => Split::Exact, "each" => Split::Each,
          "first" => Split::First, "last" => Split::Last });
    let mode = table.optional(reading, "tax_mode", tax_mode)?.unwrap_or(TaxMode::Exclusive);
    let by = word!(table, reading, "tax_lines",
        { "per_rate" => TaxLines::PerRate, "per_line" => TaxLines::PerLine, "total" => TaxLines::Total });
    let tax_rounding = table.optional(reading, "tax_rounding", rounding)?;
    let is_compound = table.optional(reading, "compound_tax", flag)?.unwrap_or(false);
    let pays = word!(table, reading, "credits_pay",
        { "total" => Pays::Total, "lines" => Pays::Lines, "before_tax" => Pays::BeforeTax });
    table.finish(reading);
    if pays != Pays::Total && credits.is_empty() {
        let what = "credits_pay says nothing here: there are no credits";
        reading.flaw(node.at.clone(), &format!("{path}.credits_pay"), what, "remove it");
        return None;
    }
    let of_limits = || limits.iter().filter_map(|limit| limit.tax_percents.as_ref());
    if is_compound && lines.iter().map(|line| &line.tax_percents).chain(of_limits()).all(|taxes| taxes.len() < 2) {
        let what = "compound_tax says nothing here: no line has several taxes";
        reading.flaw(node.at.clone(), &format!("{path}.compound_tax"), what, "give tax_percents, in their order");
        return None;
    }
    if tax_rounding.is_some() && lines.iter().map(|line| &line.tax_percents).chain(of_limits()).all(Vec::is_empty) {
        let what = "tax_rounding says nothing here: no line is taxed";
        reading.flaw(node.at.clone(), &format!("{path}.tax_rounding"), what, "remove it");
        return None;
    }
    let is_unrounded = |coupon: &CouponInput| {
        let is_whole = coupon.amount.is_some() && split == Split::LargestRemainder;
        coupon.rounding.is_some() && (is_whole || split == Split::Exact)
    };
    if let Some(coupon) = coupons.iter().position(is_unrounded) {
        let what = "rounding says nothing here: what the coupon takes off is not rounded";
        reading.flaw(node.at.clone(), &format!("{path}.coupons[{coupon}].rounding"), what, "remove it");
        return None;
    }
    let (is_early, expires) = (
        credits.iter().any(|credit| credit.effective_at_us.is_some()),
        credits.iter().any(|credit| credit.expires_at_us.is_some()),
    );
    if (is_early || expires) && at_us.is_none() {
        let verb = if expires { "expires" } else { "is effective from a time on" };
        let what = format!("a credit {verb}, and the invoice does not say when it is");
        reading.flaw(node.at.clone(), path, what, "add at");
        return None;
    }
    let at_us = at_us.unwrap_or(i64::MIN);
    let tax_currency = currency.replayed(None, tax_rounding.unwrap_or(currency.rounding()))?;
    let settings = DocumentSettings { line_amounts, split, mode, by, is_compound, pays, at_us, tax_currency };
    Some(made(lines, &coupons, &limits, &credits, settings, currency).map_err(Failure::at("invoice")))
}
