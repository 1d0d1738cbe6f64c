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
