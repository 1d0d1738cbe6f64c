//! Where an entry of the catalog, or a key in it, stands in its file.

use std::ops::Range;

use super::EntryChange;
use crate::catalog::{Catalog, CatalogFile, Problem};
use crate::price::node::{Node, Value};

impl Catalog {
    /// A problem of an entry, at the place of a key in it, as far down as it is there; at the entry where the key is
    /// not, and at the beginning of the first file where the entry is not.
    #[must_use]
    pub fn problem_in_entry(
        &self,
        entry: &EntryChange,
        path: &[String],
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Problem {
        let place = self.files.iter().find_map(|file| Some((file, place_in(file, entry, path)?)));
        match (place, self.files.first()) {
            (Some((file, at)), _) => Problem::at(&file.path, &file.text, at, what, mend),
            // The first line, and not all of the file.
            (None, Some(file)) => Problem::at(&file.path, &file.text, 0..0, what, mend),
            (None, None) => Problem::at("catalog", "", 0..0, what, mend),
        }
    }
}

fn place_in(file: &CatalogFile, entry: &EntryChange, path: &[String]) -> Option<Range<usize>> {
    let tree = file.tree().ok()?;
    let Value::List(entries) = &child(&tree, entry.section.as_str())?.value else { return None };
    let is_meant = |node: &&Node| {
        let version = child(node, "version").map(|version| &version.value);
        let fits =
            entry.version.is_none_or(|wanted| matches!(version, Some(Value::Whole(is)) if *is == i64::from(wanted)));
        has_id(node, &entry.id) && fits
    };
    let found = entries.iter().find(is_meant)?;
    let mut at = child(found, "id").map_or(found.at.clone(), |id| id.at.clone());
    let mut node = found;
    for key in path {
        let Some(next) = child(node, key).or_else(|| item(node, key)) else { break };
        node = next;
        // A price, which is a whole table, is shown by its id.
        at = child(node, "id").map_or(node.at.clone(), |id| id.at.clone());
    }
    Some(at)
}

fn child<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    let Value::Table(entries) = &node.value else { return None };
    entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node)
}

/// An item of a list: by its id, or by its number from 1.
fn item<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let Value::List(items) = &node.value else { return None };
    let number = || key.parse::<usize>().ok()?.checked_sub(1);
    items.iter().find(|item| has_id(item, key)).or_else(|| items.get(number()?))
}

fn has_id(node: &Node, id: &str) -> bool {
    child(node, "id").is_some_and(|own| matches!(&own.value, Value::Text(text) if text == id))
}
