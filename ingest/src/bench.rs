//! A seam for `benches/`: the decoders and the Arrow builders behind them, without Kafka and without a lake.
//!
//! No part of the API: nothing but the benchmarks may use it.

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};

use crate::buffer::{Buffer, Decided};
use crate::decode::{Door, Message};
use crate::error::IngestError;

/// One partition of one door.
pub struct Decoding {
    door: Door,
    partition: i32,
    buffer: Buffer,
    decided: Decided,
}

/// What was handed over.
#[derive(Debug)]
pub struct Decoded {
    /// First offset behind it.
    pub to: i64,
    /// Accepted rows, if any.
    pub accepted: Option<RecordBatch>,
    /// Records that were refused.
    pub rejected_total: usize,
}

impl Decoding {
    /// Begins at offset 0.
    #[must_use]
    pub fn new(door: Door, partition: i32) -> Self {
        let buffer = Buffer::new(partition, 0, door.decoder);
        Self { door, partition, buffer, decided: Decided::new() }
    }

    /// Takes one message.
    pub fn push(
        &mut self,
        offset: i64,
        received_at: DateTime<Utc>,
        payload: Option<&[u8]>,
        headers: &[(String, Vec<u8>)],
    ) {
        let message = Message { partition: self.partition, offset, received_at, payload, headers };
        self.buffer.push(&message, &self.door, &self.decided);
    }

    /// What the bound on memory counts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.buffer.bytes()
    }

    /// Hands over what it holds.
    ///
    /// # Errors
    /// [`IngestError`].
    pub fn seal(&mut self) -> Result<Decoded, IngestError> {
        let sealed = self.buffer.seal(self.door.decoder)?;
        Ok(Decoded { to: sealed.to, accepted: sealed.accepted, rejected_total: sealed.rejected.len() })
    }
}
