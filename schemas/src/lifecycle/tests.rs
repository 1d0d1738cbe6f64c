use super::*;

fn event(event_type: &str, data: &str) -> Result<LifecycleEvent, EventError> {
    LifecycleEvent::from_structured(
        serde_json::from_str(&format!(
            r#"{{"specversion":"1.0","id":"1","source":"/portal","type":"{event_type}",
                "subject":"partner/acme","time":"2026-06-01T00:00:00Z","data":{data}}}"#
        ))
        .unwrap(),
    )
}

#[test]
fn types_lose_organisation_and_version() {
    for (full, short) in [
        ("com.acme.partner.registered.v1", "registered"),
        ("com.acme.partner.subscription.started.v12", "subscription.started"),
        ("partner.touch.logged", "touch.logged"),
        ("something.else.v1", "something.else"),
    ] {
        assert_eq!(normalise_type(full), short);
    }
}

#[test]
fn unknown_types_are_kept_and_known_ones_checked() {
    assert_eq!(event("x.partner.brand.new.v1", "{}").unwrap().event_type, "brand.new");
    assert!(event("x.partner.subscription.started.v1", r#"{"subscription_id":"s1","plan_id":"p"}"#).is_ok());
    let missing = event("x.partner.subscription.started.v1", r#"{"plan_id":"p"}"#).unwrap_err();
    assert_eq!(missing.reason(), "event_field");
    let contact = event("x.partner.registered.v1", r#"{"billing_email":"a@example.org"}"#).unwrap_err();
    assert_eq!(contact.reason(), "event_contact_data");
    assert!(!contact.to_string().contains("example.org"), "values must not appear in messages");
}

/// One row: a type, the data, and the field that is told; none where the event is taken.
#[test]
fn a_field_that_cannot_be_read_is_refused_and_never_taken_for_one_that_is_not_there() {
    assert_eq!(fields::types(), KNOWN_TYPES);
    let of_link = |field: &str| format!(r#"{{"system":"gateway","external_id":"a",{field}}}"#);
    let of_start = |field: &str| format!(r#"{{"subscription_id":"s1","plan_id":"p",{field}}}"#);
    let of_key = |field: &str| format!(r#"{{"credential":"raw",{field}}}"#);
    let mut rows: Vec<(&str, String, Option<&str>)> = Vec::new();
    for (word, wrong) in [
        (r#""production""#, false),
        (r#""sandbox""#, false),
        ("null", false),
        (r#""Sandbox""#, true),
        (r#""SANDBOX""#, true),
        (r#""prod""#, true),
        (r#"" sandbox""#, true),
        (r#""""#, true),
        (r#"["sandbox"]"#, true),
        ("true", true),
    ] {
        for field in ["environment", "env"] {
            let of_field = format!(r#""{field}":{word}"#);
            for event_type in ["identity.linked", "identity.unlinked"] {
                rows.push((event_type, of_link(&of_field), wrong.then_some(field)));
            }
            for event_type in ["credential.issued", "credential.revoked"] {
                rows.push((event_type, of_key(&of_field), wrong.then_some(field)));
            }
        }
    }
    for (event_type, data, field) in [
        ("identity.linked", of_link(r#""environment":"production","env":"sandbox""#), Some("env")),
        ("identity.linked", of_link(r#""environment":"sandbox","env":"sandbox""#), None),
        ("identity.linked", of_link(r#""valid_from":5"#), Some("valid_from")),
        ("identity.unlinked", of_link(r#""valid_to":[]"#), Some("valid_to")),
        ("identity.linked", r#"{"system":"Gateway","external_id":"a"}"#.into(), Some("system")),
        ("identity.linked", r#"{"system":"gateway ","external_id":"a"}"#.into(), Some("system")),
        ("identity.linked", r#"{"system":"crm","external_id":"a"}"#.into(), None),
        ("identity.linked", r#"{"system":"gateway","external_id":7}"#.into(), Some("external_id")),
        ("credential.issued", of_key(r#""credential_hashes":[]"#), Some("credential_hashes")),
        ("credential.issued", r#"{"credential_hashes":["k1:x",5]}"#.into(), Some("credential_hashes")),
        ("credential.issued", r#"{"credential_hashes":["k1:x"]}"#.into(), None),
        ("credential.issued", r#"{"credential":5}"#.into(), Some("credential")),
        ("credential.issued", "{}".into(), Some("credential")),
        ("subscription.started", of_start(r#""quantity":"5""#), None),
        ("subscription.started", of_start(r#""quantity":5"#), None),
        ("subscription.started", of_start(r#""quantity":1.5"#), Some("quantity")),
        ("subscription.started", of_start(r#""quantity":-1"#), Some("quantity")),
        ("subscription.started", of_start(r#""term_months":12,"renewal":"none""#), None),
        ("subscription.started", of_start(r#""term_months":121"#), Some("term_months")),
        ("subscription.started", of_start(r#""renewal":"yes""#), Some("renewal")),
        ("subscription.cancelled", r#"{"subscription_id":"s1","at":"end_of_period"}"#.into(), None),
        ("subscription.cancelled", r#"{"subscription_id":"s1","at":"later"}"#.into(), Some("at")),
        ("subscription.paused", r#"{"subscription_id":"s1"}"#.into(), None),
        ("subscription.paused", r#"{"effective_at":"2026-06-01T00:00:00Z"}"#.into(), Some("subscription_id")),
        ("subscription.resumed", r#"{"subscription_id":"s1","effective_at":"soon"}"#.into(), Some("effective_at")),
        ("subscription.renewed", r#"{"subscription_id":"s1","effective_at":null}"#.into(), None),
        ("payer.named", r#"{"payer_id":"bolt"}"#.into(), None),
        ("payer.named", "{}".into(), Some("payer_id")),
        ("payer.ended", r#"{"effective_at":"soon"}"#.into(), Some("effective_at")),
        ("billing.started", r#"{"billing_starts_at":"2026-06-11T00:00:00Z"}"#.into(), None),
        ("billing.started", r#"{"billing_starts_at":"June"}"#.into(), Some("billing_starts_at")),
        ("billing.started", "{}".into(), Some("billing_starts_at")),
        ("opening.recorded", r#"{"subscription_id":"s1","meter_id":"m","quantity":"5","event_count":3}"#.into(), None),
        ("opening.recorded", r#"{"subscription_id":"s1","price_id":"p","quantity":1}"#.into(), None),
        ("opening.recorded", r#"{"subscription_id":"s1","meter_id":"m"}"#.into(), Some("quantity")),
        ("opening.recorded", r#"{"subscription_id":"s1","quantity":1}"#.into(), Some("meter_id")),
        (
            "opening.recorded",
            r#"{"subscription_id":"s1","meter_id":"m","price_id":"p","quantity":1}"#.into(),
            Some("meter_id"),
        ),
        (
            "opening.recorded",
            r#"{"subscription_id":"s1","meter_id":"m","quantity":1,"dimensions":{"region":5}}"#.into(),
            Some("dimensions"),
        ),
        (
            "opening.recorded",
            r#"{"subscription_id":"s1","meter_id":"m","quantity":1,"event_count":"3"}"#.into(),
            Some("event_count"),
        ),
        ("registered", r#"{"is_internal":"true"}"#.into(), Some("is_internal")),
        ("registered", r#"{"is_test":1}"#.into(), Some("is_test")),
        ("registered", r#"{"is_test":false,"display_name":null,"region":5}"#.into(), None),
        ("registered", r#"{"display_name":5}"#.into(), Some("display_name")),
        ("registered", r#"{"segment":{}}"#.into(), Some("segment")),
        ("registered", r#"{"owner":[]}"#.into(), Some("owner")),
        ("registered", r#"{"partner_id":"bolt"}"#.into(), Some("partner_id")),
        ("registered", r#"{"partner_id":5}"#.into(), Some("partner_id")),
        ("registered", r#"{"partner_id":"acme"}"#.into(), None),
        ("offboarded", r#"{"effective_at":"soon"}"#.into(), Some("effective_at")),
        ("offboarded", r#"{"effective_at":"2026-06-30T00:00:00Z","reason":"left"}"#.into(), None),
        ("reactivated", r#"{"effective_at":5}"#.into(), Some("effective_at")),
        ("subscription.started", of_start(r#""time_zone":5"#), Some("time_zone")),
        ("subscription.started", r#"{"subscription_id":5,"plan_id":"p"}"#.into(), Some("subscription_id")),
        ("subscription.changed", of_start(r#""effective_at":5"#), Some("effective_at")),
        ("subscription.changed", r#"{"subscription_id":"s1","plan_id":5}"#.into(), Some("plan_id")),
        // What a text says is the fold's: it blocks the partner, which is better than an event that nobody sees.
        ("subscription.started", of_start(r#""time_zone":"Mars/Base""#), None),
        ("subscription.changed", r#"{"subscription_id":"s1","qty":5}"#.into(), None),
        ("subscription.cancelled", of_start(r#""effective_at":"30 June""#), Some("effective_at")),
        ("cost.recorded", r#"{"amount":12,"currency":"EUR"}"#.into(), Some("amount")),
        ("cost.recorded", r#"{"amount":"12","currency":"EUR","period":202606}"#.into(), Some("period")),
        ("adjustment.revoked", r#"{"adjustment_id":"adj_1"}"#.into(), Some("reason")),
        ("adjustment.made", r#"{"adjustment_id":"adj_1","month":"2026-06"}"#.into(), Some("amount")),
        ("brand.new", r#"{"environment":["x"],"is_test":"yes"}"#.into(), None),
    ] {
        rows.push((event_type, data, field));
    }
    for (event_type, data, field) in rows {
        match (event(&format!("x.partner.{event_type}.v1"), &data), field) {
            (Ok(_), None) => {}
            (Err(error), Some(field)) => {
                assert_eq!(error.reason(), "event_field", "{event_type} {data}");
                assert!(error.to_string().starts_with(&format!("data.{field} is missing or wrong")), "{data}: {error}");
            }
            (result, _) => panic!("{event_type} {data}: {result:?}"),
        }
    }
}

#[test]
fn bad_envelopes_are_refused_with_a_reason() {
    for (text, reason) in [
        ("[]", "event_not_an_object"),
        ("{}", "event_attribute"),
        (r#"{"specversion":"0.3","type":"a","source":"s","id":"1","time":"2026-01-01T00:00:00Z"}"#, "event_attribute"),
        (r#"{"specversion":"1.0","type":"a","source":"s","id":"1","time":"yesterday"}"#, "event_time"),
        (r#"{"specversion":"1.0","type":"a","source":"s","id":"1","time":"1969-01-01T00:00:00Z"}"#, "event_time"),
        (
            r#"{"specversion":"1.0","type":"a","source":"s","id":"1","time":"2026-01-01T00:00:00Z","data":[]}"#,
            "event_not_an_object",
        ),
        (
            r#"{"specversion":"1.0","type":"a","source":"s","id":"1","time":"2026-01-01T00:00:00Z","subject":"partner/a b"}"#,
            "event_partner",
        ),
        (
            r#"{"specversion":"1.0","type":"x.partner.registered.v1","source":"s","id":"1","time":"2026-01-01T00:00:00Z"}"#,
            "event_partner",
        ),
    ] {
        let error = LifecycleEvent::from_structured(serde_json::from_str(text).unwrap()).unwrap_err();
        assert_eq!(error.reason(), reason, "{text}");
    }
}

#[test]
fn private_data_are_refused_at_every_depth_and_their_values_told_nowhere() {
    for (event_type, data, place) in [
        ("touch.logged", r#"{"Billing-Email":"CANARY"}"#, "data.Billing-Email"),
        ("touch.logged", r#"{"contact":{"phone":"CANARY"}}"#, "data.contact.phone"),
        ("touch.logged", r#"{"people":[{"First Name":"CANARY"}]}"#, "data.people.First Name"),
        ("registered", r#"{"TAX_ID":"CANARY"}"#, "data.TAX_ID"),
        ("registered", r#"{"api_key":"CANARY"}"#, "data.api_key"),
        ("registered", r#"{"portal":{"clientSecret":"CANARY"}}"#, "data.portal.clientSecret"),
        ("registered", r#"{"password":"CANARY"}"#, "data.password"),
        ("registered", r#"{"access-token":"CANARY"}"#, "data.access-token"),
        ("registered", r#"{"credential":"CANARY"}"#, "data.credential"),
        ("credential.issued", r#"{"credential":"x","Credential":"CANARY"}"#, "data.Credential"),
        ("credential.issued", r#"{"key":{"credential":"CANARY"},"credential":"x"}"#, "data.key.credential"),
        ("touch.logged", r#"{"note":"call jane.CANARY@example.org."}"#, "data.note"),
        ("touch.logged", r#"{"notes":["a",{"b":"Jane <CANARY@example.co.uk>"}]}"#, "data.notes.b"),
        ("touch.logged", r#"{"CANARY@example.org":1}"#, "data.***"),
        ("touch.logged", r#"{"note":"sk_live_CANARY"}"#, "data.note"),
        ("touch.logged", r#"{"note":"Authorization: Bearer CANARY-0123456789"}"#, "data.note"),
        ("touch.logged", r#"{"note":"eyJhbGciOi.CANARY.c2ln"}"#, "data.note"),
    ] {
        let error = event(&format!("x.partner.{event_type}.v1"), data).unwrap_err();
        assert_eq!(error.reason(), "event_contact_data", "{data}");
        let told = format!("{error} {error:?}");
        assert!(told.contains(place) && !told.contains("CANARY"), "{data}: {told}");
    }
}

#[test]
fn what_only_looks_private_is_kept() {
    for (event_type, data) in [
        ("registered", r#"{"display_name":"Bearer Industries","segment":"a@2x","owner":"staff-1","region":"EU"}"#),
        ("credential.issued", r#"{"credential":"sk_live_raw","environment":"sandbox"}"#),
        ("credential.rotated", r#"{"credential":"someone@example.org"}"#),
        ("credential.revoked", r#"{"credential_hashes":["k1:0011"],"credential_id":"c1"}"#),
        ("quota.changed", r#"{"max_tokens":1000,"meter":"tokens","pct":"80"}"#),
        ("subscription.cancelled", r#"{"subscription_id":"s1","reason":"moved in house"}"#),
    ] {
        event(&format!("x.partner.{event_type}.v1"), data).unwrap();
    }
}

#[test]
fn of_private_data_nothing_is_kept_whatever_else_is_wrong() {
    let value =
        serde_json::json!({ "specversion": "1.0", "type": "x.partner.registered.v1", "data": { "email": "a" } });
    assert_eq!(LifecycleEvent::from_structured(value).unwrap_err().reason(), "event_contact_data");
}

#[test]
fn an_actor_has_a_name() {
    let with_actor = |actor: &str| {
        LifecycleEvent::from_structured(serde_json::json!({
            "specversion": "1.0", "type": "x.partner.touch.logged.v1", "source": "/s", "id": "1",
            "time": "2026-06-01T00:00:00Z", "actor": actor,
        }))
    };
    for good in ["staff:ann", "partner:acme", "system:month-end", "ann"] {
        assert!(with_actor(good).is_ok(), "{good}");
    }
    for bad in ["", " ", "staff:", "staff: "] {
        assert_eq!(with_actor(bad).unwrap_err(), EventError::Actor, "{bad}");
    }
    for bad in ["staff:ann@example.org", "system:sk_live_1"] {
        assert_eq!(with_actor(bad).unwrap_err().reason(), "event_contact_data", "{bad}");
    }
}

#[test]
fn a_row_gives_the_event_back() {
    let event = event("x.partner.registered.v1", r#"{"display_name":"Acme","is_test":true}"#).unwrap();
    assert_eq!(LifecycleEvent::from_row(&event.row()).unwrap(), event);
    assert_eq!(LifecycleEvent::from_row(&event.row().with("data", "{")), Err("data"));
}

/// Each type is in a row of `docs/messages.md` that has its fields; and each field is in a row of its own.
#[test]
fn every_type_and_field_is_documented() {
    let page = include_str!("../../../docs/messages.md");
    let (_, section) = page.split_once("\n## Lifecycle events").unwrap();
    let row_of = |name: &str| {
        let is_named = |row: &&str| row.split(" | ").next().is_some_and(|cell| cell.contains(&format!("`{name}`")));
        let found = section.lines().filter(|line| line.starts_with("| ")).find(is_named);
        found.unwrap_or_else(|| panic!("docs/messages.md has no row of {name}"))
    };
    for (event_type, field) in fields::names() {
        let row = row_of(event_type);
        assert!(row.contains(&format!("`{field}`")), "docs/messages.md: {event_type} does not have {field}");
        row_of(field);
    }
}
