use super::*;

/// Each row: what is in the folder beside `a.toml` (a folder ends with `/`), and the words of the error; none where it
/// is read.
#[test]
fn no_file_is_left_out_in_silence() {
    for (paths, words) in [
        (&["b.toml"][..], &[][..]),
        (&["notes.txt", "a.toml~", "catalog.schema.json", "empty/", "sub/notes.txt"], &[]),
        (&[".x.toml", ".#a.toml", ".git/config.toml", "sub/.x.toml", "sub/.git/x.toml", "..data/a.toml"], &[]),
        (&["X.TOML"], &["1 file would not be read", "X.TOML: its name does not end with .toml", "rename it to X.toml"]),
        (&["sub/b.toml"], &["1 file would", "sub/b.toml: it stands in a folder below; move it up"]),
        (&["sub/deep/B.Toml", "x.toml/"], &["2 files would", "deep/B.Toml: it stands", "x.toml: it is a folder"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for path in [&["a.toml"], paths].concat() {
            let at = folder.path().join(path);
            std::fs::create_dir_all(if path.ends_with('/') { &at } else { at.parent().unwrap() }).unwrap();
            if !path.ends_with('/') {
                std::fs::write(at, path).unwrap();
            }
        }
        match files(folder.path()) {
            Ok(read) => {
                let names: Vec<&str> = read.iter().map(|(name, _)| name.as_str()).collect();
                let wanted = if paths == ["b.toml"] { &["a.toml", "b.toml"][..] } else { &["a.toml"] };
                assert_eq!(names, wanted, "{paths:?}");
                assert!(words.is_empty(), "{paths:?}");
            }
            Err(ConfigurationError(told)) => {
                assert!(!words.is_empty() && words.iter().all(|words| told.contains(words)), "{paths:?}: {told}");
            }
        }
    }
}

#[test]
fn many_files_that_are_left_out_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    (0..20).for_each(|at| std::fs::write(folder.path().join(format!("sub/{at}.toml")), "").unwrap());
    let ConfigurationError(told) = files(folder.path()).unwrap_err();
    assert!(told.contains("20 files would") && told.contains("and 8 more") && told.lines().count() == 14, "{told}");
}

/// Whatever a link points to, and what is no file at all: it ends, with an error or without.
#[cfg(unix)]
#[test]
fn links_and_sockets_hang_nobody() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("real"), "x").unwrap();
    symlink("real", at("a.toml")).unwrap();
    symlink(".", at("loop")).unwrap();
    assert_eq!(files(folder.path()).unwrap(), [("a.toml".to_owned(), b"x".to_vec())]);
    let _socket = std::os::unix::net::UnixListener::bind(at("s.toml")).unwrap();
    assert!(files(folder.path()).unwrap_err().0.contains("s.toml: it is a pipe, a socket or a device"));
    std::fs::remove_file(at("s.toml")).unwrap();
    symlink("nowhere", at("b.toml")).unwrap();
    assert!(files(folder.path()).unwrap_err().0.contains("b.toml cannot be read"));
}
