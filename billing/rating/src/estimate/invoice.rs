//! A whole document of another system: lines → coupons → subtotal → tax → total → credits → due.
//!
//! - `lines`: `amount`, or `price` with all that may stand beside one; `tax_percent` or `tax_percents`, `tax_mode`;
//! - `coupons`: `amount`, or `percent` and `maximum`; `lines`;
//! - `credits`: `amount`, `effective_at`, `expires_at`, `priority`, `lines`;
//! - `line_amounts`, `split`, `tax_mode`, `tax_lines`, `compound_tax`, `credits_pay`, `at`.
//!
//! Lines and credits are told by their place, from 0 on. Each printed amount is rounded once.

use serde_json::{Map, Value as Json, json};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::price::node::Node;
use tollbook_schemas::price::read::{Reading, Table};

use super::document::{Answer, word};
use super::input::{amount, flag, list};
use super::instants::instant_us;
use super::{Failure, asked, plain, totals, whole_money};
use crate::allocate::allocate;
use crate::coupon::{Coupon, Off, Split, reductions_of};
use crate::credit::{Credit, Draw, draw_where};
use crate::split::minus;
use crate::tax::{TaxLine, TaxLines, TaxMode, Taxable, exact_tax, tax_lines};
use crate::{RatingError, rounded};

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
    let tax_percent = table.optional(reading, "tax_percent", Table::amount)?;
    let tax_percents = table.optional(reading, "tax_percents", |n, p, r| list(n, p, r, Table::amount))?;
    let mode = table.optional(reading, "tax_mode", tax_mode)?;
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
    if tax_percent.is_some() && tax_percents.is_some() {
        reading.flaw(node.at.clone(), path, "tax_percent and tax_percents say two things", "remove one");
        return None;
    }
    let tax_percents = tax_percents.unwrap_or_else(|| tax_percent.into_iter().collect());
    Some(LineInput { amount, told, tax_percents, mode })
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
    let credits = table.optional(reading, "credits", |n, p, r| list(n, p, r, credit_input))?.unwrap_or_default();
    let at_us = table.optional(reading, "at", instant_us)?;
    let split = word!(table, reading, "split",
        { "largest_remainder" => Split::LargestRemainder, "exact" => Split::Exact, "each" => Split::Each });
    let mode = table.optional(reading, "tax_mode", tax_mode)?.unwrap_or(TaxMode::Exclusive);
    let by = word!(table, reading, "tax_lines",
        { "per_rate" => TaxLines::PerRate, "per_line" => TaxLines::PerLine, "total" => TaxLines::Total });
    let is_compound = table.optional(reading, "compound_tax", flag)?.unwrap_or(false);
    let pays = word!(table, reading, "credits_pay",
        { "total" => Pays::Total, "lines" => Pays::Lines, "before_tax" => Pays::BeforeTax });
    table.finish(reading);
    if pays != Pays::Total && credits.is_empty() {
        let what = "credits_pay says nothing here: there are no credits";
        reading.flaw(node.at.clone(), &format!("{path}.credits_pay"), what, "remove it");
        return None;
    }
    if is_compound && lines.iter().all(|line| line.tax_percents.len() < 2) {
        let what = "compound_tax says nothing here: no line has several taxes";
        reading.flaw(node.at.clone(), &format!("{path}.compound_tax"), what, "give tax_percents, in their order");
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
    let settings = DocumentSettings { line_amounts, split, mode, by, is_compound, pays, at_us };
    Some(made(&lines, &coupons, &credits, settings, currency).map_err(Failure::at("invoice")))
}

impl LineAmounts {
    fn of(self, amount: Exact, currency: Currency) -> Result<Exact, RatingError> {
        let money = match self {
            Self::Printed => whole_money(amount, currency)?,
            Self::Round => rounded(amount, currency)?,
            Self::Keep => return Ok(amount),
        };
        Ok(exact(money))
    }
}

fn exact(money: Money) -> Exact {
    Exact::scaled(money.minor, money.currency.exponent())
}

fn place(line: &u32) -> usize {
    usize::try_from(*line).unwrap_or(usize::MAX)
}

