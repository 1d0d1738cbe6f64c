//! Tax in drafts: rates, subscriptions and usage in, lines out. The sample's prices have no tax code; `pro` costs 49
//! and, from 11 calls on, 0.1 a call.

use tollbook_schemas::catalog::{Catalog, CatalogFile};

use super::super::tests::{catalog as sample, drafted_with, invoice_row, told};
use super::super::{Drafted, draft};
use crate::document::{Document, Line};

/// Plans whose prices have tax codes.
const PLANS: &str = r#"
[[plan]]
id = "cents"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Cents"
issuer = "berlin"
currency = "EUR"
price = [
  { id = "one", description = "One", model = "flat", amount = "0.05", tax_code = "api" },
  { id = "two", description = "Two", model = "flat", amount = "0.05", tax_code = "api" },
]
[[plan]]
id = "mixed"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Mixed"
issuer = "berlin"
currency = "EUR"
price = [
  { id = "api", description = "API", model = "flat", amount = "100", tax_code = "api" },
  { id = "book", description = "Manual", model = "flat", amount = "119", tax_code = "books" },
  { id = "bare", description = "Bare", model = "flat", amount = "10" },
]
"#;

/// Reads `id percent [from] [key=value …]`, several, separated by `;`; a value is TOML without blanks. Version 1 of
/// `berlin`, from 2026-01-01 on, unless it says otherwise.
pub(crate) fn rates(text: &str) -> String {
    let rate = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (id, percent) = (words[0], words[1]);
        let or = |key: &str, default: &str| {
            let is_there = words.iter().any(|word| word.starts_with(&format!("{key}=")));
            if is_there { String::new() } else { format!("{key} = {default}\n") }
        };
        let more: Vec<String> = words[2..].iter().map(|word| word.replacen('=', " = ", 1)).collect();
        let defaults =
            [or("version", "1"), or("issuer", "\"berlin\""), or("effective_from", "\"2026-01-01T00:00:00Z\"")].concat();
        format!(
            "\n[[tax_rate]]\nid = \"{id}\"\ndescription = \"{id} {percent} %\"\npercent = \"{percent}\"\n{defaults}{}\n",
            more.join("\n")
        )
    };
    text.split(';').map(str::trim).filter(|line| !line.is_empty()).map(rate).collect()
}

