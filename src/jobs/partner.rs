//! `tollbook partner import|record`: lifecycle events for a team that has no event producer, checked by the same rules
//! as those from Kafka and by more, because somebody is there to mend them.
//!
//! An event's id is a hash of what it says, so the same file, and a file of which a line was edited, add only what is
//! new. Contact data goes to `billing_profile` and nowhere else.

mod content;
mod door;
mod line;
mod profile;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use tollbook_lake::LakeError;
use tollbook_schemas::actor::Actor;
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::digest::sha256_hex;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::lifecycle::LifecycleEvent;
use tollbook_schemas::period::{parse_instant, print_instant};
use tollbook_schemas::registry::Position;
use tollbook_schemas::source::Source;
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::billing::BILLING_PROFILE;

use crate::configuration::ConfigurationError;
use crate::context::JobContext;
use crate::output::talk;

use door::Against;
use line::Lines;
pub(crate) use profile::Profile;

/// An example file: what a column is for follows from its name; empty cells are left out.
pub const TEMPLATE: &str = include_str!("partner/template.csv");

/// What an import would do.
pub struct ImportPlan {
    read: Lines,
    file_sha256: String,
    catalog: Catalog,
    new_events: Vec<LifecycleEvent>,
    new_profiles: Vec<Row>,
    /// One line for each thing that would be added.
    pub lines: Vec<String>,
}

impl ImportPlan {
    /// The same for machines: an object for each thing that would be added. Contact data are left out.
    #[must_use]
    pub fn json(&self) -> Vec<Value> {
        let events = self.new_events.iter().map(json_of);
        let profiles = self.new_profiles.iter().map(|row| {
            json!({ "partner_id": row.text("partner_id"), "profile_version_id": row.text("profile_version_id"),
                "effective_from": row.instant("effective_from").map(print_instant) })
        });
        events.chain(profiles).collect()
    }
}

fn json_of(event: &LifecycleEvent) -> Value {
    json!({ "partner_id": event.partner_id, "type": event.event_type, "at": print_instant(event.occurred_at),
        "actor": event.actor, "event_id": event.id, "data": event.data })
}

/// Reads and checks a file, without writing anything.
///
/// # Errors
/// Every line that cannot be used, with its number and column; what contradicts the registry.
pub async fn plan(context: &JobContext, path: &Path) -> anyhow::Result<ImportPlan> {
    let bytes = std::fs::read(path).map_err(|error| {
        let path = path.display();
        ConfigurationError(format!("{path} cannot be read ({error}); `tollbook partner import --template` prints one"))
    })?;
    let catalog = context.catalog()?;
    let read = line::read(path, &bytes, &catalog)?;
    let known = door::known(&context.lake).await?;
    let new_events = door::missing(&known, door::IMPORT, &read.events);
    // Behind whatever the import has appended: the place only decides between events of one instant.
    let against = Against { catalog: Some(&catalog), lines: Some(&read) };
    door::refuse(&known, &Source::parse(door::IMPORT)?, i64::from(i32::MAX), &new_events, against)?;
    let stored = context.lake.rows(&BILLING_PROFILE, None).await?;
    let new_profiles = profile::missing(&stored, &read.profiles, context.clock.now());
    let mut lines = Vec::new();
    for event in &new_events {
        let partner = event.partner_id.as_ref().map_or("", PartnerId::as_str);
        let at = print_instant(event.occurred_at);
        lines.push(format!("{partner}: {} at {at} {}", event.event_type, event.data_json()));
    }
    for profile in &new_profiles {
        let (partner, id) = (profile.text("partner_id"), profile.text("profile_version_id"));
        lines.push(format!("{}: billing profile {}", partner.unwrap_or_default(), id.unwrap_or_default()));
    }
    Ok(ImportPlan { read, file_sha256: sha256_hex(&bytes), catalog, new_events, new_profiles, lines })
}

/// Writes what a plan says; gives how many events and profiles were new.
///
/// # Errors
/// The job's; what contradicts the registry by now.
pub async fn apply(context: &JobContext, plan: &ImportPlan) -> anyhow::Result<(usize, usize)> {
    let work = async {
        let now = context.clock.now();
        // Events first: they can be refused, and then nothing of the file is there.
        let against = Against { catalog: Some(&plan.catalog), lines: Some(&plan.read) };
        let events = door::append_new(&context.lake, door::IMPORT, &plan.read.events, against, now).await?;
        let stored = context.lake.rows(&BILLING_PROFILE, None).await?;
        let rows = profile::missing(&stored, &plan.read.profiles, now);
        let profiles = context.lake.append_missing(&BILLING_PROFILE, &rows).await?;
        let counts = json!({ "events": events, "profiles": profiles, "file_sha256": plan.file_sha256 });
        Ok(((events, profiles), counts))
    };
    context.run("partner import", Some(plan.catalog.sha256.clone()), work).await
}

/// An event by hand.
#[derive(Debug, Clone, clap::Args)]
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

/// What became of an event by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordResult {
    event: LifecycleEvent,
    /// Whether it was added; else it was there already.
    pub is_new: bool,
}

