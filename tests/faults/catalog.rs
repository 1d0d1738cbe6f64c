//! A catalog that cannot be used: `tollbook check` ends with 2 and names file, line, what is wrong and how to mend it.
//! And partners that cannot be billed: each blocks itself alone.

mod coverage;
mod kept;

use serde_json::{Value, json};
use tollbook_schemas::tables::billing::INVOICE_EVENT;

use crate::folder::{Folder, MONTH};

const CATALOG: &str = include_str!("../../catalog/catalog.toml");

#[test]
fn a_broken_catalog_is_told_with_its_place() {
    for (name, from, to, words) in [
        (
            "unknown currency",
            "currency = \"EUR\"",
            "currency = \"XXX\"",
            &["currency \"XXX\" is not known", "use a currency"][..],
        ),
        (
            "plan of no issuer",
            "issuer = \"acme-eu\"",
            "issuer = \"nobody\"",
            &["no issuer nobody", "expected the id of an [[issuer]]", "there are acme-eu"],
        ),
        (
            "price of no meter",
            "meter = \"map-calls\"",
            "meter = \"map-clals\"",
            &["no meter map-clals", "help: did you mean map-calls?"],
        ),
        (
            "meter of no product",
            "product = \"maps\"",
            "product = \"map\"",
            &["no product map", "help: did you mean maps?"],
        ),
        (
            "overlapping tiers",
            "{ up_to = \"100000\"",
            "{ up_to = \"10000\"",
            &["tiers would overlap", "order tiers by up_to"],
        ),
        (
            "a gap at the end",
            "{ unit_price = \"0.001\" }",
            "{ up_to = \"200000\", unit_price = \"0.001\" }",
            &["larger quantities have no price", "remove its up_to"],
        ),
        (
            "a gap in between",
            "{ up_to = \"10000\", unit_price = \"0\" }",
            "{ unit_price = \"0\" }",
            &["is not the last", "give it up_to"],
        ),
        (
            "unknown key",
            "name = \"Maps Free\"",
            "name = \"Maps Free\"\ncolour = 1",
            &["unknown field `colour`", "expected one of id, version, effective_from", "help: remove it"],
        ),
        (
            "bad TOML",
            "name = \"Maps Free\"",
            "name = Maps Free",
            &["string values must be quoted", "write it in quotes: \"Maps Free\""],
        ),
        ("a float as money", "amount = \"49\"", "amount = 49.0", &["floating point", "write a number in quotes"]),
        (
            "a small float as money",
            "unit_price = \"0.001\"",
            "unit_price = 1e-3",
            &["floating point", "number in quotes"],
        ),
        (
            "a zone of nowhere",
            "Europe/Berlin",
            "Europe/Berlni",
            &["not an IANA time zone", "did you mean Europe/Berlin?"],
        ),
        ("a model of nobody", "\"graduated\"", "\"tiered\"", &["price model \"tiered\" is not known", "graduated"]),
        ("a negative price", "amount = \"49\"", "amount = \"-49\"", &["negative", "use 0 or more"]),
        (
            "SQL that is none",
            "status between 200 and 299",
            "status betwixt 200",
            &["meter map-calls: filter is no SQL expression", "         ^^^^^^^ expected end of expression"],
        ),
        (
            "SQL over no column",
            "status between 200 and 299",
            "stauts = 200",
            &["meter map-calls: filter names stauts", "          ^^^^^^ expected a column", "did you mean status?"],
        ),
        (
            "a price that no draft can rate",
            "model = \"graduated\"",
            "model = \"percentage\"\npercent = \"1\"\nfree_events = 3",
            &[
                "free_events needs each event of the usage, and map-calls, whose aggregation is count, keeps none",
                "help: use a meter",
            ],
        ),
    ] {
        assert!(CATALOG.contains(from), "{name}");
        let line = CATALOG[..CATALOG.find(from).unwrap()].matches('\n').count() + 1;
        let folder = Folder::new();
        folder.write("catalog/catalog.toml", CATALOG.replacen(from, to, 1));
        let told = folder.run(&["check"]).fails(2, words);
        let places = [line, line + 1, line + 2].map(|line| format!("--> catalog/catalog.toml:{line}:"));
        assert!(places.iter().any(|place| told.told.contains(place)), "{name}: {}", told.told);
        let shown = told.told.lines().filter(|line| line.starts_with("error: ")).count();
        let last = if shown == 1 { "1 problem".to_owned() } else { format!("{shown} problems") };
        assert_eq!(told.told.lines().last(), Some(last.as_str()), "{name}");
        // What stands on it is not wrong too: what a reader mends is told, and nothing that follows from it.
        if ["a zone of nowhere", "a model of nobody", "a float as money"].contains(&name) {
            assert_eq!(shown, 1, "{name}: {}", told.told);
        }
        // No job goes on with it either, and it says the same.
        if ["unknown currency", "SQL over no column"].contains(&name) {
            let job = folder.run(&["aggregate", "--as-of", "2026-07-03T00:00:00Z"]).fails(2, words);
            assert_eq!(job.told, told.told);
        }
    }
}