/// What each tax of a line is computed of. Taxes are of the amount alone, or (compound) of the taxes before them, too; inside
/// of an amount each is of what there is without those that are not its own.
fn taxables(line: &LineInput, left: Exact, mode: TaxMode, is_compound: bool) -> Result<Vec<Taxable>, RatingError> {
    let hundred = Exact::whole(100);
    let with = |percent: Decimal| hundred.checked_add(percent.into());
    let percents = &line.tax_percents;
    let mut net = left;
    if mode == TaxMode::Inclusive && percents.len() > 1 {
        if is_compound {
            for percent in percents {
                net = net.checked_mul(hundred)?.checked_div(with(*percent)?)?;
            }
        } else {
            let all = percents.iter().try_fold(hundred, |sum, percent| sum.checked_add((*percent).into()))?;
            net = net.checked_mul(hundred)?.checked_div(all)?;
        }
    }
    let mut found = Vec::new();
    let mut base = net;
    for percent in percents {
        let and_this = base.checked_mul(with(*percent)?)?.checked_div(hundred)?;
        let amount = match mode {
            TaxMode::Exclusive => base,
            // A single tax is in the amount as it stands.
            TaxMode::Inclusive if percents.len() == 1 => left,
            TaxMode::Inclusive => and_this,
        };
        found.push(Taxable { amount, percent: *percent });
        if is_compound {
            base = and_this;
        }
    }
    Ok(found)
}

/// The taxes of lines, those on top and those inside each by themselves, and what is on top in all.
fn taxed(
    lines: &[LineInput],
    left: &[Exact],
    settings: DocumentSettings,
    currency: Currency,
) -> Result<(Vec<TaxLine>, Money), RatingError> {
    let mut taxes = Vec::new();
    let mut on_top = Money::zero(currency);
    for mode in [TaxMode::Exclusive, TaxMode::Inclusive] {
        let mut of_mode = Vec::new();
        for (line, left) in lines.iter().zip(left) {
            if line.mode.unwrap_or(settings.mode) == mode {
                of_mode.extend(taxables(line, *left, mode, settings.is_compound)?);
            }
        }
        let found = tax_lines(&of_mode, mode, settings.by, currency)?;
        if mode == TaxMode::Exclusive {
            on_top = sum(found.iter().map(|line| line.tax), currency)?;
        }
        taxes.extend(found);
    }
    Ok((taxes, on_top))
}

fn sum(amounts: impl Iterator<Item = Money>, currency: Currency) -> Result<Money, RatingError> {
    let mut sum = Money::zero(currency);
    for amount in amounts {
        sum = sum.checked_add(amount).map_err(|source| RatingError::Money { currency, source })?;
    }
    Ok(sum)
}

/// What a total comes to by line, taxes on top with it: parts that add up to it.
fn by_line(
    lines: &[LineInput],
    left: &[Exact],
    total: Money,
    settings: DocumentSettings,
) -> Result<Vec<Money>, RatingError> {
    if total.minor <= 0 {
        return Ok(vec![Money::zero(total.currency); lines.len()]);
    }
    let mut weights = Vec::new();
    for (line, left) in lines.iter().zip(left) {
        let mode = line.mode.unwrap_or(settings.mode);
        let mut due = *left;
        if mode == TaxMode::Exclusive {
            for taxable in taxables(line, *left, mode, settings.is_compound)? {
                due = due.checked_add(exact_tax(taxable, mode)?)?;
            }
        }
        if due.is_negative() {
            let what = "a credit pays lines of its own, and a line is below zero".to_owned();
            return Err(RatingError::Input {
                what,
                mend: "take it off another line, or leave lines of the credit out",
            });
        }
        weights.push(due);
    }
    allocate(total, &weights)
}

fn coupon(input: &CouponInput, currency: Currency) -> Result<Coupon, RatingError> {
    let off = match (input.amount, input.percent) {
        (Some(amount), _) => Off::Amount(whole_money(amount, currency)?),
        (None, percent) => {
            let percent = percent.unwrap_or(Decimal::ZERO);
            match input.maximum {
                None => Off::Percent(percent),
                Some(most) => Off::PercentUpTo(percent, whole_money(most, currency)?),
            }
        }
    };
    Ok(Coupon { off, lines: input.lines.as_ref().map(|lines| lines.iter().map(place).collect()) })
}

/// What credits paid, and of which lines; the last place is that of the taxes.
struct Paid {
    draws: Vec<Draw>,
    left: Vec<Money>,
    /// Whether a place is told.
    has_lines: bool,
}

