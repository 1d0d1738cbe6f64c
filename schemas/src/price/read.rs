//! What every reader of a price needs: tables whose keys are taken one by one, typed values, flaws with their places.

use std::fmt;
use std::ops::Range;

use super::foreign::meaning_of_key;
use super::node::{Key, Node, Value};
use crate::decimal::{Decimal, DecimalError};
use crate::nearest::nearest;
use crate::printed::unprintable;

/// Something wrong in a price: what, where and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Place in the text.
    pub at: Range<usize>,
    /// Place in the tree: `price.tiers[2].up_to`.
    pub path: String,
    /// What is wrong; what was expected instead follows `, expected `.
    pub what: String,
    /// How to mend it.
    pub mend: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.path, self.what, self.mend)
    }
}

/// What was found wrong so far.
#[derive(Debug, Default)]
pub struct Reading {
    /// In the order found.
    pub flaws: Vec<Flaw>,
}

impl Reading {
    /// Records a flaw.
    pub fn flaw(&mut self, at: Range<usize>, path: &str, what: impl Into<String>, mend: impl Into<String>) {
        self.flaws.push(Flaw { at, path: path.to_owned(), what: what.into(), mend: mend.into() });
    }

    /// Records that something else was expected.
    pub fn wrong_type(&mut self, node: &Node, path: &str, wanted: &str) {
        let what = format!("invalid type: {}, expected {wanted}", node.value.name());
        self.flaw(node.at.clone(), path, what, format!("write {wanted}"));
    }
}

/// How to mend a text that is in quotes already and is no number of ours.
#[must_use]
pub fn mend_of(error: &DecimalError) -> &'static str {
    match error {
        DecimalError::Syntax(text) if text.contains(',') => {
            "write a point before the fraction and nothing between thousands, such as \"49.5\""
        }
        DecimalError::Syntax(text) if text.contains(['e', 'E']) => "write all digits, such as \"40\" for 4e1",
        DecimalError::Syntax(_) => "write digits with at most one point, such as \"0.002\"",
        DecimalError::TooPrecise(_) => "write at most 12 digits after the point",
        DecimalError::Overflow(_) | DecimalError::ByZero => "write at most 26 digits before the point",
    }
}

/// A table whose keys are taken one by one; what is left at the end is unknown.
pub struct Table<'a> {
    pub(super) at: Range<usize>,
    path: String,
    entries: Vec<(&'a Key, &'a Node)>,
    /// Keys with JSON's null: as left out, but one that is unknown is a mistake all the same.
    nulls: Vec<&'a Key>,
    known: Vec<&'static str>,
}

/// What reads one value: the node, its path, the flaws.
pub type Reader<T> = fn(&Node, &str, &mut Reading) -> Option<T>;

impl<'a> Table<'a> {
    /// The table at a node.
    pub fn of(node: &'a Node, path: &str, reading: &mut Reading) -> Option<Self> {
        let Value::Table(entries) = &node.value else {
            reading.wrong_type(node, path, "a table");
            return None;
        };
        let (nulls, entries): (Vec<_>, Vec<_>) =
            entries.iter().map(|(key, value)| (key, value)).partition(|(_, node)| node.is_null());
        let nulls = nulls.into_iter().map(|(key, _)| key).collect();
        Some(Self { at: node.at.clone(), path: path.to_owned(), entries, nulls, known: Vec::new() })
    }

