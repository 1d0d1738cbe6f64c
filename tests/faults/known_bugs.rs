//! The table of other systems' bugs: all of them are in it, and what it names as a test is one.

use std::path::Path;

const TABLE: &str = include_str!("../known_bugs/README.md");
const BUGS: usize = 34;

#[test]
fn every_known_bug_has_a_test_or_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rows: Vec<Vec<&str>> = TABLE
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| bug"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let numbers: Vec<usize> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
    assert_eq!(numbers, (1..=BUGS).collect::<Vec<_>>());
    for row in &rows {
        let [_, there, here] = row[..] else { panic!("{row:?}") };
        assert!(!there.is_empty());
        let named: Vec<(&str, &str)> = here.split('`').filter_map(|part| part.split_once(".rs::")).collect();
        assert!(!named.is_empty() || here.starts_with("cannot occur: "), "{row:?}");
        for (file, test) in named {
            let text =
                std::fs::read_to_string(root.join(format!("{file}.rs"))).unwrap_or_else(|e| panic!("{file}: {e}"));
            let place = text.find(&format!("fn {test}(")).unwrap_or_else(|| panic!("{file}.rs has no {test}"));
            let before: String = text[..place].chars().rev().take(220).collect::<Vec<_>>().into_iter().rev().collect();
            assert!(before.contains("#[test]") || before.contains("::test"), "{test} is no test");
        }
        // A row of the rating tests that is named is there.
        let rating_rows = include_str!("../../billing/rating/tests/rows/known_bugs.txt");
        for bug in here.split(['(', ')', ' ', ',']).filter(|word| word.starts_with("bug-")) {
            assert!(rating_rows.lines().any(|line| line.starts_with(&format!("{bug}-"))), "{bug}");
        }
    }
}
