use super::*;
use crate::period::parse_instant;

/// One row is one event, as an older version may have stored it: `day[@source] partner type key=value…`, a value that
/// is no text as `json:…`; offsets are the row numbers.
pub(crate) fn events(table: &str) -> Vec<(Position, LifecycleEvent)> {
    table
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .enumerate()
        .map(|(offset, line)| {
            let mut words = line.split_whitespace();
            let (day, partner, event_type) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            let (day, source) = day.split_once('@').unwrap_or((day, "test"));
            let mut data = serde_json::Map::new();
            for pair in words {
                let (key, value) = pair.split_once('=').unwrap();
                let value = match (value.strip_prefix('['), value.strip_prefix("json:")) {
                    (Some(list), _) => list.trim_end_matches(']').split(',').collect::<Vec<_>>().into(),
                    (_, Some(json)) => serde_json::from_str(json).unwrap(),
                    _ => value.into(),
                };
                data.insert(key.to_owned(), value);
            }
            let offset = i64::try_from(offset).unwrap();
            let attribute = |name: &str| {
                Some(match name {
                    "specversion" => "1.0".to_owned(),
                    "type" => "com.test.partner.stored.v1".to_owned(),
                    "source" => "/test".to_owned(),
                    "id" => offset.to_string(),
                    "time" => format!("2026-06-{day}T00:00:00Z"),
                    "subject" => format!("partner/{partner}"),
                    _ => return None,
                })
            };
            let source = Source::parse(source).unwrap();
            let position = Position { source, partition: 0, offset, index: 0 };
            let event = LifecycleEvent::from_attributes(attribute, serde_json::Map::new()).unwrap();
            (position, LifecycleEvent { event_type: event_type.to_owned(), data, ..event })
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
        // A consumer that moves: the instant belongs to the new one.
        (
            "02 acme identity.linked system=gateway external_id=a
             05 bolt identity.linked system=gateway external_id=a
             05 acme identity.unlinked system=gateway external_id=a",
            vec!["a acme any 02..05", "a bolt any 05.."],
        ),
        // Of two partners one was wrong from the start.
        (
            "02 acme identity.linked system=gateway external_id=a
             05 bolt identity.linked system=gateway external_id=a
             05@/tollbook/record bolt identity.unlinked system=gateway external_id=a",
            vec!["a acme any 02.."],
        ),
        // Ended and linked again, for another environment.
        (
            "02 acme identity.linked system=gateway external_id=a environment=sandbox
             05 acme identity.unlinked system=gateway external_id=a
             05 acme identity.linked system=gateway external_id=a environment=production",
            vec!["a acme sandbox 02..05", "a acme production 05.."],
        ),
        // Only the environment that it names, and a link that names none.
        (
            "02 acme identity.linked system=gateway external_id=a environment=production
             03 acme identity.linked system=gateway external_id=a environment=sandbox
             05 acme identity.unlinked system=gateway external_id=a environment=sandbox",
            vec!["a acme production 02..03", "a nobody any 03..05", "a acme production 05.."],
        ),
        (
            "02 acme identity.linked system=gateway external_id=a
             05 acme identity.unlinked system=gateway external_id=a environment=sandbox",
            vec!["a acme any 02..05"],
        ),
        // An end says when it was, and one said later may say an earlier instant.
        (
            "02 acme identity.linked system=gateway external_id=a
             09 acme identity.unlinked system=gateway external_id=a
             11 acme identity.unlinked system=gateway external_id=a valid_to=2026-06-04T00:00:00Z",
            vec!["a acme any 02..04"],
        ),
        // An end of what has ended changes nothing.
        (
            "02 acme identity.linked system=gateway external_id=a
             05 acme identity.unlinked system=gateway external_id=a
             09 acme identity.unlinked system=gateway external_id=a",
            vec!["a acme any 02..05"],
        ),
        // An end that is told late leaves alone what began after it.
        (
            "02 acme identity.linked system=gateway external_id=a
             08 acme identity.linked system=gateway external_id=a environment=production
             09 acme identity.unlinked system=gateway external_id=a valid_to=2026-06-05T00:00:00Z",
            vec!["a acme any 02..05", "a acme production 08.."],
        ),
        // A link that was recorded late ends where an end says so that was recorded still later; a link said after an
        // end holds from its own start.
        (
            "08 acme identity.linked system=gateway external_id=a valid_from=2026-06-01T00:00:00Z
             09 acme identity.unlinked system=gateway external_id=a valid_to=2026-06-01T00:00:00Z",
            vec![],
        ),
        (
            "02 acme identity.linked system=gateway external_id=a
             05 acme identity.unlinked system=gateway external_id=a
             08 acme identity.linked system=gateway external_id=a valid_from=2026-06-06T00:00:00Z",
            vec!["a acme any 02..05", "a acme any 06.."],
        ),
        // What cannot be read ends the link all the same.
        (
            "02 acme identity.linked system=gateway external_id=a environment=production
             05 acme identity.unlinked system=gateway external_id=a environment=prod valid_to=soon",
            vec!["a acme production 02..05"],
        ),
        // Other consumers, systems and partners are not touched.
        (
            "02 acme identity.linked system=gateway external_id=a
             05 acme identity.unlinked system=gateway external_id=b
             05 acme identity.unlinked system=crm external_id=a
             05 bolt identity.unlinked system=gateway external_id=a",
            vec!["a acme any 02.."],
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
        "03 acme identity.unlinked system=gateway external_id=a",
        "03 acme identity.linked system=gateway external_id=a\n 04 bolt identity.unlinked system=gateway external_id=a",
        "03 acme identity.linked system=gateway external_id=a\n 02 acme identity.unlinked system=gateway external_id=a",
        "08 acme identity.linked system=gateway external_id=a
         09 acme identity.unlinked system=gateway external_id=a valid_to=2026-06-05T00:00:00Z",
        // It names an instant at which the link was known to none yet.
        "08 acme identity.linked system=gateway external_id=a valid_from=2026-06-01T00:00:00Z
         05 acme identity.unlinked system=gateway external_id=a",
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
        ("03 acme identity.unlinked system=gateway external_id=a".into(), (1, 0)),
        // A change that says nothing that can be billed, until another one of its instant does.
        (format!("{start}\n 09 acme subscription.changed subscription_id=s1 qty=5"), (1, 1)),
        (format!("{start}\n 09 acme subscription.changed subscription_id=s1 plan_id=p!"), (1, 1)),
        (format!("{start}\n 09 acme subscription.changed subscription_id=s1 plan_id=free effective_at=soon"), (1, 1)),
        (
            format!("{start}\n 09 acme subscription.changed subscription_id=s1 plan_id=free time_zone=Asia/Tokyo"),
            (1, 1),
        ),
        (
            format!(
                "{start}\n 09 acme subscription.changed subscription_id=s1 qty=5
                 09 acme subscription.changed subscription_id=s1 plan_id=pro"
            ),
            (1, 0),
        ),
        (
            format!(
                "{start}\n 09 acme subscription.changed subscription_id=s1 qty=5
                 10 acme subscription.changed subscription_id=s1 plan_id=pro"
            ),
            (1, 1),
        ),
        // Ended there, it changes nothing any more; ended before, somebody thinks that it runs.
        (
            format!(
                "{start}\n 09 acme subscription.changed subscription_id=s1 qty=5
                 09 acme subscription.cancelled subscription_id=s1"
            ),
            (0, 0),
        ),
        (
            format!(
                "{start}\n 08 acme subscription.cancelled subscription_id=s1
                 09 acme subscription.changed subscription_id=s1 plan_id=free"
            ),
            (1, 1),
        ),
        (
            format!(
                "{start}\n 08 acme subscription.cancelled subscription_id=s1
                 09 acme subscription.changed subscription_id=s1 plan_id=free
                 09 acme subscription.started subscription_id=s2 plan_id=free"
            ),
            (1, 0),
        ),
        // Of no subscription, of another partner's, before its start.
        ("09 acme subscription.changed subscription_id=s1 plan_id=free".into(), (1, 1)),
        ("09 acme subscription.changed subscription_id=s! plan_id=free".into(), (1, 1)),
        (format!("{start}\n 09 bolt subscription.changed subscription_id=s1 plan_id=free"), (1, 1)),
        (
            format!(
                "{start}\n 09 bolt subscription.changed subscription_id=s1 plan_id=free
                 09 bolt subscription.started subscription_id=s2 plan_id=free"
            ),
            (1, 0),
        ),
        (format!("{start}\n 02 acme subscription.changed subscription_id=s1 plan_id=free"), (1, 1)),
        (
            format!(
                "{start}\n 02 acme subscription.changed subscription_id=s1 plan_id=free
                 03 acme subscription.changed subscription_id=s1 plan_id=free"
            ),
            (1, 0),
        ),
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

/// What a registry says of offboarding, links and subscriptions: `off 05`, links, `id plan from..to`.
fn state(registry: &Registry) -> Vec<String> {
    let day = |instant: DateTime<Utc>| instant.format("%d").to_string();
    let off = registry.partners.values().filter_map(|partner| partner.offboarded_at);
    let span = |span: &Subscription| {
        let to = span.ended_at.map_or(String::new(), day);
        format!("{} {} {}..{to}", span.subscription_id, span.plan_id, day(span.started_at))
    };
    let spans = registry.subscriptions.values().map(span);
    off.map(|at| format!("off {}", day(at))).chain(links(registry)).chain(spans).collect()
}

/// Each row is told in every order of arrival, and each event of it twice under one id.
#[test]
fn of_several_changes_of_one_thing_at_one_instant_the_last_one_wins() {
    let (start, link) =
        ("subscription.started subscription_id=s1 plan_id=pro", "identity.linked system=gateway external_id=a");
    let (change, unlink) =
        ("subscription.changed subscription_id=s1 plan_id", "identity.unlinked system=gateway external_id=a");
    let (cancel, by_hand) = ("subscription.cancelled subscription_id=s1", "05@/tollbook/record acme");
    let (issue, revoke) = ("credential.issued credential_hashes=[k1:x]", "credential.revoked credential_hashes=[k1:x]");
    for (table, expected) in [
        ("05 acme offboarded\n 05 acme reactivated".to_owned(), vec![]),
        ("05 acme offboarded\n 05 acme reactivated\n 05 acme offboarded".into(), vec!["off 05"]),
        ("05 acme offboarded\n 05 acme reactivated\n 05 acme offboarded\n 05 acme reactivated".into(), vec![]),
        (format!("05 acme {issue}\n 05 acme {revoke}"), vec![]),
        (format!("05 acme {issue}\n 05 acme {revoke}\n 05 acme {issue}"), vec!["k1:x acme any 05.."]),
        (
            format!("05 acme {issue}\n 05 acme credential.revoked credential_hashes=[k0:y,k1:x]\n 05 acme {issue}"),
            vec!["k1:x acme any 05.."],
        ),
        (format!("05 acme {link}\n 05 acme {unlink}"), vec![]),
        (format!("05 acme {link}\n 05 acme {unlink}\n 05 acme {link}"), vec!["a acme any 05.."]),
        (format!("05 acme {start}\n 05 acme {cancel}"), vec!["s1 pro 05..05"]),
        (format!("05 acme {start}\n 05 acme {cancel}\n 05 acme {start}"), vec!["s1 pro 05.."]),
        (format!("05 acme {start}\n 05 acme {cancel}\n 05 acme {start}\n 05 acme {cancel}"), vec!["s1 pro 05..05"]),
        (format!("05 acme {start}\n 09 acme {change}=a\n 09 acme {change}=b"), vec!["s1 pro 05..09", "s1 b 09.."]),
        (
            format!("05 acme {start}\n 09 acme {change}=a\n 09 acme {change}=b\n 09 acme {change}=a"),
            vec!["s1 pro 05..09", "s1 a 09.."],
        ),
        // Between sources the name decides, and what a person records is behind them all.
        ("05@b acme offboarded\n 05@a acme reactivated".into(), vec!["off 05"]),
        (format!("{by_hand} reactivated\n 05@z acme offboarded"), vec![]),
        (format!("{by_hand} {unlink}\n 05@z acme {link}"), vec![]),
        (format!("05 acme {link}\n 09 acme {unlink}\n 09@/tollbook/record acme {link}"), vec!["a acme any 05.."]),
        // Sources do not say what came first: the cancellation of another one stands.
        (format!("05@a acme {start}\n 05@m acme {cancel}\n 05@z acme {start}"), vec!["s1 pro 05..05"]),
        // A cancellation by hand stands, however often others say that it starts.
        (format!("05@a acme {start}\n {by_hand} {cancel}\n 05@z acme {start}"), vec!["s1 pro 05..05"]),
    ] {
        let mut arrived = events(&table);
        let once = fold(arrived.clone(), None);
        assert_eq!(state(&once), expected, "{table}");
        assert_eq!(once.findings, [], "{table}");
        for _ in 0..arrived.len() {
            arrived.rotate_left(1);
            let again = arrived.iter().rev().chain(&arrived).cloned().collect();
            assert_eq!(Registry { duplicate_count: once.duplicate_count, ..fold(again, None) }, once, "{table}");
        }
    }
}

#[test]
fn a_change_of_plan_begins_another_span_of_the_subscription() {
    let start = "03 acme subscription.started subscription_id=s1 plan_id=pro time_zone=Europe/Berlin";
    let change = "acme subscription.changed subscription_id=s1";
    for (rows, expected) in [
        (format!("09 {change} plan_id=max"), vec!["s1 pro 03..09", "s1 max 09.."]),
        (format!("09 {change} plan_id=max time_zone=Europe/Berlin"), vec!["s1 pro 03..09", "s1 max 09.."]),
        (format!("09 {change} plan_id=pro qty=5"), vec!["s1 pro 03.."]),
        (format!("03 {change} plan_id=max"), vec!["s1 max 03.."]),
        (
            format!(
                "09 {change} plan_id=max\n 12 {change} plan_id=pro\n 20 acme subscription.cancelled subscription_id=s1"
            ),
            vec!["s1 pro 03..09", "s1 max 09..12", "s1 pro 12..20"],
        ),
        // Nothing runs any more from there on.
        (format!("09 acme subscription.cancelled subscription_id=s1\n 09 {change} plan_id=max"), vec!["s1 pro 03..09"]),
        // It holds from the instant that it names, which may come later.
        (
            format!("09 {change} plan_id=max effective_at=2026-06-30T22:00:00Z\n 10 {change} plan_id=free"),
            vec!["s1 pro 03..10", "s1 free 10..30", "s1 max 30.."],
        ),
    ] {
        let registry = fold(events(&format!("{start}\n {rows}")), None);
        assert_eq!(state(&registry), expected, "{rows}");
        assert_eq!(registry.findings, [], "{rows}");
        assert!(registry.subscriptions.values().all(|span| span.time_zone == Some(chrono_tz::Europe::Berlin)));
    }
}

/// The course of each span: `s1 pro 03..: 03=5 09=8; paused 10..15; term 12; to period 10`.
fn courses(registry: &Registry) -> Vec<String> {
    let day = |instant: DateTime<Utc>| instant.format("%d").to_string();
    let told = |own: &Subscription| {
        let Course { first_started_at, quantities, pauses, term, endings } = &own.course;
        let mut parts: Vec<String> = first_started_at.iter().map(|at| format!("first {}", day(*at))).collect();
        parts.extend(quantities.iter().map(|(at, units)| format!("{}={units}", day(*at))));
        let until = |pause: &Pause| pause.until.map_or(String::new(), day);
        parts.extend(pauses.iter().map(|pause| format!("paused {}..{}", day(pause.from), until(pause))));
        parts.extend(term.iter().map(|term| match term.renewal {
            Renewal::Automatic => format!("term {}", term.months),
            Renewal::None => format!("term {}!+{}", term.months, term.renewal_count),
        }));
        parts.extend(endings.iter().map(|ending| format!("to {:?} {}", ending.with, day(ending.at)).to_lowercase()));
        let to = own.ended_at.map_or(String::new(), day);
        format!("{} {}..{to}: {}", own.plan_id, day(own.started_at), parts.join(", "))
    };
    registry.subscriptions.values().map(told).collect()
}

/// One row: what is said of a subscription that starts on the 3rd, what becomes of it, and how many findings there are,
/// blocking ones among them.
#[test]
fn a_subscription_has_units_pauses_terms_and_ends_that_wait() {
    let of = |kind: &str| format!("acme subscription.{kind} subscription_id=s1");
    let (change, cancel, pause) = (of("changed"), of("cancelled"), of("paused"));
    let (resume, renew) = (of("resumed"), of("renewed"));
    let on = |day: &str| format!("effective_at=2026-06-{day}T00:00:00Z");
    for (start, rows, expected, found) in [
        ("", String::new(), vec!["pro 03..: "], (0, 0)),
        // Units: text or a whole number; a change of them ends no span.
        ("quantity=5", format!("09 {change} quantity=2.5"), vec!["pro 03..: 03=5, 09=2.5"], (0, 0)),
        ("quantity=json:5", format!("03 {change} quantity=json:0"), vec!["pro 03..: 03=0"], (0, 0)),
        ("", format!("09 {change} quantity=8 {}", on("20")), vec!["pro 03..: 20=8"], (0, 0)),
        (
            "quantity=5",
            format!("09 {change} plan_id=max quantity=8"),
            vec!["pro 03..09: 03=5, 09=8", "max 09..: first 03, 03=5, 09=8"],
            (0, 0),
        ),
        ("quantity=-1", String::new(), vec![], (1, 1)),
        ("quantity=five", String::new(), vec![], (1, 1)),
        ("quantity=json:1.5", String::new(), vec![], (1, 1)),
        ("", format!("09 {change} quantity=-1"), vec!["pro 03..: "], (1, 1)),
        ("", format!("09 {change} quantity=json:1.5\n 09 {change} quantity=2"), vec!["pro 03..: 09=2"], (1, 0)),
        ("", format!("09 {change}"), vec!["pro 03..: "], (1, 1)),
        // Pauses.
        ("", format!("10 {pause}\n 15 {resume}"), vec!["pro 03..: paused 10..15"], (0, 0)),
        ("", format!("10 {pause} {}\n 15 {resume} {}", on("12"), on("20")), vec!["pro 03..: paused 12..20"], (0, 0)),
        ("", format!("10 {pause}\n 15 {resume}\n 20 {pause}"), vec!["pro 03..: paused 10..15, paused 20.."], (0, 0)),
        (
            "",
            format!("09 {change} plan_id=max\n 10 {pause}"),
            vec!["pro 03..09: paused 10..", "max 09..: first 03, paused 10.."],
            (0, 0),
        ),
        // Taken back before it holds, or by hand at its own instant.
        ("", format!("10 {pause} {}\n 15 {resume}", on("20")), vec!["pro 03..: "], (0, 0)),
        ("", format!("10 {pause}\n 10 {resume}"), vec!["pro 03..: "], (0, 0)),
        // Contradictions are told, and what runs is billed.
        ("", format!("10 {pause}\n 12 {pause}"), vec!["pro 03..: paused 10.."], (1, 0)),
        ("", format!("10 {pause}\n 12 {pause} {}", on("05")), vec!["pro 03..: paused 05.."], (1, 0)),
        ("", format!("10 {resume}"), vec!["pro 03..: "], (1, 0)),
        ("", format!("02 {pause}"), vec!["pro 03..: "], (1, 0)),
        ("", format!("10 {cancel}\n 12 {pause}"), vec!["pro 03..10: "], (1, 0)),
        ("", "10 bolt subscription.paused subscription_id=s1".into(), vec!["pro 03..: "], (1, 0)),
        ("", "10 acme subscription.paused subscription_id=s9".into(), vec!["pro 03..: "], (1, 0)),
        ("", format!("10 {pause} effective_at=soon"), vec!["pro 03..: "], (1, 0)),
        // Ends that wait.
        ("", format!("10 {cancel} at=end_of_period"), vec!["pro 03..: to period 10"], (0, 0)),
        ("", format!("10 {cancel} at=now"), vec!["pro 03..10: "], (0, 0)),
        ("", format!("10 {cancel} at=end_of_period\n 12 {cancel}"), vec!["pro 03..12: to period 10"], (0, 0)),
        ("", format!("10 {cancel} at=end_of_period\n 12 {renew}"), vec!["pro 03..: "], (0, 0)),
        ("", format!("10 {renew}\n 12 {cancel} at=end_of_period"), vec!["pro 03..: to period 12"], (1, 0)),
        ("", format!("10 {cancel}\n 12 {cancel} at=end_of_period"), vec!["pro 03..10: "], (1, 0)),
        // It overtakes a plan that was planned for later; one that is said later is not understood until it is taken
        // back.
        (
            "",
            format!("05 {change} plan_id=max {}\n 10 {cancel} at=end_of_period", on("20")),
            vec!["pro 03..: to period 10"],
            (0, 0),
        ),
        ("", format!("10 {cancel} at=end_of_period\n 20 {change} plan_id=max"), vec!["pro 03..: to period 10"], (1, 1)),
        (
            "",
            format!("10 {cancel} at=end_of_period\n 15 {renew}\n 20 {change} plan_id=max"),
            vec!["pro 03..20: ", "max 20..: first 03"],
            (0, 0),
        ),
        (
            "quantity=5",
            format!("09 {change} plan_id=max\n 10 {cancel} at=end_of_period\n 12 {change} quantity=6"),
            vec!["pro 03..09: 03=5, 12=6", "max 09..: first 03, 03=5, 12=6, to period 10"],
            (0, 0),
        ),
        // Terms.
        ("term_months=json:12", String::new(), vec!["pro 03..: term 12"], (0, 0)),
        ("term_months=json:12 renewal=none", format!("10 {renew}\n 12 {renew}"), vec!["pro 03..: term 12!+2"], (0, 0)),
        ("term_months=json:12", format!("10 {renew}"), vec!["pro 03..: term 12"], (1, 0)),
        ("term_months=json:12", format!("10 {cancel} at=end_of_term"), vec!["pro 03..: term 12, to term 10"], (0, 0)),
        ("", format!("10 {cancel} at=end_of_term"), vec!["pro 03..: "], (1, 0)),
        ("term_months=json:0", String::new(), vec![], (1, 1)),
        ("term_months=12", String::new(), vec![], (1, 1)),
        ("term_months=json:12 renewal=never", String::new(), vec![], (1, 1)),
    ] {
        let table = format!("03 acme subscription.started subscription_id=s1 plan_id=pro {start}\n {rows}");
        let mut arrived = events(&table);
        let registry = fold(arrived.clone(), None);
        assert_eq!(courses(&registry), expected, "{table}");
        assert_eq!(findings(&table), found, "{table}: {:?}", registry.findings);
        arrived.reverse();
        assert_eq!(fold(arrived, None), registry, "{table}");
    }
}

#[test]
fn a_period_falls_into_stretches_by_units_and_pauses() {
    let at = |day: u32| parse_instant(&format!("2026-06-{day:02}T00:00:00Z")).unwrap();
    let pause = |from, until: Option<u32>| Pause { from: at(from), until: until.map(at) };
    let june = crate::period::Period::new(at(1), parse_instant("2026-07-01T00:00:00Z").unwrap()).unwrap();
    for (units, pauses, stretches, running) in [
        (vec![], vec![], "01..01 1", "01..01"),
        (vec![(1, 5), (11, 8)], vec![], "01..11 5, 11..01 8", "01..01"),
        (vec![(11, 8)], vec![], "01..11 1, 11..01 8", "01..01"),
        (vec![(1, 5)], vec![pause(10, Some(20))], "01..10 5, 20..01 5", "01..10, 20..01"),
        (vec![(1, 5), (15, 8)], vec![pause(10, Some(20))], "01..10 5, 20..01 8", "01..10, 20..01"),
        // Pauses may overlap where one was said late.
        (vec![], vec![pause(10, Some(20)), pause(5, Some(12))], "01..05 1, 20..01 1", "01..05, 20..01"),
        (vec![], vec![pause(1, None)], "", ""),
    ] {
        let units = units.iter().map(|(day, units): &(u32, i64)| (at(*day), crate::decimal::Decimal::whole(*units)));
        let course = Course { quantities: units.collect(), pauses, ..Course::default() };
        let day =
            |period: &crate::period::Period| format!("{}..{}", period.start.format("%d"), period.end.format("%d"));
        let told: Vec<_> =
            course.stretches(june).iter().map(|(time, units)| format!("{} {units}", day(time))).collect();
        assert_eq!(told.join(", "), stretches);
        assert_eq!(course.running(june).iter().map(day).collect::<Vec<_>>().join(", "), running);
    }
}

#[test]
fn a_row_gives_the_position_back() {
    let position = Position { source: Source::parse("a/b").unwrap(), partition: 3, offset: 9, index: 1 };
    let row = Row::new().with("source", "a/b").with("kafka_partition", 3_i32).with("kafka_offset", 9_i64);
    assert_eq!(Position::from_row(&row.clone().with("record_index", 1_i32)), Ok(position));
    assert_eq!(Position::from_row(&row), Err("record_index"));
}

/// I8: what calls itself sandbox in words that cannot be read is nobody's, so no door's default can bill it.
#[test]
fn a_claim_whose_environment_cannot_be_read_owns_nothing() {
    let link = "identity.linked system=gateway external_id=a";
    for environment in [
        "environment=Sandbox",
        "env=SANDBOX",
        "environment=json:[\"sandbox\"]",
        "environment=json:5",
        "env=json:\"\"",
        "environment=production env=sandbox",
        "environment=production env=json:{}",
    ] {
        for (table, expected) in [
            (format!("02 acme {link} {environment}"), vec!["a nobody any 02.."]),
            (
                format!("02 acme {link} environment=production\n 05 acme {link} {environment}"),
                vec!["a acme production 02..05", "a nobody any 05.."],
            ),
            (
                format!(
                    "02 acme {link} {environment}\n 05 acme identity.unlinked system=gateway external_id=a
                     05 acme {link} environment=sandbox"
                ),
                vec!["a nobody any 02..05", "a acme sandbox 05.."],
            ),
            (
                format!(
                    "02 acme credential.issued credential_hashes=[k1:x] {environment}
                     05 acme credential.revoked credential_hashes=[k1:x]"
                ),
                vec!["k1:x nobody any 02..05"],
            ),
        ] {
            let registry = fold(events(&table), None);
            assert_eq!(links(&registry), expected, "{table}");
            let concerns: Vec<Concern> = registry.findings.iter().map(|finding| finding.concern).collect();
            assert_eq!(concerns, [Concern::Link], "{table}");
        }
    }
    let registry = fold(events(&format!("02 acme {link} environment=json:null")), None);
    assert_eq!((links(&registry), registry.findings.len()), (vec!["a acme any 02..".to_owned()], 0));
}

/// One row: an event with a field that an older version stored and never read, and how many findings block.
#[test]
fn a_stored_field_that_cannot_be_read_is_a_finding() {
    let start = "subscription.started subscription_id=s1 plan_id=pro";
    let change = "subscription.changed subscription_id=s1 plan_id=max";
    for (event, blocking) in [
        ("registered is_internal=true".to_owned(), 0),
        ("registered is_test=json:1".into(), 0),
        ("registered display_name=json:5".into(), 0),
        ("identity.linked system=Gateway external_id=a".into(), 0),
        ("identity.linked system=json:7 external_id=a".into(), 0),
        ("identity.linked system=gateway external_id=a valid_from=soon".into(), 0),
        ("credential.issued credential_hashes=json:5".into(), 0),
        ("offboarded effective_at=soon".into(), 1),
        ("reactivated effective_at=json:5".into(), 0),
        (format!("{start} time_zone=json:5"), 1),
        ("subscription.started subscription_id=s1 plan_id=json:5".into(), 1),
        (format!("{start}\n 09 acme {change} time_zone=json:5"), 1),
        (format!("{start}\n 09 acme {change} effective_at=json:5"), 1),
        (format!("{start}\n 09 acme subscription.cancelled subscription_id=s1 effective_at=json:5"), 0),
        (format!("{start}\n 09 acme subscription.cancelled subscription_id=json:5"), 0),
        // Taken back, it leaves nothing open.
        ("offboarded effective_at=soon\n 03 acme reactivated".into(), 0),
    ] {
        assert_eq!(findings(&format!("03 acme {event}")), (1, blocking), "{event}");
    }
    // An end that is written wrong ends all the same; a start that is, begins nothing.
    let table = "02 acme identity.linked system=gateway external_id=a
                 05 acme identity.unlinked system=Gateway external_id=a";
    assert_eq!(links(&fold(events(table), None)), ["a acme any 02..05"]);
    assert!(fold(events(&format!("03 acme {start} time_zone=json:5")), None).subscriptions.is_empty());
    let zoned = "03 acme registered is_internal=json:true\n 04 acme registered is_internal=true";
    assert!(fold(events(zoned), None).partners.values().all(|partner| partner.is_internal));
}

#[test]
fn offboarding_ends_what_runs_and_reactivation_starts_nothing_again() {
    let start = "03 acme subscription.started subscription_id=s1 plan_id=pro";
    let cancel = "acme subscription.cancelled subscription_id=s1";
    let change = "acme subscription.changed subscription_id=s1 plan_id=max";
    let on = |day: &str| format!("effective_at=2026-06-{day}T00:00:00Z");
    for (rows, expected, blocking) in [
        ("15 acme offboarded".to_owned(), vec!["off 15", "s1 pro 03..15"], 0),
        ("15 bolt offboarded".into(), vec!["off 15", "s1 pro 03.."], 0),
        ("15 acme offboarded\n 20 acme reactivated".into(), vec!["s1 pro 03..15"], 0),
        // Taken back: as if it had not been said, at whatever instant that is said by hand.
        ("15 acme offboarded\n 15@/tollbook/record acme reactivated".into(), vec!["s1 pro 03.."], 0),
        (
            "15 acme offboarded\n 15 acme reactivated\n 18 acme offboarded\n 20 acme reactivated".into(),
            vec!["s1 pro 03..18"],
            0,
        ),
        // Told ahead and told late; a reactivation before it holds takes it back.
        (format!("15 acme offboarded {}", on("30")), vec!["off 30", "s1 pro 03..30"], 0),
        (format!("15 acme offboarded {}", on("10")), vec!["off 10", "s1 pro 03..10"], 0),
        (format!("15 acme offboarded {}\n 20 acme reactivated", on("30")), vec!["s1 pro 03.."], 0),
        (format!("15 acme offboarded\n 20 acme reactivated {}", on("25")), vec!["s1 pro 03..15"], 0),
        // Of several, and of a cancellation, the earliest holds.
        ("15 acme offboarded\n 16 acme offboarded".into(), vec!["off 15", "s1 pro 03..15"], 0),
        (format!("15 acme offboarded\n 16 acme offboarded {}", on("12")), vec!["off 12", "s1 pro 03..12"], 0),
        (format!("10 {cancel}\n 15 acme offboarded"), vec!["off 15", "s1 pro 03..10"], 0),
        (format!("15 acme offboarded\n 20 {cancel}"), vec!["off 15", "s1 pro 03..15"], 0),
        (format!("15 acme offboarded\n 15 {cancel}"), vec!["off 15", "s1 pro 03..15"], 0),
        (format!("10 {cancel} {}", on("20")), vec!["s1 pro 03..20"], 0),
        (format!("10 {cancel} {}\n 12 {cancel}", on("20")), vec!["s1 pro 03..12"], 0),
        // Plans change until then; one that was planned for later is overtaken, one that was said later is not
        // understood.
        (format!("09 {change}\n 15 acme offboarded"), vec!["off 15", "s1 pro 03..09", "s1 max 09..15"], 0),
        (format!("10 {change} {}\n 15 acme offboarded", on("20")), vec!["off 15", "s1 pro 03..15"], 0),
        (format!("10 {change} {}\n 15 {cancel}", on("20")), vec!["s1 pro 03..15"], 0),
        (format!("05 {cancel} {}\n 10 {change} {}", on("15"), on("20")), vec!["s1 pro 03..15"], 1),
        (format!("15 acme offboarded\n 20 {change}"), vec!["off 15", "s1 pro 03..15"], 1),
        (format!("15 acme offboarded\n 20 {change}\n 20 {cancel}"), vec!["off 15", "s1 pro 03..15"], 0),
        // A start while the partner is gone: until one of the two is taken back.
        ("02 acme offboarded".into(), vec!["off 02", "s1 pro 03.."], 1),
        ("03 acme offboarded".into(), vec!["off 03", "s1 pro 03.."], 1),
        ("02 acme offboarded\n 04 acme reactivated".into(), vec!["s1 pro 03.."], 1),
        ("02 acme offboarded\n 03 acme reactivated".into(), vec!["s1 pro 03.."], 0),
        (format!("02 acme offboarded\n 03 {cancel}"), vec!["off 02", "s1 pro 03..03"], 0),
        (
            "15 acme offboarded\n 20 acme reactivated
             20 acme subscription.started subscription_id=s2 plan_id=pro\n 25 acme offboarded"
                .into(),
            vec!["off 25", "s1 pro 03..15", "s2 pro 20..25"],
            0,
        ),
    ] {
        let table = format!("{start}\n {rows}");
        let mut arrived = events(&table);
        let registry = fold(arrived.clone(), None);
        assert_eq!(state(&registry), expected, "{table}");
        assert_eq!(findings(&table), (blocking, blocking), "{table}: {:?}", registry.findings);
        arrived.reverse();
        assert_eq!(fold(arrived, None), registry, "{table}");
    }
}

#[test]
fn a_key_that_another_partner_has_is_not_revoked_without_a_word() {
    let issue = "02 acme credential.issued credential_hashes=[k1:x]";
    for (row, found) in [
        ("05 bolt credential.revoked credential_hashes=[k1:x]", 1),
        ("05 acme credential.revoked credential_hashes=[k1:x]", 0),
        ("05 bolt credential.revoked credential_hashes=[k1:y]", 0),
    ] {
        assert_eq!(findings(&format!("{issue}\n {row}")), (found, 0), "{row}");
    }
}

/// Every sequence of some rows, each on a day of its own or on one day with the one before.
fn sequences(words: &[&str], length: usize) -> Vec<String> {
    let mut tables = vec![(String::new(), 1)];
    for _ in 0..length {
        let longer = tables.iter().flat_map(|(table, day)| {
            let next = words.iter().flat_map(move |word| [(word, day + 1), (word, *day)]);
            next.map(move |(word, day)| (format!("{table}0{day} {word}\n"), day))
        });
        tables = longer.collect();
    }
    tables.into_iter().map(|(table, _)| table).collect()
}

/// Against a rule that knows no claims and spans: who linked last and did not end it, alone.
#[test]
fn no_order_gives_a_partner_the_traffic_of_another() {
    let (link, unlink) =
        ("identity.linked system=gateway external_id=a", "identity.unlinked system=gateway external_id=a");
    let words = [format!("acme {link}"), format!("acme {unlink}"), format!("bolt {link}"), format!("bolt {unlink}")];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for table in sequences(&words, 4) {
        let told = events(&table);
        let registry = fold(told.clone(), None);
        for day in 1..=6 {
            let at = parse_instant(&format!("2026-06-0{day}T12:00:00Z")).unwrap();
            let has = |partner: &&str| {
                let own = |event: &&LifecycleEvent| event.partner_id.as_ref().is_some_and(|id| id.as_str() == *partner);
                let mut past = told.iter().map(|(_, event)| event).filter(|event| event.occurred_at <= at);
                past.rfind(own).is_some_and(|event| event.event_type == "identity.linked")
            };
            let owners: Vec<&str> = ["acme", "bolt"].into_iter().filter(has).collect();
            let is_in = |link: &&IdentityLink| link.valid_from <= at && link.valid_to.is_none_or(|to| at < to);
            let found: Vec<_> = registry.links.iter().filter(is_in).map(|link| link.partner_id.clone()).collect();
            let expected = match owners.as_slice() {
                [] => vec![],
                [owner] => vec![Some(PartnerId::parse(*owner).unwrap())],
                _ => vec![None],
            };
            assert_eq!(found, expected, "day {day}:\n{table}");
        }
    }
}

#[test]
fn no_order_gives_two_spans_of_one_subscription_at_once_or_runs_on_without_a_word() {
    let words = [
        "acme subscription.started subscription_id=s1 plan_id=a",
        "acme subscription.changed subscription_id=s1 plan_id=b",
        "acme subscription.changed subscription_id=s1 plan_id=c effective_at=2026-06-03T00:00:00Z",
        "acme subscription.cancelled subscription_id=s1",
        "acme subscription.cancelled subscription_id=s1 effective_at=2026-06-04T00:00:00Z",
        "acme offboarded",
        "acme reactivated",
        "acme subscription.cancelled subscription_id=s1 at=end_of_period",
        "acme subscription.renewed subscription_id=s1",
    ];
    for table in sequences(&words, 4) {
        let mut arrived = events(&table);
        let registry = fold(arrived.clone(), None);
        let spans: Vec<&Subscription> = registry.subscriptions.values().collect();
        for pair in spans.windows(2) {
            assert_eq!(pair[0].ended_at, Some(pair[1].started_at), "{table}");
        }
        assert!(spans.iter().all(|span| span.ended_at.is_none_or(|ended| span.started_at <= ended)), "{table}");
        let gone_from = registry.partners.values().find_map(|partner| partner.offboarded_at);
        let runs_on =
            |gone| spans.iter().any(|span| span.ended_at.is_none_or(|ended| gone < ended && span.started_at < ended));
        if gone_from.is_some_and(runs_on) {
            assert!(registry.findings.iter().any(Finding::blocks_billing), "{table}");
        }
        arrived.reverse();
        assert_eq!(fold(arrived, None), registry, "{table}");
    }
}
