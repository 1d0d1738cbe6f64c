//! Several months in a word: `2026-06`, `2026-01..2026-06` (both ends belong to it), or more of these behind commas.

use tollbook_schemas::period::Month;

/// The most months that one word may name: a slip of the year would else be taken for a wish.
const MONTHS_MAX: usize = 600;

/// Months in order, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Months(Vec<Month>);

impl Months {
    /// Reads the word.
    ///
    /// # Errors
    /// In words.
    pub fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither a month such as 2026-06 nor a range such as 2026-01..2026-06");
        let mut months = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (first, last) = part.split_once("..").unwrap_or((part, part));
            let first: Month = first.parse().map_err(|_| wrong())?;
            let last: Month = last.parse().map_err(|_| wrong())?;
            if last < first {
                return Err(format!("{part} ends before it begins; write the earlier month first"));
            }
            let mut month = first;
            while month <= last {
                months.push(month);
                if months.len() > MONTHS_MAX {
                    return Err(format!("{text} names more than {MONTHS_MAX} months"));
                }
                month = month.next();
            }
        }
        months.sort();
        months.dedup();
        Ok(Self(months))
    }

    /// One month.
    #[must_use]
    pub fn one(month: Month) -> Self {
        Self(vec![month])
    }

    /// The months.
    #[must_use]
    pub fn as_slice(&self) -> &[Month] {
        &self.0
    }

    /// The SQL condition that a row's `period` is one of them.
    pub(super) fn condition(&self) -> String {
        let texts: Vec<String> = self.0.iter().map(|month| format!("'{month}'")).collect();
        format!("period in ({})", texts.join(", "))
    }
}

impl From<Vec<Month>> for Months {
    fn from(mut months: Vec<Month>) -> Self {
        months.sort();
        months.dedup();
        Self(months)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_read_in_order_and_once() {
        for (text, expected) in [
            ("2026-06", Ok("2026-06")),
            ("2026-01..2026-03", Ok("2026-01 2026-02 2026-03")),
            ("2025-12..2026-01", Ok("2025-12 2026-01")),
            ("2026-06, 2026-01..2026-02,2026-02", Ok("2026-01 2026-02 2026-06")),
            ("2026-06..2026-06", Ok("2026-06")),
            ("2026-06..2026-01", Err("ends before it begins")),
            ("1970-01..2026-01", Err("more than 600 months")),
            ("", Err("neither a month")),
            ("2026", Err("neither a month")),
            ("2026-01..", Err("neither a month")),
            ("2026-01-2026-03", Err("neither a month")),
        ] {
            let found = Months::read(text);
            match (&found, expected) {
                (Ok(months), Ok(expected)) => {
                    let months: Vec<String> = months.as_slice().iter().map(ToString::to_string).collect();
                    assert_eq!(months.join(" "), expected, "{text}");
                }
                (Err(told), Err(words)) => assert!(told.contains(words), "{text}: {told}"),
                _ => panic!("{text}: {found:?}"),
            }
        }
    }
}
