//! What became of verifying an invoice, and of many: what holds, what differs, and what this program cannot judge.
//! Pure.

use std::fmt;

use serde::Serialize;

use crate::Verified;
use crate::compare::Difference;

/// What became of one invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is what its raw rows come to, byte for byte.
    Holds,
    /// Something of it is not as it must be.
    Differs,
    /// It has something that this version does not know; nothing else is wrong that could be looked at.
    Unknown,
}

impl Verdict {
    /// By what was found. Beside something that is wrong, what is not known does not count.
    pub(crate) fn of(differences: &[Difference]) -> Self {
        match differences {
            [] => Self::Holds,
            all if all.iter().all(|one| one.is_unknown) => Self::Unknown,
            _ => Self::Differs,
        }
    }

    /// The word before an invoice.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Holds => "OK",
            Self::Differs => "DIFFERENT",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// How many of some invoices hold, differ, and cannot be judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Invoices that hold.
    pub holding: usize,
    /// Invoices that differ.
    pub differing: usize,
    /// Invoices that this version does not know how to derive.
    pub unknown: usize,
    /// Those of all of them with a note: what a rule leaves out of them.
    pub noted: usize,
}

impl Tally {
    /// Counts them.
    #[must_use]
    pub fn of(verified: &[Verified]) -> Self {
        let mut tally = Self::default();
        for one in verified {
            tally.noted += usize::from(!one.unadjusted.is_empty());
            match one.verdict {
                Verdict::Holds => tally.holding += 1,
                Verdict::Differs => tally.differing += 1,
                Verdict::Unknown => tally.unknown += 1,
            }
        }
        tally
    }

    /// All of them.
    #[must_use]
    pub fn all(self) -> usize {
        self.holding + self.differing + self.unknown
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.all();
        write!(f, "{all} invoices verified: {} hold, {} differ", self.holding, self.differing)?;
        if self.unknown > 0 {
            write!(f, ", {} cannot be judged by this version", self.unknown)?;
        }
        if self.noted > 0 {
            write!(f, "; {} have a note of what no document bills", self.noted)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_taken_for_what_differs() {
        let wrong = || Difference::told("total_minor", "it is another");
        let unknown = || Difference::unknown("document", "it has a part nobody knows");
        for (differences, verdict) in [
            (vec![], Verdict::Holds),
            (vec![wrong()], Verdict::Differs),
            (vec![unknown()], Verdict::Unknown),
            (vec![unknown(), unknown()], Verdict::Unknown),
            (vec![unknown(), wrong()], Verdict::Differs),
        ] {
            assert_eq!(Verdict::of(&differences), verdict, "{differences:?}");
        }
    }

    #[test]
    fn a_tally_tells_all_three() {
        let tally = Tally { holding: 3, differing: 1, unknown: 2, noted: 0 };
        assert_eq!(tally.to_string(), "6 invoices verified: 3 hold, 1 differ, 2 cannot be judged by this version");
        let none_unknown = Tally { unknown: 0, ..tally };
        assert_eq!(none_unknown.to_string(), "4 invoices verified: 3 hold, 1 differ");
        let noted = Tally { noted: 2, ..none_unknown };
        let told = "4 invoices verified: 3 hold, 1 differ; 2 have a note of what no document bills";
        assert_eq!(noted.to_string(), told);
    }
}
