//! Whether an event by hand says something that the jobs can use: its type, and the fields that the fold only looks
//! at later. From Kafka such events are kept and become findings; by hand they are refused while somebody is there to
//! mend them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::{ContractId, CouponId, CreditId, IssuerId, MeterId, PlanId, SubscriptionId};
use tollbook_schemas::lifecycle::KNOWN_TYPES;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::{Month, parse_instant, parse_zone};
use tollbook_schemas::printed::unprintable;
use tollbook_schemas::registry::Environment;

/// What is wrong with a type that is none, with the one that was meant where that can be seen.
pub(super) fn check_type(event_type: &str) -> Result<(), String> {
    if event_type.starts_with("adjustment.") {
        return Err(format!("--type {event_type} is made with `tollbook bill adjust`, which checks it"));
    }
    if KNOWN_TYPES.contains(&event_type) {
        return Ok(());
    }
    let near = KNOWN_TYPES.iter().map(|known| (distance(known, event_type), known)).min();
    let meant = match near {
        Some((distance, known)) if distance <= 3 || event_type.contains(known) => format!("did you mean {known}? The"),
        _ => "the".to_owned(),
    };
    Err(format!("--type {event_type} is no type; {meant} types: {}", KNOWN_TYPES.join(", ")))
}

/// Fields that name another instant than the event's own, and the types of which they are read.
const DATED_BY: &[(&str, &[&str])] = &[
    ("valid_from", &["identity.linked"]),
    ("valid_to", &["identity.unlinked"]),
    ("expires_at", &["credit.granted"]),
    (
        "effective_at",
        &[
            "subscription.changed",
            "subscription.cancelled",
            "subscription.paused",
            "subscription.resumed",
            "subscription.renewed",
            "contract.signed",
            "contract.ended",
            "coupon.redeemed",
            "coupon.withdrawn",
            "credit.granted",
            "credit.voided",
            "payer.named",
            "payer.ended",
            "offboarded",
            "reactivated",
        ],
    ),
];

/// What is wrong with the data of an event.
pub(super) fn check_data(event_type: &str, data: &Map<String, Value>, catalog: &Catalog) -> Result<(), String> {
    if data.contains_key("credential") {
        return Err("a credential must not be an argument, where every process can read it; send the event through \
                    Kafka"
            .to_owned());
    }
    let said = |problem: String| format!("--data: {problem}");
    for field in ["environment", "env"] {
        check(data, field, |text| environment(text).map(|_| ())).map_err(said)?;
    }
    let shown = |error: &dyn std::fmt::Display| error.to_string();
    for (field, readers) in DATED_BY {
        check(data, field, |text| parse_instant(text).map(|_| ()).map_err(|e| shown(&e))).map_err(said)?;
        if data.contains_key(*field) && !readers.contains(&event_type) {
            let readers = readers.join(", ");
            return Err(said(format!("{field} is read of {readers} alone; say by --at when it became true")));
        }
    }
    for field in ["display_name", "segment", "owner"] {
        check(data, field, printed).map_err(said)?;
    }
    check(data, "time_zone", |text| parse_zone(text).map(|_| ()).map_err(|e| shown(&e))).map_err(said)?;
    check(data, "subscription_id", |text| SubscriptionId::parse(text).map(|_| ()).map_err(|e| shown(&e)))
        .map_err(said)?;
    if ["subscription.started", "subscription.changed"].contains(&event_type) {
        check(data, "plan_id", |text| plan(text, catalog)).map_err(said)?;
    }
    if ["contract.signed", "contract.ended"].contains(&event_type) {
        check(data, "contract_id", |text| contract(text, event_type, catalog)).map_err(said)?;
    }
    if event_type == "opening.recorded" {
        check(data, "meter_id", |text| meter(text, catalog)).map_err(said)?;
        check(data, "price_id", |text| price(text, catalog)).map_err(said)?;
    }
    if ["coupon.redeemed", "coupon.withdrawn"].contains(&event_type) {
        check(data, "coupon_id", |text| coupon(text, event_type, catalog)).map_err(said)?;
    }
    if ["credit.granted", "credit.voided"].contains(&event_type) {
        check(data, "credit_id", |text| CreditId::parse(text).map(|_| ()).map_err(|e| shown(&e))).map_err(said)?;
    }
    if event_type == "credit.granted" {
        check(data, "issuer_id", |text| issuer(text, catalog)).map_err(said)?;
        credit_amount(data).map_err(said)?;
    }
    if event_type == "cost.recorded" {
        check(data, "amount", |text| text.parse::<Decimal>().map(|_| ()).map_err(|e| shown(&e))).map_err(said)?;
        check(data, "currency", |text| Currency::parse(text).map(|_| ()).map_err(|e| shown(&e))).map_err(said)?;
        check(data, "period", |text| text.parse::<Month>().map(|_| ()).map_err(|e| shown(&e))).map_err(said)?;
    }
    Ok(())
}

