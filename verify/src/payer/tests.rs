//! Who pays at which instant.

use std::collections::BTreeMap;

use tollbook_schemas::period::parse_instant;

use super::*;

/// Each row: who is said to pay for acme, by the day of June from which it holds (`-` is itself), and who does on the
/// 1st, 10th and 20th.
#[test]
fn who_was_named_last_pays() {
    let day = |day: &str| parse_instant(&format!("2026-06-{day}T00:00:00Z")).unwrap();
    let id = |text: &str| PartnerId::parse(text).unwrap();
    for (said, told) in [
        ("", "- - -"),
        ("05 bolt", "- bolt bolt"),
        ("01 bolt", "bolt bolt bolt"),
        ("01 bolt, 10 -", "bolt - -"),
        ("01 bolt, 10 corp", "bolt corp corp"),
        ("05 bolt, 15 -, 20 corp", "- bolt corp"),
    ] {
        let mut registry = Registry::default();
        let of_acme = said.split(", ").filter(|text| !text.is_empty()).map(|text| {
            let (from, payer) = text.split_once(' ').unwrap();
            (day(from), (payer != "-").then(|| id(payer)))
        });
        registry.set_payers(BTreeMap::from([(id("acme"), of_acme.collect())]));
        let found =
            ["01", "10", "20"].map(|at| payer_of(&registry, &id("acme"), day(at)).map_or("-", PartnerId::as_str));
        assert_eq!(found.join(" "), told, "{said}");
        assert_eq!(payer_of(&registry, &id("bolt"), day("20")), None);
    }
}
