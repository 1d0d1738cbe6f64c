use tollbook_schemas::error::Kind;
use tollbook_schemas::registry::Registry;
use tollbook_schemas::tables::partner_event::TABLE as PARTNER_EVENT;
use tollbook_schemas::tables::runs::JOB_RUN;

use super::*;
use crate::jobs::check::init;
use crate::jobs::kind_of;

/// A configuration with the sample catalog and a lake in a temporary folder.
fn context(folder: &Path) -> JobContext {
    init(folder).unwrap();
    JobContext::open(&folder.join("tollbook.toml")).unwrap()
}

async fn registry(context: &JobContext) -> Registry {
    let (_, events) = context.pins().await.unwrap();
    tollbook_aggregate::read_registry(&context.lake, &events, None).await.unwrap()
}

fn recorded(event_type: &str, at: &str, data: &str) -> Recorded {
    let text = str::to_owned;
    Recorded {
        partner: text("acme"),
        event_type: text(event_type),
        at: text(at),
        actor: text("staff:ann"),
        data: text(data),
    }
}

const MAY: &str = "2026-05-01T00:00:00Z";

/// Imports a text; gives how many events and profiles it added.
async fn import(context: &JobContext, text: &str) -> anyhow::Result<(usize, usize)> {
    let file = context.configuration.path("partners.csv");
    std::fs::write(&file, text).unwrap();
    let planned = plan(context, &file).await?;
    let added = apply(context, &planned).await?;
    assert_eq!(planned.lines.len(), added.0 + added.1, "the plan says what is done");
    assert_eq!(planned.json().len(), planned.lines.len());
    Ok(added)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_is_imported_once() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path());
    let file = folder.path().join("partners.csv");
    std::fs::write(&file, TEMPLATE).unwrap();
    let planned = plan(&context, &file).await.unwrap();
    assert_eq!(planned.lines.len(), 5, "{:?}", planned.lines);
    assert!(context.lake.rows(&PARTNER_EVENT, None).await.unwrap().is_empty(), "a plan writes nothing");
    assert_eq!(apply(&context, &planned).await.unwrap(), (4, 1));
    assert_eq!(apply(&context, &planned).await.unwrap(), (0, 0));
    assert!(plan(&context, &file).await.unwrap().lines.is_empty());
    let registry = registry(&context).await;
    assert_eq!((registry.partners.len(), registry.links.len(), registry.subscriptions.len()), (1, 2, 1));
    assert!(registry.findings.is_empty());
    let printed = format!("{:?}", context.lake.rows(&PARTNER_EVENT, None).await.unwrap());
    assert!(!printed.contains("example.org") && !printed.contains("Street"), "contact data in an event");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_file_adds_only_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path());
    assert_eq!(import(&context, TEMPLATE).await.unwrap(), (4, 1));
    let renamed = TEMPLATE.replace("Acme Mobility,", "Acme Bikes,");
    let moved = renamed.replace("Street 1", "Street 2");
    let name = |registry: &Registry| registry.partners.values().next().unwrap().display_name.clone().unwrap();
    // A name, an address, a line more; and each taken back again.
    for (text, added, shown) in [
        (renamed.clone(), (1, 0), "Acme Bikes"),
        (renamed.clone(), (0, 0), "Acme Bikes"),
        (moved.clone(), (0, 1), "Acme Bikes"),
        (TEMPLATE.to_owned(), (1, 1), "Acme Mobility"),
        (TEMPLATE.to_owned(), (0, 0), "Acme Mobility"),
        (moved.clone(), (1, 1), "Acme Bikes"),
        (moved.clone() + &TEMPLATE.lines().nth(2).unwrap().replace("acme-sandbox", "acme-2"), (1, 0), "Acme Bikes"),
    ] {
        assert_eq!(import(&context, &text).await.unwrap(), added, "{text}");
        let registry = registry(&context).await;
        assert_eq!(registry.findings, [], "{text}");
        assert_eq!(name(&registry), shown, "{text}");
        assert_eq!(registry.partners.values().next().unwrap().registered_at, Some(parse_instant(MAY).unwrap()));
    }
    // One that holds from a day of its own.
    let later = format!(
        "{TEMPLATE}acme,,,,,,,,,,,Acme Mobility AG,Street 3,DE,,billing@example.org,,14,,,,,2026-08-01T00:00:00Z\n"
    );
    assert_eq!(import(&context, &later).await.unwrap(), (1, 2), "the name and the address as they were, and a new one");
    assert_eq!(import(&context, &moved).await.unwrap(), (1, 1));
    let profiles = context.lake.rows(&BILLING_PROFILE, None).await.unwrap();
    let dated = profiles.iter().find(|row| row.text("legal_name") == Some("Acme Mobility AG")).unwrap();
    assert_eq!(dated.instant("effective_from"), Some(parse_instant("2026-08-01T00:00:00Z").unwrap()));
    let newest = profiles.iter().max_by_key(|row| row.instant("recorded_at")).unwrap();
    assert_eq!(newest.text("address"), Some("Street 2\n10115 Berlin"));
    let instants: std::collections::BTreeSet<_> = profiles.iter().map(|row| row.instant("recorded_at")).collect();
    assert_eq!((profiles.len(), instants.len() >= 6), (7, true), "each version is later than the one before");
}

