//! Who did something by hand, or by which rule it was done: `staff:ann`, `partner:acme`, `system:deviation`.
//!
//! Takes the text that a person typed, gives an [`Actor`] or what is wrong with it. An actor is one word without
//! blanks, so that it can stand before a reason. It is no e-mail address, because what an act leaves behind is never
//! taken out of the lake again. [`reason`] reads the reason that stands behind it, with the same care.

use std::fmt;

use crate::lifecycle::holds_private_data;

/// Longest reason and description, in characters.
pub const WORDS_MAX: usize = 200;
/// Longest name behind the kind, in characters.
const NAME_MAX: usize = 64;
/// Kinds of actors.
const KINDS: [&str; 3] = ["staff", "partner", "system"];

/// Why a text is not an actor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "an actor is staff:NAME, partner:NAME or system:RULE, the name 1 to 64 letters, digits, '_', '.', '-', such as staff:ann"
)]
pub struct ActorError;

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor(String);

impl Actor {
    /// Reads an actor.
    ///
    /// # Errors
    /// [`ActorError`]; the text is not repeated, for it may be an address.
    pub fn parse(text: &str) -> Result<Self, ActorError> {
        let (kind, name) = text.split_once(':').ok_or(ActorError)?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let fits = KINDS.contains(&kind) && (1..=NAME_MAX).contains(&name.len()) && name.chars().all(is_plain);
        if fits { Ok(Self(text.to_owned())) } else { Err(ActorError) }
    }

    /// The actor of a rule, whose name is one of ours.
    #[must_use]
    pub fn rule(name: &'static str) -> Self {
        Self(format!("system:{name}"))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a reason or a description: a line of 1 to 200 characters without contact data and secrets.
///
/// # Errors
/// In words; the text is not repeated.
pub fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > WORDS_MAX || text.contains(char::is_control) {
        return Err(format!("say it in one line of 1 to {WORDS_MAX} characters"));
    }
    if holds_private_data(text) {
        return Err("it holds an e-mail address or a key; it is kept for good, so name nobody by an address".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_is_one_word_with_a_kind() {
        for good in ["staff:ann", "partner:acme", "system:deviation", "staff:ann.meyer-1_b"] {
            assert_eq!(Actor::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "ann", "staff:", "staff: ann", "staff:a b", "staff:ann@acme.example", "boss:ann", "staff:ä"] {
            let told = Actor::parse(bad).unwrap_err().to_string();
            assert!(bad.len() < 8 || !told.contains(bad), "{told}");
        }
        assert!(Actor::parse(&format!("staff:{}", "x".repeat(65))).is_err());
        assert_eq!(Actor::parse(Actor::rule("deviation").as_str()), Ok(Actor::rule("deviation")));
    }

    #[test]
    fn a_reason_is_a_line_without_contact_data() {
        for (text, is_reason) in [
            ("dispute of May", true),
            ("  ", false),
            ("two\nlines", false),
            ("ask ann@acme.example", false),
            ("sk_live_0123456789", false),
            (&"x".repeat(200), true),
            (&"x".repeat(201), false),
        ] {
            assert_eq!(reason(text).is_ok(), is_reason, "{text:?}");
        }
        assert_eq!(reason("  why ").unwrap(), "why");
    }
}
