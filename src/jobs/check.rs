//! `tollbook check` and `tollbook init`.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::bail;
use serde_json::{Value, json};
use tollbook_schemas::catalog::{Catalog, Problem, problem};
use tollbook_schemas::registry::fold;
use tollbook_schemas::tables::billing::INVOICE;
use tollbook_schemas::tables::partner_event;

use crate::configuration::{AbsentSecret, AlertSection, Configuration, ConfigurationError, ConfigurationProblem};
use crate::context::{CatalogProblems, JobContext, read_catalog, refuse};
use crate::jobs::catalog::frozen::refuse_changes_and_note;
use crate::jobs::partner::known_events;

/// A configuration and a catalog that can be used.
#[derive(Debug)]
pub struct Checked {
    config: PathBuf,
    configuration: Configuration,
    catalog: Catalog,
    /// What is no mistake and may still not be meant.
    pub notes: Vec<String>,
}

/// What the configuration says and that cannot work here: secrets that are not there, alerts that nobody will ever
/// reach; and what else is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be used here\n\n{}{}", config.display(), problem::shown_all(problems), shown_notes(notes))]
pub struct SecretProblems {
    config: PathBuf,
    /// Of the secrets, then of the catalog.
    problems: Vec<Problem>,
    notes: Vec<String>,
}

fn shown_notes(notes: &[String]) -> String {
    notes.iter().map(|note| format!("\nnote: {note}")).collect()
}

/// Checks the configuration, the secrets that it names, and the catalog.
///
/// # Errors
/// All problems, each with its place and how to mend it.
pub fn check(config: &Path) -> anyhow::Result<Checked> {
    let configuration = Configuration::read(config)?;
    let text = std::fs::read_to_string(config)?;
    let (needed, others): (Vec<AbsentSecret>, Vec<AbsentSecret>) =
        configuration.absent_secrets(config, &text).into_iter().partition(|secret| secret.is_needed);
    let mut notes: Vec<String> = others.iter().map(|secret| note_of(&secret.problem)).collect();
    let folder = configuration.path(&configuration.catalog.folder);
    let catalog = read_catalog(&folder).and_then(|catalog| {
        refuse(&folder, Vec::new(), tollbook_aggregate::check_queries(&catalog))?;
        Ok(catalog)
    });
    if !needed.is_empty() {
        let mut problems: Vec<Problem> = needed.into_iter().map(|secret| secret.problem).collect();
        match catalog {
            Ok(_) => {}
            Err(error) => match error.downcast::<CatalogProblems>() {
                Ok(found) => problems.extend(found.problems),
                // A folder that cannot be read is told alone.
                Err(error) => return Err(error),
            },
        }
        bail!(SecretProblems { config: config.to_path_buf(), problems, notes });
    }
    let catalog = catalog?;
    let dead = configuration.dead_alerts(config, &text, &catalog);
    if !dead.is_empty() {
        bail!(SecretProblems { config: config.to_path_buf(), problems: dead, notes });
    }
    if configuration.topic.is_empty() {
        notes.push("no [[topic]] is configured, so `tollbook ingest` takes files alone, with --file".to_owned());
    }
    let missing: Vec<&str> = [
        ("[[issuer]]", catalog.issuers.is_empty()),
        ("[[plan]]", catalog.plans.is_empty()),
        ("[[meter]]", catalog.meters.is_empty()),
    ]
    .into_iter()
    .filter_map(|(name, is_empty)| is_empty.then_some(name))
    .collect();
    if !missing.is_empty() {
        let what = "without an issuer and a plan nobody can be billed, without a meter no requests are";
        notes.push(format!("the catalog has no {}: {what}", missing.join(", no ")));
    }
    Ok(Checked { config: config.to_path_buf(), configuration, catalog, notes })
}

