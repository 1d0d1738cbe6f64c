//! The promises tollbook makes, numbered, so that code, tests and documents cite the same ones.
//!
//! Takes nothing, gives a name and a sentence for each. The text is that of the design document; a check that
//! fails names its invariant, so that an operator knows which promise is in doubt.

use std::fmt;

/// A numbered promise. `Display` prints `I3`, [`Invariant::promise`] the sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Every offset below the frontier is a control record or holds records, each accepted or rejected once.
    I1,
    /// A request (gateway, event id) counts once, however often it was delivered.
    I2,
    /// Usage of a partner and period is the fold of its slices.
    I3,
    /// Printed lines add up to the invoice and to Stripe's total.
    I4,
    /// An issued invoice never changes.
    I5,
    /// The same pin, catalog and code re-derive an invoice byte for byte.
    I6,
    /// At most one finalised Stripe invoice for each invoice id.
    I7,
    /// Sandbox traffic is never billed.
    I8,
    /// Nothing is dropped in silence.
    I9,
}

impl Invariant {
    /// All of them, in order.
    pub const ALL: [Self; 9] =
        [Self::I1, Self::I2, Self::I3, Self::I4, Self::I5, Self::I6, Self::I7, Self::I8, Self::I9];

    /// The promise in one sentence.
    #[must_use]
    pub fn promise(self) -> &'static str {
        match self {
            Self::I1 => {
                "each offset in [genesis, frontier) is a control record or holds records (offset, index), index \
                 dense from 0, each of which is exactly one accepted row or one rejected row"
            }
            Self::I2 => "a request (gateway, event id) counts once in usage, however often it was delivered",
            Self::I3 => "usage of a partner and period is the fold of its slices, which is the fold over its rows",
            Self::I4 => "the printed lines add up to the invoice total, and to Stripe's total, to the minor unit",
            Self::I5 => "an issued invoice never changes; what arrives later becomes a dated adjustment",
            Self::I6 => "the same pin, catalog and code re-derive an invoice byte for byte",
            Self::I7 => "at most one finalised Stripe invoice exists for each invoice id",
            Self::I8 => "sandbox traffic is never billed",
            Self::I9 => "nothing is dropped in silence: what is not billed is counted, with its reason",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
