use tollbook_schemas::catalog::CatalogFile;

use super::*;
use crate::draft::tests::{CATALOG, at, with_input};
use crate::draft::{DraftInput, draft};

fn catalog(text: &str) -> Catalog {
    Catalog::parse(&[CatalogFile { path: "catalog.toml".into(), text: text.into() }]).unwrap()
}

/// The catalog of the drafts with another text in one place.
fn changed(from: &str, to: &str) -> Catalog {
    assert!(CATALOG.contains(from), "{from}");
    catalog(&CATALOG.replacen(from, to, 1))
}

/// June by both catalogs, as `partner old new delta`; then who is left out, then the sums.
fn told(registry: &str, usage: &str, new: &Catalog) -> String {
    with_input(registry, usage, |input| {
        let (present, new) = (draft(input), draft(&DraftInput { catalog: new, ..*input }));
        told_of(&reprice(&[Twice { present: &present, new: &new }]).unwrap())
    })
}

fn told_of(repriced: &Repriced) -> String {
    let partners =
        repriced.partners.iter().map(|one| format!("{} {} {} {}", one.partner_id, one.old, one.new, one.delta_minor));
    let left_out = repriced.left_out.iter().map(|one| {
        let other: Vec<String> = one.other.iter().map(ToString::to_string).collect();
        format!(
            "{} {} not by {} ({}), other {}",
            one.month,
            one.partner_id,
            one.book.as_str(),
            one.reason,
            other.join("+")
        )
    });
    let sums = repriced.summaries.iter().map(|sum| {
        format!("{} {} {}: {}w {}l {}u", sum.old, sum.new, sum.delta_minor, sum.winners, sum.losers, sum.unchanged)
    });
    partners.chain(left_out).chain(sums).collect::<Vec<_>>().join(" | ")
}

/// One row: subscriptions, usage, one text of the catalog and another in its place, what comes of it.
#[test]
fn a_month_is_priced_by_both_books() {
    const BASE: &str = r#"amount = "49""#;
    const EUR: &str =
        "currency = \"EUR\"\nprice = [\n  { id = \"base\", description = \"Base\", model = \"flat\", amount = \"49\"";
    let usd = EUR.replace("EUR", "USD");
    for (registry, usage, from, to, expected) in [
        ("acme pro 2026-01-01..", "", "Base", "Basis", "acme 49.00 EUR 49.00 EUR 0 | 49.00 EUR 49.00 EUR 0: 0w 0l 1u"),
        (
            "acme pro 2026-01-01..",
            "",
            BASE,
            r#"amount = "59""#,
            "acme 49.00 EUR 59.00 EUR 1000 | 49.00 EUR 59.00 EUR 1000: 0w 1l 0u",
        ),
        // The loser stands before the winner.
        (
            "acme pro 2026-01-01..; bolt seats 2026-01-01..",
            "acme calls production 2026-06-02T10:00 30; bolt users production 2026-06-02T10:00 a,b",
            r#"unit_price = "0.1""#,
            r#"unit_price = "0.05""#,
            "bolt 5.00 EUR 5.00 EUR 0 | acme 51.00 EUR 50.00 EUR -100 | 56.00 EUR 55.00 EUR -100: 1w 0l 1u",
        ),
        // Two currencies are two sums.
        (
            "acme pro 2026-01-01..; bolt jp 2026-01-01..",
            "",
            r#"amount = "1000""#,
            r#"amount = "1100""#,
            "acme 49.00 EUR 49.00 EUR 0 | bolt 1000 JPY 1100 JPY 100 | 49.00 EUR 49.00 EUR 0: 0w 0l 1u \
             | 1000 JPY 1100 JPY 100: 0w 1l 0u",
        ),
        (
            "acme pro 2026-01-01..",
            "",
            EUR,
            &usd,
            "acme 49.00 EUR 0.00 EUR -4900 | acme 0.00 USD 49.00 USD 4900 | 49.00 EUR 0.00 EUR -4900: 1w 0l 0u \
             | 0.00 USD 49.00 USD 4900: 0w 1l 0u",
        ),
        // Who cannot be rated is in neither sum, and is told with what it pays today.
        (
            "acme pro 2026-01-01..; bolt jp 2026-01-01..",
            "",
            r#"id = "jp""#,
            r#"id = "jq""#,
            "acme 49.00 EUR 49.00 EUR 0 | 2026-06 bolt not by new (subscription s2 is to plan jp, which the catalog \
             does not have; add the plan, or correct the subscription), other 1000 JPY | 49.00 EUR 49.00 EUR 0: 0w 0l 1u",
        ),
        // Without a profile neither book can bill it.
        (
            "corp pro 2026-01-01..",
            "",
            "Base",
            "Basis",
            "2026-06 corp not by present (no billing profile is in force; import one with `tollbook partner import` and \
             draft 2026-06 again), other  | 2026-06 corp not by new (no billing profile is in force; import one with \
             `tollbook partner import` and draft 2026-06 again), other ",
        ),
    ] {
        assert_eq!(told(registry, usage, &changed(from, to)), expected, "{from} -> {to}");
    }
}

