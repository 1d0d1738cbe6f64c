//! A file of the catalog: its text, and the tree of keys and values in it, each with its place.

use super::Problem;
use crate::price::node::{Node, Placed};

/// One file of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogFile {
    /// Path as shown to people; relative to the catalog folder, so that the hash does not depend on the machine.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl CatalogFile {
    /// What stands in it.
    pub(super) fn tree(&self) -> Result<Node, Vec<Problem>> {
        let error = match toml::from_str::<Placed>(&self.text) {
            Ok(placed) => return Ok(placed.into()),
            Err(error) => error,
        };
        // The parser can go on after a mistake: all of them are told, one for each line.
        let (_, errors) = toml::de::DeTable::parse_recoverable(&self.text);
        let mut problems: Vec<Problem> = Vec::new();
        for error in errors.iter().chain([&error]) {
            let problem = self.problem(error);
            if !problems.iter().any(|other| other.line == problem.line) {
                problems.push(problem);
            }
        }
        Err(problems)
    }

    fn problem(&self, error: &toml::de::Error) -> Problem {
        let span = error.span().unwrap_or(0..0);
        Problem::at(&self.path, &self.text, span, error.message().trim(), "see what `tollbook init` writes")
    }
}
