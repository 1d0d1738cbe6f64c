use std::collections::BTreeMap;

use tollbook_schemas::catalog::{Aggregation, CatalogFile};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::{MeterId, PlanId, ProfileVersionId, SubscriptionId};
use tollbook_schemas::period::{Period, parse_instant, parse_zone};
use tollbook_schemas::registry::{Course, Ending, EndsWith, Environment, Partner, Pause, SignedContract, Subscription};
use tollbook_schemas::tables::billing::{BILLED_USAGE, INVOICE, INVOICE_LINE};
use tollbook_schemas::tables::{Row, rows_of};

use super::*;
use crate::document::{billed_usage_batch, invoice_batch, line_batch};

pub(crate) const CATALOG: &str = r#"
[[issuer]]
id = "berlin"
legal_name = "Berlin APIs GmbH"
address = ["Street 1", "10115 Berlin"]
number_prefix = "B-"
time_zone = "Europe/Berlin"
payment_terms_days = 14

[[issuer]]
id = "tokyo"
legal_name = "Tokyo APIs KK"
address = ["1-1"]
number_prefix = "T-"
time_zone = "Asia/Tokyo"
payment_terms_days = 30

[[meter]]
id = "calls"
name = "Calls"
unit = "call"
aggregation = "sum"
value = "attributes['calls']"

[[meter]]
id = "users"
name = "Users"
unit = "user"
aggregation = "unique"
value = "consumer"

[[plan]]
id = "pro"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Pro"
issuer = "berlin"
currency = "EUR"
price = [
  { id = "base", description = "Base", model = "flat", amount = "49" },
  { id = "calls", description = "Calls", model = "graduated", meter = "calls", tiers = [
    { up_to = "10", unit_price = "0" }, { unit_price = "0.1" } ] },
]

[[plan]]
id = "pro"
version = 2
effective_from = "2026-06-15T00:00:00Z"
name = "Pro"
issuer = "berlin"
currency = "EUR"
price = [ { id = "base", description = "Base", model = "flat", amount = "59" } ]

[[plan]]
id = "part"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Part"
issuer = "berlin"
currency = "EUR"
price = [
  { id = "base", description = "Base", model = "flat", amount = "49", settings = { proration = "by_time" } },
  { id = "calls", description = "Calls", model = "per_unit", meter = "calls", unit_price = "1", included = "300",
    settings = { limits_in_part = "by_time" } },
]

[[plan]]
id = "days"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Days"
issuer = "berlin"
currency = "EUR"
price = [ { id = "fee", description = "Fee", model = "flat", amount = "30", settings = { proration = "by_day" } } ]

[[plan]]
id = "units"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Units"
issuer = "berlin"
currency = "EUR"
price = [ { id = "seat", description = "Seat", model = "flat", amount = "30",
  settings = { proration = "by_time", per = "unit" } } ]

[[plan]]
id = "weeks"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Weeks"
issuer = "berlin"
currency = "EUR"
billing_period = "weekly"
price = [
  { id = "base", description = "Base", model = "flat", amount = "7", settings = { proration = "by_day" } },
  { id = "calls", description = "Calls", model = "per_unit", meter = "calls", unit_price = "1", included = "10" },
]

[[plan]]
id = "free"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Free"
issuer = "berlin"
currency = "EUR"
shadow_of = "part"
price = [ { id = "calls", description = "Calls", model = "per_unit", meter = "calls", unit_price = "0" } ]

[[plan]]
id = "quarter"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Quarter"
issuer = "berlin"
currency = "EUR"
billing_period = "quarterly"
anchor = "anniversary"
price = [
  { id = "base", description = "Base", model = "flat", amount = "92", settings = { proration = "by_day" } },
  { id = "calls", description = "Calls", model = "per_unit", meter = "calls", unit_price = "1" },
]

[[plan]]
id = "seats"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Seats"
issuer = "berlin"
currency = "EUR"
price = [ { id = "users", description = "Users", model = "per_unit", meter = "users", unit_price = "2.5" } ]

[[plan]]
id = "jp"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "JP"
issuer = "tokyo"
currency = "JPY"
price = [ { id = "base", description = "Base", model = "flat", amount = "1000" } ]

[[plan]]
id = "moved"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Moved"
issuer = "berlin"
currency = "EUR"
price = [ { id = "base", description = "Base", model = "flat", amount = "1" } ]

