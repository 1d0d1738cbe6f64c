//! A command that cannot print does what it was asked for all the same, and says at its end that nobody can read of it.

use std::fs::File;
use std::process::Stdio;

use crate::courses::JULY;
use crate::folder::Folder;
use crate::unadjusted::{CATALOG, JULY_END, JUNE_END, PARTNERS, clock, requests};
use crate::verify::ingest;

/// A disk that is full.
fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// The end of a pipe from which nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn what_cannot_print_issues_every_month_all_the_same() {
    let due = ["--as-of", JULY[3]];
    let folder = Folder::new();
    folder.write("catalog/catalog.toml", CATALOG);
    folder.write("partners.csv", PARTNERS);
    folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
    ingest(&folder, "june.log", &requests("a", "acme", "2026-06-10", 5), JUNE_END);
    ingest(&folder, "july.log", &requests("b", "bela", "2026-07-11", 4), JULY_END);
    clock(&folder, JULY[3]);
    folder.run(&[&["aggregate"][..], &due].concat()).done();
    folder.run(&[&["bill", "draft"][..], &due].concat()).done();
    let copy = folder.copy();
    // Whoever closed the pipe had enough; whose disk is full believes that it has all of it.
    for (folder, stdout, code, words) in
        [(&folder, closed(), 0, &[][..]), (&copy, full(), 1, &["not all that it prints is there", "stdout"][..])]
    {
        let ran = folder.run_printing_to(&[&["bill", "issue"][..], &due].concat(), stdout).fails(code, words);
        assert_eq!(ran.told.contains("stdout"), code == 1, "{}", ran.told);
        let listed = folder.run(&["bill", "list", "--json"]).done().printed;
        assert_eq!(listed.matches("\"issued\"").count(), 4, "{listed}");
    }
    copy.run_printing_to(&["check"], full()).fails(1, &["stdout"]);
}
