//! The price calculator: one line of JSON in, one line of JSON out. Pure, so a whole price book of another system can
//! be replayed in bulk. Every key, answer and error is in `docs/estimate.md`, whose examples a test computes.
//!
//! A line is an object with `currency`, an optional `id` that is given back as it was written, and one of:
//!
//! - `price` (the keys of a catalog price; `id`, `description` and `meter` may stand there) with an optional
//!   `settings`, and its usage (`estimate/job.rs`);
//! - `allocate`, `prorate`, `commitment`, `round` (`estimate/document.rs`), `invoice` (`estimate/invoice.rs`).
//!
//! The answer has `total`, `total_minor` and `lines` with components, or `error` with the `field`, what is wrong with
//! it, how to mend it, and which line of the input it was. What is said in two ways, or says nothing where it stands,
//! is an error.

mod digits;
mod document;
mod input;
mod instants;
mod invoice;
mod job;
mod literals;
mod of_use;
mod periods;
mod rules;
mod stretches;

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};
use tollbook_schemas::decimal::SCALE;
use tollbook_schemas::error::with_causes;
use tollbook_schemas::exact::{Exact, Rounding};
use tollbook_schemas::money::{Currency, Money, MoneyError};
use tollbook_schemas::price::Tariff;
use tollbook_schemas::price::node::{Key, Node, Value};
use tollbook_schemas::price::read::{Flaw, Reading, Table};
use tollbook_schemas::price::tariff::{settings_node, settings_of_model, tariff};

use job::Job;

use super::replay::Replay;
use super::{Book, RatingError, rounded};

/// What a line was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// One line of JSON.
    pub text: String,
    /// Whether it is an error.
    pub is_refused: bool,
}

/// Answers a line of a file, by its number from 1 on; an empty one has no answer. A byte order mark before the first
/// line is no part of it, and a line that is no UTF-8 is an error of its own, as one that is no JSON.
#[must_use]
pub fn numbered(number: u64, bytes: &[u8]) -> Option<Answer> {
    let bytes = if number == 1 { bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes) } else { bytes };
    match std::str::from_utf8(bytes) {
        Ok(text) if text.trim().is_empty() => None,
        Ok(text) => Some(respond(text, Some(number))),
        Err(error) => {
            let what = format!("the line is no UTF-8: {error}");
            let failure = Failure::of_line(what, "write the file in UTF-8");
            Some(Answer { text: Json::Object(failure.into_json(Some(number))).to_string(), is_refused: true })
        }
    }
}

/// Answers one line.
#[must_use]
pub fn line(text: &str) -> String {
    respond(text, None).text
}

fn respond(text: &str, number: Option<u64>) -> Answer {
    let node: Result<Node, _> = serde_json::from_str(&literals::in_quotes(text));
    // Places in a text that nobody wrote would be of no help.
    let node = node.or_else(|_| serde_json::from_str(text));
    let result = match &node {
        Ok(node) => answer(node),
        Err(error) if literals::without_no_numbers(text).is_some() => {
            let mend = "write digits, or null for what has no end, such as up_to of the last tier";
            Err(Failure::of_line(format!("NaN and Infinity are no numbers of JSON: {error}"), mend))
        }
        Err(error) => Err(Failure::of_line(error.to_string(), "write one JSON object a line")),
    };
    let is_refused = result.is_err();
    let answer = result.unwrap_or_else(|failure| failure.into_json(number));
    Answer { text: with_id(&answer, text), is_refused }
}

/// The answer with the id of its line as it was written: a number that none of ours holds comes back as it is, also of
/// a line that is refused for it.
fn with_id(answer: &Map<String, Json>, line: &str) -> String {
    // Most lines of a large replay have one, and the others need not be read twice.
    let has_id = line.contains("\"id\"");
    let replaced = if has_id && answer.contains_key("error") { literals::without_no_numbers(line) } else { None };
    let line = replaced.as_deref().unwrap_or(line);
    let keys: BTreeMap<String, &RawValue> =
        if has_id { serde_json::from_str(line).unwrap_or_default() } else { BTreeMap::new() };
    let mut entries: BTreeMap<&str, String> = BTreeMap::new();
    for (key, value) in answer {
        entries.insert(key, value.to_string());
    }
    if let Some(id) = keys.get("id") {
        entries.insert("id", id.get().to_owned());
    }
    let entries: Vec<String> = entries.into_iter().map(|(key, value)| format!("{}:{value}", json!(key))).collect();
    format!("{{{}}}", entries.join(","))
}

/// Why a line has no amount.
enum Failure {
    Flaws(Vec<Flaw>),
    Rating { field: String, error: RatingError },
}

