//! Catalogs that were used are kept, and what issued invoices were rated with cannot be changed any more.

use serde_json::{Value, json};
use tollbook_lake::Lake;
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::billing::INVOICE_EVENT;
use tollbook_schemas::tables::catalog::CATALOG_FILE;

use super::{CATALOG, PARTNERS, feed};
use crate::folder::{Folder, MONTH, Ran, runtime};

const PATH: &str = "catalog/catalog.toml";

/// Two invoices of June: AC-000001 of acme and AC-000002 of dora, both of the plan maps-pro.
fn issued() -> Folder {
    let folder = Folder::new();
    folder.write("partners.csv", PARTNERS);
    feed(&folder);
    folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
    aggregate(&folder);
    bill(&folder, "draft").done();
    bill(&folder, "issue").done();
    let issued = folder.rows(&INVOICE_EVENT).iter().filter(|row| row.text("kind") == Some("issued")).count();
    assert_eq!(issued, 2);
    folder
}

fn aggregate(folder: &Folder) {
    folder.run(&["aggregate", "--as-of", MONTH[3]]).done();
}

fn bill(folder: &Folder, step: &str) -> Ran {
    folder.run(&[&["bill", step][..], &MONTH].concat())
}

fn line_of(text: &str, needle: &str) -> usize {
    text[..text.find(needle).unwrap()].matches('\n').count() + 1
}

fn short(sha256: &str) -> &str {
    &sha256[..12]
}

/// Hashes of the kept catalogs.
fn kept(folder: &Folder) -> Vec<String> {
    let mut kept: Vec<String> =
        folder.rows(&CATALOG_FILE).iter().map(|row| row.text("catalog_sha256").unwrap().to_owned()).collect();
    kept.dedup();
    kept
}

const SECOND: &str = r#"
[[plan]]
id = "maps-pro"
version = 2
effective_from = "2026-07-01T00:00:00Z"
name = "Maps Pro"
issuer = "acme-eu"
currency = "EUR"

[[plan.price]]
id = "base"
description = "Maps Pro, monthly"
model = "flat"
amount = "59"
"#;

#[test]
fn every_catalog_that_was_used_is_kept_once() {
    let folder = issued();
    let rows = folder.rows(&CATALOG_FILE);
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].text("path"), rows[0].text("text")), (Some("catalog.toml"), Some(CATALOG)));
    let described = folder.run(&["sql", "describe catalog_file"]).done().printed;
    assert!(described.contains("kept_at") && described.contains("The whole file"), "{described}");
    aggregate(&folder);
    bill(&folder, "draft").done();
    assert_eq!(folder.rows(&CATALOG_FILE), rows);
    // Of two files, and beside the first.
    folder.write("catalog/more.toml", "# nothing yet\n");
    aggregate(&folder);
    assert_eq!((folder.rows(&CATALOG_FILE).len(), kept(&folder).len()), (3, 2));
    let text = "select text from catalog_file where path = 'more.toml'";
    assert!(folder.run(&["sql", text]).done().printed.contains("# nothing yet"));
}