    /// Where the table stands.
    #[must_use]
    pub fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    /// Where the value of a key stands, if it is there and not taken.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<Range<usize>> {
        self.entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node.at.clone())
    }

    /// Where the value of a key stands, or the table where the key is missing.
    #[must_use]
    pub fn place_or_table(&self, name: &str) -> Range<usize> {
        self.place(name).unwrap_or_else(|| self.at())
    }

    /// The items of a list that is not taken yet; none where there is no list.
    #[must_use]
    pub fn list(&self, name: &str) -> &'a [Node] {
        match self.entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| &node.value) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    /// The entries of a table that is not taken yet; none where there is no table.
    #[must_use]
    pub fn entries_of(&self, name: &str) -> &'a [(Key, Node)] {
        match self.entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| &node.value) {
            Some(Value::Table(entries)) => entries,
            _ => &[],
        }
    }

    /// The value of a key that is not taken yet.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&'a Node> {
        self.entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| *node)
    }

    /// Whether a key is there and not taken yet.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.node(name).is_some()
    }

    /// The text of a key that is not taken yet.
    #[must_use]
    pub fn peek(&self, name: &str) -> Option<&'a str> {
        let (_, node) = self.entries.iter().find(|(key, _)| key.name == name)?;
        match &node.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Path of a key.
    #[must_use]
    pub fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Takes a key.
    pub fn take(&mut self, name: &'static str) -> Option<&'a Node> {
        self.know(&[name]);
        let at = self.entries.iter().position(|(key, _)| key.name == name)?;
        Some(self.entries.remove(at).1)
    }

    /// Makes keys known that may not be reached, because one before them is wrong.
    pub fn know(&mut self, names: &[&'static str]) {
        for name in names {
            if !self.known.contains(name) {
                self.known.push(name);
            }
        }
    }

    /// Takes what is there and has no meaning, because what would give it one is wrong itself.
    pub fn take_all(&mut self) {
        self.entries.clear();
        self.nulls.clear();
    }

    /// Reads a key that may be missing; `None` when it is there and wrong.
    pub fn optional<T>(&mut self, reading: &mut Reading, name: &'static str, read: Reader<T>) -> Option<Option<T>> {
        let path = self.path_of(name);
        match self.take(name) {
            None => Some(None),
            Some(node) => read(node, &path, reading).map(Some),
        }
    }

    /// Reads a key that must be there; `whose` names what needs it.
    pub fn required<T>(
        &mut self,
        reading: &mut Reading,
        name: &'static str,
        whose: &str,
        read: Reader<T>,
    ) -> Option<T> {
        let at = self.at();
        let path = self.path_of(name);
        let Some(value) = self.optional(reading, name, read)? else {
            let needs = format!("{whose} needs {name}");
            if !self.tell_meant(reading, &[name], &needs) {
                reading.flaw(at, &path, needs, format!("add {name}"));
            }
            return None;
        };
        Some(value)
    }

    /// Tells of the key that was written for one of these, which are missing and `needs` says so: another system's
    /// word, or a typo. It is taken, so that one mistake is one flaw. Whether there was such a key.
    pub fn tell_meant(&mut self, reading: &mut Reading, names: &[&'static str], needs: &str) -> bool {
        let found = self.entries.iter().enumerate().find_map(|(at, (key, _))| Some((at, self.meant(key, names)?)));
        let Some((at, (name, meaning))) = found else { return false };
        let (key, _) = self.entries.remove(at);
        match meaning {
            Some(mend) => {
                let mend = format!("{}: {mend}", key.name);
                reading.flaw(key.at.clone(), &self.path_of(name), needs, mend);
            }
            None => {
                let what = format!("unknown field `{}`, expected {name}", key.name);
                reading.flaw(key.at.clone(), &self.path_of(&key.name), what, format!("did you mean {name}?"));
            }
        }
        true
    }

    /// What of the keys that are not taken was meant for a missing one, if any was: another system's word for it, or a
    /// typo.
    #[must_use]
    pub fn meant_for(&self, name: &'static str) -> Option<String> {
        self.entries.iter().find_map(|(key, _)| match self.meant(key, &[name])? {
            (_, Some(mend)) => Some(format!("{}: {mend}", key.name)),
            (name, None) => Some(format!("write {name} for {}", key.name)),
        })
    }

    /// Which of the missing keys another one was meant for, and what it is here if it is another system's word.
    fn meant(&self, key: &Key, names: &[&'static str]) -> Option<(&'static str, Option<&'static str>)> {
        // What begins a tier was meant for nothing here.
        let meaning = |name| meaning_of_key(&key.name, &[name]).filter(|mend| !mend.starts_with("remove it"));
        let foreign = names.iter().find_map(|name| Some((*name, Some(meaning(name)?))));
        let typo = || nearest(&key.name, names.iter().copied()).map(|name| (name, None));
        foreign.or_else(|| typo().filter(|_| !self.known.contains(&key.name.as_str())))
    }

    /// Everything that is left is a flaw, with what another system's word is here, or the nearest known key, as a
    /// suggestion. Whether nothing was left.
    pub fn finish(self, reading: &mut Reading) -> bool {
        let flaws_before = reading.flaws.len();
        let left = self.entries.iter().map(|(key, _)| *key).chain(self.nulls.iter().copied());
        for key in left.filter(|key| !self.known.contains(&key.name.as_str())) {
            let meant = || nearest(&key.name, self.known.iter().copied());
            let mend = match (meaning_of_key(&key.name, &self.known), meant()) {
                (Some(mend), _) => mend.to_owned(),
                (None, Some(known)) => format!("did you mean {known}?"),
                (None, None) => "remove it".to_owned(),
            };
            let what = format!("unknown field `{}`, expected one of {}", key.name, self.known.join(", "));
            reading.flaw(key.at.clone(), &self.path_of(&key.name), what, mend);
        }
        reading.flaws.len() == flaws_before
    }

    /// Text.
    pub fn text(node: &Node, path: &str, reading: &mut Reading) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            _ => {
                reading.wrong_type(node, path, "text in quotes");
                None
            }
        }
    }

    /// A text that is printed for customers.
    pub fn printed(node: &Node, path: &str, reading: &mut Reading) -> Option<String> {
        let text = Self::text(node, path, reading)?;
        if let Some(letter) = unprintable(&text) {
            let what = format!("the text has U+{:04X}, expected one line of printable characters", u32::from(letter));
            let mend = "remove it: the text is printed within a line, and such a character tears it apart";
            reading.flaw(node.at.clone(), path, what, mend);
            return None;
        }
        Some(text)
    }

    /// A decimal, in quotes or whole.
    pub fn decimal(node: &Node, path: &str, reading: &mut Reading) -> Option<Decimal> {
        match &node.value {
            Value::Whole(number) => Some(Decimal::whole(*number)),
            Value::Text(text) => match text.parse() {
                Ok(decimal) => Some(decimal),
                Err(error) => {
                    let mend = mend_of(&error);
                    reading.flaw(node.at.clone(), path, error.to_string(), mend);
                    None
                }
            },
            _ => {
                reading.wrong_type(node, path, "a number in quotes, such as \"0.002\"");
                None
            }
        }
    }

    /// A decimal that is not negative.
    pub fn amount(node: &Node, path: &str, reading: &mut Reading) -> Option<Decimal> {
        let amount = Self::decimal(node, path, reading)?;
        if amount.is_negative() {
            let mend = "use 0 or more; reductions are discounts or credits";
            reading.flaw(node.at.clone(), path, "a price is negative", mend);
            return None;
        }
        Some(amount)
    }

    /// A decimal above zero.
    pub fn above_zero(node: &Node, path: &str, reading: &mut Reading) -> Option<Decimal> {
        let number = Self::decimal(node, path, reading)?;
        if number.unscaled() <= 0 {
            reading.flaw(node.at.clone(), path, format!("{number} is not above 0"), "write a number above 0");
            return None;
        }
        Some(number)
    }

    /// A whole number, as such or in quotes.
    pub fn count(node: &Node, path: &str, reading: &mut Reading) -> Option<u32> {
        let count = match &node.value {
            Value::Whole(number) => u32::try_from(*number).ok(),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        if count.is_none() {
            let what = "it is not a count: a whole number from 0 on";
            reading.flaw(node.at.clone(), path, what, "write such as 3");
        }
        count
    }

    /// A list of texts.
    pub fn texts(node: &Node, path: &str, reading: &mut Reading) -> Option<Vec<String>> {
        Self::each(node, path, reading, Self::text)
    }

    /// A list of texts that are printed for customers.
    pub fn printed_texts(node: &Node, path: &str, reading: &mut Reading) -> Option<Vec<String>> {
        Self::each(node, path, reading, Self::printed)
    }

    fn each(node: &Node, path: &str, reading: &mut Reading, read: Reader<String>) -> Option<Vec<String>> {
        let Value::List(items) = &node.value else {
            match &node.value {
                Value::Text(text) => {
                    let what = "invalid type: text, expected a list of texts";
                    reading.flaw(node.at.clone(), path, what, format!("put it in brackets: [{text:?}]"));
                }
                _ => reading.wrong_type(node, path, "a list of texts"),
            }
            return None;
        };
        items.iter().enumerate().map(|(at, item)| read(item, &format!("{path}[{at}]"), reading)).collect()
    }
}
