//! Overrides from the environment. Takes names without their prefix and their values; sets keys of the table that was
//! read, and tells which override a mistake comes from. It promises that no value is shown: it may be a secret.

use anyhow::Context as _;

use super::place::{masked, mend_of, suggestion};
use super::{ConfigurationError, PREFIX};

/// Sets what one override names: `SECTION__KEY`.
pub(super) fn set(table: &mut toml::Table, name: &str, value: &str) -> anyhow::Result<()> {
    let lower = name.to_lowercase();
    let mut keys: Vec<&str> = lower.split("__").collect();
    let last = keys.pop().unwrap_or_default();
    let mut at = table;
    for key in keys {
        let entry = at.entry(key).or_insert_with(|| toml::Table::new().into());
        at = entry.as_table_mut().context("it does not name a key of a section")?;
    }
    // A text stays a text where one stands; elsewhere true, false and numbers are read as such.
    let parsed = match at.get(last) {
        Some(toml::Value::String(_)) => None,
        _ => value.parse::<toml::Value>().ok().filter(|value| value.is_bool() || value.is_integer()),
    };
    at.insert(last.to_owned(), parsed.unwrap_or_else(|| toml::Value::String(value.to_owned())));
    Ok(())
}

/// What is told of a mistake, where there are overrides: the mistake of the file alone, which has a place; or the first
/// override that makes a valid configuration invalid. `with_first` is the mistake with only so many overrides.
pub(super) fn blame(
    error: anyhow::Error,
    overrides: &[(String, String)],
    with_first: impl Fn(usize) -> Option<anyhow::Error>,
) -> anyhow::Error {
    let mut before = with_first(0);
    if let Some(alone) = before.take_if(|alone| told(alone) == told(&error)) {
        return alone;
    }
    for (count, (name, _)) in (1..).zip(overrides) {
        let after = with_first(count);
        match (&before, &after) {
            (None, Some(error)) => return ConfigurationError(wrong(name, error)).into(),
            _ => before = after,
        }
    }
    // The file needs its overrides, and is wrong with them all the same.
    let names: Vec<String> = overrides.iter().map(|(name, _)| format!("{PREFIX}{name}")).collect();
    let what = masked(&told(&error));
    ConfigurationError(format!("{what}; correct it in the file or in the environment, which sets {}", names.join(", ")))
        .into()
}

fn told(error: &anyhow::Error) -> String {
    match error.downcast_ref::<toml::de::Error>() {
        // Without the place, which only a text has.
        Some(error) => error.message().trim().to_owned(),
        None => format!("{error:#}"),
    }
}

fn wrong(name: &str, error: &anyhow::Error) -> String {
    let what = told(error);
    let meant = suggestion(&what).and_then(|(written, known)| {
        let segments: Vec<&str> = name.split("__").collect();
        let at = segments.iter().position(|segment| segment.eq_ignore_ascii_case(written))?;
        let known = known.to_uppercase();
        let meant: Vec<&str> =
            segments.iter().enumerate().map(|(i, old)| if i == at { &*known } else { *old }).collect();
        Some(format!("did you mean {PREFIX}{}? Else unset it", meant.join("__")))
    });
    let mend = meant.or_else(|| Some(format!("{}, or unset it", mend_of(&what)?)));
    let mend = mend.unwrap_or_else(|| format!("{PREFIX}SECTION__KEY sets a key of [section]; correct it, or unset it"));
    format!("{PREFIX}{name}, which the environment sets: {}; {mend}", masked(&what))
}
