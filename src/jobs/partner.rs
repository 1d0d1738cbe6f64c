//! `tollbook partner import|record`: lifecycle events for a team that has no event producer, through the same door as
//! those from Kafka: checked by the same rules, appended under a source of their own by the same transactions.
//!
//! An import's source is the SHA-256 of the file: the same file twice adds nothing. Contact data goes to
//! `billing_profile` and nowhere else.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tollbook_lake::{Outcome, TxnStep};
use tollbook_schemas::digest::sha256_hex;
use tollbook_schemas::id::{PartnerId, ProfileVersionId};
use tollbook_schemas::lifecycle::LifecycleEvent;
use tollbook_schemas::period::{parse_instant, print_instant};
use tollbook_schemas::source::Source;
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::billing::BILLING_PROFILE;
use tollbook_schemas::tables::partner_event::TABLE as PARTNER_EVENT;

use crate::context::JobContext;

/// An example file: what a column is for follows from its name; empty cells are left out.
pub const TEMPLATE: &str = include_str!("partner/template.csv");

/// One line of the file. A partner may have several: each adds a consumer or a subscription.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    partner_id: String,
    display_name: Option<String>,
    segment: Option<String>,
    registered_at: Option<String>,
    consumer: Option<String>,
    consumer_from: Option<String>,
    environment: Option<String>,
    subscription_id: Option<String>,
    plan_id: Option<String>,
    time_zone: Option<String>,
    subscription_from: Option<String>,
    legal_name: Option<String>,
    address: Option<String>,
    country: Option<String>,
    tax_id: Option<String>,
    billing_email: Option<String>,
    purchase_order: Option<String>,
    payment_terms_days: Option<i32>,
}

/// What an import would do.
pub struct ImportPlan {
    source: Source,
    events: Vec<LifecycleEvent>,
    profiles: Vec<Row>,
    /// One line for each thing that would be added.
    pub lines: Vec<String>,
}

/// Reads and checks a file, without writing anything.
///
/// # Errors
/// The first line that cannot be used, with its number and what is wrong.
pub async fn plan(context: &JobContext, path: &Path) -> anyhow::Result<ImportPlan> {
    let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let sha256 = sha256_hex(&bytes);
    let catalog = context.catalog()?;
    let mut plan = ImportPlan {
        source: Source::parse(format!("/import/{}", &sha256[..32]))?,
        events: Vec::new(),
        profiles: Vec::new(),
        lines: Vec::new(),
    };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes.as_slice());
    for (at, line) in reader.deserialize::<Line>().enumerate() {
        let number = at + 2;
        let place = || format!("{} line {number}", path.display());
        let line = line.with_context(|| format!("{} cannot be read; see --template", place()))?;
        if let Some(plan_id) = &line.plan_id
            && !catalog.plans.keys().any(|known| known.as_str() == plan_id)
        {
            bail!("{}: the catalog has no plan {plan_id}", place());
        }
        add_line(&mut plan, &line, &sha256, number, context.clock.now()).with_context(place)?;
    }
    for event in &plan.events {
        let partner = event.partner_id.as_ref().map_or("", PartnerId::as_str);
        plan.lines.push(format!(
            "{partner}: {} at {} {}",
            event.event_type,
            print_instant(event.occurred_at),
            event.data_json()
        ));
    }
    for profile in &plan.profiles {
        let (partner, id) = (profile.text("partner_id"), profile.text("profile_version_id"));
        plan.lines.push(format!("{}: billing profile {}", partner.unwrap_or_default(), id.unwrap_or_default()));
    }
    Ok(plan)
}

fn add_line(plan: &mut ImportPlan, line: &Line, sha256: &str, number: usize, now: DateTime<Utc>) -> anyhow::Result<()> {
    let event = |kind: &str, at: &Option<String>, data: Value| -> anyhow::Result<LifecycleEvent> {
        let at = at.as_ref().with_context(|| format!("{kind} needs its instant"))?;
        let data = match data {
            Value::Object(data) => data.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            _ => Map::new(),
        };
        let attributes = BTreeMap::from([
            ("specversion", "1.0".to_owned()),
            ("type", format!("tollbook.partner.{kind}.v1")),
            ("source", format!("/import/{}", &sha256[..32])),
            ("id", format!("{number}-{kind}")),
            ("time", at.clone()),
            ("subject", format!("partner/{}", line.partner_id)),
            ("actor", "system:import".to_owned()),
        ]);
        Ok(LifecycleEvent::from_attributes(|name| attributes.get(name).cloned(), data)?)
    };
    if line.registered_at.is_some() {
        let data = json!({ "display_name": line.display_name, "segment": line.segment });
        plan.events.push(event("registered", &line.registered_at, data)?);
    }
    if let Some(consumer) = &line.consumer {
        let at = line.consumer_from.clone().or_else(|| line.registered_at.clone());
        let data = json!({ "system": "gateway", "external_id": consumer, "environment": line.environment });
        plan.events.push(event("identity.linked", &at, data)?);
    }
    if let Some(subscription) = &line.subscription_id {
        let at = line.subscription_from.clone();
        let data = json!({ "subscription_id": subscription, "plan_id": line.plan_id, "time_zone": line.time_zone });
        plan.events.push(event("subscription.started", &at, data)?);
    }
    if let Some(legal_name) = &line.legal_name {
        plan.profiles.push(profile_of(line, legal_name, now)?);
    }
    Ok(())
}

