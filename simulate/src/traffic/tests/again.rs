//! A second opinion on the ledger: the bytes are read again, strictly, attributed through the registry's fold, and
//! priced from the catalog. It knows nothing of how the messages were made.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use tollbook_schemas::catalog::{Catalog, CatalogFile, PriceModel};
use tollbook_schemas::decimal::{Decimal, Exact};
use tollbook_schemas::money::Money;
use tollbook_schemas::period::{Period, parse_instant};
use tollbook_schemas::registry::{IdentityLink, LinkSystem, Registry, Subscription};

use crate::ledger::UsageKey;
use crate::lifecycle::tests::registry;
use crate::{Message, World};

#[derive(Deserialize)]
struct Record {
    event_id: String,
    occurred_at: String,
    path: Option<String>,
    status: Option<i64>,
    request_bytes: Option<i64>,
    response_bytes: Option<i64>,
    latency_us: Option<i64>,
    upstream_latency_us: Option<i64>,
    consumer: Option<String>,
    credential: Option<String>,
    environment: Option<String>,
    attributes: Option<BTreeMap<String, Box<RawValue>>>,
}

impl Record {
    fn read(text: &str) -> Option<(Self, DateTime<Utc>)> {
        let record: Self = serde_json::from_str(text).ok()?;
        let instant = parse_instant(&record.occurred_at).ok()?;
        let counts = [record.request_bytes, record.response_bytes, record.latency_us, record.upstream_latency_us];
        let fits = (1..=200).contains(&record.event_id.len())
            && (2000..2200).contains(&instant.year())
            && record.status.is_none_or(|status| (100..=999).contains(&status))
            && counts.iter().flatten().all(|count| *count >= 0);
        fits.then_some((record, instant))
    }

    /// A string's text or a number's literal.
    fn attribute(&self, name: &str) -> Option<&str> {
        Some(self.attributes.as_ref()?.get(name)?.get().trim_matches('"'))
    }
}

/// The elements of a message; one unreadable piece where it cannot be split.
pub(super) fn elements(payload: Option<&[u8]>) -> Vec<String> {
    let text = payload.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("");
    match serde_json::from_str::<Vec<Box<RawValue>>>(text) {
        Ok(elements) => elements.iter().map(|element| element.get().to_owned()).collect(),
        Err(_) => vec![text.to_owned()],
    }
}

/// Partner and environment, or why nobody.
fn attribute(registry: &Registry, record: &Record, at: DateTime<Utc>) -> Result<(String, String), &'static str> {
    let link = |system: LinkSystem, external_id: Option<&String>| {
        let live = |link: &&IdentityLink| {
            link.system == system
                && Some(&link.external_id) == external_id
                && link.valid_from <= at
                && link.valid_to.is_none_or(|to| at < to)
        };
        registry.links.iter().find(live)
    };
    let links: Vec<_> = [
        link(LinkSystem::Credential, record.credential.as_ref()),
        link(LinkSystem::Consumer, record.consumer.as_ref()),
    ]
    .into_iter()
    .flatten()
    .collect();
    let partner = &links.first().ok_or("unknown_consumer")?.partner_id;
    if partner.is_none() || links.iter().any(|link| link.partner_id != *partner) {
        return Err("link_conflict");
    }
    let of_links: BTreeSet<&str> = links.iter().filter_map(|link| link.environment.map(|e| e.as_str())).collect();
    let all: BTreeSet<&str> = of_links.iter().copied().chain(record.environment.as_deref()).collect();
    match (all.len(), all.first(), partner) {
        (0, _, _) => Err("environment_unknown"),
        (1, Some(environment), Some(partner)) => Ok((partner.to_string(), (*environment).to_owned())),
        _ => Err("environment_conflict"),
    }
}

/// What one request adds: meter, product, quantity; users by name.
fn meters(record: &Record) -> Vec<(&'static str, &'static str, Decimal)> {
    if !record.status.is_some_and(|status| (200..300).contains(&status)) {
        return Vec::new();
    }
    let one = Decimal::whole(1);
    let path = record.path.as_deref().unwrap_or("");
    let mut found = Vec::new();
    let product = if path.starts_with("/maps/directions/") || path.starts_with("/routing/") {
        found.push(("routing-calls", "routing", one));
        "routing"
    } else if path.starts_with("/maps/") {
        found.push(("map-calls", "maps", one));
        found.extend(record.response_bytes.map(|bytes| ("map-bytes", "maps", Decimal::whole(bytes))));
        "maps"
    } else if path.starts_with("/llm/") {
        found.extend(record.attribute("tokens").map(|text| ("llm-tokens", "llm", text.parse().unwrap())));
        "llm"
    } else {
        "unmapped"
    };
    found.push(("all-calls", product, one));
    found
}

/// Quantities by key; users by name until the end.
struct Sums<K> {
    sums: BTreeMap<K, Decimal>,
    users: BTreeMap<K, BTreeSet<String>>,
}

impl<K: Ord> Sums<K> {
    fn new() -> Self {
        Self { sums: BTreeMap::new(), users: BTreeMap::new() }
    }

    fn add(&mut self, record: &Record, key: impl Fn(&str, &str) -> K) {
        let found = meters(record);
        for (meter, product, quantity) in &found {
            let sum = self.sums.entry(key(meter, product)).or_insert(Decimal::ZERO);
            *sum = sum.checked_add(*quantity).unwrap();
        }
        if let Some(user) = record.attribute("user").filter(|_| !found.is_empty()) {
            self.users.entry(key("llm-users", "llm")).or_default().insert(user.to_owned());
        }
    }

