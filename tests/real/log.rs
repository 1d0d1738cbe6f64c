//! The log of a Delta table, read from its files as they stand: what was committed, by nobody's word but the log's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

/// What the entries so far say.
pub struct Log {
    folder: PathBuf,
    next: u64,
    txns: BTreeMap<String, i64>,
    files: BTreeSet<String>,
    last_with_rows: Option<PathBuf>,
}

impl Log {
    /// The log of the table in a folder, which may come later.
    pub fn of(folder: PathBuf) -> Self {
        let (txns, files) = (BTreeMap::new(), BTreeSet::new());
        Self { folder, next: 0, txns, files, last_with_rows: None }
    }

    /// Reads what has come since.
    pub fn refresh(&mut self) {
        loop {
            let path = self.folder.join(format!("_delta_log/{:020}.json", self.next));
            let Ok(text) = std::fs::read_to_string(&path) else { return };
            let files_before = self.files.len();
            for line in text.lines() {
                let action: Value = serde_json::from_str(line).unwrap();
                if let (Some(id), Some(at)) = (action["txn"]["appId"].as_str(), action["txn"]["version"].as_i64()) {
                    self.txns.insert(id.to_owned(), at);
                }
                if let Some(file) = action["add"]["path"].as_str() {
                    self.files.insert(file.to_owned());
                }
            }
            if self.files.len() > files_before {
                self.last_with_rows = Some(path);
            }
            self.next += 1;
        }
    }

    /// Next offset of a partition of a source.
    pub fn frontier(&self, source: &str, partition: i32) -> Option<i64> {
        self.txns.get(&format!("{source}#{partition}")).copied()
    }

    /// Data files in the table's folder that no entry names: somebody was killed between writing and committing.
    pub fn orphans(&self) -> usize {
        let mut parquet = Vec::new();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "parquet") {
                    parquet.push(path);
                }
            }
        }
        let named = |path: &PathBuf| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| self.files.iter().any(|file| file.ends_with(name)))
        };
        parquet.iter().filter(|path| !named(path)).count()
    }

    /// Takes the txn actions out of the last entry with rows, as a build without them would have written it.
    pub fn strip_last_commit_of_its_txns(&self) {
        let path = self.last_with_rows.as_ref().expect("a commit with rows");
        let text = std::fs::read_to_string(path).unwrap();
        let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("{\"txn\"")).collect();
        assert!(kept.len() < text.lines().count(), "the entry had no txn: {text}");
        std::fs::write(path, kept.join("\n") + "\n").unwrap();
    }
}
