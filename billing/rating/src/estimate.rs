//! The price calculator: one line of JSON in, one line of JSON out. Pure, so a whole price book of another system can be
//! replayed in bulk.
//!
//! A line is an object with `currency`, an optional `id` that is given back, and one of:
//!
//! - `price` (the keys of a catalog price; `id`, `description` and `meter` may stand there) with an optional `settings`,
//!   and its usage as one of `quantity`; `usage`; `splits` (each alone, in order, with `is_last` and `thresholds`);
//!   `before` with `added` or `quantity` (one split); `billed` with `quantity` (late usage); `opening` with `quantity`
//!   (what another system billed of the period, and what was used since); `runs` (cumulative usage at the end of each
//!   part of the period, as each run knew it);
//! - `allocate`, `prorate`, `commitment`, `invoice`, `round` (`estimate/document.rs`).
//!
//! The answer has `total`, `total_minor` and `lines` with components, or `error` with the `field` and how to mend it.

mod document;
mod input;

use serde_json::{Map, Value as Json, json};
use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::{Currency, Money, MoneyError};
use tollbook_schemas::price::Tariff;
use tollbook_schemas::price::node::{Node, Value};
use tollbook_schemas::price::read::{Flaw, Reading, Table};
use tollbook_schemas::price::tariff::{settings_node, tariff};

use super::opening::rate_after;
use super::split::{Delta, corrections, delta, due_by_threshold, minus, parts, rate_split};
use super::working::{Component, ComponentWorking};
use super::{RatingError, Usage, price, rounded};
use input::{flag, money_of, usage, usages};

/// Answers one line.
#[must_use]
pub fn line(text: &str) -> String {
    let node: Node = match serde_json::from_str(text) {
        Ok(node) => node,
        Err(error) => {
            let mend = "write one JSON object a line";
            return json!({ "error": { "field": "", "mend": mend, "what": error.to_string() } }).to_string();
        }
    };
    let id = match &node.value {
        Value::Table(entries) => entries.iter().find(|(key, _)| key.name == "id").map(|(_, node)| &node.value),
        _ => None,
    };
    let mut answer = match answer(&node) {
        Ok(answer) => answer,
        Err(failure) => failure.into_json(),
    };
    match id {
        Some(Value::Text(id)) => _ = answer.insert("id".to_owned(), json!(id)),
        Some(Value::Whole(id)) => _ = answer.insert("id".to_owned(), json!(id)),
        _ => {}
    }
    Json::Object(answer).to_string()
}

/// Why a line has no amount.
enum Failure {
    Flaws(Vec<Flaw>),
    Rating { field: String, error: RatingError },
}

impl Failure {
    fn at(field: &str) -> impl Fn(RatingError) -> Self + '_ {
        move |error| Self::Rating { field: field.to_owned(), error }
    }

    fn into_json(self) -> Map<String, Json> {
        let error = match self {
            Self::Flaws(flaws) => {
                let first = flaws.first();
                json!({
                    "field": first.map_or("", |flaw| &flaw.path),
                    "mend": first.map_or("", |flaw| &flaw.mend),
                    "more": flaws.iter().skip(1).map(ToString::to_string).collect::<Vec<_>>(),
                    "what": first.map_or("", |flaw| &flaw.what),
                })
            }
            Self::Rating { field, error } => {
                let mut what = error.to_string();
                let mut cause = std::error::Error::source(&error);
                while let Some(error) = cause {
                    what = format!("{what}: {error}");
                    cause = error.source();
                }
                json!({ "field": field, "what": what })
            }
        };
        Map::from_iter([("error".to_owned(), error)])
    }
}

fn answer(node: &Node) -> Result<Map<String, Json>, Failure> {
    let mut reading = Reading::default();
    let done = read_and_answer(node, &mut reading);
    if reading.flaws.is_empty() {
        done.unwrap_or_else(|| Err(Failure::Flaws(Vec::new())))
    } else {
        Err(Failure::Flaws(reading.flaws))
    }
}

