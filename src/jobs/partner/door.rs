//! The door through which the command line appends events: each command has one source, and its transaction is the
//! next offset.
//!
//! An event that says what is there already is not appended, whoever said it. What would contradict the registry, or
//! block its partner when a month is drafted, is refused before it is written, because nothing that is written is ever
//! edited.
//!
//! All commands move one transaction more, [`COMMANDS`], which is read before the events that they are checked against.
//! Of two commands at once, whichever they are, one finds that it has moved: it reads again, checks again, and goes on
//! behind the other. A commit that did not land is never taken for one that did.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tollbook_billing::draft::{Foreseen, foreseen};
use tollbook_lake::{Lake, LakeError, Outcome, TxnStep};
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::digest::sha256_parts;
use tollbook_schemas::id::PartnerId;
use tollbook_schemas::lifecycle::LifecycleEvent;
use tollbook_schemas::period::print_instant;
use tollbook_schemas::registry::{IdentityLink, Position, Registry, fold, is_said};
use tollbook_schemas::source::Source;
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::partner_event::TABLE as PARTNER_EVENT;

use super::line::Lines;
use crate::configuration::ConfigurationError;

/// Source of what `partner import` appends, and the CloudEvents source of its events.
pub(super) const IMPORT: &str = "/tollbook/import";
/// Source of what `partner record` appends.
pub(super) const RECORD: &str = tollbook_schemas::registry::RECORD;
/// App id of the number of commits by which commands added events. Without '#', so that it is never taken for an
/// offset.
const COMMANDS: &str = "commands";

/// Commands at once that one command goes on behind.
const ATTEMPTS_MAX: u32 = 100;

/// The id of an event: what it says. `again` tells apart what was said, taken back and said again.
pub(super) fn content_id(event: &LifecycleEvent, again: usize) -> String {
    let partner = event.partner_id.as_ref().map_or("", PartnerId::as_str);
    let (at, data) = (print_instant(event.occurred_at), event.data_json());
    let again = if again == 0 { String::new() } else { again.to_string() };
    let parts = [event.event_type.as_str(), partner, &at, &data, &again];
    sha256_parts(parts).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Every event that is known, with its place.
pub(super) async fn known(lake: &Lake) -> anyhow::Result<Vec<(Position, LifecycleEvent)>> {
    let damaged = |column: &str| {
        anyhow::anyhow!("a row of {} has no usable {column}; look at it with `tollbook sql`", PARTNER_EVENT.name)
    };
    let rows = lake.rows(&PARTNER_EVENT, None).await?;
    let event =
        |row: &Row| Ok((Position::from_row(row).map_err(damaged)?, LifecycleEvent::from_row(row).map_err(damaged)?));
    rows.iter().map(event).collect()
}

/// Those of the events that say something new, with their ids, in order.
pub(super) fn missing(
    known: &[(Position, LifecycleEvent)],
    door: &str,
    events: &[LifecycleEvent],
) -> Vec<LifecycleEvent> {
    let mut own: Vec<_> = known.iter().filter(|(position, _)| position.source.as_str() == door).collect();
    own.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut new: Vec<LifecycleEvent> = Vec::new();
    for event in events {
        let is_of_its_instant = |other: &&LifecycleEvent| {
            (&other.event_type, &other.partner_id, other.occurred_at)
                == (&event.event_type, &event.partner_id, event.occurred_at)
        };
        let says_the_same = |other: &&LifecycleEvent| is_of_its_instant(other) && other.data == event.data;
        let through_here = || own.iter().map(|(_, event)| event).chain(&new);
        let is_known = match through_here().rfind(is_of_its_instant) {
            // Of registrations the last one counts: a name that goes back to what it was is news.
            Some(last) if event.event_type == "registered" => last.data == event.data,
            _ => {
                let is_there = known.iter().map(|(_, event)| event).chain(&new).any(|other| says_the_same(&other));
                // A person may take back what was said, and say it again; the lines of a file cannot.
                is_there && (door != RECORD || is_said(known, event).unwrap_or(true))
            }
        };
        if !is_known {
            let again = through_here().filter(says_the_same).count();
            new.push(LifecycleEvent { id: content_id(event, again), ..event.clone() });
        }
    }
    new
}

/// What new events are held against, beside what is known.
#[derive(Clone, Copy, Default)]
pub(super) struct Against<'a> {
    /// The catalog, where the events are of subscriptions: what it cannot bill is refused.
    pub(super) catalog: Option<&'a Catalog>,
    /// The file that they were read from.
    pub(super) lines: Option<&'a Lines>,
}

impl Against<'_> {
    /// Where an event stands, before what is said of it.
    fn place_of(&self, event: Option<&LifecycleEvent>) -> String {
        let place = event.and_then(|event| self.lines?.place_of(event));
        place.map_or_else(String::new, |place| format!("{place}: "))
    }
}

