//! What is asked of a price: its usage in one of several forms, each answered by its own rule of rating.
//!
//! - `quantity` or `usage`: the whole period, or with `is_last` its first split;
//! - `splits`: each alone, in order, with `is_last` and `thresholds`; `before` with `added` (alone) or `quantity` (the
//!   sum so far): one split;
//! - `billed` with `quantity`: late usage; `billed_amount` with `quantity`: the same, what was billed being an amount;
//! - `opening` with `quantity`: what another system billed of the period, and what was used since;
//! - `runs`: cumulative usage at the end of each part of the period, as each run knew it;
//! - `periods`: several periods, one after the other (`periods.rs`).

use serde_json::{Map, Value as Json, json};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::price::read::{Reading, Table};
use tollbook_schemas::price::setting::{Per, Proration};
use tollbook_schemas::price::{PriceModel, Tariff};

use super::input::{amount, amounts, flag, money_of, runs, usage, usages};
use super::of_use::useless;
use super::periods::periods_of;
use super::stretches::splits_are_apart;
use super::{Failure, plain, totals, whole_money};
use crate::opening::rate_after;
use crate::served::{Length, Served, Stretch};
use crate::split::{Delta, corrections, delta, due_by_threshold, minus, parts, rate_split};
use crate::working::{Component, ComponentWorking};
use crate::{Book, RatingError, Usage, price, rounded};

/// A usage and the key that it stands in.
pub(super) struct Given {
    pub(super) key: &'static str,
    pub(super) usage: Usage,
}

/// What a sum must pass before it is billed.
pub(super) struct Thresholds {
    fixed: Vec<Exact>,
    /// Above the largest, one again after each of these.
    recurring: Option<Exact>,
}

/// What is asked of a price.
pub(super) enum Job {
    Whole(Given),
    Splits { splits: Vec<Usage>, is_last: bool, thresholds: Option<Thresholds> },
    Split { before: Option<Usage>, now: Given, is_last: bool },
    Late { billed: Usage, now: Given },
    Rest { billed: Exact, now: Given, is_last: bool },
    After { opening: Usage, since: Given },
    Runs { runs: Vec<Vec<Usage>>, is_last: bool },
    Periods { periods: Vec<Usage> },
}

