use super::*;
use crate::period::parse_instant;

/// One row is one event: `day partner type key=value…`; offsets are the row numbers.
fn events(table: &str) -> Vec<(Position, LifecycleEvent)> {
    let source = Source::parse("test").unwrap();
    table
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .enumerate()
        .map(|(offset, line)| {
            let mut words = line.split_whitespace();
            let (day, partner, event_type) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            let mut data = serde_json::Map::new();
            for pair in words {
                let (key, value) = pair.split_once('=').unwrap();
                let value = match value.strip_prefix('[') {
                    Some(list) => list.trim_end_matches(']').split(',').collect::<Vec<_>>().into(),
                    None => value.into(),
                };
                data.insert(key.to_owned(), value);
            }
            let offset = i64::try_from(offset).unwrap();
            let attribute = |name: &str| {
                Some(match name {
                    "specversion" => "1.0".to_owned(),
                    "type" => format!("com.test.partner.{event_type}.v1"),
                    "source" => "/test".to_owned(),
                    "id" => offset.to_string(),
                    "time" => format!("2026-06-{day}T00:00:00Z"),
                    "subject" => format!("partner/{partner}"),
                    _ => return None,
                })
            };
            let position = Position { source: source.clone(), partition: 0, offset, index: 0 };
            (position, LifecycleEvent::from_attributes(attribute, data).unwrap())
        })
        .collect()
}

/// Links as text: `external partner environment from..to`.
fn links(registry: &Registry) -> Vec<String> {
    let day = |instant: DateTime<Utc>| instant.format("%d").to_string();
    registry
        .links
        .iter()
        .map(|link| {
            format!(
                "{} {} {} {}..{}",
                link.external_id,
                link.partner_id.as_ref().map_or("nobody", PartnerId::as_str),
                link.environment.map_or("any", Environment::as_str),
                day(link.valid_from),
                link.valid_to.map_or(String::new(), day),
            )
        })
        .collect()
}

#[test]
fn links_follow_time_and_contradictions_belong_to_nobody() {
    for (table, expected) in [
        ("02 acme identity.linked system=gateway external_id=a", vec!["a acme any 02.."]),
        ("02 acme identity.linked system=crm external_id=a", vec![]),
        (
            "02 acme identity.linked system=gateway external_id=a\n 05 bolt identity.linked system=gateway external_id=a",
            vec!["a acme any 02..05", "a nobody any 05.."],
        ),
        (
            "02 acme credential.issued credential_hashes=[k1:x] env=sandbox\n 09 acme credential.revoked credential_hashes=[k1:x]",
            vec!["k1:x acme sandbox 02..09"],
        ),
        // A key that is revoked and given to somebody else changes hands.
        (
            "02 acme credential.issued credential_hashes=[k1:x] env=production
             05 acme credential.revoked credential_hashes=[k1:x]
             07 bolt credential.issued credential_hashes=[k1:x] env=production",
            vec!["k1:x acme production 02..05", "k1:x bolt production 07.."],
        ),
        // One key for both environments: nobody can say which, so nobody is charged.
        (
            "02 acme credential.issued credential_hashes=[k1:x] env=production
             05 acme credential.issued credential_hashes=[k1:x] env=sandbox",
            vec!["k1:x acme production 02..05", "k1:x nobody any 05.."],
        ),
        // A repeated link changes nothing.
        (
            "02 acme identity.linked system=gateway external_id=a\n 05 acme identity.linked system=gateway external_id=a",
            vec!["a acme any 02.."],
        ),
        (
            "08 acme identity.linked system=gateway external_id=a valid_from=2026-06-01T00:00:00Z",
            vec!["a acme any 01.."],
        ),
    ] {
        assert_eq!(links(&fold(events(table), None)), expected, "{table}");
    }
}

#[test]
fn arrival_order_and_repeated_delivery_change_nothing() {
    let table = "01 acme registered display_name=Acme
         02 acme identity.linked system=gateway external_id=a
         03 acme subscription.started subscription_id=s1 plan_id=pro time_zone=Europe/Berlin
         20 acme subscription.cancelled subscription_id=s1
         21 acme offboarded";
    let once = fold(events(table), None);
    let mut shuffled = events(table);
    shuffled.reverse();
    assert_eq!(fold(shuffled, None), once);
    let twice = fold([events(table), events(table)].concat(), None);
    assert_eq!(twice.duplicate_count, 5);
    assert_eq!(Registry { duplicate_count: 0, ..twice }, once);
    let subscription = once.subscriptions.values().next().unwrap();
    assert_eq!(subscription.ended_at, Some(parse_instant("2026-06-20T00:00:00Z").unwrap()));
    assert!(once.findings.is_empty());
}

#[test]
fn as_of_an_earlier_instant_later_events_are_unknown() {
    let table = "01 acme registered\n 21 acme offboarded";
    let early = fold(events(table), Some(parse_instant("2026-06-10T00:00:00Z").unwrap()));
    assert_eq!(early.partners.values().next().unwrap().offboarded_at, None);
}

#[test]
fn what_cannot_be_right_is_a_finding() {
    for table in [
        "03 acme subscription.started subscription_id=s1 plan_id=pro time_zone=Mars/Base",
        "03 acme subscription.started subscription_id=s1 plan_id=pro\n 04 bolt subscription.started subscription_id=s1 plan_id=pro",
        "03 acme subscription.cancelled subscription_id=s1",
        "03 acme credential.issued credential_hashes=[k1:x] env=staging",
    ] {
        assert_eq!(fold(events(table), None).findings.len(), 1, "{table}");
    }
}
