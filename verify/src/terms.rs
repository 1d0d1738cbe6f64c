//! What a line says of its price beside what it comes to: by which setting it is billed early, what another system
//! billed of its period, which units earlier periods left to it. Pure data, in the form of a document.

use serde::Serialize;

use crate::opening::LineOpening;
use crate::rollover::Rollover;

/// The keys of a line that are written here.
pub(crate) const TERM_KEYS: [&str; 3] = ["due", "opening", "rollover"];

/// What a line says of its price.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Terms {
    /// The word of what is billed before its period is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) due: Option<&'static str>,
    /// What another system billed of the period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) opening: Option<LineOpening>,
    /// What earlier periods left to it, of a price whose included units carry over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rollover: Option<Rollover>,
}
