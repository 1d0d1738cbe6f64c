//! The one place that reads the wall clock. The demo runs under a fixed clock made from its seed.

use chrono::{DateTime, Utc};

/// Where "now" comes from.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// Always this instant.
    Fixed(DateTime<Utc>),
}

impl Clock {
    /// Now, cut to microseconds as tables hold them.
    #[must_use]
    pub fn now(self) -> DateTime<Utc> {
        let now = match self {
            // This is the edge that the ban in clippy.toml points to.
            #[allow(clippy::disallowed_methods)]
            Self::System => Utc::now(),
            Self::Fixed(at) => at,
        };
        DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
    }
}
