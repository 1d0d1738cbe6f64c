//! The table of exit codes in `docs/operations.md`: each code is seen, and no code is seen that is not in it.

use std::collections::BTreeSet;

use tollbook_lake::Lake;
use tollbook_schemas::error::Kind;
use tollbook_schemas::period::parse_instant;

use crate::folder::{Folder, runtime};

const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// Seen where they can be made: the demo's in `src/cli/tests.rs`, our own mistake nowhere from outside.
const ELSEWHERE: [i32; 2] = [10, 70];

/// The first column of the table.
fn documented() -> BTreeSet<i32> {
    let (_, section) = OPERATIONS.split_once("\n## Exit codes\n").unwrap();
    let rows = section.split("\n## ").next().unwrap().lines().filter_map(|line| line.strip_prefix("| "));
    rows.filter_map(|row| row.split(' ').next()?.parse().ok()).collect()
}

#[test]
fn each_documented_code_is_seen() {
    let folder = Folder::new();
    let mut seen = BTreeSet::from(ELSEWHERE);
    let mut see = |code: i32| assert!(seen.insert(code), "{code} twice");
    let mut row = |ran: crate::folder::Ran, code: i32, words: &[&str]| {
        ran.fails(code, words);
        see(code);
    };
    row(folder.run(&["check"]), 0, &[]);
    // Input that nobody can read: there is nothing at the begin of a process's memory.
    row(folder.run_reading_file(&["bill", "estimate"], "/proc/self/mem"), 1, &["os error 5"]);
    row(folder.run_plain(&["--config", "nowhere.toml", "check"]), 2, &["tollbook init"]);
    row(folder.run(&["aggregate"]), 4, &["how far the data reach is not known"]);
    // One line that is no text ends nothing: the next one is answered, and the code tells of it.
    let good = br#"{"currency":"EUR","round":"1.005"}"#;
    let ran = folder.run_reading(&["bill", "estimate"], &[b"\xef\xbb\xbf", &good[..], b"\n\xff\n", good].concat());
    let answers: Vec<&str> = ran.printed.lines().collect();
    assert_eq!(answers.len(), 3, "{}", ran.printed);
    assert!(answers[0].contains("\"total\":\"1.01\"") && answers[2] == answers[0], "{}", ran.printed);
    assert!(answers[1].contains("UTF-8") && answers[1].contains("\"line\":2"), "{}", ran.printed);
    row(ran, 6, &[]);
    // Another process compacts, and renews its lease.
    let lake = Lake::open(folder.path("lake").to_str().unwrap()).unwrap();
    let held = runtime().block_on(lake.lease("lake compact", parse_instant("2100-01-01T00:00:00Z").unwrap())).unwrap();
    row(folder.run(&["lake", "compact"]), 5, &["lake compact"]);
    drop(held);
    // An entry of a log that is no JSON.
    folder.write("given.log", r#"{"event_id":"e","occurred_at":"2026-06-01T00:00:00Z"}"#);
    assert_eq!(folder.ingest("given.log", "native"), (1, 0));
    folder.write("lake/access_log/_delta_log/00000000000000000001.json", "{");
    row(folder.run(&["sql", "select count(*) from access_log"]), 3, &["table access_log cannot be opened"]);

    assert_eq!(seen, documented());
    let help = folder.run(&["--help"]).done().printed.replace('\n', " ");
    for code in &seen {
        assert!(help.contains(&format!(" {code} ")), "--help does not tell {code}: {help}");
    }
}

/// What an error's kind ends with is in the table.
#[test]
fn each_kind_has_a_documented_code() {
    let kinds = [Kind::Configuration, Kind::Data, Kind::Retry, Kind::Conflict, Kind::Reject, Kind::Bug];
    let codes: Vec<i32> = kinds.iter().map(|kind| i32::from(kind.exit_code())).collect();
    assert_eq!(codes, [2, 3, 4, 5, 6, 70]);
    assert!(codes.iter().all(|code| documented().contains(code)), "{:?}", documented());
}