/// Going live in the middle of a period, imported; then the file is edited, and the last word holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_partner_that_goes_live_beside_another_system_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path());
    let meter = context.catalog().unwrap().meters.keys().next().unwrap().to_string();
    let live = |at: &str, quantity: &str| {
        let first = TEMPLATE.replace(",,14,,,,", &format!(",,14,{at},{meter},,{quantity}"));
        let line = |of: &str| format!("acme,,,,,,,sub-acme-1,,,,,,,,,,,{at},{of},\n");
        first + &line(",base,1") + &line(&format!("{meter},,{quantity}"))
    };
    assert_eq!(import(&context, &live("2026-06-11T00:00:00Z", "1200")).await.unwrap(), (7, 1));
    assert_eq!(import(&context, &live("2026-06-11T00:00:00Z", "1200")).await.unwrap(), (0, 0));
    assert_eq!(import(&context, &live("2026-06-10T00:00:00Z", "1150")).await.unwrap(), (2, 0));
    let registry = registry(&context).await;
    assert_eq!(registry.findings, []);
    let live_of_acme = registry.going_live.values().next().unwrap();
    assert_eq!(print_instant(live_of_acme.billing_starts_at), "2026-06-10T00:00:00Z");
    let quantities: Vec<String> = live_of_acme.openings.iter().map(|one| one.quantity.to_string()).collect();
    assert_eq!(quantities, ["1150", "1"]);
    for (from, to, words) in [
        (",base,1", ",bose,1", "no plan of the catalog has a flat price bose"),
        (",base,1", ",base,", "opening_price says nothing without opening_quantity; correct column opening_quantity"),
        (",base,1", ",,1", "opening_quantity says nothing without opening_meter; correct column opening_meter"),
        ("2026-06-11T00:00:00Z,,base", ",,base", "opening_quantity says nothing without billing_starts_at"),
        ("sub-acme-1,,,,,,,,,,,2026", ",,,,,,,,,,,2026", "opening_quantity says nothing without subscription_id"),
        (",base,1", ",base,one", "correct column opening_quantity"),
    ] {
        let text = live("2026-06-11T00:00:00Z", "1200");
        assert!(text.contains(from), "{from}");
        let error = import(&context, &text.replacen(from, to, 1)).await.unwrap_err();
        assert!(format!("{error:#}").contains(words), "{to}: {error:#}");
    }
    let wrong = recorded(
        "opening.recorded",
        "2026-06-12T00:00:00Z",
        r#"{"subscription_id":"sub-acme-1","meter_id":"nosuch","quantity":"5"}"#,
    );
    let error = record_event(&context, &wrong).await.unwrap_err();
    assert!(format!("{error:#}").contains("the catalog has no meter nosuch; its meters: "), "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contradicts_the_registry_is_refused_before_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path());
    import(&context, TEMPLATE).await.unwrap();
    let before = context.lake.rows(&PARTNER_EVENT, None).await.unwrap().len();
    for (from, to, words) in [
        ("Europe/Berlin,2026-05-01", "Europe/Berlin,2026-05-02", "subscription sub-acme-1 was started twice"),
        ("acme,Acme Mobility", "bolt,Bolt", "bolt: subscription sub-acme-1 was started by another partner before"),
        ("acme,,,,acme-sandbox", "bolt,,,,acme-sandbox", "consumer acme-sandbox would belong to nobody"),
    ] {
        assert!(TEMPLATE.contains(from), "{from}");
        let error = import(&context, &TEMPLATE.replacen(from, to, 1)).await.unwrap_err();
        assert!(format!("{error:#}").contains(words), "{to}: {error:#}");
        assert_eq!(kind_of(&error), Some(Kind::Configuration));
    }
    let typo = recorded("subscription.cancelled", "2026-06-15T00:00:00Z", r#"{"subscription_id":"sub-acme-2"}"#);
    let error = record_event(&context, &typo).await.unwrap_err();
    assert!(format!("{error:#}").contains("sub-acme-2 is no running subscription"), "{error:#}");
    assert_eq!(kind_of(&error), Some(Kind::Configuration));
    assert_eq!(context.lake.rows(&PARTNER_EVENT, None).await.unwrap().len(), before, "nothing was written");
    let right = recorded("subscription.cancelled", "2026-06-15T00:00:00Z", r#"{"subscription_id":"sub-acme-1"}"#);
    assert!(record_event(&context, &right).await.unwrap().is_new);
    let registry = registry(&context).await;
    assert!(registry.findings.is_empty() && registry.subscriptions.values().all(|s| s.ended_at.is_some()));
}

/// Plans of another currency, and of a later day.
const OTHER_PLANS: &str = r#"
[[plan]]
id = "usd"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "USD"
issuer = "acme-eu"
currency = "USD"
price = [{ id = "base", description = "Base", model = "flat", amount = "49" }]

[[plan]]
id = "late"
version = 1
effective_from = "2027-01-01T00:00:00Z"
name = "Late"
issuer = "acme-eu"
currency = "EUR"
price = [{ id = "base", description = "Base", model = "flat", amount = "49" }]
"#;

/// Each row is an event by hand, in their order, and what it is refused with; what is right is taken.
#[tokio::test(flavor = "multi_thread")]
async fn what_would_block_its_partner_is_refused_before_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path());
    let file = folder.path().join("catalog/catalog.toml");
    let sample = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{sample}{OTHER_PLANS}")).unwrap();
    import(&context, TEMPLATE).await.unwrap();
    let (june, end) = ("2026-06-09T22:00:00Z", "2026-06-30T22:00:00Z");
    let start = |id: &str, plan: &str| format!(r#"{{"subscription_id":"{id}","plan_id":"{plan}"}}"#);
    let of = |id: &str| format!(r#"{{"subscription_id":"{id}"}}"#);
    for (event_type, at, data, words) in [
        (
            "subscription.started",
            june,
            start("s2", "maps-pro"),
            "acme: subscriptions sub-acme-1 and s2 would both bill meter map-calls for [2026-06-09T22:00:00Z, ",
        ),
        (
            "subscription.changed",
            june,
            start("sub-acme-1", "usd"),
            "acme: subscription sub-acme-1 changes at 2026-06-09T22:00:00Z to a plan of another issuer or currency",
        ),
        (
            "subscription.started",
            june,
            start("s2", "late"),
            "acme: plan late has no version in force at 2026-06-09 22:00",
        ),
        // A fee beside it, and a plan that has a version by then.
        ("subscription.started", june, start("s3", "usd"), ""),
        ("subscription.started", "2027-01-01T00:00:00Z", start("s4", "late"), ""),
        ("subscription.cancelled", june, of("sub-acme-1"), ""),
        ("subscription.started", june, start("s2", "maps-pro"), ""),
        ("subscription.changed", end, start("s2", "usd"), ""),
        ("offboarded", "2027-02-01T00:00:00Z", "{}".to_owned(), ""),
    ] {
        let before = context.lake.rows(&PARTNER_EVENT, None).await.unwrap().len();
        let result = record_event(&context, &recorded(event_type, at, &data)).await;
        match (words, result) {
            ("", result) => assert!(result.unwrap().is_new, "{data}"),
            (words, Ok(_)) => panic!("{words}: {data}"),
            (words, Err(error)) => {
                assert!(format!("{error:#}").contains(words), "{data}: {error:#}");
                assert_eq!(kind_of(&error), Some(Kind::Configuration));
                assert_eq!(context.lake.rows(&PARTNER_EVENT, None).await.unwrap().len(), before, "{data}");
            }
        }
    }
    // What came in all the same, from Kafka, can be mended in steps.
    let at = |text| parse_instant(text).unwrap();
    let twice = ["s5", "s6"].map(|id| {
        let recorded = recorded("subscription.started", "2027-03-01T00:00:00Z", &start(id, "maps-pro"));
        checked(&Recorded { partner: "bolt".into(), ..recorded }, &context.catalog().unwrap()).unwrap()
    });
    door::append_new(&context.lake, door::RECORD, &twice, Against::default(), at(MAY)).await.unwrap();
    let of_bolt = |event_type, data: &str| Recorded {
        partner: "bolt".into(),
        ..recorded(event_type, "2027-03-10T00:00:00Z", data)
    };
    record_event(&context, &of_bolt("subscription.cancelled", &of("s6"))).await.unwrap();
    let third = of_bolt("subscription.started", &start("s7", "maps-pro"));
    let error = record_event(&context, &third).await.unwrap_err();
    assert!(format!("{error:#}").contains("subscriptions s5 and s7 would both bill"), "{error:#}");
    // A file tells the line.
    let line = "carl,,,,,,,SUB,maps-pro,Europe/Berlin,2026-06-01T00:00:00Z,,,,,,,,,,,,\n";
    let text = format!("{TEMPLATE}{}{}", line.replace("SUB", "s8"), line.replace("SUB", "s9"));
    let error = format!("{:#}", import(&context, &text).await.unwrap_err());
    assert!(error.contains("partners.csv line 5: carl: subscriptions s8 and s9 would both bill meter"), "{error}");
    assert!(error.contains("docs/operations.md") && error.contains("nothing was written"), "{error}");
    let error = import(&context, &TEMPLATE.replacen("Europe/Berlin,2026-05-01", "Europe/Berlin,2026-05-02", 1)).await;
    let error = format!("{:#}", error.unwrap_err());
    assert!(error.contains("partners.csv line 2: acme: subscription sub-acme-1 was started twice"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_with_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path());
    for (from, to, words) in [
        ("maps-pro", "maps-por", "line 2: the catalog has no plan maps-por; its plans: "),
        (
            "2026-05-01T00:00:00Z,acme-gw",
            "yesterday,acme-gw",
            "instant such as 2026-06-30T22:00:00Z; correct column registered_at",
        ),
        (",DE,", ",Germany,", "two capital letters, such as DE; correct column country"),
        ("partner_id,", "partner,", "--template"),
        ("\nacme,Acme", "\na cme,Acme", "line 2: the partner is missing"),
        (",production,", ",prod,", "neither production nor sandbox; correct column environment"),
        (",sandbox,", ",Sandbox,", "line 3: "),
        ("Europe/Berlin", "Europe/Berlim", "IANA time zone"),
        ("sub-acme-1", "sub acme", "correct column subscription_id"),
        (",,14", ",,-5", "0 to 365; correct column payment_terms_days"),
        (",,14", ",,366", "0 to 365"),
        (",,14", ",,14.5", "0 to 365"),
        (",,14", ",,", "a billing profile needs payment_terms_days"),
        ("Acme Mobility GmbH", "", "address says nothing without legal_name; correct column legal_name"),
        (",,,,acme-sandbox", ",Acme,,,acme-sandbox", "display_name says nothing without registered_at"),
        ("sub-acme-1,", ",", "plan_id says nothing without subscription_id"),
        (",maps-pro,", ",,", "subscription_id says nothing without plan_id"),
        (",acme-gw,,", ",,,", "environment says nothing without consumer"),
        ("billing@example.org", "billing", "correct column billing_email"),
        ("standard", "someone@example.org", "data.segment is contact data"),
        (
            "Acme Mobility,",
            "\"Acme\tMobility\",",
            "it has U+0009, which no printed line may have; correct column display_name",
        ),
        (
            "Acme Mobility GmbH",
            "Acme \u{1b}[1mGmbH",
            "it has U+001B, which no printed line may have; correct column legal_name",
        ),
        ("Street 1", "Street\u{202e} 1", "it has U+202E, which no printed line may have; correct column address"),
        (",,,,acme-sandbox,2026-05-01T00:00:00Z,sandbox", ",,,,,,", "the line says nothing of the partner"),
        (",,,,acme-sandbox", ",Acne,,2026-05-01T00:00:00Z,acme-sandbox", "line 2 has another name or segment"),
    ] {
        let file = folder.path().join("partners.csv");
        assert!(TEMPLATE.contains(from), "{from}");
        std::fs::write(&file, TEMPLATE.replacen(from, to, 1)).unwrap();
        let error = plan(&context, &file).await.map(|_| ()).unwrap_err();
        let told = format!("{error:#}");
        assert!(told.contains(words) && told.contains("partners.csv line "), "{to}: {told}");
        assert!(!told.contains("someone@"), "{told}");
        assert_eq!(kind_of(&error), Some(Kind::Configuration), "{to}");
    }
    // All of them at once.
    let file = folder.path().join("partners.csv");
    std::fs::write(&file, TEMPLATE.replacen(",DE,", ",Germany,", 1).replacen(",,14", ",,-5", 1)).unwrap();
    let told = plan(&context, &file).await.map(|_| ()).unwrap_err().to_string();
    assert_eq!(told.lines().count(), 2, "{told}");
    let error = plan(&context, Path::new("/no/such.csv")).await.map(|_| ()).unwrap_err();
    assert!(kind_of(&error) == Some(Kind::Configuration) && error.to_string().contains("/no/such.csv"), "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_by_hand_has_its_actor_and_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path());
    let event = recorded("registered", MAY, "{}");
    let first = record_event(&context, &event).await.unwrap();
    assert_eq!((first.is_new, first.json()["is_new"].as_bool()), (true, Some(true)));
    assert_eq!(first.to_string(), "acme: registered at 2026-05-01T00:00:00Z, by staff:ann");
    let second = record_event(&context, &event).await.unwrap();
    assert!(!second.is_new && second.to_string().contains("there already"));
    assert_eq!(context.lake.rows(&PARTNER_EVENT, None).await.unwrap().len(), 1);
    assert_eq!(registry(&context).await.partners.len(), 1);
    let runs = context.lake.rows(&JOB_RUN, Some("job = 'partner record' and result = 'ok'")).await.unwrap();
    assert_eq!(runs.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_by_hand_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path());
    let event = |event_type: &str, data: &str| recorded(event_type, MAY, data);
    let start = |data: &str| event("subscription.started", data);
    let cost = |data: &str| event("cost.recorded", data);
    for (event, words) in [
        (Recorded { actor: "ann".into(), ..event("registered", "{}") }, "--actor"),
        (Recorded { actor: "staff:".into(), ..event("registered", "{}") }, "--actor"),
        (Recorded { actor: "staff:a@example.org".into(), ..event("registered", "{}") }, "--actor: an actor is"),
        (Recorded { at: "yesterday".into(), ..event("registered", "{}") }, "--at"),
        (Recorded { partner: "a cme".into(), ..event("registered", "{}") }, "subject must be partner/ID"),
        (event("registered", "{"), "--data is not JSON"),
        (event("registered", "[]"), "--data must be a JSON object"),
        (event("credential.issued", r#"{"credential":"raw"}"#), "through Kafka"),
        (event("registered", r#"{"billing_email":"a@example.org"}"#), "data.billing_email is contact data"),
        (event("subscription.canceled", "{}"), "did you mean subscription.cancelled? The types: registered, "),
        (event("tollbook.partner.registered.v1", "{}"), "did you mean registered?"),
        (event("zzz", "{}"), "--type zzz is no type; the types: "),
        (start(r#"{"subscription_id":"s1","plan_id":"maps-por"}"#), "the catalog has no plan maps-por"),
        (start(r#"{"subscription_id":"s1"}"#), "data.plan_id is missing"),
        (start(r#"{"subscription_id":"s 1","plan_id":"maps-pro"}"#), "subscription_id"),
        (start(r#"{"subscription_id":"s1","plan_id":"maps-pro","time_zone":"Mars/Base"}"#), "time_zone"),
        (event("identity.linked", r#"{"system":"gateway","external_id":"a","environment":"prod"}"#), "environment"),
        (event("identity.linked", r#"{"system":"gateway","external_id":"a","valid_from":"May"}"#), "valid_from"),
        (event("identity.unlinked", r#"{"system":"gateway","external_id":"a","valid_to":"May"}"#), "valid_to"),
        (event("identity.unlinked", r#"{"system":"gateway"}"#), "data.external_id is missing"),
        (
            start(r#"{"subscription_id":"s1","plan_id":"maps-pro","effective_at":"2026-06-01T00:00:00Z"}"#),
            "effective_at is read of subscription.changed, subscription.cancelled, subscription.paused, \
             subscription.resumed, subscription.renewed, contract.signed, contract.ended, coupon.redeemed, coupon.withdrawn, \
             credit.granted, credit.voided, payer.named, payer.ended, offboarded, reactivated alone",
        ),
        (event("offboarded", r#"{"effective_at":"June"}"#), "effective_at"),
        (event("registered", r#"{"is_internal":"true"}"#), "data.is_internal is missing or wrong"),
        (
            event("registered", r#"{"display_name":"Ac\nme"}"#),
            "display_name: it has U+000A, which no printed line may have",
        ),
        (
            event(
                "credit.granted",
                r#"{"credit_id":"c","amount":"5","currency":"EUR","issuer_id":"acme-eu","description":"a\tb"}"#,
            ),
            "data.description is missing or wrong for credit.granted: expected a text of one line",
        ),
        (event("identity.linked", r#"{"system":"Gateway","external_id":"a"}"#), "data.system is missing or wrong"),
        (start(r#"{"subscription_id":"s1","plan_id":"maps-pro","time_zone":5}"#), "time_zone"),
        (event("subscription.changed", r#"{"subscription_id":"s1","plan_id":"maps-por"}"#), "no plan maps-por"),
        (event("subscription.changed", r#"{"subscription_id":"s1"}"#), "it is no subscription of the partner"),
        (cost(r#"{"amount":"1,5","currency":"EUR"}"#), "amount"),
        (cost(r#"{"amount":1.5,"currency":"EUR"}"#), "amount must be a text"),
        (cost(r#"{"amount":"1.5","currency":"EURO"}"#), "currency"),
        (cost(r#"{"amount":"1.5","currency":"EUR","period":"May"}"#), "period"),
    ] {
        let error = record_event(&context, &event).await.unwrap_err();
        let told = format!("{error:#}");
        assert!(told.contains(words) && !told.contains("example.org"), "{event:?}: {told}");
        assert_eq!(kind_of(&error), Some(Kind::Configuration), "{told}");
    }
    assert!(context.lake.rows(&PARTNER_EVENT, None).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_none_is_lost() {
    const MANY: i64 = 12;
    let folder = tempfile::tempdir().unwrap();
    door::known(&context(folder.path()).lake).await.unwrap();
    let config = folder.path().join("tollbook.toml");
    // A lake handle each, as processes have, and no lease between them.
    let one = |number: i64| {
        let context = JobContext::open(&config).unwrap();
        tokio::spawn(async move {
            let data = Map::from_iter([("display_name".to_owned(), Value::from(format!("name {number}")))]);
            let at = parse_instant(MAY).unwrap() + chrono::Duration::hours(number % (MANY - 1));
            let event = event_of(door::RECORD, "registered", at, "acme", "staff:ann", data).unwrap();
            door::append_new(&context.lake, door::RECORD, &[event], Against::default(), at).await.unwrap()
        })
    };
    let running: Vec<_> = (0..MANY).map(one).collect();
    for one in running {
        assert_eq!(one.await.unwrap(), 1, "each says that it added its event");
    }
    let context = JobContext::open(&config).unwrap();
    let rows = context.lake.rows(&PARTNER_EVENT, None).await.unwrap();
    let mut offsets: Vec<i64> = rows.iter().filter_map(|row| row.int("kafka_offset")).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, (0..MANY).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_at_once_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    // The first one makes the tables.
    record_event(&context(folder.path()), &recorded("registered", MAY, "{}")).await.unwrap();
    let config = folder.path().join("tollbook.toml");
    let one = |number: usize| {
        let context = JobContext::open(&config).unwrap();
        // Two of them say the same.
        let event = recorded("registered", &format!("2026-05-0{}T00:00:00Z", number.max(2)), "{}");
        tokio::spawn(async move { record_event(&context, &event).await.unwrap().is_new })
    };
    let running: Vec<_> = (1..=4).map(one).collect();
    let mut added = 0;
    for one in running {
        added += usize::from(one.await.unwrap());
    }
    let context = JobContext::open(&config).unwrap();
    let rows = context.lake.rows(&PARTNER_EVENT, None).await.unwrap();
    assert_eq!((added, rows.len()), (3, 4));
}

/// One row: what two partners say at once, one through an import and one by hand, and the words of whoever is second.
#[tokio::test(flavor = "multi_thread")]
async fn of_an_import_and_a_record_at_once_the_second_is_checked_against_the_first() {
    const ROUNDS: usize = 6;
    let folder = tempfile::tempdir().unwrap();
    door::known(&context(folder.path()).lake).await.unwrap();
    let config = folder.path().join("tollbook.toml");
    // A lake handle each, as processes have, and no lease between them.
    let lakes = [door::IMPORT, door::RECORD].map(|name| (name, JobContext::open(&config).unwrap().lake));
    let at = parse_instant(MAY).unwrap();
    for (event_type, data, words) in [
        ("identity.linked", r#"{"system":"gateway","external_id":"ROUND"}"#, "would belong to nobody from 2026-05-01"),
        ("subscription.started", r#"{"subscription_id":"ROUND","plan_id":"maps-pro"}"#, "started by another partner"),
    ] {
        for round in 0..ROUNDS {
            let data = data.replace("ROUND", &format!("r{round}"));
            let barrier = std::sync::Arc::new(tokio::sync::Barrier::new(2));
            let running: Vec<_> = lakes
                .iter()
                .zip(["acme", "bolt"])
                .map(|((name, lake), partner)| {
                    let data = serde_json::from_str(&data).unwrap();
                    let event = event_of(name, event_type, at, partner, "staff:ann", data).unwrap();
                    let (name, lake, barrier) = (*name, lake.clone(), barrier.clone());
                    tokio::spawn(async move {
                        barrier.wait().await;
                        door::append_new(&lake, name, &[event], Against::default(), at).await
                    })
                })
                .collect();
            let mut results = Vec::new();
            for one in running {
                results.push(one.await.unwrap());
            }
            let added: usize = results.iter().flatten().sum();
            let refused: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
            assert_eq!((added, refused.len()), (1, 1), "{data}: {results:?}");
            assert!(format!("{:#}", refused[0]).contains(words), "{data}: {:#}", refused[0]);
            assert_eq!(kind_of(refused[0]), Some(Kind::Configuration));
        }
    }
    let registry = registry(&JobContext::open(&config).unwrap()).await;
    assert!(registry.findings.is_empty() && registry.links.iter().all(|link| link.partner_id.is_some()));
    assert_eq!((registry.links.len(), registry.subscriptions.len()), (ROUNDS, ROUNDS));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_back_can_be_said_again() {
    const JUNE: &str = "2026-06-20T00:00:00Z";
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path());
    import(&context, TEMPLATE).await.unwrap();
    let link = r#"{"system":"gateway","external_id":"acme-sandbox","environment":"sandbox"}"#;
    let change = r#"{"subscription_id":"sub-acme-1","plan_id":"maps-free"}"#;
    for (event_type, data, added) in [
        ("offboarded", "{}", true),
        ("reactivated", "{}", true),
        ("offboarded", "{}", true),
        ("offboarded", "{}", false),
        // The file said it, and says it again below.
        ("identity.linked", link, false),
        ("identity.unlinked", link, true),
        ("identity.unlinked", link, false),
        ("subscription.changed", change, true),
        ("subscription.changed", change, false),
    ] {
        let at = match event_type {
            "subscription.changed" => "2026-05-09T00:00:00Z",
            "offboarded" | "reactivated" => JUNE,
            _ => MAY,
        };
        let event = recorded(event_type, at, data);
        assert_eq!(record_event(&context, &event).await.unwrap().is_new, added, "{event_type} {data}");
    }
    assert_eq!(import(&context, TEMPLATE).await.unwrap(), (0, 0), "the file says nothing new");
    let registry = registry(&context).await;
    assert_eq!(registry.findings, []);
    assert_eq!(registry.partners.values().next().unwrap().offboarded_at, Some(parse_instant(JUNE).unwrap()));
    let links: Vec<&str> = registry.links.iter().map(|link| link.external_id.as_str()).collect();
    assert_eq!(links, ["acme-gw"], "the sandbox link ended where it began");
    let plans: Vec<&str> = registry.subscriptions.values().map(|span| span.plan_id.as_str()).collect();
    assert_eq!(plans, ["maps-pro", "maps-free"]);
}

/// Somebody leaves: what ran ends there, nothing starts until it is back, and a mistake is taken back.
#[tokio::test(flavor = "multi_thread")]
async fn a_partner_leaves_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path());
    import(&context, TEMPLATE).await.unwrap();
    let day = |event_type: &str, day: &str, data: &str| recorded(event_type, &format!("2026-06-{day}T00:00:00Z"), data);
    let again = r#"{"subscription_id":"sub-acme-2","plan_id":"maps-pro"}"#;
    let change = r#"{"subscription_id":"sub-acme-1","plan_id":"maps-free"}"#;
    for (event, words, ended) in [
        // One that starts later would start for somebody who is gone.
        (recorded("offboarded", "2026-04-30T00:00:00Z", "{}"), "while the partner is offboarded", ""),
        (day("offboarded", "10", "{}"), "", "10"),
        (day("reactivated", "10", "{}"), "", ""),
        (day("offboarded", "12", r#"{"effective_at":"2026-06-15T00:00:00Z"}"#), "", "15"),
        (day("subscription.changed", "16", change), "it was over by then", "15"),
        (day("subscription.started", "20", again), "record reactivated at that instant or before", "15"),
        (day("reactivated", "20", "{}"), "", "15"),
        (day("subscription.started", "20", again), "", "15"),
    ] {
        match record_event(&context, &event).await {
            Ok(result) => assert!(result.is_new && words.is_empty(), "{event:?}"),
            Err(error) => assert!(!words.is_empty() && format!("{error:#}").contains(words), "{event:?}: {error:#}"),
        }
        let registry = registry(&context).await;
        assert_eq!(registry.findings, [], "{event:?}");
        let first = registry.subscriptions.values().find(|span| span.subscription_id.as_str() == "sub-acme-1").unwrap();
        let ended_at = first.ended_at.map_or(String::new(), |at| at.format("%d").to_string());
        assert_eq!(ended_at, ended, "{event:?}");
    }
}

/// A consumer moves by hand from one partner to another: refused while the first one has it, and told where it says
/// nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_moves_to_another_partner() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path());
    import(&context, TEMPLATE).await.unwrap();
    let link = r#"{"system":"gateway","external_id":"acme-gw"}"#;
    let event = |partner: &str, event_type: &str, at: &str, data: &str| Recorded {
        partner: partner.into(),
        ..recorded(event_type, &format!("{at}T00:00:00Z"), data)
    };
    let late = r#"{"system":"gateway","external_id":"acme-gw","valid_to":"2026-06-05T00:00:00Z"}"#;
    for (event, words) in [
        (event("bolt", "identity.linked", "2026-06-05", link), "consumer acme-gw would belong to nobody"),
        (event("bolt", "identity.unlinked", "2026-06-05", link), "the consumer was not linked to the partner"),
        (event("acme", "identity.unlinked", "2026-04-05", link), "the consumer was not linked to the partner"),
        (event("acme", "identity.unlinked", "2026-06-09", late), ""),
        (event("bolt", "identity.linked", "2026-06-04", link), "consumer acme-gw would belong to nobody"),
        (event("bolt", "identity.linked", "2026-06-05", link), ""),
    ] {
        match record_event(&context, &event).await {
            Ok(result) => assert!(result.is_new && words.is_empty(), "{event:?}"),
            Err(error) => assert!(!words.is_empty() && format!("{error:#}").contains(words), "{event:?}: {error:#}"),
        }
    }
    let registry = registry(&context).await;
    let moved: Vec<String> = registry
        .links
        .iter()
        .filter(|link| link.external_id == "acme-gw")
        .map(|link| {
            format!("{:?} {}..{:?}", link.partner_id, print_instant(link.valid_from), link.valid_to.map(print_instant))
        })
        .collect();
    assert_eq!(
        moved,
        [
            r#"Some(PartnerId("acme")) 2026-05-01T00:00:00Z..Some("2026-06-05T00:00:00Z")"#,
            r#"Some(PartnerId("bolt")) 2026-06-05T00:00:00Z..None"#,
        ]
    );
}
