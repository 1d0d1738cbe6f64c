//! Lines that adjust an earlier month, once more: what the month comes to now, less what issued documents billed of it.
//! Pure. From the form of `adjusts` in a document, and not from `billing`.
//!
//! A line of now and a billed one are the same where subscription, plan, price and first instant are, and what was used
//! while paused stands apart. Lines of now come first, in their order, then what is billed no more; what differs in
//! neither amount nor quantity is left out.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::period::parse_instant;

use crate::month::PAUSED;
use crate::number::Ratio;
use crate::stored::Object;

/// What makes two lines the same.
pub(crate) type Key = (String, String, String, Option<DateTime<Utc>>, bool);

/// A document that was issued.
pub(crate) struct Before<'a> {
    pub(crate) invoice_id: &'a str,
    pub(crate) body: &'a Object,
    /// Whether it was voided at Stripe before the document that is derived was issued.
    pub(crate) is_voided: bool,
}

/// Lines of one key: the last one, and the sums.
struct Sum<'a> {
    line: &'a Object,
    figures: Figures,
}

/// Amount, tax that other lines contain, quantity.
type Figures = (i64, i64, Ratio);

/// The text of a key of a document or a line; empty where it has none.
pub(crate) fn text<'a>(line: &'a Object, key: &str) -> &'a str {
    line.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn key_of(line: &Object) -> Key {
    let part = |key| text(line, key).to_owned();
    let start = parse_instant(text(line, "span_start")).ok();
    let is_paused = text(line, "price_model") == PAUSED;
    (part("subscription_id"), part("plan_id"), part("price_id"), start, is_paused)
}

fn figures(line: &Object) -> Result<Figures, String> {
    let amount = line.get("amount_minor").and_then(Value::as_i64).ok_or("a billed line has no amount")?;
    let quantity: Decimal = text(line, "quantity").parse().map_err(|_| "a billed line has no quantity")?;
    let contained = line.get("tax").and_then(|tax| tax.get("contained_minor")?.as_i64()).unwrap_or(0);
    Ok((amount, contained, Ratio::decimal(quantity)))
}

/// The lines of a document that bill a month: what was made by hand, or paid with a credit, is no part of what it comes
/// to.
fn lines(body: &Object) -> impl Iterator<Item = &Object> {
    let lines = body.get("lines").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
    lines.filter(|line| !line.contains_key("by_hand") && !line.contains_key("credit"))
}

/// The month that a line bills: the one that it adjusts, else its document's.
pub(crate) fn month_of<'a>(body: &'a Object, line: &'a Object) -> &'a str {
    match line.get("adjusts").and_then(Value::as_object) {
        Some(adjusts) => text(adjusts, "month"),
        None => text(body, "month"),
    }
}

/// The lines of a document that bill a month.
pub(crate) fn lines_of_month<'a>(body: &'a Object, month: &'a str) -> impl Iterator<Item = &'a Object> {
    lines(body).filter(move |line| month_of(body, line) == month)
}

/// The plan with two of its versions: the one that a line of a month was billed by last, and another one of now.
pub(crate) fn other_version(month: &str, billed_by: &[&Before<'_>], now: &[Object]) -> Option<(String, u64, u64)> {
    let version = |line: &Object| line.get("plan_version").and_then(Value::as_u64);
    // Two versions of a tax rate may share a line's place.
    let of_plans = now.iter().filter(|line| !line.contains_key("tax"));
    let billed = in_order(billed_by);
    for line in of_plans {
        let of_key =
            billed.iter().flat_map(|one| lines_of_month(one.body, month)).filter(|was| key_of(was) == key_of(line));
        let was = of_key.last().and_then(version);
        if let (Some(was), Some(is)) = (was, version(line))
            && was != is
        {
            return Some((text(line, "plan_id").to_owned(), was, is));
        }
    }
    None
}

/// Documents in the order in which they were printed: the invoices' own lines first.
fn in_order<'a, 'b>(billed_by: &[&'b Before<'a>]) -> Vec<&'b Before<'a>> {
    let mut in_order = billed_by.to_vec();
    in_order.sort_by_key(|document| (text(document.body, "month"), document.invoice_id));
    in_order
}

/// The documents among some that billed a month.
pub(crate) fn that_billed<'a, 'b>(month: &str, documents: &'b [Before<'a>]) -> Vec<&'b Before<'a>> {
    let billed = |document: &&Before<'a>| {
        let own = !document.body.contains_key("kind") && text(document.body, "month") == month;
        own || lines(document.body).any(|line| month_of(document.body, line) == month)
    };
    documents.iter().filter(billed).collect()
}

