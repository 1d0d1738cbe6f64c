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

/// Findings of a table, and of those the ones that block billing.
fn findings(table: &str) -> (usize, usize) {
    let registry = fold(events(table), None);
    let blocking = registry.findings.iter().filter(|finding| finding.blocks_billing()).count();
    (registry.findings.len(), blocking)
}

#[test]
fn the_same_said_twice_is_a_duplicate() {
    for event in [
        "01 acme registered display_name=Acme",
        "02 acme identity.linked system=gateway external_id=a",
        "03 acme subscription.started subscription_id=s1 plan_id=pro",
        "04 acme offboarded",
    ] {
        // Under another id, from another source.
        let twice = fold(events(&format!("{event}\n{event}")), None);
        assert_eq!((twice.duplicate_count, twice.findings.len()), (1, 0), "{event}");
        let once = fold(events(event), None);
        assert_eq!(Registry { duplicate_count: 0, ..twice }, once, "{event}");
    }
    let start = "03 acme subscription.started subscription_id=s1 plan_id=pro";
    let other_fields = format!("{start}\n {start} note=again\n 09 acme subscription.cancelled subscription_id=s1");
    let registry = fold(events(&other_fields), None);
    assert_eq!((registry.duplicate_count, registry.findings.len()), (1, 0));
    let calls = fold(events("01 acme touch.logged\n 01 acme touch.logged"), None);
    assert_eq!(calls.partners.values().next().unwrap().event_count, 2, "two calls of one instant are two");
}

#[test]
fn a_later_registration_corrects_the_name_and_not_the_instant() {
    for table in [
        "01 acme registered display_name=Acne segment=a\n 05 acme registered display_name=Acme",
        "01 acme registered display_name=Acne segment=a\n 01 acme registered display_name=Acme",
        "01 acme registered display_name=Acme segment=a
         01 acme registered display_name=Acne segment=a
         01 acme registered display_name=Acme segment=a",
    ] {
        let registry = fold(events(table), None);
        let partner = registry.partners.values().next().unwrap();
        assert_eq!((partner.display_name.as_deref(), partner.segment.as_deref()), (Some("Acme"), Some("a")));
        assert_eq!(partner.registered_at, Some(parse_instant("2026-06-01T00:00:00Z").unwrap()));
        assert!(registry.findings.is_empty());
    }
}

#[test]
fn a_finding_blocks_only_while_nobody_can_say_what_is_owed() {
    let start = "03 acme subscription.started subscription_id=s1 plan_id=pro";
    for (table, expected) in [
        // A cancellation of an id that is none: told, and what runs is billed.
        (format!("{start}\n 09 acme subscription.cancelled subscription_id=s2"), (1, 0)),
        (
            format!(
                "{start}\n 09 acme subscription.cancelled subscription_id=s2
                 09 acme subscription.cancelled subscription_id=s1"
            ),
            (1, 0),
        ),
        (format!("{start}\n 09 bolt subscription.cancelled subscription_id=s1"), (1, 0)),
        (format!("{start}\n 02 acme subscription.cancelled subscription_id=s1"), (1, 0)),
        // Nobody can read it, until one can be read.
        ("03 acme subscription.started subscription_id=s1 plan_id=pro time_zone=Mars/Base".into(), (1, 1)),
        (format!("03 acme subscription.started subscription_id=s1 plan_id=p! \n {start}"), (1, 0)),
        ("03 acme subscription.started subscription_id=s! plan_id=pro".into(), (1, 1)),
        (format!("03 acme subscription.started subscription_id=s! plan_id=pro\n {start}"), (1, 0)),
        (format!("04 acme subscription.started subscription_id=s! plan_id=pro\n {start}"), (1, 1)),
        // Another plan of the same instant is another subscription; and what was to change is no correction.
        (format!("03 acme subscription.started subscription_id=s! plan_id=free\n {start}"), (1, 1)),
        (format!("{start}\n 09 acme subscription.started subscription_id=s1 plan_id=p!"), (1, 1)),
        // Two plans for one subscription.
        (format!("{start}\n 03 acme subscription.started subscription_id=s1 plan_id=free"), (1, 1)),
        (
            // Another one of the same instant says nothing about it.
            format!(
                "{start}\n 03 acme subscription.started subscription_id=s1 plan_id=free
                 03 acme subscription.started subscription_id=s2 plan_id=free"
            ),
            (1, 1),
        ),
        (
            format!(
                "{start}\n 03 acme subscription.started subscription_id=s1 plan_id=free
                 03 acme subscription.cancelled subscription_id=s1
                 03 acme subscription.started subscription_id=s2 plan_id=free"
            ),
            (1, 0),
        ),
        (
            format!(
                "{start}\n 08 acme subscription.started subscription_id=s1 plan_id=free
                 08 acme subscription.cancelled subscription_id=s1
                 08 acme subscription.started subscription_id=s2 plan_id=free"
            ),
            (1, 0),
        ),
        // An id that another partner has.
        (format!("{start}\n 05 bolt subscription.started subscription_id=s1 plan_id=pro"), (1, 1)),
        (
            format!(
                "{start}\n 05 bolt subscription.started subscription_id=s1 plan_id=pro
                 05 bolt subscription.started subscription_id=s2 plan_id=pro"
            ),
            (1, 0),
        ),
        (
            format!(
                "{start}\n 05 bolt subscription.started subscription_id=s1 plan_id=pro
                 05 bolt subscription.started subscription_id=s2 plan_id=free"
            ),
            (1, 1),
        ),
        ("03 acme credential.issued credential_hashes=[k1:x] env=staging".into(), (1, 0)),
    ] {
        assert_eq!(findings(&table), expected, "{table}");
    }
}

#[test]
fn a_cancellation_at_the_instant_of_its_start_may_be_sorted_before_it() {
    let registry = fold(
        events(
            "03 acme subscription.cancelled subscription_id=s1
             03 acme subscription.started subscription_id=s1 plan_id=pro",
        ),
        None,
    );
    let subscription = registry.subscriptions.values().next().unwrap();
    assert_eq!(subscription.ended_at, Some(subscription.started_at));
    assert!(registry.findings.is_empty());
}

#[test]
fn a_row_gives_the_position_back() {
    let position = Position { source: Source::parse("a/b").unwrap(), partition: 3, offset: 9, index: 1 };
    let row = Row::new().with("source", "a/b").with("kafka_partition", 3_i32).with("kafka_offset", 9_i64);
    assert_eq!(Position::from_row(&row.clone().with("record_index", 1_i32)), Ok(position));
    assert_eq!(Position::from_row(&row), Err("record_index"));
}
