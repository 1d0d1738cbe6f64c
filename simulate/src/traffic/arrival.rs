//! When and where a record arrives: mostly seconds after its request, some out of order, some days late, some twice.

use std::collections::BTreeMap;

use crate::Message;
use crate::calendar::{ARRIVAL_END, DAY, HOUR, MINUTE, SECOND, as_ms, july};
use crate::dice::Dice;
use crate::ledger::Book;
use crate::world::Access;

/// Whose gateway sends: its consumer is the key and decides the partition, as Kafka does it.
#[derive(Debug)]
pub(super) struct Sender<'a> {
    key: Option<&'a str>,
    partner: u64,
}

impl<'a> Sender<'a> {
    /// No key, any partition.
    pub(super) const ANYONE: Self = Sender { key: None, partner: 0 };

    pub(super) fn of(partner: usize, access: &'a Access) -> Self {
        Sender { key: access.consumer.as_deref(), partner: partner as u64 }
    }
}

/// Messages that wait for their time.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// By arrival, then by the order in which they were made.
    queue: BTreeMap<(i64, u64), Message>,
    made: u64,
    partitions: i32,
}

impl Arrivals {
    pub(super) fn new(partitions: i32) -> Self {
        Self { queue: BTreeMap::new(), made: 0, partitions }
    }

    /// The first message that arrives before an instant.
    pub(super) fn take_before(&mut self, instant: i64) -> Option<Message> {
        let first = self.queue.first_entry().filter(|entry| entry.key().0 < instant)?;
        Some(first.remove())
    }

    /// Sends one record, and one in a hundred again.
    pub(super) fn deliver(
        &mut self,
        text: String,
        instant: i64,
        sender: &Sender<'_>,
        arrives: Option<i64>,
        dice: &mut Dice,
        book: &mut Book,
    ) {
        let arrival = arrives.unwrap_or_else(|| arrival(instant, dice));
        note_lateness(instant, arrival, book);
        let partition = self.partition(sender, dice);
        if dice.chance(1, 100) {
            self.again(text.clone().into_bytes(), 1, arrival, partition, sender, dice, book);
        }
        self.push(Some(text.into_bytes()), arrival, partition, sender, book);
    }

    /// Sends several records in one message. Now and then the whole array comes again, or one record alone.
    pub(super) fn deliver_array(
        &mut self,
        texts: &[String],
        instant: i64,
        sender: &Sender<'_>,
        dice: &mut Dice,
        book: &mut Book,
    ) {
        let arrival = arrival(instant, dice);
        let partition = self.partition(sender, dice);
        let payload = format!("[{}]", texts.join(",")).into_bytes();
        book.note("array");
        for text in texts {
            note_lateness(instant, arrival, book);
            if dice.chance(1, 200) {
                self.again(text.clone().into_bytes(), 1, arrival, partition, sender, dice, book);
            }
        }
        if dice.chance(1, 200) {
            self.again(payload.clone(), texts.len(), arrival, partition, sender, dice, book);
        }
        self.push(Some(payload), arrival, partition, sender, book);
    }

    /// Sends a message as it is, once, soon.
    pub(super) fn put(
        &mut self,
        payload: Option<Vec<u8>>,
        instant: i64,
        sender: &Sender<'_>,
        dice: &mut Dice,
        book: &mut Book,
    ) {
        let partition = self.partition(sender, dice);
        self.push(payload, instant + dice.between(SECOND / 20, 3 * SECOND), partition, sender, book);
    }

    /// The same bytes later: soon after in the same partition, as a producer's retry, or after hours in another one.
    #[expect(clippy::too_many_arguments, reason = "the delivery that is repeated, whole")]
    fn again(
        &mut self,
        payload: Vec<u8>,
        records: usize,
        arrival: i64,
        partition: i32,
        sender: &Sender<'_>,
        dice: &mut Dice,
        book: &mut Book,
    ) {
        (0..records).for_each(|_| book.enter_duplicate());
        let (later, partition) = match dice.chance(1, 2) {
            true => (dice.between(1, 5 * SECOND), partition),
            false => (dice.between(MINUTE, 2 * DAY), self.partition(&Sender::ANYONE, dice)),
        };
        self.push(Some(payload), (arrival + later).min(ARRIVAL_END - 1), partition, sender, book);
    }

    fn push(&mut self, payload: Option<Vec<u8>>, arrival: i64, partition: i32, sender: &Sender<'_>, book: &mut Book) {
        book.access.messages += 1;
        let key = sender.key.map(|key| key.as_bytes().to_vec());
        let message = Message { partition, key, payload, headers: Vec::new(), timestamp_ms: as_ms(arrival) };
        self.queue.insert((arrival, self.made), message);
        self.made += 1;
    }

    fn partition(&self, sender: &Sender<'_>, dice: &mut Dice) -> i32 {
        let partitions = u64::from(self.partitions.unsigned_abs().max(1));
        let partition = if sender.key.is_some() { sender.partner % partitions } else { dice.below(partitions) };
        i32::try_from(partition).unwrap_or(0)
    }
}

/// When a request of an instant arrives.
fn arrival(instant: i64, dice: &mut Dice) -> i64 {
    let delay = match dice.below(1000) {
        // Three days at most.
        0 => dice.between(30 * HOUR, 72 * HOUR),
        1..10 => dice.between(HOUR, 30 * HOUR),
        // Enough to come after its neighbours.
        10..40 => dice.between(3 * SECOND, 2 * MINUTE),
        _ => dice.between(SECOND / 20, 3 * SECOND),
    };
    (instant + delay).min(ARRIVAL_END - HOUR)
}

fn note_lateness(instant: i64, arrival: i64, book: &mut Book) {
    if arrival - instant >= 3 * SECOND {
        book.note("out_of_order");
    }
    if arrival - instant >= HOUR {
        book.note("late");
        if arrival.div_euclid(DAY) > instant.div_euclid(DAY) {
            book.note("late_over_midnight");
        }
        if instant < july(1, 0, 0) && arrival >= july(1, 0, 0) {
            book.note("late_over_month_end");
        }
    }
}
