//! What the engine has against an expression, in our words, and which part of the SQL it means. Takes the engine's
//! error and the SQL; gives a byte range in it where the error names a token, else none: then all of it is meant.

use std::ops::Range;

use datafusion::common::{DFSchema, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use tollbook_schemas::nearest::nearest;

/// The part of the SQL that is meant, what is wrong with it (after "meter m: filter "), how to mend it.
pub(super) struct Offender {
    pub at: Option<Range<usize>>,
    pub what: String,
    pub mend: String,
}

/// Finds it.
pub(super) fn of(error: &DataFusionError, sql: &str, schema: &DFSchema) -> Offender {
    match error.find_root() {
        DataFusionError::SchemaError(schema_error, _) => {
            if let SchemaError::FieldNotFound { field, .. } = schema_error.as_ref() {
                if sql.contains(&format!("\"{}\"", field.name())) {
                    return Offender {
                        at: word(sql, field.name()),
                        what: format!("names {}, expected a column of access_log", field.name()),
                        mend: format!("did you mean the text '{}'? texts stand in single quotes", field.name()),
                    };
                }
                return unknown_column(&field.name, sql, schema);
            }
        }
        DataFusionError::SQL(parser_error, _) => return no_expression(parser_error, sql),
        _ => {}
    }
    let told = said_by(error);
    if told.contains("table '") && told.contains("not found") {
        return Offender {
            at: word(sql, "select"),
            what: "asks a table, expected an expression over one request".to_owned(),
            mend: "write it over the columns of access_log, without select".to_owned(),
        };
    }
    let told = told.strip_prefix("Error during planning: ").unwrap_or(&told).to_owned();
    Offender {
        at: quoted(&told).and_then(|name| word(sql, name)),
        what: format!("cannot be used as SQL over access_log: {told}"),
        mend: "`tollbook sql \"describe access_log\"` lists columns with their types".to_owned(),
    }
}

/// The engine's words. It takes what it did not foresee for its own mistake, and asks for a report to its authors:
/// whoever reads it here has written an expression.
pub(super) fn said_by(error: &DataFusionError) -> String {
    let told = error.strip_backtrace();
    told.split("This issue was likely caused").next().unwrap_or_default().trim_end().to_owned()
}

fn unknown_column(name: &str, sql: &str, schema: &DFSchema) -> Offender {
    let known = schema.fields().iter().map(|field| field.name().as_str());
    let mend = match nearest(name, known) {
        // It is there: then it was written with a table before it.
        Some(known) if known == name => format!("write {name} alone, without a table before it"),
        Some(known) => format!("did you mean {known}?"),
        None => {
            "`tollbook sql \"describe access_log\"` lists them; what else was logged is in attributes['…']".to_owned()
        }
    };
    Offender { at: word(sql, name), what: format!("names {name}, expected a column of access_log"), mend }
}

/// "Expected: end of expression, found: ; at Line: 1, Column: 13".
fn no_expression(error: &ParserError, sql: &str) -> Offender {
    let told = match error {
        ParserError::ParserError(told) | ParserError::TokenizerError(told) => told.as_str(),
        ParserError::RecursionLimitExceeded => "it is nested too deeply",
    };
    let (told, at) = match told.split_once(" at Line: ") {
        Some((told, place)) => (told, place.split_once(", Column: ").and_then(|place| token(sql, place))),
        None => (told, None),
    };
    let what = match told.strip_prefix("Expected: ").and_then(|told| told.split_once(", found: ")) {
        Some((expected, found)) => format!("is no SQL expression: found {found}, expected {expected}"),
        None => format!("is no SQL expression: {told}"),
    };
    Offender { at, what, mend: "write one SQL expression, such as \"status between 200 and 299\"".to_owned() }
}

/// The token at a line and a column, both from 1, in characters.
fn token(sql: &str, (line, column): (&str, &str)) -> Option<Range<usize>> {
    let digits = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next().and_then(|text| text.parse().ok());
    let (line, column): (usize, usize) = (digits(line)?, digits(column)?);
    let line_start = sql.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum::<usize>();
    let before: usize = sql.get(line_start..)?.chars().take(column.checked_sub(1)?).map(char::len_utf8).sum();
    let start = line_start + before;
    let rest = sql.get(start..)?;
    let first = rest.chars().next()?;
    let length = if is_of_word(first) { rest.find(|c| !is_of_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
    Some(start..start + length)
}

/// The first place of a whole word, whatever its capitals; not within texts in single quotes.
pub(super) fn word(sql: &str, wanted: &str) -> Option<Range<usize>> {
    let (mut is_text, mut start) = (false, None);
    // One character past the end closes the last word.
    for (at, letter) in sql.char_indices().chain([(sql.len(), ' ')]) {
        is_text ^= letter == '\'';
        if is_of_word(letter) && !is_text {
            start.get_or_insert(at);
        } else if let Some(start) = start.take()
            && sql.get(start..at).is_some_and(|word| word.eq_ignore_ascii_case(wanted))
        {
            return Some(start..at);
        }
    }
    None
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The first name that the engine's message quotes: "Invalid function 'lenght'".
fn quoted(told: &str) -> Option<&str> {
    let (_, rest) = told.split_once('\'')?;
    rest.split_once('\'').map(|(name, _)| name)
}