[[plan]]
id = "moved"
version = 2
effective_from = "2026-09-01T00:00:00Z"
name = "Moved"
issuer = "tokyo"
currency = "JPY"
price = [ { id = "base", description = "Base", model = "flat", amount = "100" } ]

[[plan]]
id = "late"
version = 1
effective_from = "2026-08-01T00:00:00Z"
name = "Late"
issuer = "berlin"
currency = "EUR"
price = [ { id = "base", description = "Base", model = "flat", amount = "1" } ]

[[plan]]
id = "huge"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Huge"
issuer = "berlin"
currency = "EUR"
price = [
  { id = "one", description = "One", model = "flat", amount = "90000000000000000" },
  { id = "two", description = "Two", model = "flat", amount = "90000000000000000" },
]
"#;

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    let text = if text.contains('T') { format!("{text}:00Z") } else { format!("{text}T00:00:00Z") };
    parse_instant(&text).unwrap()
}

/// Reads words: `units=DAY:5,DAY:8`, `paused=DAY/DAY`, `to_period=DAY`, `first=DAY`.
fn course(words: &[&str]) -> Course {
    let mut course = Course::default();
    for (key, value) in words.iter().map(|word| word.split_once('=').unwrap()) {
        match key {
            "first" => course.first_started_at = Some(at(value)),
            "units" => {
                let of = |part: &str| {
                    let (day, units) = part.rsplit_once(':').unwrap();
                    (at(day), units.parse().unwrap())
                };
                course.quantities = value.split(',').map(of).collect();
            }
            "paused" => {
                let (from, until) = value.split_once('/').unwrap();
                let until = (!until.is_empty()).then(|| at(until));
                course.pauses.push(Pause { from: at(from), until });
            }
            _ => course.endings.push(Ending { with: EndsWith::Period, at: at(value), said_at: at(value) }),
        }
    }
    course
}

/// Reads `partner [id:]plan start..end [zone [course]]`, several, separated by `;`. Ids are s1, s2, … where none is
/// given.
pub(crate) fn registry(text: &str) -> Registry {
    let mut registry = Registry::default();
    for (index, line) in text.split(';').map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let partner_id = PartnerId::parse(words[0]).unwrap();
        registry.partners.insert(partner_id.clone(), Partner::default());
        if words.len() == 1 {
            continue;
        }
        let (start, end) = words[2].split_once("..").unwrap();
        let next = format!("s{}", index + 1);
        let (id, plan) = words[1].split_once(':').unwrap_or((&next, words[1]));
        let subscription_id = SubscriptionId::parse(id).unwrap();
        let subscription = Subscription {
            subscription_id: subscription_id.clone(),
            partner_id,
            plan_id: PlanId::parse(plan).unwrap(),
            time_zone: words.get(3).map(|zone| parse_zone(zone).unwrap()),
            started_at: at(start),
            ended_at: (!end.is_empty()).then(|| at(end)),
            course: course(words.get(4..).unwrap_or_default()),
        };
        registry.subscriptions.insert((subscription_id, at(start)), subscription);
    }
    registry
}

/// Reads `partner meter environment hour quantity|values`, several, separated by `;`; a slice is an hour.
pub(crate) fn usage(text: &str) -> Vec<UsageSlice> {
    text.split(';')
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let [partner, meter, environment, hour, measure] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let start = at(hour);
            let aggregation = catalog().meters.get(&MeterId::parse(meter).unwrap()).map(|meter| meter.aggregation);
            let mut event_count = 3;
            let (quantity, state) = match measure.parse::<Decimal>() {
                Ok(quantity) if aggregation == Some(Aggregation::Sum) => {
                    (quantity, serde_json::json!({ "sum": quantity }).to_string())
                }
                Ok(quantity) => {
                    event_count = measure.parse().unwrap();
                    (quantity, "{}".to_owned())
                }
                Err(_) => {
                    let values: Vec<&str> = measure.split(',').collect();
                    let count = Decimal::whole(i64::try_from(values.len()).unwrap());
                    (count, serde_json::json!({ "values": values }).to_string())
                }
            };
            UsageSlice {
                meter_id: MeterId::parse(meter).unwrap(),
                partner_id: (partner != "-").then(|| PartnerId::parse(partner).unwrap()),
                environment: Environment::parse(environment),
                product_id: "maps".into(),
                dimensions: BTreeMap::new(),
                slice: Period::new(start, start + TimeDelta::hours(1)).unwrap(),
                quantity,
                state: state.into(),
                event_count,
                invalid_count: 0,
                event_date: start.date_naive(),
            }
        })
        .collect()
}

