//! What looks at a month through the command line: previews, quotas, prepaid credits; months that have not begun, and
//! months that are over by the clock and whose data stop before. Tables of rows over one lake each.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::catalog::PARTNERS;
use crate::folder::{Folder, MONTH, Ran};

const CATALOG: &str = "catalog/catalog.toml";
/// 2026-07-03, as the clock of the folder.
const MONTH_END: u64 = 1_783_036_800;
const DAY: u64 = 86_400;

/// Six calls of acme in June, three before the 15th: two are free, the others cost 0.50 each; its plan has a quota
/// of 4. Read so many days before the clock.
fn june(days_before: u64, partners: &str) -> Folder {
    let folder = Folder::new();
    let catalog = std::fs::read_to_string(folder.path(CATALOG)).unwrap();
    let catalog = catalog.replace("up_to = \"10000\"", "up_to = \"2\"").replace("\"0.002\"", "\"0.5\"");
    let pro = "name = \"Maps Pro\"";
    assert!(catalog.contains(pro));
    let quota = format!("{pro}\nquota = [{{ meter = \"map-calls\", per_month = 4 }}]");
    folder.write(CATALOG, catalog.replacen(pro, &quota, 1));
    folder.write("partners.csv", partners);
    let call = |day: u32| {
        let (head, tail) = (r#""path":"/maps/tile","status":200,"consumer":"acme""#, "T10:00:00Z");
        format!("{{\"event_id\":\"e{day}\",\"occurred_at\":\"2026-06-{day:02}{tail}\",{head}}}\n")
    };
    folder.write("calls.log", [2, 3, 4, 20, 21, 22].map(call).concat());
    let file = std::fs::File::options().write(true).open(folder.path("calls.log")).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(MONTH_END - days_before * DAY)).unwrap();
    assert_eq!(folder.ingest("calls.log", "native"), (6, 0));
    folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
    folder
}

fn bill(folder: &Folder, words: &[&str]) -> Ran {
    folder.run(&[&["bill"][..], words].concat())
}

