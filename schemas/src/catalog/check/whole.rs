//! Whole numbers of the catalog, which stand without quotes.

use std::ops::RangeInclusive;

use crate::price::node::{Node, Value};
use crate::price::read::Reading;

/// Reads a whole number within bounds; `what` says which they are.
pub(super) fn whole(
    (node, path): (&Node, &str),
    bounds: RangeInclusive<u32>,
    (what, mend): (&str, &str),
    reading: &mut Reading,
) -> Option<u32> {
    let fits = |number: &u32| bounds.contains(number);
    let quoted = match &node.value {
        Value::Whole(number) => match u32::try_from(*number).ok().filter(fits) {
            Some(number) => return Some(number),
            None => None,
        },
        Value::Text(text) => text.trim().parse().ok().filter(fits),
        _ => None,
    };
    let (what, mend) = match quoted {
        Some(number) => {
            let key = path.rsplit('.').next().unwrap_or(path);
            (format!("{key} stands in quotes"), format!("write {key} = {number}, without quotes"))
        }
        None => (what.to_owned(), mend.to_owned()),
    };
    reading.flaw(node.at.clone(), path, format!("{what}, expected a whole number"), mend);
    None
}
