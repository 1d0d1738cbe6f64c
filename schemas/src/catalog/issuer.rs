//! Issuers in versions: what is printed of one holds from an instant, as it does of a plan.
//!
//! An `[[issuer]]` without `effective_from` holds from the beginning, and may be the only one. Further entries of the
//! same id say from when another name, address, tax id or term of payment holds. What numbers and periods hang on
//! (`number_prefix`, `time_zone`, `adjust_months_max`) is the same in all versions: it has no past that could be
//! another.

use std::ops::Range;

use chrono::{DateTime, Utc};

use super::{Catalog, Issuer};
use crate::id::IssuerId;
use crate::period::print_instant;
use crate::price::read::Reading;

impl Catalog {
    /// The version of an issuer in force at an instant; none before its first one.
    #[must_use]
    pub fn issuer_at(&self, issuer: &IssuerId, at: DateTime<Utc>) -> Option<&Issuer> {
        let versions = self.issuer_versions.get(issuer)?;
        versions.iter().rev().find(|version| version.effective_from.is_none_or(|from| from <= at))
    }

    /// Adds a version; what contradicts the others is a flaw at its place, and one without an instant that is there
    /// already has the words `twice`.
    pub(super) fn add_issuer(
        &mut self,
        id: IssuerId,
        issuer: Issuer,
        (at, twice): (Range<usize>, String),
        reading: &mut Reading,
    ) {
        let versions = self.issuer_versions.entry(id.clone()).or_default();
        if versions.iter().any(|other| other.effective_from == issuer.effective_from) {
            let (what, mend) = match issuer.effective_from {
                None => (twice, "remove one, rename it, or say with effective_from from when the later one holds"),
                Some(from) => (
                    format!("issuer {id} has two versions from {}", print_instant(from)),
                    "remove one, or give it another effective_from",
                ),
            };
            reading.flaw(at.clone(), "issuer.id", what, mend);
        }
        if let Some(first) = versions.first() {
            for (key, is_same) in [
                ("number_prefix", first.number_prefix == issuer.number_prefix),
                ("time_zone", first.time_zone == issuer.time_zone),
                ("adjust_months_max", first.adjust_months_max == issuer.adjust_months_max),
            ] {
                if !is_same {
                    let what = format!("{key} of issuer {id} is another one than in its other version");
                    let mend = "numbers and periods hang on it: give all versions the same, or the issuer another id";
                    reading.flaw(at.clone(), &format!("issuer.{key}"), what, mend);
                }
            }
        }
        versions.push(issuer);
        // What has no instant is first.
        versions.sort_by_key(|version| version.effective_from);
        if let Some(last) = versions.last() {
            self.issuers.insert(id, last.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::CatalogFile;
    use crate::period::parse_instant;

    fn issuer(rest: &str) -> String {
        let prefix = if rest.contains("number_prefix") { "" } else { "number_prefix = \"A-\"\n" };
        let zone = if rest.contains("time_zone") { "" } else { "time_zone = \"UTC\"\n" };
        format!("[[issuer]]\nid = \"acme\"\naddress = []\n{prefix}{zone}payment_terms_days = 14\n{rest}\n")
    }

    fn parse(entries: &[&str]) -> Result<Catalog, Vec<crate::catalog::Problem>> {
        let text = entries.iter().map(|entry| issuer(entry)).collect::<String>();
        Catalog::parse(&[CatalogFile { path: "c.toml".into(), text }])
    }

    const OLD: &str = "legal_name = \"Acme GmbH\"";
    const NEW: &str = "legal_name = \"Acme AG\"\neffective_from = \"2026-07-01T00:00:00Z\"";

    /// Each row: entries in any order, an instant, the name that holds then.
    #[test]
    fn the_version_in_force_is_the_last_that_has_begun() {
        let dated = "legal_name = \"Acme GmbH\"\neffective_from = \"2026-01-01T00:00:00Z\"";
        for (entries, at, wanted) in [
            (&[OLD][..], "2000-01-01T00:00:00Z", Some("Acme GmbH")),
            (&[NEW, OLD], "2026-06-30T23:59:59.999999Z", Some("Acme GmbH")),
            (&[OLD, NEW], "2026-07-01T00:00:00Z", Some("Acme AG")),
            (&[NEW, dated], "2026-06-30T00:00:00Z", Some("Acme GmbH")),
            (&[NEW, dated], "2025-12-31T00:00:00Z", None),
        ] {
            let catalog = parse(entries).unwrap();
            let id = IssuerId::parse("acme").unwrap();
            let found = catalog.issuer_at(&id, parse_instant(at).unwrap());
            assert_eq!(found.map(|issuer| issuer.legal_name.as_str()), wanted, "{entries:?} at {at}");
            assert_eq!(catalog.issuers.len(), 1);
        }
    }

    #[test]
    fn versions_that_contradict_each_other_are_refused() {
        for (entries, words) in [
            ([OLD, OLD], "issuer acme is declared twice"),
            ([NEW, NEW], "issuer acme has two versions from 2026-07-01T00:00:00Z"),
            ([OLD, &format!("{NEW}\nnumber_prefix = \"B-\"")], "number_prefix of issuer acme is another one"),
            ([OLD, &format!("{NEW}\ntime_zone = \"Europe/Berlin\"")], "time_zone of issuer acme is another one"),
            ([OLD, &format!("{NEW}\nadjust_months_max = 3")], "adjust_months_max of issuer acme is another one"),
            ([OLD, "legal_name = \"A\"\neffective_from = \"July\""], "instant"),
        ] {
            let problems = parse(&entries).unwrap_err();
            assert!(problems[0].what.contains(words), "{entries:?}: {problems:?}");
        }
    }
}
