//! Sending frozen calls: few at a time, one in flight for each customer, and again where the table of `outcome` says
//! that it is safe. Reads are sent again in the same way.
//!
//! Where no connection comes about, a few tries tell as much as many: the first call that meets it ends the run's
//! calls, so that a month of invoices does not wait for each of them in turn. What was frozen is sent by the next run.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use tollbook_schemas::digest::sha256_parts;

use super::outcome::{Outcome, classify};
use super::requests::Frozen;
use super::transport::{Answer, SendFailure, Transport};
use crate::error::BillingError;

/// How often a call is sent again, and after how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrySettings {
    /// Wait before the first repetition; doubles with each.
    pub base_ms: u64,
    /// Longest wait.
    pub max_ms: u64,
    /// Sends of one call in one run.
    pub sends_max: u32,
    /// Connections in a row that one call may be refused; then no call of the run is sent any more.
    pub refused_max: u32,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self { base_ms: 500, max_ms: 30_000, sends_max: 7, refused_max: 3 }
    }
}

impl RetrySettings {
    /// The wait after the n-th send, from 0: between half and all of the doubled base, told by the key, so that calls
    /// which failed together do not come back together, and a test waits the same each time.
    fn wait(&self, key: &str, sends: u32) -> Duration {
        let doubled = self.base_ms.saturating_mul(1_u64.checked_shl(sends).unwrap_or(u64::MAX)).min(self.max_ms);
        let jitter = u64::from(sha256_parts([key.as_bytes(), &sends.to_be_bytes()])[0]);
        Duration::from_millis(doubled / 2 + (doubled / 2).saturating_mul(jitter) / 255)
    }
}

/// A call to send.
#[derive(Debug)]
pub(super) struct Call {
    /// Calls of one group are sent one after the other.
    pub(super) group: String,
    pub(super) frozen: Frozen,
    pub(super) key: String,
}

/// What became of a call.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) answer: Result<Answer, SendFailure>,
    pub(super) outcome: Outcome,
    pub(super) send_count: usize,
}

/// Sends calls; the answers come in the order of the calls. `None` where the run was stopped before.
pub(super) async fn send_all(
    transport: &Transport,
    retry: &RetrySettings,
    concurrency: usize,
    calls: &[Call],
) -> Vec<Option<Sent>> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, call) in calls.iter().enumerate() {
        groups.entry(&call.group).or_default().push(index);
    }
    let stopped = AtomicBool::new(false);
    let send_group = |indexes: Vec<usize>| {
        let stopped = &stopped;
        async move {
            let mut sent = Vec::new();
            for index in indexes {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let one = send_one(transport, retry, &calls[index]).await;
                if matches!(one.outcome, Outcome::Stop(_)) {
                    stopped.store(true, Ordering::Relaxed);
                }
                sent.push((index, one));
            }
            sent
        }
    };
    let groups: Vec<Vec<usize>> = groups.into_values().collect();
    let sent: Vec<Vec<(usize, Sent)>> =
        futures::stream::iter(groups).map(send_group).buffer_unordered(concurrency.max(1)).collect().await;
    let mut answers: Vec<Option<Sent>> = calls.iter().map(|_| None).collect();
    for (index, one) in sent.into_iter().flatten() {
        answers[index] = Some(one);
    }
    answers
}

async fn send_one(transport: &Transport, retry: &RetrySettings, call: &Call) -> Sent {
    let (mut sends, mut refused) = (0_u32, 0_u32);
    loop {
        let sent = |answer, outcome, sends| {
            let send_count = usize::try_from(sends).unwrap_or(usize::MAX);
            Sent { answer, outcome, send_count }
        };
        if transport.is_given_up() {
            let answer = Err(not_tried());
            let outcome = classify(&answer);
            return sent(answer, outcome, sends);
        }
        let answer = transport.post(&call.frozen.path, &call.frozen.body, &call.key).await;
        let outcome = classify(&answer);
        let last = is_last(transport, retry, &answer, sends + 1, &mut refused);
        if last || !matches!(outcome, Outcome::Again(_)) {
            return sent(answer, outcome, sends + 1);
        }
        tokio::time::sleep(retry.wait(&call.key, sends)).await;
        sends += 1;
    }
}

/// Whether a call was sent often enough; gives connecting up where that was for want of a connection.
fn is_last(
    transport: &Transport,
    retry: &RetrySettings,
    answer: &Result<Answer, SendFailure>,
    sends: u32,
    refused: &mut u32,
) -> bool {
    let is_refused = matches!(answer, Err(SendFailure::NotSent(_)));
    *refused = if is_refused { *refused + 1 } else { 0 };
    let last = sends >= retry.sends_max || *refused >= retry.refused_max;
    if last && is_refused {
        transport.give_up();
    }
    last
}

fn not_tried() -> SendFailure {
    SendFailure::NotSent("not tried any more, since no connection came about before".to_owned())
}

/// Why a read gave nothing.
#[derive(Debug)]
pub(super) enum ReadFailure {
    /// The run ends.
    Stop(BillingError),
    /// Stripe refused this read.
    Refused(String),
    /// Stripe did not answer well enough, often enough.
    Unavailable(String),
}

/// Reads, again where that helps.
pub(super) async fn get(transport: &Transport, retry: &RetrySettings, path: &str) -> Result<Answer, ReadFailure> {
    let (mut sends, mut refused) = (0_u32, 0_u32);
    loop {
        if transport.is_given_up() {
            return Err(ReadFailure::Unavailable(not_tried().to_string()));
        }
        let answer = transport.get(path).await;
        sends += 1;
        let last = is_last(transport, retry, &answer, sends, &mut refused);
        let told = match classify(&answer) {
            Outcome::Done => match answer {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure.to_string(),
            },
            Outcome::Stop(told) => return Err(ReadFailure::Stop(refused_key(&told))),
            Outcome::Refused(told) | Outcome::Changed(told) => return Err(ReadFailure::Refused(told)),
            Outcome::Again(told) | Outcome::Observe(told) => told,
        };
        if last {
            return Err(ReadFailure::Unavailable(told));
        }
        tokio::time::sleep(retry.wait(path, sends - 1)).await;
    }
}

/// The error of an answer that stops the run.
pub(super) fn refused_key(told: &str) -> BillingError {
    BillingError::configuration(
        format!("Stripe refused the key ({told})"),
        "check the key, its permissions and its account; nothing was lost, run the command again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_differ_by_key() {
        let retry = RetrySettings { base_ms: 500, max_ms: 30_000, sends_max: 9, refused_max: 3 };
        for sends in 0..70 {
            let wait = u64::try_from(retry.wait("k", sends).as_millis()).unwrap();
            let doubled = (500_u64 << sends.min(6)).min(30_000);
            assert!((doubled / 2..=doubled).contains(&wait), "{sends}: {wait}");
            assert_eq!(retry.wait("k", sends), retry.wait("k", sends));
        }
        assert_ne!(retry.wait("a", 3), retry.wait("b", 3));
    }
}
