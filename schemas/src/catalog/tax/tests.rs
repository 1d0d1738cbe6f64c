use super::*;
use crate::catalog::{CatalogFile, Problem};
use crate::period::parse_instant;

const BASE: &str = r#"
[[issuer]]
id = "acme"
legal_name = "Acme"
address = []
number_prefix = "A-"
time_zone = "UTC"
payment_terms_days = 14
[[issuer]]
id = "free"
legal_name = "Free"
address = []
number_prefix = "F-"
time_zone = "UTC"
payment_terms_days = 14
"#;

/// Reads `id version from percent [key=value …]`, a rate a line; a value is TOML without blanks.
fn rates(text: &str) -> String {
    let rate = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [id, version, from, percent] = words[..4] else { panic!("{line}") };
        let has_issuer = words[4..].iter().any(|word| word.starts_with("issuer="));
        let more = words[4..].iter().map(|word| word.replacen('=', " = ", 1));
        let issuer = (!has_issuer).then(|| "issuer = \"acme\"".to_owned());
        format!(
            "[[tax_rate]]\nid = \"{id}\"\nversion = {version}\neffective_from = \"{from}T00:00:00Z\"\n\
             description = \"{id} {percent} %\"\npercent = \"{percent}\"\n{}\n",
            issuer.into_iter().chain(more).collect::<Vec<_>>().join("\n")
        )
    };
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(rate).collect()
}

fn parsed(rates_text: &str) -> Result<Catalog, Vec<Problem>> {
    let text = format!("{BASE}{}", rates(rates_text));
    Catalog::parse(&[CatalogFile { path: "c.toml".into(), text }])
}

const RATES: &str = r#"
    vat 1 2026-01-01 19
    vat 2 2026-07-01 16
    books 1 2026-01-01 7 tax_codes=["books","papers"]
    eu 1 2026-03-01 0 countries=["FR","AT"] customer_tax_id=true
    france 1 2026-03-01 20 countries=["FR"]
"#;

/// One row: tax code, country, with a tax id or not, the instant before which it holds; the rate and its version.
#[test]
fn the_most_specific_rate_in_force_is_the_one() {
    let catalog = parsed(RATES).unwrap();
    for (issuer, code, country, has_tax_id, before, expected) in [
        ("acme", None, "DE", true, "2026-06-30", "vat 1"),
        // The last instant counts: what ends when a version begins is taxed by the one before.
        ("acme", None, "DE", true, "2026-07-01", "vat 1"),
        ("acme", None, "DE", true, "2026-07-02", "vat 2"),
        ("acme", Some("books"), "DE", false, "2026-07-02", "books 1"),
        ("acme", Some("papers"), "FR", true, "2026-07-02", "books 1"),
        ("acme", Some("food"), "DE", false, "2026-07-02", "is for tax code food of a customer in DE without a tax id"),
        // For a country before the rest; with a tax id before the country alone.
        ("acme", None, "FR", false, "2026-07-02", "france 1"),
        ("acme", None, "FR", true, "2026-07-02", "eu 1"),
        ("acme", None, "AT", true, "2026-07-02", "eu 1"),
        ("acme", None, "AT", false, "2026-07-02", "vat 2"),
        ("acme", None, "FR", true, "2026-02-01", "vat 1"),
        // Nothing is taxed before the first rate, and nothing by an issuer without any.
        ("acme", None, "DE", true, "2026-01-01", "untaxed"),
        ("acme", Some("food"), "DE", true, "2026-01-01", "untaxed"),
        ("free", Some("food"), "DE", true, "2026-07-02", "untaxed"),
    ] {
        let before = parse_instant(&format!("{before}T00:00:00Z")).unwrap();
        let customer = Customer { country, has_tax_id };
        let issuer = IssuerId::parse(issuer).unwrap();
        let found = match catalog.tax_rate_before(&issuer, code, customer, before) {
            Ok(None) => "untaxed".to_owned(),
            Ok(Some(rate)) => format!("{} {}", rate.tax_rate_id, rate.version.version),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "{code:?} {country} {has_tax_id} {before}: {found}");
    }
}