/// Each row changes the catalog after invoices were issued with it: the exit code, and what is told where.
#[test]
fn what_was_billed_cannot_be_changed() {
    let folder = issued();
    let before = folder.all_rows();
    let plan = "plan maps-pro version 1 is on invoice AC-000001 and 1 more and was changed: ";
    let meter = "meter map-calls of plan maps-pro version 1, which is on invoice AC-000001 and 1 more, was changed: ";
    for (name, from, to, code, words) in [
        ("nothing", "name", "name", 0, vec![]),
        (
            "a price",
            "amount = \"49\"",
            "amount = \"59\"",
            2,
            vec![format!("{plan}price.base.amount was 49 and is 59"), "put back 49, and add version 2".to_owned()],
        ),
        (
            "a tier",
            "unit_price = \"0.002\"",
            "unit_price = \"0.0021\"",
            2,
            vec![format!("{plan}price.calls.tiers.2.unit_price was 0.002 and is 0.0021")],
        ),
        (
            "words of a line",
            "description = \"Maps Pro, monthly\"",
            "description = \"Maps Pro\"",
            2,
            vec![format!("{plan}price.base.description was Maps Pro, monthly and is Maps Pro")],
        ),
        (
            "when it begins",
            "effective_from = \"2026-01-01T00:00:00Z\"\nname = \"Maps Pro\"",
            "effective_from = \"2025-01-01T00:00:00Z\"\nname = \"Maps Pro\"",
            2,
            vec![format!("{plan}effective_from was 2026-01-01T00:00:00Z and is 2025-01-01T00:00:00Z")],
        ),
        (
            "its currency",
            "name = \"Maps Pro\"\nissuer = \"acme-eu\"\ncurrency = \"EUR\"",
            "name = \"Maps Pro\"\nissuer = \"acme-eu\"\ncurrency = \"USD\"",
            2,
            vec![format!("{plan}currency was EUR and is USD")],
        ),
        (
            "what its meter counts",
            "filter = \"status between 200 and 299\"",
            "filter = \"status < 400\"",
            2,
            vec![
                format!("{meter}filter was status between 200 and 299 and is status < 400"),
                "add a meter under another id, and name it in version 2 of the plan".to_owned(),
            ],
        ),
        (
            "its version",
            "id = \"maps-pro\"\nversion = 1",
            "id = \"maps-pro\"\nversion = 3",
            2,
            vec!["plan maps-pro version 1 is on invoice AC-000001 and 1 more and is gone".to_owned()],
        ),
        (
            "the zone of its months",
            "time_zone = \"Europe/Berlin\"",
            "time_zone = \"Europe/Paris\"",
            2,
            vec![
                "issuer acme-eu is on invoice AC-000001 and 1 more and was changed: time_zone was Europe/Berlin and is \
                 Europe/Paris"
                    .to_owned(),
                "put back Europe/Berlin, and give plans from now on to another issuer".to_owned(),
            ],
        ),
        (
            "the prefix of its numbers",
            "number_prefix = \"AC-\"",
            "number_prefix = \"AD-\"",
            2,
            vec![
                "issuer acme-eu is on invoice AC-000001 and 1 more and was changed: number_prefix was AC- and"
                    .to_owned(),
            ],
        ),
        // What changes nothing that was billed.
        ("the name of the plan", "name = \"Maps Pro\"", "name = \"Maps Professional\"", 0, vec![]),
        ("the name of the meter", "name = \"Map calls\"", "name = \"Calls\"", 0, vec![]),
        ("a price in other words", "amount = \"49\"", "amount = \"49.00\" # a month", 0, vec![]),
        ("a plan that nobody was billed by", "amount = \"0\"", "amount = \"1\"", 0, vec![]),
        ("another version", "# Tiers are", "# Tiers may be", 0, vec![]),
        (
            "routes",
            "routes = [\"/maps/\"]",
            "routes = [\"/maps/\", \"/m/\"]",
            0,
            vec!["note: product maps of plan maps-pro version 1".to_owned(), "was changed: routes was".to_owned()],
        ),
    ] {
        assert!(CATALOG.contains(from), "{name}");
        let mut text = CATALOG.replacen(from, to, 1);
        if name == "another version" {
            text.push_str(SECOND);
        }
        folder.write(PATH, &text);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let checked = folder.run(&["check"]).fails(code, &words);
        if code == 2 {
            let line = line_of(CATALOG, from) + from.matches('\n').count();
            let places = [line, line - 1].map(|line| format!("--> {PATH}:{line}:"));
            let is_gone = name == "its version";
            assert!(is_gone || places.iter().any(|place| checked.told.contains(place)), "{name}: {}", checked.told);
            for step in ["draft", "issue", "register"] {
                assert_eq!(bill(&folder, step).fails(2, &words).told, checked.told, "{name}: bill {step}");
            }
            // What only looks tells no amounts by it either.
            for (step, of) in [
                (&["preview"][..], &MONTH[..]),
                (&["fit"], &MONTH),
                (&["reprice", "--catalog", "catalog"], &MONTH),
                (&["due"], &MONTH[..2]),
            ] {
                let ran = folder.run(&[&["bill"], step, of].concat());
                assert_eq!(ran.fails(2, &words).told, checked.told, "{name}: bill {step:?}");
            }
            assert_eq!(folder.all_rows(), before, "{name}: nothing is written");
        }
    }
    folder.write(PATH, CATALOG.replacen("amount = \"49\"", "amount = \"59\"", 1));
    let told = folder.run(&["check", "--json"]).fails(2, &["1 problem"]);
    let told: Value = serde_json::from_str(told.printed.trim()).unwrap();
    assert_eq!(told["problems"][0]["line"], json!(line_of(CATALOG, "amount = \"49\"")));
    // Put back, and the price in a version of its own: the next month goes on.
    folder.write(PATH, format!("{CATALOG}{SECOND}"));
    folder.run(&["check"]).done();
    aggregate(&folder);
    bill(&folder, "draft").done();
    bill(&folder, "issue").done();
}

