//! Instants of the catalog: texts, because TOML's own dates may leave out the zone, and an instant of nobody's clock
//! prices nothing.

use chrono::{DateTime, Utc};

use crate::period::parse_instant;
use crate::price::node::{Node, Value};
use crate::price::read::Reading;

/// Reads an instant.
pub(super) fn instant(node: &Node, path: &str, reading: &mut Reading) -> Option<DateTime<Utc>> {
    let Value::Text(text) = &node.value else {
        let found = node.value.name();
        let what = format!("invalid type: {found}, expected an instant in quotes, such as \"2026-01-01T00:00:00Z\"");
        reading.flaw(node.at.clone(), path, what, "put it in quotes, with its offset: Z is UTC");
        return None;
    };
    let mend = "write an instant with its offset, such as \"2026-01-01T00:00:00Z\"";
    parse_instant(text).map_err(|error| reading.flaw(node.at.clone(), path, error.to_string(), mend)).ok()
}