impl Failure {
    fn of_line(what: String, mend: &str) -> Self {
        Self::Flaws(vec![Flaw { at: 0..0, path: String::new(), what, mend: mend.to_owned() }])
    }

    /// A failure of what stands in a field.
    fn at(field: &str) -> impl Fn(RatingError) -> Self + '_ {
        move |error| Self::Rating { field: field.to_owned(), error }
    }

    /// A failure of a price and the usage in a field: an amount that does not fit is nobody's alone.
    fn of_usage(field: &str) -> impl Fn(RatingError) -> Self + '_ {
        move |error| {
            let is_amount = matches!(error, RatingError::Overflow(_) | RatingError::Money { .. });
            Self::Rating { field: if is_amount { "price" } else { field }.to_owned(), error }
        }
    }

    fn into_json(self, line: Option<u64>) -> Map<String, Json> {
        let mut told = match self {
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
                let (what, mend) = told(&error);
                json!({ "field": field, "mend": mend, "what": what })
            }
        };
        if let Some(line) = line {
            told["line"] = json!(line);
        }
        Map::from_iter([("error".to_owned(), told)])
    }

    /// The failure of something inside, told as its flaws.
    fn inside(self, path: &str, reading: &mut Reading) {
        match self {
            Self::Flaws(flaws) => reading.flaws.extend(flaws),
            Self::Rating { field, error } => {
                let (what, mend) = told(&error);
                reading.flaw(0..0, &format!("{path}.{field}"), what, mend);
            }
        }
    }
}

/// An error with its causes, and how to mend it.
fn told(error: &RatingError) -> (String, String) {
    let text = error.to_string();
    if let Some((what, mend)) = text.split_once("; ") {
        // A line has no meter, and says itself what it costs.
        let mend = match error {
            RatingError::NegativeQuantity(_) => {
                "say what it costs by negative_quantity, or by negative_total in settings; or look for wrong values"
            }
            _ => mend,
        };
        return (what.to_owned(), mend.to_owned());
    }
    (with_causes(error), "look for a price or a quantity with too many digits: an amount has up to 18".to_owned())
}

fn answer(node: &Node) -> Result<Map<String, Json>, Failure> {
    let mut reading = Reading::default();
    let done = read_and_answer(node, &mut reading);
    if reading.flaws.is_empty() {
        done.unwrap_or_else(|| Err(Failure::Flaws(Vec::new())))
    } else {
        Err(Failure::Flaws(reading.flaws.into_iter().map(digits::led).collect()))
    }
}

/// `None` when a flaw is recorded.
fn read_and_answer(node: &Node, reading: &mut Reading) -> Option<Result<Map<String, Json>, Failure>> {
    let mut table = Table::of(node, "", reading)?;
    _ = table.take("id");
    let currency = currency(&mut table, reading)?;
    for (key, run) in document::OPERATIONS {
        if let Some(node) = table.take(key) {
            table.finish(reading);
            return run(node, key, currency, reading);
        }
    }
    Some(asked(table, currency, reading)?.answer(currency))
}

/// A price and its usage, as they were read.
struct Asked {
    tariff: Tariff,
    replay: Replay,
    job: Job,
}

impl Asked {
    fn answer(self, currency: Currency) -> Result<Map<String, Json>, Failure> {
        self.job.answer(Book { tariff: &self.tariff, replay: &self.replay }, currency)
    }

    /// What it comes to before it is rounded; none where it is billed in more than one go.
    fn exact(&self) -> Option<Result<Exact, Failure>> {
        self.job.exact(Book { tariff: &self.tariff, replay: &self.replay })
    }
}

/// Reads a price and its usage, with what may stand beside them: all that is left of a table.
fn asked(mut table: Table<'_>, currency: Currency, reading: &mut Reading) -> Option<Asked> {
    let path = table.path_of("price");
    let price_node = table.node("price").map(|node| rules::split(node, &path, reading));
    let (bare, of_price) = match price_node {
        None => (None, rules::OfPrice::default()),
        Some(split) => {
            let (bare, of_price) = split?;
            (Some(bare), of_price)
        }
    };
    let tariff = match &bare {
        None => table.required(reading, "price", "a line", read_price)?,
        Some(bare) => {
            _ = table.take("price");
            read_price(bare, &path, reading)?
        }
    };
    let tariff = beside(tariff, &mut table, reading)?;
    let replay = rules::replay(&mut table, &tariff, of_price, currency, reading)?;
    let Some(job) = job::job(&mut table, Book { tariff: &tariff, replay: &replay }, reading) else {
        table.finish(reading);
        return None;
    };
    rules::fits(&job, &replay, &table, reading)?;
    table.finish(reading);
    reading.flaws.is_empty().then_some(Asked { tariff, replay, job })
}