fn fold<'a>(lines: impl Iterator<Item = &'a Object>) -> Result<Vec<(Key, Sum<'a>)>, String> {
    let mut sums: Vec<(Key, Sum<'a>)> = Vec::new();
    for line in lines {
        let (key, own) = (key_of(line), figures(line)?);
        match sums.iter_mut().find(|(known, _)| *known == key) {
            Some((_, sum)) => {
                let known = &sum.figures;
                let add = |one: i64, other: i64| one.checked_add(other).ok_or("amounts do not fit 63 bits");
                sum.figures = (add(known.0, own.0)?, add(known.1, own.1)?, &known.2 + &own.2);
                sum.line = line;
            }
            None => sums.push((key, Sum { line, figures: own })),
        }
    }
    Ok(sums)
}

/// The lines by which a month, as it comes to now, differs from what documents billed of it; without numbers.
///
/// # Errors
/// What does not fit or cannot be read, in words.
pub(crate) fn differences(month: &str, billed_by: &[&Before<'_>], now: &[Object]) -> Result<Vec<Object>, String> {
    let invoice_ids: BTreeSet<&str> = billed_by.iter().map(|document| document.invoice_id).collect();
    let in_order = in_order(billed_by);
    let of_month = in_order.iter().flat_map(|document| lines_of_month(document.body, month));
    let mut billed: BTreeMap<Key, Sum<'_>> = fold(of_month)?.into_iter().collect();
    let nothing = || (0, 0, Ratio::whole(0));
    let mut found = Vec::new();
    let mut between = |line: &Object, was: Figures, is: Figures, gone: bool| {
        let amount = is.0.checked_sub(was.0).ok_or("an adjustment does not fit 63 bits")?;
        let contained = is.1.checked_sub(was.1).ok_or("an adjustment does not fit 63 bits")?;
        let quantity = &is.2 - &was.2;
        if amount == 0 && contained == 0 && quantity.is_zero() {
            return Ok::<(), String>(());
        }
        let suffix = format!(" (adjustment of {month})");
        let description = text(line, "description");
        let description = description.strip_suffix(&suffix).unwrap_or(description);
        let mut line = line.clone();
        if let Some(tax) = line.get_mut("tax").and_then(Value::as_object_mut)
            && (tax.contains_key("contained_minor") || contained != 0)
        {
            tax.insert("contained_minor".to_owned(), contained.into());
        }
        let mut set = |key: &str, value: Value| line.insert(key.to_owned(), value);
        set("description", format!("{description}{suffix}").into());
        set("amount_minor", amount.into());
        set("quantity", quantity.text().into());
        set(
            "adjusts",
            json!({
                "billed_amount_minor": was.0, "billed_quantity": was.2.text(), "invoice_ids": invoice_ids, "month": month,
                "now_amount_minor": is.0, "now_quantity": is.2.text(),
            }),
        );
        if gone {
            set("usage", json!([]));
            set("working", json!({ "exact": "0" }));
        }
        found.push(line);
        Ok(())
    };
    for (key, now) in fold(now.iter())? {
        let was = billed.remove(&key).map_or_else(nothing, |was| was.figures);
        between(now.line, was, now.figures, false)?;
    }
    for was in billed.into_values() {
        between(was.line, was.figures, nothing(), true)?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `subscription price amount quantity`, from the first of June.
    fn line(text: &str) -> Object {
        let [subscription, price, amount, quantity] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
        let line = json!({
            "subscription_id": subscription, "plan_id": "p", "price_id": price, "span_start": "2026-06-01T00:00:00Z",
            "amount_minor": amount.parse::<i64>().unwrap(), "quantity": quantity, "description": price,
            "usage": [{ "quantity": quantity }], "working": { "exact": amount },
        });
        line.as_object().unwrap().clone()
    }

    fn body(month: &str, lines: &[Object]) -> Object {
        json!({ "month": month, "lines": lines }).as_object().unwrap().clone()
    }

    fn told(lines: &[Object]) -> Vec<String> {
        let one = |line: &Object| {
            let adjusts = &line["adjusts"];
            format!(
                "{} {} {} | {} of {} | {} {} | {} | {}",
                text(line, "description"),
                line["amount_minor"],
                text(line, "quantity"),
                adjusts["now_amount_minor"],
                adjusts["billed_amount_minor"],
                adjusts["invoice_ids"],
                adjusts["month"],
                line["usage"],
                line["working"]["exact"]
            )
        };
        lines.iter().map(one).collect()
    }

    /// Tax that the lines of then contained, and that is charged beside those of now.
    #[test]
    fn tax_that_was_contained_is_taken_back_where_it_is_charged_now() {
        let taxed = |amount: &str, tax: Value| {
            let mut line = line(&format!("s1 vat {amount} 1"));
            line.insert("tax".to_owned(), tax);
            line
        };
        let june = body("2026-06", &[taxed("0", json!({ "contained_minor": 135 }))]);
        let documents = [before("inv_b", &june)];
        let billed_by = that_billed("2026-06", &documents);
        let found = differences("2026-06", &billed_by, &[taxed("147", json!({}))]).unwrap();
        let [line] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((&line["amount_minor"], &line["tax"]), (&json!(147), &json!({ "contained_minor": -135 })));
        // With that nothing is left.
        let july = body("2026-07", &found);
        let documents = [before("inv_b", &june), before("inv_c", &july)];
        let billed_by = that_billed("2026-06", &documents);
        assert_eq!(differences("2026-06", &billed_by, &[taxed("147", json!({}))]).unwrap(), Vec::<Object>::new());
    }

    fn before<'a>(invoice_id: &'a str, body: &'a Object) -> Before<'a> {
        Before { invoice_id, body, is_voided: false }
    }

    #[test]
    fn a_difference_is_now_less_all_that_was_billed() {
        let june = body("2026-06", &[line("s1 base 4900 1"), line("s1 calls 10 5"), line("s2 calls 7 3.5")]);
        let now = [line("s1 base 4900 1"), line("s1 calls 14 7"), line("s1 more 3 1")];
        let documents = [before("inv_b", &june)];
        let first = differences("2026-06", &that_billed("2026-06", &documents), &now).unwrap();
        assert_eq!(
            told(&first),
            [
                r#"calls (adjustment of 2026-06) 4 2 | 14 of 10 | ["inv_b"] "2026-06" | [{"quantity":"7"}] | "14""#,
                r#"more (adjustment of 2026-06) 3 1 | 3 of 0 | ["inv_b"] "2026-06" | [{"quantity":"1"}] | "3""#,
                r#"calls (adjustment of 2026-06) -7 -3.5 | 0 of 7 | ["inv_b"] "2026-06" | [] | "0""#,
            ]
        );
        // Once billed, nothing is left; later only what came since.
        let july = body("2026-07", &[&[line("s1 base 4900 1")][..], &first].concat());
        let documents = [before("inv_b", &june), before("inv_a", &july)];
        let billed_by = that_billed("2026-06", &documents);
        assert_eq!(differences("2026-06", &billed_by, &now).unwrap(), Vec::<Object>::new());
        let later = [line("s1 base 4900 1"), line("s1 calls 16 8"), line("s1 more 3 1"), line("s2 calls 7 3.5")];
        assert_eq!(
            told(&differences("2026-06", &billed_by, &later).unwrap()),
            [
                r#"calls (adjustment of 2026-06) 2 1 | 16 of 14 | ["inv_a","inv_b"] "2026-06" | [{"quantity":"8"}] | "16""#,
                r#"calls (adjustment of 2026-06) 7 3.5 | 7 of 0 | ["inv_a","inv_b"] "2026-06" | [{"quantity":"3.5"}] | "7""#,
            ]
        );
        assert!(that_billed("2026-08", &documents).is_empty());
        assert_eq!(that_billed("2026-07", &documents).len(), 1);
    }
}
