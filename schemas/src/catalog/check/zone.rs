//! The time zone of an issuer: a name of the IANA database, and the nearest one where it is none.

use chrono_tz::{TZ_VARIANTS, Tz};

use crate::nearest::nearest;
use crate::period::parse_zone;
use crate::price::node::Node;
use crate::price::read::{Reading, Table};

/// Reads a time zone.
pub(super) fn zone(node: &Node, path: &str, reading: &mut Reading) -> Option<Tz> {
    let text = Table::text(node, path, reading)?;
    let mend = || match meant(&text) {
        Some(name) => format!("did you mean {name}?"),
        None => "use a name of the IANA database, such as \"Europe/Berlin\"".to_owned(),
    };
    parse_zone(&text).map_err(|error| reading.flaw(node.at.clone(), path, error.to_string(), mend())).ok()
}

/// The zone that was probably meant: a typo of its name, or its place alone. Abbreviations such as CEST are near to
/// many.
fn meant(text: &str) -> Option<&'static str> {
    let names =
        || TZ_VARIANTS.iter().map(|zone| zone.name()).filter(|name| name.contains('/') && !name.starts_with("Etc/"));
    let place = text.trim().replace(' ', "_");
    let is_place = |name: &&str| name.rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case(&place));
    names().find(is_place).or_else(|| nearest(&place, names().chain(["UTC"])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_found_and_nothing_else_is_guessed() {
        for (text, wanted) in [
            ("America/New_Yrok", Some("America/New_York")),
            ("America/New York", Some("America/New_York")),
            ("europe/berlin", Some("Europe/Berlin")),
            ("Europe/Berln", Some("Europe/Berlin")),
            ("Berlin", Some("Europe/Berlin")),
            ("new york", Some("America/New_York")),
            ("utc", Some("UTC")),
            ("CEST", None),
            ("+02:00", None),
            ("Germany", None),
            ("Mars/Olympus", None),
            ("", None),
        ] {
            assert_eq!(meant(text), wanted, "{text}");
            assert!(wanted.is_none_or(|name| parse_zone(name).is_ok()), "{text}");
        }
    }
}
