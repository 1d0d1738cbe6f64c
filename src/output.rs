//! Data to stdout, talk to stderr. Tables for people, JSON for machines.

use std::io::Write as _;

/// Prints one line of data. A closed pipe ends the program quietly, as every tool of a pipeline does.
pub fn data(text: &str) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Says something to the person at the terminal.
pub fn talk(text: &str) {
    // Nobody is left to tell where stderr is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
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
