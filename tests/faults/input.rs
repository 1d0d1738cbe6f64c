//! Records that cannot be read, by each decoder: each is one row of `rejected`, and stops nothing.

use std::collections::BTreeMap;

use tollbook_schemas::tables::{Row, access_log, partner_event, rejected};

use crate::folder::Folder;

/// Name, line of the file, and the reason of its rejection; `ok` where it is accepted.
type Line = (&'static str, Vec<u8>, &'static str);

fn native(fields: &str) -> Vec<u8> {
    format!(r#"{{"event_id":"e","occurred_at":"2026-06-01T00:00:00Z"{fields}}}"#).into_bytes()
}

fn nginx(fields: &str) -> Vec<u8> {
    format!(r#"{{"request_id":"r","msec":"1780272000.123","request_time":"0.003"{fields}}}"#).into_bytes()
}

fn kong(fields: &str) -> Vec<u8> {
    format!(r#"{{"started_at":1780272000123,"request":{{"id":"k"}}{fields}}}"#).into_bytes()
}

fn event(fields: &str) -> Vec<u8> {
    format!(
        r#"{{"specversion":"1.0","id":"1","source":"/portal","type":"com.x.partner.registered.v1","subject":"partner/acme"{fields}}}"#
    )
    .into_bytes()
}

fn nested(open: &str, levels: usize, close: &str) -> String {
    format!("{}1{}", open.repeat(levels), close.repeat(levels))
}

/// What is no record in any format.
fn no_records() -> Vec<Line> {
    vec![
        ("broken JSON", b"{\"event_id\":\"x\",".to_vec(), "invalid_json"),
        ("plain text", b"GET /maps/ 200".to_vec(), "invalid_json"),
        ("two objects", b"{}{}".to_vec(), "invalid_json"),
        ("bytes that are no UTF-8", b"\xff\xfe{}".to_vec(), "invalid_utf8"),
        ("a byte that is no UTF-8 in an id", b"{\"event_id\":\"\xff\",\"id\":\"\xff\"}".to_vec(), "invalid_utf8"),
        ("NUL", b"\0".to_vec(), "invalid_json"),
        ("an empty line", b"".to_vec(), "blank"),
        ("a blank line", b" \t ".to_vec(), "blank"),
        ("a line of 5 MiB", [b"{\"a\":\"", vec![b'x'; 5 << 20].as_slice(), b"\"}"].concat(), "line_too_long"),
        ("a line of 5 MiB without a bracket", vec![b' '; 5 << 20], "line_too_long"),
    ]
}

fn access_lines() -> Vec<Line> {
    let mut lines = no_records();
    lines.extend([
        ("null", b"null".to_vec(), "wrong_type"),
        ("a number", b"3".to_vec(), "wrong_type"),
        ("a text", b"\"x\"".to_vec(), "wrong_type"),
        ("an empty array", b"[]".to_vec(), "empty_message"),
        ("a broken array", b"[{},{\"a\":}]".to_vec(), "invalid_json"),
        ("an array a million deep", nested("[", 1_000_000, "]").into_bytes(), "too_deep"),
        ("an object 100,000 deep", nested("{\"a\":", 100_000, "}").into_bytes(), "too_deep"),
        ("a million brackets that nothing closes", vec![b'['; 1_000_000], "too_deep"),
        ("an element 100,000 deep", format!("[{}]", nested("{\"a\":", 100_000, "}")).into_bytes(), "too_deep"),
    ]);
    lines
}

fn native_lines() -> Vec<Line> {
    let at = |instant: &str| format!(r#"{{"event_id":"e","occurred_at":{instant}}}"#).into_bytes();
    let mut lines = access_lines();
    lines.extend([
        ("good", native(r#","response_bytes":7"#), "ok"),
        ("id missing", br#"{"occurred_at":"2026-06-01T00:00:00Z"}"#.to_vec(), "event_id"),
        ("id empty", br#"{"event_id":"","occurred_at":"2026-06-01T00:00:00Z"}"#.to_vec(), "event_id"),
        ("id a number", br#"{"event_id":7,"occurred_at":"2026-06-01T00:00:00Z"}"#.to_vec(), "wrong_type"),
        ("in 1969", at("\"1969-12-31T23:59:59Z\""), "occurred_at"),
        ("in 3000", at("\"3000-01-01T00:00:00Z\""), "occurred_at"),
        ("a day that is not", at("\"2026-06-31T00:00:00Z\""), "occurred_at"),
        ("time a number", at("1780272000"), "wrong_type"),
        ("negative count", native(r#","latency_us":-1"#), "negative_count"),
        ("1e400", native(r#","response_bytes":1e400"#), "invalid_json"),
        ("2^64", native(r#","response_bytes":18446744073709551616"#), "wrong_type"),
        ("2^63", native(r#","response_bytes":9223372036854775808"#), "wrong_type"),
        ("the largest count", native(r#","response_bytes":9223372036854775807"#), "ok"),
        ("40 digits", native(&format!(",\"response_bytes\":{}", "9".repeat(40))), "wrong_type"),
        ("1e400 as an attribute keeps its digits", native(r#","attributes":{"n":1e400}"#), "ok"),
        ("1e400 where nobody looks", native(r#","unknown":1e400"#), "ok"),
        ("the id twice", native(r#","event_id":"other""#), "wrong_type"),
        ("an unknown key twice", native(r#","zz":1,"zz":2"#), "ok"),
        ("half a surrogate", native(r#","path":"\ud800""#), "invalid_json"),
        ("unknown fields 100 deep", native(&format!(",\"zz\":{}", nested("[", 100, "]"))), "ok"),
        ("unknown fields 10,000 deep", native(&format!(",\"zz\":{}", nested("[", 10_000, "]"))), "too_deep"),
        ("a status 10,000 deep", native(&format!(",\"status\":{}", nested("[", 10_000, "]"))), "too_deep"),
    ]);
    lines
}

fn nginx_lines() -> Vec<Line> {
    let at = |msec: &str| format!(r#"{{"request_id":"r","msec":"{msec}","request_time":"0.001"}}"#).into_bytes();
    let mut lines = access_lines();
    lines.extend([
        ("good", nginx(r#","status":"200""#), "ok"),
        ("id missing", br#"{"msec":"1780272000.123","request_time":"0.003"}"#.to_vec(), "event_id"),
        ("id not logged", br#"{"request_id":"-","msec":"1780272000.123","request_time":"0.003"}"#.to_vec(), "event_id"),
        ("numbers without quotes", nginx(r#","status":200"#), "wrong_type"),
        ("in 1969", at("-1.000"), "wrong_number"),
        ("in 1970", at("0.001"), "occurred_at"),
        ("in 3000", at("32503680000.000"), "occurred_at"),
        ("time missing", br#"{"request_id":"r","request_time":"0.003"}"#.to_vec(), "occurred_at"),
        ("negative count", nginx(r#","bytes_sent":"-1""#), "wrong_number"),
        ("1e400", nginx(r#","bytes_sent":"1e400""#), "wrong_number"),
        ("2^64", nginx(r#","bytes_sent":"18446744073709551616""#), "wrong_number"),
        ("40 digits", nginx(&format!(",\"bytes_sent\":\"{}\"", "9".repeat(40))), "wrong_number"),
        ("a time of 40 digits", at(&"9".repeat(40)), "wrong_number"),
        ("the id twice", nginx(r#","request_id":"other""#), "wrong_type"),
        ("a status 10,000 deep", nginx(&format!(",\"status\":{}", nested("[", 10_000, "]"))), "too_deep"),
    ]);
    // What a client writes must not take its requests off the bill.
    let garbled =
        nginx(",\"request_uri\":\"/?\"").iter().map(|byte| if *byte == b'?' { 0xff } else { *byte }).collect();
    lines.push(("a path that is no UTF-8 is billed", garbled, "ok"));
    lines
}

fn kong_lines() -> Vec<Line> {
    let at = |ms: &str| format!(r#"{{"started_at":{ms},"request":{{"id":"k"}}}}"#).into_bytes();
    let mut lines = access_lines();
    lines.extend([
        ("good", kong(r#","response":{"status":200,"size":"7"}"#), "ok"),
        ("no request", br#"{"started_at":1780272000123}"#.to_vec(), "request"),
        ("id missing", br#"{"started_at":1780272000123,"request":{}}"#.to_vec(), "event_id"),
        ("request a text", br#"{"started_at":1780272000123,"request":"x"}"#.to_vec(), "wrong_type"),
        ("in 1969", at("-1000"), "wrong_number"),
        ("in 1970", at("1"), "occurred_at"),
        ("in 3000", at("32503680000000"), "occurred_at"),
        ("time a list", at("[1]"), "wrong_type"),
        ("time missing", br#"{"request":{"id":"k"}}"#.to_vec(), "occurred_at"),
        ("negative count", kong(r#","response":{"size":-1}"#), "wrong_number"),
        ("1e400", kong(r#","response":{"size":1e400}"#), "wrong_number"),
        ("2^64", kong(r#","response":{"size":18446744073709551616}"#), "wrong_number"),
        ("40 digits", kong(&format!(",\"response\":{{\"size\":{}}}", "9".repeat(40))), "wrong_number"),
        ("a status that is none", kong(r#","response":{"status":99}"#), "status"),
        ("the request twice", kong(r#","request":{"id":"other"}"#), "wrong_type"),
        ("headers 10,000 deep", kong(&format!(",\"headers\":{}", nested("[", 10_000, "]"))), "too_deep"),
    ]);
    lines
}

fn event_lines() -> Vec<Line> {
    let at = |instant: &str| event(&format!(r#","time":"{instant}""#));
    let good = |fields: &str| event(&format!(r#","time":"2026-06-01T00:00:00Z"{fields}"#));
    let mut lines = no_records();
    lines.extend([
        ("good", good(""), "ok"),
        ("null", b"null".to_vec(), "event_not_an_object"),
        ("a number", b"3".to_vec(), "event_not_an_object"),
        ("an array", b"[{}]".to_vec(), "event_not_an_object"),
        ("an array a million deep", nested("[", 1_000_000, "]").into_bytes(), "invalid_json"),
        ("data 100,000 deep", good(&format!(",\"data\":{}", nested("{\"a\":", 100_000, "}"))), "invalid_json"),
        ("data a list", good(r#","data":[]"#), "event_not_an_object"),
        (
            "id missing",
            br#"{"specversion":"1.0","source":"/p","type":"x","time":"2026-06-01T00:00:00Z"}"#.to_vec(),
            "event_attribute",
        ),
        (
            "id a number",
            br#"{"specversion":"1.0","id":7,"source":"/p","type":"x","time":"2026-06-01T00:00:00Z"}"#.to_vec(),
            "event_attribute",
        ),
        (
            "another version",
            br#"{"specversion":"0.3","id":"7","source":"/p","type":"x","time":"2026-06-01T00:00:00Z"}"#.to_vec(),
            "event_attribute",
        ),
        ("in 1969", at("1969-12-31T23:59:59Z"), "event_time"),
        ("in 3000", at("3000-01-01T00:00:00Z"), "event_time"),
        ("no time", event(""), "event_attribute"),
        ("1e400", good(r#","data":{"n":1e400}"#), "invalid_json"),
        ("contact data", good(r#","data":{"email":"a@b.example"}"#), "event_contact_data"),
        // JSON leaves open which one counts; here the last does.
        ("an attribute twice", good(r#","id":"2""#), "ok"),
    ]);
    lines
}

/// (line, index) to reason; accepted records have `ok`.
fn outcomes(folder: &Folder, accepted: Vec<Row>) -> BTreeMap<(i64, i64), String> {
    let place = |row: &Row| (row.int("kafka_offset").unwrap(), row.int("record_index").unwrap());
    let mut found = BTreeMap::new();
    for row in accepted {
        assert_eq!(found.insert(place(&row), "ok".to_owned()), None, "doubled: {row:?}");
    }
    for row in folder.rows(&rejected::TABLE) {
        let detail = row.text("detail").unwrap();
        assert!(!detail.is_empty(), "{row:?}");
        let reason = row.text("reason").unwrap().to_owned();
        assert_eq!(found.insert(place(&row), reason), None, "doubled: {row:?}");
        assert!(row.bytes("payload").unwrap().len() <= 2048);
    }
    found
}

#[test]
fn bad_records_are_rejected_with_their_reason_and_stop_nothing() {
    for (decoder, lines) in
        [("native", native_lines()), ("nginx", nginx_lines()), ("kong", kong_lines()), ("cloudevents", event_lines())]
    {
        let folder = Folder::new();
        let mut file = Vec::new();
        for (_, line, _) in &lines {
            file.extend_from_slice(line);
            file.push(b'\n');
        }
        folder.write("given.log", file);
        let count = |wanted: fn(&str) -> bool| lines.iter().filter(|(.., reason)| wanted(reason)).count();
        let accepted = u64::try_from(count(|reason| reason == "ok")).unwrap();
        let refused = u64::try_from(count(|reason| !["ok", "blank"].contains(&reason))).unwrap();
        let told = folder.ingest("given.log", decoder);
        let table = if decoder == "cloudevents" { &partner_event::TABLE } else { &access_log::TABLE };
        let found = outcomes(&folder, folder.rows(table));
        let mut wrong = Vec::new();
        for (number, (name, _, reason)) in (0_i64..).zip(&lines) {
            let found = found.get(&(number, 0)).map_or("blank", String::as_str);
            if found != *reason {
                wrong.push(format!("{name}: {found}, not {reason}"));
            }
        }
        assert!(wrong.is_empty(), "{decoder}:\n{}", wrong.join("\n"));
        assert_eq!(told, (accepted, refused), "{decoder}");
        assert_eq!(found.len(), usize::try_from(accepted + refused).unwrap(), "{decoder}");
        let before = folder.all_rows();
        assert_eq!(folder.ingest("given.log", decoder), (0, 0), "{decoder}: again");
        assert_eq!(folder.all_rows(), before, "{decoder}: the same file adds nothing");
    }
}

/// Of an array each bad element is a row with its own bytes, and the others are accepted.
#[test]
fn a_bad_element_of_an_array_rejects_itself_alone() {
    for (decoder, good, bad) in [
        ("native", native(r#","path":"/good""#), r#"{"event_id":"","credential":"s3cr3t"}"#),
        ("nginx", nginx(r#","request_uri":"/good""#), r#"{"request_id":"","credential":"s3cr3t"}"#),
        ("kong", kong(r#","client_ip":"192.0.2.1""#), r#"{"request":{},"credential":"s3cr3t"}"#),
    ] {
        let folder = Folder::new();
        let good = String::from_utf8(good).unwrap();
        folder.write("given.log", format!("[{good},{bad},{good},3]"));
        assert_eq!(folder.ingest("given.log", decoder), (2, 2), "{decoder}");
        let found = outcomes(&folder, folder.rows(&access_log::TABLE));
        let reasons: Vec<&str> = found.values().map(String::as_str).collect();
        assert_eq!(reasons, ["ok", "event_id", "ok", "wrong_type"], "{decoder}");
        let mut rows = folder.rows(&rejected::TABLE);
        rows.sort_by_key(|row| row.int("record_index"));
        let stored: Vec<_> = rows.iter().map(|row| String::from_utf8_lossy(row.bytes("payload").unwrap())).collect();
        assert_eq!(stored, [bad.replace("s3cr3t", "***"), "3".to_owned()], "{decoder}: own bytes, scrubbed");
        assert_eq!(rows[0].text("payload_sha256"), rows[1].text("payload_sha256"), "{decoder}: one message");
        assert_eq!(folder.ingest("given.log", decoder), (0, 0), "{decoder}: again");
    }
}

#[test]
fn a_wrong_command_is_told_as_such() {
    let folder = Folder::new();
    folder.write("good.log", native(""));
    let file = ["ingest", "--file", "good.log"];
    for (name, arguments, words) in [
        ("unknown decoder", &["--decoder", "nonsense", "--gateway", "edge"][..], &["\"nonsense\"", "use native"][..]),
        ("no decoder", &[], &["--decoder"]),
        ("no gateway", &["--decoder", "native"], &["--gateway is missing"]),
        (
            "environment",
            &["--decoder", "native", "--gateway", "e", "--environment", "prod"],
            &["\"prod\"", "production"],
        ),
    ] {
        let told = folder.run(&[&file, arguments].concat()).fails(2, words);
        assert_eq!(told.printed, "", "{name}");
    }
    for (name, arguments, words) in [
        (
            "no such file",
            &["ingest", "--file", "gone.log", "--decoder", "cloudevents"][..],
            &["gone.log", "check the path"][..],
        ),
        ("a folder", &["ingest", "--file", "catalog", "--decoder", "cloudevents"], &["catalog is no file", "give one"]),
        ("no topic", &["ingest", "--until-caught-up"], &["no [[topic]]", "add one, or give --file"]),
        (
            "no Stripe",
            &["bill", "push", "--period", "2026-06", "--as-of", "2026-07-03T00:00:00Z"],
            &["[stripe] is missing", "add it with"],
        ),
        (
            "month",
            &["bill", "draft", "--period", "2026-13", "--as-of", "2026-07-03T00:00:00Z"],
            &["2026-13", "--period takes a month"],
        ),
        ("instant", &["bill", "draft", "--as-of", "yesterday"], &["\"yesterday\"", "RFC 3339 instant such as"]),
    ] {
        let told = folder.run(arguments).fails(2, words);
        assert_eq!(told.printed, "", "{name}");
    }
    folder.write("tollbook.toml", "[lake]\nroot = \"lake\"\ncolour = 1\n");
    folder.run(&["check"]).fails(2, &["tollbook.toml", "--> tollbook.toml:3:1", "unknown field `colour`"]);
    std::fs::remove_file(folder.path("tollbook.toml")).unwrap();
    folder.run(&["check"]).fails(2, &["tollbook.toml cannot be read", "tollbook init"]);
}
