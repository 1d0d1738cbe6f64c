//! Reading values that JSON holds as texts, without a text of their own for each: a month's evidence has millions.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::{Error, Visitor};

/// Reads a text by a function; `expecting` is said where there is no text.
pub(crate) fn read_text<'de, D: Deserializer<'de>, T, E: fmt::Display>(
    deserializer: D,
    expecting: &'static str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, D::Error> {
    deserializer.deserialize_str(Text { expecting, parse, reads: PhantomData })
}

struct Text<F, T> {
    expecting: &'static str,
    parse: F,
    reads: PhantomData<T>,
}

impl<T, E: fmt::Display, F: Fn(&str) -> Result<T, E>> Visitor<'_> for Text<F, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<Wrong: Error>(self, text: &str) -> Result<T, Wrong> {
        (self.parse)(text).map_err(Wrong::custom)
    }
}
