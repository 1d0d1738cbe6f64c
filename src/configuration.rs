//! `tollbook.toml`: read strictly, overridden by the environment by one rule, secrets taken from the environment or a
//! file and never from an argument.
//!
//! The rule: `TOLLBOOK__SECTION__KEY=value` sets `key` of `[section]`. Paths are relative to the file's folder.

mod alert;
mod billing;
mod overrides;
mod place;
mod secrets;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::bail;
use chrono::TimeDelta;
use serde::Deserialize;
use tollbook_aggregate::Feeds;
use tollbook_billing::alert::Alert;
use tollbook_billing::policy::HoldPolicy;
use tollbook_ingest::{Decoder, Door, KeyRing};
use tollbook_lake::QUERY_BYTES_MIN;
use tollbook_schemas::catalog::{Catalog, Problem};
use tollbook_schemas::period::parse_instant;
use tollbook_schemas::source::Source;

pub use alert::AlertSection;
pub use billing::{ACTOR_VARIABLE, BillingSection, HoldSection, actor_of_environment};
pub use secrets::AbsentSecret;

use place::WrongValue;

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
    /// Who must see a draft before it becomes an invoice.
    #[serde(default)]
    pub billing: BillingSection,
    /// Levels of usage and spend to be told of.
    #[serde(default)]
    pub alert: Vec<AlertSection>,
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
    /// Bytes of memory that the queries of one process may take together, before they go on on the disk; half of what
    /// the machine or its container has by default.
    pub query_memory_bytes_max: Option<u64>,
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
    /// Commits to a table after which ingest writes a checkpoint of it; 100 by default, none with 0.
    pub checkpoint_commits: Option<u64>,
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

