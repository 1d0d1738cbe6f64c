//! A configuration folder, and runs of the real binary on it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tempfile::TempDir;
use tollbook_lake::Lake;
use tollbook_schemas::source::Source;
use tollbook_schemas::tables::access_log;

/// Name of the cluster in sources.
const ALIAS: &str = "real";

/// A folder with `tollbook.toml`, gone at the end.
pub struct Folder {
    folder: TempDir,
    topic: String,
}

impl Folder {
    /// Writes the configuration of one native topic. Small commits and small fetches: a run has many of both.
    pub fn new(brokers: &str, topic: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("catalog")).unwrap();
        std::fs::write(folder.path().join("credential.key"), "a key of the tests\n").unwrap();
        let text = format!(
            r#"[lake]
root = "lake"

[catalog]
folder = "catalog"

[ingest]
batch_bytes_max = 1048576
commit_interval_ms = 300
watermark_interval_ms = 200

[kafka]
brokers = "{brokers}"
cluster_alias = "{ALIAS}"

[kafka.properties]
"max.partition.fetch.bytes" = "65536"
"queued.min.messages" = "500"

[[topic]]
name = "{topic}"
decoder = "native"
gateway = "edge"
generation = "1"

[credentials]
current = {{ key_id = "t1", secret_file = "credential.key" }}

[stripe]
base_url = "http://127.0.0.1:1"
namespace = "tests"
secret_file = "stripe.key"
"#
        );
        std::fs::write(folder.path().join("tollbook.toml"), text).unwrap();
        Self { folder, topic: topic.to_owned() }
    }

    /// Folder of the lake.
    pub fn lake(&self) -> PathBuf {
        self.folder.path().join("lake")
    }

    /// Name of the source in the tables.
    pub fn source(&self) -> String {
        format!("{ALIAS}/{}/1", self.topic)
    }

    /// How far the topic was read, as recorded.
    pub fn watermark(&self) -> Option<DateTime<Utc>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let source = Source::kafka(ALIAS, &self.topic, "1").unwrap();
        let lake = Lake::open(self.lake().to_str().unwrap()).unwrap();
        runtime.block_on(lake.watermark(&access_log::TABLE, &[source])).unwrap()
    }

    /// Starts `tollbook ingest --until-caught-up`.
    pub fn ingest(&self) -> Run {
        self.start(&["--json", "ingest", "--until-caught-up"])
    }

    /// Starts `tollbook ingest`, which goes on until it is told to end.
    pub fn service(&self) -> Run {
        self.start(&["--json", "ingest"])
    }

    fn start(&self, arguments: &[&str]) -> Run {
        let error = self.folder.path().join("stderr.txt");
        let child = Command::new(env!("CARGO_BIN_EXE_tollbook"))
            .arg("--config")
            .arg(self.folder.path().join("tollbook.toml"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(self.folder.path().join("stdout.txt")).unwrap())
            .stderr(std::fs::File::create(&error).unwrap())
            .spawn()
            .unwrap();
        Run { child, folder: self.folder.path().to_owned() }
    }

    /// Ingests to the end; gives what it printed.
    ///
    /// # Panics
    /// When it fails, or is not done in time.
    pub fn ingest_to_the_end(&self, patience: Duration) -> serde_json::Value {
        let mut run = self.ingest();
        let begun = Instant::now();
        loop {
            if let Some(status) = run.ended() {
                assert!(status.success(), "ingest ended with {status}: {}", run.errors());
                return serde_json::from_str(run.printed().trim()).unwrap();
            }
            assert!(begun.elapsed() < patience, "ingest is not done after {patience:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// One run of the binary; dropping it kills it.
pub struct Run {
    child: Child,
    folder: PathBuf,
}

impl Run {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Sends SIGKILL, waits for the end; false where it had ended by itself.
    pub fn kill(&mut self) -> bool {
        use std::os::unix::process::ExitStatusExt as _;
        let _ = self.child.kill();
        self.child.wait().unwrap().signal() == Some(9)
    }

    /// Sends a signal by its name.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status().unwrap();
        assert!(sent.success(), "{name} was not sent");
    }

    /// Asks it to end, as a service manager does, and waits for it.
    ///
    /// # Panics
    /// When it ends with an error, or not at all.
    pub fn terminate(&mut self, patience: Duration) {
        self.signal("TERM");
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if let Some(status) = self.ended() {
                assert!(status.success(), "ingest ended with {status}: {}", self.errors());
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("ingest has not ended {patience:?} after SIGTERM");
    }

    /// What it wrote to stderr.
    pub fn errors(&self) -> String {
        read(&self.folder.join("stderr.txt"))
    }

    fn printed(&self) -> String {
        read(&self.folder.join("stdout.txt"))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
