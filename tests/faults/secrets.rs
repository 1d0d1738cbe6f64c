//! Secrets come from the environment or a file, are no arguments, and appear nowhere: not in what commands print or
//! tell, not in the lake, not in pages; also where commands fail.

use std::path::Path;

use tollbook_schemas::tables::{ALL, Table};
use tollbook_simulate::stripe_double::{Fault, FaultKind};

use crate::folder::{Folder, MONTH, Ran};
use crate::stripe::Shop;

/// Whatever must be seen nowhere. The double's own key is one: it is what Stripe is called with.
const STRIPE_FILE: &str = crate::folder::KEY;
const STRIPE_WRONG: &str = "sk_test_canarywrong";
const HASH_KEY: &str = "canary-hash-key-now";
const HASH_KEY_BEFORE: &str = "canary-hash-before";
const CREDENTIAL: &str = "canary-credential";
const CANARIES: [&str; 5] = [STRIPE_FILE, STRIPE_WRONG, HASH_KEY, HASH_KEY_BEFORE, CREDENTIAL];

const CREDENTIALS: &str = r#"current = { key_id = "t1", secret_env = "TOLLBOOK_FAULTS_HASH_KEY" }
previous = { key_id = "t0", secret_file = "before.key" }"#;

/// Every text of every row: data files are compressed, so that their bytes alone prove nothing.
fn texts_of(folder: &Folder, table: &'static Table) -> Vec<String> {
    let mut texts = Vec::new();
    for row in folder.rows(table) {
        for column in table.columns {
            texts.push(match row.bytes(column.name) {
                Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                // As it is written in a program: quotes inside have a backslash.
                None => format!("{:?}", row.get(column.name)),
            });
        }
    }
    texts
}

/// Every file below a folder, as text.
fn files_of(folder: &Path, texts: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        texts.push(path.display().to_string());
        if path.is_dir() {
            files_of(&path, texts);
        } else {
            texts.push(String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned());
        }
    }
}