impl RecordResult {
    /// The same for machines.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut value = json_of(&self.event);
        value["is_new"] = self.is_new.into();
        value
    }
}

impl fmt::Display for RecordResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partner = self.event.partner_id.as_ref().map_or("", PartnerId::as_str);
        let at = print_instant(self.event.occurred_at);
        let known = if self.is_new { "" } else { "; it was there already, nothing was added" };
        let actor = self.event.actor.as_deref().unwrap_or_default();
        write!(f, "{partner}: {} at {at}, by {actor}{known}", self.event.event_type)
    }
}

/// How often the lease of another `partner record` is waited for, and how long each time: longer than the lease of one
/// that was killed.
const LEASE_WAITS_MAX: u32 = 260;
const LEASE_WAIT: Duration = Duration::from_millis(250);

/// Records one event. The same event twice is one event.
///
/// # Errors
/// What is wrong with the event, or contradicts the registry.
pub async fn record_event(context: &JobContext, recorded: &Recorded) -> anyhow::Result<RecordResult> {
    let catalog = context.catalog()?;
    let event = checked(recorded, &catalog)?;
    let mut waits = 0;
    loop {
        let work = async {
            let events = std::slice::from_ref(&event);
            let against = Against { catalog: Some(&catalog), lines: None };
            let added = door::append_new(&context.lake, door::RECORD, events, against, context.clock.now()).await?;
            let counts = json!({ "events": added, "type": event.event_type, "partner": event.partner_id });
            Ok((RecordResult { event: event.clone(), is_new: added > 0 }, counts))
        };
        match context.run("partner record", Some(catalog.sha256.clone()), work).await {
            // Recording takes a moment: whoever is second waits, rather than losing what a person typed.
            Err(error) if is_held(&error) && waits < LEASE_WAITS_MAX => {
                if waits == 0 {
                    talk("another `partner record` runs; waiting for it");
                }
                waits += 1;
                tokio::time::sleep(LEASE_WAIT).await;
            }
            result => return result,
        }
    }
}

fn is_held(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(LakeError::LeaseHeld { .. }))
}

fn checked(recorded: &Recorded, catalog: &Catalog) -> Result<LifecycleEvent, ConfigurationError> {
    let wrong = |what: String| ConfigurationError(what);
    Actor::parse(&recorded.actor).map_err(|error| wrong(format!("--actor: {error}")))?;
    let at = parse_instant(&recorded.at).map_err(|error| wrong(format!("--at: {error}")))?;
    // serde's own words do not quote the text.
    let data: Value = serde_json::from_str(&recorded.data)
        .map_err(|error| wrong(format!("--data is not JSON ({error}); write it as '{{\"key\":\"value\"}}'")))?;
    let Value::Object(data) = data else {
        return Err(wrong("--data must be a JSON object, such as '{\"subscription_id\":\"s1\"}'".to_owned()));
    };
    content::check_type(&recorded.event_type).map_err(wrong)?;
    content::check_data(&recorded.event_type, &data, catalog).map_err(wrong)?;
    event_of(door::RECORD, &recorded.event_type, at, &recorded.partner, &recorded.actor, data).map_err(wrong)
}

/// Every event that is known, with its place.
///
/// # Errors
/// The lake's.
pub(super) async fn known_events(context: &JobContext) -> anyhow::Result<Vec<(Position, LifecycleEvent)>> {
    door::known(&context.lake).await
}

/// An event of another command of the command line, such as `bill adjust`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn command_event(
    door: &str,
    event_type: &str,
    at: DateTime<Utc>,
    partner: &PartnerId,
    actor: &Actor,
    data: Map<String, Value>,
) -> Result<LifecycleEvent, ConfigurationError> {
    event_of(door, event_type, at, partner.as_str(), actor.as_str(), data).map_err(ConfigurationError)
}

/// Appends those of the events that say something new, through the door of a command; gives how many.
///
/// # Errors
/// What contradicts the registry; the lake's.
pub(super) async fn append_events(
    context: &JobContext,
    door: &str,
    events: &[LifecycleEvent],
) -> anyhow::Result<usize> {
    door::append_new(&context.lake, door, events, Against::default(), context.clock.now()).await
}

/// An event of the command line; its id is its content.
fn event_of(
    door: &str,
    event_type: &str,
    at: DateTime<Utc>,
    partner: &str,
    actor: &str,
    data: Map<String, Value>,
) -> Result<LifecycleEvent, String> {
    let attributes = BTreeMap::from([
        ("specversion", "1.0".to_owned()),
        ("type", format!("tollbook.partner.{event_type}.v1")),
        ("source", door.to_owned()),
        ("id", "content".to_owned()),
        ("time", print_instant(at)),
        ("subject", format!("partner/{partner}")),
        ("actor", actor.to_owned()),
    ]);
    let event = LifecycleEvent::from_attributes(|name| attributes.get(name).cloned(), data);
    let event = event.map_err(|error| error.to_string())?;
    Ok(LifecycleEvent { id: door::content_id(&event, 0), ..event })
}

#[cfg(test)]
mod tests;