/// A whole number is exact, with quotes or without; every other number needs them, as the sample catalog says.
#[test]
fn a_whole_number_needs_no_quotes() {
    let folder = Folder::new();
    let bare = CATALOG.replace("amount = \"49\"", "amount = 49").replace("up_to = \"10000\"", "up_to = 10000");
    assert!(bare.contains("amount = 49\n") && bare.contains("up_to = 10000,"));
    folder.write("catalog/catalog.toml", bare);
    folder.run(&["check"]).done();
}

/// `check` tells each secret that is named and not there: an error for what is configured to be read, a note for what
/// only some commands need. The place is named, a value never.
#[test]
fn secrets_that_are_not_there_are_told_by_check() {
    const ROWS: [(&str, &str); 2] = [
        ("secret_file = \"credential.key\"", "secret_env = \"TOLLBOOK_FAULTS_NO_KEY\""),
        ("secret_file = \"stripe.key\"", "secret_env = \"TOLLBOOK_FAULTS_NO_STRIPE\""),
    ];
    let folder = Folder::new();
    folder.configure(
        "[kafka]\nbrokers = \"127.0.0.1:1\"\ncluster_alias = \"faults\"\n[[topic]]\nname = \"events\"\ndecoder = \
         \"cloudevents\"\ngeneration = \"1\"\n[stripe]\nbase_url = \"https://api.stripe.com\"\nnamespace = \
         \"faults\"\nsecret_file = \"stripe.key\"",
    );
    let text = ROWS.iter().fold(std::fs::read_to_string(folder.path("tollbook.toml")).unwrap(), |text, (from, to)| {
        assert!(text.contains(from));
        text.replace(from, to)
    });
    let line = 1 + text.lines().position(|line| line.contains("NO_KEY")).unwrap();
    folder.write("tollbook.toml", &text);
    let set = ("TOLLBOOK_FAULTS_NO_KEY", "canary-key-of-the-tests");
    let needed = ["TOLLBOOK_FAULTS_NO_KEY, which is not set", &format!("--> tollbook.toml:{line}:"), "help: set it"];
    let noted =
        "note: [stripe] wants its secret in the environment variable TOLLBOOK_FAULTS_NO_STRIPE, which is not set";
    let told = folder.run(&["check"]).fails(2, &needed).fails(2, &["1 problem", noted]);
    assert_eq!(told.printed, "");
    folder.run_with(&["check"], &[set]).fails(0, &[noted]);
    let stripe = ("TOLLBOOK_FAULTS_NO_STRIPE", crate::folder::KEY);
    let told = folder.run_with(&["check"], &[set, stripe]).done().told;
    assert_eq!(told, "", "nothing is left to say");
    // Too short, and one of the live mode: there, and wrong.
    let told = folder.run_with(&["check"], &[("TOLLBOOK_FAULTS_NO_KEY", "canary"), stripe]).fails(2, &["16 bytes"]);
    assert!(!told.told.contains("canary"), "{}", told.told);
    let live = ("TOLLBOOK_FAULTS_NO_STRIPE", "sk_live_canary");
    let told = folder.run_with(&["check"], &[set, live]).fails(2, &["set stripe.live = true", "1 problem"]);
    assert!(!told.told.contains("canary"), "{}", told.told);
    // To machines, with what is wrong in the catalog.
    folder.write("catalog/catalog.toml", CATALOG.replace("currency = \"EUR\"", "currency = \"XXX\""));
    let told = folder.run(&["check", "--json"]).fails(2, &["3 problems"]);
    let told: Value = serde_json::from_str(told.printed.trim()).unwrap();
    let problems = told["problems"].as_array().unwrap();
    assert_eq!(
        (problems.len(), &problems[0]["line"], &problems[0]["path"]),
        (3, &json!(line), &json!("tollbook.toml"))
    );
    assert!(told["notes"][0].as_str().unwrap().contains("TOLLBOOK_FAULTS_NO_STRIPE"), "{told}");
}

