//! `tollbook check` and `tollbook init`.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::configuration::Configuration;
use crate::context::read_catalog;

/// Checks the configuration and the catalog; gives what was found, in words.
///
/// # Errors
/// All problems, each with its place and how to mend it.
pub fn check(config: &Path) -> anyhow::Result<String> {
    let configuration = Configuration::read(config)?;
    let catalog = read_catalog(&configuration.path(&configuration.catalog.folder))?;
    Ok(format!(
        "{} is valid: {} topics; catalog: {} issuers, {} products, {} meters, {} plans (sha256 {})",
        config.display(),
        configuration.topic.len(),
        catalog.issuers.len(),
        catalog.products.len(),
        catalog.meters.len(),
        catalog.plans.len(),
        &catalog.sha256[..12],
    ))
}

/// Writes a commented configuration and catalog to start from; never over files that are there.
///
/// # Errors
/// A file that is there already, or that cannot be written.
pub fn init(folder: &Path) -> anyhow::Result<Vec<String>> {
    let files = [
        ("tollbook.toml", include_str!("../../tollbook.toml")),
        ("catalog/catalog.toml", include_str!("../../catalog/catalog.toml")),
    ];
    for (name, _) in files {
        if folder.join(name).exists() {
            bail!("{} is there already; tollbook init writes only new files", folder.join(name).display());
        }
    }
    let mut written = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
        }
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        written.push(path.display().to_string());
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_init_writes_passes_check_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(init(folder.path()).unwrap().len(), 2);
        let told = check(&folder.path().join("tollbook.toml")).unwrap();
        assert!(told.contains("2 plans"), "{told}");
        assert!(init(folder.path()).unwrap_err().to_string().contains("there already"));
    }
}
