//! A tree of keys and values with places: what TOML and JSON have in common, before its meaning is checked.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// A value and where it stands in its text (an empty range where the format does not tell).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Place.
    pub at: Range<usize>,
    /// Value.
    pub value: Value,
}

/// What stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// true or false.
    Flag(bool),
    /// A list.
    List(Vec<Node>),
    /// Keys and values, in their order.
    Table(Vec<(Key, Node)>),
    /// Something that no price has: the word for it.
    Other(&'static str),
}

/// A key and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Place.
    pub at: Range<usize>,
    /// The key.
    pub name: String,
}

impl Node {
    /// Whether it is JSON's null, which says that there is nothing.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.value == Value::Other(NULL)
    }
}

const NULL: &str = "null";

impl Value {
    /// What it is called in an error.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Whole(_) => "a whole number",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(name) => name,
        }
    }
}

impl Node {
    /// The value under keys, one within the other; none where some table does not have its key.
    #[must_use]
    pub fn under(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |node, wanted| {
            let Value::Table(entries) = &node.value else { return None };
            entries.iter().find(|(key, _)| key.name == *wanted).map(|(_, inner)| inner)
        })
    }

    /// Where that value stands; where the node does, if there is none.
    #[must_use]
    pub fn place_of(&self, keys: &[&str]) -> Range<usize> {
        self.under(keys).unwrap_or(self).at.clone()
    }
}

/// A file of TOML.
impl From<Spanned<DeTable<'_>>> for Node {
    fn from(table: Spanned<DeTable<'_>>) -> Self {
        Self { at: table.span(), value: table.into_inner().into() }
    }
}

impl From<Spanned<DeValue<'_>>> for Node {
    fn from(placed: Spanned<DeValue<'_>>) -> Self {
        let at = placed.span();
        let value = match placed.into_inner() {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Value::Other("a number beyond 63 bits"), Value::Whole),
            // The parser made the float; it is only named, never used.
            DeValue::Float(_) => Value::Other("floating point"),
            DeValue::Boolean(flag) => Value::Flag(flag),
            DeValue::Datetime(_) => Value::Other("a date or time without quotes"),
            DeValue::Array(items) => Value::List(items.into_iter().map(Self::from).collect()),
            DeValue::Table(entries) => entries.into(),
        };
        Self { at, value }
    }
}

impl From<DeTable<'_>> for Value {
    fn from(entries: DeTable<'_>) -> Self {
        let entry = |(key, value): (Spanned<DeString<'_>>, Spanned<DeValue<'_>>)| {
            (Key { at: key.span(), name: key.into_inner().into_owned() }, value.into())
        };
        Self::Table(entries.into_iter().map(entry).collect())
    }
}

/// A value of JSON, which tells no places.
impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_any(Any)?;
        Ok(Self { at: 0..0, value })
    }
}

/// Reads any value.
struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a whole number, true or false, a list or a table")
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Whole(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Other("a number beyond 63 bits"), Value::Whole))
    }

    // The parser made the float; it is only named, never used.
    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other("floating point"))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Other(NULL))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut table: Vec<(Key, Node)> = Vec::new();
        while let Some((name, value)) = entries.next_entry::<String, Node>()? {
            if table.iter().any(|(other, _)| other.name == name) {
                return Err(serde::de::Error::custom(format!("duplicate field `{name}`")));
            }
            table.push((Key { at: 0..0, name }, value));
        }
        Ok(Value::Table(table))
    }
}
