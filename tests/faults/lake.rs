//! A lake that cannot be written, and a log that is damaged.

use crate::folder::Folder;

const GOOD: &str = r#"{"event_id":"e","occurred_at":"2026-06-01T00:00:00Z"}"#;
const INGEST: [&str; 7] = ["ingest", "--file", "given.log", "--decoder", "native", "--gateway", "edge"];

#[test]
fn a_root_that_cannot_be_used_is_told() {
    for (name, root) in [
        ("a file", "credential.key"),
        ("below a file", "credential.key/lake"),
        ("a file system that takes no folders", "/proc/nope"),
    ] {
        let folder = Folder::new();
        folder.write("given.log", GOOD);
        let text = std::fs::read_to_string(folder.path("tollbook.toml")).unwrap();
        folder.write("tollbook.toml", text.replace("root = \"lake\"", &format!("root = {root:?}")));
        for command in [&INGEST[..], &["sql", "select 1"], &["aggregate"]] {
            let told = folder.run(command).fails(2, &["lake root", root, "name a folder that this user can write"]);
            assert_eq!(told.printed, "", "{name}");
        }
        // Nothing was lost: with a root that can be written the same command takes it all.
        folder.configure("");
        assert_eq!(folder.ingest("given.log", "native"), (1, 0), "{name}");
    }
}

/// A folder whose access log has several commits.
fn fed() -> Folder {
    let folder = Folder::new();
    for number in 0..3 {
        let name = format!("{number}.log");
        folder.write(&name, GOOD.replace("\"e\"", &format!("\"e{number}\"")));
        assert_eq!(folder.ingest(&name, "native"), (1, 0));
    }
    folder.write("given.log", GOOD);
    folder
}

/// What a log that cannot be read when a table is opened ends with: docs/operations.md, "When ingest stops".
const UNREADABLE: i32 = 3;

#[test]
fn a_damaged_log_stops_everything_and_changes_nothing() {
    let whole = fed();
    let entries = |folder: &Folder| {
        let log = std::fs::read_dir(folder.path("lake/access_log/_delta_log")).unwrap();
        let mut names: Vec<_> = log.map(|entry| entry.unwrap().path()).collect();
        names.retain(|name| name.extension().is_some_and(|extension| extension == "json"));
        names.sort();
        names
    };
    let count = entries(&whole).len();
    assert!(count >= 4, "{count} entries");
    for (name, at, torn, words) in [
        ("the last entry torn", count - 1, true, "Truncated record"),
        ("an entry between torn", 2, true, "Truncated record"),
        ("an entry between missing", 2, false, "found gap"),
        ("the first entry missing", 0, false, "No table metadata or protocol found"),
    ] {
        let folder = whole.copy();
        let entry = &entries(&folder)[at];
        if torn {
            let text = std::fs::read(entry).unwrap();
            std::fs::write(entry, &text[..text.len() / 2]).unwrap();
        } else {
            std::fs::remove_file(entry).unwrap();
        }
        let before = entries(&folder);
        for command in [&INGEST[..], &["sql", "select count(*) from access_log"]] {
            let told = folder.run(command);
            let told = told.fails(UNREADABLE, &["table access_log cannot be opened", words]);
            assert_eq!(told.printed, "", "{name}: no figure comes out of half a table");
        }
        assert_eq!(entries(&folder), before, "{name}: nothing was written");
    }
    // Put back, it goes on where it was.
    assert_eq!(whole.ingest("given.log", "native"), (1, 0));
    assert_eq!(whole.ingest("0.log", "native"), (0, 0));
}

/// A data file that somebody took away: whoever reads it says so once, which it is, and how that is mended.
#[test]
fn a_data_file_that_is_gone_is_told_once() {
    let folder = fed();
    let dates = std::fs::read_dir(folder.path("lake/access_log")).unwrap().map(|entry| entry.unwrap().path());
    let date = dates.filter(|path| path.file_name().unwrap() != "_delta_log").find(|path| path.is_dir()).unwrap();
    let file = std::fs::read_dir(&date).unwrap().next().unwrap().unwrap().path();
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    std::fs::remove_file(&file).unwrap();
    for command in [&["sql", "select event_id from access_log"][..], &["aggregate", "--as-of", "2026-07-03T00:00:00Z"]]
    {
        let words = [&name, "a data file of the lake, is gone; put the lake back whole from a copy"];
        let told = folder.run(command).fails(3, &words).told;
        assert_eq!((told.matches(" is gone").count(), told.matches("Parquet").count()), (1, 0), "{told}");
    }
}
