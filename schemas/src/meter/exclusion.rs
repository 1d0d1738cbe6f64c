//! Named rules that leave requests out of a meter: what a gateway logs and nobody wants to pay for.
//!
//! A rule never changes under its name: a better one gets the next version, so that an old invoice can be derived
//! again. How many requests each rule left out stands in every row of `usage` (I9). Of several rules that fit a request
//! the first of the meter's list counts it.

use std::fmt;

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exclusion {
    /// What the gateway tags as a health check, or a request to a usual path of health checks.
    HealthChecks,
    /// Answered from the gateway's cache.
    CacheHits,
    /// The same idempotency key as an earlier request of the same partner and environment that counts for the meter,
    /// within one UTC hour.
    Retries,
    /// From the try-it console of the portal.
    TryIt,
    /// Of partners that are one of our own.
    InternalPartners,
    /// Of partners that exist for tests only.
    TestPartners,
}

impl Exclusion {
    /// All rules.
    pub const ALL: &[Self] =
        &[Self::HealthChecks, Self::CacheHits, Self::Retries, Self::TryIt, Self::InternalPartners, Self::TestPartners];

    /// The word in the catalog.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HealthChecks => "health_checks",
            Self::CacheHits => "cache_hits",
            Self::Retries => "retries",
            Self::TryIt => "try_it",
            Self::InternalPartners => "internal_partners",
            Self::TestPartners => "test_partners",
        }
    }

    /// The word with its version: what `usage` says.
    #[must_use]
    pub fn versioned(self) -> String {
        format!("{}.v1", self.as_str())
    }

    /// Reads [`Exclusion::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.as_str() == text)
    }

    /// The rule as an SQL condition over `access_log` with the flags of the partner, `partner_is_internal` and
    /// `partner_is_test`; none for [`Exclusion::Retries`], which looks at other requests.
    #[must_use]
    pub fn sql(self) -> Option<&'static str> {
        match self {
            Self::HealthChecks => Some(
                "client_tag = 'health_check' or path in ('/health', '/healthz', '/livez', '/readyz', '/status', '/ping')",
            ),
            Self::CacheHits => Some("lower(cache_status) = 'hit'"),
            Self::TryIt => Some("client_tag = 'try_it'"),
            Self::InternalPartners => Some("partner_is_internal"),
            Self::TestPartners => Some("partner_is_test"),
            Self::Retries => None,
        }
    }
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
