//! Secrets that the configuration names: each in a variable of the environment or in a file. Gives the secret, or tells
//! which one is not there; promises that the name of the place is told and a value never.

use std::collections::BTreeMap;
use std::path::Path;

use tollbook_billing::error::BillingError;
use tollbook_billing::stripe::SecretKey;
use tollbook_ingest::{CredentialKey, KeyRing};
use tollbook_schemas::catalog::Problem;

use super::place::WrongValue;
use super::{Configuration, ConfigurationError, KeySection, SecretPlace, StripeSection};

/// Shortest key for hashes of credentials.
const CREDENTIAL_KEY_BYTES_MIN: usize = 16;

/// A secret that is named and cannot be used here.
#[derive(Debug)]
pub struct AbsentSecret {
    /// Whether something that is configured cannot work without it; else only some commands need it.
    pub is_needed: bool,
    /// What is wrong, where it is named, and how to mend it.
    pub problem: Problem,
}

impl Configuration {
    /// Every secret that is named and cannot be used in this environment. Topics need the keys for credentials and
    /// Kafka's secrets; Stripe's key is needed by `bill push`, `bill sync` and `close` alone, so a machine that only
    /// ingests or drafts may be without it, but not have a wrong one. `text` is the file at `path`.
    #[must_use]
    pub fn absent_secrets(&self, path: &Path, text: &str) -> Vec<AbsentSecret> {
        let has_topics = !self.topic.is_empty();
        let mut absent = Vec::new();
        let mut tell = |is_needed: bool, wrong: Option<WrongValue>| {
            absent.extend(wrong.map(|wrong| AbsentSecret { is_needed, problem: wrong.shown(path, text) }));
        };
        tell(has_topics, self.credential_key("current", &self.credentials.current).err());
        if let Some(previous) = &self.credentials.previous {
            tell(has_topics, self.credential_key("previous", previous).err());
        }
        for (name, place) in self.kafka.iter().flat_map(|kafka| &kafka.secrets) {
            tell(has_topics, self.secret(&["kafka", "secrets", name], place).err());
        }
        if let Some(stripe) = &self.stripe {
            match self.secret(&["stripe"], &stripe.place()) {
                Err(wrong) => tell(!stripe.place().is_one(), Some(wrong)),
                Ok(secret) => {
                    let refused = SecretKey::parse(&secret, stripe.live).err();
                    let wrong = |error: BillingError| {
                        let (what, mend) = match error {
                            BillingError::Configuration { what, mend } => (what, mend),
                            other => (other.to_string(), "put the right key there".to_owned()),
                        };
                        WrongValue::at(&["stripe", stripe.place().key()], format!("[stripe] {what}"), mend)
                    };
                    tell(true, refused.map(wrong));
                }
            }
        }
        absent
    }

    /// The keys for credentials.
    ///
    /// # Errors
    /// A secret that is not there, or too short.
    pub fn key_ring(&self) -> anyhow::Result<KeyRing> {
        let credentials = &self.credentials;
        let previous = credentials.previous.as_ref().map(|key| self.credential_key("previous", key)).transpose();
        Ok(KeyRing {
            current: self.credential_key("current", &credentials.current).map_err(refused)?,
            previous: previous.map_err(refused)?,
        })
    }

    fn credential_key(&self, which: &str, section: &KeySection) -> Result<CredentialKey, WrongValue> {
        let place = &section.secret;
        let secret = self.secret(&["credentials", which], place)?;
        if secret.len() < CREDENTIAL_KEY_BYTES_MIN {
            let what = format!(
                "[credentials] the key {} ({}) is shorter than {CREDENTIAL_KEY_BYTES_MIN} bytes, so that credentials \
                 could be guessed from their hashes",
                section.key_id,
                place.shown()
            );
            let mend = "make one with `openssl rand -hex 32`, and keep it: hashes made with it cannot be made again \
                        with another";
            return Err(WrongValue::at(&["credentials", which, place.key()], what, mend));
        }
        Ok(CredentialKey::new(&section.key_id, secret.into_bytes()))
    }

