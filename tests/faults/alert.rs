//! Alerts: each level that a partner has come to is told once, and changes nothing of what is billed.

use serde_json::{Value, json};
use tollbook_schemas::tables::partner_event;

use crate::catalog::{PARTNERS, feed};
use crate::folder::{Folder, MONTH};

#[test]
fn a_level_is_told_once_for_each_partner_and_month() {
    let folder = Folder::new();
    let alerts = "[[alert]]\nname = \"fifty\"\nspend = \"49\"\ncurrency = \"EUR\"\n\n\
                  [[alert]]\nname = \"calls\"\npartner = \"dora\"\nmeter = \"map-calls\"\nquantity = \"2\"\n";
    folder.configure(alerts);
    folder.write("partners.csv", PARTNERS);
    feed(&folder);
    folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
    let aggregate = || folder.run(&["aggregate", "--as-of", MONTH[3]]);
    let spend = "alert fifty: acme has come to 49.00 EUR in 2026-06: it is 49.00 by now";
    let first = aggregate().fails(0, &[spend, "alert fifty: dora has come to"]);
    assert!(!first.told.contains("alert calls"), "{}", first.told);
    let call = |n: u32| {
        format!(
            r#"{{"event_id":"c{n}","occurred_at":"2026-06-11T00:00:00Z","consumer":"dora","path":"/maps/t","status":200}}"#
        )
    };
    folder.write("calls.log", [call(1), call(2), call(3)].join("\n"));
    assert_eq!(folder.ingest("calls.log", "native"), (3, 0));
    let second = folder.run(&["--json", "aggregate", "--as-of", MONTH[3]]).json();
    let expected = json!([{ "alert": "calls", "partner_id": "dora", "month": "2026-06", "of": "map-calls", "level": "2",
        "measured": "3" }]);
    assert_eq!(second["alerts"], expected);
    let events = folder.rows(&partner_event::TABLE);
    assert_eq!(aggregate().done().told.matches("alert ").count(), 0, "told once");
    assert_eq!(folder.rows(&partner_event::TABLE), events);
    let found = folder
        .run(&[
            "sql",
            "select partner_id, alert, period, measured_of, level, measured from alert \
        where period = '2026-06' order by alert, partner_id",
            "--format",
            "csv",
        ])
        .done()
        .printed;
    let rows: Vec<&str> = found.lines().skip(1).collect();
    assert!(
        rows.len() == 3 && rows[0].starts_with("dora,calls,2026-06,map-calls,2.0") && rows[1].starts_with("acme,fifty"),
        "{found}"
    );
    // Nothing of it makes a draft stale.
    let draft: Value = folder.run(&[&["bill", "draft"][..], &MONTH].concat()).json();
    assert_eq!((&draft["drafted"], &draft["newer_events"]), (&json!(2), &json!(0)));
    assert_eq!(folder.run(&[&["bill", "issue"][..], &MONTH].concat()).json()["issued"], 2);

    // A catalog that is refused tells nobody that a level was reached.
    let more = format!("{alerts}\n[[alert]]\nname = \"more\"\nspend = \"55\"\ncurrency = \"EUR\"\n");
    folder.configure(&more);
    let catalog = std::fs::read_to_string(folder.path("catalog/catalog.toml")).unwrap();
    folder.write("catalog/catalog.toml", catalog.replacen("amount = \"49\"", "amount = \"59\"", 1));
    let events = folder.rows(&partner_event::TABLE);
    aggregate().fails(2, &["price.base.amount was 49 and is 59", "put back 49"]);
    assert_eq!(folder.rows(&partner_event::TABLE), events);
    folder.write("catalog/catalog.toml", catalog);

    folder.configure(&alerts.replace("map-calls", "calls"));
    aggregate()
        .fails(2, &["[[alert]] calls is of meter calls, which the catalog does not have; its meters: map-calls"]);
}
