//! A catalog that cannot be used: `tollbook check` ends with 2 and names file, line, what is wrong and how to mend it.
//! And partners that cannot be billed: each blocks itself alone.

use tollbook_schemas::tables::billing::INVOICE_EVENT;

use crate::folder::{Folder, MONTH};

const CATALOG: &str = include_str!("../../catalog/catalog.toml");

#[test]
fn a_broken_catalog_is_told_with_its_place() {
    for (name, from, to, words) in [
        (
            "unknown currency",
            "currency = \"EUR\"",
            "currency = \"XXX\"",
            &["currency \"XXX\" is not known", "use a currency"][..],
        ),
        (
            "plan of no issuer",
            "issuer = \"acme-eu\"",
            "issuer = \"nobody\"",
            &["no issuer nobody", "declare it, or name another"],
        ),
        (
            "price of no meter",
            "meter = \"map-calls\"",
            "meter = \"map-clals\"",
            &["no meter map-clals", "declare it, or name another"],
        ),
        (
            "meter of no product",
            "product = \"maps\"",
            "product = \"map\"",
            &["no product map", "declare it, or name another"],
        ),
        (
            "overlapping tiers",
            "{ up_to = \"100000\"",
            "{ up_to = \"10000\"",
            &["tiers would overlap", "order tiers by up_to"],
        ),
        (
            "a gap at the end",
            "{ unit_price = \"0.001\" }",
            "{ up_to = \"200000\", unit_price = \"0.001\" }",
            &["larger quantities have no price", "remove its up_to"],
        ),
        (
            "a gap in between",
            "{ up_to = \"10000\", unit_price = \"0\" }",
            "{ unit_price = \"0\" }",
            &["is not the last", "give it up_to"],
        ),
        (
            "unknown key",
            "name = \"Maps Free\"",
            "name = \"Maps Free\"\ncolour = 1",
            &["unknown field `colour`", "tollbook init"],
        ),
        ("bad TOML", "name = \"Maps Free\"", "name = Maps Free", &["catalog.toml:", "tollbook init"]),
        ("a float as money", "amount = \"49\"", "amount = 49.0", &["floating point", "write a number in quotes"]),
        ("a negative price", "amount = \"49\"", "amount = \"-49\"", &["negative", "use 0 or more"]),
        ("SQL that is none", "status between 200 and 299", "status betwixt 200", &["map-calls"]),
        ("SQL over no column", "status between 200 and 299", "stauts = 200", &["stauts"]),
    ] {
        assert!(CATALOG.contains(from), "{name}");
        let line = CATALOG[..CATALOG.find(from).unwrap()].matches('\n').count() + 1;
        let folder = Folder::new();
        folder.write("catalog/catalog.toml", CATALOG.replacen(from, to, 1));
        let told = folder.run(&["check"]).fails(2, words);
        let places = [line, line + 1].map(|line| format!("catalog.toml:{line}:"));
        assert!(
            name.starts_with("SQL") || places.iter().any(|place| told.told.contains(place)),
            "{name}: {}",
            told.told
        );
        // No job goes on with it either.
        if name == "unknown currency" {
            folder.run(&["aggregate", "--as-of", "2026-07-03T00:00:00Z"]).fails(2, words);
        }
    }
    let folder = Folder::new();
    std::fs::remove_dir_all(folder.path("catalog")).unwrap();
    let told = folder.run(&["check"]);
    assert!(told.code != Some(0) && told.told.contains("write one with `tollbook init`"), "{}", told.told);
}

/// Partners of the month: one is billed, one has no billing profile, one a plan that is nowhere.
pub const PARTNERS: &str = "\
partner_id,display_name,segment,registered_at,consumer,consumer_from,environment,subscription_id,plan_id,time_zone,\
subscription_from,legal_name,address,country,tax_id,billing_email,purchase_order,payment_terms_days
acme,Acme,,2026-05-01T00:00:00Z,acme,2026-05-01T00:00:00Z,production,s1,maps-pro,,2026-05-31T22:00:00Z,Acme Ltd,\
Street 1,DE,,billing@acme.example,,14
bolt,Bolt,,2026-05-01T00:00:00Z,bolt,2026-05-01T00:00:00Z,production,s2,maps-pro,,2026-05-31T22:00:00Z,,,,,,,
dora,Dora,,2026-05-01T00:00:00Z,dora,2026-05-01T00:00:00Z,production,s4,maps-pro,,2026-05-31T22:00:00Z,Dora Ltd,\
Street 2,DE,,billing@dora.example,,14
";

