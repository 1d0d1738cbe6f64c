//! A lock on work that goes on for weeks: a second process ends at once and says so, a killed one is forgotten at once.
//!
//! It is a lock of the operating system on a file `_locks/NAME` beside the tables: the kernel gives it back when its
//! process ends, however it ends, so nothing is renewed and nobody waits after a kill (docs/adr/0004). It spares work
//! and noise; correctness never rests on it (every commit compares and swaps its own transactions), so where a file
//! system has no locks, work goes on without.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind};
use std::path::Path;

use crate::error::LakeError;
use crate::open::Lake;

/// Folder of the locks; no table's name begins so.
const FOLDER: &str = "_locks";

/// Bytes of a file name that are left of a longer one: of its end, which tells more.
const NAME_BYTES_MAX: usize = 200;

/// A held lock; dropping it gives it back.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lake {
    /// Takes the lock of some work; blocks for a moment only.
    ///
    /// # Errors
    /// [`LakeError::LockHeld`] when another process holds it; [`LakeError::Root`] when its file cannot be made.
    pub fn lock(&self, work: &str) -> Result<Lock, LakeError> {
        let wrong = |error: Error| LakeError::Root { root: self.root().to_owned(), reason: error.to_string() };
        let folder = self.inner.folder.join(FOLDER);
        let path = folder.join(file_name(work));
        crate::durable_store::make_folder(&folder).map_err(wrong)?;
        let file = open(&path).map_err(wrong)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(LakeError::LockHeld { work: work.to_owned(), path: path.display().to_string() })
            }
            // No locks here, or none now (a network's file system answers in many ways): the transactions still fence.
            Err(TryLockError::Error(_)) => Ok(Lock { _file: file }),
        }
    }
}

/// Opens the file, which stays for ever: were it deleted by whoever ends, two could hold locks of one name. For
/// writing, because NFS gives an exclusive lock to nobody else; where it belongs to another user, for reading.
fn open(path: &Path) -> std::io::Result<File> {
    match OpenOptions::new().read(true).append(true).create(true).open(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => File::open(path),
        opened => opened,
    }
}

/// A name that a file may have, another one for every short text.
fn file_name(work: &str) -> String {
    let mut name = String::new();
    for byte in work.bytes() {
        match char::from(byte) {
            plain if plain.is_ascii_alphanumeric() || "-_.".contains(plain) => name.push(plain),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    // All of it is ASCII: every byte begins a character.
    name.split_off(name.len().saturating_sub(NAME_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use tollbook_schemas::error::{Classified as _, Kind};

    use super::*;

    #[test]
    fn one_holds_it_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Lake::open(folder.path().to_str().unwrap()).unwrap();
        let held = open().lock("ingest main/access-log/1").unwrap();
        // Another lake, as another process has it.
        let error = open().lock("ingest main/access-log/1").unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
        let told = error.to_string();
        assert!(told.contains("main/access-log/1") && told.contains("_locks/ingest%20main%2Faccess-log%2F1"), "{told}");
        open().lock("ingest main/access-log/2").unwrap();
        drop(held);
        open().lock("ingest main/access-log/1").unwrap();
    }

    #[test]
    fn file_names_tell_texts_apart() {
        for (work, name) in [
            ("ingest main/a_b/1", "ingest%20main%2Fa_b%2F1".to_owned()),
            ("ingest main/a%2Fb/1", "ingest%20main%2Fa%252Fb%2F1".to_owned()),
            ("é", "%C3%A9".to_owned()),
            (&"x/".repeat(200), "x%2F".repeat(50)),
        ] {
            assert_eq!(file_name(work), name, "{work}");
        }
    }
}
