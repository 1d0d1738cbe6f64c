//! Computes every number in the tables of `docs/money.md` and `docs/estimate.md`: prices are read as the catalog reads
//! them, lines of JSON as `estimate` does.

use std::collections::BTreeMap;

use serde_json::Value;
use tollbook_rating::opening::rate_after;
use tollbook_rating::split::delta;
use tollbook_rating::usage::{Event, Group};
use tollbook_rating::{Usage, estimate, rate};
use tollbook_schemas::catalog::{Catalog, CatalogFile, Problem, Tariff};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::money::Currency;

const HEAD: &str = r#"
[[issuer]]
id = "acme"
legal_name = "Acme"
address = []
number_prefix = "A-"
time_zone = "UTC"
payment_terms_days = 14

[[meter]]
id = "calls"
name = "Calls"
unit = "call"
aggregation = "count"
group_by = { region = "region" }

[[plan]]
id = "pro"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Pro"
issuer = "acme"
currency = "EUR"

[[plan.price]]
id = "it"
description = "It"
"#;

/// The price of a block of the page, through the catalog; what no meter gives yet is a price all the same.
fn tariff(block: &str) -> Tariff {
    let meter = if block.contains("\"flat\"") { "" } else { "meter = \"calls\"\n" };
    let file = CatalogFile { path: "money.md".into(), text: format!("{HEAD}{meter}{block}") };
    let (catalog, problems) = Catalog::parse_partly(&[file]);
    let is_price = |problem: &Problem| {
        ["which is not metered yet", "needs each event of the usage"].iter().any(|words| problem.what.contains(words))
    };
    assert!(problems.iter().all(is_price), "{block}\n{problems:#?}");
    catalog.plans.into_values().next().unwrap()[0].prices[0].tariff.clone()
}

fn decimal(text: &str) -> Decimal {
    text.trim().parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim)
}

fn printed(minor: i64, currency: Currency) -> String {
    let money = tollbook_schemas::money::Money { minor, currency };
    money.to_string().split(' ').next().unwrap().to_owned()
}

/// One row of a table under a price: what it gives in the words of the page.
fn of_price(tariff: &Tariff, currency: Currency, header: &str, cells: &[&str]) -> String {
    let whole = |usage: &Usage| rate(tariff, usage, currency).map(|rated| rated.amount.minor);
    let minor = match header {
        "quantity" => whole(&Usage::of(decimal(cells[0]))),
        "events" => {
            let event = |text| Event { quantity: decimal(text), prorated: None, amount: None };
            whole(&Usage::of_events(list(cells[0]).map(event).collect()).unwrap())
        }
        "region" => {
            let group = |text: &str| {
                let (region, quantity) = text.split_once(' ').unwrap();
                let values = BTreeMap::from([("region".to_owned(), region.to_owned())]);
                Group { values, quantity: decimal(quantity) }
            };
            whole(&Usage::of_groups(list(cells[0]).map(group).collect()).unwrap())
        }
        "billed" => {
            let [billed, now] = [cells[0], cells[1]].map(|quantity| Usage::of(decimal(quantity)));
            delta(tariff, &billed, &now, currency).map(|delta| delta.amount.minor)
        }
        "opening" => {
            let [opening, since] = [cells[0], cells[1]].map(|quantity| Usage::of(decimal(quantity)));
            rate_after(tariff, &opening, &since, currency).map(|after| after.due.minor)
        }
        "splits" => {
            let mut before: Option<Usage> = None;
            let splits: Vec<Usage> = list(cells[0]).map(|text| Usage::of(decimal(text))).collect();
            let mut amounts = Vec::new();
            for (index, split) in splits.iter().enumerate() {
                let now = before.as_ref().map_or(split.clone(), |before| before.then(split).unwrap());
                let is_last = index + 1 == splits.len();
                let due = tollbook_rating::split::rate_split(tariff, before.as_ref(), &now, is_last, currency).unwrap();
                amounts.push(printed(due.amount.minor, currency));
                before = Some(now);
            }
            return amounts.join(", ");
        }
        other => panic!("no table begins with {other:?}"),
    };
    printed(minor.unwrap(), currency)
}

/// One row of a table of estimates: `total 48.39`, `error what is wrong`, `error at field: what is wrong`.
fn of_estimate(line: &str, answer: &str) -> String {
    let key = answer.split(' ').next().unwrap();
    let found: Value = serde_json::from_str(&estimate::line(line)).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{line}: {found}")).to_owned();
    if key == "error" {
        let what = text(&found["error"]["what"]);
        let is_at = answer.starts_with("error at ");
        return if is_at {
            format!("error at {}: {what}", text(&found["error"]["field"]))
        } else {
            format!("error {what}")
        };
    }
    if key == "amounts" {
        let lines = found["lines"].as_array().unwrap_or_else(|| panic!("{line}: {found}"));
        return format!("{key} {}", lines.iter().map(|line| text(&line["amount"])).collect::<Vec<_>>().join(", "));
    }
    match &found[key] {
        Value::Array(values) => format!("{key} {}", values.iter().map(text).collect::<Vec<_>>().join(", ")),
        value => format!("{key} {}", text(value)),
    }
}

#[test]
fn every_number_of_the_page_is_right() {
    let count = every_number_is_right(include_str!("../../../docs/money.md"));
    assert!(count > 100, "only {count} rows were found");
}

#[test]
fn every_example_of_estimate_is_right() {
    let count = every_number_is_right(include_str!("../../../docs/estimate.md"));
    assert!(count > 35, "only {count} rows were found");
}

