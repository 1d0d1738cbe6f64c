//! A JSON Schema validator, as far as `catalog/catalog.schema.json` uses it. It panics at a rule or a pattern that it
//! does not know, so that none is taken for kept.

use serde_json::Value;

/// JSON Schema, as far as the file uses it.
pub(super) fn valid(root: &Value, schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{path}: {what}"));
    let rules = match schema {
        Value::Bool(true) => return Ok(()),
        Value::Bool(false) => return wrong("must not stand here"),
        Value::Object(rules) => rules,
        other => panic!("{other}"),
    };
    let part = |name: &str| value.get(name);
    for (rule, wanted) in rules {
        let list = || wanted.as_array().unwrap().iter();
        let each = |schema: &Value| valid(root, schema, value, path);
        match rule.as_str() {
            "description" | "title" | "$schema" | "definitions" | "then" | "else" => {}
            "$ref" => {
                valid(root, root.pointer(wanted.as_str().unwrap().trim_start_matches('#')).unwrap(), value, path)?
            }
            "type" => {
                let fits = match wanted.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_i64(),
                    "boolean" => value.is_boolean(),
                    other => panic!("{other}"),
                };
                if !fits {
                    return wrong(&format!("is not {wanted}"));
                }
            }
            "const" if value != wanted => return wrong(&format!("is not {wanted}")),
            "enum" if !list().any(|word| word == value) => return wrong(&format!("is none of {wanted}")),
            "const" | "enum" => {}
            "pattern" => match value.as_str() {
                Some(text) if !matches(wanted.as_str().unwrap(), text) => return wrong(&format!("is not {wanted}")),
                _ => {}
            },
            "minimum" if value.as_i64() < wanted.as_i64() && value.is_i64() => return wrong("is too small"),
            "maximum" if value.as_i64() > wanted.as_i64() && value.is_i64() => return wrong("is too large"),
            "minimum" | "maximum" => {}
            "minItems" if value.as_array().is_some_and(|items| items.is_empty()) => return wrong("is empty"),
            "minProperties" if value.as_object().is_some_and(|keys| keys.is_empty()) => return wrong("is empty"),
            "minItems" | "minProperties" => {}
            "uniqueItems" => {
                let items = value.as_array().map_or(&[][..], Vec::as_slice);
                if items.iter().enumerate().any(|(at, item)| items[..at].contains(item)) {
                    return wrong("has something twice");
                }
            }
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    valid(root, wanted, item, &format!("{path}[{at}]"))?;
                }
            }
            "required" => {
                if let Some(name) = list().filter_map(Value::as_str).find(|name| part(name).is_none()) {
                    return wrong(&format!("needs {name}"));
                }
            }
            "properties" => {
                for (name, schema) in wanted.as_object().unwrap() {
                    if let Some(value) = part(name) {
                        valid(root, schema, value, &format!("{path}.{name}"))?;
                    }
                }
            }
            "propertyNames" => {
                for name in value.as_object().into_iter().flat_map(|keys| keys.keys()) {
                    valid(root, wanted, &Value::from(name.as_str()), path)?;
                }
            }
            "additionalProperties" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    if rules.get("properties").is_none_or(|known| known.get(name).is_none()) {
                        valid(root, wanted, value, &format!("{path}.{name}"))?;
                    }
                }
            }
            "allOf" => list().try_for_each(each)?,
            "anyOf" if !list().any(|schema| each(schema).is_ok()) => return wrong("fits nothing"),
            "oneOf" if list().filter(|schema| each(schema).is_ok()).count() != 1 => return wrong("fits none, or two"),
            "not" if each(wanted).is_ok() => return wrong("must not be so"),
            "anyOf" | "oneOf" | "not" => {}
            "if" => {
                let branch = if each(wanted).is_ok() { "then" } else { "else" };
                rules.get(branch).map_or(Ok(()), each)?;
            }
            other => panic!("the validator of this test does not know {other}"),
        }
    }
    Ok(())
}

/// The patterns of the schema.
fn matches(pattern: &str, text: &str) -> bool {
    let all = |text: &str, fits: fn(char) -> bool| !text.is_empty() && text.chars().all(fits);
    let digits = |text: &str| all(text, |c| c.is_ascii_digit());
    match pattern {
        "^/" => text.starts_with('/'),
        "^[A-Za-z0-9_.-]{1,64}$" => text.len() <= 64 && all(text, |c| c.is_ascii_alphanumeric() || "_.-".contains(c)),
        "^[A-Za-z0-9-]{1,16}$" => text.len() <= 16 && all(text, |c| c.is_ascii_alphanumeric() || c == '-'),
        "^[a-z0-9_]+$" => all(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
        "^([A-Z-]+ )?/[^ ]*$" => {
            let (method, path) = text.split_once(' ').unwrap_or(("GET", text));
            all(method, |c| c.is_ascii_uppercase() || c == '-') && path.starts_with('/') && !path.contains(' ')
        }
        "^[1-9][0-9]*$" => digits(text) && !text.starts_with('0'),
        "^[A-Z-]+$" => all(text, |c| c.is_ascii_uppercase() || c == '-'),
        "^(\\*\\.)?[a-z0-9_-]+(\\.[a-z0-9_-]+)*$" => text
            .strip_prefix("*.")
            .unwrap_or(text)
            .split('.')
            .all(|label| all(label, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))),
        "^[A-Z]{2}$" => text.len() == 2 && all(text, |c| c.is_ascii_uppercase()),
        "^[A-Z]{3}$" => text.len() == 3 && all(text, |c| c.is_ascii_uppercase()),
        "^-?[0-9]+$" => digits(text.strip_prefix('-').unwrap_or(text)),
        "^[0-9]+(\\.[0-9]{1,12})?$" => match text.split_once('.') {
            Some((whole, part)) => digits(whole) && digits(part) && part.len() <= 12,
            None => digits(text),
        },
        "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]" => text.len() > 10 && text.as_bytes()[4] == b'-' && digits(&text[..4]),
        other => panic!("the validator of this test does not know the pattern {other}"),
    }
}
