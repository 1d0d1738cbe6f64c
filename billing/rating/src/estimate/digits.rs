//! How a number that has more digits after the point than a decimal is said exactly. A price is read as the catalog
//! reads it, and what a line of an estimate may have beside it, other systems' amounts in cents or usage in smaller
//! units, is told here.

use tollbook_schemas::decimal::DecimalError;
use tollbook_schemas::price::read::{Flaw, mend_of};

/// Keys of amounts: what all of them are counted in is the line's to say.
const AMOUNTS: [&str; 14] = [
    "amount",
    "unit_price",
    "flat_price",
    "package_price",
    "default_unit_price",
    "unused_unit_price",
    "minimum",
    "maximum",
    "fixed_fee",
    "event_minimum",
    "event_maximum",
    "free_total",
    "included_amount",
    "above",
];

/// The flaw with a mend that leads to the exact way, where it is one of too many digits and there is such a way.
pub(super) fn led(flaw: Flaw) -> Flaw {
    let told = mend_of(&DecimalError::TooPrecise(String::new()));
    if flaw.mend != told {
        return flaw;
    }
    let key = flaw.path.rsplit('.').next().unwrap_or_default();
    let way = if key == "unit_price" {
        "; or all amounts of the line in cents, with \"digits\": 0, or the price of a million units, with \
         \"convert\": {\"divide_by\": \"1000000\"}"
    } else if AMOUNTS.contains(&key) {
        "; or all amounts of the line in cents, with \"digits\": 0"
    } else if is_usage(&flaw.path) {
        "; or count millionths of it, a million times as many, with \"convert\": {\"divide_by\": \"1000000\"} in the price"
    } else {
        ""
    };
    Flaw { mend: format!("{told}{way}"), ..flaw }
}

/// Whether a path is one of a quantity that was used.
fn is_usage(path: &str) -> bool {
    // A line of an invoice has its usage as a line by itself.
    let path =
        path.strip_prefix("invoice.lines[").and_then(|rest| rest.split_once("].")).map_or(path, |(_, rest)| rest);
    ["quantity", "usage", "splits", "before", "added", "billed", "opening", "runs", "periods"]
        .contains(&path.split(['.', '[']).next().unwrap_or_default())
}
