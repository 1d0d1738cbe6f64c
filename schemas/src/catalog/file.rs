//! A file of the catalog: its text, and the tree of keys and values in it, each with its place.

use toml::de::DeTable;

use super::{Problem, syntax};
use crate::price::node::Node;

/// One file of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogFile {
    /// Path as shown to people; relative to the catalog folder, so that the hash does not depend on the machine.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl CatalogFile {
    /// A file as it was read.
    ///
    /// # Errors
    /// The place of the first byte that is no text.
    pub fn of_bytes(path: impl Into<String>, bytes: Vec<u8>) -> Result<Self, Box<Problem>> {
        let path = path.into();
        let error = match String::from_utf8(bytes) {
            Ok(text) => return Ok(Self { path, text }),
            Err(error) => error,
        };
        let start = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let byte = bytes.get(start).copied().unwrap_or_default();
        // The text before it is the same in both.
        let shown = String::from_utf8_lossy(bytes);
        let at = start..start + char::REPLACEMENT_CHARACTER.len_utf8();
        let what = format!("the byte 0x{byte:02x} is no text, expected UTF-8");
        Err(Box::new(Problem::at(&path, &shown, at, what, "save the file as UTF-8")))
    }

    /// What stands in it.
    pub(super) fn tree(&self) -> Result<Node, Vec<Problem>> {
        // The parser can go on after a mistake: all of them are told, one for each line.
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        if errors.is_empty() {
            return Ok(table.into());
        }
        let mut problems: Vec<Problem> = Vec::new();
        for error in &errors {
            let problem = self.problem(error);
            if !problems.iter().any(|other| other.line == problem.line) {
                problems.push(problem);
            }
        }
        Err(problems)
    }

    fn problem(&self, error: &toml::de::Error) -> Problem {
        let span = error.span().unwrap_or(0..0);
        let message = error.message().trim();
        let mend = syntax::mend(&self.text, &span, message);
        Problem::at(&self.path, &self.text, span, message, mend)
    }
}
