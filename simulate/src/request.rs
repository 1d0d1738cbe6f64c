//! One access-log record in tollbook's `native` JSON, and the facts that the ledger needs of it.
//!
//! Takes a caller and an instant, throws the dice, writes the record's text. The text is written piece by piece
//! because there are hundreds of thousands of them; every value is ASCII that needs no escape.

use crate::calendar::push_instant;
use crate::dice::Dice;
use crate::metering::{Facts, Product};
use crate::text::push_digits;
use crate::world::Archetype;

/// An endpoint of the gateway.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub product: Product,
    route: &'static str,
    method: &'static str,
    /// Fixed part of the path; a number follows where the template has a variable part.
    pub path: &'static str,
    template: &'static str,
    response_bytes_max: u64,
    /// How often each archetype calls it, in the order of [`Archetype`].
    often: [u64; 4],
}

/// All endpoints.
pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        product: Product::Maps,
        route: "maps-tiles",
        method: "GET",
        path: "/maps/tiles/",
        template: "/maps/tiles/{z}",
        response_bytes_max: 90_000,
        often: [700, 60, 20, 250],
    },
    Endpoint {
        product: Product::Maps,
        route: "maps-geocode",
        method: "GET",
        path: "/maps/geocode",
        template: "/maps/geocode",
        response_bytes_max: 3000,
        often: [180, 100, 20, 100],
    },
    Endpoint {
        product: Product::Routing,
        route: "maps-directions",
        method: "GET",
        path: "/maps/directions/",
        template: "/maps/directions/{id}",
        response_bytes_max: 20_000,
        often: [60, 200, 5, 100],
    },
    Endpoint {
        product: Product::Routing,
        route: "routing-route",
        method: "POST",
        path: "/routing/route",
        template: "/routing/route",
        response_bytes_max: 30_000,
        often: [40, 500, 5, 150],
    },
    Endpoint {
        product: Product::Routing,
        route: "routing-matrix",
        method: "POST",
        path: "/routing/matrix/",
        template: "/routing/matrix/{size}",
        response_bytes_max: 200_000,
        often: [5, 120, 0, 50],
    },
    Endpoint {
        product: Product::Llm,
        route: "llm-chat",
        method: "POST",
        path: "/llm/chat",
        template: "/llm/chat",
        response_bytes_max: 12_000,
        often: [5, 5, 800, 250],
    },
    Endpoint {
        product: Product::Llm,
        route: "llm-embed",
        method: "POST",
        path: "/llm/embed",
        template: "/llm/embed",
        response_bytes_max: 40_000,
        often: [0, 0, 140, 80],
    },
    Endpoint {
        product: Product::Unmapped,
        route: "status",
        method: "GET",
        path: "/status",
        template: "/status",
        response_bytes_max: 200,
        often: [10, 15, 10, 20],
    },
];

const REGIONS: [&str; 4] = ["eu-central", "eu-west", "us-east", "ap-south"];
const USER_AGENTS: [&str; 4] = ["demo-sdk-python/2.4.1", "demo-sdk-js/5.0.0", "okhttp/4.12.0", "curl/8.9.1"];

/// Who calls, as the record tells it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub archetype: Archetype,
    pub consumer: Option<&'a str>,
    pub credential: Option<&'a str>,
    pub environment: Option<&'a str>,
    pub sandbox_host: bool,
    /// End users it has.
    pub users: u64,
    /// Writes local time with this offset instead of UTC.
    pub offset_minutes: Option<i64>,
}

/// Writes one record and tells what it was. `status` forces one.
pub(crate) fn write(
    out: &mut String,
    dice: &mut Dice,
    event_id: u64,
    instant: i64,
    caller: &Caller<'_>,
    status: Option<u16>,
) -> Facts {
    let mut often = [0; ENDPOINTS.len()];
    for (weight, endpoint) in often.iter_mut().zip(ENDPOINTS) {
        *weight = endpoint.often[caller.archetype as usize];
    }
    let endpoint = &ENDPOINTS[dice.weighted(&often)];
    let status = status.unwrap_or_else(|| throw_status(dice));
    let mut facts =
        Facts { product: endpoint.product, status, response_bytes: None, tokens_millionths: None, user: None };

    open(out, event_id, instant, caller.offset_minutes);
    text(out, "host", if caller.sandbox_host { "sandbox.example.org" } else { "api.example.org" });
    text(out, "route", endpoint.route);
    if dice.chance(1, 3) && endpoint.product != Product::Unmapped {
        text(out, "product", endpoint.product.id());
    }
    text(out, "method", endpoint.method);
    out.push_str(",\"path\":\"");
    out.push_str(endpoint.path);
    if endpoint.template.ends_with('}') {
        number(out, dice.below(20));
    }
    out.push('"');
    text(out, "path_template", endpoint.template);
    field(out, "status", u64::from(status));
    field(out, "request_bytes", 80 + dice.below(if endpoint.method == "POST" { 6000 } else { 400 }));
    // Some gateways cannot tell the size: absent is not zero.
    if !dice.chance(1, 50) {
        let bytes =
            if facts.succeeded() { 100 + dice.below(endpoint.response_bytes_max) } else { 40 + dice.below(200) };
        field(out, "response_bytes", bytes);
        facts.response_bytes = Some(bytes);
    }
    let upstream = 900 + dice.below(120_000);
    field(out, "latency_us", upstream + 150 + dice.below(2500));
    field(out, "upstream_latency_us", upstream);
    for (name, value) in
        [("consumer", caller.consumer), ("credential", caller.credential), ("environment", caller.environment)]
    {
        if let Some(value) = value {
            text(out, name, value);
        }
    }
    // Documentation addresses (RFC 5737), which belong to nobody.
    out.push_str(",\"client_address\":\"");
    out.push_str(if dice.chance(1, 2) { "203.0.113." } else { "198.51.100." });
    number(out, 1 + dice.below(254));
    out.push('"');
    text(out, "user_agent", USER_AGENTS[usize::try_from(dice.below(4)).unwrap_or(0)]);
    match endpoint.product {
        Product::Maps => text(out, "cache_status", if dice.chance(2, 5) { "hit" } else { "miss" }),
        Product::Routing => {
            out.push_str(",\"attributes\":{\"region\":\"");
            out.push_str(dice.pick(&REGIONS));
            out.push_str("\"}");
        }
        // A model that failed tells no tokens.
        Product::Llm if facts.succeeded() => attributes(out, dice, caller.users, &mut facts),
        Product::Llm | Product::Unmapped => {}
    }
    out.push('}');
    facts
}

