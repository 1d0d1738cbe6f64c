use super::super::fold;
use super::super::tests::events;

/// Each row: events in any order; who pays for acme on each of some days, `-` for itself; what is told, `!` where it
/// blocks.
#[test]
fn who_pays_for_whom_from_when() {
    const ALL: &str = "01 acme registered\n01 bolt registered\n01 corp registered\n";
    for (table, wanted, findings) in [
        ("", "- - -", vec![]),
        ("05 acme payer.named payer_id=bolt", "- bolt bolt", vec![]),
        ("05 acme payer.named payer_id=bolt effective_at=2026-06-01T00:00:00Z", "bolt bolt bolt", vec![]),
        ("05 acme payer.named payer_id=bolt\n15 acme payer.ended", "- bolt -", vec![]),
        ("05 acme payer.named payer_id=bolt\n15 acme payer.named payer_id=corp", "- bolt corp", vec![]),
        // At one instant the last word holds.
        ("05 acme payer.named payer_id=bolt\n05 acme payer.named payer_id=corp", "- corp corp", vec![]),
        ("05 acme payer.named payer_id=acme", "- acme acme", vec!["!acme payer.named: acme is to pay for itself"]),
        (
            "05 acme payer.named payer_id=zeta",
            "- zeta zeta",
            vec!["!acme payer.named: zeta, who is to pay for acme, is no partner"],
        ),
        (
            "05 acme payer.named payer_id=bolt\n15 bolt payer.named payer_id=corp",
            "- bolt bolt",
            vec!["!acme payer.named: bolt pays for acme, and corp for bolt from 2026-06-15T00:00:00Z"],
        ),
        (
            "05 acme payer.named payer_id=bolt\n15 bolt payer.named payer_id=acme",
            "- bolt bolt",
            vec!["!acme payer.named: bolt pays for acme, and acme", "!bolt payer.named: acme pays for bolt, and bolt"],
        ),
        // One after the other is no chain.
        (
            "05 acme payer.named payer_id=bolt\n15 acme payer.ended\n15 bolt payer.named payer_id=corp",
            "- bolt -",
            vec![],
        ),
        ("05 acme payer.named", "- - -", vec!["!acme payer.named: payer_id or effective_at is missing"]),
        ("05 acme payer.named\n06 acme payer.named payer_id=bolt", "- - bolt", vec!["acme payer.named: payer_id or"]),
    ] {
        let registry = fold(events(&format!("{ALL}{table}")), None);
        let acme = crate::id::PartnerId::parse("acme").unwrap();
        let on = |day: &str| {
            let at = crate::period::parse_instant(&format!("2026-06-{day}T00:00:00Z")).unwrap();
            registry.payer_at(&acme, at).map_or("-", crate::id::PartnerId::as_str)
        };
        assert_eq!(["04", "05", "15"].map(on).join(" "), wanted, "{table}");
        let told: Vec<String> = registry
            .findings
            .iter()
            .map(|one| {
                let blocks = if one.blocks_billing() { "!" } else { "" };
                format!("{blocks}{} {}", one.partner_id.as_ref().unwrap(), one.what)
            })
            .collect();
        assert_eq!(told.len(), findings.len(), "{table}: {told:?}");
        assert!(told.iter().zip(findings).all(|(told, words)| told.starts_with(words)), "{table}: {told:?}");
    }
}