/// What the environment overrides wrongly is told by its name, by every command.
#[test]
fn a_wrong_override_is_told_with_its_variable() {
    let folder = Folder::new();
    for command in ["check", "aggregate"] {
        let words = ["TOLLBOOK__LAKE__ROTO, which the environment sets", "did you mean TOLLBOOK__LAKE__ROOT?"];
        folder.run_with(&[command], &[("TOLLBOOK__LAKE__ROTO", "elsewhere")]).fails(2, &words);
    }
}

#[test]
fn what_is_wrong_is_told_to_machines() {
    let folder = Folder::new();
    let valid = folder.run(&["--json", "check"]).json();
    assert_eq!((&valid["valid"], &valid["plans"], &valid["problems"]), (&json!(true), &json!(2), &json!([])));
    let broken = CATALOG
        .replace("issuer = \"acme-eu\"", "issuer = \"acme-ue\"")
        .replace("status between 200 and 299", "stauts = 200");
    folder.write("catalog/catalog.toml", broken);
    let told = folder.run(&["check", "--json"]).fails(2, &["3 problems"]);
    let told: Value = serde_json::from_str(told.printed.trim()).unwrap();
    assert_eq!((&told["valid"], told["problems"].as_array().unwrap().len()), (&json!(false), 3));
    let line = |needle: &str| CATALOG[..CATALOG.find(needle).unwrap()].matches('\n').count() + 1;
    assert_eq!(
        told["problems"][0],
        json!({ "path": "catalog/catalog.toml", "line": line("filter ="), "column": 11, "end": 17,
            "what": "meter map-calls: filter names stauts", "expected": "a column of access_log",
            "help": "did you mean status?" })
    );
    assert_eq!(told["problems"][1]["line"], json!(line("issuer = ")));
    // Of the configuration too; without a place where there is none.
    folder.write("tollbook.toml", "[lakes]\n");
    let told = folder.run(&["check", "--json"]).fails(2, &["did you mean lake?"]);
    let told: Value = serde_json::from_str(told.printed.trim()).unwrap();
    let problem = &told["problems"][0];
    assert_eq!(
        (&problem["path"], &problem["line"], &problem["column"]),
        (&json!("tollbook.toml"), &json!(1), &json!(2))
    );
    std::fs::remove_file(folder.path("tollbook.toml")).unwrap();
    let told = folder.run(&["check", "--json"]).fails(2, &["write one with `tollbook init`"]);
    let told: Value = serde_json::from_str(told.printed.trim()).unwrap();
    assert_eq!((&told["valid"], &told["problems"][0]["line"]), (&json!(false), &Value::Null));
}