/// The currency as the system prints it whose amounts are asked for: its `digits`, its `rounding`.
fn currency(table: &mut Table<'_>, reading: &mut Reading) -> Option<Currency> {
    let (code_at, digits_at) = (table.place_or_table("currency"), table.place_or_table("digits"));
    let (code_path, digits_path) = (table.path_of("currency"), table.path_of("digits"));
    let (rounding_at, rounding_path) = (table.place_or_table("rounding"), table.path_of("rounding"));
    let code = table.required(reading, "currency", "a line", Table::text)?;
    let digits = table.optional(reading, "digits", Table::count)?;
    let rounding = table.optional(reading, "rounding", rounding)?;
    let is_each = |(key, node): &(Key, Node)| {
        let words = ["each", "first", "last"].map(|word| Value::Text(word.to_owned()));
        key.name == "split" && words.contains(&node.value)
    };
    if rounding.is_some() && table.has("allocate") && !table.entries_of("allocate").iter().any(is_each) {
        let what = "rounding says nothing here: parts of an amount are not rounded";
        reading.flaw(rounding_at, &rounding_path, what, "remove rounding");
        return None;
    }
    if digits.is_some_and(|digits| digits > SCALE) {
        let what = "an amount has up to 12 digits after the point";
        reading.flaw(digits_at, &digits_path, what, "write 0 to 12");
        return None;
    }
    let rounding = rounding.unwrap_or_default();
    match Currency::parse(&code) {
        Ok(currency) => currency.replayed(digits, rounding),
        Err(error) => {
            // What another system prints is known where it says so.
            let foreign = digits.and_then(|digits| Currency::foreign(&code, digits, rounding));
            if foreign.is_none() {
                let (what, mend) = (error.to_string(), mend_of_code(&code, &error));
                reading.flaw(code_at, &code_path, what, mend);
            }
            foreign
        }
    }
}

/// How to mend a currency.
fn mend_of_code(code: &str, error: &MoneyError) -> String {
    let capitals = code.to_uppercase();
    let is_code = capitals.len() == 3 && capitals.bytes().all(|byte| byte.is_ascii_uppercase());
    match error {
        MoneyError::RefusedCurrency(_) => {
            "say digits: how many the system prints whose amounts are replayed, such as 0 or 2".to_owned()
        }
        _ if is_code && capitals != code => format!("write {capitals:?}"),
        _ if is_code => {
            "use such as EUR; another system's code is taken where digits says how many it prints".to_owned()
        }
        _ => "use such as EUR".to_owned(),
    }
}

/// How another system rounds an amount.
fn rounding(node: &Node, path: &str, reading: &mut Reading) -> Option<Rounding> {
    let word = Table::text(node, path, reading)?;
    let rounding = Rounding::WORDS.into_iter().find(|(known, _)| *known == word).map(|(_, rounding)| rounding);
    if rounding.is_none() {
        let words = Rounding::WORDS.map(|(word, _)| word).join(", ");
        let what = format!("{word:?} is no value of rounding, expected one of {words}");
        reading.flaw(node.at.clone(), path, what, format!("use one of {words} (the default first)"));
    }
    rounding
}

/// The price under the settings beside it, which stand in for its own, and must be such as it can have.
fn beside(tariff: Tariff, table: &mut Table<'_>, reading: &mut Reading) -> Option<Tariff> {
    table.know(&["settings"]);
    let Some(said) = table.node("settings") else { return Some(tariff) };
    let settings = table.optional(reading, "settings", settings_node)?.unwrap_or_default();
    let flaws_before = reading.flaws.len();
    settings_of_model(&tariff.model, &tariff.steps, (settings, said), &table.path_of("settings"), reading);
    (reading.flaws.len() == flaws_before).then_some(Tariff { settings, ..tariff })
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
        // Some currencies print digits that are always 0.
        let has_digits = exact.round_to_minor(currency.exponent(), 1)?;
        let why = if Exact::scaled(has_digits, currency.exponent()) == exact {
            let step = Money { minor: currency.step_minor(), currency };
            format!("it is no multiple of {step}, the smallest amount")
        } else {
            "it has more digits than the currency".to_owned()
        };
        return Err(RatingError::Input {
            what: format!("{exact} is not an amount of {currency}: {why}"),
            mend: "round it first",
        });
    }
    Ok(money)
}

#[cfg(test)]
mod tests;
