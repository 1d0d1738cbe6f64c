//! How far a service has read: at intervals it asks for the topic's ends, and once it has read up to all of them, the
//! instant at which it asked is a watermark (architecture.md §7).
//!
//! Takes instants, ends and offsets; gives the instant that was passed. It asks nothing itself: the consumer's thread
//! does. An end that is not reached by offset may still be reached: behind the last message there may be control
//! records, which never become messages. Kafka's word "end of partition" proves that, but only if it was given after
//! the ends were asked for; an older word may wait in a queue. So a round that hears nothing for a while makes the
//! consumer begin anew where it stands ([`Step::BeginAnew`]), and believes only words that come after.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

/// The clock of a service; instants of it become watermarks.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// Silence after which a round stops waiting for messages, and asks for the end itself.
const SILENCE: Duration = Duration::from_secs(1);

/// What the consumer's thread is to do for a round.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Go on reading.
    Wait,
    /// Assign all partitions anew, each from the offset that it waits for.
    BeginAnew,
    /// Everything up to the ends has been read: this instant has passed.
    Passed(DateTime<Utc>),
}

/// One question for the topic's ends, until they are reached.
#[derive(Debug)]
pub(crate) struct Round {
    asked_at: DateTime<Utc>,
    /// Partitions that have not reached their end, with it.
    open: BTreeMap<i32, i64>,
    heard: Instant,
    anew: bool,
}

impl Round {
    /// `asked_at` must have been taken before the ends were asked for.
    pub(crate) fn new(asked_at: DateTime<Utc>, ends: BTreeMap<i32, i64>, now: Instant) -> Self {
        Self { asked_at, open: ends, heard: now, anew: false }
    }

    /// A message came. While a partition that is not at its end gives messages, there is no need to ask it.
    pub(crate) fn heard(&mut self, partition: i32, now: Instant) {
        if self.open.contains_key(&partition) {
            self.heard = now;
        }
    }

    /// Kafka says that a partition has no more for now.
    pub(crate) fn at_end(&mut self, partition: i32) {
        if self.anew {
            self.open.remove(&partition);
        }
    }

    /// Looks at the offsets that the partitions wait for.
    pub(crate) fn step(&mut self, next_offset: impl Fn(i32) -> Option<i64>, now: Instant) -> Step {
        self.open.retain(|partition, end| next_offset(*partition).is_none_or(|next| next < *end));
        if self.open.is_empty() {
            return Step::Passed(self.asked_at);
        }
        if !self.anew && now.duration_since(self.heard) >= SILENCE {
            self.anew = true;
            return Step::BeginAnew;
        }
        Step::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_at() -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_780_400_000_000).unwrap()
    }

    fn round(ends: [(i32, i64); 2], now: Instant) -> Round {
        Round::new(asked_at(), BTreeMap::from(ends), now)
    }

    #[test]
    fn offsets_alone_close_a_round() {
        let now = Instant::now();
        let mut round = round([(0, 5), (1, 0)], now);
        assert_eq!(round.step(|_| Some(4), now), Step::Wait, "partition 0 is one short");
        assert_eq!(round.step(|partition| Some(if partition == 0 { 5 } else { 0 }), now), Step::Passed(asked_at()));
    }

    #[test]
    fn an_end_told_before_the_question_proves_nothing() {
        let now = Instant::now();
        let mut round = round([(0, 5), (1, 5)], now);
        let stands = |partition| Some(if partition == 0 { 5 } else { 3 });
        round.at_end(1);
        assert_eq!(round.step(stands, now), Step::Wait, "an old word");
        let later = now + SILENCE;
        round.heard(1, later);
        assert_eq!(round.step(stands, later), Step::Wait, "messages still come");
        round.heard(0, later + SILENCE / 2);
        let silent = later + SILENCE;
        assert_eq!(round.step(stands, silent), Step::BeginAnew, "what comes of partition 0 holds nothing back");
        assert_eq!(round.step(stands, silent + SILENCE), Step::Wait, "once is enough");
        round.at_end(1);
        assert_eq!(round.step(stands, silent), Step::Passed(asked_at()));
    }

    #[test]
    fn a_partition_that_is_not_read_never_passes() {
        let now = Instant::now();
        assert_eq!(round([(0, 0), (7, 0)], now).step(|partition| (partition == 0).then_some(0), now), Step::Wait);
    }
}