/// Reads the usage of a line; none when a flaw is recorded.
pub(super) fn job(table: &mut Table<'_>, book: Book<'_>, reading: &mut Reading) -> Option<Job> {
    let forms =
        ["quantity", "usage", "splits", "before", "added", "billed", "billed_amount", "opening", "runs", "periods"];
    let said: Vec<&'static str> = forms.into_iter().filter(|form| table.has(form)).collect();
    let split_nodes = table.list("splits");
    let (before_node, added_node) = (table.node("before"), table.node("added"));
    let mut take = |key, reading: &mut Reading| table.optional(reading, key, usage);
    let quantity = take("quantity", reading)?;
    let given = take("usage", reading)?;
    let before = take("before", reading)?;
    let added = take("added", reading)?;
    let billed = take("billed", reading)?;
    let opening = take("opening", reading)?;
    let billed_amount = table.optional(reading, "billed_amount", amount)?;
    let splits = table.optional(reading, "splits", usages)?;
    let runs = table.optional(reading, "runs", runs)?;
    let periods = table.optional(reading, "periods", usages)?;
    let is_last = table.optional(reading, "is_last", flag)?;
    let fixed = table.optional(reading, "thresholds", amounts)?;
    let recurring = table.optional(reading, "recurring_threshold", amount)?;
    let now = match (quantity, given) {
        (Some(usage), None) => Some(Given { key: "quantity", usage }),
        (None, Some(usage)) => Some(Given { key: "usage", usage }),
        _ => None,
    };
    let says_nothing = |key: &str, why: &str, reading: &mut Reading| {
        reading.flaw(
            table.at(),
            &table.path_of(key),
            format!("{key} says nothing here: {why}"),
            format!("remove {key}"),
        );
    };
    if is_last.is_some() && (billed.is_some() || opening.is_some() || periods.is_some()) {
        says_nothing("is_last", "only a split or a run may have others behind it", reading);
        return None;
    }
    for (key, is_said) in [("thresholds", fixed.is_some()), ("recurring_threshold", recurring.is_some())] {
        if is_said && splits.is_none() {
            says_nothing(key, "they are passed by splits", reading);
            return None;
        }
    }
    if let Some(step) = recurring.filter(|step| step.is_negative() || step.is_zero()) {
        let what = format!("{step} is not above 0");
        reading.flaw(table.at(), &table.path_of("recurring_threshold"), what, "write an amount above 0");
        return None;
    }
    let thresholds =
        (fixed.is_some() || recurring.is_some()).then(|| Thresholds { fixed: fixed.unwrap_or_default(), recurring });
    if opening.as_ref().is_some_and(|opening| opening.served.is_some()) {
        says_nothing("opening.served", "what was served is that of the whole period, beside quantity", reading);
        return None;
    }
    let is_carried = now.iter().map(|now| &now.usage).chain(&opening).any(|usage| usage.carried.is_some());
    if opening.is_some() && is_carried {
        says_nothing("carried", "what another system left does not carry over", reading);
        return None;
    }
    let one = [("before", &before), ("added", &added), ("billed", &billed)];
    let one = one.into_iter().filter_map(|(key, usage)| Some((key.to_owned(), usage.as_ref()?)));
    let one = one.chain(now.iter().map(|now| (now.key.to_owned(), &now.usage)));
    let listed = [("splits", &splits), ("periods", &periods)].into_iter().flat_map(|(key, usages)| {
        usages.iter().flatten().enumerate().map(move |(at, usage)| (format!("{key}[{at}]"), usage))
    });
    let runs_said = runs.iter().flatten().enumerate();
    let run = runs_said.flat_map(|(at, run)| run.iter().map(move |part| (format!("runs[{at}]"), part)));
    let opened = opening.iter().map(|usage| ("opening".to_owned(), usage));
    let used = one.chain(listed).chain(run).chain(opened);
    let nowhere: Vec<_> = used.filter_map(|(key, usage)| Some((key, useless(book, usage)?))).take(1).collect();
    if let Some((key, (what, mend))) = nowhere.into_iter().next() {
        reading.flaw(table.at(), &table.path_of(&key), what, mend);
        return None;
    }
    let end = is_last.unwrap_or(true);
    let path = table.path_of("splits");
    if let Some(billed) = billed_amount {
        let Some(now) = now.filter(|_| said.len() == 2) else {
            no_form(&said, table, reading);
            return None;
        };
        return Some(Job::Rest { billed, now, is_last: end });
    }
    match (now, splits, before, added, billed, opening, runs, periods) {
        (Some(now), None, None, None, None, None, None, None) if is_last.is_none() => Some(Job::Whole(now)),
        (Some(now), None, before, None, None, None, None, None) => Some(Job::Split { before, now, is_last: end }),
        (None, Some(splits), None, None, None, None, None, None) if !splits.is_empty() => {
            let nodes: Vec<_> = split_nodes.iter().collect();
            splits_are_apart(&nodes, &path, reading).then_some(Job::Splits { splits, is_last: end, thresholds })
        }
        (None, None, Some(before), Some(added), None, None, None, None) => {
            let nodes: Vec<_> = [before_node, added_node].into_iter().flatten().collect();
            if !splits_are_apart(&nodes, &table.path_of("added"), reading) {
                return None;
            }
            match before.then(&added) {
                Ok(usage) => {
                    Some(Job::Split { before: Some(before), now: Given { key: "added", usage }, is_last: end })
                }
                Err(error) => {
                    let (what, mend) = super::told(&error);
                    reading.flaw(table.at(), &table.path_of("added"), what, mend);
                    None
                }
            }
        }
        (Some(now), None, None, None, Some(billed), None, None, None) => Some(Job::Late { billed, now }),
        (Some(since), None, None, None, None, Some(opening), None, None) => Some(Job::After { opening, since }),
        (None, None, None, None, None, None, Some(runs), None) if !runs.is_empty() => {
            if let Some(at) = runs.iter().position(Vec::is_empty) {
                let mend = "give its sum at the end of each part of the period, or leave the run out";
                reading.flaw(table.at(), &table.path_of(&format!("runs[{at}]")), "a run has no parts", mend);
                return None;
            }
            Some(Job::Runs { runs, is_last: is_last.unwrap_or(false) })
        }
        (None, None, None, None, None, None, None, Some(periods)) if !periods.is_empty() => {
            Some(Job::Periods { periods })
        }
        _ => {
            no_form(&said, table, reading);
            None
        }
    }
}