/// Reads an environment.
pub(super) fn environment(text: &str) -> Result<Environment, String> {
    Environment::parse(text).ok_or_else(|| format!("{text:?} is neither production nor sandbox"))
}

/// Whether a text can be printed within a line.
pub(super) fn printed(text: &str) -> Result<(), String> {
    unprintable(text)
        .map_or(Ok(()), |letter| Err(format!("it has U+{:04X}, which no printed line may have", u32::from(letter))))
}

/// Whether the catalog has the plan.
pub(super) fn plan(text: &str, catalog: &Catalog) -> Result<(), String> {
    let id = PlanId::parse(text).map_err(|error| error.to_string())?;
    if catalog.plans.contains_key(&id) {
        return Ok(());
    }
    let plans: Vec<&str> = catalog.plans.keys().map(PlanId::as_str).collect();
    Err(format!("the catalog has no plan {id}; its plans: {}", plans.join(", ")))
}

/// Whether the catalog has the meter.
pub(super) fn meter(text: &str, catalog: &Catalog) -> Result<(), String> {
    if catalog.meters.keys().any(|id| id.as_str() == text) {
        return Ok(());
    }
    let meters: Vec<&str> = catalog.meters.keys().map(MeterId::as_str).collect();
    Err(format!("the catalog has no meter {text}; its meters: {}", meters.join(", ")))
}

/// Whether a plan of the catalog has the flat price.
pub(super) fn price(text: &str, catalog: &Catalog) -> Result<(), String> {
    let prices = catalog.plans.values().flatten().flat_map(|version| &version.prices);
    let flat: BTreeSet<&str> =
        prices.filter(|price| price.meter.is_none()).map(|price| price.price_id.as_str()).collect();
    if flat.contains(text) {
        return Ok(());
    }
    let flat = flat.into_iter().collect::<Vec<_>>().join(", ");
    Err(format!(
        "no plan of the catalog has a flat price {text}; what a metered price billed is told by meter_id; flat prices: {flat}"
    ))
}

/// Whether the catalog has the contract; one that it has no more can still be ended.
fn contract(text: &str, event_type: &str, catalog: &Catalog) -> Result<(), String> {
    let id = ContractId::parse(text).map_err(|error| error.to_string())?;
    if catalog.contracts.contains_key(&id) || event_type == "contract.ended" {
        return Ok(());
    }
    let contracts: Vec<&str> = catalog.contracts.keys().map(ContractId::as_str).collect();
    Err(format!("the catalog has no contract {id}; its contracts: {}", contracts.join(", ")))
}

/// Whether the catalog has the coupon; one that it has no more can still be withdrawn.
fn coupon(text: &str, event_type: &str, catalog: &Catalog) -> Result<(), String> {
    let id = CouponId::parse(text).map_err(|error| error.to_string())?;
    if catalog.coupons.contains_key(&id) || event_type == "coupon.withdrawn" {
        return Ok(());
    }
    let coupons: Vec<&str> = catalog.coupons.keys().map(CouponId::as_str).collect();
    Err(format!("the catalog has no coupon {id}; its coupons: {}", coupons.join(", ")))
}

/// Whether the catalog has the issuer.
fn issuer(text: &str, catalog: &Catalog) -> Result<(), String> {
    let id = IssuerId::parse(text).map_err(|error| error.to_string())?;
    if catalog.issuers.contains_key(&id) {
        return Ok(());
    }
    let issuers: Vec<&str> = catalog.issuers.keys().map(IssuerId::as_str).collect();
    Err(format!("the catalog has no issuer {id}; its issuers: {}", issuers.join(", ")))
}

/// Whether amount and currency of a credit are money above 0; that they are there was asked before.
fn credit_amount(data: &Map<String, Value>) -> Result<(), String> {
    let text = |field: &str| data.get(field).and_then(Value::as_str).unwrap_or_default();
    let currency = Currency::parse(text("currency")).map_err(|error| format!("currency: {error}"))?;
    let amount: Decimal = text("amount").parse().map_err(|error| format!("amount: {error}"))?;
    let money = Money::exact(amount, currency).map_err(|error| format!("amount: {error}"))?;
    if money.minor <= 0 {
        return Err("amount: a credit is above 0".to_owned());
    }
    Ok(())
}

fn check(data: &Map<String, Value>, field: &str, usable: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
    match data.get(field) {
        None => Ok(()),
        Some(Value::String(text)) => usable(text).map_err(|problem| format!("{field}: {problem}")),
        Some(_) => Err(format!("{field} must be a text in quotes")),
    }
}

/// Letters to put in, leave out or exchange between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(80).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, letter) in a.chars().enumerate() {
        let mut next = vec![at + 1];
        for (column, other) in b.iter().enumerate() {
            let exchanged = row[column] + usize::from(letter != *other);
            next.push(exchanged.min(row[column + 1] + 1).min(next[column] + 1));
        }
        row = next;
    }
    row[b.len()]
}
