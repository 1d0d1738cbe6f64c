//! The month after: what still comes for June when its invoices are issued, and what July then bills.
//!
//! Takes the book of the traffic, gives messages that arrive in July and the documents that July must issue, by this
//! crate's own arithmetic: late requests of one partner, which make its June dearer, and retractions of requests of
//! another, which make its June cheaper. Everything is entered in the book when it is made.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Message;
use crate::calendar::{HOUR, MINUTE, as_ms, july, june, push_instant};
use crate::dice::Dice;
use crate::ledger::{Book, Made, Whose};
use crate::pricing::{self, ExpectedLine};
use crate::request::{self, Caller};
use crate::text::push_hex;
use crate::world::{Environment, PAYING_CONSUMER, RETRACTING, World};

/// Late requests.
const LATE: u64 = 60;
/// The clock when July is closed: 2026-08-02T06:00:00Z.
pub(crate) const NOW: i64 = july(33, 6, 0);

/// One document that July must issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExpectedDocument {
    /// Currency.
    pub currency: String,
    /// Sum of the lines, in minor units; below 0 for a credit note.
    pub total_minor: i128,
    /// What the same usage would have cost on another plan, in minor units of its currency; none without a shadow bill.
    pub shadow: Option<(String, i128)>,
    /// Lines, in printed order. What adjusts June is named so: `map-calls@2026-06`.
    pub lines: Vec<ExpectedLine>,
}

/// What the month after brings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sequel {
    /// Messages of the access topic.
    #[serde(skip)]
    pub messages: Vec<Message>,
    /// Invoices for July, by partner.
    pub invoices: BTreeMap<String, ExpectedDocument>,
    /// Credit notes of July, by partner.
    pub credit_notes: BTreeMap<String, ExpectedDocument>,
    /// Distinct requests that come late.
    pub late_count: u64,
    /// Requests that are retracted.
    pub retracted_count: u64,
}

/// Makes it. The book holds June and what of July was made with it.
pub(crate) fn sequel(world: &World, mut book: Book, dice: &mut Dice, next_id: &mut dyn FnMut() -> u64) -> Sequel {
    let mut sequel = Sequel::default();
    let june_issued = book.june();
    late(world, &mut book, dice, next_id, &mut sequel);
    retract(&mut book, next_id, &mut sequel);
    let june_now = book.june();
    for (index, partner) in world.partners.iter().enumerate() {
        let Some(subscription) = &partner.subscription else { continue };
        let mut july_lines = match book.july(index) {
            Some(tally) => pricing::lines(subscription.plan.in_july(), |meter| tally.total(meter)),
            None => Vec::new(),
        };
        let adjusted = match (&june_issued[index], &june_now[index]) {
            (Some(issued), Some(now)) => {
                let of = |tally: &crate::metering::Tally| pricing::lines(subscription.plan, |meter| tally.total(meter));
                pricing::differences(&of(now), &of(issued), "2026-06")
            }
            _ => Vec::new(),
        };
        let shadow = subscription.plan.shadow().zip(book.july(index)).map(|(other, tally)| {
            let lines = pricing::lines(other.in_july(), |meter| tally.total(meter));
            (other.currency.to_owned(), lines.iter().map(|line| line.amount_minor).sum())
        });
        let document = |lines: Vec<ExpectedLine>, shadow| ExpectedDocument {
            currency: subscription.plan.currency.to_owned(),
            total_minor: lines.iter().map(|line| line.amount_minor).sum(),
            shadow,
            lines,
        };
        if adjusted.iter().map(|line| line.amount_minor).sum::<i128>() < 0 {
            sequel.credit_notes.insert(partner.id.clone(), document(adjusted, None));
        } else if !july_lines.is_empty() || adjusted.iter().any(|line| line.amount_minor != 0) {
            july_lines.extend(adjusted);
        }
        if !july_lines.is_empty() {
            sequel.invoices.insert(partner.id.clone(), document(july_lines, shadow));
        }
    }
    sequel
}

/// Requests of the last days of June that a gateway had kept back.
fn late(world: &World, book: &mut Book, dice: &mut Dice, next_id: &mut dyn FnMut() -> u64, sequel: &mut Sequel) {
    let partner = &world.partners[PAYING_CONSUMER];
    let Some(access) = partner.access(Environment::Production) else { return };
    for at in 0..LATE {
        let instant = june(29, 9, 0) + i64::try_from(at).unwrap_or(0) * 7 * MINUTE;
        let caller = Caller {
            archetype: partner.archetype,
            consumer: access.consumer.as_deref(),
            credential: None,
            environment: Some(Environment::Production.word()),
            sandbox_host: false,
            users: 3,
            offset_minutes: None,
        };
        let mut text = String::new();
        let id = next_id();
        let facts = request::write(&mut text, dice, id, instant, &caller, Some(200));
        book.enter(Whose::Partner(PAYING_CONSUMER, Environment::Production), instant, &Made { id, facts });
        sequel.late_count += 1;
        sequel.messages.push(message(text, july(20, 8, 0) + i64::try_from(at).unwrap_or(0) * MINUTE));
    }
}

/// Takes back what the book chose while it was made.
fn retract(book: &mut Book, next_id: &mut dyn FnMut() -> u64, sequel: &mut Sequel) {
    for made in book.retract(RETRACTING) {
        let mut text = String::from("{\"kind\":\"retraction\",\"event_id\":\"");
        push_hex(&mut text, next_id());
        text.push_str("\",\"corrects_event_id\":\"");
        push_hex(&mut text, made.id);
        text.push_str("\",\"occurred_at\":\"");
        push_instant(&mut text, july(20, 9, 0), None);
        text.push_str("\"}");
        sequel.retracted_count += 1;
        sequel.messages.push(message(text, july(20, 9, 0) + HOUR));
    }
}

fn message(text: String, arrives: i64) -> Message {
    Message {
        partition: 0,
        key: None,
        payload: Some(text.into_bytes()),
        headers: Vec::new(),
        timestamp_ms: as_ms(arrives),
    }
}