fn objects(ran: &Ran) -> Vec<Value> {
    ran.printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Without bolt, whom a missing profile blocks.
fn billable() -> String {
    PARTNERS.lines().filter(|line| !line.starts_with("bolt")).map(|line| format!("{line}\n")).collect()
}

/// Each row: a command that looks at a month, the code that it ends with, and what it says.
#[test]
fn months_are_looked_at_or_refused_with_what_mends_it() {
    let folder = june(0, PARTNERS);
    folder.run(&["aggregate", "--as-of", MONTH[3]]).done();
    let before = folder.all_rows();
    let not_begun = "it has not begun, it is 2026-07-03T00:00:00Z now; name a month that has";
    for (words, code, told) in [
        // August begins nowhere on earth before the 31st of July; July has.
        (&["draft", "--period", "2026-08"][..], 2, &["2026-08 cannot be drafted", not_begun][..]),
        (&["draft", "--period", "2027-06"], 2, &["2027-06 cannot be drafted", not_begun]),
        (&["fit", "--period", "2026-08"], 2, &["2026-08 cannot be fitted", not_begun]),
        (
            &["reprice", "--catalog", "catalog", "--period", "2026-06..2026-08"],
            2,
            &["2026-08 cannot be repriced", not_begun],
        ),
        (&["reprice", "--catalog", "catalog", "--period", "2026-06..2026-07"], 0, &["nothing was written"]),
        (&["draft", "--period", "2026-06", "--as-of", "2026-07-03T00:00:01Z"], 2, &["lies in the future"]),
        (&["preview", "--as-of", "2026-07-03T00:00:01Z"], 2, &["lies in the future"]),
        (&["credits", "--as-of", "2026-07-03T00:00:01Z"], 2, &["lies in the future"]),
        (&["preview", "--period", "june"], 2, &["--period"]),
        (&["quota", "--period", "2026-13"], 2, &["--period"]),
        (&["due", "--period", "soon"], 2, &["--period takes a month such as 2026-06, previous, or due"]),
        (&["quota", "--period", "2026-06", "--partner", "nobody"], 2, &["there is no partner nobody"]),
        (&["preview", "--partner", "nobody"], 2, &["there is no partner nobody", "tollbook partner import"]),
        (&["list", "--as-of-close", "2026-06"], 2, &["no run issued an invoice of 2026-06"]),
        (&["lines", "--as-of-close", "2026-06"], 2, &["no run issued an invoice of 2026-06"]),
        (&["register", "--as-of-close", "2026-06"], 2, &["no run issued an invoice of 2026-06"]),
        // Once more than nobody's: what is asked is answered, and what is missing is told.
        (&["preview", "--period", "2026-07", "--partner", "acme"], 0, &["a preview of 2026-07, no invoice"]),
        (&["preview", "--period", "2026-08", "--partner", "acme"], 0, &["a preview of 2026-08, no invoice"]),
    ] {
        bill(&folder, words).fails(code, told);
    }
    assert_eq!(folder.all_rows(), before, "none of them writes");
}

/// Each row: what is asked, and the partners that are answered with quota, use and whether that is over.
#[test]
fn a_quota_tells_who_is_over_it() {
    let folder = june(0, PARTNERS);
    folder.run(&["aggregate", "--as-of", MONTH[3]]).done();
    for (words, expected) in [
        (&["--period", "2026-06"][..], "acme 6 of 4 over"),
        (&["--period", "2026-06", "--all"], "acme 6 of 4 over; bolt 0 of 4; dora 0 of 4"),
        (&["--period", "2026-06", "--partner", "dora"], ""),
        (&["--period", "2026-06", "--partner", "dora", "--all"], "dora 0 of 4"),
        (&["--period", "2026-07", "--partner", "acme", "--all"], "acme 0 of 4"),
        // By the subscription's zone it began in June.
        (&["--period", "2026-05", "--all"], ""),
    ] {
        let found = objects(&bill(&folder, &[&["quota", "--json"][..], words].concat()).done());
        let told = |one: &Value| {
            let over = if one["is_over"] == true { " over" } else { "" };
            format!("{} {} of {}{over}", one["partner_id"], one["used"], one["quota"]).replace('"', "")
        };
        assert_eq!(found.iter().map(told).collect::<Vec<_>>().join("; "), expected, "{words:?}");
        for one in &found {
            assert_eq!((&one["plan_id"], &one["meter_id"]), (&json!("maps-pro"), &json!("map-calls")), "{one}");
        }
    }
    let table = bill(&folder, &["quota", "--period", "2026-06"]).done().printed;
    assert!(table.contains("over") && table.contains("3 quotas in 2026-06; 1 are exceeded"), "{table}");
}

#[test]
fn credits_tell_what_is_left_of_them() {
    let folder = june(0, &billable());
    let record = |at: &str, kind: &str, data: Value| {
        let (data, partner) = (data.to_string(), "acme");
        let words = ["partner", "record", "--partner", partner, "--type", kind, "--at", at, "--actor", "staff:ann"];
        folder.run(&[&words[..], &["--data", &data]].concat()).done();
    };
    let grant = |id: &str, amount: &str, expires_at: Option<&str>| {
        let mut data = json!({ "credit_id": id, "amount": amount, "currency": "EUR", "issuer_id": "acme-eu",
            "description": "Prepaid" });
        if let Some(expires_at) = expires_at {
            data["expires_at"] = json!(expires_at);
        }
        data
    };
    record("2026-06-02T00:00:00Z", "credit.granted", grant("small", "20", None));
    record("2026-06-03T00:00:00Z", "credit.granted", grant("large", "100", None));
    record("2026-05-01T00:00:00Z", "credit.granted", grant("old", "5", Some("2026-05-31T00:00:00Z")));
    record("2026-06-04T00:00:00Z", "credit.granted", grant("wrong", "7", None));
    record("2026-06-05T00:00:00Z", "credit.voided", json!({ "credit_id": "wrong" }));
    folder.run(&["aggregate", "--as-of", MONTH[3]]).done();
    let told = |words: &[&str]| {
        let found = objects(&bill(&folder, &[&["credits", "--json"][..], words].concat()).done());
        let one = |one: &Value| {
            let (id, state) = (one["credit_id"].as_str().unwrap(), one["state"].as_str().unwrap());
            format!("{id} {}-{}={} {state}", one["granted_minor"], one["used_minor"], one["left_minor"])
        };
        found.iter().map(one).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(
        told(&["--as-of", MONTH[3]]),
        "old 500-0=500 expired; small 2000-0=2000 usable; large 10000-0=10000 usable; wrong 700-0=700 voided"
    );
    assert_eq!(
        told(&["--as-of", "2026-06-02T12:00:00Z", "--partner", "acme"]),
        "old 500-0=500 expired; small 2000-0=2000 usable; large 10000-0=10000 later; wrong 700-0=700 later"
    );
    assert_eq!(told(&["--partner", "dora"]), "");
    // A preview pays with them, and uses nothing up.
    let preview = objects(&bill(&folder, &["preview", "--period", "2026-06", "--partner", "acme", "--json"]).done());
    assert_eq!((preview.len(), &preview[0]["total_minor"]), (1, &json!(0)), "{preview:?}");
    bill(&folder, &[&["draft"][..], &MONTH].concat()).done();
    assert!(told(&[]).contains("small 2000-0=2000 usable"), "a draft uses nothing up");
    bill(&folder, &[&["issue"][..], &MONTH].concat()).done();
    // 49.00 and two calls beyond the free ones of 0.50 each, of which four are: 51.00.
    assert_eq!(
        told(&[]),
        "old 500-0=500 expired; small 2000-2000=0 used up; large 10000-3100=6900 usable; wrong 700-0=700 voided"
    );
    let table = bill(&folder, &["credits"]).done().printed;
    assert!(table.contains("used up") && table.contains("69.00"), "{table}");
}

/// Two months are drafted with one credit, and May's invoice uses most of it: June's draft of acme is made again first,
/// and nobody else waits for it.
#[test]
fn a_credit_that_an_earlier_month_used_keeps_nobody_elses_month() {
    let earlier = billable().replace("2026-05-01T", "2026-04-01T").replace("2026-05-31T22", "2026-04-30T22");
    let folder = june(0, &earlier);
    let data =
        r#"{"credit_id":"prepaid","amount":"60","currency":"EUR","issuer_id":"acme-eu","description":"Prepaid"}"#;
    let grant = ["--type", "credit.granted", "--at", "2026-05-01T00:00:00Z", "--actor", "staff:ann", "--data", data];
    folder.run(&[&["partner", "record", "--partner", "acme"][..], &grant].concat()).done();
    folder.run(&["aggregate"]).done();
    let issued = |ran: &Ran| -> Vec<String> {
        objects(ran).iter().map(|one| format!("{} {}", one["month"].as_str().unwrap(), one["issued"])).collect()
    };
    bill(&folder, &["draft"]).done();
    let why = "2026-06: 1 issued, but drafts of acme are stale: a document that was issued since used the same prepaid credit";
    let ran = bill(&folder, &["issue"])
        .fails(5, &[why, "run `tollbook aggregate` and `tollbook bill draft`, and issue again"]);
    assert_eq!(issued(&ran), ["2026-05 2", "2026-06 1"]);
    bill(&folder, &["draft"]).done();
    assert_eq!(issued(&bill(&folder, &["issue"]).done()), ["2026-05 0", "2026-06 1"]);
    let credits = objects(&bill(&folder, &["credits", "--json"]).done());
    assert_eq!((&credits[0]["used_minor"], &credits[0]["left_minor"]), (&json!(6000), &json!(0)));
}

/// The data of a gateway that was gone since the 13th of June: the month is over by the clock all the same.
#[test]
fn a_month_that_is_over_by_the_clock_alone_ends_with_4() {
    let folder = june(20, &billable());
    folder.run(&["aggregate"]).done();
    let over = ["2026-06 is over and is left: the data reach only to 2026-06-13T00:00:00Z"];
    let ran = bill(&folder, &["draft"]).fails(0, &over);
    assert_eq!(ran.printed, "", "no month is due by the data");
    let ran = bill(&folder, &["due", "--json"]).fails(0, &["the data behind usage reach to 2026-06-13T00:00:00Z"]);
    let why: Vec<Value> = objects(&ran).iter().map(|row| row["why_not"][0]["why"].clone()).collect();
    assert_eq!(why, ["incomplete", "incomplete"]);
    bill(&folder, &[&["draft"][..], &MONTH].concat()).done();
    let ran = bill(&folder, &["issue"]).fails(
        4,
        &[
            "2026-06: 2 drafts are not issued (acme, dora)",
            "reach only to 2026-06-13T00:00:00Z",
            "--accept-incomplete REASON",
        ],
    );
    let told = &objects(&ran)[0];
    assert_eq!((&told["issued"], &told["incomplete"], &told["not_ended"]), (&json!(0), &json!(2), &json!(0)));
    bill(&folder, &["issue", "--accept-incomplete", ""]).fails(2, &["say why in 1 to 200 characters"]);
    let why = ["issue", "--period", "2026-06", "--accept-incomplete", "the gateway is gone"];
    let told = bill(&folder, &why).json();
    assert_eq!((&told["issued"], &told["incomplete"]), (&json!(2), &json!(0)));
    let register = bill(&folder, &[&["register"][..], &MONTH].concat()).done().printed;
    let note = "issued although the data reach only to 2026-06-13T00:00:00Z: the gateway is gone";
    assert_eq!(register.matches(note).count(), 2, "{register}");
    let shown = bill(&folder, &["show", "AC-000001"]).done().printed;
    assert!(shown.contains(note), "{shown}");
    assert_eq!(objects(&bill(&folder, &["due", "--json"]).done()), Vec::<Value>::new());

    // Of nothing at all nobody knows how far it reaches.
    let empty = Folder::new();
    bill(&empty, &["draft"]).fails(4, &["how far the data reach is not known: nothing was ingested"]);
    bill(&empty, &["issue"]).fails(4, &["no month can be closed"]);
    bill(&empty, &["due"]).fails(0, &["no month is due", "it is not known how far the data behind usage reach"]);
}
