//! What an operator does about an error: six kinds, the same in every crate.
//!
//! Each crate keeps precise errors inside and maps them to a [`Kind`] at its border. The command line turns the
//! kind into an exit code, so a scheduler can tell "try again" from "somebody must look".

use std::error::Error;
use std::fmt;

/// What the operator should do. Never more specific than the action differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing is wrong with the data: the same command may succeed later (broker away, Stripe busy).
    Retry,
    /// One input was refused and is kept with its reason; the rest went on.
    Reject,
    /// Somebody else did the same work first, or holds the lease; read again.
    Conflict,
    /// The configuration or the catalog must be changed by a person.
    Configuration,
    /// Stored data contradicts an invariant: stop and look.
    Data,
    /// Our own mistake.
    Bug,
}

impl Kind {
    /// The exit code of the command line for this kind; documented in `docs/operations.md`.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Configuration => 2,
            Self::Data => 3,
            Self::Retry => 4,
            Self::Conflict => 5,
            Self::Reject => 6,
            Self::Bug => 70,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retry => "retry",
            Self::Reject => "reject",
            Self::Conflict => "conflict",
            Self::Configuration => "configuration",
            Self::Data => "data",
            Self::Bug => "bug",
        })
    }
}

/// An error that knows what the operator should do about it.
pub trait Classified: Error {
    /// The action this error asks for.
    fn kind(&self) -> Kind;
}

/// An error and its causes in one sentence, for a place that holds a text: none repeats its cause.
#[must_use]
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}
