//! What was told of an entry already, so that nothing is said of those that name it: one mistake is one problem.
//!
//! Takes entries as they stand in the files, gives for a name whether its entry was refused, or may be one that was. An
//! entry under a word that is no section, such as `[[plans]]`, counts as refused, with the tables behind it: for TOML
//! the `[[plan.price]]` that follow belong to the `[[plan]]` before.

use std::cell::Cell;
use std::collections::BTreeSet;

use super::SECTIONS;
use crate::nearest::nearest;
use crate::price::node::{Node, Value};

/// What was told so far.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Entries that are wrong, or of which a version is.
    refused: BTreeSet<(&'static str, String)>,
    /// Sections with an entry whose id cannot be read: any name may be its.
    nameless: BTreeSet<&'static str>,
    /// Ids of entries under a word that is no section.
    strays: BTreeSet<String>,
    /// Whether something was refused without a word since it was asked last.
    is_silent: Cell<bool>,
}

impl Told {
    /// Keeps that an entry was refused.
    pub(super) fn refuse(&mut self, section: &'static str, entry: &Node) {
        match id_of(entry) {
            Some(id) => self.refused.insert((section, id.to_owned())),
            None => self.nameless.insert(section),
        };
    }

    /// Keeps that a section has an entry that nobody can name.
    pub(super) fn refuse_nameless(&mut self, section: &'static str) {
        self.nameless.insert(section);
    }

    /// Keeps that a name was refused without a word: its own entry is refused by that.
    pub(super) fn refuse_silently(&self) {
        self.is_silent.set(true);
    }

    /// Whether a name was, since this was asked last.
    pub(super) fn was_silent(&self) -> bool {
        self.is_silent.take()
    }

    /// Whether the entry, or a version of it, was refused.
    pub(super) fn is_refused(&self, section: &'static str, id: &str) -> bool {
        self.refused.contains(&(section, id.to_owned()))
    }

    /// Whether something was told already that may be all that is wrong with a name.
    pub(super) fn covers(&self, section: &'static str, id: &str) -> bool {
        self.is_refused(section, id) || self.nameless.contains(section) || self.strays.contains(id)
    }

    /// Whether something was told of any entry of a section, or of one that may be meant for it.
    pub(super) fn covers_any(&self, section: &'static str) -> bool {
        let is_of = |(of, _): &(&str, String)| *of == section;
        self.nameless.contains(section) || !self.strays.is_empty() || self.refused.iter().any(is_of)
    }

    /// Keeps the entries under words that are no sections, and takes out of the tree what stands behind them.
    pub(super) fn part(&mut self, tree: &mut Node) {
        let Value::Table(sections) = &mut tree.value else { return };
        let mut parted: Vec<(&'static str, usize)> = Vec::new();
        for (key, node) in sections.iter().filter(|(key, _)| !SECTIONS.contains(&key.name.as_str())) {
            let entries = match &node.value {
                Value::List(entries) => entries.as_slice(),
                Value::Table(_) => std::slice::from_ref(node),
                _ => continue,
            };
            self.strays.extend(entries.iter().filter_map(id_of).map(str::to_owned));
            let meant = nearest(&key.name, SECTIONS);
            parted.extend(meant.into_iter().flat_map(|meant| entries.iter().map(move |entry| (meant, entry.at.start))));
        }
        for (meant, start) in parted {
            let Some(at) = sections.iter().position(|(key, _)| key.name == meant) else { continue };
            let is_behind = sections[at].0.at.start > start;
            match &mut sections[at].1.value {
                Value::List(entries) => {
                    let before = entries.iter_mut().rev().find(|entry| entry.at.start < start);
                    before.into_iter().for_each(|entry| cut(entry, start));
                }
                // Without an entry before it, what stands behind is a table of its own.
                _ if is_behind => {
                    sections.remove(at);
                }
                _ => {}
            }
        }
    }
}

fn id_of(entry: &Node) -> Option<&str> {
    match entry.under(&["id"]).map(|node| &node.value) {
        Some(Value::Text(id)) => Some(id),
        _ => None,
    }
}

/// Takes out what begins behind a place.
fn cut(node: &mut Node, start: usize) {
    let is_left = |node: &Node, had: bool| match &node.value {
        Value::List(items) => !had || !items.is_empty(),
        _ => node.at.start <= start,
    };
    match &mut node.value {
        Value::Table(entries) => entries.retain_mut(|(_, node)| {
            let had = matches!(&node.value, Value::List(items) if !items.is_empty());
            cut(node, start);
            is_left(node, had)
        }),
        Value::List(items) => items.retain_mut(|item| {
            cut(item, start);
            item.at.start <= start
        }),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
