use tollbook_schemas::lifecycle::{EventError, LifecycleEvent};
use tollbook_schemas::registry::{self, Position};
use tollbook_schemas::source::Source;

use super::*;
use crate::calendar::NOW;
use crate::world::{Settings, world};

/// Reads a message as ingest will. Shared with the traffic's tests.
pub(crate) fn read(message: &Message) -> Result<LifecycleEvent, EventError> {
    let header = |name: &str| {
        let found = message.headers.iter().find(|(known, _)| known == name)?;
        String::from_utf8(found.1.clone()).ok()
    };
    let value = serde_json::from_slice(message.payload.as_deref().unwrap()).map_err(|_| EventError::NotAnObject)?;
    match header("ce_type") {
        None => LifecycleEvent::from_structured(value),
        Some(_) => {
            let serde_json::Value::Object(data) = value else { return Err(EventError::Data) };
            LifecycleEvent::from_attributes(|name| header(&format!("ce_{name}")), data)
        }
    }
}

/// The registry that the messages make, credentials under their own text instead of a hash.
pub(crate) fn registry(messages: &[Message]) -> registry::Registry {
    let source = Source::kafka("demo", "partner-lifecycle", "1").unwrap();
    let mut events = Vec::new();
    for (offset, message) in (0..).zip(messages) {
        let Ok(mut event) = read(message) else { continue };
        if let Some(credential) = event.take_credential() {
            event.data.insert("credential_hashes".into(), vec![credential].into());
        }
        events.push((Position { source: source.clone(), partition: 0, offset, index: 0 }, event));
    }
    registry::fold(events, Some(crate::calendar::as_utc(NOW)))
}

#[test]
fn good_events_are_read_and_bad_ones_refused() {
    for (seed, partners) in [(1, 8), (2, 40)] {
        let world = world(&Settings { seed, partners, ..Settings::default() });
        let deliveries = deliveries(&world);
        let (mut accepted, mut reasons) = (0, BTreeSet::new());
        for (message, good) in deliveries.messages.iter().zip(&deliveries.good) {
            match (read(message), good) {
                (Ok(event), true) => {
                    accepted += 1;
                    let at = as_ms(event.occurred_at.timestamp_micros());
                    assert!(at < message.timestamp_ms && message.timestamp_ms < as_ms(NOW));
                }
                (Err(error), false) => {
                    reasons.insert(error.reason());
                }
                (found, _) => panic!("{found:?}: {}", String::from_utf8_lossy(message.payload.as_ref().unwrap())),
            }
        }
        let counts = deliveries.counts;
        assert_eq!((counts.accepted, counts.rejected, counts.duplicates), (accepted, 8, 1));
        assert_eq!(counts.messages, counts.accepted + counts.rejected);
        assert_eq!(counts.accepted, counts.distinct + counts.duplicates);
        assert_eq!(reasons.len(), 6, "every kind of refusal: {reasons:?}");
        let in_order = deliveries.messages.is_sorted_by_key(|message| message.timestamp_ms);
        assert!(in_order);
    }
}

#[test]
fn the_registry_finds_the_world_again() {
    let world = world(&Settings::default());
    let registry = registry(&world.lifecycle_messages());
    assert_eq!(registry.findings, []);
    assert_eq!(registry.duplicate_count, 1);
    assert_eq!(registry.partners.len(), world.partners.len());
    for partner in &world.partners {
        let found = &registry.partners[&partner.id.clone().try_into().unwrap()];
        assert_eq!(found.registered_at, Some(crate::calendar::as_utc(partner.registered_at)));
        assert_eq!(found.offboarded_at, partner.offboarded_at.map(crate::calendar::as_utc));
        assert_eq!(found.is_internal, partner.is_internal);
        let Some(subscription) = &partner.subscription else { continue };
        let started_at = crate::calendar::as_utc(subscription.started_at);
        let found = &registry.subscriptions[&(subscription.id.clone().try_into().unwrap(), started_at)];
        assert_eq!(found.started_at, crate::calendar::as_utc(subscription.started_at));
        assert_eq!(found.ended_at, subscription.ended_at.map(crate::calendar::as_utc));
        assert_eq!(found.time_zone.map(|zone| zone.name()), subscription.zone.map(|zone| zone.name));
        assert_eq!(found.plan_id.as_str(), subscription.plan.id);
    }
}

#[test]
fn costs_are_recorded_once_and_exactly() {
    let world = world(&Settings::default());
    let read: Vec<LifecycleEvent> =
        world.lifecycle_messages().iter().filter_map(|message| read(message).ok()).collect();
    let costs: Vec<&LifecycleEvent> = read.iter().filter(|event| event.event_type == "cost.recorded").collect();
    let found: Vec<String> = costs
        .iter()
        .map(|event| format!("{} {}", event.text("amount").unwrap(), event.text("currency").unwrap()))
        .collect();
    assert_eq!(found.len(), 5);
    for cost in ["412.37 EUR", "950.00 EUR", "84.50 EUR", "128.405 USD", "39 USD"] {
        assert!(found.iter().any(|found| found == cost), "{cost}");
    }
    assert_eq!(costs.iter().filter(|event| event.partner_id.is_some()).count(), 1);
    assert!(costs.iter().all(|event| event.text("period") == Some("2026-06")));
}
