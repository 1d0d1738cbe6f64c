//! How to mend a file that is no TOML. Takes what the parser says, and where; gives the help that fits what stands
//! there.

use std::ops::Range;

/// Tables of which an entry has several, beside the sections themselves.
const LISTS: [&str; 4] = ["plan.price", "plan.quota", "product.rule", "contract.price"];

/// The help for an error of the parser.
pub(super) fn mend(text: &str, span: &Range<usize>, message: &str) -> String {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.floor_char_boundary(span.end.clamp(start, text.len()));
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or_default().trim();
    if ["<<<<<<<", "=======", ">>>>>>>", "|||||||"].iter().any(|mark| line.starts_with(mark)) {
        return "a merge was not finished here: keep one side, and remove the marks".to_owned();
    }
    let says = |words: &str| message.starts_with(words);
    match () {
        () if says("duplicate key") => twice(text, line_start, line, &text[start..end]),
        () if says("string values must be quoted") || says("invalid boolean") => unquoted(&text[start..end]),
        () if says("key with no value") && text[line_start..].lines().next().is_some_and(|line| line.contains(':')) => {
            "write = for the colon".to_owned()
        }
        () if says("key with no value") => "write = between the key and its value".to_owned(),
        () if says("unclosed array table") => "close it with ]], on its line".to_owned(),
        () if says("unclosed table") => "close it with ], on its line".to_owned(),
        () if says("unclosed array") => "close the list with ]".to_owned(),
        () if says("unclosed inline table") => "close it with }".to_owned(),
        () if says("missing comma") && line.starts_with('[') => "close the list before it with ]".to_owned(),
        () if says("extra assignment") => "write a comma before the key".to_owned(),
        () if says("too few unicode") || says("missing escaped") => "a backslash is written twice".to_owned(),
        () if says("missing comma") => "write a comma before it".to_owned(),
        () if says("extra comma") => "remove the comma".to_owned(),
        () if says("extra `=`") => "write one = only".to_owned(),
        () if says("unexpected leading zero") => "write the number without zeros before it".to_owned(),
        () if says("invalid key-value pair") && line.starts_with('{') => {
            "a catalog is TOML, no JSON: write sections such as [[plan]], and in them key = value".to_owned()
        }
        () if says("invalid") && message.contains("string") => unclosed(message).to_owned(),
        () => "see what `tollbook init` writes".to_owned(),
    }
}

/// A key or a header that is there already.
fn twice(text: &str, line_start: usize, line: &str, key: &str) -> String {
    let headers = text[..line_start].lines().zip(1_usize..).filter_map(|(line, number)| Some((header(line)?, number)));
    let Some((name, is_list)) = header(line) else {
        let entry = headers.last().map(|((name, is_list), _)| bracketed(name, is_list));
        return match entry.filter(|_| line.starts_with(key)) {
            Some(entry) => format!("remove one of the two; another entry begins with its own {entry}"),
            None => "remove one of the two".to_owned(),
        };
    };
    let before: Vec<((&str, bool), usize)> = headers.collect();
    let is_before = |wanted: (&str, bool)| before.iter().find(|(found, _)| *found == wanted);
    if !is_list
        && (LISTS.contains(&name) || super::check::SECTIONS.contains(&name) || is_before((name, true)).is_some())
    {
        return format!("write {}, with two brackets", bracketed(name, true));
    }
    if is_list && let Some((_, number)) = is_before((name, false)) {
        return format!("write {} in line {number} too, with two brackets", bracketed(name, true));
    }
    // Such as a [[plan.price]] behind a [[plans]].
    let inside =
        before.iter().find(|((other, _), _)| other.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')));
    match inside.filter(|_| is_list && is_before((name, true)).is_none()) {
        Some(((other, of_list), number)) => {
            let (other, name) = (bracketed(other, *of_list), bracketed(name, true));
            format!("{other} in line {number} has no {name} before it: look at the header above it")
        }
        None => "remove one of the two, or begin another entry above it".to_owned(),
    }
}

/// What stands between the brackets of a header, and whether they are two.
fn header(line: &str) -> Option<(&str, bool)> {
    let inside = line.trim().strip_prefix('[')?;
    let (inside, is_list) = match inside.strip_prefix('[') {
        Some(inside) => (inside, true),
        None => (inside, false),
    };
    let (name, _) = inside.split_once(']')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._- ".contains(c);
    (!name.is_empty() && name.chars().all(is_name)).then_some((name.trim(), is_list))
}

fn bracketed(name: &str, is_list: bool) -> String {
    if is_list { format!("[[{name}]]") } else { format!("[{name}]") }
}

fn unquoted(value: &str) -> String {
    let value = value.trim();
    let straight = value.trim_matches(|c| "\u{201c}\u{201d}\u{201e}\u{2018}\u{2019}\u{ab}\u{bb}".contains(c));
    match value.to_lowercase().as_str() {
        "" => "write a value after the =".to_owned(),
        flag @ ("true" | "false") => format!("write {flag}, in small letters"),
        "yes" | "on" => "write true".to_owned(),
        "no" | "off" => "write false".to_owned(),
        _ if straight != value => format!("write straight quotes: \"{straight}\""),
        _ => format!("write it in quotes: \"{straight}\""),
    }
}

fn unclosed(message: &str) -> &'static str {
    match message.split_once("expected ").map(|(_, expected)| expected).unwrap_or_default() {
        expected if expected.contains("visible") => "remove the control character",
        expected if expected.contains("`\"`") || expected.contains("`'`") => {
            "close the text with its quote, on its line"
        }
        _ => "close the text with its quote; a backslash is written twice",
    }
}

#[cfg(test)]
mod tests;
