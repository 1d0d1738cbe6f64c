//! A lease on a job: a second process ends at once and says so, a killed one is forgotten after a while.
//!
//! The lease is a transaction of `job_run`: its version is the instant at which it ends, in milliseconds. Taking,
//! renewing and giving back are compare-and-swap steps on it, so two processes can never both hold it. It spares
//! work and noise; correctness never rests on it (every commit compares and swaps its own transactions).

use chrono::{DateTime, Duration, Utc};
use tollbook_schemas::period::print_instant;
use tollbook_schemas::tables::runs::JOB_RUN;

use crate::commit::{Outcome, TxnStep};
use crate::error::LakeError;
use crate::open::Lake;

/// How long a lease holds without being renewed.
const LEASE_SECONDS: i64 = 60;

/// A held lease.
#[derive(Debug)]
pub struct Lease {
    lake: Lake,
    job: String,
    ends_at_ms: i64,
}

impl Lake {
    /// Takes the lease of a job.
    ///
    /// # Errors
    /// [`LakeError::LeaseHeld`] when another process holds it.
    pub async fn lease(&self, job: &str, now: DateTime<Utc>) -> Result<Lease, LakeError> {
        let app_id = app_id(job);
        let expected = self.txn(&JOB_RUN, &app_id).await?;
        let held = |until: i64| LakeError::LeaseHeld {
            job: job.to_owned(),
            ends_at: DateTime::from_timestamp_millis(until).map_or_else(|| until.to_string(), print_instant),
        };
        if let Some(until) = expected.filter(|until| *until > now.timestamp_millis()) {
            return Err(held(until));
        }
        let ends_at_ms = end_after(now, expected);
        match self.append(&JOB_RUN, &[], &[TxnStep { app_id, expected, next: ends_at_ms }]).await? {
            Outcome::Committed => Ok(Lease { lake: self.clone(), job: job.to_owned(), ends_at_ms }),
            Outcome::Already | Outcome::Fenced { .. } => Err(held(ends_at_ms)),
        }
    }
}

fn app_id(job: &str) -> String {
    format!("lease/{job}")
}

/// A new end, always later than the last one: the version tells the holders apart.
fn end_after(now: DateTime<Utc>, last: Option<i64>) -> i64 {
    let end = (now + Duration::seconds(LEASE_SECONDS)).timestamp_millis();
    last.map_or(end, |last| end.max(last + 1))
}

impl Lease {
    /// Holds it for another minute.
    ///
    /// # Errors
    /// [`LakeError::LeaseLost`] when another process took it.
    pub async fn renew(&mut self, now: DateTime<Utc>) -> Result<(), LakeError> {
        let next = end_after(now, Some(self.ends_at_ms));
        self.step(next).await?;
        self.ends_at_ms = next;
        Ok(())
    }

    /// Gives it back, so that the next run need not wait for its end.
    ///
    /// # Errors
    /// [`LakeError::LeaseLost`] when another process took it.
    pub async fn release(self) -> Result<(), LakeError> {
        // Lower than before: the one transaction of ours that may fall, because nothing is counted by it.
        self.step(0).await
    }

    async fn step(&self, next: i64) -> Result<(), LakeError> {
        let step = TxnStep { app_id: app_id(&self.job), expected: Some(self.ends_at_ms), next };
        match self.lake.append(&JOB_RUN, &[], &[step]).await? {
            Outcome::Committed => Ok(()),
            Outcome::Already | Outcome::Fenced { .. } => Err(LakeError::LeaseLost { job: self.job.clone() }),
        }
    }
}