/// The usage is said in no form, or in two.
fn no_form(said: &[&str], table: &Table<'_>, reading: &mut Reading) {
    let what = match said {
        [list @ ("splits" | "runs" | "periods")] => format!("there are no {list}"),
        [] => "the usage is missing".to_owned(),
        [one] => format!("the usage is missing: {one} alone is none"),
        _ => format!("the usage is said in two ways: {}", said.join(", ")),
    };
    let mend = "give one of quantity; usage; splits; before with added or quantity; billed, billed_amount or opening \
                with quantity; runs; periods";
    let meant = || table.meant_for("usage").or_else(|| table.meant_for("quantity"));
    let meant = if said.is_empty() { meant() } else { None };
    let mend = meant.unwrap_or_else(|| mend.to_owned());
    let key = said.last().copied().unwrap_or("quantity");
    reading.flaw(table.at(), &table.path_of(key), what, mend);
}

/// The usage as a price takes it: seats that are a bare quantity.
///
/// # Errors
/// [`RatingError::Input`] for a fraction of a period that may be meant for a part of it.
pub(super) fn fitted(tariff: &Tariff, usage: &Usage) -> Result<Usage, RatingError> {
    if !matches!(tariff.model, PriceModel::Flat { .. }) || usage.served.is_some() {
        return Ok(usage.clone());
    }
    let whole = Length::default();
    match (tariff.settings.per, tariff.settings.proration) {
        // Without served it is all of the period, with as many units as the quantity says.
        (Per::Unit, _) => {
            let stretches = vec![Stretch { length: whole, units: usage.quantity }];
            Ok(Usage { served: Some(Served { whole, stretches }), ..usage.clone() })
        }
        (Per::Subscription, Proration::ByTime | Proration::ByDay)
            if usage.quantity.unscaled() % Decimal::whole(1).unscaled() != 0 =>
        {
            let what = format!("the quantity {} is no part of the period", usage.quantity);
            let mend = "say the part by served, with a period and its stretches; without it, it is the whole";
            Err(RatingError::Input { what, mend })
        }
        (Per::Subscription, _) => Ok(usage.clone()),
    }
}

