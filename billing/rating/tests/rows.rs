//! Rows of other billing systems, as text: `id | price | input -> expected ; input -> expected`.
//!
//! Keys and values need no quotes; a number alone means `quantity` on the left and `total` on the right. `@name = …`
//! defines a price for the rows below it. Every row goes through `estimate::line`, and every row that fails is told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use tollbook_rating::estimate;
use tollbook_schemas::exact::Exact;

/// `unit_price: 5.001, tiers: [..]` as JSON: every bare word but true and false becomes text.
fn quoted(text: &str) -> String {
    let mut json = String::new();
    let mut word = String::new();
    let mut is_inside = false;
    let mut is_escaped = false;
    for c in text.chars().chain([' ']) {
        if c == '"' && !is_escaped {
            is_inside = !is_inside;
        }
        is_escaped = is_inside && c == '\\' && !is_escaped;
        if !is_inside && (c.is_alphanumeric() || "_.+-%/".contains(c)) {
            word.push(c);
            continue;
        }
        match word.as_str() {
            "" => {}
            "true" | "false" | "null" => json.push_str(&word),
            _ => write!(json, "{word:?}").unwrap(),
        }
        word.clear();
        json.push(c);
    }
    json
}

fn is_bare(text: &str) -> bool {
    !text.contains(':')
}

/// The answer in the words of the rows.
fn view(answer: &Value) -> Value {
    let lines = answer["lines"].as_array().cloned().unwrap_or_default();
    let each = |key: &str| Value::Array(lines.iter().map(|line| line[key].clone()).collect());
    let of_first = |key: &str| lines.first().map_or(Value::Null, |line| line[key].clone());
    let exacts = |line: &Value| {
        let components = line["components"].as_array().cloned().unwrap_or_default();
        Value::Array(components.into_iter().map(|component| component["exact"].clone()).collect())
    };
    let names = |line: &Value| {
        let components = line["components"].as_array().cloned().unwrap_or_default();
        Value::Array(components.into_iter().map(|component| component["name"].clone()).collect())
    };
    let column = |list: &str, key: &str| {
        let list = answer[list].as_array().cloned().unwrap_or_default();
        Value::Array(list.into_iter().map(|entry| entry[key].clone()).collect())
    };
    json!({
        "amounts": each("amount"),
        "before": of_first("billable_before"),
        "billable": of_first("billable"),
        "billed": each("billed"),
        "components": lines.first().map_or(json!([]), exacts),
        "carried": each("carried"),
        "coupons": answer["coupons"],
        "draws": column("draws", "amount"),
        "due": answer["due"],
        "error": answer["error"]["what"],
        "exact": of_first("exact"),
        "field": answer["error"]["field"],
        "left": answer["left"],
        "lefts": each("left"),
        "limits": answer["limits"],
        "mend": answer["error"]["mend"],
        "names": lines.first().map_or(json!([]), names),
        "places": lines.iter().map(|line| line["line"].to_string()).collect::<Vec<_>>(),
        "parts": if answer["parts"].is_array() { answer["parts"].clone() } else { each("parts") },
        "subtotal": answer["subtotal"],
        "tax": answer["tax"],
        "taxes": column("taxes", "tax"),
        "total": answer["total"],
    })
}

fn is_same(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Array(one), Value::Array(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| is_same(one, two))
        }
        (Value::String(one), Value::String(two)) => match (number(one), number(two)) {
            (Some(one), Some(two)) => one == two,
            _ => one == two,
        },
        _ => expected == found,
    }
}

fn number(text: &str) -> Option<Exact> {
    match text.split_once('/') {
        Some((above, below)) => above.parse::<Exact>().ok()?.checked_div(below.parse().ok()?).ok(),
        None => text.parse().ok(),
    }
}

fn is_expected(key: &str, expected: &Value, found: &Value) -> bool {
    match (key, expected, found) {
        ("error", Value::String(words), Value::String(told)) => told.contains(words.as_str()),
        _ => is_same(expected, found),
    }
}

/// Runs a file; gives the number of cases and what failed.
fn run(path: &Path, failures: &mut Vec<String>) -> usize {
    let text = std::fs::read_to_string(path).unwrap();
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let mut prices: BTreeMap<String, String> = BTreeMap::new();
    let mut ids: Vec<String> = Vec::new();
    let mut count = 0;
    for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with('@') {
            let (price, body) = line.split_once(" = ").unwrap_or_else(|| panic!("{name}:{number}: {line}"));
            prices.insert(price.to_owned(), body.to_owned());
            continue;
        }
        let [id, price, cases] = line.split(" | ").map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{name}:{number}: {line}")
        };
        assert!(!ids.contains(&id.to_owned()), "{name}:{number}: {id} is there twice");
        ids.push(id.to_owned());
        // `EUR @price, minimum: 5`: the currency is USD where none is named.
        let (currency, price) = match price.split_once(' ') {
            Some((code, rest)) if code.len() == 3 && code.chars().all(|c| c.is_ascii_uppercase()) => (code, rest),
            _ if price.len() == 3 && !price.starts_with('@') => (price, ""),
            _ => ("USD", price),
        };
        let (base, more) = price.split_once(',').unwrap_or((price, ""));
        let base = if base.starts_with('@') {
            prices.get(base.trim()).unwrap_or_else(|| panic!("{name}:{number}: no {base}")).clone()
        } else {
            base.to_owned()
        };
        let price = [base.as_str(), more].iter().filter(|part| !part.trim().is_empty()).copied().collect::<Vec<_>>();
        for (at, case) in cases.split(" ; ").enumerate() {
            count += 1;
            let (input, expected) = case.split_once("->").unwrap_or_else(|| panic!("{name}:{number}: {case}"));
            let (input, expected) = (input.trim(), expected.trim());
            let input = if is_bare(input) { format!("quantity: {input}") } else { input.to_owned() };
            let expected = if is_bare(expected) { format!("total: {expected}") } else { expected.to_owned() };
            let price = if price.is_empty() { String::new() } else { format!("price: {{{}}},", price.join(",")) };
            let line = quoted(&format!("{{currency: {currency}, {price} {input}}}"));
            let expected: Value = serde_json::from_str(&quoted(&format!("{{{expected}}}")))
                .unwrap_or_else(|error| panic!("{name}:{number}: {expected}: {error}"));
            let answer: Value = serde_json::from_str(&estimate::line(&line)).unwrap();
            let found = view(&answer);
            for (key, expected) in expected.as_object().unwrap() {
                if !is_expected(key, expected, &found[key]) {
                    failures.push(format!(
                        "{name}:{number}: {id} case {}: {input}: {key} is {}, not {expected}: {answer}",
                        at + 1,
                        found[key]
                    ));
                }
            }
        }
    }
    count
}

#[test]
fn every_row_gives_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rows");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_stem().unwrap() != "unsupported");
    files.sort();
    let mut failures = Vec::new();
    let mut count = 0;
    for file in &files {
        let cases = run(file, &mut failures);
        println!("{}: {cases} cases", file.display());
        count += cases;
    }
    assert!(failures.is_empty(), "{} of {count} failed:\n{}", failures.len(), failures.join("\n"));
    assert!(count > 250, "only {count} cases were found");
}