    /// All further librdkafka properties, secrets included.
    ///
    /// # Errors
    /// A secret that is not there.
    pub fn kafka_properties(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let kafka = self.kafka()?;
        let mut properties = kafka.properties.clone();
        for (name, place) in &kafka.secrets {
            let secret = self.secret(&["kafka", "secrets", name], place).map_err(refused)?;
            properties.insert(name.clone(), secret);
        }
        Ok(properties)
    }

    /// The Stripe key.
    ///
    /// # Errors
    /// Where it should be and is not.
    pub fn stripe_secret(&self) -> anyhow::Result<String> {
        Ok(self.secret(&["stripe"], &self.stripe()?.place()).map_err(refused)?)
    }

    /// The secret of a table of the file, which names its place.
    pub(super) fn secret(&self, whose: &[&str], place: &SecretPlace) -> Result<String, WrongValue> {
        let label = match whose {
            ["kafka", "secrets", name] => format!("[kafka.secrets] {name}"),
            [section, key] => format!("[{section}] {key}"),
            keys => format!("[{}]", keys.join(".")),
        };
        let at = [whose, &[place.key()]].concat();
        let wrong = |what: String, mend: &str| WrongValue::at(&at, what, mend);
        let secret = match (&place.secret_env, &place.secret_file) {
            // This is the edge that the ban in clippy.toml points to.
            #[allow(clippy::disallowed_methods)]
            (Some(name), None) => std::env::var(name).map_err(|_| {
                let shown = place.shown();
                if shown == HIDDEN {
                    let what =
                        format!("{label} names a variable that is not set, and the name may be the secret itself");
                    return wrong(what, "secret_env takes the name of a variable; put the secret into that variable")
                        .hidden();
                }
                let what = format!("{label} wants its secret in the environment variable {shown}, which is not set");
                wrong(what, "set it, or name a file with secret_file")
            })?,
            (None, Some(file)) => {
                let path = self.path(file);
                std::fs::read_to_string(&path).map_err(|error| {
                    let shown = path.display();
                    let what = format!("{label} wants its secret in {shown}, which cannot be read ({error})");
                    wrong(what, "write it there, or name a variable with secret_env")
                })?
            }
            _ => {
                let what = format!("{label} must name secret_env or secret_file, and only one of them");
                return Err(wrong(what, "keep the one that you use"));
            }
        };
        let secret = secret.trim().to_owned();
        if secret.is_empty() {
            let what = format!("{label} has an empty secret in {}", place.shown());
            return Err(wrong(what, "write it where secret_env or secret_file points"));
        }
        Ok(secret)
    }
}

fn refused(wrong: WrongValue) -> ConfigurationError {
    ConfigurationError(wrong.to_string())
}

/// In the place of a name that is not shown.
const HIDDEN: &str = "…";

impl SecretPlace {
    /// Whether exactly one place is named.
    fn is_one(&self) -> bool {
        self.secret_env.is_some() != self.secret_file.is_some()
    }

    /// The key that names the place.
    fn key(&self) -> &'static str {
        if self.secret_env.is_some() { "secret_env" } else { "secret_file" }
    }

    /// The place's name, if it can be one: a secret that stands in the place of its name is not shown.
    fn shown(&self) -> &str {
        match (&self.secret_env, &self.secret_file) {
            (Some(name), _) if !may_be_secret(name) => name,
            (None, Some(file)) => file,
            _ => HIDDEN,
        }
    }
}

impl StripeSection {
    fn place(&self) -> SecretPlace {
        SecretPlace { secret_env: self.secret_env.clone(), secret_file: self.secret_file.clone() }
    }
}

/// Whether a name of a variable looks like a key of Stripe, or like something that a machine made.
fn may_be_secret(name: &str) -> bool {
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let has = |what: fn(&u8) -> bool| name.bytes().any(|byte| what(&byte));
    let is_made = name.len() >= 16 && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
    !is_name || is_made || ["sk_", "rk_", "whsec_"].iter().any(|prefix| name.starts_with(prefix))
}