/// Refuses events that would contradict the registry, or that would block their partner when a month of it is drafted.
///
/// # Errors
/// [`ConfigurationError`] with one line for each contradiction.
pub(super) fn refuse(
    known: &[(Position, LifecycleEvent)],
    source: &Source,
    first: i64,
    new: &[LifecycleEvent],
    against: Against<'_>,
) -> Result<(), ConfigurationError> {
    let place = |offset| Position { source: source.clone(), partition: 0, offset, index: 0 };
    let added = new.iter().zip(first..).map(|(event, offset)| (place(offset), event.clone()));
    let before = fold(known.to_vec(), None);
    let after = fold(known.iter().cloned().chain(added).collect(), None);
    let told: BTreeSet<(&Position, &str)> = before.findings.iter().map(|f| (&f.position, f.what.as_str())).collect();
    let at = |position: &Position| {
        let own = (position.source == *source).then_some(position.offset)?;
        new.get(usize::try_from(own.checked_sub(first)?).ok()?)
    };
    let mut problems: Vec<String> = after
        .findings
        .iter()
        .filter(|finding| !told.contains(&(&finding.position, finding.what.as_str())))
        .map(|finding| {
            let partner = finding.partner_id.as_ref().map_or("-", PartnerId::as_str);
            format!("{}{partner}: {}", against.place_of(at(&finding.position)), finding.what)
        })
        .collect();
    for link in after.links.iter().filter(|link| link.partner_id.is_none() && !is_nobodys(&before, link)) {
        problems.push(format!(
            "{} {} would belong to nobody from {}: another partner has it, or it is linked for both environments",
            link.system.as_str(),
            link.external_id,
            print_instant(link.valid_from)
        ));
    }
    if !problems.is_empty() {
        return Err(ConfigurationError(format!(
            "what is known already contradicts this, and nothing was written; see \"Correcting partners\" in \
             docs/operations.md:\n{}",
            problems.join("\n")
        )));
    }
    let blocking = against.catalog.map_or_else(Vec::new, |catalog| blocking(catalog, (&before, &after), new));
    if blocking.is_empty() {
        return Ok(());
    }
    let line = |(one, event): (Foreseen, Option<&LifecycleEvent>)| {
        format!("{}{}: {}", against.place_of(event), one.partner_id, one.what)
    };
    Err(ConfigurationError(format!(
        "nobody could bill this, and nothing was written; see \"What cannot be billed is refused\" in \
         docs/operations.md:\n{}",
        blocking.into_iter().map(line).collect::<Vec<_>>().join("\n")
    )))
}

/// What will block the partners of new events, and did not before them; each with the new event that it is about.
fn blocking<'n>(
    catalog: &Catalog,
    (before, after): (&Registry, &Registry),
    new: &'n [LifecycleEvent],
) -> Vec<(Foreseen, Option<&'n LifecycleEvent>)> {
    let partners: BTreeSet<PartnerId> = new.iter().filter_map(|event| event.partner_id.clone()).collect();
    let mut found = foreseen(catalog, after, &partners);
    if !found.is_empty() {
        let known: BTreeSet<_> = foreseen(catalog, before, &partners).into_iter().map(|one| one.of).collect();
        // What was so before may be on its way to be mended.
        found.retain(|one| !known.contains(&one.of));
    }
    let about = |one: &Foreseen| {
        let of_partner = || new.iter().rev().filter(|event| event.partner_id.as_ref() == Some(&one.partner_id));
        let (_, subscriptions) = &one.of;
        let names = |event: &&LifecycleEvent| {
            let named = event.text("subscription_id");
            named.is_some_and(|named| subscriptions.iter().any(|subscription| subscription.as_str() == named))
        };
        of_partner().find(names).or_else(|| of_partner().next())
    };
    found.into_iter().map(|one| (about(&one), one)).map(|(event, one)| (one, event)).collect()
}

/// Whether all the time of a link that is nobody's was nobody's in this registry too.
fn is_nobodys(registry: &Registry, link: &IdentityLink) -> bool {
    let end = |link: &IdentityLink| link.valid_to.unwrap_or(DateTime::<Utc>::MAX_UTC);
    registry.links.iter().any(|known| {
        let is_same = (known.system, &known.external_id, &known.partner_id) == (link.system, &link.external_id, &None);
        is_same && known.valid_from <= link.valid_from && end(link) <= end(known)
    })
}

/// Appends those of the events that say something new; gives how many.
///
/// # Errors
/// As [`refuse`]; [`LakeError::Contention`] where other commands kept winning; the lake's.
pub(super) async fn append_new(
    lake: &Lake,
    door: &str,
    events: &[LifecycleEvent],
    against: Against<'_>,
    now: DateTime<Utc>,
) -> anyhow::Result<usize> {
    let source = Source::parse(door)?;
    let app_id = source.app_id(0);
    for attempt in 0..ATTEMPTS_MAX {
        tokio::time::sleep(Duration::from_millis(u64::from(10 * attempt.min(20)))).await;
        // Before the rows: whatever command lands in between moves one of them, and the commit below is refused.
        let txns = lake.txns(&PARTNER_EVENT).await?;
        let (expected, commands) = (txns.get(&app_id).copied(), txns.get(COMMANDS).copied());
        let known = known(lake).await?;
        let new = missing(&known, door, events);
        if new.is_empty() {
            return Ok(0);
        }
        let first = expected.unwrap_or(0);
        refuse(&known, &source, first, &new, against)?;
        let row = |(event, offset): (&LifecycleEvent, i64)| {
            let row = event.row().with("source", source.as_str()).with("kafka_partition", 0_i32);
            row.with("kafka_offset", offset).with("record_index", 0_i32).with("received_at", now)
        };
        let rows: Vec<Row> = new.iter().zip(first..).map(row).collect();
        let offsets = TxnStep { app_id: app_id.clone(), expected, next: first + i64::try_from(rows.len())? };
        let turn =
            TxnStep { app_id: COMMANDS.to_owned(), expected: commands, next: commands.unwrap_or(0).saturating_add(1) };
        match lake.append(&PARTNER_EVENT, &rows, &[offsets, turn]).await? {
            Outcome::Committed => return Ok(rows.len()),
            // `Already` says that the offsets are taken, not by whom: these rows are not there.
            Outcome::Already | Outcome::Fenced { .. } => {}
        }
    }
    Err(LakeError::Contention { table: PARTNER_EVENT.name, app_id: COMMANDS.to_owned() }.into())
}
