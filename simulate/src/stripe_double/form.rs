//! Form bodies and query strings: `lines[0][metadata][k]=v` becomes a tree, and a tree is read field by field.
//!
//! Two trees are equal when they say the same, in whatever order it was written. Reading is strict: what
//! [`Fields`] was not asked for is an unknown parameter, and nothing is coerced.

use std::collections::BTreeMap;

use super::answers::Refusal;

/// A decoded body or query.
pub(super) type Params = BTreeMap<String, Param>;

/// One parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Param {
    /// A value.
    Text(String),
    /// Something in brackets: a hash, or a list with its indices as names.
    Group(Params),
}

/// Decodes `a=1&b[c][0]=2`.
///
/// # Errors
/// A name with bad brackets, a name given twice, or one that is a value and a group at once.
pub(super) fn decode(encoded: &[u8]) -> Result<Params, Refusal> {
    let mut params = Params::new();
    for (name, value) in form_urlencoded::parse(encoded) {
        let steps = steps(&name).ok_or_else(|| Refusal::invalid(format!("Invalid parameter name: {name}")))?;
        insert(&mut params, &steps, value.into_owned())
            .ok_or_else(|| Refusal::invalid(format!("Parameter given twice, or with two shapes: {name}")))?;
    }
    Ok(params)
}

/// `a[b][0]` -> `a`, `b`, `0`; `a[]` -> `a`, and an empty step that means "next".
fn steps(name: &str) -> Option<Vec<&str>> {
    let (head, mut rest) = match name.find('[') {
        Some(at) => name.split_at(at),
        None => (name, ""),
    };
    if head.is_empty() || head.contains(']') {
        return None;
    }
    let mut steps = vec![head];
    while !rest.is_empty() {
        let (step, after) = rest.strip_prefix('[')?.split_once(']')?;
        if step.contains('[') {
            return None;
        }
        steps.push(step);
        rest = after;
    }
    Some(steps)
}

fn insert(into: &mut Params, steps: &[&str], value: String) -> Option<()> {
    let (first, rest) = steps.split_first()?;
    let name = if first.is_empty() { into.len().to_string() } else { (*first).to_owned() };
    if rest.is_empty() {
        return match into.insert(name, Param::Text(value)) {
            None => Some(()),
            Some(_) => None,
        };
    }
    match into.entry(name).or_insert_with(|| Param::Group(Params::new())) {
        Param::Group(group) => insert(group, rest, value),
        Param::Text(_) => None,
    }
}

/// What a request asks of an object's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MetadataChange {
    /// `metadata=`: drop all of it.
    Clear,
    /// Set these; an empty value drops its key.
    Merge(BTreeMap<String, String>),
}

impl MetadataChange {
    /// Applies the change.
    ///
    /// # Errors
    /// More than 50 keys afterwards.
    pub fn apply(&self, to: &mut BTreeMap<String, String>) -> Result<(), Refusal> {
        let Self::Merge(changes) = self else {
            to.clear();
            return Ok(());
        };
        let mut merged = to.clone();
        for (key, value) in changes {
            match value.is_empty() {
                true => merged.remove(key),
                false => merged.insert(key.clone(), value.clone()),
            };
        }
        if merged.len() > 50 {
            return Err(Refusal::invalid("Metadata can have at most 50 keys").param("metadata"));
        }
        *to = merged;
        Ok(())
    }
}

/// Parameters being read. Whatever is left when [`Fields::finish`] is called was not known.
#[derive(Debug)]
pub(super) struct Fields {
    /// Where in the tree these are, e.g. `lines[0]`; empty at the top.
    at: String,
    left: Params,
}

impl Fields {
    /// Reads from the top.
    pub fn new(params: Params) -> Self {
        Self { at: String::new(), left: params }
    }

    /// The full name of a field, as an error must give it.
    pub fn name(&self, field: &str) -> String {
        if self.at.is_empty() { field.to_owned() } else { format!("{}[{field}]", self.at) }
    }

    /// Whether a field is there and empty, which asks to unset it.
    pub fn text_is_empty(&self, field: &str) -> bool {
        matches!(self.left.get(field), Some(Param::Text(text)) if text.is_empty())
    }

    /// What is in a field, still to be read.
    pub fn peek(&self, field: &str) -> Option<&Param> {
        self.left.get(field)
    }

    /// A text of at most `most` characters. Empty means "unset this".
    pub fn text(&mut self, field: &str, most: usize) -> Result<Option<String>, Refusal> {
        let name = self.name(field);
        match self.left.remove(field) {
            None => Ok(None),
            Some(Param::Group(_)) => Err(Refusal::invalid(format!("Invalid string: {name}")).param(name)),
            Some(Param::Text(text)) if text.chars().count() > most => {
                Err(Refusal::invalid(format!("Invalid string: {name} must be at most {most} characters")).param(name))
            }
            Some(Param::Text(text)) => Ok(Some(text)),
        }
    }

    /// A text that cannot be unset.
    pub fn filled(&mut self, field: &str, most: usize) -> Result<Option<String>, Refusal> {
        match self.text(field, most)? {
            Some(text) if text.is_empty() => Err(Refusal::empty_parameter(&self.name(field))),
            text => Ok(text),
        }
    }

