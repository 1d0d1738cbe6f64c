//! Files that are given in the wrong way, packed, or written as Windows writes them: nothing is lost, nothing counts
//! twice, and no month is invoiced without what a file that was misread holds.

use std::time::{Duration, UNIX_EPOCH};

use tollbook_schemas::tables::derived::USAGE;
use tollbook_schemas::tables::{access_log, rejected};

use crate::catalog::PARTNERS;
use crate::folder::{Folder, MONTH, Ran};

const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// The first column list of the recipe in docs/operations.md, which also stands in the second.
const COLUMNS: &str = "occurred_at, host, route, product_hint as product, method, path, path_template, status, \
    error_code, request_bytes, response_bytes, latency_us, upstream_latency_us, consumer, scope, workspace, \
    cache_status, client_tag, client_address, user_agent, attributes, \
    case when bytes_basis <> 'absent' then bytes_basis end as bytes_basis";

/// Seconds since 1970 of 2026-07-03T00:00:00Z: a file of this time was closed behind the month.
const CLOSED_S: u64 = 1_783_036_800;

/// Three requests and garbage.
fn requests() -> String {
    let line = |number: u32| {
        format!(
            r#"{{"request_id":"r{number}","msec":"178100000{number}.000","request_time":"0.003","status":"200","bytes_sent":"7","consumer":"acme","request_method":"GET","request_uri":"/maps/x"}}"#
        )
    };
    format!("{}\n{}\n{}\ngarbage\n", line(1), line(2), line(3))
}

impl Folder {
    fn write_closed(&self, name: &str, bytes: impl AsRef<[u8]>) {
        self.write(name, bytes);
        let file = std::fs::File::options().write(true).open(self.path(name)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(CLOSED_S)).unwrap();
    }

    fn give(&self, file: &str, way: &str) -> Ran {
        let words: Vec<&str> = way.split(' ').collect();
        self.run(&[&["--json", "ingest", "--file", file, "--decoder"], &words[..]].concat())
    }

    /// Gives a file that is taken in; what of it was.
    fn take(&self, file: &str, way: &str) -> (u64, u64) {
        let printed = self.give(file, way).json();
        (printed["accepted"].as_u64().unwrap(), printed["rejected"].as_u64().unwrap())
    }

    fn bill(&self, step: &str) -> Ran {
        self.run(&[&["bill", step][..], &MONTH].concat())
    }

    /// (partner, environment, requests) as usage has them.
    fn used(&self) -> Vec<(String, String, i64)> {
        self.run(&["aggregate", "--as-of", MONTH[3]]).done();
        let text = |row: &tollbook_schemas::tables::Row, column: &str| row.text(column).unwrap_or_default().to_owned();
        let rows = self.rows(&USAGE);
        let used = rows.iter().filter(|row| row.int("event_count") != Some(0));
        used.map(|row| (text(row, "partner_id"), text(row, "environment"), row.int("event_count").unwrap())).collect()
    }
}

/// With `environment` empty the consumer's link leaves it open.
fn folder_with_partner(environment: &str) -> Folder {
    let folder = Folder::new();
    let lines: Vec<&str> = PARTNERS.lines().take(2).collect();
    folder.write("partners.csv", lines.join("\n").replace(",production,", &format!(",{environment},")));
    folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
    folder
}

#[test]
fn a_file_read_by_the_wrong_decoder_is_no_month_and_is_read_anew() {
    let folder = folder_with_partner("production");
    folder.write_closed("edge.log", requests());
    let wrong = "kong --gateway edge";
    let told = [
        "nothing of edge.log was accepted: all 4 records that --decoder kong --gateway edge finds",
        "most of them for wrong_type",
        "the time up to which the data reach was not moved",
        "give the right one and --generation 2",
    ];
    // As often as it is given.
    for _ in 0..2 {
        folder.give("edge.log", wrong).fails(2, &told);
        assert_eq!((folder.rows(&access_log::TABLE).len(), folder.rows(&rejected::TABLE).len()), (0, 4));
    }
    folder.run(&["aggregate"]).fails(4, &["how far the data reach is not known"]);
    folder.run(&["aggregate", "--as-of", MONTH[3]]);
    folder.bill("draft");
    let issued = folder.bill("issue");
    assert!(issued.code == Some(4) && !issued.printed.contains("\"issued\":1"), "{}{}", issued.printed, issued.told);

    let known =
        ["edge.log was read at 2026-07-03T00:00:00Z with --decoder kong --gateway edge (0 accepted, 4 rejected)"];
    for (way, words) in [
        ("nginx --gateway edge", "add --generation 2 to these words"),
        ("kong --gateway other", "given with --decoder kong --gateway other, and nothing was read"),
        ("cloudevents", "add --generation 2 to these words"),
        ("nginx --gateway edge --generation 3", "add --generation 2 to these words"),
    ] {
        folder.give("edge.log", way).fails(2, &[known[0], words]);
    }
    folder.give("edge.log", "nginx --gateway edge --generation 0").fails(2, &["--generation"]);
    let right = "nginx --gateway edge --environment production";
    assert_eq!(folder.take("edge.log", &format!("{right} --generation 2")), (3, 1));
    // The words of the right way, with the generation and without, under another name too.
    folder.write_closed("copy.log", requests());
    for (file, way) in [("edge.log", right), ("copy.log", right), ("edge.log", &format!("{right} --generation 2"))] {
        assert_eq!(folder.take(file, way), (0, 0), "{way}");
    }
    let known =
        ["with --decoder nginx --gateway edge --environment production --generation 2 (3 accepted, 1 rejected)"];
    for way in [wrong, "nginx --gateway edge", "nginx --gateway edge --generation 3", "cloudevents --generation 3"] {
        folder.give("edge.log", way).fails(2, &[known[0], "was accepted is not read again"]);
    }
    assert_eq!((folder.rows(&access_log::TABLE).len(), folder.rows(&rejected::TABLE).len()), (3, 5));
    assert_eq!(folder.used(), [("acme".to_owned(), "production".to_owned(), 3)]);
    folder.bill("draft").done();
    assert!(folder.bill("issue").done().printed.contains("\"issued\":1"));
}

