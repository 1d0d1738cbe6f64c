//! What a document comes to, from its lines, coupons and credits as they were read.

use serde_json::{Map, Value as Json, json};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::{Currency, Money};

use super::super::{plain, totals, whole_money};
use super::limits::{LimitInput, hold};
use super::{CouponInput, CreditInput, DocumentSettings, LineAmounts, LineInput, Pays};
use crate::allocate::allocate;
use crate::coupon::{Coupon, Off, reductions_of};
use crate::credit::{Credit, Draw, draw_where};
use crate::split::minus;
use crate::tax::{TaxLine, TaxMode, Taxable, exact_tax, tax_lines};
use crate::{RatingError, rounded};

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

pub(super) fn exact(money: Money) -> Exact {
    Exact::scaled(money.minor, money.currency.exponent())
}

fn place(line: &u32) -> usize {
    usize::try_from(*line).unwrap_or(usize::MAX)
}

/// The places of lines that something is of, each once.
///
/// # Errors
/// [`RatingError::Input`] for one that is not there.
pub(super) fn places(own: &[u32], given: usize, who: impl Fn() -> String) -> Result<Vec<usize>, RatingError> {
    let mut places: Vec<usize> = own.iter().map(place).collect();
    places.sort_unstable();
    places.dedup();
    match places.iter().find(|line| **line >= given) {
        None => Ok(places),
        Some(missing) => {
            let what = format!("{} line {missing}, and there are {given} lines", who());
            Err(RatingError::Input { what, mend: "count lines from 0" })
        }
    }
}

/// What each tax of a line is computed of. Taxes are of the amount alone, or (compound) of the taxes before them, too;
/// inside of an amount each is of what there is without those that are not its own.
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
        let mut found = tax_lines(&of_mode, mode, settings.by, settings.tax_currency)?;
        for line in &mut found {
            line.tax.currency = currency;
        }
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

pub(super) fn made(
    mut lines: Vec<LineInput>,
    coupons: &[CouponInput],
    limits: &[LimitInput],
    credits: &[CreditInput],
    settings: DocumentSettings,
    currency: Currency,
) -> Result<Map<String, Json>, RatingError> {
    let amounts: Vec<Exact> =
        lines.iter().map(|line| settings.line_amounts.of(line.amount, currency)).collect::<Result<_, _>>()?;
    let mut left = amounts.clone();
    for input in coupons {
        // Each may be rounded in its own way.
        let own = currency.replayed(None, input.rounding.unwrap_or(currency.rounding())).unwrap_or(currency);
        let off = reductions_of(&left, &[coupon(input, own)?], settings.split, own)?;
        for (left, off) in left.iter_mut().zip(off) {
            *left = left.checked_sub(off)?;
        }
    }
    let off = amounts.iter().zip(&left).map(|(amount, left)| Ok(amount.checked_sub(*left)?));
    let off = off.collect::<Result<Vec<Exact>, RatingError>>()?;
    let given = lines.len();
    let added = hold(limits, &mut lines, &mut left, settings, currency)?;
    let subtotal = left.iter().try_fold(Exact::ZERO, |sum, left| sum.checked_add(*left))?;
    let subtotal = rounded(subtotal, currency)?;
    for own in credits.iter().filter_map(|credit| credit.lines.as_ref()) {
        _ = places(own, given, || "a credit pays".to_owned())?;
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
    let (taxes, on_top) = taxed(&lines, &taxable, settings, currency)?;
    let total = subtotal.checked_add(on_top).map_err(|source| RatingError::Money { currency, source })?;
    if !credits.is_empty() && paid.is_none() {
        // As on documents, credits pay what all of it comes to: a line below zero leaves less to pay, and a credit note
        // none.
        let payable = match settings.pays {
            Pays::Lines => [printed()?.as_slice(), &[on_top]].concat(),
            _ if has_lines => by_line(&lines, &left, total, settings)?,
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
    if !added.is_empty() {
        answer.insert("limits".to_owned(), json!(added.iter().map(ToString::to_string).collect::<Vec<_>>()));
    }
    answer.insert("subtotal".to_owned(), json!(plain(subtotal)));
    answer.insert("tax".to_owned(), json!(plain(tax)));
    answer.insert("taxes".to_owned(), Json::Array(taxes));
    Ok(answer)
}