    fn finish(self) -> BTreeMap<K, Decimal> {
        let users = self.users.into_iter().map(|(key, users)| (key, Decimal::whole(users.len() as i64)));
        self.sums.into_iter().chain(users).collect()
    }
}

/// What was found.
#[derive(Default)]
pub(super) struct Again {
    pub accepted: u64,
    pub rejected: u64,
    pub ids: BTreeSet<String>,
    pub unattributed: BTreeMap<String, u64>,
    pub usage: BTreeMap<UsageKey, Decimal>,
    pub first: BTreeMap<(String, String), DateTime<Utc>>,
    /// For each partner: price, quantity, minor units.
    pub invoices: BTreeMap<String, Vec<(String, String, i128)>>,
}

pub(super) fn read_again(world: &World, messages: &[Message]) -> Again {
    let registry = registry(&world.lifecycle_messages());
    let catalog = catalog(world);
    let billed: BTreeMap<String, (&Subscription, Period)> = registry
        .subscriptions
        .values()
        .map(|subscription| {
            (subscription.partner_id.to_string(), (subscription, billed(world, &catalog, subscription)))
        })
        .collect();
    let mut again = Again::default();
    let (mut usage, mut billed_usage) = (Sums::new(), Sums::new());
    for element in messages.iter().flat_map(|message| elements(message.payload.as_deref())) {
        let Some((record, at)) = Record::read(&element) else {
            again.rejected += 1;
            continue;
        };
        again.accepted += 1;
        if !again.ids.insert(record.event_id.clone()) {
            continue;
        }
        let (partner, environment) = match attribute(&registry, &record, at) {
            Ok(whose) => whose,
            Err(reason) => {
                *again.unattributed.entry(reason.to_owned()).or_default() += 1;
                continue;
            }
        };
        if !meters(&record).is_empty() {
            let first = again.first.entry((partner.clone(), environment.clone())).or_insert(at);
            *first = at.min(*first);
        }
        usage.add(&record, |meter, product| UsageKey {
            partner: partner.clone(),
            meter: meter.to_owned(),
            environment: environment.clone(),
            product: product.to_owned(),
        });
        if environment == "production" && billed.get(&partner).is_some_and(|(_, period)| period.contains(at)) {
            billed_usage.add(&record, |meter, _| (partner.clone(), meter.to_owned()));
        }
    }
    again.usage = usage.finish();
    let billed_usage = billed_usage.finish();
    for (partner, (subscription, _)) in &billed {
        again.invoices.insert(partner.clone(), price(world, &catalog, subscription, &billed_usage));
    }
    again
}

fn catalog(world: &World) -> Catalog {
    let files = world.catalog_files().into_iter().map(|(path, text)| CatalogFile { path, text });
    Catalog::parse(&files.collect::<Vec<_>>()).unwrap()
}

fn june(world: &World, catalog: &Catalog, subscription: &Subscription) -> Period {
    // The issuer does not change between versions of the demo's plans.
    let issuer = &catalog.issuers[&catalog.plans[&subscription.plan_id][0].issuer];
    world.month().period(subscription.time_zone.unwrap_or(issuer.time_zone)).unwrap()
}

fn billed(world: &World, catalog: &Catalog, subscription: &Subscription) -> Period {
    let june = june(world, catalog, subscription);
    let subscribed = Period::new(subscription.started_at, subscription.ended_at.unwrap_or(june.end)).unwrap();
    june.intersect(&subscribed).unwrap()
}

fn price(
    world: &World,
    catalog: &Catalog,
    subscription: &Subscription,
    usage: &BTreeMap<(String, String), Decimal>,
) -> Vec<(String, String, i128)> {
    let plan = catalog.plan_at(&subscription.plan_id, june(world, catalog, subscription).start).unwrap();
    let mut lines = Vec::new();
    for price in &plan.prices {
        let partner = subscription.partner_id.to_string();
        let of_meter = |meter: &str| usage.get(&(partner.clone(), meter.to_owned())).copied().unwrap_or(Decimal::ZERO);
        let quantity = price.meter.as_ref().map_or(Decimal::whole(1), |meter| of_meter(meter.as_str()));
        let exact = match &price.tariff.model {
            PriceModel::Flat { amount } => Exact::from_decimal(*amount),
            PriceModel::PerUnit { unit_price } => unit_price.times(quantity),
            PriceModel::Graduated { tiers } => {
                // From the bounds: what lies above each tier's lower bound, less what lies above its upper one.
                let mut sum = Exact::ZERO;
                let mut lower = Decimal::ZERO;
                for (at, tier) in tiers.iter().enumerate() {
                    let above = |bound: Decimal| quantity.checked_sub(bound).unwrap().max(Decimal::ZERO);
                    let beyond = tier.up_to.map_or(Decimal::ZERO, above);
                    sum = sum.checked_add(tier.unit_price.times(above(lower).checked_sub(beyond).unwrap())).unwrap();
                    if at == 0 || quantity > lower {
                        sum = sum.checked_add(Exact::from_decimal(tier.flat_price)).unwrap();
                    }
                    lower = tier.up_to.unwrap_or(lower);
                }
                sum
            }
            other => panic!("the demo's plans have no {}", other.as_str()),
        };
        let amount = Money::round(exact, plan.currency).unwrap();
        lines.push((price.price_id.to_string(), quantity.to_string(), i128::from(amount.minor)));
    }
    lines
}
