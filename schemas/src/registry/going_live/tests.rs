use super::super::fold;
use super::super::tests::events;

/// Each row: events in any order, what is known of acme, and what is told, with `!` where it blocks billing.
#[test]
fn the_last_start_and_the_last_opening_of_each_thing_hold() {
    const START: &str = "01 acme subscription.started subscription_id=s1 plan_id=pro";
    const LIVE: &str = "02 acme billing.started billing_starts_at=2026-06-11T00:00:00Z";
    for (table, wanted) in [
        (vec![START, LIVE], "11"),
        (vec![LIVE], "11"),
        // Said again, and corrected.
        (vec![START, LIVE, "03 acme billing.started billing_starts_at=2026-06-12T00:00:00Z"], "12"),
        (
            vec![
                "02 acme opening.recorded subscription_id=s1 meter_id=calls quantity=12",
                "03 acme opening.recorded subscription_id=s1 meter_id=calls quantity=15",
                "03 acme opening.recorded subscription_id=s1 price_id=base quantity=1",
                START,
                LIVE,
            ],
            "11 s1/calls 15 s1/base 1",
        ),
        (
            vec![START, "02 acme opening.recorded subscription_id=s1 meter_id=calls quantity=12"],
            "- ! opening.recorded: no billing.started says from when on the partner is billed here; record it first",
        ),
        // What says that there was nothing may stay.
        (
            vec![START, "02 acme opening.recorded subscription_id=s1 meter_id=calls quantity=0"],
            "- opening.recorded: no billing.started says from when on the partner is billed here; record it first",
        ),
        (
            vec![
                LIVE,
                "02 bolt subscription.started subscription_id=s2 plan_id=pro",
                "03 acme opening.recorded subscription_id=s2 meter_id=calls quantity=5",
            ],
            "11 ! opening.recorded: s2 is no subscription of the partner",
        ),
        (
            vec![LIVE, "03 acme billing.started billing_starts_at=soon"],
            "11 ! billing.started: billing_starts_at is missing or not valid",
        ),
        // Put right by one that is said later, and not by one of another type.
        (
            vec!["01 acme billing.started billing_starts_at=soon", LIVE],
            "11 billing.started: billing_starts_at is missing or not valid",
        ),
        (
            vec![START, LIVE, "03 acme opening.recorded subscription_id=s1 meter_id=calls quantity=many"],
            "11 ! opening.recorded: quantity is missing or not valid",
        ),
    ] {
        let registry = fold(events(&table.join("\n")), None);
        let live = registry.going_live.iter().map(|(partner, live)| {
            assert_eq!(partner.as_str(), "acme");
            live.billing_starts_at.format("%d").to_string()
        });
        let openings = registry.going_live.values().flat_map(|live| &live.openings).map(|opening| {
            let of = match &opening.of {
                super::OpeningOf::Meter(id) => id.to_string(),
                super::OpeningOf::Price(id) => id.to_string(),
            };
            format!("{}/{of} {}", opening.subscription_id, opening.quantity)
        });
        let findings = registry
            .findings
            .iter()
            .map(|finding| format!("{}{}", if finding.blocks_billing() { "! " } else { "" }, finding.what));
        let mut told: Vec<String> = live.collect();
        if told.is_empty() {
            told.push("-".to_owned());
        }
        told.extend(openings.chain(findings));
        assert_eq!(told.join(" "), wanted, "{table:?}");
    }
}
