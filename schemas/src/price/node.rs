//! A tree of keys and values with places: what TOML and JSON have in common, before its meaning is checked.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

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

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_any(Any::<Self, Bare>(PhantomData))?;
        Ok(Self { at: 0..0, value })
    }
}

/// A node of TOML, whose place serde tells.
pub struct Placed(pub Node);

impl<'de> Deserialize<'de> for Placed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let inside = Spanned::<Inside>::deserialize(deserializer)?;
        Ok(Self(Node { at: inside.span(), value: inside.into_inner().0 }))
    }
}

impl fmt::Debug for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Placed> for Node {
    fn from(placed: Placed) -> Self {
        placed.0
    }
}

struct Inside(Value);

impl<'de> Deserialize<'de> for Inside {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any::<Placed, Spanned<String>>(PhantomData)).map(Self)
    }
}

#[derive(serde::Deserialize)]
struct Bare(String);

impl From<Bare> for Key {
    fn from(bare: Bare) -> Self {
        Self { at: 0..0, name: bare.0 }
    }
}

impl From<Spanned<String>> for Key {
    fn from(spanned: Spanned<String>) -> Self {
        Self { at: spanned.span(), name: spanned.into_inner() }
    }
}

/// Reads any value, its children as `C` and its keys as `K`.
struct Any<C, K>(PhantomData<(C, K)>);

impl<'de, C: Deserialize<'de> + Into<Node>, K: Deserialize<'de> + Into<Key>> Visitor<'de> for Any<C, K> {
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
        while let Some(item) = items.next_element::<C>()? {
            list.push(item.into());
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut table: Vec<(Key, Node)> = Vec::new();
        while let Some((key, value)) = entries.next_entry::<K, C>()? {
            let key: Key = key.into();
            if table.iter().any(|(other, _)| other.name == key.name) {
                return Err(serde::de::Error::custom(format!("duplicate field `{}`", key.name)));
            }
            table.push((key, value.into()));
        }
        Ok(Value::Table(table))
    }
}
