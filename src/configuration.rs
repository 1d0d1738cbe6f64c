//! `tollbook.toml`: read strictly, overridden by the environment by one rule, secrets taken from the environment or a
//! file and never from an argument.
//!
//! The rule: `TOLLBOOK__SECTION__KEY=value` sets `key` of `[section]`. Paths are relative to the file's folder.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use tollbook_aggregate::Feeds;
use tollbook_ingest::{CredentialKey, Decoder, Door, KeyRing};
use tollbook_schemas::source::Source;

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Where tables are.
    pub lake: LakeSection,
    /// Where the catalog is.
    pub catalog: CatalogSection,
    /// Where topics are; not needed for files alone.
    pub kafka: Option<KafkaSection>,
    /// How much is read before it is committed.
    #[serde(default)]
    pub ingest: IngestSection,
    /// The topics.
    #[serde(default)]
    pub topic: Vec<TopicSection>,
    /// Keys for credentials.
    pub credentials: CredentialsSection,
    /// The Stripe account; not needed before invoices are pushed.
    pub stripe: Option<StripeSection>,
    /// A fixed clock: the demo's. Leave it out everywhere else.
    pub clock: Option<ClockSection>,
    /// Folder of the file; not in the file.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// `[lake]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LakeSection {
    /// Folder of the tables.
    pub root: String,
}

/// `[catalog]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogSection {
    /// Folder of TOML files.
    pub folder: String,
}

/// `[kafka]`; `Debug` shows the names of properties only, for a value may be a password.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaSection {
    /// Bootstrap servers.
    pub brokers: String,
    /// Name of the cluster: part of every key, so it never changes.
    pub cluster_alias: String,
    /// Further librdkafka properties.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// Properties whose values are secrets, such as `sasl.password`: where each stands.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretPlace>,
}

impl fmt::Debug for KafkaSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.properties.keys().chain(self.secrets.keys()).collect();
        f.debug_struct("KafkaSection")
            .field("brokers", &self.brokers)
            .field("cluster_alias", &self.cluster_alias)
            .field("properties", &names)
            .finish()
    }
}

/// `[ingest]`: the section and each key may be left out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngestSection {
    /// Message bytes that are buffered before they are committed; 32 MiB by default. Memory grows with it.
    pub batch_bytes_max: Option<usize>,
    /// Longest time between two commits while something waits; 10,000 by default. Files shrink with it.
    pub commit_interval_ms: Option<u64>,
    /// How often a service records how far it has read; 60,000 by default.
    pub watermark_interval_ms: Option<u64>,
}

/// `[[topic]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicSection {
    /// Topic.
    pub name: String,
    /// `native`, `nginx`, `kong` or `cloudevents`.
    pub decoder: String,
    /// Raised when the topic was deleted and made again.
    pub generation: String,
    /// Id of the gateway; event ids are unique within it.
    #[serde(default)]
    pub gateway: String,
    /// Environment of records that say none.
    pub environment: Option<String>,
}

/// `[credentials]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialsSection {
    /// The key for new hashes.
    pub current: KeySection,
    /// The key before it, while it is still valid.
    pub previous: Option<KeySection>,
}

/// A key for hashes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySection {
    /// Id, stored beside each hash.
    pub key_id: String,
    /// Where the secret is.
    #[serde(flatten)]
    pub secret: SecretPlace,
}

/// Where a secret is: exactly one of the two.
#[derive(Debug, Clone, Deserialize)]
pub struct SecretPlace {
    /// Name of an environment variable.
    pub secret_env: Option<String>,
    /// Path of a file that holds it alone.
    pub secret_file: Option<String>,
}

