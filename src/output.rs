//! Data to stdout, talk to stderr. Tables for people, JSON for machines.
//!
//! A command that cannot print goes on with what it does: `bill issue` prints between its months. What could not be
//! printed is told at its end, but for a closed pipe, whose reader had enough.

use std::io::{self, ErrorKind, Write as _};
use std::sync::OnceLock;

/// Why nothing is printed any more.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Prints one line of data, unless an earlier one could not be.
pub fn data(text: &str) {
    if is_lost() {
        return;
    }
    if let Err(error) = writeln!(io::stdout(), "{text}") {
        // Another thread's error says the same.
        let _ = LOST.set(error);
    }
}

/// Whether nothing is printed any more: who does nothing but print may end.
#[must_use]
pub fn is_lost() -> bool {
    LOST.get().is_some()
}

/// Why not all is there that was printed, where whoever reads it does not know.
#[must_use]
pub fn lost() -> Option<&'static io::Error> {
    LOST.get().filter(|error| error.kind() != ErrorKind::BrokenPipe)
}

/// Says something to the person at the terminal.
pub fn talk(text: &str) {
    // Nobody is left to tell where stderr is closed.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Lays out rows under headings, left-aligned, numbers right-aligned.
#[must_use]
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let is_number = |cell: &str| {
        cell.starts_with(|c: char| c.is_ascii_digit() || c == '-') && cell.ends_with(|c: char| c.is_ascii_digit())
    };
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| {
            let space = " ".repeat(width.saturating_sub(cell.chars().count()));
            if is_number(cell) { format!("{space}{cell}") } else { format!("{cell}{space}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let heading: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
    std::iter::once(line(&heading))
        .chain([line(&rule)])
        .chain(rows.iter().map(|row| line(row)))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up() {
        let rows = [vec!["accepted".into(), "1234".into()], vec!["rejected".into(), "7".into()]];
        let table = super::table(&["check", "found"], &rows);
        assert_eq!(table, "check     found\n────────  ─────\naccepted   1234\nrejected      7");
    }
}