/// A file of requests that is younger than the month: without one the data reach nowhere, and nothing is issued.
pub fn feed(folder: &Folder) {
    folder.write("requests.log", r#"{"event_id":"feed","occurred_at":"2026-06-10T00:00:00Z","consumer":"nobody"}"#);
    let month_end = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_783_036_800);
    let file = std::fs::File::options().write(true).open(folder.path("requests.log")).unwrap();
    file.set_modified(month_end).unwrap();
    assert_eq!(folder.ingest("requests.log", "native"), (1, 0));
}

const NOWHERE: &str = r#"{"specversion":"1.0","id":"1","source":"/portal","type":"com.x.partner.registered.v1","subject":"partner/corp","time":"2026-05-31T21:00:00Z"}
{"specversion":"1.0","id":"2","source":"/portal","type":"com.x.partner.subscription.started.v1","subject":"partner/corp","time":"2026-05-31T22:00:00Z","data":{"subscription_id":"s3","plan_id":"nowhere"}}
"#;

#[test]
fn who_cannot_be_billed_blocks_nobody_else() {
    let folder = Folder::new();
    folder.write("partners.csv", PARTNERS);
    feed(&folder);
    folder.write("events.log", NOWHERE);
    let bill = |step: &str| folder.run(&[&["bill", step][..], &MONTH].concat());
    folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
    assert_eq!(folder.ingest("events.log", "cloudevents"), (2, 0));
    folder.run(&["aggregate", "--as-of", MONTH[3]]).done();
    let blocked = [
        "bolt is blocked: no billing profile is in force; import one",
        "corp is blocked: subscription s3 is to plan nowhere, which the catalog does not have; add the plan",
    ];
    let drafted = bill("draft").fails(0, &blocked);
    assert!(drafted.printed.contains("\"drafted\":2"), "{}", drafted.printed);
    assert!(bill("issue").done().printed.contains("\"issued\":2"));
    let register = bill("register").done().printed;
    for line in ["acme", "dora"] {
        let line = register.lines().find(|told| told.starts_with(line)).unwrap();
        assert!(line.contains("issued") && line.contains("49.00 EUR"), "{line}");
    }
    for (partner, words) in [("bolt", "blocked: no billing profile"), ("corp", "blocked: subscription s3")] {
        let line = register.lines().find(|told| told.starts_with(partner)).unwrap();
        assert!(line.contains(words), "{line}");
    }
    let before = folder.all_rows();
    bill("draft").fails(0, &blocked);
    assert!(bill("issue").done().printed.contains("\"issued\":0"));
    assert_eq!(folder.all_rows(), before, "again changes nothing");
    // Mended: only what was missing is added.
    let header = PARTNERS.lines().next().unwrap();
    let profile = "bolt,,,,,,,,,,2026-05-31T22:00:00Z,Bolt Ltd,Street 3,DE,,billing@bolt.example,,14";
    folder.write("more.csv", format!("{header}\n{profile}\n"));
    folder.run(&["partner", "import", "more.csv", "--apply"]).done();
    bill("draft").fails(0, &["corp is blocked"]);
    assert!(bill("issue").done().printed.contains("\"issued\":1"));
    let issued: Vec<_> =
        folder.rows(&INVOICE_EVENT).into_iter().filter(|row| row.text("kind") == Some("issued")).collect();
    let mut partners: Vec<_> = issued.iter().filter_map(|row| row.text("partner_id")).collect();
    partners.sort_unstable();
    assert_eq!(partners, ["acme", "bolt", "dora"]);
    // A plan that is nowhere does not come in by a file either.
    let wrong = PARTNERS.lines().nth(1).unwrap().replace("maps-pro", "nowhere");
    folder.write("wrong.csv", format!("{header}\n{wrong}\n"));
    let told = folder.run(&["partner", "import", "wrong.csv", "--apply"]);
    assert!(
        told.code != Some(0) && told.told.contains("wrong.csv line 2: the catalog has no plan nowhere"),
        "{}",
        told.told
    );
}
