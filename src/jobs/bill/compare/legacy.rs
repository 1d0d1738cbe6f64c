//! What another system billed, from a CSV file: bytes in, lines out, or every problem with its line and column. Pure.
//!
//! | column | |
//! |---|---|
//! | `partner_id` | id of the partner, as in `partner` |
//! | `period` | month that is billed, such as 2026-06 |
//! | `price_id`, `description` | one of them, or both: what tells the line; where a line has both, the id does |
//! | `quantity` | may be left out, or empty: then it is not compared |
//! | `amount` | in major units, as `49.00`: a point, no thousands, no more digits than the currency has |
//! | `currency` | code, such as EUR |
//!
//! The first line names the columns, in any order; others are refused, since a misspelt one would be a column that is
//! silently not compared.

use std::path::Path;

use csv::StringRecord;
use tollbook_billing::compare::{LegacyLine, LineName, minor_of};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::{PartnerId, PriceId};
use tollbook_schemas::money::{Currency, Money};

use crate::configuration::ConfigurationError;

const COLUMNS: [&str; 7] = ["partner_id", "period", "price_id", "description", "quantity", "amount", "currency"];

/// Problems that an error lists.
const LISTED_MAX: usize = 20;

/// Reads a file.
///
/// # Errors
/// [`ConfigurationError`] with one line for each problem.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Vec<LegacyLine>, ConfigurationError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let unreadable = |number: u64, error: &csv::Error| {
        ConfigurationError(format!(
            "{} line {number} cannot be read ({error}); it must be CSV in UTF-8",
            path.display()
        ))
    };
    let header = reader.headers().map_err(|error| unreadable(1, &error))?.clone();
    check_header(&header).map_err(|what| ConfigurationError(format!("{} line 1: {what}", path.display())))?;
    let (mut lines, mut problems) = (Vec::new(), Vec::new());
    for record in reader.records() {
        let record = record.map_err(|error| unreadable(error.position().map_or(0, csv::Position::line), &error))?;
        let file_line = record.position().map_or(0, csv::Position::line);
        match line_of(&header, &record, file_line) {
            Ok(line) => lines.push(line),
            Err((column, what)) => problems.push(format!("{} line {file_line}, {column}: {what}", path.display())),
        }
    }
    let more = problems.len().saturating_sub(LISTED_MAX);
    problems.truncate(LISTED_MAX);
    if more > 0 {
        problems.push(format!("and {more} more"));
    }
    if problems.is_empty() { Ok(lines) } else { Err(ConfigurationError(problems.join("\n"))) }
}

fn check_header(header: &StringRecord) -> Result<(), String> {
    let known = || format!("the columns are {}, separated by commas", COLUMNS.join(", "));
    for (at, name) in header.iter().enumerate() {
        if !COLUMNS.contains(&name) {
            return Err(format!("there is no column {name:?}; {}", known()));
        }
        if header.iter().take(at).any(|before| before == name) {
            return Err(format!("column {name} is there twice; name each once"));
        }
    }
    let is_there = |name: &str| header.iter().any(|column| column == name);
    for name in ["partner_id", "period", "amount", "currency"] {
        if !is_there(name) {
            return Err(format!("column {name} is missing; {}", known()));
        }
    }
    if is_there("price_id") || is_there("description") {
        return Ok(());
    }
    Err(format!("price_id or description must tell the line, and both are missing; {}", known()))
}

