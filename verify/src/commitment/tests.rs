//! When a commitment is due, and what counts towards it.

use tollbook_schemas::catalog::CatalogFile;
use tollbook_schemas::period::parse_instant;
use tollbook_schemas::registry::SignedContract;

use super::*;

/// Two contracts from the first of April in Berlin: `big` of three months, `long` with a second version of three more.
fn catalog() -> Catalog {
    let contract = |id: &str, version: u32, starts: &str, terms: &str| {
        format!(
            "[[contract]]\nid = \"{id}\"\nversion = {version}\nname = \"B\"\nplan = \"pro\"\ncurrency = \"EUR\"\n\
             starts = \"{starts}\"\n{terms}\n"
        )
    };
    let committed = "term_months = 3\ncommitment = { description = \"Committed\", amount = \"150\" }";
    let text = format!(
        "[[issuer]]\nid = \"acme\"\nlegal_name = \"Acme\"\naddress = []\nnumber_prefix = \"A-\"\n\
         time_zone = \"Europe/Berlin\"\npayment_terms_days = 14\n\
         [[plan]]\nid = \"pro\"\nversion = 1\neffective_from = \"2020-01-01T00:00:00Z\"\nname = \"Pro\"\nissuer = \"acme\"\n\
         currency = \"EUR\"\nprice = [{{ id = \"base\", description = \"Base\", model = \"flat\", amount = \"1\" }}]\n{}{}{}{}",
        contract("big", 1, "2026-03-31T22:00:00Z", committed),
        contract("long", 1, "2026-03-31T22:00:00Z", committed),
        contract("long", 2, "2026-06-30T22:00:00Z", committed),
        contract("open", 1, "2026-03-31T22:00:00Z", "discount_percent = \"5\""),
    );
    Catalog::parse(&[CatalogFile { path: "c.toml".into(), text }]).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// Each row: what acme signed, as `contract from..to`, and the commitments that are due in each month.
#[test]
fn a_commitment_is_due_in_the_month_that_holds_the_end_of_its_term() {
    let catalog = catalog();
    for (signed, told) in [
        ("", ""),
        ("big 2026-03-01T00:00:00Z..", "2026-06 big 1"),
        ("open 2026-03-01T00:00:00Z..", ""),
        ("long 2026-03-01T00:00:00Z..", "2026-06 long 1, 2026-09 long 2"),
        ("big 2026-03-01T00:00:00Z..; long 2026-03-01T00:00:00Z..", "2026-06 big 1, 2026-06 long 1, 2026-09 long 2"),
        // Once, though it was signed twice.
        ("big 2026-03-01T00:00:00Z..; big 2026-06-01T00:00:00Z..", "2026-06 big 1"),
        // Ended before its term, with it, and signed when it is over.
        ("big 2026-03-01T00:00:00Z..2026-06-30T21:59:59Z", ""),
        ("big 2026-03-01T00:00:00Z..2026-06-30T22:00:00Z", "2026-06 big 1"),
        ("big 2026-06-30T21:59:59Z..", "2026-06 big 1"),
        ("big 2026-06-30T22:00:00Z..", ""),
        ("gone 2026-03-01T00:00:00Z..", ""),
    ] {
        let at = |text: &str| parse_instant(text).unwrap();
        let acme = PartnerId::parse("acme").unwrap();
        let one = |text: &str| {
            let (id, time) = text.trim().split_once(' ').unwrap();
            let (from, to) = time.split_once("..").unwrap();
            SignedContract {
                partner_id: acme.clone(),
                contract_id: ContractId::parse(id).unwrap(),
                subscription_id: None,
                signed_at: at(from),
                ended_at: (!to.is_empty()).then(|| at(to)),
            }
        };
        let contracts = signed.split(';').filter(|text| !text.is_empty()).map(one).collect();
        let registry = Registry { contracts, ..Registry::default() };
        let mut found = Vec::new();
        for month in ["2026-03", "2026-04", "2026-05", "2026-06", "2026-07", "2026-08", "2026-09", "2026-10"] {
            let all = due(&registry, &catalog, &acme, month.parse().unwrap()).unwrap();
            found.extend(all.iter().map(|due| format!("{month} {} {}", due.contract_id, due.version.version)));
            // Nothing is billed by any of them: nobody can say who owes what is missing.
            let is_told = is_asked_for(&registry, &catalog, &acme, month.parse().unwrap(), &[]).is_err();
            assert_eq!(is_told, !all.is_empty(), "{signed} {month}");
        }
        assert_eq!(found.join(", "), told, "{signed}");
        let bolt = PartnerId::parse("bolt").unwrap();
        assert!(due(&registry, &catalog, &bolt, "2026-06".parse().unwrap()).unwrap().is_empty());
    }
}

/// What another version of the contract priced, and what no contract did, does not count.
#[test]
fn lines_of_the_version_count() {
    let catalog = catalog();
    let acme = PartnerId::parse("acme").unwrap();
    let signed = SignedContract {
        partner_id: acme.clone(),
        contract_id: ContractId::parse("long").unwrap(),
        subscription_id: None,
        signed_at: parse_instant("2026-03-01T00:00:00Z").unwrap(),
        ended_at: None,
    };
    let registry = Registry { contracts: vec![signed], ..Registry::default() };
    let all = due(&registry, &catalog, &acme, "2026-06".parse().unwrap()).unwrap();
    let line = |contract: Option<(&str, u32)>, amount_minor| {
        let contract = contract.map(|(id, version)| LineContract { contract_id: id.to_owned(), version });
        (Line { contract, amount_minor, ..Line::default() }, None)
    };
    let lines = [
        line(Some(("long", 1)), 5_000),
        line(Some(("long", 2)), 700),
        line(Some(("big", 1)), 90),
        line(None, 3),
        line(Some(("long", 1)), -100),
    ];
    assert_eq!(sum_of(&all[0], lines.iter()), Some(4_900));
    assert_eq!(sum_of(&all[0], [line(Some(("long", 1)), i64::MAX), line(Some(("long", 1)), 1)].iter()), None);
}
