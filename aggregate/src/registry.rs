//! `partner_event` rows → the registry (the fold is `schemas::registry`'s) → the tables `partner`, `identity_link`,
//! `subscription`, replaced as a whole in one commit each.

use chrono::{DateTime, Utc};
use tollbook_lake::{Lake, Outcome, TxnStep, pin_condition};
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::lifecycle::LifecycleEvent;
use tollbook_schemas::pin::Pin;
use tollbook_schemas::registry::{Position, Registry, fold};
use tollbook_schemas::schedule;
use tollbook_schemas::source::Source;
use tollbook_schemas::tables::partner_event::TABLE as PARTNER_EVENT;
use tollbook_schemas::tables::{Row, Table, derived};

use crate::error::AggregateError;

/// The registry as of an instant, from the events below a pin.
///
/// # Errors
/// [`AggregateError`] when the lake cannot be read or a stored event is damaged.
pub async fn read_registry(lake: &Lake, pin: &Pin, as_of: Option<DateTime<Utc>>) -> Result<Registry, AggregateError> {
    let rows = lake.rows(&PARTNER_EVENT, Some(&pin_condition(pin))).await?;
    let events = rows.iter().map(event_of).collect::<Result<Vec<_>, _>>()?;
    Ok(fold(events, as_of))
}

fn event_of(row: &Row) -> Result<(Position, LifecycleEvent), AggregateError> {
    let damaged = |what: &str| AggregateError::Stored { table: PARTNER_EVENT.name, what: what.to_owned() };
    let text = |column: &str| row.text(column).map(str::to_owned).ok_or_else(|| damaged(column));
    let int = |column: &str| row.int(column).ok_or_else(|| damaged(column));
    let small = |column: &str| int(column).and_then(|int| i32::try_from(int).map_err(|_| damaged(column)));
    let position = Position {
        source: Source::parse(text("source")?).map_err(|_| damaged("source"))?,
        partition: small("kafka_partition")?,
        offset: int("kafka_offset")?,
        index: small("record_index")?,
    };
    let partner_id = row.text("partner_id").map(PartnerId::parse).transpose().map_err(|_| damaged("partner_id"))?;
    let event = LifecycleEvent {
        source: text("event_source")?,
        id: text("event_id")?,
        event_type: text("event_type")?,
        event_type_full: text("event_type_full")?,
        partner_id,
        occurred_at: row.instant("occurred_at").ok_or_else(|| damaged("occurred_at"))?,
        actor: row.text("actor").map(str::to_owned),
        correlation_id: row.text("correlation_id").map(str::to_owned),
        causation_id: row.text("causation_id").map(str::to_owned),
        data: serde_json::from_str(&text("data")?).map_err(|_| damaged("data"))?,
    };
    Ok((position, event))
}

/// Writes the registry's tables; running it again with the same registry changes nothing.
///
/// # Errors
/// [`AggregateError`].
pub async fn refresh_registry(lake: &Lake, registry: &Registry, catalog: &Catalog) -> Result<(), AggregateError> {
    let partners: Vec<Row> = registry
        .partners
        .iter()
        .map(|(id, partner)| {
            Row::new()
                .with("partner_id", id.as_str())
                .with("display_name", partner.display_name.clone())
                .with("segment", partner.segment.clone())
                .with("owner", partner.owner.clone())
                .with("registered_at", partner.registered_at)
                .with("offboarded_at", partner.offboarded_at)
                .with("is_internal", partner.is_internal)
                .with("is_test", partner.is_test)
                .with("event_count", partner.event_count)
        })
        .collect();
    let links: Vec<Row> = registry
        .links
        .iter()
        .map(|link| {
            Row::new()
                .with("system", link.system.as_str())
                .with("external_id", link.external_id.as_str())
                .with("partner_id", link.partner_id.as_ref().map(|id| id.as_str().to_owned()))
                .with("environment", link.environment.map(|environment| environment.as_str().to_owned()))
                .with("valid_from", link.valid_from)
                .with("valid_to", link.valid_to)
        })
        .collect();
    let subscriptions: Vec<Row> = registry
        .subscriptions
        .values()
        .map(|subscription| {
            let zone = schedule::cut_zone(catalog, subscription);
            // Outside the calendar nothing ends: drafting tells why it cannot be billed.
            let ended_at = schedule::ends_at(catalog, subscription, zone).unwrap_or(subscription.ended_at);
            Row::new()
                .with("subscription_id", subscription.subscription_id.as_str())
                .with("partner_id", subscription.partner_id.as_str())
                .with("plan_id", subscription.plan_id.as_str())
                .with("time_zone", zone.name())
                .with("started_at", subscription.started_at)
                .with("ended_at", ended_at)
        })
        .collect();
    replace_whole(lake, &derived::PARTNER, partners).await?;
    replace_whole(lake, &derived::IDENTITY_LINK, links).await?;
    replace_whole(lake, &derived::SUBSCRIPTION, subscriptions).await
}

/// Replaces a small table by rows, unless it holds exactly these already.
async fn replace_whole(lake: &Lake, def: &'static Table, rows: Vec<Row>) -> Result<(), AggregateError> {
    for _ in 0..5 {
        let expected = lake.txn(def, "refresh").await?;
        let key = |row: &Row| def.key.iter().map(|column| format!("{:?}", row.get(column))).collect::<Vec<_>>();
        let mut stored = lake.rows(def, None).await?;
        let mut wanted = rows.clone();
        stored.sort_by_key(&key);
        wanted.sort_by_key(&key);
        if stored == wanted {
            return Ok(());
        }
        let step = TxnStep::counting("refresh", expected);
        if lake.replace(def, None, &wanted, &[step]).await? == Outcome::Committed {
            return Ok(());
        }
    }
    Err(AggregateError::Contention(def.name))
}

#[cfg(test)]
mod tests;