#[test]
fn what_is_not_kept_is_told_and_what_is_damaged_stops() {
    let folder = issued();
    let sha256 = kept(&folder).remove(0);
    folder.write(PATH, CATALOG.replacen("amount = \"49\"", "amount = \"59\"", 1));
    // A row too many: the text is not what it is said to be.
    let damaged = folder.copy();
    let lake_of_copy = damaged.path("lake").to_str().unwrap().to_owned();
    let row = Row::new()
        .with("catalog_sha256", sha256.as_str())
        .with("path", "z.toml")
        .with("text", "# not mine\n")
        .with("kept_at", chrono::DateTime::UNIX_EPOCH);
    runtime().block_on(async {
        Lake::open(&lake_of_copy).unwrap().append_missing(&CATALOG_FILE, &[row]).await.unwrap();
    });
    let words = ["catalog_file does not hold catalog", &sha256, "restore the table from a copy of the lake"];
    damaged.run(&["check"]).fails(3, &words);
    damaged.run(&["catalog", "diff", short(&sha256)]).fails(3, &words);
    // A lake from before catalogs were kept.
    std::fs::remove_dir_all(folder.path("lake/catalog_file")).unwrap();
    let told = folder.run(&["check"]).fails(0, &["note: documents were rated with catalog", "was not kept"]);
    assert!(told.told.contains(short(&sha256)), "{}", told.told);
    folder.run(&["catalog", "diff", short(&sha256)]).fails(2, &["none was kept yet", "`tollbook aggregate` keeps"]);
}

#[test]
fn a_comparison_tells_what_changes_for_whom() {
    let folder = issued();
    let sha256 = kept(&folder).remove(0);
    let run = |arguments: &[&str]| folder.run(&[&["catalog", "diff"], arguments].concat());
    let same = run(&[short(&sha256)]).done().printed;
    assert_eq!(same.trim(), format!("nothing changes: both are catalog {}", short(&sha256)));
    folder.write(PATH, format!("# The same.\n{CATALOG}"));
    assert!(run(&[short(&sha256)]).done().printed.contains("say the same in other words"));
    // A second version, and a plan that nobody has.
    folder.write(PATH, format!("{CATALOG}{SECOND}").replacen("amount = \"0\"", "amount = \"1\"", 1));
    let before = folder.all_rows();
    let told = run(&[short(&sha256)]).done().printed;
    for words in [
        "plan maps-free version 1  changed",
        "plan maps-pro version 2",
        "added, against version 1",
        "price.base.amount",
        "plan maps-pro version 2 instead of 1",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let told = run(&["--json", &sha256[..7], "catalog"]).json();
    assert_eq!((&told["old_sha256"], &told["same"]), (&json!(sha256), &json!(false)));
    let changes = told["changes"].as_array().unwrap();
    let field = json!({ "key": "price.base.amount", "old": "0", "new": "1" });
    assert_eq!((changes.len(), &changes[0]["fields"]), (2, &json!([field])));
    assert_eq!((&changes[1]["version"], &changes[1]["compared_with"]), (&json!(2), &json!(1)));
    // The registry has three subscriptions to the plan. June of two of them is issued, and bolt's is not: the second
    // version begins on the first of July by UTC, which is within July of Berlin, so August is the first month.
    let affected: Vec<(&str, &str, &str)> = told["affected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let text = |key: &str| one[key].as_str().unwrap();
            (text("partner_id"), text("first_period"), text("from"))
        })
        .collect();
    let august = "2026-07-31T22:00:00Z";
    let wanted = [("acme", "2026-08", august), ("bolt", "2026-08", august), ("dora", "2026-08", august)];
    assert_eq!(affected, wanted);
    // A changed price of the first version: what was issued is over.
    std::fs::create_dir(folder.path("other")).unwrap();
    folder.write("other/c.toml", CATALOG.replacen("amount = \"49\"", "amount = \"59\"", 1));
    let told = run(&["--json", &sha256, "other"]).json();
    let first: Vec<&Value> = told["affected"].as_array().unwrap().iter().map(|one| &one["first_period"]).collect();
    assert_eq!(first, ["2026-07", "2026-06", "2026-07"]);
    assert_eq!(folder.all_rows(), before, "nothing is written");
    for (names, words) in [
        (&["feed00"][..], &["feed00 is neither a folder nor the hash of a kept catalog", "there are"][..]),
        (&[&sha256[..3]], &["does not tell one kept catalog", "at least 4 letters"]),
        (&["nowhere"], &["nowhere is neither a folder nor the hash of a kept catalog", "there are"]),
        (&["lake"], &["the catalog folder lake has no *.toml file; name the right one"]),
    ] {
        run(names).fails(2, words);
    }
}

