//! The glossary: its terms stand in order, each once.

const GLOSSARY: &str = include_str!("../../docs/glossary.md");

/// The term of a row, as it is sorted: small letters, digits and blanks.
fn term_of(row: &str) -> String {
    let term = row.split(" | ").next().unwrap_or_default().to_lowercase();
    term.chars().filter(|c| c.is_ascii_alphanumeric() || *c == ' ').collect()
}

#[test]
fn the_terms_stand_in_order_each_once() {
    let rows = GLOSSARY.lines().filter_map(|line| line.strip_prefix("| ")).filter(|row| !row.starts_with("term |"));
    let terms: Vec<String> = rows.map(term_of).collect();
    assert!(terms.len() > 100, "{terms:?}");
    for pair in terms.windows(2) {
        assert!(pair[0] < pair[1], "{} must stand behind {}", pair[0], pair[1]);
    }
}