fn pay(
    inputs: &[CreditInput],
    payable: &[Money],
    has_lines: bool,
    settings: DocumentSettings,
    currency: Currency,
) -> Result<Paid, RatingError> {
    let mut credits = Vec::new();
    for input in inputs {
        let priority = i64::from(input.priority.unwrap_or(0));
        let amount = whole_money(input.amount, currency)?;
        credits.push(Credit { amount, expires_at_us: input.expires_at_us, priority });
    }
    let may_pay = |credit: usize, line: usize| {
        inputs.get(credit).is_some_and(|input| {
            let is_effective = input.effective_at_us.is_none_or(|from| from <= settings.at_us);
            is_effective && input.lines.as_ref().is_none_or(|lines| lines.iter().any(|own| place(own) == line))
        })
    };
    let paid = draw_where(&credits, payable, settings.at_us, currency, may_pay)?;
    Ok(Paid { draws: paid.draws, left: paid.left, has_lines })
}

fn made(
    lines: &[LineInput],
    coupons: &[CouponInput],
    credits: &[CreditInput],
    settings: DocumentSettings,
    currency: Currency,
) -> Result<Map<String, Json>, RatingError> {
    let amounts: Vec<Exact> =
        lines.iter().map(|line| settings.line_amounts.of(line.amount, currency)).collect::<Result<_, _>>()?;
    let coupons: Vec<Coupon> = coupons.iter().map(|input| coupon(input, currency)).collect::<Result<_, _>>()?;
    let off = reductions_of(&amounts, &coupons, settings.split, currency)?;
    let mut left = Vec::new();
    for (amount, off) in amounts.iter().zip(&off) {
        left.push(amount.checked_sub(*off)?);
    }
    let subtotal = left.iter().try_fold(Exact::ZERO, |sum, left| sum.checked_add(*left))?;
    let subtotal = rounded(subtotal, currency)?;
    let of_lines = credits.iter().flat_map(|credit| credit.lines.iter().flatten());
    if let Some(missing) = of_lines.map(place).find(|line| *line >= lines.len()) {
        let what = format!("a credit pays line {missing}, and there are {} lines", lines.len());
        return Err(RatingError::Input { what, mend: "count lines from 0" });
    }
    let has_lines = settings.pays != Pays::Total || credits.iter().any(|credit| credit.lines.is_some());
    let printed = || left.iter().map(|left| whole_money(*left, currency)).collect::<Result<Vec<_>, _>>();
    let mut paid = None;
    let mut taxable = left.clone();
    if settings.pays == Pays::BeforeTax {
        let early = pay(credits, &printed()?, has_lines, settings, currency)?;
        for draw in &early.draws {
            taxable[draw.line] = taxable[draw.line].checked_sub(exact(draw.amount))?;
        }
        paid = Some(early);
    }
    let (taxes, on_top) = taxed(lines, &taxable, settings, currency)?;
    let total = subtotal.checked_add(on_top).map_err(|source| RatingError::Money { currency, source })?;
    if !credits.is_empty() && paid.is_none() {
        // As on documents, credits pay what all of it comes to: a line below zero leaves less to pay, and a credit note none.
        let payable = match settings.pays {
            Pays::Lines => [printed()?.as_slice(), &[on_top]].concat(),
            _ if has_lines => by_line(lines, &left, total, settings)?,
            _ => vec![total],
        };
        paid = Some(pay(credits, &payable, has_lines, settings, currency)?);
    }
    let mut told_lines = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        for told in &line.told {
            let mut told = told.clone();
            told["line"] = json!(place);
            told_lines.push(told);
        }
    }
    let mut answer = totals(currency, total, told_lines);
    if let Some(paid) = paid {
        let mut due = total;
        for draw in &paid.draws {
            due = minus(due, draw.amount)?;
        }
        let told = |draw: &Draw| {
            let mut told = json!({ "amount": plain(draw.amount), "credit": draw.credit });
            if paid.has_lines {
                told["line"] = json!(draw.line);
            }
            told
        };
        let draws: Vec<Json> = paid.draws.iter().map(told).collect();
        answer.insert("draws".to_owned(), json!(draws));
        answer.insert("due".to_owned(), json!(plain(due)));
        answer.insert("left".to_owned(), json!(paid.left.into_iter().map(plain).collect::<Vec<_>>()));
    }
    let tax = sum(taxes.iter().map(|line| line.tax), currency)?;
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