    /// A text that must be there.
    pub fn required(&mut self, field: &str, most: usize) -> Result<String, Refusal> {
        self.filled(field, most)?.ok_or_else(|| Refusal::missing_parameter(&self.name(field)))
    }

    /// A whole number.
    pub fn integer(&mut self, field: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.filled(field, 32)? else { return Ok(None) };
        // `+5` parses in Rust; Stripe's answer to it is not known, so it is refused.
        let digits = text.strip_prefix('-').unwrap_or(&text);
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if plain => Ok(Some(number)),
            _ => Err(Refusal::invalid(format!("Invalid integer: {text}"))
                .code("parameter_invalid_integer")
                .param(self.name(field))),
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, field: &str) -> Result<Option<bool>, Refusal> {
        match self.filled(field, 16)?.as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(Refusal::invalid(format!("Invalid boolean: {other}")).param(self.name(field))),
        }
    }

    /// One of a list of words.
    pub fn choice(&mut self, field: &str, words: &[&'static str]) -> Result<Option<&'static str>, Refusal> {
        let Some(text) = self.filled(field, 64)? else { return Ok(None) };
        match words.iter().find(|word| **word == text) {
            Some(word) => Ok(Some(word)),
            None => Err(Refusal::invalid(format!("Invalid {}: must be one of {}", self.name(field), words.join(", ")))
                .param(self.name(field))),
        }
    }

    /// A hash, to be read in its turn.
    pub fn group(&mut self, field: &str) -> Result<Option<Self>, Refusal> {
        let at = self.name(field);
        match self.left.remove(field) {
            None => Ok(None),
            Some(Param::Group(left)) => Ok(Some(Self { at, left })),
            Some(Param::Text(_)) => Err(Refusal::invalid("Invalid object").param(at)),
        }
    }

    /// The items of a list, in the order of their indices, each with its full name.
    pub fn list(&mut self, field: &str) -> Result<Option<Vec<(String, Param)>>, Refusal> {
        let at = self.name(field);
        let group = match self.left.remove(field) {
            None => return Ok(None),
            // An empty value is the form encoding's way to write an empty list.
            Some(Param::Text(text)) if text.is_empty() => return Ok(Some(Vec::new())),
            Some(Param::Text(_)) => return Err(Refusal::invalid("Invalid array").param(at)),
            Some(Param::Group(group)) => group,
        };
        let mut items = Vec::with_capacity(group.len());
        for (index, item) in group {
            let position: u32 = index.parse().map_err(|_| Refusal::invalid("Invalid array").param(at.clone()))?;
            items.push((position, format!("{at}[{index}]"), item));
        }
        items.sort_by_key(|(position, ..)| *position);
        Ok(Some(items.into_iter().map(|(_, name, item)| (name, item)).collect()))
    }

    /// A list of hashes.
    pub fn groups(&mut self, field: &str) -> Result<Option<Vec<Self>>, Refusal> {
        let Some(items) = self.list(field)? else { return Ok(None) };
        let groups = items.into_iter().map(|(at, item)| match item {
            Param::Group(left) => Ok(Self { at, left }),
            Param::Text(_) => Err(Refusal::invalid("Invalid object").param(at)),
        });
        groups.collect::<Result<_, _>>().map(Some)
    }

    /// A list of non-empty texts.
    pub fn texts(&mut self, field: &str) -> Result<Option<Vec<String>>, Refusal> {
        let Some(items) = self.list(field)? else { return Ok(None) };
        let texts = items.into_iter().map(|(at, item)| match item {
            Param::Text(text) if !text.is_empty() => Ok(text),
            _ => Err(Refusal::invalid("Invalid string").param(at)),
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// Metadata: at most 50 keys, keys of at most 40 characters, values of at most 500.
    pub fn metadata(&mut self, field: &str) -> Result<Option<MetadataChange>, Refusal> {
        let at = self.name(field);
        let group = match self.left.remove(field) {
            None => return Ok(None),
            Some(Param::Text(text)) if text.is_empty() => return Ok(Some(MetadataChange::Clear)),
            Some(Param::Text(_)) => return Err(Refusal::invalid("Invalid object").param(at)),
            Some(Param::Group(group)) => group,
        };
        let mut pairs = BTreeMap::new();
        for (key, value) in group {
            let name = format!("{at}[{key}]");
            let Param::Text(value) = value else { return Err(Refusal::invalid("Invalid string").param(name)) };
            if key.is_empty() || key.chars().count() > 40 {
                return Err(Refusal::invalid("Metadata keys must have 1 to 40 characters").param(name));
            }
            if value.chars().count() > 500 {
                return Err(Refusal::invalid("Metadata values can have at most 500 characters").param(name));
            }
            pairs.insert(key, value);
        }
        if pairs.len() > 50 {
            return Err(Refusal::invalid("Metadata can have at most 50 keys").param(at));
        }
        Ok(Some(MetadataChange::Merge(pairs)))
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// 400 `parameter_unknown` for what was not read.
    pub fn finish(self) -> Result<(), Refusal> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(field) => Err(Refusal::unknown_parameter(&self.name(field))),
        }
    }
}

/// Sets or unsets an optional text: absent leaves it, empty unsets it.
pub(super) fn settle(slot: &mut Option<String>, change: Option<String>) {
    if let Some(text) = change {
        *slot = (!text.is_empty()).then_some(text);
    }
}
