//! Where the SQL of each meter stands, and which part of the file a part of the SQL is: escapes and quotes of TOML lie
//! between them.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Catalog, CatalogFile, Problem};
use crate::id::MeterId;

/// Where the SQL of the meters stands. It follows from the files, whose hash the catalog has: equal hashes, equal
/// places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Files with meters.
    files: Vec<CatalogFile>,
    /// By meter: the file's index, and by field (`value`, `filter`, `group_by.NAME`) the place of the text in quotes.
    meters: BTreeMap<MeterId, (usize, BTreeMap<String, Range<usize>>)>,
}

impl Places {
    /// Keeps the places of a meter.
    pub fn keep(&mut self, file: &CatalogFile, meter: &MeterId, fields: BTreeMap<String, Range<usize>>) {
        let index = self.files.iter().position(|other| other.path == file.path).unwrap_or_else(|| {
            self.files.push(file.clone());
            self.files.len() - 1
        });
        self.meters.insert(meter.clone(), (index, fields));
    }
}

impl Catalog {
    /// A problem of a meter's SQL, at its place in the file. `within` is a part of the SQL in bytes; the whole SQL
    /// where it is `None`. `field` is `value`, `filter` or `group_by.NAME`.
    #[must_use]
    pub fn problem_in_sql(
        &self,
        meter: &MeterId,
        field: &str,
        within: Option<Range<usize>>,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Problem {
        let place = self.places.meters.get(meter).and_then(|(file, fields)| {
            let file = self.places.files.get(*file)?;
            Some((file, fields.get(field)?.clone()))
        });
        let Some((file, at)) = place else { return Problem::at("catalog", "", 0..0, what, mend) };
        let raw = file.text.get(at.clone()).unwrap_or_default();
        // Without the quotes where that can be told.
        let inside = decoded(raw).and_then(|(text, offsets)| {
            let within = within.unwrap_or(0..text.len());
            let (start, end) = (*offsets.get(within.start)?, *offsets.get(within.end)?);
            Some(at.start + start..at.start + end)
        });
        Problem::at(&file.path, &file.text, inside.unwrap_or(at), what, mend)
    }
}

/// The text of a TOML string as it stands in the file, and where each of its bytes, and its end, comes from.
fn decoded(raw: &str) -> Option<(String, Vec<usize>)> {
    let quote = if ["\"\"\"", "'''"].iter().any(|three| raw.starts_with(three)) { 3 } else { 1 };
    let takes_escapes = raw.starts_with('"');
    let end = raw.len().checked_sub(quote)?;
    let mut at = quote;
    if quote == 3 {
        // A line end right after the quotes is not part of the text.
        let body = raw.get(at..end)?;
        at += if body.starts_with("\r\n") { 2 } else { usize::from(body.starts_with('\n')) };
    }
    let (mut text, mut offsets) = (String::new(), Vec::new());
    while at < end {
        let rest = raw.get(at..end)?;
        let letter = rest.chars().next()?;
        let (letter, length) = match letter {
            '\\' if takes_escapes => match escaped(rest)? {
                (Some(letter), length) => (letter, length),
                (None, length) => {
                    at += length;
                    continue;
                }
            },
            letter => (letter, letter.len_utf8()),
        };
        offsets.extend(std::iter::repeat_n(at, letter.len_utf8()));
        text.push(letter);
        at += length;
    }
    offsets.push(end);
    Some((text, offsets))
}

/// The character that an escape stands for (none for a line end that is continued), and the length of the escape.
fn escaped(rest: &str) -> Option<(Option<char>, usize)> {
    let kind = rest.chars().nth(1)?;
    let coded = |digits: usize| {
        let code = u32::from_str_radix(rest.get(2..2 + digits)?, 16).ok()?;
        Some((Some(char::from_u32(code)?), 2 + digits))
    };
    match kind {
        'b' => Some((Some('\u{8}'), 2)),
        't' => Some((Some('\t'), 2)),
        'n' => Some((Some('\n'), 2)),
        'f' => Some((Some('\u{c}'), 2)),
        'r' => Some((Some('\r'), 2)),
        'e' => Some((Some('\u{1b}'), 2)),
        '"' | '\\' => Some((Some(kind), 2)),
        'x' => coded(2),
        'u' => coded(4),
        'U' => coded(8),
        _ if kind.is_whitespace() => Some((None, rest.len() - rest.get(1..)?.trim_start().len())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row is a string as TOML has it: the parser's reading of it is ours, and each part is found again.
    #[test]
    fn a_part_of_the_sql_is_found_in_the_file() {
        for (raw, part, stands) in [
            (r#""status = 200""#, "200", "200"),
            (r#"'status = 200'"#, "status", "status"),
            (r#""a = \"ß\" and stauts""#, "stauts", "stauts"),
            (r#""a\u00e4\U0001F600\x41\t\\ stauts""#, "stauts", "stauts"),
            (r#""a = \"ß\" b""#, "\"ß\"", r#"\"ß\""#),
            ("\"\"\"\nstatus = 1\n  and stauts\"\"\"", "stauts", "stauts"),
            ("\"\"\"status \\\n    = stauts\"\"\"", "stauts", "stauts"),
            ("'''\n'a' = stauts'''", "stauts", "stauts"),
            ("\"\"\"ends with a quote: stauts\"\"\"\"", "stauts", "stauts"),
        ] {
            let table: toml::Table = toml::from_str(&format!("sql = {raw}")).unwrap();
            let (text, offsets) = decoded(raw).unwrap();
            assert_eq!(Some(text.as_str()), table["sql"].as_str(), "{raw}");
            let start = text.find(part).unwrap();
            assert_eq!(&raw[offsets[start]..offsets[start + part.len()]], stands, "{raw}");
            assert_eq!(offsets.len(), text.len() + 1);
        }
    }
}