/// Writes a record with nothing but what every record needs.
pub(crate) fn write_minimal(out: &mut String, event_id: u64, instant: i64) -> Facts {
    open(out, event_id, instant, None);
    out.push('}');
    Facts { product: Product::Unmapped, status: 0, response_bytes: None, tokens_millionths: None, user: None }
}

fn open(out: &mut String, event_id: u64, instant: i64, offset_minutes: Option<i64>) {
    out.push_str("{\"event_id\":\"");
    crate::text::push_hex(out, event_id);
    out.push_str("\",\"occurred_at\":\"");
    push_instant(out, instant, offset_minutes);
    out.push('"');
}

/// 94 % success.
fn throw_status(dice: &mut Dice) -> u16 {
    const STATUSES: [(u16, u64); 10] =
        [(200, 900), (201, 25), (204, 15), (304, 5), (400, 12), (401, 5), (404, 10), (429, 18), (500, 6), (503, 4)];
    STATUSES[dice.weighted(&STATUSES.map(|(_, often)| often))].0
}

/// Tokens with up to six digits after the point, as text or as a number, and the end user.
fn attributes(out: &mut String, dice: &mut Dice, users: u64, facts: &mut Facts) {
    let quoted = dice.chance(1, 2);
    let places = dice.below(7);
    // 0.000001 to 2999.999999, cut to the digits that are written.
    let cut = 10_u64.pow(u32::try_from(6 - places).unwrap_or(0));
    let tokens = (1 + dice.below(2_999_999_999)) / cut * cut;
    let user = dice.below(users);
    out.push_str(if quoted { ",\"attributes\":{\"tokens\":\"" } else { ",\"attributes\":{\"tokens\":" });
    number(out, tokens / 1_000_000);
    if places > 0 {
        out.push('.');
        let width = usize::try_from(places).unwrap_or(6);
        push_digits(out, i64::try_from(tokens % 1_000_000 / cut).unwrap_or(0), width);
    }
    out.push_str(if quoted { "\",\"user\":\"u" } else { ",\"user\":\"u" });
    number(out, user);
    out.push_str("\"}");
    facts.tokens_millionths = Some(tokens);
    facts.user = Some(user);
}

fn text(out: &mut String, name: &str, value: &str) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":\"");
    out.push_str(value);
    out.push('"');
}

fn field(out: &mut String, name: &str, value: u64) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
    number(out, value);
}

fn number(out: &mut String, value: u64) {
    push_digits(out, i64::try_from(value).unwrap_or(i64::MAX), 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Purpose;

    fn caller() -> Caller<'static> {
        Caller {
            archetype: Archetype::Assistant,
            consumer: Some("acme-gw"),
            credential: None,
            environment: Some("production"),
            sandbox_host: false,
            users: 9,
            offset_minutes: None,
        }
    }

    /// What is written must be what the ledger counts.
    #[test]
    fn facts_are_those_of_the_text() {
        let mut dice = Dice::new(3, Purpose::Traffic);
        let (mut quoted, mut bare) = (0, 0);
        for id in 0..3000 {
            let mut out = String::new();
            let facts = write(&mut out, &mut dice, id, crate::calendar::june(1, 0, 0), &caller(), None);
            let record: serde_json::Value = serde_json::from_str(&out).unwrap();
            assert_eq!(record["status"], facts.status);
            assert_eq!(record.get("response_bytes").and_then(|b| b.as_u64()), facts.response_bytes);
            assert_eq!(record["consumer"], "acme-gw");
            assert!(record.get("credential").is_none());
            if let Some(tokens) = facts.tokens_millionths {
                // The literal text: serde_json would make a float of the number.
                let literal = out.split("\"tokens\":").nth(1).unwrap().split(",\"user\"").next().unwrap();
                let exact: tollbook_schemas::decimal::Decimal = literal.trim_matches('"').parse().unwrap();
                assert_eq!(exact.unscaled(), i128::from(tokens) * 1_000_000);
                if literal.starts_with('"') { quoted += 1 } else { bare += 1 }
            }
            let user = record.pointer("/attributes/user").and_then(|user| user.as_str());
            assert_eq!(user.map(str::to_owned), facts.user.map(|user| format!("u{user}")));
        }
        assert!(quoted > 500 && bare > 500);
    }

    #[test]
    fn all_but_a_few_requests_succeed() {
        let mut dice = Dice::new(3, Purpose::Traffic);
        let successes = (0..10_000).filter(|_| (200..300).contains(&throw_status(&mut dice))).count();
        assert!((9300..9500).contains(&successes), "{successes}");
    }

    #[test]
    fn a_minimal_record_has_two_fields() {
        let mut out = String::new();
        let facts = write_minimal(&mut out, 1, crate::calendar::june(1, 0, 0));
        assert_eq!(out, r#"{"event_id":"0000000000000001","occurred_at":"2026-06-01T00:00:00.000000Z"}"#);
        assert!(!facts.succeeded());
    }
}