/// A line, or the column that is wrong and why.
fn line_of(header: &StringRecord, record: &StringRecord, file_line: u64) -> Result<LegacyLine, (&'static str, String)> {
    let cell = |column: &'static str| {
        let at = header.iter().position(|name| name == column)?;
        record.get(at).filter(|text| !text.is_empty())
    };
    let need = |column: &'static str| cell(column).ok_or((column, "it is empty; every line needs one".to_owned()));
    let partner_id = PartnerId::parse(need("partner_id")?).map_err(|error| ("partner_id", error.to_string()))?;
    let month = need("period")?
        .parse()
        .map_err(|error: tollbook_schemas::period::PeriodError| ("period", error.to_string()))?;
    let name = match (cell("price_id"), cell("description")) {
        (Some(id), _) => LineName::Price(PriceId::parse(id).map_err(|error| ("price_id", error.to_string()))?),
        (None, Some(description)) => LineName::Description(description.to_owned()),
        (None, None) => {
            return Err(("price_id", "it is empty, and so is description; one of them must tell the line".into()));
        }
    };
    let decimal = |column: &'static str, text: &str| {
        text.parse::<Decimal>().map_err(|error| (column, format!("{error}; write it as 1234.50")))
    };
    let quantity = cell("quantity").map(|text| decimal("quantity", text)).transpose()?;
    let currency = Currency::parse(need("currency")?).map_err(|error| ("currency", error.to_string()))?;
    let amount = decimal("amount", need("amount")?)?;
    let minor = minor_of(amount, currency).ok_or_else(|| {
        let digits = currency.exponent();
        ("amount", format!("{amount} is no amount of {currency}, which has {digits} digits; give what was billed"))
    })?;
    Ok(LegacyLine { file_line, partner_id, month, name, quantity, amount: Money { minor, currency } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Result<Vec<String>, String> {
        let lines = read(Path::new("legacy.csv"), text.as_bytes()).map_err(|error| error.to_string())?;
        let line = |line: &LegacyLine| {
            let quantity = line.quantity.map_or("-".to_owned(), |quantity| quantity.to_string());
            format!("{} {} {} {:?} {quantity} {}", line.file_line, line.partner_id, line.month, line.name, line.amount)
        };
        Ok(lines.iter().map(line).collect())
    }

    #[test]
    fn a_file_is_read_in_any_order_of_columns() {
        let text = "currency,amount,period,partner_id,description,price_id,quantity\n\
                    EUR,49.00,2026-06,acme,Base fee,base,1\n\
                    JPY, 500 ,2026-06,bolt,\"Calls, all\",,\n";
        let expected = [
            r#"2 acme 2026-06 Price(PriceId("base")) 1 49.00 EUR"#,
            r#"3 bolt 2026-06 Description("Calls, all") - 500 JPY"#,
        ];
        assert_eq!(told(text).unwrap(), expected);
        assert_eq!(told("partner_id,period,price_id,amount,currency\n").unwrap(), Vec::<String>::new());
        let short = "partner_id,period,price_id,amount,currency\nacme,2026-06,base,-1.5,EUR\n";
        assert_eq!(told(short).unwrap(), [r#"2 acme 2026-06 Price(PriceId("base")) - -1.50 EUR"#]);
    }

    /// One row: the file, and what is said of it.
    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        const HEAD: &str = "partner_id,period,price_id,description,quantity,amount,currency\n";
        for (text, words) in [
            (
                "partner,period,price_id,amount,currency\n",
                "line 1: there is no column \"partner\"; the columns are partner_id,",
            ),
            ("partner_id;period;price_id;amount;currency\n", "separated by commas"),
            ("partner_id,period,price_id,price_id,amount,currency\n", "line 1: column price_id is there twice"),
            ("partner_id,period,price_id,currency\n", "line 1: column amount is missing"),
            ("partner_id,period,amount,currency\n", "price_id or description must tell the line"),
            ("acme,2026-06,base,,1,49.00,EUR,7\n", "line 2 cannot be read"),
            ("acme,2026-6,base,,1,49.00,EUR\n", "line 2, period: \"2026-6\" is not a month"),
            (",2026-06,base,,1,49.00,EUR\n", "line 2, partner_id: it is empty"),
            ("a b,2026-06,base,,1,49.00,EUR\n", "line 2, partner_id:"),
            ("acme,2026-06,,,1,49.00,EUR\n", "line 2, price_id: it is empty, and so is description"),
            ("acme,2026-06,base,,many,49.00,EUR\n", "line 2, quantity: \"many\" is not a plain decimal"),
            ("acme,2026-06,base,,1,\"1,234.50\",EUR\n", "line 2, amount: \"1,234.50\" is not a plain decimal"),
            ("acme,2026-06,base,,1,49.005,EUR\n", "line 2, amount: 49.005 is no amount of EUR, which has 2 digits"),
            ("acme,2026-06,base,,1,,EUR\n", "line 2, amount: it is empty"),
            ("acme,2026-06,base,,1,49,Eur\n", "line 2, currency: currency \"Eur\" is not known"),
            ("acme,2026-06,base,,1,1,EUR\nacme,june,base,,1,1,EUR\nacme,2026-06,base,,1,x,EUR\n", "line 4, amount"),
        ] {
            let text = if text.starts_with("partner") { text.to_owned() } else { format!("{HEAD}{text}") };
            let error = told(&text).unwrap_err();
            assert!(error.starts_with("legacy.csv line ") && error.contains(words), "{text}: {error}");
        }
        let bad = told(&format!("{HEAD}{}", "acme,june,base,,1,1,EUR\n".repeat(25))).unwrap_err();
        assert!(bad.lines().count() == 21 && bad.ends_with("and 5 more"), "{bad}");
        assert!(read(Path::new("legacy.csv"), b"partner_id,period,price_id,amount,currency\n\xff,,,,\n").is_err());
    }
}