/// One row: rates, and what is told of them.
#[test]
fn rates_that_would_leave_a_choice_are_refused() {
    for (text, expected) in [
        ("a 1 2026-01-01 19\n b 1 2026-01-01 7", "tax rates a and b are both for some lines of issuer acme"),
        ("a 1 2026-01-01 19\n b 1 2027-01-01 7", "tax rates a and b are both for some lines of issuer acme"),
        (
            r#"a 1 2026-01-01 19 tax_codes=["x","y"]
            b 1 2026-01-01 7 tax_codes=["y"]"#,
            "tax rates a and b are both",
        ),
        (
            r#"a 1 2026-01-01 19 countries=["FR","AT"]
            b 1 2026-01-01 7 countries=["AT"]"#,
            "tax rates a and b are both",
        ),
        (
            r#"a 1 2026-01-01 19 countries=["FR","AT"]
            b 1 2026-01-01 7 countries=["AT"] customer_tax_id=true"#,
            "",
        ),
        (
            r#"a 1 2026-01-01 19 issuer="free"
            b 1 2026-01-01 7"#,
            "",
        ),
        ("a 1 2026-01-01 19\n a 2 2026-01-01 7", "tax rate a version 2 does not follow version 1"),
        ("a 2 2026-01-01 19\n a 1 2026-02-01 7", "tax rate a version 1 does not follow version 2"),
        (
            r#"a 1 2026-01-01 19
            a 2 2026-02-01 7 issuer="free""#,
            "tax rate a is of issuer acme in version 1",
        ),
        (r#"a 1 2026-01-01 19 issuer="fre""#, "no issuer fre"),
        ("a 1 2026-01-01 100.1", "a tax of 100.1 per cent is more than the price"),
        ("a 0 2026-01-01 19", "version must be 1 or more"),
    ] {
        let found = parsed(text);
        match expected {
            "" => assert!(found.is_ok(), "{text}: {found:?}"),
            words => assert!(format!("{:?}", found.as_ref().unwrap_err()).contains(words), "{text}: {found:?}"),
        }
    }
    let plan = "[[plan]]\nid = \"tax\"\nversion = 1\neffective_from = \"2026-01-01T00:00:00Z\"\nname = \"T\"\nissuer = \"acme\"\n\
                currency = \"EUR\"\nprice = [{ id = \"b\", description = \"B\", model = \"flat\", amount = 1 }]\n";
    let text = format!("{BASE}{plan}{}", rates("a 1 2026-01-01 19"));
    let problems = Catalog::parse(&[CatalogFile { path: "c.toml".into(), text }]).unwrap_err();
    assert!(problems[0].what.contains("there is a plan tax"), "{problems:?}");
}

/// `catalog diff` tells rates key by key, and a version on an issued invoice may not change in anything.
#[test]
fn a_change_of_a_rate_is_told_and_is_a_change_of_what_was_billed() {
    use crate::catalog::diff::{broken_tax_rate, diff};
    let then = parsed("a 1 2026-01-01 19").unwrap();
    let id = TaxRateId::parse("a").unwrap();
    for (now, expected) in [
        ("a 1 2026-01-01 19", ""),
        ("a 1 2026-01-01 20", "tax_rate a: description was a 19 % and is a 20 %; percent was 19 and is 20"),
        ("a 1 2026-02-01 19", "tax_rate a: effective_from was 2026-01-01T00:00:00Z and is 2026-02-01T00:00:00Z"),
        (r#"a 1 2026-01-01 19 mode="inclusive""#, "tax_rate a: mode was not there and is inclusive"),
        (r#"a 1 2026-01-01 19 lines="per_line""#, "tax_rate a: lines was not there and is per_line"),
        (r#"a 1 2026-01-01 19 tax_codes=["y","x"]"#, "tax_rate a: tax_codes was not there and is x, y"),
        (r#"a 1 2026-01-01 19 countries=["FR"]"#, "tax_rate a: countries was not there and is FR"),
        ("a 1 2026-01-01 19 customer_tax_id=true", "tax_rate a: customer_tax_id was not there and is true"),
        (r#"a 1 2026-01-01 19 issuer="free""#, "tax_rate a: issuer was acme and is free"),
    ] {
        let now_catalog = parsed(now).unwrap();
        let told = |changes: &[crate::catalog::diff::EntryChange]| -> String {
            let fields = |fields: &[crate::catalog::diff::FieldChange]| {
                fields.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
            };
            let one = |change: &crate::catalog::diff::EntryChange| {
                format!("{} {}: {}", change.section.as_str(), change.id, fields(&change.fields))
            };
            changes.iter().map(one).collect::<Vec<_>>().join(" | ")
        };
        assert_eq!(told(&diff(&then, &now_catalog)), expected, "{now}");
        assert_eq!(told(&broken_tax_rate(&then, &now_catalog, &id, 1)), expected, "{now}");
    }
    // A next version changes nothing of what was billed.
    let next = parsed("a 1 2026-01-01 19\n a 2 2026-07-01 20").unwrap();
    assert!(broken_tax_rate(&then, &next, &id, 1).is_empty() && !diff(&then, &next).is_empty());
    assert_eq!(broken_tax_rate(&then, &parsed("").unwrap(), &id, 1).len(), 1);
}

/// One row: rates of then and of now; from when they differ.
#[test]
fn other_rates_matter_from_the_first_that_differs() {
    let acme = IssuerId::parse("acme").unwrap();
    for (then, now, expected) in [
        ("a 1 2026-01-01 19", "a 1 2026-01-01 19", None),
        ("", "a 1 2026-05-01 19", Some("2026-05-01")),
        ("a 1 2026-01-01 19", "a 1 2026-01-01 19\n a 2 2026-07-01 16", Some("2026-07-01")),
        ("a 1 2026-01-01 19", "a 1 2026-01-01 20", Some("2026-01-01")),
        ("a 1 2026-03-01 19", "a 1 2026-02-01 19", Some("2026-02-01")),
        ("a 1 2026-02-01 19", "", Some("2026-02-01")),
        ("", r#"a 1 2026-05-01 19 issuer="free""#, None),
    ] {
        let differs = parsed(then).unwrap().tax_differs_from(&parsed(now).unwrap(), &acme);
        let expected = expected.map(|day| parse_instant(&format!("{day}T00:00:00Z")).unwrap());
        assert_eq!(differs, expected, "{then} and {now}");
    }
}
