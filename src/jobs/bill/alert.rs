//! Alerts: partners that have come to a configured level of usage or spend in a month, told once.
//!
//! After usage was computed, the month that runs and the one before it are rated as they are, without writing
//! documents. Who has reached a level and was not told before becomes a lifecycle event (`alert.reached`) under a
//! source of its own, dated to the first instant of the month by UTC. The registry makes nothing of it; the view
//! `alert` lists them.

use std::collections::BTreeSet;

use anyhow::bail;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use tollbook_billing::alert::{Alert, Level, Reached, reached};
use tollbook_billing::issue::read_issued;
use tollbook_schemas::actor::Actor;
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::period::Month;

use super::Inputs;
use crate::configuration::ConfigurationError;
use crate::context::JobContext;
use crate::jobs::partner::{append_events, command_event, known_events};

/// Source of what is appended.
const ALERT: &str = "/tollbook/alert";
/// Type of the events; of none that the registry folds.
pub(super) const REACHED: &str = "alert.reached";

/// Finds who has newly reached a level, as of an instant, and records it.
///
/// # Errors
/// A meter that the catalog does not have; the job's.
pub async fn evaluate(context: &JobContext, as_of: DateTime<Utc>) -> anyhow::Result<Vec<Reached>> {
    let alerts = context.configuration.alerts()?;
    if alerts.is_empty() {
        return Ok(Vec::new());
    }
    let work = Box::pin(async {
        let inputs = Inputs::read(context).await?;
        check(&alerts, &inputs.catalog)?;
        let now = Month::of(as_of, chrono_tz::UTC);
        let issued = read_issued(&context.lake, None).await?;
        let mut found = Vec::new();
        // What came late may bring the month before to its level.
        for month in [now.previous(), now] {
            let drafted = inputs.draft_adjusting(month, as_of, &issued)?;
            found.extend(reached(&alerts, month, &drafted.documents, &issued)?);
        }
        let told = told_before(context).await?;
        found.retain(|one| !told.contains(&key_of(one)));
        let mut events = Vec::new();
        for one in &found {
            let Reached { alert, partner_id, month, of, level, measured } = one;
            let data = json!({ "alert": alert, "level": level, "measured": measured, "month": month, "of": of });
            let data = if let Value::Object(data) = data { data } else { Map::new() };
            let at = month.period(chrono_tz::UTC)?.start;
            events.push(command_event(ALERT, REACHED, at, partner_id, &Actor::rule("alert"), data)?);
        }
        let added = append_events(context, ALERT, &events).await?;
        let counts = json!({ "alerts": alerts.len(), "reached": added });
        Ok((found, counts))
    });
    context.run("bill alert", None, work).await
}

/// A line each, for people.
#[must_use]
pub fn told(found: &[Reached]) -> Vec<String> {
    let line = |one: &Reached| {
        let Reached { alert, partner_id, month, of, level, measured } = one;
        format!("alert {alert}: {partner_id} has come to {level} {of} in {month}: it is {measured} by now")
    };
    found.iter().map(line).collect()
}

/// The same for machines.
#[must_use]
pub fn to_json(found: &[Reached]) -> Value {
    let one = |one: &Reached| {
        json!({ "alert": one.alert, "partner_id": one.partner_id, "month": one.month, "of": one.of, "level": one.level,
            "measured": one.measured })
    };
    found.iter().map(one).collect()
}

fn check(alerts: &[Alert], catalog: &Catalog) -> anyhow::Result<()> {
    for alert in alerts {
        if let Level::Usage { meter_id, .. } = &alert.level
            && !catalog.meters.contains_key(meter_id)
        {
            let meters: Vec<&str> = catalog.meters.keys().map(|meter| meter.as_str()).collect();
            bail!(ConfigurationError(format!(
                "[[alert]] {} is of meter {meter_id}, which the catalog does not have; its meters: {}",
                alert.name,
                meters.join(", ")
            )));
        }
    }
    Ok(())
}

/// Alert, partner and month: what is told once, whatever was measured.
type Key = (String, String, String);

fn key_of(one: &Reached) -> Key {
    (one.alert.clone(), one.partner_id.to_string(), one.month.to_string())
}

async fn told_before(context: &JobContext) -> anyhow::Result<BTreeSet<Key>> {
    let known = known_events(context).await?;
    let of_ours = known.into_iter().filter(|(at, event)| at.source.as_str() == ALERT && event.event_type == REACHED);
    let key = |event: &tollbook_schemas::lifecycle::LifecycleEvent| {
        let text = |field| event.text(field).unwrap_or_default().to_owned();
        (text("alert"), event.partner_id.as_ref().map_or_else(String::new, ToString::to_string), text("month"))
    };
    Ok(of_ours.map(|(_, event)| key(&event)).collect())
}