#[test]
fn secrets_appear_nowhere_in_a_whole_run_with_failures() {
    let shop = Shop::open();
    let folder = &shop.folder;
    let text = std::fs::read_to_string(folder.path("tollbook.toml")).unwrap();
    let from_file = text.replace(r#"current = { key_id = "t1", secret_file = "credential.key" }"#, CREDENTIALS);
    assert!(from_file.contains(CREDENTIALS), "the key for hashes is replaced");
    let from_env = from_file.replace("secret_file = \"stripe.key\"", "secret_env = \"TOLLBOOK_FAULTS_STRIPE_KEY\"");
    folder.write("before.key", HASH_KEY_BEFORE);
    folder.write("tollbook.toml", &from_file);
    let mut texts = Vec::new();
    let mut take = |ran: Ran, code: i32| {
        let ran = ran.fails(code, &[]);
        texts.extend([ran.printed, ran.told]);
    };
    let hash = ("TOLLBOOK_FAULTS_HASH_KEY", HASH_KEY);
    let run = |arguments: &[&str]| folder.run_with(arguments, &[hash]);
    let month = |step: &str| run(&[&["bill", step][..], &MONTH].concat());

    // Credentials in records that are good, bad and cut off, and in an event.
    let access = format!(
        r#"{{"event_id":"1","occurred_at":"2026-06-10T00:00:00Z","consumer":"acme","environment":"production","path":"/maps/x?key={CREDENTIAL}","status":200,"credential":"{CREDENTIAL}","idempotency_key":"{CREDENTIAL}"}}
{{"event_id":"","credential":"{CREDENTIAL}"}}
{{"event_id":"2","credential":"{CREDENTIAL}
[{{"event_id":"","credential":"{CREDENTIAL}"}},3]
"#
    );
    folder.write("given.log", access);
    let event = |fields: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"9","source":"/portal","type":"com.x.partner.credential.issued.v1","subject":"partner/acme"{fields},"data":{{"credential":"{CREDENTIAL}","environment":"production"}}}}"#
        )
    };
    folder.write("events.log", format!("{}\n{}\n", event(r#","time":"2026-05-20T00:00:00Z""#), event("")));
    take(folder.run(&["ingest", "--file", "given.log", "--decoder", "native", "--gateway", "edge"]), 2);
    take(run(&["ingest", "--file", "given.log", "--decoder", "native", "--gateway", "edge"]), 0);
    take(run(&["ingest", "--file", "events.log", "--decoder", "cloudevents"]), 0);
    take(run(&["check"]), 0);
    take(run(&["aggregate", "--as-of", MONTH[3]]), 0);
    take(month("draft"), 0);
    take(month("issue"), 0);
    // The wrong key, then the right one that fails, each from its file and from the environment.
    folder.write("stripe.key", STRIPE_WRONG);
    take(month("push"), 2);
    folder.write("stripe.key", STRIPE_FILE);
    shop.double.inject(Fault { endpoint: "*", nth: 1, kind: FaultKind::RefuseBefore }).unwrap();
    shop.double.inject(Fault { endpoint: "*", nth: 2, kind: FaultKind::Html(500) }).unwrap();
    shop.double.inject(Fault { endpoint: "*", nth: 3, kind: FaultKind::Html(500) }).unwrap();
    shop.double.inject(Fault { endpoint: "*", nth: 4, kind: FaultKind::Html(500) }).unwrap();
    take(month("push"), 4);
    folder.write("tollbook.toml", &from_env);
    take(month("push"), 2);
    let from_env = |key: &str| {
        let push = [&["bill", "push"][..], &MONTH].concat();
        folder.run_with(&push, &[hash, ("TOLLBOOK_FAULTS_STRIPE_KEY", key)])
    };
    take(from_env(STRIPE_WRONG), 2);
    take(from_env("canary-credential is no key"), 2);
    take(from_env(STRIPE_FILE), 0);
    folder.write("tollbook.toml", &from_file);
    take(run(&["bill", "sync"]), 0);
    take(month("register"), 0);
    for page in ["funnel", "roi"] {
        take(run(&["report", page, "--as-of", MONTH[3]]), 0);
    }
    take(run(&[&["report", "invoices"][..], &MONTH].concat()), 0);
    take(run(&["sql", "select * from job_run"]), 0);
    take(run(&["sql", "select canary from nowhere"]), 2);

    assert_eq!(shop.double.invoices().len(), 2, "the run did its work");
    for table in ALL {
        texts.extend(texts_of(folder, table));
    }
    files_of(&folder.path("lake"), &mut texts);
    files_of(&folder.path("reports"), &mut texts);
    for canary in CANARIES {
        let found: Vec<_> = texts.iter().filter(|text| text.contains(canary)).collect();
        assert!(found.is_empty(), "{canary} is in {} texts, such as {:?}", found.len(), found[0]);
    }
    // The search finds what is there: a name in the tables, a key's id in the rows, a page, a rejected payload.
    for there in ["Acme Ltd", "t1", "<html", r#"{"event_id":"","credential":"***"}"#, "bill push"] {
        assert!(texts.iter().any(|text| text.contains(there)), "{there:?} is nowhere: the search is blind");
    }
}

#[test]
fn no_secret_is_an_argument() {
    let folder = Folder::new();
    for flag in ["--stripe-key", "--secret", "--secret-key", "--key", "--credential-key", "--password", "--token"] {
        for command in [&["check"][..], &["bill", "push"], &["ingest"]] {
            folder.run(&[command, &[flag, "s3cr3t"]].concat()).fails(2, &["unexpected argument"]);
        }
    }
    for command in [
        &["--help"][..],
        &["ingest", "--help"],
        &["bill", "push", "--help"],
        &["bill", "sync", "--help"],
        &["close", "--help"],
        &["partner", "record", "--help"],
        &["demo", "--help"],
    ] {
        let help = folder.run(command).done().printed;
        let flags = help.split_whitespace().filter(|word| word.starts_with("--"));
        for flag in flags {
            assert!(!["secret", "key", "password", "token"].iter().any(|word| flag.contains(word)), "{flag}");
        }
    }
}
