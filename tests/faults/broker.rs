//! A broker that is not there, a topic that is not there, and messages that hold nothing.

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tollbook_schemas::tables::{access_log, rejected};

use crate::folder::Folder;

fn configured(brokers: &str, topic: &str) -> Folder {
    let folder = Folder::new();
    folder.configure(&format!(
        r#"[kafka]
brokers = "{brokers}"
cluster_alias = "faults"

[kafka.secrets]
"sasl.password" = {{ secret_file = "password" }}

[[topic]]
name = "{topic}"
decoder = "native"
gateway = "edge"
generation = "1"
"#
    ));
    folder.write("password", "s3cr3t-password");
    folder
}

/// The mock asks for no password.
fn plain(folder: &Folder) {
    let text = std::fs::read_to_string(folder.path("tollbook.toml")).unwrap();
    let secrets = "[kafka.secrets]\n\"sasl.password\" = { secret_file = \"password\" }\n";
    assert!(text.contains(secrets));
    folder.write("tollbook.toml", text.replace(secrets, ""));
}

#[test]
fn a_broker_that_is_not_there_is_told_in_time() {
    // A port that was free a moment ago: nobody listens.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let brokers = format!("127.0.0.1:{port}");
    let folder = configured(&brokers, "access-log");
    let begun = Instant::now();
    let told =
        folder.run(&["ingest", "--until-caught-up"]).fails(4, &[&brokers, "access-log", "check that the broker"]);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert!(!told.told.contains("s3cr3t"), "{}", told.told);
    assert!(folder.rows(&access_log::TABLE).is_empty() && folder.rows(&rejected::TABLE).is_empty());
}

#[test]
fn a_topic_that_is_not_there_is_told() {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic("access-log", 1, 1).unwrap();
    let brokers = mock.bootstrap_servers();
    let folder = configured(&brokers, "acces-log");
    plain(&folder);
    let words = [brokers.as_str(), "has no topic acces-log", "create it, or correct the name"];
    folder.run(&["ingest", "--until-caught-up"]).fails(2, &words);
}

#[test]
fn what_librdkafka_does_not_take_is_told_without_its_value() {
    let folder = configured("127.0.0.1:1", "access-log");
    let text = std::fs::read_to_string(folder.path("tollbook.toml")).unwrap();
    folder.write("tollbook.toml", text.replace("sasl.password", "sasl.pasword"));
    let told =
        folder.run(&["ingest", "--until-caught-up"]).fails(2, &["\"sasl.pasword\"", "correct it in tollbook.toml"]);
    assert!(!told.told.contains("s3cr3t"), "{}", told.told);
    std::fs::remove_file(folder.path("password")).unwrap();
    folder.run(&["ingest", "--until-caught-up"]).fails(2, &["[kafka.secrets]", "password", "write it there"]);
}

#[test]
fn null_and_empty_messages_are_rejected_and_counted() {
    const GOOD: &str = r#"{"event_id":"e","occurred_at":"2026-06-01T00:00:00Z"}"#;
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic("access-log", 1, 1).unwrap();
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", mock.bootstrap_servers()).create().unwrap();
    let deep = "[".repeat(200_000);
    for payload in [None, Some(""), Some(" "), Some(GOOD), Some(deep.as_str()), Some("garbage"), Some(GOOD)] {
        let record: BaseRecord<'_, str, str> = BaseRecord::to("access-log").partition(0);
        let record = match payload {
            Some(payload) => record.payload(payload),
            None => record.key("a key and no value"),
        };
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(Duration::from_secs(10)).unwrap();
    }
    let folder = configured(&mock.bootstrap_servers(), "access-log");
    plain(&folder);
    let ran = folder.run(&["--json", "ingest", "--until-caught-up"]).json();
    assert_eq!((ran["accepted"].as_u64(), ran["rejected"].as_u64(), ran["lag"].as_u64()), (Some(2), Some(5), Some(0)));
    let mut found: Vec<_> = folder
        .rows(&rejected::TABLE)
        .iter()
        .map(|row| (row.int("kafka_offset").unwrap(), row.text("reason").unwrap().to_owned()))
        .collect();
    found.sort();
    let reasons: Vec<&str> = found.iter().map(|(_, reason)| reason.as_str()).collect();
    assert_eq!(reasons, ["null_message", "empty_message", "invalid_json", "too_deep", "invalid_json"]);
    let rows = |folder: &Folder| (folder.rows(&access_log::TABLE), folder.rows(&rejected::TABLE));
    let before = rows(&folder);
    let again = folder.run(&["--json", "ingest", "--until-caught-up"]).json();
    assert_eq!((again["accepted"].as_u64(), again["rejected"].as_u64()), (Some(0), Some(0)));
    assert_eq!(rows(&folder), before);
}
