//! A mistake of the configuration file at its place. Takes the parser's error, or a value that cannot be with its keys;
//! gives what is shown of it: the line, and how to mend it, such as the nearest key that is known. It promises that no
//! secret is shown which somebody wrote where none may stand.

use std::ops::Range;
use std::path::Path;

use tollbook_schemas::catalog::Problem;
use tollbook_schemas::nearest::nearest;
use toml::de::{DeTable, DeValue};

/// What is in a line that may hold a secret.
const SUSPICIOUS: [&str; 6] = ["secret", "password", "key", "token", "sk_", "rk_"];

/// A value that the types allow and that cannot be: where it stands, what is wrong, how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {mend}")]
pub struct WrongValue {
    /// Keys from the top of the file; a number counts the tables of a list.
    pub(super) at: Vec<String>,
    /// What is wrong.
    pub(super) what: String,
    /// How to mend it.
    pub(super) mend: String,
    /// Whether the line may hold a secret.
    pub(super) hides: bool,
}

impl WrongValue {
    pub(super) fn at(at: &[&str], what: impl Into<String>, mend: impl Into<String>) -> Self {
        let at = at.iter().map(|key| (*key).to_owned()).collect();
        Self { at, what: what.into(), mend: mend.into(), hides: false }
    }

    /// The same, with the values of its line hidden where it is shown.
    pub(super) fn hidden(self) -> Self {
        Self { hides: true, ..self }
    }

    /// At its place in the file, or at the nearest table around it: the environment may say what the file does not.
    pub(super) fn shown(&self, path: &Path, text: &str) -> Problem {
        let span = self.span(text).unwrap_or(0..0);
        let mut problem = Problem::at(&path.display().to_string(), text, span, self.what.as_str(), self.mend.as_str());
        if self.hides {
            problem.text = masked(&problem.text);
        }
        problem
    }

    fn span(&self, text: &str) -> Option<Range<usize>> {
        let file = DeTable::parse(text).ok()?;
        let (first, rest) = self.at.split_first()?;
        let mut found = file.get_ref().get(first.as_str())?;
        for key in rest {
            let inside = match (found.get_ref(), key.parse::<usize>()) {
                (DeValue::Array(_), Ok(number)) => found.get_ref().get(number),
                (DeValue::Table(_), _) => found.get_ref().get(key.as_str()),
                _ => None,
            };
            match inside {
                Some(inside) => found = inside,
                None => break,
            }
        }
        Some(found.span())
    }
}

/// The problem, where the error has a place.
pub(super) fn of_error(path: &Path, text: &str, error: &anyhow::Error) -> Option<Problem> {
    if let Some(wrong) = error.downcast_ref::<WrongValue>() {
        return Some(without_secrets(wrong.shown(path, text)));
    }
    let error = error.downcast_ref::<toml::de::Error>()?;
    let message = error.message().trim();
    let meant = suggestion(message).map(|(_, known)| format!("did you mean {known}?"));
    let mend = meant.or_else(|| mend_of(message)).unwrap_or_else(|| "see what `tollbook init` writes".to_owned());
    Some(without_secrets(Problem::at(&path.display().to_string(), text, error.span()?, message, mend)))
}

fn without_secrets(mut problem: Problem) -> Problem {
    let line = problem.text.to_lowercase();
    if SUSPICIOUS.iter().any(|word| line.contains(word)) {
        problem.text = masked(&problem.text);
        problem.what = masked(&problem.what);
    }
    problem
}

/// Of "unknown field `broker`, expected one of `brokers`, `properties`": what was written, and the nearest.
pub(super) fn suggestion(message: &str) -> Option<(&str, &str)> {
    let mut names = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let written = names.next()?;
    Some((written, nearest(written, names)?))
}

/// How to mend what the parser says, where it says enough.
pub(super) fn mend_of(message: &str) -> Option<String> {
    if let Some(field) = message.strip_prefix("missing field ") {
        return Some(match field.trim_matches('`') {
            "generation" => "add generation = \"1\"; it is raised when the topic is deleted and made again".to_owned(),
            field => format!("add {field}, as `tollbook init` writes it"),
        });
    }
    let (_, expected) = message.strip_prefix("invalid type: ")?.rsplit_once(", expected ")?;
    match expected {
        "a string" => Some("write it in quotes".to_owned()),
        "a boolean" => Some("write true or false, without quotes".to_owned()),
        "u32" | "u64" | "usize" => Some("write a whole number, without quotes".to_owned()),
        _ => None,
    }
}

/// The text with every letter of a value in quotes replaced; names before `=` stay, and so do places.
pub(super) fn masked(text: &str) -> String {
    let (mut open, mut is_value) = (None, !text.contains('='));
    let mask = |letter: char| {
        let was_open = open;
        match (open, letter) {
            (None, '"' | '\'') => open = Some(letter),
            (Some(quote), letter) if quote == letter => open = None,
            (None, '=') => is_value = true,
            (None, ',' | '{') => is_value = false,
            _ => {}
        }
        if is_value && was_open.is_some() && open.is_some() { '*' } else { letter }
    };
    text.chars().map(mask).collect()
}