pub(crate) fn profile(partner: &str, from: &str, version: &str) -> Profile {
    Profile {
        profile_version_id: ProfileVersionId::derive([partner, version]),
        partner_id: PartnerId::parse(partner).unwrap(),
        effective_from: at(from),
        legal_name: format!("{partner} Ltd"),
        address: "Road 1".into(),
        country: "DE".into(),
        tax_id: None,
        billing_email: format!("bills@{partner}.example"),
        purchase_order: None,
        payment_terms_days: 21,
        recorded_at: at(from),
    }
}

pub(crate) fn catalog() -> Catalog {
    Catalog::parse(&[CatalogFile { path: "catalog.toml".into(), text: CATALOG.into() }]).unwrap()
}

/// The profiles of acme and bolt.
pub(crate) fn profiles() -> Profiles {
    vec![profile("acme", "2026-01-01", "1"), profile("bolt", "2026-01-01", "1")].into()
}

pub(crate) fn drafted(registry_text: &str, usage_text: &str) -> Drafted {
    drafted_after(&[], "2026-06", "2026-07-02", registry_text, usage_text)
}

/// As [`drafted`], with another catalog and signed contracts.
pub(crate) fn drafted_with(
    catalog: &Catalog,
    registry_text: &str,
    contracts: Vec<SignedContract>,
    usage_text: &str,
) -> Drafted {
    let registry = Registry { contracts, ..registry(registry_text) };
    let usage = usage(usage_text);
    draft(&DraftInput {
        month: "2026-06".parse().unwrap(),
        usage: &usage,
        registry: &registry,
        catalog,
        profiles: &profiles(),
        pin_json: "{}",
        as_of: at("2026-07-02"),
        terms_changes: &TermsChanges::new(),
    })
}