fn profile_of(line: &Line, legal_name: &str, now: DateTime<Utc>) -> anyhow::Result<Row> {
    let need =
        |value: &Option<String>, name: &str| value.clone().with_context(|| format!("a billing profile needs {name}"));
    let address = need(&line.address, "address")?.replace("\\n", "\n");
    let country = need(&line.country, "country")?;
    if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
        bail!("country must be two capital letters, such as DE");
    }
    let email = need(&line.billing_email, "billing_email")?;
    if !email.contains('@') {
        bail!("billing_email has no @");
    }
    let terms = line.payment_terms_days.context("a billing profile needs payment_terms_days")?;
    let from = line.registered_at.clone().or_else(|| line.subscription_from.clone());
    let effective_from = parse_instant(&from.context("a billing profile needs registered_at or subscription_from")?)?;
    let partner = PartnerId::parse(line.partner_id.clone())?;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let id = ProfileVersionId::derive([
        partner.as_str(),
        &print_instant(effective_from),
        legal_name,
        &address,
        &country,
        &text(&line.tax_id),
        &email,
        &text(&line.purchase_order),
        &terms.to_string(),
    ]);
    Ok(Row::new()
        .with("profile_version_id", id.as_str())
        .with("partner_id", partner.as_str())
        .with("effective_from", effective_from)
        .with("legal_name", legal_name)
        .with("address", address)
        .with("country", country)
        .with("tax_id", line.tax_id.clone())
        .with("billing_email", email)
        .with("purchase_order", line.purchase_order.clone())
        .with("payment_terms_days", terms)
        .with("recorded_at", now))
}

/// Writes what a plan says; gives how many events and profiles were new.
///
/// # Errors
/// The lake's.
pub async fn apply(context: &JobContext, plan: &ImportPlan) -> anyhow::Result<(usize, usize)> {
    let profiles = context.lake.append_missing(&BILLING_PROFILE, &plan.profiles).await?;
    let events = append(context, &plan.source, None, &plan.events).await?;
    Ok((events, profiles))
}

/// Appends events behind `expected` under a source of their own; none where they are there already.
async fn append(
    context: &JobContext,
    source: &Source,
    expected: Option<i64>,
    events: &[LifecycleEvent],
) -> anyhow::Result<usize> {
    let first = expected.unwrap_or(0);
    let rows: Vec<Row> = events
        .iter()
        .zip(first..)
        .map(|(event, offset)| {
            let row = event.row().with("source", source.as_str()).with("kafka_partition", 0_i32);
            row.with("kafka_offset", offset).with("record_index", 0_i32).with("received_at", context.clock.now())
        })
        .collect();
    let step = TxnStep { app_id: source.app_id(0), expected, next: first + i64::try_from(rows.len())? };
    match context.lake.append(&PARTNER_EVENT, &rows, &[step]).await? {
        Outcome::Committed => Ok(rows.len()),
        Outcome::Already => Ok(0),
        Outcome::Fenced { found, .. } => {
            bail!("{source} stands at {found:?}: another command appended to it at the same time; run it again")
        }
    }
}

/// An event by hand.
#[derive(Debug, clap::Args)]
pub struct Recorded {
    /// Partner.
    #[arg(long)]
    partner: String,
    /// Type without organisation and version, such as subscription.cancelled.
    #[arg(long = "type")]
    event_type: String,
    /// When it became true.
    #[arg(long)]
    at: String,
    /// Who did it: staff:NAME, partner:NAME or system:RULE.
    #[arg(long)]
    actor: String,
    /// Data of the event, JSON.
    #[arg(long, default_value = "{}")]
    data: String,
}

/// Records one event; gives what was recorded, in words. The same event twice is one event.
///
/// # Errors
/// What is wrong with the event.
pub async fn record(context: &JobContext, recorded: &Recorded) -> anyhow::Result<String> {
    if !["staff:", "partner:", "system:"].iter().any(|kind| recorded.actor.starts_with(kind)) {
        bail!("--actor must be staff:NAME, partner:NAME or system:RULE");
    }
    let Value::Object(data) = serde_json::from_str(&recorded.data).context("--data is not JSON")? else {
        bail!("--data must be a JSON object");
    };
    if data.contains_key("credential") {
        bail!("a credential must not be an argument, where every process can read it; send the event through Kafka");
    }
    let id = sha256_hex(format!("{recorded:?}").as_bytes());
    let attributes = BTreeMap::from([
        ("specversion", "1.0".to_owned()),
        ("type", format!("tollbook.partner.{}.v1", recorded.event_type)),
        ("source", "/tollbook/record".to_owned()),
        ("id", id[..32].to_owned()),
        ("time", recorded.at.clone()),
        ("subject", format!("partner/{}", recorded.partner)),
        ("actor", recorded.actor.clone()),
    ]);
    let event = LifecycleEvent::from_attributes(|name| attributes.get(name).cloned(), data)?;
    let source = Source::parse("/tollbook/record")?;
    let expected = context.lake.txn(&PARTNER_EVENT, &source.app_id(0)).await?;
    append(context, &source, expected, std::slice::from_ref(&event)).await?;
    Ok(format!(
        "{}: {} at {}, by {}",
        recorded.partner,
        event.event_type,
        print_instant(event.occurred_at),
        recorded.actor
    ))
}

#[cfg(test)]
mod tests;
