//! Made-up company names, each once.

use crate::dice::Dice;

const FIRST: [&str; 24] = [
    "amber", "birch", "cobalt", "delta", "ember", "fjord", "granite", "harbor", "indigo", "juniper", "kestrel",
    "lumen", "meadow", "nimbus", "onyx", "pine", "quartz", "river", "saffron", "tundra", "umbra", "violet", "willow",
    "zephyr",
];
const SECOND: [&str; 23] = [
    "atlas", "cargo", "compass", "courier", "fleet", "freight", "grid", "journey", "lens", "loop", "maps", "metrics",
    "mobility", "orbit", "parcel", "path", "pilot", "relay", "signal", "transit", "travel", "vision", "works",
];

/// Gives names in an order that depends on the seed.
pub(super) struct Names {
    start: usize,
    given: usize,
}

/// Id and display name.
pub(super) struct Name {
    pub id: String,
    pub display: String,
}

impl Names {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let all = (FIRST.len() * SECOND.len()) as u64;
        Self { start: usize::try_from(dice.below(all)).unwrap_or(0), given: 0 }
    }

    pub(super) fn next_name(&mut self) -> Name {
        let pairs = FIRST.len() * SECOND.len();
        // 131 shares no factor with the 552 pairs, so every pair is met before one comes again.
        let pair = (self.start + self.given * 131) % pairs;
        let round = self.given / pairs;
        self.given += 1;
        let (first, second) = (FIRST[pair % FIRST.len()], SECOND[pair / FIRST.len()]);
        let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
        let display = format!("{} {}", capital(first), capital(second));
        // Names that are met again get a number, so they never run out.
        match round {
            0 => Name { id: format!("{first}-{second}"), display },
            round => Name { id: format!("{first}-{second}-{round}"), display: format!("{display} {round}") },
        }
    }
}