/// Gives what June is drafted from to a function; `acme` and `bolt` have billing profiles.
pub(crate) fn with_input<T>(registry_text: &str, usage_text: &str, work: impl FnOnce(&DraftInput<'_>) -> T) -> T {
    let (registry, catalog, usage) = (registry(registry_text), catalog(), usage(usage_text));
    work(&DraftInput {
        month: "2026-06".parse().unwrap(),
        usage: &usage,
        registry: &registry,
        catalog: &catalog,
        profiles: &profiles(),
        pin_json: "{}",
        as_of: at("2026-07-02"),
        terms_changes: &TermsChanges::new(),
    })
}

/// A month drafted with what was issued before.
pub(crate) fn drafted_after(
    issued: &[IssuedDocument],
    month: &str,
    as_of: &str,
    registry_text: &str,
    usage_text: &str,
) -> Drafted {
    let (registry, catalog, usage) = (registry(registry_text), catalog(), usage(usage_text));
    let profiles = profiles();
    let input = DraftInput {
        month: month.parse().unwrap(),
        usage: &usage,
        registry: &registry,
        catalog: &catalog,
        profiles: &profiles,
        pin_json: "{}",
        as_of: at(as_of),
        terms_changes: &TermsChanges::new(),
    };
    draft_adjusting(&input, issued).unwrap()
}

/// Documents as `partner issuer total: price quantity amount, …`; then blocked and without as `partner! reason`.
pub(crate) fn told(drafted: &Drafted) -> String {
    let line = |line: &Line| format!("{} {} {}", line.price_id, line.quantity, line.amount_minor);
    let documents = drafted.documents.iter().map(|document| {
        let lines: Vec<String> = document.body.lines.iter().map(line).collect();
        let body = &document.body;
        format!("{} {} {}: {}", body.partner_id, body.issuer.issuer_id, document.total(), lines.join(", "))
    });
    let blocked = drafted.blocked.iter().map(|blocked| format!("{}! {}", blocked.partner_id, blocked.reason));
    let without = drafted.without.iter().map(|(partner, reason)| format!("{partner}- {reason}"));
    documents.chain(blocked).chain(without).collect::<Vec<_>>().join(" | ")
}

/// One row: subscriptions, usage, what comes of it.
#[test]
fn a_month_comes_to_documents() {
    for (registry, usage, expected) in [
        // Every price is a line, at 0 too.
        ("acme pro 2026-01-01..", "", "acme berlin 49.00 EUR: base 1 4900, calls 0 0"),
        // The month is Berlin's: it begins on 31 May at 22:00 UTC and ends on 30 June at 22:00 UTC.
        (
            "acme pro 2026-01-01..",
            "acme calls production 2026-05-31T21:00 1000; acme calls production 2026-05-31T22:00 8;
             acme calls production 2026-06-30T21:00 4; acme calls production 2026-06-30T22:00 1000",
            "acme berlin 49.20 EUR: base 1 4900, calls 12 20",
        ),
        // A zone of the subscription's own.
        (
            "acme pro 2026-01-01.. UTC",
            "acme calls production 2026-05-31T23:00 1000; acme calls production 2026-06-30T23:00 11",
            "acme berlin 49.10 EUR: base 1 4900, calls 11 10",
        ),
        // Sandbox, unattributed and other partners' traffic is not billed (I8).
        (
            "acme pro 2026-01-01..",
            "acme calls sandbox 2026-06-02T00:00 99; - calls production 2026-06-02T00:00 99;
             bolt calls production 2026-06-02T00:00 99; acme calls production 2026-06-02T00:00 11",
            "acme berlin 49.10 EUR: base 1 4900, calls 11 10",
        ),
        // A flat price is charged in full for a part of the month, and usage outside the span is not billed.
        (
            "acme pro 2026-06-10..2026-06-12",
            "acme calls production 2026-06-09T23:00 99; acme calls production 2026-06-10T00:00 11;
             acme calls production 2026-06-12T00:00 99",
            "acme berlin 49.10 EUR: base 1 4900, calls 11 10",
        ),
        // Distinct values of the month, not the sum of the hours.
        (
            "acme seats 2026-01-01..",
            "acme users production 2026-06-01T00:00 a,b; acme users production 2026-06-01T01:00 b,c;
             acme users production 2026-06-02T00:00 a",
            "acme berlin 7.50 EUR: users 3 750",
        ),
        // One document for an issuer and a currency; lines by subscription, then as the plan lists them.
        (
            "acme pro 2026-01-01..; acme seats 2026-01-01..; acme jp 2026-01-01..",
            "",
            "acme berlin 49.00 EUR: base 1 4900, calls 0 0, users 0 0 | acme tokyo 1000 JPY: base 1 1000",
        ),
        // Documents are in the order of issuer, partner, currency.
        (
            "bolt pro 2026-01-01..; acme jp 2026-01-01..",
            "",
            "bolt berlin 49.00 EUR: base 1 4900, calls 0 0 | acme tokyo 1000 JPY: base 1 1000",
        ),
        // The version in force when the span begins prices it.
        ("acme pro 2026-06-20..", "", "acme berlin 59.00 EUR: base 1 5900"),
        // An upgrade within the month: two spans that touch and do not overlap.
        (
            "acme pro 2026-01-01..2026-06-10; acme pro 2026-06-10..",
            "acme calls production 2026-06-09T23:00 11; acme calls production 2026-06-10T00:00 12",
            "acme berlin 98.30 EUR: base 1 4900, calls 11 10, base 1 4900, calls 12 20",
        ),
        // A change of plan within the month: each part under its own plan, flat prices in full.
        (
            "acme s1:pro 2026-01-01..2026-06-10; acme s1:seats 2026-06-10..",
            "acme calls production 2026-06-09T23:00 11; acme calls production 2026-06-10T00:00 12;
             acme users production 2026-06-09T23:00 a; acme users production 2026-06-10T00:00 b,c",
            "acme berlin 54.10 EUR: base 1 4900, calls 11 10, users 2 500",
        ),
        // Prorated by time: the whole month is the whole, 20 of 30 days are two thirds, and so are included units.
        (
            "acme part 2026-01-01..",
            "acme calls production 2026-06-11T00:00 310",
            "acme berlin 59.00 EUR: base 1 4900, calls 310 1000",
        ),
        (
            "acme part 2026-06-10T22:00..",
            "acme calls production 2026-06-11T00:00 210",
            "acme berlin 42.67 EUR: base 1 3267, calls 210 1000",
        ),
        // An upgrade within the month: a third and two thirds.
        (
            "acme s1:part 2026-01-01..2026-06-10T22:00; acme s1:days 2026-06-10T22:00..",
            "",
            "acme berlin 36.33 EUR: base 1 1633, calls 0 0, fee 1 2000",
        ),
        // By day: the local day of the change is the new plan's. 23:00 in UTC is the 10th in Berlin.
        (
            "acme s1:days 2026-01-01..2026-06-09T23:00; acme s1:part 2026-06-09T23:00..",
            "",
            "acme berlin 43.23 EUR: fee 1 900, base 1 3423, calls 0 0",
        ),
        // Seats: each for its part of the month; the line's quantity is the most that there were.
        ("acme units 2026-01-01.. UTC", "", "acme berlin 30.00 EUR: seat 1 3000"),
        ("acme units 2026-01-01.. UTC units=2026-01-01:5,2026-06-11:8", "", "acme berlin 210.00 EUR: seat 8 21000"),
        // A pause costs nothing, and what is used in it is told and not charged; tiers go on behind it.
        (
            "acme part 2026-01-01.. UTC paused=2026-06-11/2026-06-21",
            "acme calls production 2026-06-10T23:00 150; acme calls production 2026-06-11T00:00 7;
             acme calls production 2026-06-20T23:00 5; acme calls production 2026-06-21T00:00 60",
            "acme berlin 42.67 EUR: base 1 3267, calls 210 1000, calls 12 0",
        ),
        ("acme part 2026-01-01.. UTC paused=2026-05-11/", "", "acme berlin 0.00 EUR: base 1 0, calls 0 0"),
        (
            "acme pro 2026-01-01.. UTC paused=2026-05-11/",
            "acme calls production 2026-06-10T23:00 150",
            "acme berlin 0.00 EUR: base 1 0, calls 0 0, calls 150 0",
        ),
        // Weeks: those that end in June, each on its own; the one until 6 July is July's.
        (
            "acme weeks 2026-06-03..",
            "acme calls production 2026-06-07T21:00 11; acme calls production 2026-06-07T22:00 12;
             acme calls production 2026-06-29T00:00 99",
            "acme berlin 29.00 EUR: base 1 500, calls 11 100, base 1 700, calls 12 200, base 1 700, calls 0 0, \
             base 1 700, calls 0 0",
        ),
        // A quarter from 15 March, of which June's run bills the end; what was used in April is in it.
        (
            "acme quarter 2026-03-14T23:00..",
            "acme calls production 2026-04-10T00:00 3; acme calls production 2026-06-14T22:00 99",
            "acme berlin 95.00 EUR: base 1 9200, calls 3 300",
        ),
        // Cancelled inside of it: 92 days, of which 46 were served, in the run of the month in which that ends.
        ("acme quarter 2026-04-30T22:00..2026-06-15T22:00", "", "acme berlin 46.00 EUR: base 1 4600, calls 0 0"),
        // Cancelled to the end of its week.
        (
            "acme weeks 2026-01-01.. Europe/Berlin to_period=2026-06-03",
            "",
            "acme berlin 7.00 EUR: base 1 700, calls 0 0",
        ),
        // Between two of Berlin's months.
        (
            "acme s1:pro 2026-01-01..2026-05-31T22:00; acme s1:seats 2026-05-31T22:00..",
            "",
            "acme berlin 0.00 EUR: users 0 0",
        ),
    ] {
        assert_eq!(told(&drafted(registry, usage)), expected, "{registry} with {usage}");
    }
}

/// One row: subscriptions, usage, words of the reason, and who goes on.
#[test]
fn who_cannot_be_billed_is_named_with_the_reason_and_others_go_on() {
    for (registry, usage, words) in [
        ("acme nosuch 2026-01-01..", "", "acme! subscription s1 is to plan nosuch, which the catalog does not have"),
        ("acme late 2026-01-01..", "", "acme! plan late has no version in force at 2026-05-31 22:00:00 UTC"),
        ("acme moved 2026-01-01..", "", "acme! the versions of plan moved have issuers in different time zones"),
        (
            "acme s1:pro 2026-01-01..2026-06-10; acme s1:jp 2026-06-10..",
            "",
            "acme! subscription s1 changes at 2026-06-10T00:00:00Z to a plan of another issuer or currency",
        ),
        ("acme huge 2026-01-01..", "", "acme! the total does not fit 63 bits"),
        (
            "acme units 2026-01-01.. Europe/Berlin units=2026-01-01:90000000000000000000000000",
            "",
            "correct what is too big: the units of the subscription, what its meter counted, or the price",
        ),
        ("corp pro 2026-01-01..", "", "corp! no billing profile is in force; import one"),
        (
            "acme pro 2026-01-01..; acme pro 2026-06-01..",
            "",
            "acme! subscriptions s1 and s2 would both bill meter calls for [2026-06-01T00:00:00Z, 2026-06-30T22:00:00Z)",
        ),
        (
            "acme pro 2026-06-10T00:30..",
            "acme calls production 2026-06-10T00:00 5",
            "acme! I3 does not hold: the usage of meter calls at [2026-06-10T00:00:00Z, 2026-06-10T01:00:00Z) lies across",
        ),
        (
            "acme seats 2026-01-01..",
            "acme users production 2026-06-10T00:00 5",
            "acme! price users of subscription s1: the usage of meter users in [2026-06-10T00:00:00Z, 2026-06-10T01:00:00Z) comes",
        ),
        (
            "acme pro 2026-01-01..",
            "acme calls production 2026-06-10T00:00 -5",
            "acme! price calls of subscription s1: quantity -5",
        ),
        ("acme pro 2026-01-01..2026-06-01", "", "berlin 49.00"),
        ("acme pro 2026-01-01..2026-05-31", "", "acme- no subscription runs in 2026-06"),
        ("acme pro 2026-07-01..", "", "acme- no subscription runs in 2026-06"),
        (
            "acme quarter 2026-04-30T22:00..",
            "acme calls production 2026-06-05T00:00 1",
            "acme- no period of subscription s1 ends in 2026-06; its period [2026-04-30T22:00:00Z, 2026-07-31T22:00:00Z) is billed in 2026-07",
        ),
        ("acme weeks 2026-01-01.. Europe/Berlin to_period=2026-05-20", "", "acme- no subscription runs in 2026-06"),
        (
            "acme pro 2026-01-01.. UTC paused=2026-06-11T00:30/",
            "acme calls production 2026-06-11T00:00 5",
            "acme! I3 does not hold: the usage of meter calls at [2026-06-11T00:00:00Z, 2026-06-11T01:00:00Z) lies across",
        ),
        ("acme pro 2026-06-05..2026-06-05", "", "acme- no subscription runs in 2026-06"),
        (
            "acme",
            "acme calls production 2026-06-05T00:00 1",
            "acme- never subscribed, so none runs in 2026-06; its production usage of calls (1 call) is not billed",
        ),
        ("acme", "acme calls sandbox 2026-06-05T00:00 1", "acme- never subscribed, so none runs in 2026-06"),
    ] {
        let drafted = drafted(&format!("{registry}; bolt jp 2026-01-01.."), usage);
        let told = told(&drafted);
        assert!(told.contains(words), "{registry} with {usage}: {told}");
        assert!(told.contains("bolt tokyo 1000 JPY"), "others must go on: {told}");
        let partners = drafted.documents.len() + drafted.blocked.len() + drafted.without.len();
        assert_eq!(partners, 2, "everybody is in one list: {told}");
    }
}

#[test]
fn the_profile_in_force_decides_and_a_correction_of_the_same_date_wins() {
    let partner_id = PartnerId::parse("acme").unwrap();
    let mut corrected = profile("acme", "2026-03-01", "2b");
    corrected.recorded_at = at("2026-03-05");
    let profiles = Profiles::from(vec![
        profile("acme", "2026-03-01", "2"),
        profile("acme", "2026-01-01", "1"),
        corrected,
        profile("acme", "2026-09-01", "3"),
    ]);
    let at_of = |day| profiles.at(&partner_id, at(day)).unwrap().map(|profile| profile.profile_version_id.clone());
    assert_eq!(at_of("2025-12-31"), None);
    assert_eq!(at_of("2026-02-01"), Some(ProfileVersionId::derive(["acme", "1"])));
    assert_eq!(at_of("2026-07-01"), Some(ProfileVersionId::derive(["acme", "2b"])));
}

/// The row of `invoice` of a document.
pub(crate) fn invoice_row(document: &Document) -> Row {
    rows_of(&INVOICE, &invoice_batch(&[document]).unwrap()).unwrap().pop().unwrap()
}

/// Its rows of `invoice_line`.
pub(crate) fn line_rows(document: &Document) -> Vec<Row> {
    rows_of(&INVOICE_LINE, &line_batch(&[document]).unwrap()).unwrap()
}

const USAGE: &str = "acme calls production 2026-06-02T00:00 8; acme calls production 2026-06-02T01:00 4.5;
    acme calls production 2026-06-03T00:00 1";

#[test]
fn a_document_is_its_text_and_its_rows_fit_their_tables() {
    let drafted = drafted("acme pro 2026-01-01..", USAGE);
    let document = &drafted.documents[0];
    let row = invoice_row(document);
    assert_eq!(Document::from_row(&row).unwrap(), *document);
    let calls = &document.body.lines[1];
    let days: Vec<_> =
        calls.usage.iter().map(|day| (day.event_date.to_string(), day.quantity.to_string(), day.slice_count)).collect();
    assert_eq!(days, [("2026-06-02".to_owned(), "12.5".to_owned(), 2), ("2026-06-03".to_owned(), "1".to_owned(), 1)]);
    let evidence = rows_of(&BILLED_USAGE, &billed_usage_batch(&[document]).unwrap()).unwrap();
    let told = |row: &Row| format!("{:?} {}", row.date("event_date").unwrap(), row.decimal("quantity").unwrap());
    assert_eq!(evidence.iter().map(told).collect::<Vec<_>>(), ["2026-06-02 12.5", "2026-06-03 1"]);
    let of_line = |row: &Row| row.text("line_id") == Some(document.line_id(2).as_str());
    assert!(evidence.iter().all(of_line));
    let lines = line_rows(document);
    let told = |row: &Row| format!("{} {}", row.text("price_id").unwrap(), row.int("amount_minor").unwrap());
    assert_eq!(lines.iter().map(told).collect::<Vec<_>>(), ["base 4900", "calls 35"]);
    // Keys in order at every level: the text is canonical.
    let value: serde_json::Value = serde_json::from_str(&document.text).unwrap();
    let sorted: BTreeMap<String, serde_json::Value> = serde_json::from_str(&document.text).unwrap();
    assert_eq!(serde_json::to_string(&sorted).unwrap(), document.text);
    assert_eq!(value["lines"][1]["working"]["tiers"][1]["exact"], "0.35");
    assert!(!document.text.contains("example"), "no contact data in a document");
}

/// What is prorated says which part it is, and what is whole looks as it did before.
#[test]
fn the_working_of_a_line_tells_its_share_of_the_month() {
    for (registry, expected) in [
        (
            "acme part 2026-01-01..",
            [
                r#"{"exact":"49"}"#,
                r#"{"billable":"0","components":[{"exact":"0","name":"units","quantity":"0"}],"exact":"0"}"#,
            ],
        ),
        (
            "acme part 2026-06-10T22:00..",
            [
                r#"{"billable":"2/3","components":[{"exact":"98/3","name":"480 of 720 h","quantity":"2/3"}],"exact":"98/3"}"#,
                r#"{"billable":"0","components":[{"exact":"0","name":"included units for 480 of 720 h","quantity":"200"},{"exact":"0","name":"units","quantity":"0"}],"exact":"0"}"#,
            ],
        ),
    ] {
        let drafted = drafted(registry, "");
        let lines = drafted.documents[0].body.lines.iter();
        let workings: Vec<_> = lines.map(|line| line.working.to_json().unwrap()).collect();
        assert_eq!(workings, expected, "{registry}");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes_in_any_order_of_rows() {
    let once = drafted("acme pro 2026-01-01..", USAGE);
    let shuffled: Vec<&str> = USAGE.split(';').rev().collect();
    assert_eq!(drafted("acme pro 2026-01-01..", &shuffled.join(";")), once);
    let more = drafted("acme pro 2026-01-01..", &USAGE.replace("4.5", "4"));
    assert_eq!(more.documents[0].slot_id, once.documents[0].slot_id);
    assert_ne!(more.documents[0].invoice_id, once.documents[0].invoice_id);
}

/// A plan of 0 tells what the usage would have cost on another, in a bill that is in no total.
#[test]
fn a_shadow_bill_stands_beside_the_lines_and_in_no_total() {
    let usage = "acme calls production 2026-06-11T00:00 310";
    for (registry, total, shadows) in [
        ("acme free 2026-01-01..", "0.00 EUR: calls 310 0", "part 5900: base 1 4900, calls 310 1000"),
        // The same share of the month.
        ("acme free 2026-06-10T22:00..", "0.00 EUR: calls 310 0", "part 14267: base 1 3267, calls 310 11000"),
        // Two spans, one bill.
        (
            "acme s1:free 2026-01-01..2026-06-10T22:00; acme s2:free 2026-06-10T22:00..",
            "0.00 EUR: calls 0 0, calls 310 0",
            "part 15900: base 1 1633, calls 0 0, base 1 3267, calls 310 11000",
        ),
        ("acme pro 2026-01-01..", "79.00 EUR: base 1 4900, calls 310 3000", ""),
    ] {
        let drafted = drafted(registry, usage);
        assert_eq!(told(&drafted), format!("acme berlin {total}"), "{registry}");
        let document = &drafted.documents[0];
        let line = |line: &Line| format!("{} {} {}", line.price_id, line.quantity, line.amount_minor);
        let shadow = |shadow: &crate::document::Shadow| {
            assert!(shadow.lines.iter().all(|line| line.plan_id == shadow.plan_id));
            let lines: Vec<String> = shadow.lines.iter().map(line).collect();
            format!("{} {}: {}", shadow.plan_id, shadow.total_minor, lines.join(", "))
        };
        let found: Vec<String> = document.body.shadows.iter().map(shadow).collect();
        assert_eq!(found.join(" | "), shadows, "{registry}");
        assert_eq!(document.text.contains("shadows"), !shadows.is_empty(), "nothing is told of none");
        assert_eq!(Document::from_row(&invoice_row(document)).unwrap(), *document);
        assert_eq!(line_rows(document).len(), document.body.lines.len(), "a shadow is no row");
    }
}

#[test]
fn a_changed_row_is_not_believed() {
    let drafted = drafted("acme pro 2026-01-01..", USAGE);
    let row = invoice_row(&drafted.documents[0]);
    let text = row.text("document").unwrap().to_owned();
    let another = "is not the document that its id was derived from";
    for (changed, words) in [
        (row.clone().with("total_minor", 1_i64), another),
        (row.clone().with("slot_id", "slt_00000000000000000000"), another),
        (row.clone().with("document", text.replace("4900", "4800")), another),
        (row.clone().with("document", text.replace("Base", "Bass")), another),
        (row.clone().with("document", "{}"), "missing field"),
        (Row::new(), "invoice_id"),
    ] {
        let error = Document::from_row(&changed).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

/// A document bears the issuer as it is at the last instant of its period: one row for each instant from which the
/// second version holds, in UTC; Berlin's June ends at 22:00.
#[test]
fn a_document_bears_the_issuer_of_the_end_of_its_period() {
    for (from, name) in [
        ("2026-06-30T21:59:59Z", "Berlin APIs AG"),
        ("2026-06-30T22:00:00Z", "Berlin APIs GmbH"),
        ("2026-06-10T00:00:00Z", "Berlin APIs AG"),
        ("2026-07-01T00:00:00Z", "Berlin APIs GmbH"),
    ] {
        let text = CATALOG.replacen(
            "[[issuer]]",
            &format!(
                "[[issuer]]\nid = \"berlin\"\nlegal_name = \"Berlin APIs AG\"\naddress = [\"Street 2\"]\n\
                 number_prefix = \"B-\"\ntime_zone = \"Europe/Berlin\"\npayment_terms_days = 14\n\
                 effective_from = \"{from}\"\n[[issuer]]"
            ),
            1,
        );
        let catalog = Catalog::parse(&[CatalogFile { path: "catalog.toml".into(), text }]).unwrap();
        let found = drafted_with(&catalog, "acme pro 2026-01-01..", Vec::new(), "");
        assert_eq!(found.documents[0].body.issuer.legal_name, name, "{from}");
    }
    let dated = CATALOG.replacen("id = \"berlin\"", "id = \"berlin\"\neffective_from = \"2026-07-01T00:00:00Z\"", 1);
    let catalog = Catalog::parse(&[CatalogFile { path: "catalog.toml".into(), text: dated }]).unwrap();
    let told = told(&drafted_with(&catalog, "acme pro 2026-01-01..", Vec::new(), ""));
    let wanted = "acme! issuer berlin has no version in force at 2026-06-30T21:59:59.999999Z, the end of the period; \
                  give a version an earlier effective_from";
    assert_eq!(told, wanted);
}
