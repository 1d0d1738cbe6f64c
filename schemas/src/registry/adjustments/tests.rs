use crate::registry::tests::events;
use crate::registry::{Registry, fold};

const A: &str = "01 acme adjustment.made adjustment_id=adj_a month=2026-06 amount=12.34 currency=EUR issuer_id=eu \
                 description=Workshop reason=order";

/// Events by Ann.
fn folded(table: &str) -> Registry {
    let mut events = events(table);
    events.iter_mut().for_each(|(_, event)| event.actor = Some("staff:ann".to_owned()));
    let forwards = fold(events.clone(), None);
    events.reverse();
    assert_eq!(fold(events, None), forwards, "the order of arrival does not matter");
    forwards
}

/// Adjustments as `id partner month amount by actor [taken back]`, then findings with `!` where they block.
fn told(registry: &Registry) -> Vec<String> {
    let made = registry.adjustments.values().map(|made| {
        let back = if made.is_revoked() { " taken back" } else { "" };
        format!("{} {} {} {} {}{back}", made.adjustment_id, made.partner_id, made.month, made.amount, made.actor)
    });
    let found = registry.findings.iter().map(|finding| {
        let blocks = if finding.blocks_billing() { "!" } else { "" };
        format!("{}{blocks} {}", finding.partner_id.as_ref().unwrap(), finding.what)
    });
    made.chain(found).collect()
}

/// One row: events, and what comes of them.
#[test]
fn what_is_made_by_hand_is_there_until_it_is_taken_back() {
    const MADE: &str = "adj_a acme 2026-06 12.34 EUR staff:ann";
    const BACK: &str = "adj_a acme 2026-06 12.34 EUR staff:ann taken back";
    let other = A.replace("12.34", "12.35");
    let unreadable = A.replace("amount=12.34", "amount=12.345");
    let revoke = "01 acme adjustment.revoked adjustment_id=adj_a reason=mistake";
    let foreign = "01 bolt adjustment.revoked adjustment_id=adj_a reason=mistake";
    for (table, expected) in [
        (A.to_owned(), vec![MADE]),
        (A.replace("12.34", "-0.05"), vec!["adj_a acme 2026-06 -0.05 EUR staff:ann"]),
        // The same again is the same; taken back, in whatever order, it stays so, also where it is said once more.
        (format!("{A}\n{A}"), vec![MADE]),
        (format!("{A}\n{revoke}"), vec![BACK]),
        (format!("{revoke}\n{A}\n{A}"), vec![BACK]),
        // Other content under the id blocks, until it is taken back.
        (
            format!("{A}\n{other}"),
            vec![MADE, "acme! adjustment.made: adj_a was made before, with other content or by somebody else"],
        ),
        (
            format!("{A}\n{other}\n{revoke}"),
            vec![BACK, "acme adjustment.made: adj_a was made before, with other content or by somebody else"],
        ),
        (unreadable.clone(), vec!["acme! adjustment.made: amount is missing or wrong"]),
        (format!("{unreadable}\n{revoke}"), vec!["acme adjustment.made: amount is missing or wrong"]),
        (A.replace("12.34", "0"), vec!["acme! adjustment.made: amount is missing or wrong"]),
        (A.replace("EUR", "EURO"), vec!["acme! adjustment.made: currency is missing or wrong"]),
        (A.replace("2026-06", "June"), vec!["acme! adjustment.made: month is missing or wrong"]),
        (A.replace("adj_a", "a"), vec!["acme! adjustment.made: adjustment_id is missing or wrong"]),
        // Nobody takes back what is another's, or was never made.
        (format!("{A}\n{foreign}"), vec![MADE, "bolt adjustment.revoked: adj_a was never made for the partner"]),
        (revoke.to_owned(), vec!["acme adjustment.revoked: adj_a was never made for the partner"]),
    ] {
        assert_eq!(told(&folded(&table)), expected, "{table}");
    }
    // Without who, it is nothing that anybody answers for.
    let nobody = fold(events(A), None);
    assert_eq!(told(&nobody), ["acme! adjustment.made: actor is missing or wrong"]);
}
