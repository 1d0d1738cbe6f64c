use tollbook_schemas::id::TaxRateId;

use super::*;
use crate::document::LineTax;

fn money(text: &str) -> Money {
    let (amount, currency) = text.split_once(' ').unwrap();
    Money { minor: amount.parse().unwrap(), currency: Currency::parse(currency).unwrap() }
}

fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.split(';').map(str::trim).filter(|row| !row.is_empty()).map(|row| row.split_whitespace().collect())
}

/// Reads `partner month name quantity|- minor currency`, several; a name in `'` is a description.
fn legacy(text: &str) -> Vec<LegacyLine> {
    rows(text)
        .zip(2..)
        .map(|(row, file_line)| LegacyLine {
            file_line,
            partner_id: PartnerId::parse(row[0]).unwrap(),
            month: row[1].parse().unwrap(),
            name: match row[2].strip_prefix('\'') {
                Some(description) => LineName::Description(description.to_owned()),
                None => LineName::Price(PriceId::parse(row[2]).unwrap()),
            },
            quantity: (row[3] != "-").then(|| row[3].parse().unwrap()),
            amount: money(&format!("{} {}", row[4], row[5])),
        })
        .collect()
}

/// Reads `partner month price description quantity minor currency`, several.
fn own(text: &str) -> Vec<OwnLine> {
    rows(text)
        .map(|row| OwnLine {
            partner_id: PartnerId::parse(row[0]).unwrap(),
            month: row[1].parse().unwrap(),
            named: row[2].to_owned(),
            description: row[3].to_owned(),
            quantity: row[4].parse().unwrap(),
            amount: money(&format!("{} {}", row[5], row[6])),
        })
        .collect()
}

/// Differences as `partner line what legacy/tollbook difference`, then totals, then what is equal.
fn told(compared: &Compared) -> String {
    let side = |side: &Option<Side>| side.as_ref().map_or("-".to_owned(), |side| side.amount_minor.to_string());
    let differences = compared.differences.iter().map(|one| {
        let (legacy, own) = (side(&one.legacy), side(&one.tollbook));
        format!("{} {} {} {legacy}/{own} {}", one.partner_id, one.line, one.what(), one.difference_minor)
    });
    let equal = format!("{}={} {}", compared.equal, compared.zero_alone, compared.totals.len());
    differences.chain([equal]).collect::<Vec<_>>().join(" | ")
}

/// One row: what the other system billed, what tollbook bills, what is different; at the end lines that are equal,
/// lines of 0 alone, partners by currency.
#[test]
fn lines_are_matched_and_compared() {
    for (theirs, ours, expected) in [
        ("", "", "0=0 0"),
        ("acme 2026-06 base - 4900 EUR", "acme 2026-06 base Base 1 4900 EUR", "1=0 1"),
        ("acme 2026-06 'Base - 4900 EUR", "acme 2026-06 base Base 1 4900 EUR", "1=0 1"),
        ("acme 2026-06 base - 4901 EUR", "acme 2026-06 base Base 1 4900 EUR", "acme base amount 4901/4900 -1 | 0=0 1"),
        // The quantity counts where it is told.
        ("acme 2026-06 calls 10.0 100 EUR", "acme 2026-06 calls Calls 10 100 EUR", "1=0 1"),
        (
            "acme 2026-06 calls 11 100 EUR",
            "acme 2026-06 calls Calls 10 100 EUR",
            "acme calls quantity 100/100 0 | 0=0 1",
        ),
        // Another month, partner, currency or name is another line.
        (
            "acme 2026-05 base - 4900 EUR",
            "acme 2026-06 base Base 1 4900 EUR",
            "acme base only_in_legacy 4900/- -4900 | acme base only_in_tollbook -/4900 4900 | 0=0 1",
        ),
        (
            "acme 2026-06 base - 4900 USD",
            "acme 2026-06 base Base 1 4900 EUR",
            "acme base only_in_tollbook -/4900 4900 | acme base only_in_legacy 4900/- -4900 | 0=0 2",
        ),
        (
            "bolt 2026-06 'base - 4900 EUR",
            "bolt 2026-06 base Base 1 4900 EUR",
            "bolt base only_in_legacy 4900/- -4900 | bolt base only_in_tollbook -/4900 4900 | 0=0 1",
        ),
        // Several lines of one side are one.
        (
            "acme 2026-06 calls 7 70 EUR; acme 2026-06 calls 3 30 EUR",
            "acme 2026-06 calls Calls 4 40 EUR; acme 2026-06 calls Calls 6 60 EUR",
            "1=0 1",
        ),
        ("acme 2026-06 calls 7 70 EUR; acme 2026-06 calls - 30 EUR", "acme 2026-06 calls Calls 4 100 EUR", "1=0 1"),
        // A description takes what no id has taken.
        (
            "acme 2026-06 'Base - 100 EUR; acme 2026-06 base - 4900 EUR",
            "acme 2026-06 base Base 1 4900 EUR; acme 2026-06 extra Base 1 100 EUR",
            "2=0 1",
        ),
        // What costs nothing and is on one side alone is told as a count.
        (
            "",
            "acme 2026-06 calls Calls 4 0 EUR; acme 2026-06 base Base 1 5 EUR",
            "acme base only_in_tollbook -/5 5 | 0=1 1",
        ),
        ("acme 2026-06 setup - 0 EUR", "", "0=1 1"),
    ] {
        assert_eq!(told(&compare(&legacy(theirs), &own(ours)).unwrap()), expected, "{theirs} / {ours}");
    }
}