/// Something wrong at a place of the configuration file.
#[derive(Debug, thiserror::Error)]
#[error("{} is not a valid configuration\n\n{}", .0.path, .0.shown())]
pub struct ConfigurationProblem(pub Box<Problem>);

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
        Self::parse(&text, overrides, folder).map_err(|error| match place::of_error(path, &text, &error) {
            Some(problem) => ConfigurationProblem(Box::new(problem)).into(),
            None => ConfigurationError(format!("{} is not a valid configuration: {error:#}", path.display())).into(),
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
        Self::with(text, &overrides, &folder).map_err(|error| {
            // What the file says by itself has a place there; what only the environment says has none.
            let alone = |count: usize| Self::with(text, &overrides[..count], &folder).err();
            overrides::blame(error, &overrides, alone)
        })
    }

    /// The text with these overrides, checked.
    fn with(text: &str, overrides: &[(String, String)], folder: &Path) -> anyhow::Result<Self> {
        // Read from the text where nothing is overridden: then errors tell line and column.
        let mut configuration: Self = if overrides.is_empty() {
            toml::from_str(text)?
        } else {
            let mut table: toml::Table = toml::from_str(text)?;
            for (name, value) in overrides {
                overrides::set(&mut table, name, value)?;
            }
            table.try_into()?
        };
        configuration.folder = folder.to_path_buf();
        configuration.check()?;
        Ok(configuration)
    }

    /// What the types do not say.
    fn check(&self) -> anyhow::Result<()> {
        if let Some(clock) = &self.clock {
            parse_instant(&clock.fixed).map_err(|error| {
                let what = format!("[clock] fixed is no instant: {error}");
                WrongValue::at(&["clock", "fixed"], what, "leave [clock] out, but in a demo")
            })?;
        }
        if let Some(bytes) = self.lake.query_memory_bytes_max.filter(|bytes| *bytes < QUERY_BYTES_MIN) {
            let what = format!(
                "[lake] query_memory_bytes_max = {bytes} is less than the {QUERY_BYTES_MIN} that a sort begins with"
            );
            let mend = "write more, or leave it out for half of the memory there is";
            bail!(WrongValue::at(&["lake", "query_memory_bytes_max"], what, mend));
        }
        for (number, topic) in self.topic.iter().enumerate() {
            self.topic_source(number, topic)?;
        }
        self.billing.hold.policy()?;
        self.billing.grace()?;
        self.alerts()?;
        if let Some(stripe) = &self.stripe {
            for (key, is_zero) in
                [("timeout_ms", stripe.timeout_ms == Some(0)), ("sends_max", stripe.sends_max == Some(0))]
            {
                if is_zero {
                    let what = format!("[stripe] {key} must be 1 or more");
                    bail!(WrongValue::at(&["stripe", key], what, "write 1 or more, or leave it out for the default"));
                }
            }
        }
        Ok(())
    }

    /// A path of the configuration, relative to its folder.
    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.join(relative)
    }

    /// What of `[billing.hold]` follows for drafts.
    ///
    /// # Errors
    /// A value that cannot be.
    pub fn hold_policy(&self) -> anyhow::Result<HoldPolicy> {
        Ok(self.billing.hold.policy()?)
    }

    /// How long behind its end a period stays open: until then no invoice is made of it.
    ///
    /// # Errors
    /// A value that cannot be.
    pub fn grace(&self) -> anyhow::Result<TimeDelta> {
        Ok(self.billing.grace()?)
    }

    /// The levels of usage and spend that somebody wants to be told of.
    ///
    /// # Errors
    /// A value that cannot be.
    pub fn alerts(&self) -> anyhow::Result<Vec<Alert>> {
        Ok(alert::alerts(&self.alert)?)
    }

    /// Alerts that nobody will ever reach with a catalog, at their places in the text of the file.
    #[must_use]
    pub fn dead_alerts(&self, path: &Path, text: &str, catalog: &Catalog) -> Vec<Problem> {
        alert::dead(&self.alert, catalog).iter().map(|wrong| wrong.shown(path, text)).collect()
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

    /// What is read of a topic, checked.
    fn topic_source(&self, number: usize, topic: &TopicSection) -> anyhow::Result<(Decoder, Source)> {
        let (name, number) = (&topic.name, number.to_string());
        let wrong = |key: &str, what: String, mend: String| WrongValue::at(&["topic", &number, key], what, mend);
        let decoder = Decoder::parse(&topic.decoder).ok_or_else(|| {
            let what = format!("topic {name}: decoder {:?} is not known", topic.decoder);
            wrong("decoder", what, format!("use {}", Decoder::WORDS))
        })?;
        if decoder.needs_gateway() && topic.gateway.is_empty() {
            let mend = "add such as gateway = \"edge\"; event ids are unique within a gateway, so it needs a name";
            bail!(wrong("gateway", format!("topic {name}: gateway is missing"), mend.to_owned()));
        }
        if let Some(environment) = topic.environment.as_deref()
            && !["production", "sandbox"].contains(&environment)
        {
            let what = format!("topic {name}: environment {environment:?} is neither production nor sandbox");
            bail!(wrong("environment", what, "use one of them, or leave it out".to_owned()));
        }
        let alias = &self.kafka()?.cluster_alias;
        let source = Source::kafka(alias, name, &topic.generation).map_err(|error| {
            let mend = "it is made of cluster_alias, name and generation; correct one of them";
            wrong("name", error.to_string(), mend.to_owned())
        })?;
        Ok((decoder, source))
    }

    fn door(&self, number: usize, topic: &TopicSection, keys: KeyRing) -> anyhow::Result<Door> {
        let (decoder, source) = self.topic_source(number, topic)?;
        Ok(Door {
            source,
            decoder,
            gateway: topic.gateway.clone(),
            environment_default: topic.environment.clone(),
            keys,
        })
    }

    /// The topics that are read today, by the table that they feed.
    ///
    /// # Errors
    /// A topic that cannot be read.
    pub fn feeds(&self) -> anyhow::Result<Feeds> {
        let mut feeds = Feeds::default();
        for (number, topic) in self.topic.iter().enumerate() {
            let (decoder, source) = self.topic_source(number, topic)?;
            let of_table =
                if decoder == Decoder::CloudEvents { &mut feeds.partner_event } else { &mut feeds.access_log };
            of_table.push(source);
        }
        Ok(feeds)
    }

    /// The doors, in the order of the file, each with its topic.
    ///
    /// # Errors
    /// A secret that is not there.
    pub fn doors(&self) -> anyhow::Result<Vec<(String, Door)>> {
        let keys = self.key_ring()?;
        let door =
            |(number, topic): (usize, &TopicSection)| Ok((topic.name.clone(), self.door(number, topic, keys.clone())?));
        self.topic.iter().enumerate().map(door).collect()
    }
}

#[cfg(test)]
mod tests;
