//! What no event may carry: contact data, which belongs to the billing profile alone, and secrets.
//!
//! Takes the data of an event, gives the first place that must not be there, by its keys and never by its value. Keys
//! are compared without case, `_`, `-`, `.` and blanks, at every depth. Values are looked at too, because a free text
//! holds an address as well as a field does. Rather one event too many is refused than one address stored: the table
//! is append-only.

use serde_json::{Map, Value};

/// What is wrong with a place of an event's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Private {
    /// Who a person is, or how to reach one.
    Contact,
    /// What opens a door.
    Secret,
}

/// Keys of contact data.
const CONTACT_KEYS: &[&str] = &[
    "legalname",
    "phone",
    "phonenumber",
    "telephone",
    "mobile",
    "address",
    "addressline1",
    "addressline2",
    "street",
    "taxid",
    "taxids",
    "vatid",
    "contactname",
    "firstname",
    "lastname",
    "fullname",
    "iban",
];
/// Ends of keys of contact data, such as of `billing_email`.
const CONTACT_ENDS: &[&str] = &["email", "emailaddress", "emails"];
/// Ends of keys of secrets, such as of `client_secret`.
const SECRET_ENDS: &[&str] = &[
    "apikey",
    "apikeys",
    "accesskey",
    "secretkey",
    "privatekey",
    "secret",
    "secrets",
    "token",
    "accesstokens",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "credentials",
    "credentialvalue",
    "rawcredential",
    "authorization",
    "bearer",
    "cookie",
];
/// How values begin that are keys.
const SECRET_STARTS: &[&str] = &["sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_", "-----begin"];
/// The shortest text behind `bearer ` that is a key and no word.
const BEARER_LENGTH_MIN: usize = 12;
/// Characters of a key in a message.
const KEY_LENGTH_MAX: usize = 60;

/// The first place of the data that must not be there, as `contact.email`. `raw` is a top-level key whose value is
/// handed to whoever hashes it.
pub(super) fn find(data: &Map<String, Value>, raw: Option<&str>) -> Option<(String, Private)> {
    data.iter().find_map(|(key, value)| if raw == Some(key) { None } else { of_entry("", key, value) })
}

/// Whether a text is, or holds, contact data or a secret.
pub(super) fn of_text(text: &str) -> Option<Private> {
    let words = || text.split(|c: char| c.is_whitespace() || "<>()[]{},;:/|\"'=".contains(c));
    if words().any(is_email) {
        return Some(Private::Contact);
    }
    let lower = text.to_ascii_lowercase();
    let bearer = lower
        .match_indices("bearer ")
        .any(|(at, word)| lower[at + word.len()..].split_whitespace().next().is_some_and(is_key_like));
    let keyed = words().any(|word| {
        let word = word.to_ascii_lowercase();
        SECRET_STARTS.iter().any(|start| word.starts_with(start))
    });
    let is_secret = bearer || keyed || words().any(is_web_token);
    is_secret.then_some(Private::Secret)
}

fn of_entry(parent: &str, key: &str, value: &Value) -> Option<(String, Private)> {
    // A key can be somebody's address too; then it is not told.
    if let Some(private) = of_text(key) {
        return Some((format!("{parent}***"), private));
    }
    let shown: String = key.chars().filter(|c| !c.is_control()).take(KEY_LENGTH_MAX).collect();
    let place = format!("{parent}{shown}");
    let plain: String =
        key.chars().filter(|c| !matches!(c, '_' | '-' | '.' | ' ')).flat_map(char::to_lowercase).collect();
    let ends = |list: &[&str]| list.iter().any(|end| plain.ends_with(end));
    if CONTACT_KEYS.contains(&plain.as_str()) || ends(CONTACT_ENDS) {
        return Some((place, Private::Contact));
    }
    if ends(SECRET_ENDS) {
        return Some((place, Private::Secret));
    }
    of_value(&place, value)
}

fn of_value(place: &str, value: &Value) -> Option<(String, Private)> {
    match value {
        Value::String(text) => of_text(text).map(|private| (place.to_owned(), private)),
        Value::Array(values) => values.iter().find_map(|value| of_value(place, value)),
        Value::Object(fields) => fields.iter().find_map(|(key, value)| of_entry(&format!("{place}."), key, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn is_email(word: &str) -> bool {
    let Some((local, domain)) = word.split_once('@') else { return false };
    let domain = domain.trim_end_matches(['.', ':', '!', '?']);
    let is_host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
    let has_top = domain.rsplit_once('.').is_some_and(|(host, top)| {
        !host.is_empty() && top.chars().count() >= 2 && top.chars().all(char::is_alphabetic)
    });
    !local.is_empty() && domain.chars().all(is_host) && has_top
}

fn is_key_like(word: &str) -> bool {
    word.len() >= BEARER_LENGTH_MIN && word.bytes().any(|b| b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-'))
}

/// A JSON web token: three parts, the first of which is an object in Base64.
fn is_web_token(word: &str) -> bool {
    word.starts_with("eyJ") && word.bytes().filter(|b| *b == b'.').count() == 2
}
