//! Where a record came from: the name that is part of every key and of every txn app id.
//!
//! A Kafka source is cluster alias, topic and generation: a topic that was deleted and made again starts a new
//! generation, because its offsets mean other records. A file is its path and the SHA-256 of its bytes. A command
//! that appends events has its own source, such as `/tollbook/import`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not a source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("source {0:?} must be 1 to 300 printable characters without '#'")]
pub struct SourceError(String);

/// The name of a source of records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Source(String);

impl Source {
    /// Reads a stored name.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn parse(text: impl Into<String>) -> Result<Self, SourceError> {
        let text = text.into();
        let fits = (1..=300).contains(&text.len()) && text.chars().all(|c| !c.is_control() && c != '#');
        if fits { Ok(Self(text)) } else { Err(SourceError(text.chars().take(80).collect())) }
    }

    /// A Kafka topic: `alias/topic/generation`.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn kafka(cluster_alias: &str, topic: &str, generation: &str) -> Result<Self, SourceError> {
        Self::parse(format!("{cluster_alias}/{topic}/{generation}"))
    }

    /// A file: `file:path@sha256`.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn file(path: &str, sha256: &str) -> Result<Self, SourceError> {
        Self::parse(format!("file:{path}@{sha256}"))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The txn app id of one partition: its version is the next offset to read.
    #[must_use]
    pub fn app_id(&self, partition: i32) -> String {
        format!("{}#{partition}", self.0)
    }

    /// Splits an app id made by [`Source::app_id`].
    #[must_use]
    pub fn split_app_id(app_id: &str) -> Option<(Self, i32)> {
        let (source, partition) = app_id.rsplit_once('#')?;
        Some((Self::parse(source).ok()?, partition.parse().ok()?))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Source {
    type Error = SourceError;
    fn try_from(text: String) -> Result<Self, SourceError> {
        Self::parse(text)
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        source.0
    }
}
