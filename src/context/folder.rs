//! The files of a catalog's folder. Takes the folder, gives each of its `*.toml` files as bytes, in name order.
//!
//! Nothing is left out in silence: what looks like a file of the catalog and would not be read (in a folder below, with
//! another ending, a pipe) is an error that names all of them. Names that begin with a dot are nobody's catalog:
//! editors and mounts keep their own there.

use std::path::{Path, PathBuf};

use crate::configuration::ConfigurationError;

/// How many files that are not read are named.
const NAMED_MAX: usize = 12;

/// Reads the files of a folder: their names, and what is in them.
///
/// # Errors
/// A folder or file that cannot be read; files that would be left out.
pub(super) fn files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, ConfigurationError> {
    let shown = folder.display();
    let unreadable = |error: std::io::Error| {
        ConfigurationError(format!(
            "the catalog folder {shown} cannot be read ({error}); name the right one ([catalog] folder where the \
             command names none), or write one with `tollbook init`"
        ))
    };
    let (mut paths, mut left_out) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if is_hidden(&path) {
            continue;
        }
        if !is_named_toml(&path) {
            below(&path, &mut left_out);
            continue;
        }
        // Of what a link points to: opening a pipe would wait for whoever writes into it.
        let found = std::fs::metadata(&path).map_err(|error| no_file(&path, &error))?;
        match (found.is_file(), path.extension().is_some_and(|extension| extension == "toml")) {
            (true, true) => paths.push(path),
            (true, false) => {
                let name = path.with_extension("toml");
                let name = name.file_name().unwrap_or_default().to_string_lossy();
                left_out.push(format!(
                    "{}: its name does not end with .toml in small letters; rename it to {name}",
                    path.display()
                ));
            }
            (false, _) if found.is_dir() => {
                left_out
                    .push(format!("{}: it is a folder; rename it, and move its files into {shown}", path.display()));
            }
            (false, _) => left_out.push(format!("{}: it is a pipe, a socket or a device; take it out", path.display())),
        }
    }
    if !left_out.is_empty() {
        left_out.sort();
        let (count, more) = (left_out.len(), left_out.len().saturating_sub(NAMED_MAX));
        left_out.truncate(NAMED_MAX);
        if more > 0 {
            left_out.push(format!("and {more} more"));
        }
        return Err(ConfigurationError(format!(
            "the catalog is the *.toml files of {shown} itself, and {count} {} not be read\n  {}",
            if count == 1 { "file would" } else { "files would" },
            left_out.join("\n  ")
        )));
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let bytes = std::fs::read(&path).map_err(|error| no_file(&path, &error))?;
            Ok((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), bytes))
        })
        .collect()
}

fn no_file(path: &Path, error: &std::io::Error) -> ConfigurationError {
    ConfigurationError(format!("{} cannot be read ({error}); let it be read, or take it out", path.display()))
}

/// Files of TOML in a folder below, and in those below it. Links are not followed, so that it ends; a folder that we
/// may not read is nobody's catalog.
fn below(path: &Path, left_out: &mut Vec<String>) {
    let mut folders: Vec<PathBuf> = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        if !std::fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir()) {
            continue;
        }
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| !is_hidden(path)) {
            if is_named_toml(&path) {
                let what = "it stands in a folder below; move it up, or let its name end otherwise";
                left_out.push(format!("{}: {what}", path.display()));
            } else {
                folders.push(path);
            }
        }
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_named_toml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
}

#[cfg(test)]
mod tests;