#[test]
fn totals_are_by_partner_and_currency() {
    let theirs = legacy("acme 2026-05 base - 100 EUR; acme 2026-06 base - 200 EUR; bolt 2026-06 base - 7 JPY");
    let ours = own("acme 2026-05 base Base 1 100 EUR; acme 2026-06 base Base 1 250 EUR; acme 2026-06 x X 1 9 USD");
    let compared = compare(&theirs, &ours).unwrap();
    let totals = compared.totals.iter().map(|one| {
        format!("{} {} {} {} {}", one.partner_id, one.legacy, one.tollbook, one.difference_minor, one.different_lines)
    });
    assert_eq!(
        totals.collect::<Vec<_>>(),
        ["acme 3.00 EUR 3.50 EUR 50 1", "acme 0.00 USD 0.09 USD 9 1", "bolt 7 JPY 0 JPY -7 1"]
    );
    let file_lines: Vec<&[u64]> = compared.differences.iter().map(|one| one.file_lines.as_slice()).collect();
    assert_eq!(file_lines, [&[3][..], &[], &[4]]);
}

#[test]
fn a_sum_that_does_not_fit_is_an_error() {
    let most = i64::MAX;
    let theirs = legacy(&format!("acme 2026-06 base - {most} EUR; acme 2026-06 base - 1 EUR"));
    assert_eq!(compare(&theirs, &[]), Err(CompareError::Amount(MoneyError::Overflow)));
    let theirs = legacy(&format!("acme 2026-06 base - -{most} EUR"));
    assert!(compare(&theirs, &own(&format!("acme 2026-06 base Base 1 {most} EUR"))).is_err());
}

#[test]
fn an_amount_is_whole_minor_units() {
    for (amount, currency, minor) in [
        ("49", "EUR", Some(4900)),
        ("49.5", "EUR", Some(4950)),
        ("-0.01", "EUR", Some(-1)),
        ("0.001", "EUR", None),
        ("500", "JPY", Some(500)),
        ("0.5", "JPY", None),
        ("1.234", "KWD", Some(1234)),
        ("99999999999999999999", "EUR", None),
    ] {
        assert_eq!(minor_of(amount.parse().unwrap(), Currency::parse(currency).unwrap()), minor, "{amount} {currency}");
    }
}

/// What was issued stands, whatever today's data say; what was not is what a draft would be.
#[test]
fn own_lines_are_those_of_invoices_and_of_todays_drafts() {
    use crate::draft::tests::{at, drafted};
    use crate::event::{EventKind, InvoiceEvent};

    let before = drafted("acme pro 2026-01-01..", "").documents.remove(0);
    let today = drafted("acme pro 2026-01-01..; bolt pro 2026-01-01..", "acme calls production 2026-06-02T00:00 30");
    let stored = BTreeMap::from([(before.invoice_id.clone(), before.clone())]);
    let lines = |events: &[InvoiceEvent]| -> Vec<String> {
        let lines = own_lines(&today, &stored, &Slots::fold(events).unwrap());
        lines.iter().map(|line| format!("{} {} {}", line.partner_id, line.named, line.amount.minor)).collect()
    };
    // A tax line for each line bears the id of the price that it taxes, and is no part of it.
    let mut taxed = before.clone();
    let mut line = taxed.body.lines[0].clone();
    let profile_version_id = taxed.body.profile_version_id.clone();
    let (tax_rate_id, percent) = (TaxRateId::parse("vat").unwrap(), Decimal::whole(19));
    line.tax = Some(LineTax { contained_minor: None, percent, profile_version_id, tax_rate_id, version: 1 });
    taxed.body.lines.push(line);
    let names: Vec<String> = lines_of(&taxed).into_iter().map(|line| line.named).collect();
    assert_eq!(names, ["base", "calls", "vat"]);
    let event = |kind| InvoiceEvent::of(&before, kind, "x", 0, at("2026-07-05"));
    let drafts = ["acme base 4900", "acme calls 200", "bolt base 4900", "bolt calls 0"];
    assert_eq!(lines(&[event(EventKind::Drafted)]), drafts);
    let issued = ["acme base 4900", "acme calls 0", "bolt base 4900", "bolt calls 0"];
    assert_eq!(lines(&[event(EventKind::Drafted), event(EventKind::Issued)]), issued);
}
