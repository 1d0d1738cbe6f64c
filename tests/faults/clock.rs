//! The billing clock: which months are due, for whom, why not yet; grace; and what looks at months, by the clock and by
//! the data.

use serde_json::{Value, json};

use crate::catalog::{PARTNERS, feed};
use crate::folder::{Folder, MONTH, Ran};

/// acme and dora on a plan of 49.00 whose June ends at 22:00 of the 30th by UTC; bolt has no billing profile. The clock
/// stands at the first instant of July 3rd: 50 hours behind that end.
fn june(configuration: &str) -> Folder {
    let folder = Folder::new();
    folder.configure(configuration);
    folder.write("partners.csv", PARTNERS);
    feed(&folder);
    folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
    folder.run(&["aggregate", "--as-of", MONTH[3]]).done();
    folder
}

fn bill(folder: &Folder, words: &[&str]) -> Ran {
    folder.run(&[&["bill"][..], words].concat())
}

/// What is due of June, as `partner: word word`.
fn due(folder: &Folder) -> Vec<String> {
    let ran = bill(folder, &["due", "--period", "2026-06", "--json"]).done();
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let words: Vec<&str> =
            row["why_not"].as_array().unwrap().iter().map(|why| why["why"].as_str().unwrap()).collect();
        assert_eq!(row["ready"], words.is_empty(), "{row}");
        format!("{}: {}", row["partner_id"].as_str().unwrap(), words.join(" "))
    };
    ran.printed.lines().map(row).collect()
}

#[test]
fn a_month_is_due_until_it_is_issued_and_says_what_keeps_it() {
    let folder = june("");
    let before = folder.all_rows();
    assert_eq!(due(&folder), ["acme: not_drafted", "bolt: blocked", "dora: not_drafted"]);
    let table =
        bill(&folder, &["due"]).fails(0, &["2 not_drafted", "the data behind usage reach to 2026-07-03T00:00:00Z"]);
    assert!(table.printed.contains("not drafted: `tollbook bill draft`"), "{}", table.printed);
    assert!(table.printed.contains("blocked: no billing profile"), "{}", table.printed);
    assert_eq!(folder.all_rows(), before, "it writes nothing");
    let running = bill(&folder, &["due", "--period", "2026-07", "--partner", "acme", "--json"]).json();
    assert_eq!(running["why_not"][0]["why"], "not_ended", "{running}");

    bill(&folder, &[&["draft"][..], &MONTH].concat()).done();
    assert_eq!(due(&folder), ["acme: ", "bolt: blocked", "dora: "]);
    let by = ["--actor", "staff:ann", "--reason", "dispute"];
    bill(&folder, &[&["hold", "--partner", "dora", "--period", "2026-06"][..], &by].concat()).done();
    let cancelled = ["partner", "record", "--partner", "acme", "--type", "subscription.cancelled", "--at"];
    let data = ["2026-06-20T00:00:00Z", "--actor", "staff:ann", "--data", r#"{"subscription_id":"s1"}"#];
    folder.run(&[&cancelled[..], &data].concat()).done();
    assert_eq!(due(&folder), ["acme: overtaken", "bolt: blocked", "dora: held"]);
    folder.run(&["aggregate", "--as-of", MONTH[3]]).done();
    assert_eq!(due(&folder), ["acme: stale", "bolt: blocked", "dora: stale held"]);
    bill(&folder, &[&["draft"][..], &MONTH].concat()).done();
    bill(&folder, &[&["release", "--partner", "dora", "--period", "2026-06"][..], &by].concat()).done();
    assert_eq!(bill(&folder, &[&["issue"][..], &MONTH].concat()).json()["issued"], 2);
    assert_eq!(due(&folder), ["bolt: blocked"]);
}

/// Each row: hours of grace, what is said to `issue`, how many are issued and how many stay open.
#[test]
fn a_period_stays_open_for_its_grace() {
    let folder = june("");
    bill(&folder, &[&["draft"][..], &MONTH].concat()).done();
    for (hours, words, issued, open) in [
        (51, &[][..], 0, 2),
        (2208, &[], 0, 2),
        (51, &["--as-of", "2026-07-02T00:00:00Z"], 0, 2),
        (50, &[], 2, 0),
        (51, &["--skip-grace"], 2, 0),
        (0, &[], 2, 0),
    ] {
        let copy = folder.copy();
        copy.configure(&format!("[billing]\ngrace_hours = {hours}\n"));
        let ran = bill(&copy, &[&["issue", "--period", "2026-06"][..], words].concat()).done();
        let told: Value = serde_json::from_str(ran.printed.trim()).unwrap();
        let counts = (&told["issued"], &told["in_grace"], &told["not_ended"]);
        assert_eq!(counts, (&json!(issued), &json!(open), &json!(0)), "{hours} {words:?}");
        assert_eq!(ran.told.contains("stays open for what comes late until"), open > 0, "{}", ran.told);
        let waiting = due(&copy).iter().filter(|row| row.ends_with(": in_grace")).count();
        assert_eq!(waiting, open, "{hours} {words:?}");
        let sql = "select counts from job_run where job = 'bill issue'";
        let counts = copy.run(&["sql", sql, "--format", "json"]).json();
        let counts: Value = serde_json::from_str(counts["counts"].as_str().unwrap()).unwrap();
        assert_eq!(counts["skips_grace"], words.contains(&"--skip-grace"), "{counts}");
    }
    let words = ["[billing] grace_hours is 9999, more than 2208 (92 days)"];
    folder.configure("[billing]\ngrace_hours = 9999\n");
    bill(&folder, &["due"]).fails(2, &words);
}