/// What a person mistyped, or named and is not there, ends with 2 and says how to go on; what is not there yet with 4.
#[test]
fn mistakes_of_the_command_line_are_not_ours() {
    let folder = Folder::new();
    folder.write("file", "x");
    let (run, no_run) = ("lin_0123456789abcdef0123", "run_0123456789abcdef0123");
    let as_of = ["--as-of", MONTH[3]];
    for (arguments, code, words) in [
        (&["lake", "files", "usgae"][..], 2, &["there is no table usgae", "did you mean usage?"][..]),
        (&["lake", "compact", "quux"], 2, &["there is no table quux", "show tables"]),
        (&["init"], 2, &["there already: ./tollbook.toml and ./catalog/catalog.toml", "name another folder"]),
        (&["init", "file/below"], 2, &["cannot be written", "name a folder"]),
        (&["bill", "explain", run], 2, &["there is no line", "select line_id"]),
        (&["bill", "explain", "12"], 2, &["a line id looks like lin_"]),
        (&["bill", "register", "--period", "2026-13", as_of[0], as_of[1]], 2, &["--period takes a month"]),
        (&["aggregate", "--as-of", "noon"], 2, &["noon"]),
        (&["sql", "select 1", "--as-of-run", no_run], 2, &["there is no run", "from run_history"]),
        (&["sql", "describe quux"], 2, &["there is no table or view quux"]),
        (&["sql", "select 1 as a", "--out", "catalog"], 2, &["catalog cannot be written", "--out"]),
        (&["sql", "select 1 as a", "--out", "nowhere/a"], 2, &["nowhere/a cannot be written"]),
        (&["report", "funnel", as_of[0], as_of[1], "--out", "file"], 2, &["cannot be written", "--out"]),
        (&["demo", "--dir", "catalog"], 2, &["not a demo", "--dir"]),
        (&["demo", "--dir", "file"], 2, &["file cannot be made", "--dir"]),
        (&["demo", "--partners", "0"], 2, &["--partners"]),
        (&["aggregate"], 4, &["how far the data reach is not known", "tollbook ingest", "--as-of"]),
        (&["report", "roi"], 4, &["how far the data reach is not known"]),
    ] {
        folder.run(arguments).fails(code, words);
    }
    let commands: [&[&str]; 12] = [
        &["check"],
        &["ingest", "--until-caught-up"],
        &["aggregate"],
        &["bill", "draft"],
        &["bill", "sync"],
        &["bill", "explain", run],
        &["close"],
        &["partner", "import", "a.csv"],
        &["report", "roi"],
        &["sql", "select 1"],
        &["lake", "files", "usage"],
        &["lake", "compact"],
    ];
    for config in ["nowhere.toml", "catalog", "nowhere/tollbook.toml"] {
        for command in commands {
            let arguments = [&["--config", config][..], command].concat();
            folder.run_plain(&arguments).fails(2, &["cannot be read", "tollbook init"]);
        }
    }
    // A catalog that is not there, is a file, is empty, or holds what is no text.
    let no_catalog = |words: &[&str]| {
        folder.run(&["check"]).fails(2, words);
        folder.run(&["aggregate", as_of[0], as_of[1]]).fails(2, words);
    };
    std::fs::remove_dir_all(folder.path("catalog")).unwrap();
    no_catalog(&["the catalog folder catalog cannot be read", "write one with `tollbook init`"]);
    folder.write("catalog", "x");
    no_catalog(&["the catalog folder catalog cannot be read", "write one with `tollbook init`"]);
    std::fs::remove_file(folder.path("catalog")).unwrap();
    std::fs::create_dir(folder.path("catalog")).unwrap();
    no_catalog(&["has no *.toml file"]);
    folder.write("catalog/c.toml", [0xff]);
    no_catalog(&["the byte 0xff is no text", "catalog/c.toml:1:1", "expected UTF-8"]);
}