/// By the recipes of docs/operations.md.
#[test]
fn what_was_accepted_in_the_wrong_way_is_corrected_by_records() {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let of_file = "from access_log where source like 'file:edge.log@%'";
    let amend = format!(
        "select 'amendment' as kind, 'environment/' || event_id as event_id, event_id as corrects_event_id, \
         'production' as environment, {COLUMNS} {of_file}"
    );
    let retract = format!(
        "select 'retraction' as kind, 'gateway/' || event_id as event_id, event_id as corrects_event_id, occurred_at {of_file}"
    );
    let again = format!("select event_id, environment_hint as environment, {COLUMNS} {of_file}");
    for query in [&amend, &retract, &again] {
        assert!(words(OPERATIONS).contains(query), "docs/operations.md does not have: {query}");
    }
    let acme = |environment: &str| vec![("acme".to_owned(), environment.to_owned(), 3)];
    for (name, given, before, recipes) in [
        ("no environment", "nginx --gateway edge", vec![], &[(amend.as_str(), "native --gateway edge")][..]),
        (
            "sandbox",
            "nginx --gateway edge --environment sandbox",
            acme("sandbox"),
            &[(&amend, "native --gateway edge")],
        ),
        (
            "gateway",
            "nginx --gateway egde --environment production",
            acme("production"),
            &[(&retract, "native --gateway egde"), (&again, "native --gateway edge --environment production")],
        ),
    ] {
        let folder = folder_with_partner("");
        folder.write_closed("edge.log", requests());
        assert_eq!(folder.take("edge.log", given), (3, 1), "{name}");
        let used: Vec<_> = folder.used().into_iter().filter(|(partner, ..)| !partner.is_empty()).collect();
        assert_eq!(used, before, "{name}");
        for (number, (query, way)) in recipes.iter().enumerate() {
            let file = format!("corrections-{number}.jsonl");
            folder.run(&["sql", query, "--format", "json", "--out", &file]).done();
            let made = std::fs::read(folder.path(&file)).unwrap();
            folder.write_closed(&file, made);
            assert_eq!(folder.take(&file, way), (3, 0), "{name}");
            assert_eq!(folder.take(&file, way), (0, 0), "{name}: again");
        }
        assert_eq!(folder.used(), acme("production"), "{name}");
        let counted = folder.rows(&access_log::TABLE);
        let gateway = if name == "gateway" { 3 } else { 6 };
        assert_eq!(counted.iter().filter(|row| row.text("gateway") == Some("edge")).count(), gateway, "{name}");
    }
}

#[test]
fn a_packed_file_is_refused_before_anything_is_read() {
    let folder = Folder::new();
    for (packing, begin) in [
        ("gzip", &b"\x1f\x8b\x08\x00\n"[..]),
        ("zstd", b"\x28\xb5\x2f\xfd\x04\n"),
        ("xz", b"\xfd7zXZ\0\0\x04\n"),
        ("bzip2", b"BZh91AY&SY\n"),
        ("lz4", b"\x04\x22\x4d\x18\n"),
        ("zip", b"PK\x03\x04\n"),
    ] {
        let packed = format!("edge.log.{packing}");
        folder.write(&packed, [begin, b"\x00\xff\n"].concat());
        let words = [&format!("{packed} is packed with {packing}, and nothing of it was read"), "unpack it first ("];
        folder.give(&packed, "nginx --gateway edge").fails(2, &words.map(|word| -> &str { word }));
    }
    assert_eq!(folder.rows(&rejected::TABLE).len(), 0);
    // A file too short to be anything is one of rejects, not one that is packed.
    folder.write("short.log", b"\x1f");
    folder.give("short.log", "nginx --gateway edge").fails(2, &["nothing of short.log was accepted"]);
}

#[test]
fn a_byte_order_mark_rejects_nothing() {
    let folder = Folder::new();
    folder.write("edge.log", format!("\u{feff}{}", requests().replace('\n', "\r\n")));
    assert_eq!(folder.take("edge.log", "nginx --gateway edge"), (3, 1));
    let mut lines: Vec<_> = folder
        .rows(&access_log::TABLE)
        .iter()
        .map(|row| (row.int("kafka_offset"), row.text("event_id").map(str::to_owned)))
        .collect();
    lines.sort();
    assert_eq!(lines, (0..3).map(|at| (Some(at), Some(format!("r{}", at + 1)))).collect::<Vec<_>>());
}