impl Job {
    /// The key of usage that comes in pieces which are added up.
    pub(super) fn adds_up(&self) -> Option<&'static str> {
        match self {
            Self::Splits { .. } => Some("splits"),
            Self::After { .. } => Some("opening"),
            Self::Split { now, .. } => Some(now.key).filter(|key| *key == "added"),
            Self::Whole(_) | Self::Late { .. } | Self::Rest { .. } | Self::Runs { .. } | Self::Periods { .. } => None,
        }
    }

    /// Whether it has amounts that are differences.
    pub(super) fn has_differences(&self) -> bool {
        match self {
            Self::Splits { .. } | Self::Split { .. } | Self::Late { .. } | Self::Runs { .. } => true,
            Self::Whole(_) | Self::Rest { .. } | Self::After { .. } | Self::Periods { .. } => false,
        }
    }

    /// What a whole period comes to before it is rounded; none of what is billed in more than one go.
    pub(super) fn exact(&self, book: Book<'_>) -> Option<Result<Exact, Failure>> {
        let Self::Whole(Given { key, usage }) = self else { return None };
        let exact = || price(book, &fitted(book.tariff, usage)?, true)?.sum();
        Some(exact().map_err(Failure::of_usage(key)))
    }

    pub(super) fn answer(self, book: Book<'_>, currency: Currency) -> Result<Map<String, Json>, Failure> {
        let tariff = book.tariff;
        match self {
            Self::Whole(Given { key, usage }) => {
                let failure = Failure::of_usage(key);
                let usage = fitted(tariff, &usage).map_err(&failure)?;
                let (amount, line) = whole(book, &usage, currency).map_err(&failure)?;
                Ok(totals(currency, amount, vec![line]))
            }
            Self::Splits { splits, is_last, thresholds } => {
                splits_of(book, &splits, is_last, thresholds.as_ref(), currency)
            }
            Self::Split { before, now, is_last } => {
                let failure = Failure::of_usage(now.key);
                let before =
                    before.map(|before| fitted(tariff, &before)).transpose().map_err(Failure::of_usage("before"))?;
                let usage = fitted(tariff, &now.usage).map_err(&failure)?;
                let split = rate_split(book, before.as_ref(), &usage, is_last, currency).map_err(&failure)?;
                Ok(totals(currency, split.amount, vec![difference(&split)]))
            }
            Self::Late { billed, now } => {
                let failure = Failure::of_usage(now.key);
                let billed = fitted(tariff, &billed).map_err(Failure::of_usage("billed"))?;
                let usage = fitted(tariff, &now.usage).map_err(&failure)?;
                let late = delta(book, &billed, &usage, currency).map_err(&failure)?;
                Ok(totals(currency, late.amount, vec![difference(&late)]))
            }
            Self::Rest { billed, now, is_last } => {
                let failure = Failure::of_usage(now.key);
                let billed = whole_money(billed, currency).map_err(Failure::at("billed_amount"))?;
                let usage = fitted(tariff, &now.usage).map_err(&failure)?;
                let whole = rate_split(book, None, &usage, is_last, currency).map_err(&failure)?;
                let due = minus(whole.amount, billed).map_err(&failure)?;
                let mut line = difference(&whole);
                line["amount"] = json!(plain(due));
                line["billed_amount"] = json!(plain(billed));
                line["whole"] = json!(plain(whole.amount));
                Ok(totals(currency, due, vec![line]))
            }
            Self::After { opening, since } => {
                let since = fitted(tariff, &since.usage).map_err(Failure::of_usage(since.key))?;
                let after = rate_after(book, &opening, &since, currency).map_err(Failure::of_usage("opening"))?;
                let line = json!({
                    "amount": plain(after.due),
                    "opening": plain(after.opening),
                    "whole": plain(after.whole.amount),
                });
                Ok(totals(currency, after.due, vec![line]))
            }
            Self::Runs { runs, is_last } => runs_of(book, &runs, is_last, currency),
            Self::Periods { periods } => periods_of(book, &periods, currency),
        }
    }
}

/// A whole period: its amount, and its line.
pub(super) fn whole(book: Book<'_>, usage: &Usage, currency: Currency) -> Result<(Money, Json), RatingError> {
    let priced = price(book, usage, true)?;
    let exact = priced.sum()?;
    let amount = rounded(exact, currency)?;
    let line = json!({
        "amount": plain(amount),
        "billable": priced.billable.to_string(),
        "components": components(&priced.components),
        "exact": exact.to_string(),
    });
    Ok((amount, line))
}