/// `None` when a flaw is recorded.
fn read_and_answer(node: &Node, reading: &mut Reading) -> Option<Result<Map<String, Json>, Failure>> {
    let mut table = Table::of(node, "", reading)?;
    _ = table.take("id");
    let currency = table.required(reading, "currency", "a line", |node, path, reading| {
        let code = Table::text(node, path, reading)?;
        let currency = Currency::parse(&code);
        currency
            .map_err(|error: MoneyError| reading.flaw(node.at.clone(), path, error.to_string(), "use such as EUR"))
            .ok()
    })?;
    for (key, run) in document::OPERATIONS {
        if let Some(node) = table.take(key) {
            table.finish(reading);
            return run(node, key, currency, reading);
        }
    }
    let tariff = table.required(reading, "price", "a line", read_price)?;
    let settings = table.optional(reading, "settings", settings_node)?;
    let tariff = Tariff { settings: settings.unwrap_or(tariff.settings), ..tariff };
    let run = job(&mut table, reading)?;
    table.finish(reading);
    reading.flaws.is_empty().then(|| run.answer(&tariff, currency))
}

fn read_price(node: &Node, path: &str, reading: &mut Reading) -> Option<Tariff> {
    let mut table = Table::of(node, path, reading)?;
    for key in ["id", "description", "meter"] {
        _ = table.take(key);
    }
    let tariff = tariff(&mut table, reading);
    table.finish(reading);
    tariff
}

/// What is asked of a price.
enum Job {
    Whole(Usage),
    Splits { splits: Vec<Usage>, is_last: bool, thresholds: Option<Vec<Exact>> },
    Split { before: Option<Usage>, now: Usage, is_last: bool },
    Late { billed: Usage, now: Usage },
    After { opening: Usage, since: Usage },
    Runs { runs: Vec<Vec<Usage>>, is_last: bool },
}

fn job(table: &mut Table<'_>, reading: &mut Reading) -> Option<Job> {
    let quantity = table.optional(reading, "quantity", usage)?;
    let given = table.optional(reading, "usage", usage)?;
    let splits = table.optional(reading, "splits", usages)?;
    let before = table.optional(reading, "before", usage)?;
    let added = table.optional(reading, "added", usage)?;
    let billed = table.optional(reading, "billed", usage)?;
    let opening = table.optional(reading, "opening", usage)?;
    let is_last = table.optional(reading, "is_last", flag)?;
    let thresholds = table.optional(reading, "thresholds", input::amounts)?;
    let runs = table.optional(reading, "runs", input::runs)?;
    let now = given.or(quantity);
    let is_alone = splits.is_none() && before.is_none() && added.is_none() && billed.is_none() && runs.is_none();
    if let (Some(opening), true, None) = (opening.clone(), is_alone, is_last)
        && let Some(since) = now.clone()
    {
        return Some(Job::After { opening, since });
    }
    let end = is_last.unwrap_or(true);
    let job = match (now.filter(|_| opening.is_none()), splits, before, added, billed, runs) {
        (None, Some(splits), None, None, None, None) => Job::Splits { splits, is_last: end, thresholds },
        (None, None, None, None, None, Some(runs)) => Job::Runs { runs, is_last: is_last.unwrap_or(false) },
        (Some(now), None, None, None, None, None) if is_last.is_none() => Job::Whole(now),
        (Some(now), None, before, None, None, None) => Job::Split { before, now, is_last: end },
        (None, None, Some(before), Some(added), None, None) => match before.then(&added) {
            Ok(now) => Job::Split { before: Some(before), now, is_last: end },
            Err(error) => {
                reading.flaw(table.at(), &table.path_of("added"), error.to_string(), "give both in one form");
                return None;
            }
        },
        (Some(now), None, None, None, Some(billed), None) => Job::Late { billed, now },
        _ => {
            let what = "the usage is missing, or said in two ways";
            let mend = "give one of quantity; usage; splits; before with added or quantity; billed or opening with \
                 quantity; runs";
            reading.flaw(table.at(), &table.path_of("quantity"), what, mend);
            return None;
        }
    };
    Some(job)
}