#[test]
fn months_add_up() {
    with_input("acme pro 2026-01-01..", "", |june| {
        let may = DraftInput { month: "2026-05".parse().unwrap(), ..*june };
        let new = changed(r#"amount = "49""#, r#"amount = "50""#);
        let drafts = [may, *june].map(|input| (draft(&input), draft(&DraftInput { catalog: &new, ..input })));
        let twice: Vec<Twice<'_>> = drafts.iter().map(|(present, new)| Twice { present, new }).collect();
        assert_eq!(
            told_of(&reprice(&twice).unwrap()),
            "acme 98.00 EUR 100.00 EUR 200 | 98.00 EUR 100.00 EUR 200: 0w 1l 0u"
        );
    });
}

const TILES: &str = r#"
[[product]]
id = "maps"
name = "Maps"
routes = ["/maps/"]

[[meter]]
id = "tiles"
name = "Tiles"
unit = "tile"
product = "maps"
aggregation = "count"

[[plan]]
id = "tiled"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Tiled"
issuer = "berlin"
currency = "EUR"
price = [ { id = "tiles", description = "Tiles", model = "per_unit", meter = "tiles", unit_price = "1" } ]
"#;

#[test]
fn a_meter_that_counts_something_else_is_named() {
    let whole = format!("{CATALOG}{TILES}");
    let present = catalog(&whole);
    for (from, to, expected) in [
        ("Street 1", "Street 2", vec![]),
        (r#"unit = "call""#, r#"unit = "hit""#, vec![]),
        (r#"name = "Calls""#, r#"name = "Hits""#, vec![]),
        (r#"name = "Maps""#, r#"name = "Karten""#, vec![]),
        (
            "attributes['calls']",
            "attributes['hits']",
            vec!["meter calls counts something else: value was attributes['calls'] and is attributes['hits']"],
        ),
        (
            r#"routes = ["/maps/"]"#,
            r#"routes = ["/map/"]"#,
            vec!["meter tiles counts requests of a product, and product maps: routes was \"/maps/\" and is \"/map/\""],
        ),
        (
            "id = \"tiles\"\nname = \"Tiles\"",
            "id = \"tiles\"\nname = \"Tiles\"\nfilter = \"status = 200\"",
            vec!["meter tiles counts something else: filter was not there and is status = 200"],
        ),
    ] {
        assert!(whole.contains(from), "{from}");
        assert_eq!(changed_meters(&present, &catalog(&whole.replacen(from, to, 1))), expected, "{from} -> {to}");
    }
    let never = "meter tiles is not in the present catalog, so its usage was never counted";
    assert_eq!(changed_meters(&catalog(CATALOG), &present), [never]);
    // Without the plan nobody pays for it.
    let unpriced = catalog(&format!("{CATALOG}{}", TILES.split("[[plan]]").next().unwrap()));
    assert_eq!(changed_meters(&catalog(CATALOG), &unpriced), Vec::<String>::new());
    assert_eq!(changed_meters(&present, &catalog(CATALOG)), Vec::<String>::new(), "what is gone prices nothing");
}

#[test]
fn versions_of_the_future_are_told_and_may_be_tried() {
    let catalog = catalog(CATALOG);
    assert_eq!(
        versions_from(&catalog, at("2026-07-01")),
        ["late version 1 (from 2026-08-01T00:00:00Z)", "moved version 2 (from 2026-09-01T00:00:00Z)"]
    );
    // Within the months, where the present catalog does not have it.
    let mut present = catalog.clone();
    present.plans.values_mut().filter(|versions| versions.len() > 1).for_each(|versions| versions.truncate(1));
    let within = |present: &Catalog, from: &str, until: &str| {
        versions_within(&catalog, present, Period::new(at(from), at(until)).unwrap())
    };
    let (moved, pro) = ("moved version 2 (from 2026-09-01T00:00:00Z)", "pro version 2 (from 2026-06-15T00:00:00Z)");
    assert_eq!(within(&present, "2026-01-01", "2026-10-01"), [moved, pro]);
    assert_eq!(within(&present, "2026-06-15", "2026-09-01"), Vec::<String>::new());
    assert_eq!(within(&catalog, "2026-01-01", "2026-10-01"), Vec::<String>::new());
    // Version 2 of `pro` has a base of 59 and no calls.
    let usage = "acme calls production 2026-06-02T10:00 30";
    let sums = "acme 51.00 EUR 59.00 EUR 800 | 51.00 EUR 59.00 EUR 800: 0w 1l 0u";
    assert_eq!(told("acme pro 2026-01-01..", usage, &newest_versions(&catalog)), sums);
}