/// Checks what needs the lake too: what issued invoices were rated with may not have changed.
///
/// # Errors
/// As [`check`]; changes that are refused, each with its place and how to mend it.
pub async fn check_with_lake(config: &Path) -> anyhow::Result<Checked> {
    let mut checked = check(config)?;
    let configuration = &checked.configuration;
    // Before the first invoice nothing is a promise yet, and checking makes no lake.
    if configuration.path(&configuration.lake.root).join(INVOICE.name).exists() {
        let context = JobContext::of(configuration.clone())?;
        let notes = refuse_changes_and_note(&context, &checked.catalog).await?;
        checked.notes.extend(notes);
    }
    checked.notes.extend(notes_of_alerts(&checked.configuration).await?);
    Ok(checked)
}

/// Alerts of partners that the lake does not know: they may come still.
async fn notes_of_alerts(configuration: &Configuration) -> anyhow::Result<Vec<String>> {
    let root = configuration.path(&configuration.lake.root);
    if configuration.alert.iter().all(|alert| alert.partner.is_none()) || !root.join(partner_event::TABLE.name).exists()
    {
        return Ok(Vec::new());
    }
    let context = JobContext::of(configuration.clone())?;
    let known = fold(known_events(&context).await?, None).partners;
    let note = |alert: &AlertSection| {
        let unknown = alert.partner.as_ref().filter(|partner_id| !known.contains_key(*partner_id))?;
        Some(format!("[[alert]] {} is of partner {unknown}, whom nobody knows: nobody will reach it", alert.name))
    };
    Ok(configuration.alert.iter().filter_map(note).collect())
}

/// Of a secret that only some commands need.
fn note_of(problem: &Problem) -> String {
    let Problem { what, mend, .. } = problem;
    let who = if what.starts_with("[stripe]") {
        "only `bill push`, `bill sync` and `close` need it"
    } else {
        "only what reads records needs it, such as `ingest --file`"
    };
    format!("{what}; {who}: {mend}")
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, configuration, catalog, notes: _ } = self;
        write!(
            f,
            "{} is valid: {} topics; catalog: {} issuers, {} products, {} meters, {} plans{} (sha256 {})",
            config.display(),
            configuration.topic.len(),
            catalog.issuers.len(),
            catalog.products.len(),
            catalog.meters.len(),
            catalog.plans.len(),
            match catalog.contracts.len() {
                0 => String::new(),
                contracts => format!(", {contracts} contracts"),
            },
            &catalog.sha256[..12],
        )
    }
}

/// The answer of `check --json`, one object, also where something is wrong: its shape is in `docs/operations.md`.
#[must_use]
pub fn to_json(config: &Path, checked: &anyhow::Result<Checked>) -> Value {
    let config = config.display().to_string();
    match checked {
        Ok(Checked { configuration, catalog, notes, .. }) => json!({ "valid": true, "config": config,
            "topics": configuration.topic.len(), "issuers": catalog.issuers.len(),
            "products": catalog.products.len(), "meters": catalog.meters.len(), "plans": catalog.plans.len(),
            "contracts": catalog.contracts.len(),
            "catalog_sha256": catalog.sha256, "problems": [], "notes": notes }),
        Err(error) => {
            let mut told: &[String] = &[];
            let problems: Vec<Value> = if let Some(found) = error.downcast_ref::<CatalogProblems>() {
                found.problems.iter().map(problem).collect()
            } else if let Some(found) = error.downcast_ref::<SecretProblems>() {
                told = &found.notes;
                found.problems.iter().map(problem).collect()
            } else if let Some(ConfigurationProblem(found)) = error.downcast_ref() {
                vec![problem(found)]
            } else {
                // Nothing of a file: it cannot be read, or it says what cannot be.
                vec![json!({ "path": config, "line": null, "column": null, "end": null, "what": format!("{error:#}"),
                    "expected": null, "help": null })]
            };
            json!({ "valid": false, "config": config, "problems": problems, "notes": told })
        }
    }
}

fn problem(problem: &Problem) -> Value {
    json!({ "path": problem.path, "line": problem.line, "column": problem.column, "end": problem.end,
        "what": problem.what, "expected": problem.expected, "help": problem.mend })
}