impl Job {
    fn answer(self, tariff: &Tariff, currency: Currency) -> Result<Map<String, Json>, Failure> {
        match self {
            Self::Whole(usage) => {
                let failure = Failure::at("quantity");
                let priced = price(tariff, &usage, true).map_err(&failure)?;
                let exact = priced.sum().map_err(&failure)?;
                let amount = rounded(exact, currency).map_err(&failure)?;
                let line = json!({
                    "amount": plain(amount),
                    "billable": priced.billable.to_string(),
                    "components": components(&priced.components),
                    "exact": exact.to_string(),
                });
                Ok(totals(currency, amount, vec![line]))
            }
            Self::Splits { splits, is_last, thresholds } => {
                let thresholds = thresholds.map(|amounts| money_of(&amounts, currency)).transpose();
                let thresholds = thresholds.map_err(Failure::at("thresholds"))?;
                splits_of(tariff, &splits, is_last, thresholds.as_deref(), currency)
            }
            Self::Split { before, now, is_last } => {
                let split = rate_split(tariff, before.as_ref(), &now, is_last, currency);
                let split = split.map_err(Failure::at("quantity"))?;
                Ok(totals(currency, split.amount, vec![difference(&split)]))
            }
            Self::Late { billed, now } => {
                let late = delta(tariff, &billed, &now, currency).map_err(Failure::at("quantity"))?;
                Ok(totals(currency, late.amount, vec![difference(&late)]))
            }
            Self::After { opening, since } => {
                let failure = Failure::at("opening");
                let after = rate_after(tariff, &opening, &since, currency).map_err(failure)?;
                let line = json!({
                    "amount": plain(after.due),
                    "opening": plain(after.opening),
                    "whole": plain(after.whole.amount),
                });
                Ok(totals(currency, after.due, vec![line]))
            }
            Self::Runs { runs, is_last } => runs_of(tariff, &runs, is_last, currency),
        }
    }
}

fn splits_of(
    tariff: &Tariff,
    splits: &[Usage],
    is_last: bool,
    thresholds: Option<&[Money]>,
    currency: Currency,
) -> Result<Map<String, Json>, Failure> {
    let mut before: Option<Usage> = None;
    let (mut total, mut billed) = (Money::zero(currency), Money::zero(currency));
    let mut lines = Vec::new();
    for (index, split) in splits.iter().enumerate() {
        let field = format!("splits[{index}]");
        let failure = Failure::at(&field);
        let now = match &before {
            None => Usage { pieces: vec![split.quantity], ..split.clone() },
            Some(before) => before.then(split).map_err(&failure)?,
        };
        let is_end = is_last && index + 1 == splits.len();
        let due = rate_split(tariff, before.as_ref(), &now, is_end, currency).map_err(&failure)?;
        total = total.checked_add(due.amount).map_err(|source| failure(RatingError::Money { currency, source }))?;
        let mut line = difference(&due);
        if let Some(thresholds) = thresholds {
            let due = due_by_threshold(thresholds, billed, total, is_end).map_err(&failure)?;
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
    tariff: &Tariff,
    runs: &[Vec<Usage>],
    is_last: bool,
    currency: Currency,
) -> Result<Map<String, Json>, Failure> {
    let mut lines = Vec::new();
    let mut total = Money::zero(currency);
    let mut before: &[Usage] = &[];
    for (index, run) in runs.iter().enumerate() {
        let field = format!("runs[{index}]");
        let failure = Failure::at(&field);
        let is_end = is_last && index + 1 == runs.len();
        let due = if index == 0 {
            parts(tariff, run, is_end, currency)
        } else {
            corrections(tariff, before, run, is_end, currency)
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

fn totals(currency: Currency, total: Money, lines: Vec<Json>) -> Map<String, Json> {
    Map::from_iter([
        ("currency".to_owned(), json!(currency.code())),
        ("lines".to_owned(), Json::Array(lines)),
        ("total".to_owned(), json!(plain(total))),
        ("total_minor".to_owned(), json!(total.minor)),
    ])
}

/// An amount as the currency prints it, without its code.
fn plain(amount: Money) -> String {
    let text = amount.to_string();
    text.split_once(' ').map_or(text.clone(), |(number, _)| number.to_owned())
}

/// The amount, if it can be printed in the currency as it is.
fn whole_money(exact: Exact, currency: Currency) -> Result<Money, RatingError> {
    let money = rounded(exact, currency)?;
    if Exact::scaled(money.minor, currency.exponent()) != exact {
        let what = format!("{exact} is not an amount of {currency}: it has more digits than the currency");
        return Err(RatingError::Input { what, mend: "round it first" });
    }
    Ok(money)
}

/// `total` less `other`, for documents.
fn less(total: Money, other: Money) -> Result<Money, RatingError> {
    minus(total, other)
}