#[test]
fn what_is_written_and_what_is_live_is_told_to_machines() {
    let folder = Folder::new();
    let written = folder.run(&["--json", "init", "new"]).json();
    assert_eq!(
        written,
        json!({ "written": ["new/tollbook.toml", "new/catalog/catalog.toml", "new/catalog/catalog.schema.json"] })
    );
    let none = folder.run(&["--json", "lake", "files", "access_log"]).json();
    assert_eq!(none, json!({ "table": "access_log", "files": [] }));
    feed(&folder);
    let told = folder.run(&["lake", "files", "access_log", "--json"]).json();
    let plain = folder.run(&["lake", "files", "access_log"]).done().printed;
    let files: Vec<&str> = told["files"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(files, plain.lines().collect::<Vec<_>>());
    assert!(files.len() == 1 && std::path::Path::new(files[0]).exists(), "{files:?}");
}

/// Partners of the month: one is billed, one has no billing profile, one a plan that is nowhere.
pub const PARTNERS: &str = "\
partner_id,display_name,segment,registered_at,consumer,consumer_from,environment,subscription_id,plan_id,time_zone,\
subscription_from,legal_name,address,country,tax_id,billing_email,purchase_order,payment_terms_days
acme,Acme,,2026-05-01T00:00:00Z,acme,2026-05-01T00:00:00Z,production,s1,maps-pro,,2026-05-31T22:00:00Z,Acme Ltd,\
Street 1,DE,,billing@acme.example,,14
bolt,Bolt,,2026-05-01T00:00:00Z,bolt,2026-05-01T00:00:00Z,production,s2,maps-pro,,2026-05-31T22:00:00Z,,,,,,,
dora,Dora,,2026-05-01T00:00:00Z,dora,2026-05-01T00:00:00Z,production,s4,maps-pro,,2026-05-31T22:00:00Z,Dora Ltd,\
Street 2,DE,,billing@dora.example,,14
";

/// A file of requests that is younger than the month: without one the data reach nowhere, and nothing is issued.
pub fn feed(folder: &Folder) {
    folder.write("requests.log", r#"{"event_id":"feed","occurred_at":"2026-06-10T00:00:00Z","consumer":"nobody"}"#);
    let month_end = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_783_036_800);
    let file = std::fs::File::options().write(true).open(folder.path("requests.log")).unwrap();
    file.set_modified(month_end).unwrap();
    assert_eq!(folder.ingest("requests.log", "native"), (1, 0));
}

const NOWHERE: &str = r#"{"specversion":"1.0","id":"1","source":"/portal","type":"com.x.partner.registered.v1","subject":"partner/corp","time":"2026-05-31T21:00:00Z"}
{"specversion":"1.0","id":"2","source":"/portal","type":"com.x.partner.subscription.started.v1","subject":"partner/corp","time":"2026-05-31T22:00:00Z","data":{"subscription_id":"s3","plan_id":"nowhere"}}
"#;

#[test]
fn who_cannot_be_billed_blocks_nobody_else() {
    let folder = Folder::new();
    folder.write("partners.csv", PARTNERS);
    feed(&folder);
    folder.write("events.log", NOWHERE);
    let bill = |step: &str| folder.run(&[&["bill", step][..], &MONTH].concat());
    folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
    assert_eq!(folder.ingest("events.log", "cloudevents"), (2, 0));
    folder.run(&["aggregate", "--as-of", MONTH[3]]).done();
    let blocked = [
        "bolt is blocked: no billing profile is in force; import one",
        "corp is blocked: subscription s3 is to plan nowhere, which the catalog does not have; add the plan",
    ];
    let drafted = bill("draft").fails(0, &blocked);
    assert!(drafted.printed.contains("\"drafted\":2"), "{}", drafted.printed);
    assert!(bill("issue").done().printed.contains("\"issued\":2"));
    let register = bill("register").done().printed;
    for line in ["acme", "dora"] {
        let line = register.lines().find(|told| told.starts_with(&format!("2026-06  {line}"))).unwrap();
        assert!(line.contains("issued") && line.contains("EUR") && line.contains("49.00"), "{line}");
    }
    for (partner, words) in [("bolt", "blocked: no billing profile"), ("corp", "blocked: subscription s3")] {
        let line = register.lines().find(|told| told.starts_with(&format!("2026-06  {partner}"))).unwrap();
        assert!(line.contains(words), "{line}");
    }
    let before = folder.all_rows();
    bill("draft").fails(0, &blocked);
    assert!(bill("issue").done().printed.contains("\"issued\":0"));
    assert_eq!(folder.all_rows(), before, "again changes nothing");
    // Mended: only what was missing is added.
    let header = PARTNERS.lines().next().unwrap();
    let profile = "bolt,,,,,,,,,,2026-05-31T22:00:00Z,Bolt Ltd,Street 3,DE,,billing@bolt.example,,14";
    folder.write("more.csv", format!("{header}\n{profile}\n"));
    folder.run(&["partner", "import", "more.csv", "--apply"]).done();
    bill("draft").fails(0, &["corp is blocked"]);
    assert!(bill("issue").done().printed.contains("\"issued\":1"));
    let issued: Vec<_> =
        folder.rows(&INVOICE_EVENT).into_iter().filter(|row| row.text("kind") == Some("issued")).collect();
    let mut partners: Vec<_> = issued.iter().filter_map(|row| row.text("partner_id")).collect();
    partners.sort_unstable();
    assert_eq!(partners, ["acme", "bolt", "dora"]);
    // A plan that is nowhere does not come in by a file either.
    let wrong = PARTNERS.lines().nth(1).unwrap().replace("maps-pro", "nowhere");
    folder.write("wrong.csv", format!("{header}\n{wrong}\n"));
    let told = folder.run(&["partner", "import", "wrong.csv", "--apply"]);
    assert!(
        told.code != Some(0) && told.told.contains("wrong.csv line 2: the catalog has no plan nowhere"),
        "{}",
        told.told
    );
}