pub(crate) fn catalog(rates_text: &str) -> Catalog {
    let text = format!("{}{PLANS}{}", sample().files()[0].text, rates(rates_text));
    Catalog::parse(&[CatalogFile { path: "catalog.toml".into(), text }])
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn drafted(rates_text: &str, registry: &str, usage: &str) -> Drafted {
    drafted_with(&catalog(rates_text), registry, Vec::new(), usage)
}

/// One row: rates, subscriptions, usage; what comes of it. The customers are in Germany, without a tax id.
#[test]
fn what_is_billed_is_taxed_by_the_rate_for_it() {
    let pro = "acme pro 2026-01-01.. UTC";
    let both = r#"vat 19 tax_codes=["api"]; books 7 tax_codes=["books"] mode="inclusive"; none 0"#;
    for (rates, registry, usage, expected) in [
        // Nobody taxes, or another issuer does.
        ("", pro, "", "acme berlin 49.00 EUR: base 1 4900, calls 0 0"),
        (r#"vat 19 issuer="tokyo""#, pro, "", "acme berlin 49.00 EUR: base 1 4900, calls 0 0"),
        // On top, of all lines together: 49.20 × 0.19 = 9.348.
        (
            "vat 19",
            pro,
            "acme calls production 2026-06-02T00:00 12",
            "acme berlin 58.55 EUR: base 1 4900, calls 12 20, vat 49.2 935",
        ),
        // Inside: 49 × 19 / 119 = 7.82…, and the total stays.
        (r#"vat 19 mode="inclusive""#, pro, "", "acme berlin 49.00 EUR: base 1 4900, calls 0 0, vat 49 0"),
        // One rounding for a rate: 0.10 × 0.1 = 0.01; for each line twice 0.005, rounded up.
        (
            r#"vat 10 tax_codes=["api"]"#,
            "acme cents 2026-01-01.. UTC",
            "",
            "acme berlin 0.11 EUR: one 1 5, two 1 5, vat 0.1 1",
        ),
        (
            r#"vat 10 tax_codes=["api"] lines="per_line""#,
            "acme cents 2026-01-01.. UTC",
            "",
            "acme berlin 0.12 EUR: one 1 5, two 1 5, one 0.05 1, two 0.05 1",
        ),
        // Each code by its own rate; 0 per cent is a line as well.
        (
            both,
            "acme mixed 2026-01-01.. UTC",
            "",
            "acme berlin 248.00 EUR: api 1 10000, book 1 11900, bare 1 1000, books 119 0, none 10 0, vat 100 1900",
        ),
        // A code without a rate blocks its partner and nobody else; nothing is free of tax by default.
        (
            r#"vat 19 tax_codes=["api"]"#,
            "acme mixed 2026-01-01.. UTC; bolt cents 2026-01-01.. UTC",
            "",
            "bolt berlin 0.12 EUR: one 1 5, two 1 5, vat 0.1 2 | acme! price book of subscription s1: issuer berlin taxes, and \
             none of its tax rates in force is for tax code books of a customer in DE without a tax id; add a [[tax_rate]] for \
             it (of 0 per cent where nothing is due)",
        ),
        // What holds at the last instant of what is billed: a rate of 1 July taxes nothing of June, one of 15 June all
        // of it.
        (
            r#"vat 19; vat 16 version=2 effective_from="2026-07-01T00:00:00Z""#,
            pro,
            "",
            "acme berlin 58.31 EUR: base 1 4900, calls 0 0, vat 49 931",
        ),
        (
            r#"vat 19; vat 16 version=2 effective_from="2026-06-15T00:00:00Z""#,
            pro,
            "",
            "acme berlin 56.84 EUR: base 1 4900, calls 0 0, vat 49 784",
        ),
        // Weeks end on both sides of it.
        (
            r#"vat 19; vat 16 version=2 effective_from="2026-06-15T00:00:00Z""#,
            "acme weeks 2026-06-01.. UTC",
            "",
            "acme berlin 32.90 EUR: base 1 700, calls 0 0, base 1 700, calls 0 0, base 1 700, calls 0 0, base 1 700, calls 0 0, \
             vat 14 266, vat 14 224",
        ),
        // An issuer that begins to tax.
        (r#"vat 19 effective_from="2026-07-01T00:00:00Z""#, pro, "", "acme berlin 49.00 EUR: base 1 4900, calls 0 0"),
    ] {
        let found = drafted(rates, registry, usage);
        assert_eq!(told(&found), expected, "{rates}, {registry}");
        for document in &found.documents {
            assert_eq!(document.text.contains("\"tax\""), !rates.is_empty() && document.text.contains("%"), "{rates}");
            assert_eq!(Document::from_row(&invoice_row(document)).unwrap(), *document);
        }
    }
}

fn tax_of(drafted: &Drafted) -> Vec<&Line> {
    drafted.documents.iter().flat_map(|one| &one.body.lines).filter(|line| line.tax.is_some()).collect()
}

/// A tax line says by which rate, of what, and how; where it is contained, how much.
#[test]
fn a_tax_line_carries_its_evidence() {
    let found = drafted("vat 19", "acme pro 2026-01-01.. UTC", "acme calls production 2026-06-02T00:00 12");
    let line = tax_of(&found)[0];
    let json = serde_json::to_string(line).unwrap();
    let profile = &found.documents[0].body.profile_version_id;
    assert!(
        json.contains(&format!(
            r#""tax":{{"percent":"19","profile_version_id":"{profile}","tax_rate_id":"vat","version":1}},"unit":"EUR""#
        )),
        "{json}"
    );
    assert!(
        json.contains(
            r#""working":{"components":[{"exact":"9.31","name":"Base: percentage","quantity":"49"},{"exact":"0.038","name":"Calls: percentage","quantity":"0.2"}],"exact":"9.348"}"#
        ),
        "{json}"
    );
    assert_eq!((line.description.as_str(), line.tax_minor()), ("vat 19 %", 935));
    assert_eq!(found.documents[0].net_minor(), Some(4920));
    assert_eq!(line.subscription_id.as_str(), found.documents[0].slot_id.as_str());

    let found = drafted(r#"vat 19 mode="inclusive""#, "acme pro 2026-01-01.. UTC", "");
    let (line, document) = (tax_of(&found)[0], &found.documents[0]);
    assert_eq!((line.amount_minor, line.tax_minor(), document.net_minor()), (0, 782, Some(4118)));
    assert_eq!(line.description_with_tax(document.body.currency), "vat 19 % (7.82 EUR contained)");
}

/// The minimum of a contract is taxed by its own code.
#[test]
fn the_minimum_of_a_contract_is_taxed_too() {
    let contract = "[[contract]]\nid = \"big\"\nversion = 1\nname = \"B\"\nplan = \"pro\"\ncurrency = \"EUR\"\n\
        starts = \"2026-01-01T00:00:00Z\"\nminimum = { description = \"Minimum\", amount = \"100\", tax_code = \"api\" }\n";
    for (code, expected) in [
        ("api", "acme berlin 109.90 EUR: base 1 4900, calls 0 0, contract-minimum 1 5100, none 49 0, vat 51 990"),
        ("other", "acme! price contract-minimum of subscription s1: issuer berlin taxes"),
    ] {
        let rates = rates(&format!("vat 19.4117647058 tax_codes=[\"{code}\"]; none 0"));
        let text = format!("{}{contract}{rates}", sample().files()[0].text);
        let catalog = Catalog::parse(&[CatalogFile { path: "c.toml".into(), text }]).unwrap();
        let signed = vec![tollbook_schemas::registry::SignedContract {
            partner_id: tollbook_schemas::id::PartnerId::parse("acme").unwrap(),
            contract_id: tollbook_schemas::id::ContractId::parse("big").unwrap(),
            subscription_id: None,
            signed_at: super::super::tests::at("2026-05-01"),
            ended_at: None,
        }];
        let found = told(&drafted_with(&catalog, "acme pro 2026-01-01.. UTC", signed, ""));
        assert!(found.starts_with(expected), "{found}");
    }
}

/// Where a customer was when a line ended is where it is taxed, whenever it is computed; a tax id counts likewise.
#[test]
fn the_customer_of_then_is_taxed() {
    let rates = r#"vat 19; eu 0 countries=["FR"] customer_tax_id=true; france 20 countries=["FR"]"#;
    let catalog = catalog(rates);
    for (profiles, expected) in [
        // `country tax-id from`, several.
        ("DE - 2026-01-01", "vat 49 931"),
        ("FR - 2026-01-01", "france 49 980"),
        ("FR FR1 2026-01-01", "eu 49 0"),
        ("DE - 2026-01-01, FR FR1 2026-06-20", "eu 49 0"),
        ("DE - 2026-01-01, FR FR1 2026-07-01", "vat 49 931"),
        // It has none then: the first that it got.
        ("FR - 2026-07-01, DE - 2026-07-02", "france 49 980"),
        ("DE DE1 2026-01-01", "vat 49 931"),
    ] {
        let profiles: Vec<crate::profile::Profile> = profiles
            .split(", ")
            .map(|words| {
                let [country, tax_id, from] = words.split(' ').collect::<Vec<_>>()[..] else { panic!("{words}") };
                let profile = super::super::tests::profile("acme", from, words);
                let tax_id = (tax_id != "-").then(|| tax_id.to_owned());
                crate::profile::Profile { country: country.to_owned(), tax_id, ..profile }
            })
            .collect();
        let profiles = profiles.into();
        let found = super::super::tests::with_input("acme pro 2026-01-01.. UTC", "", |input| {
            told(&draft(&super::DraftInput { catalog: &catalog, profiles: &profiles, ..*input }))
        });
        assert!(found.ends_with(expected), "{expected}: {found}");
    }
}

/// Tax that the prices of then contained, of a line that is charged beside them now: both are told, and nothing is left
/// to bill.
#[test]
fn tax_that_was_contained_is_taken_back_where_it_is_charged_now() {
    let issued_of = |document: &Document, number: &str| crate::billed::IssuedDocument {
        document: document.clone(),
        number: number.to_owned(),
        is_voided: false,
    };
    let june = drafted(r#"vat 19 mode="inclusive""#, "acme pro 2026-01-01..", "");
    let [document] = &june.documents[..] else { panic!("{}", told(&june)) };
    let issued = [issued_of(document, "N1")];
    let mut now = document.body.lines.clone();
    let tax = now.iter_mut().find(|line| line.tax.is_some()).unwrap();
    let contained = tax.tax.as_ref().unwrap().contained_minor.unwrap();
    assert!(contained > 0);
    (tax.amount_minor, tax.tax.as_mut().unwrap().contained_minor) = (931, None);
    let differences = |issued: &[crate::billed::IssuedDocument]| {
        let billed = crate::billed::Billed::fold(issued, None).unwrap();
        let (_, slot) = billed.slots()[0];
        slot.differences(&now).unwrap()
    };
    let found = differences(&issued);
    let figures = |line: &Line| (line.amount_minor, line.tax.as_ref().and_then(|tax| tax.contained_minor));
    assert_eq!(found.iter().map(figures).collect::<Vec<_>>(), [(931, Some(-contained))]);
    // A later document bills it, and then nothing is left.
    let mut body = document.body.clone();
    (body.month, body.total_minor, body.lines) = (body.month.next(), 931, found);
    let july = Document::close(body).unwrap();
    assert_eq!(differences(&[issued[0].clone(), issued_of(&july, "N2")]), []);
}
