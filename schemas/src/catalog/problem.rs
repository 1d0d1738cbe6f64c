//! One thing that is wrong in a file that a person wrote: where it stands, what it is, how to mend it, and how it is
//! shown. Takes a text and a span in it; gives one line for logs, or the line of text with the span underlined.
//!
//! Lines and columns count from 1, columns count characters. What is shown never breaks the underline: tabs become
//! spaces, wide characters take two columns, control characters are replaced, and a long line is cut around the span.

use std::fmt;
use std::ops::Range;

/// Columns of text that are shown of one line.
const SHOWN_MAX: usize = 100;

/// Columns shown before the span where a line is cut.
const BEFORE: usize = 30;

/// Something wrong in a file: where, what, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// Column after the last one that is meant, on the same line.
    pub end: usize,
    /// Place in the text, in bytes.
    pub span: Range<usize>,
    /// The line of text, without its end.
    pub text: String,
    /// What is wrong.
    pub what: String,
    /// What was expected in its place, where that can be said.
    pub expected: Option<String>,
    /// How to mend it.
    pub mend: String,
}

impl Problem {
    /// A problem at a span of a text. Of `what`, all that follows `, expected ` is what was expected.
    #[must_use]
    pub fn at(path: &str, text: &str, span: Range<usize>, what: impl Into<String>, mend: impl Into<String>) -> Self {
        let mut start = text.floor_char_boundary(span.start.min(text.len()));
        // A text that ends too early is shown where it ends, not on the empty line after.
        if text[start..].trim().is_empty() {
            start = text[..start].trim_end().len();
        }
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let line_text = text[line_start..line_end].trim_end_matches('\r');
        let stop =
            text.floor_char_boundary(span.end.clamp(start, line_start + line_text.len().max(start - line_start)));
        let column = text[line_start..start].chars().count() + 1;
        let what = one_line(&what.into());
        let (what, expected) = match what.split_once(", expected ") {
            Some((what, expected)) => (what.to_owned(), Some(expected.to_owned())),
            None => (what, None),
        };
        Self {
            path: path.to_owned(),
            line: text[..start].matches('\n').count() + 1,
            column,
            end: column + text[start..stop].chars().count().max(1),
            span: start..span.end.max(start),
            text: line_text.to_owned(),
            what,
            expected,
            mend: one_line(&mend.into()),
        }
    }

    /// As a good compiler shows it: what, where, the line with the span underlined, what was expected, how to mend it.
    #[must_use]
    pub fn shown(&self) -> String {
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let (line, before, width) = self.excerpt();
        let (before, underline) = (" ".repeat(before), "^".repeat(width));
        let expected = self.expected.as_ref().map(|expected| format!(" expected {expected}")).unwrap_or_default();
        let (path, column, what, mend) = (&self.path, self.column, &self.what, &self.mend);
        format!(
            "error: {what}\n{gutter}--> {path}:{number}:{column}\n{gutter} |\n{number} | {line}\n\
             {gutter} | {before}{underline}{expected}\n{gutter} |\n{gutter} = help: {mend}"
        )
    }

    /// The line as shown, the columns before the underline, and its width.
    fn excerpt(&self) -> (String, usize, usize) {
        let letters: Vec<char> = self.text.chars().collect();
        let from = (self.column - 1).min(letters.len());
        let to = (self.end - 1).clamp(from, letters.len());
        let (mut first, mut last) = (0, letters.len());
        if letters.len() > SHOWN_MAX {
            first = from.saturating_sub(BEFORE).min(letters.len() - SHOWN_MAX);
            last = first + SHOWN_MAX;
        }
        let (cut_before, cut_after) = (if first > 0 { "…" } else { "" }, if last < letters.len() { "…" } else { "" });
        let shown: String = letters[first..last].iter().map(|letter| shown_letter(*letter).0).collect();
        let width = |letters: &[char]| letters.iter().map(|letter| shown_letter(*letter).1).sum::<usize>();
        let before = usize::from(first > 0) + width(&letters[first..from]);
        let underlined = width(&letters[from..to.min(last)]).max(1);
        (format!("{cut_before}{shown}{cut_after}").trim_end().to_owned(), before, underlined)
    }
}

/// Sorts problems by file and place.
pub fn sort(problems: &mut [Problem]) {
    problems.sort_by(|a, b| (&a.path, a.span.start, &a.what).cmp(&(&b.path, b.span.start, &b.what)));
}

/// All of them as [`Problem::shown`], and how many they are.
#[must_use]
pub fn shown_all(problems: &[Problem]) -> String {
    let mut shown: Vec<String> = problems.iter().map(Problem::shown).collect();
    shown.push(if problems.len() == 1 { "1 problem".to_owned() } else { format!("{} problems", problems.len()) });
    shown.join("\n\n")
}

/// For logs: one line.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.path, self.line, self.column, self.what)?;
        if let Some(expected) = &self.expected {
            write!(f, ", expected {expected}")?;
        }
        write!(f, "; {}", self.mend)
    }
}

fn one_line(text: &str) -> String {
    text.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A character as it is shown, and how many columns of a terminal it takes.
fn shown_letter(letter: char) -> (String, usize) {
    match u32::from(letter) {
        0x09 => ("    ".to_owned(), 4),
        // A control character could move the cursor or colour the rest, and one of direction turn the line around.
        0..=0x1f | 0x7f..=0x9f | 0x200e..=0x200f | 0x202a..=0x202e | 0x2066..=0x2069 => ("\u{fffd}".to_owned(), 1),
        // Combining marks and joiners stand on the character before.
        0x0300..=0x036f | 0x200b..=0x200d | 0xfe00..=0xfe0f => (letter.to_string(), 0),
        // Scripts and pictures that are two columns wide.
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f => {
            (letter.to_string(), 2)
        }
        0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd => (letter.to_string(), 2),
        _ => (letter.to_string(), 1),
    }
}

#[cfg(test)]
mod tests;
