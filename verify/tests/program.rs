//! The program of its own: what it says of a lake without invoices, and of arguments that are none.

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tollbook-verify")).args(arguments).env_remove("RUST_BACKTRACE").output().unwrap()
}

#[test]
fn what_cannot_be_verified_is_told() {
    let lake = tempfile::tempdir().unwrap();
    let root = lake.path().to_str().unwrap();
    for (arguments, code, words) in [
        (&[root, "2026-06"][..], 0, ""),
        (&[root, "2026-06", "--json"], 0, ""),
        (&[root, "AC-000001"], 2, "there is no issued invoice AC-000001"),
        (&[root], 2, "usage: tollbook-verify LAKE INVOICE|PERIOD"),
        (&[root, "2026-06", "--wrong"], 2, "usage: "),
        (&["/no/such/lake", "2026-06"], 2, "/no/such/lake is no folder"),
    ] {
        let output = run(arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(words) && output.stdout.is_empty(), "{arguments:?}: {told}");
    }
}