/// A contract that is signed prices the next month, and cannot be changed once an invoice was issued by it.
#[test]
fn a_contract_that_was_billed_cannot_be_changed() {
    const CONTRACT: &str = r#"
[[contract]]
id = "acme-2026"
version = 1
name = "Acme"
plan = "maps-pro"
currency = "EUR"
starts = "2026-05-31T22:00:00Z"
term_months = 12
discount_percent = "10"
minimum = { description = "Minimum", amount = "100" }
"#;
    let folder = Folder::new();
    let catalog = format!("{CATALOG}{CONTRACT}");
    folder.write(PATH, &catalog);
    folder.write("partners.csv", PARTNERS);
    feed(&folder);
    folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
    let record = |contract: &str| {
        let data = format!("{{\"contract_id\":\"{contract}\"}}");
        let words = ["partner", "record", "--partner", "acme", "--type", "contract.signed", "--actor", "staff:ann"];
        folder.run(&[&words[..], &["--at", "2026-05-20T00:00:00Z", "--data", &data]].concat())
    };
    record("acme-2027").fails(2, &["the catalog has no contract acme-2027; its contracts: acme-2026"]);
    record("acme-2026").done();
    aggregate(&folder);
    bill(&folder, "draft").done();
    bill(&folder, "issue").done();
    let billed = kept(&folder).remove(0);
    let register = bill(&folder, "register").done().printed;
    for (partner, amount) in [("acme", "100.00"), ("dora", "49.00")] {
        let line = register.lines().find(|line| line.starts_with(&format!("2026-06  {partner}"))).unwrap();
        assert!(line.contains(amount), "{line}");
    }
    let sql = "select line_id from invoice_line where price_id = 'contract-minimum'";
    let line = folder.run(&["--json", "sql", sql]).json()["line_id"].as_str().unwrap().to_owned();
    let explained = folder.run(&["bill", "explain", &line]).done().printed;
    assert!(explained.contains("Minimum") && explained.contains("by contract acme-2026 version 1"), "{explained}");
    // Each key of it is a promise; its name is not.
    for (from, to, what) in [
        ("discount_percent = \"10\"", "discount_percent = \"5\"", "discount_percent was 10 and is 5"),
        ("amount = \"100\"", "amount = \"90\"", "minimum.amount was 100 and is 90"),
        ("term_months = 12", "term_months = 6", "ends was 2027-05-31T22:00:00Z and is 2026-11-30T23:00:00Z"),
    ] {
        assert!(CONTRACT.contains(from), "{from}");
        folder.write(PATH, catalog.replace(from, to));
        let words = [
            &format!("contract acme-2026 version 1 is on invoice AC-000001 and was changed: {what}")[..],
            "add version 2",
        ];
        for command in [&["check"][..], &["bill", "draft", MONTH[0], MONTH[1], MONTH[2], MONTH[3]]] {
            folder.run(command).fails(2, &words);
        }
    }
    folder.write(PATH, CATALOG);
    folder.run(&["check"]).fails(2, &["contract acme-2026 version 1 is on invoice AC-000001 and is gone"]);
    folder.write(PATH, catalog.replace("name = \"Acme\"\nplan", "name = \"Acme 2026\"\nplan"));
    folder.run(&["check"]).done();
    // The next version is told of the one who signed it, from the month on that it prices.
    let second = CONTRACT.replace("version = 1", "version = 2").replace("2026-05-31T22", "2026-08-31T22");
    folder.write(PATH, format!("{catalog}{}", second.replace("\"10\"", "\"20\"")));
    folder.run(&["check"]).done();
    let told = folder.run(&["catalog", "diff", &billed]).done().printed;
    assert!(told.contains("contract acme-2026 version 2  added, against version 1"), "{told}");
    assert!(
        told.contains("contract acme-2026 version 2 instead of contract acme-2026 version 1")
            && told.contains("2026-09"),
        "{told}"
    );
    assert!(!told.contains("dora"), "{told}");
}
