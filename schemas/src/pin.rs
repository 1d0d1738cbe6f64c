//! The pin: what was known, as a vector of offsets, one for each partition of each source.
//!
//! `access_log` rows are never updated, so `offset < pin[partition]` gives the same rows for ever: through
//! compaction, vacuum and copies. Versions and clocks are never part of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::source::Source;

/// For each source and partition of one table, the first offset that was *not* known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pin(BTreeMap<Source, BTreeMap<i32, i64>>);

impl Pin {
    /// Nothing known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the next offset of a partition.
    pub fn set(&mut self, source: Source, partition: i32, next_offset: i64) {
        self.0.entry(source).or_default().insert(partition, next_offset);
    }

    /// The next offset of a partition; `None` where the partition was unknown.
    #[must_use]
    pub fn next_offset(&self, source: &Source, partition: i32) -> Option<i64> {
        self.0.get(source)?.get(&partition).copied()
    }

    /// All entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Source, i32, i64)> {
        self.0.iter().flat_map(|(source, parts)| parts.iter().map(move |(p, next)| (source, *p, *next)))
    }

    /// Whether a row was known at the pin.
    #[must_use]
    pub fn contains(&self, source: &Source, partition: i32, offset: i64) -> bool {
        self.next_offset(source, partition).is_some_and(|next| offset < next)
    }

    /// Whether all that was known at another pin was known at this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.iter().all(|(source, partition, next)| self.next_offset(source, partition).is_some_and(|end| end >= next))
    }

    /// What was known at both pins.
    #[must_use]
    pub fn both(&self, other: &Self) -> Self {
        let mut both = Self::new();
        for (source, partition, next) in self.iter() {
            if let Some(end) = other.next_offset(source, partition) {
                both.set(source.clone(), partition, next.min(end));
            }
        }
        both
    }

    /// One line of canonical JSON: keys sorted, no spaces.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads [`Pin::to_json`].
    ///
    /// # Errors
    /// The JSON error.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_exclusive_and_round_trips() {
        let source = Source::kafka("demo", "access", "1").unwrap();
        let mut pin = Pin::new();
        pin.set(source.clone(), 0, 5);
        assert!(pin.contains(&source, 0, 4) && !pin.contains(&source, 0, 5) && !pin.contains(&source, 1, 0));
        let mut more = pin.clone();
        more.set(source.clone(), 1, 0);
        assert!(more.covers(&pin) && !pin.covers(&more) && pin.covers(&pin) && pin.covers(&Pin::new()));
        more.set(source.clone(), 0, 9);
        assert_eq!((more.both(&pin), pin.both(&more), Pin::new().both(&pin)), (pin.clone(), pin.clone(), Pin::new()));
        assert_eq!(pin.to_json(), r#"{"demo/access/1":{"0":5}}"#);
        assert_eq!(Pin::from_json(&pin.to_json()).unwrap(), pin);
        assert_eq!(Source::split_app_id(&source.app_id(7)), Some((source, 7)));
    }
}