/// Gives how many rows were computed.
fn every_number_is_right(page: &str) -> usize {
    let mut block: Option<String> = None;
    let (mut price, mut currency) = (None, Currency::parse("EUR").unwrap());
    let mut header: Vec<String> = Vec::new();
    let (mut count, mut failures) = (0, Vec::new());
    for line in page.lines() {
        match (&mut block, line) {
            (None, "```toml") => block = Some(String::new()),
            (Some(text), "```") => {
                currency = Currency::parse(text.lines().next().unwrap().trim_start_matches("# ")).unwrap();
                price = Some(tariff(text));
                block = None;
            }
            (Some(text), _) => {
                text.push_str(line);
                text.push('\n');
            }
            _ => {}
        }
        if !line.starts_with('|') {
            header.clear();
            continue;
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if header.is_empty() {
            header = cells.iter().map(|cell| (*cell).to_owned()).collect();
            continue;
        }
        if cells[0].starts_with("---") {
            continue;
        }
        let at = |name: &str| header.iter().position(|column| column == name).map(|at| cells[at]);
        let (expected, found) = match header[0].as_str() {
            "quantity" | "events" | "region" | "billed" | "opening" | "splits" => {
                let expected = at("amount").or(at("amounts")).unwrap();
                (expected, of_price(price.as_ref().unwrap(), currency, &header[0], &cells))
            }
            "estimate" => (cells[1], of_estimate(cells[0].trim_matches('`'), cells[1])),
            "price × quantity" if !cells[0].contains('(') => {
                let (unit, quantity) = cells[0].split_once(" × ").unwrap();
                let (unit_price, code) = unit.split_once(' ').unwrap();
                let currency = Currency::parse(code).unwrap();
                let unit_price = decimal(unit_price);
                let tariff = Tariff::of(tollbook_schemas::catalog::PriceModel::PerUnit { unit_price });
                let rated = rate(&tariff, &Usage::of(decimal(quantity)), currency).unwrap();
                assert_eq!(rated.working.exact, cells[1], "{line}");
                (cells[2], rated.amount.to_string())
            }
            _ => continue,
        };
        count += 1;
        if expected != found {
            failures.push(format!("{line}: {found}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    count
}

/// Each key that a table of the input line knows stands in `docs/estimate.md`, under the heading of its table.
#[test]
fn every_key_of_estimate_is_documented() {
    let page = include_str!("../../../docs/estimate.md");
    let price = r#""currency":"EUR","price":{"model":"flat","amount":"1"}"#;
    let of_usage = |inside: &str| format!("{{{price},\"usage\":{{\"quantity\":1,{inside}}}}}");
    let of_invoice = |list: &str| format!("{{\"currency\":\"EUR\",\"invoice\":{{\"lines\":[],{list}}}}}");
    for (heading, line) in [
        ("The line", format!("{{{price},\"quantity\":1,\"zz\":1}}")),
        ("Usage", of_usage("\"zz\":1")),
        ("Served", of_usage(r#""served":{"period":["2026-01-01","2026-02-01"],"stretches":[],"zz":1}"#)),
        (
            "Served",
            of_usage(
                r#""served":{"period":["2026-01-01","2026-02-01"],"stretches":[{"service":["2026-01-01","2026-01-02"],"zz":1}]}"#,
            ),
        ),
        ("The line", format!("{{{price},\"quantity\":1,\"overage\":{{\"above\":1,\"factor\":1,\"zz\":1}}}}")),
        (
            "Rules of other systems",
            r#"{"currency":"EUR","price":{"model":"capacity","tiers":[{"flat_price":1,"zz":1}]},"quantity":1}"#
                .to_owned(),
        ),
        ("Usage", of_usage(r#""events":[{"zz":1}]"#)),
        ("Usage", of_usage(r#""groups":[{"quantity":1,"values":{},"zz":1}]"#)),
        ("Allocate", r#"{"currency":"EUR","allocate":{"amount":1,"weights":[1],"zz":1}}"#.to_owned()),
        ("Prorate and commitment", r#"{"currency":"EUR","prorate":{"amount":1,"zz":1}}"#.to_owned()),
        ("Prorate and commitment", r#"{"currency":"EUR","commitment":{"amount":1,"billed":1,"zz":1}}"#.to_owned()),
        ("Invoice", of_invoice("\"zz\":1")),
        ("Invoice", r#"{"currency":"EUR","invoice":{"lines":[{"amount":1,"zz":1}]}}"#.to_owned()),
        ("Invoice", of_invoice(r#""coupons":[{"amount":1,"zz":1}]"#)),
        ("Invoice", of_invoice(r#""credits":[{"amount":1,"zz":1}]"#)),
        ("Invoice", of_invoice(r#""limits":[{"minimum":1,"zz":1}]"#)),
    ] {
        let found: Value = serde_json::from_str(&estimate::line(&line)).unwrap();
        let told = found["error"].to_string();
        let (_, known) =
            told.split_once("unknown field `zz`, expected one of ").unwrap_or_else(|| panic!("{line}: {told}"));
        let known = known.split(['"', ';']).next().unwrap();
        let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
        let section = section.split("\n## ").next().unwrap();
        for key in known.split(", ") {
            assert!(section.contains(&format!("`{key}`")), "{heading} does not tell of {key}");
        }
    }
}

/// The example of the crate's README: each first line of a pair is answered by the second.
#[test]
fn the_example_of_the_readme_is_right() {
    let readme = include_str!("../README.md");
    let (_, block) = readme.split_once("```text\n").unwrap();
    let (block, _) = block.split_once("\n```").unwrap();
    let lines: Vec<&str> = block.lines().collect();
    assert_eq!(lines.len(), 4);
    for pair in lines.chunks(2) {
        assert_eq!(estimate::line(pair[0]), pair[1]);
    }
}