/// `[stripe]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StripeSection {
    /// `https://api.stripe.com`, or a double on this machine.
    pub base_url: String,
    /// Allows a key that moves real money.
    #[serde(default)]
    pub live: bool,
    /// First part of every idempotency key: tells installations on one account apart.
    pub namespace: String,
    /// The account's id, so that a rolled key is still the same account.
    pub account: Option<String>,
    /// How long one answer is waited for; 30,000 by default.
    pub timeout_ms: Option<u64>,
    /// How often one request is sent in a run before it is left to the next; 7 by default, some 20 seconds in all.
    pub sends_max: Option<u32>,
    /// Name of an environment variable with the secret key.
    pub secret_env: Option<String>,
    /// Path of a file that holds the secret key alone.
    pub secret_file: Option<String>,
}

/// `[clock]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockSection {
    /// The instant.
    pub fixed: String,
}

/// Something that a person must change in the configuration.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigurationError(pub String);

const PREFIX: &str = "TOLLBOOK__";

impl Configuration {
    /// Reads the file, with overrides from the environment.
    ///
    /// # Errors
    /// What is wrong, where, and how to mend it.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let path = path.display();
            ConfigurationError(format!("{path} cannot be read ({error}); write one with `tollbook init`"))
        })?;
        let overrides = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?.to_owned(), value)));
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Self::parse(&text, overrides, folder).map_err(|error| {
            ConfigurationError(format!("{} is not a valid configuration: {error:#}", path.display())).into()
        })
    }

    /// Reads a text with overrides, `SECTION__KEY` to value.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(
        text: &str,
        overrides: impl IntoIterator<Item = (String, String)>,
        folder: PathBuf,
    ) -> anyhow::Result<Self> {
        let overrides: Vec<(String, String)> = overrides.into_iter().collect();
        // Read from the text where nothing is overridden: then errors tell line and column.
        let mut configuration: Self = if overrides.is_empty() {
            toml::from_str(text)?
        } else {
            let mut table: toml::Table = toml::from_str(text)?;
            for (name, value) in overrides {
                set(&mut table, &name, value)?;
            }
            table.try_into()?
        };
        configuration.folder = folder;
        for topic in &configuration.topic {
            configuration.door(topic, None)?;
        }
        if let Some(stripe) = &configuration.stripe
            && (stripe.timeout_ms == Some(0) || stripe.sends_max == Some(0))
        {
            bail!("[stripe] timeout_ms and sends_max must be 1 or more; leave them out for the defaults");
        }
        Ok(configuration)
    }

    /// A path of the configuration, relative to its folder.
    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.join(relative)
    }

    /// `[kafka]`.
    ///
    /// # Errors
    /// [`ConfigurationError`] where it is left out.
    pub fn kafka(&self) -> anyhow::Result<&KafkaSection> {
        let missing = "[kafka] is missing, and topics need it; add it with brokers and cluster_alias, as `tollbook init` \
                       writes it";
        self.kafka.as_ref().ok_or_else(|| ConfigurationError(missing.to_owned()).into())
    }

    /// `[stripe]`.
    ///
    /// # Errors
    /// [`ConfigurationError`] where it is left out.
    pub fn stripe(&self) -> anyhow::Result<&StripeSection> {
        let missing = "[stripe] is missing, and this command talks to Stripe; add it with base_url, namespace and \
                       secret_env or secret_file, as `tollbook init` writes it";
        self.stripe.as_ref().ok_or_else(|| ConfigurationError(missing.to_owned()).into())
    }

    fn door(&self, topic: &TopicSection, keys: Option<KeyRing>) -> anyhow::Result<Door> {
        let decoder = Decoder::parse(&topic.decoder).with_context(|| {
            format!("topic {}: decoder {:?} is not known; use {}", topic.name, topic.decoder, Decoder::WORDS)
        })?;
        if decoder.needs_gateway() && topic.gateway.is_empty() {
            bail!(
                "topic {}: gateway is missing; event ids are unique within a gateway, so it needs a name",
                topic.name
            );
        }
        if let Some(environment) = topic.environment.as_deref()
            && !["production", "sandbox"].contains(&environment)
        {
            bail!("topic {}: environment {environment:?} is neither production nor sandbox", topic.name);
        }
        let no_key = || KeyRing { current: CredentialKey::new("none", Vec::new()), previous: None };
        Ok(Door {
            source: Source::kafka(&self.kafka()?.cluster_alias, &topic.name, &topic.generation)?,
            decoder,
            gateway: topic.gateway.clone(),
            environment_default: topic.environment.clone(),
            keys: keys.unwrap_or_else(no_key),
        })
    }

    /// The topics that are read today, by the table that they feed.
    ///
    /// # Errors
    /// A topic that no door can be made of.
    pub fn feeds(&self) -> anyhow::Result<Feeds> {
        let mut feeds = Feeds::default();
        for topic in &self.topic {
            let door = self.door(topic, None)?;
            let of_table =
                if door.decoder == Decoder::CloudEvents { &mut feeds.partner_event } else { &mut feeds.access_log };
            of_table.push(door.source);
        }
        Ok(feeds)
    }

    /// The keys for credentials.
    ///
    /// # Errors
    /// A secret that is not there.
    pub fn key_ring(&self) -> anyhow::Result<KeyRing> {
        let key = |section: &KeySection| -> anyhow::Result<CredentialKey> {
            let place = &section.secret;
            let secret = self.secret("credentials", place.secret_env.as_deref(), place.secret_file.as_deref())?;
            Ok(CredentialKey::new(&section.key_id, secret.into_bytes()))
        };
        Ok(KeyRing {
            current: key(&self.credentials.current)?,
            previous: self.credentials.previous.as_ref().map(key).transpose()?,
        })
    }

    /// The doors, in the order of the file, each with its topic.
    ///
    /// # Errors
    /// A secret that is not there.
    pub fn doors(&self) -> anyhow::Result<Vec<(String, Door)>> {
        let keys = self.key_ring()?;
        self.topic.iter().map(|topic| Ok((topic.name.clone(), self.door(topic, Some(keys.clone()))?))).collect()
    }

    /// All further librdkafka properties, secrets included.
    ///
    /// # Errors
    /// A secret that is not there.
    pub fn kafka_properties(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let kafka = self.kafka()?;
        let mut properties = kafka.properties.clone();
        for (name, place) in &kafka.secrets {
            let secret = self.secret("kafka.secrets", place.secret_env.as_deref(), place.secret_file.as_deref())?;
            properties.insert(name.clone(), secret);
        }
        Ok(properties)
    }

    /// The Stripe key.
    ///
    /// # Errors
    /// Where it should be and is not.
    pub fn stripe_secret(&self) -> anyhow::Result<String> {
        let stripe = self.stripe()?;
        self.secret("stripe", stripe.secret_env.as_deref(), stripe.secret_file.as_deref())
    }

    fn secret(&self, section: &str, env: Option<&str>, file: Option<&str>) -> anyhow::Result<String> {
        self.find_secret(section, env, file).map_err(|error| ConfigurationError(format!("{error:#}")).into())
    }

    fn find_secret(&self, section: &str, env: Option<&str>, file: Option<&str>) -> anyhow::Result<String> {
        let secret = match (env, file) {
            // This is the edge that the ban in clippy.toml points to.
            #[allow(clippy::disallowed_methods)]
            (Some(name), None) => std::env::var(name).ok().with_context(|| {
                format!("[{section}] wants its secret in the environment variable {name}, which is not set; set it")
            })?,
            (None, Some(file)) => {
                let path = self.path(file);
                std::fs::read_to_string(&path).with_context(|| {
                    format!("[{section}] wants its secret in {}, which cannot be read; write it there", path.display())
                })?
            }
            _ => bail!("[{section}] must name secret_env or secret_file, and only one of them"),
        };
        let secret = secret.trim().to_owned();
        if secret.is_empty() {
            bail!("[{section}] has an empty secret; write it where secret_env or secret_file points");
        }
        Ok(secret)
    }
}