/// Writes a commented configuration and catalog to start from; never over files that are there.
///
/// # Errors
/// A file that is there already, or that cannot be written.
pub fn init(folder: &Path) -> anyhow::Result<Vec<String>> {
    let files = [
        ("tollbook.toml", include_str!("../../tollbook.toml")),
        ("catalog/catalog.toml", include_str!("../../catalog/catalog.toml")),
        ("catalog/catalog.schema.json", include_str!("../../catalog/catalog.schema.json")),
    ];
    let there: Vec<String> = files
        .iter()
        .map(|(name, _)| folder.join(name))
        .filter(|path| path.exists())
        .map(|path| path.display().to_string())
        .collect();
    if !there.is_empty() {
        bail!(ConfigurationError(format!(
            "there already: {}; tollbook init writes only new files, so name another folder, or move them away",
            there.join(" and ")
        )));
    }
    let mut written = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        let refused = |error: std::io::Error| {
            let shown = path.display();
            ConfigurationError(format!("{shown} cannot be written ({error}); name a folder that you may write to"))
        };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(refused)?;
        }
        std::fs::write(&path, text).map_err(refused)?;
        written.push(path.display().to_string());
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sample of `init`, its secrets in files of its folder.
    fn sample() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        init(folder.path()).unwrap();
        let config = folder.path().join("tollbook.toml");
        let mut text = std::fs::read_to_string(&config).unwrap();
        for (from, to) in [
            ("secret_env = \"TOLLBOOK_CREDENTIAL_KEY\"", "secret_file = \"credential.key\""),
            ("secret_env = \"TOLLBOOK_STRIPE_KEY\"", "secret_file = \"stripe.key\""),
        ] {
            assert!(text.contains(from));
            text = text.replace(from, to);
        }
        std::fs::write(&config, text).unwrap();
        std::fs::write(folder.path().join("credential.key"), "a key of the tests").unwrap();
        std::fs::write(folder.path().join("stripe.key"), "sk_test_tollbook").unwrap();
        (folder, config)
    }

    #[test]
    fn what_init_writes_passes_check_and_is_never_overwritten() {
        let (folder, config) = sample();
        let checked = check(&config);
        let json = to_json(&config, &checked);
        assert_eq!((&json["valid"], &json["plans"], &json["problems"]), (&json!(true), &json!(2), &json!([])));
        let checked = checked.unwrap();
        assert_eq!(checked.notes, Vec::<String>::new());
        let told = checked.to_string();
        assert!(told.contains("2 plans"), "{told}");
        let refused = init(folder.path()).unwrap_err();
        assert!(refused.to_string().contains("there already") && refused.is::<ConfigurationError>(), "{refused}");
    }

    #[test]
    fn what_may_not_be_meant_is_noted() {
        let (folder, config) = sample();
        std::fs::write(folder.path().join("catalog/catalog.toml"), "").unwrap();
        std::fs::remove_file(folder.path().join("stripe.key")).unwrap();
        let notes = check(&config).unwrap().notes;
        let [stripe, catalog] = notes.as_slice() else { panic!("{notes:?}") };
        assert!(stripe.contains("stripe.key") && stripe.contains("only `bill push`"), "{stripe}");
        assert!(catalog.contains("no [[issuer]], no [[plan]], no [[meter]]"), "{catalog}");
        // Without topics nothing needs the key for credentials before a file is read.
        let text = std::fs::read_to_string(&config).unwrap();
        let (start, end) = (text.find("[[topic]]").unwrap(), text.find("[credentials]").unwrap());
        std::fs::write(&config, text[..start].to_owned() + &text[end..]).unwrap();
        std::fs::remove_file(folder.path().join("credential.key")).unwrap();
        let notes = check(&config).unwrap().notes;
        assert!(notes.len() == 4 && notes[0].contains("credential.key") && notes[2].contains("[[topic]]"), "{notes:?}");
    }
}
