//! A folder with a configuration, runs of the real binary on it, and what its lake holds.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use tokio::runtime::Runtime;
use tollbook_lake::Lake;
use tollbook_schemas::tables::{ALL, Row, Table};

/// The key that doubles of Stripe take.
pub const KEY: &str = "sk_test_tollbook";

/// A month that is over by the clock of the folder.
pub const MONTH: [&str; 4] = ["--period", "2026-06", "--as-of", "2026-07-03T00:00:00Z"];

/// Configuration of what every command needs.
const BASE: &str = r#"[lake]
root = "lake"

[catalog]
folder = "catalog"

[credentials]
current = { key_id = "t1", secret_file = "credential.key" }

[clock]
fixed = "2026-07-03T00:00:00Z"
"#;

/// A folder, gone at the end.
pub struct Folder(TempDir);

impl Folder {
    /// Configuration without topics and without Stripe, the sample catalog, keys.
    pub fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(folder.path("catalog")).unwrap();
        folder.write("catalog/catalog.toml", include_str!("../../catalog/catalog.toml"));
        folder.write("credential.key", "a key of the tests\n");
        folder.write("stripe.key", KEY);
        folder.configure("");
        folder
    }

    /// Writes the configuration with further sections.
    pub fn configure(&self, more: &str) {
        self.write("tollbook.toml", format!("{BASE}\n{more}"));
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// A folder with the same files.
    pub fn copy(&self) -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        copy_all(self.0.path(), copy.0.path());
        copy
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[])
    }

    /// Runs a command to its end, with variables in its environment.
    pub fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        self.run_all(&[&["--config", "tollbook.toml"], arguments].concat(), environment)
    }

    /// Runs a command to its end, its `--config` among the arguments.
    pub fn run_plain(&self, arguments: &[&str]) -> Ran {
        self.run_all(arguments, &[])
    }

    /// Runs a command to its end that reads these bytes.
    pub fn run_reading(&self, arguments: &[&str], bytes: &[u8]) -> Ran {
        self.write("stdin", bytes);
        self.run_reading_file(arguments, "stdin")
    }

    /// Runs a command to its end that reads a file, of the folder where its path is not absolute.
    pub fn run_reading_file(&self, arguments: &[&str], name: &str) -> Ran {
        let file = std::fs::File::open(self.path(name)).unwrap();
        self.run_from(&[&["--config", "tollbook.toml"], arguments].concat(), &[], file.into())
    }

    /// Runs a command to its end that prints to there.
    pub fn run_printing_to(&self, arguments: &[&str], stdout: Stdio) -> Ran {
        let arguments = [&["--config", "tollbook.toml"], arguments].concat();
        let child = self.command(&arguments).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
        Ran::of(&arguments, &child.wait_with_output().unwrap())
    }

    fn run_all(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        self.run_from(arguments, environment, Stdio::null())
    }

    fn run_from(&self, arguments: &[&str], environment: &[(&str, &str)], stdin: Stdio) -> Ran {
        let output = self.command(arguments).envs(environment.iter().copied()).stdin(stdin).output().unwrap();
        Ran::of(arguments, &output)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollbook"));
        // A developer's setting: an operator does not see stacks in messages.
        command.args(arguments).env_remove("RUST_BACKTRACE").current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    /// Takes in a file of a decoder; gives (accepted, rejected).
    pub fn ingest(&self, file: &str, decoder: &str) -> (u64, u64) {
        let mut arguments = vec!["--json", "ingest", "--file", file, "--decoder", decoder];
        if decoder != "cloudevents" {
            arguments.extend(["--gateway", "edge"]);
        }
        let printed = self.run(&arguments).json();
        (printed["accepted"].as_u64().unwrap(), printed["rejected"].as_u64().unwrap())
    }

    /// All rows of a table, in an order that does not depend on its files.
    pub fn rows(&self, table: &'static Table) -> Vec<Row> {
        let lake = Lake::open(self.path("lake").to_str().unwrap()).unwrap();
        let mut rows = runtime().block_on(async move { lake.rows(table, None).await.unwrap() });
        rows.sort_by_cached_key(|row| format!("{row:?}"));
        rows
    }

    /// All rows of all tables but the one that every run adds to.
    pub fn all_rows(&self) -> Vec<(&'static str, Vec<Row>)> {
        let tables = ALL.iter().filter(|table| table.name != "job_run");
        tables.map(|table| (table.name, self.rows(table))).collect()
    }
}

/// Copies a folder with all that is in it.
pub fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A runtime as the binary has it.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

/// One run that ended.
pub struct Ran {
    command: String,
    /// Exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// Its stdout.
    pub printed: String,
    /// Its stderr.
    pub told: String,
}

impl Ran {
    fn of(arguments: &[&str], output: &Output) -> Self {
        Self {
            command: arguments.join(" "),
            code: output.status.code(),
            printed: String::from_utf8_lossy(&output.stdout).into_owned(),
            told: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The run, if it succeeded.
    pub fn done(self) -> Self {
        self.fails(0, &[])
    }

    /// The run, if it ended with a code and its message has these words.
    #[track_caller]
    pub fn fails(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}: {}", self.command, self.told);
        for word in words {
            assert!(self.told.contains(word), "{} does not tell {word:?}: {}", self.command, self.told);
        }
        assert!(!self.told.contains("panicked"), "{}: {}", self.command, self.told);
        self
    }

    /// The one line of JSON that it printed.
    pub fn json(self) -> serde_json::Value {
        let done = self.done();
        serde_json::from_str(done.printed.trim()).unwrap_or_else(|error| panic!("{error}: {}", done.printed))
    }
}