fn splits_of(
    book: Book<'_>,
    splits: &[Usage],
    is_last: bool,
    thresholds: Option<&Thresholds>,
    currency: Currency,
) -> Result<Map<String, Json>, Failure> {
    let printed = |thresholds: &Thresholds| {
        let fixed = money_of(&thresholds.fixed, currency).map_err(Failure::at("thresholds"))?;
        let recurring = thresholds.recurring.map(|step| whole_money(step, currency)).transpose();
        Ok::<_, Failure>((fixed, recurring.map_err(Failure::at("recurring_threshold"))?))
    };
    let thresholds = thresholds.map(printed).transpose()?;
    let mut before: Option<Usage> = None;
    let (mut total, mut billed) = (Money::zero(currency), Money::zero(currency));
    // What all splits so far come to; where credits are held, what is billed of them may be more.
    let mut sum = Money::zero(currency);
    let mut lines = Vec::new();
    for (index, split) in splits.iter().enumerate() {
        let field = format!("splits[{index}]");
        let failure = Failure::of_usage(&field);
        let now = match &before {
            None => Usage { pieces: vec![split.quantity], ..split.clone() },
            Some(before) => before.then(split).map_err(&failure)?,
        };
        let is_end = is_last && index + 1 == splits.len();
        let [old, new] =
            [before.as_ref(), Some(&now)].map(|usage| usage.map(|usage| fitted(book.tariff, usage)).transpose());
        let (old, new) = (old.map_err(&failure)?, new.map_err(&failure)?.unwrap_or_default());
        let due = rate_split(book, old.as_ref(), &new, is_end, currency).map_err(&failure)?;
        sum = sum.checked_add(due.amount).map_err(|source| failure(RatingError::Money { currency, source }))?;
        let mut line = difference(&due);
        if book.replay.is_credit_held {
            let above = minus(sum, total).map_err(&failure)?;
            let due = Money { minor: above.minor.max(0), currency };
            line["amount"] = json!(plain(due));
            total = total.checked_add(due).map_err(|source| failure(RatingError::Money { currency, source }))?;
        } else {
            total = sum;
        }
        if let Some((fixed, recurring)) = &thresholds {
            let due = due_by_threshold(fixed, *recurring, billed, total, is_end).map_err(&failure)?;
            if due.is_some() {
                billed = total;
            }
            line["billed"] = due.map_or(Json::Null, |due| json!(plain(due)));
        }
        lines.push(line);
        before = Some(now);
    }
    Ok(totals(currency, total, lines))
}

fn runs_of(
    book: Book<'_>,
    runs: &[Vec<Usage>],
    is_last: bool,
    currency: Currency,
) -> Result<Map<String, Json>, Failure> {
    let mut lines = Vec::new();
    let mut total = Money::zero(currency);
    let mut before: Vec<Usage> = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let field = format!("runs[{index}]");
        let failure = Failure::of_usage(&field);
        let is_end = is_last && index + 1 == runs.len();
        let run: Vec<Usage> =
            run.iter().map(|part| fitted(book.tariff, part)).collect::<Result<_, _>>().map_err(&failure)?;
        let due = if index == 0 {
            parts(book, &run, is_end, currency)
        } else {
            corrections(book, &before, &run, is_end, currency)
        };
        let due = due.map_err(&failure)?;
        let mut sum = Money::zero(currency);
        for part in &due {
            sum = sum.checked_add(*part).map_err(|source| failure(RatingError::Money { currency, source }))?;
        }
        total = total.checked_add(sum).map_err(|source| failure(RatingError::Money { currency, source }))?;
        let parts: Vec<String> = due.into_iter().map(plain).collect();
        lines.push(json!({ "amount": plain(sum), "parts": parts }));
        before = run;
    }
    Ok(totals(currency, total, lines))
}

fn difference(delta: &Delta) -> Json {
    json!({
        "amount": plain(delta.amount),
        "billable": delta.billable.to_string(),
        "billable_before": delta.billable_before.to_string(),
        "components": components(&delta.components),
    })
}

fn components(components: &[Component]) -> Vec<ComponentWorking> {
    components.iter().map(Component::working).collect()
}