fn set(table: &mut toml::Table, name: &str, value: String) -> anyhow::Result<()> {
    let lower = name.to_lowercase();
    let mut keys: Vec<&str> = lower.split("__").collect();
    let last = keys.pop().unwrap_or_default();
    let mut at = table;
    for key in keys {
        let entry = at.entry(key).or_insert_with(|| toml::Table::new().into());
        at = entry.as_table_mut().with_context(|| format!("{PREFIX}{name} does not name a key of a section"))?;
    }
    // A text stays a text where one stands; elsewhere true, false and numbers are read as such.
    let parsed = match at.get(last) {
        Some(toml::Value::String(_)) => None,
        _ => value.parse::<toml::Value>().ok().filter(|value| value.is_bool() || value.is_integer()),
    };
    at.insert(last.to_owned(), parsed.unwrap_or(toml::Value::String(value)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../tollbook.toml");

    fn parse(text: &str, overrides: &[(&str, &str)]) -> anyhow::Result<Configuration> {
        let overrides = overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Configuration::parse(text, overrides, PathBuf::from("/x"))
    }

    #[test]
    fn the_sample_is_valid_and_the_environment_overrides_it() {
        let sample = parse(SAMPLE, &[]).unwrap();
        assert_eq!(sample.path("lake"), PathBuf::from("/x/lake"));
        let other = parse(SAMPLE, &[("KAFKA__BROKERS", "other:1"), ("STRIPE__LIVE", "true")]).unwrap();
        assert_eq!((other.kafka().unwrap().brokers.as_str(), other.stripe().unwrap().live), ("other:1", true));
        assert!(parse(SAMPLE, &[("KAFKA__BROKER", "typo:1")]).is_err());
    }

    #[test]
    fn mistakes_are_told() {
        for (from, to, words) in [
            ("decoder = \"native\"", "decoder = \"natve\"", "use native, nginx, kong or cloudevents"),
            ("gateway = \"edge\"", "", "gateway is missing"),
            ("brokers =", "broker =", "unknown field `broker`"),
            ("[lake]", "[lakes]", "unknown field `lakes`"),
            ("live = false", "timeout_ms = 0", "must be 1 or more"),
        ] {
            assert!(SAMPLE.contains(from), "{from}");
            let error = format!("{:#}", parse(&SAMPLE.replacen(from, to, 1), &[]).unwrap_err());
            assert!(error.contains(words), "{to}: {error}");
        }
    }

    #[test]
    fn files_need_neither_kafka_nor_stripe() {
        let text = SAMPLE.split("[kafka]").next().unwrap().to_owned()
            + &SAMPLE[SAMPLE.find("[credentials]").unwrap()..SAMPLE.find("[stripe]").unwrap()];
        let small = parse(&text, &[]).unwrap();
        assert_eq!(small.feeds().unwrap(), Feeds::default());
        for error in [small.kafka_properties().unwrap_err(), small.stripe_secret().unwrap_err()] {
            assert!(format!("{error}").contains("is missing") && error.is::<ConfigurationError>(), "{error}");
        }
        let topics = SAMPLE.find("[[topic]]").unwrap()..SAMPLE.find("[credentials]").unwrap();
        let error = parse(&(text + &SAMPLE[topics]), &[]).unwrap_err();
        assert!(format!("{error:#}").contains("[kafka] is missing"), "{error:#}");
    }

    #[test]
    fn a_secret_has_one_place() {
        let sample = parse(SAMPLE, &[]).unwrap();
        assert!(sample.secret("s", None, None).is_err());
        assert!(sample.secret("s", Some("A"), Some("b")).is_err());
        let error = format!("{:#}", sample.secret("s", Some("TOLLBOOK_NOT_SET"), None).unwrap_err());
        assert!(error.contains("TOLLBOOK_NOT_SET"));
    }
}
