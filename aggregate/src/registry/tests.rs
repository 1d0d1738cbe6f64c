use tollbook_schemas::catalog::CatalogFile;
use tollbook_schemas::period::{parse_instant, print_instant};
use tollbook_schemas::tables::access_log;
use tollbook_schemas::tables::derived::{IDENTITY_LINK, SUBSCRIPTION, USAGE};

use super::*;
use crate::refresh_usage;

const CATALOG: &str = r#"
[[issuer]]
id = "berlin"
legal_name = "Berlin APIs GmbH"
address = ["Street 1"]
number_prefix = "B-"
time_zone = "UTC"
payment_terms_days = 14

[[meter]]
id = "calls"
name = "Calls"
unit = "call"
aggregation = "count"
"#;

fn at(time: &str) -> DateTime<Utc> {
    parse_instant(&format!("2026-06-10T{time}:00Z")).unwrap()
}

fn place(row: Row, source: &str, offset: usize) -> Row {
    row.with("source", source)
        .with("kafka_partition", 0_i32)
        .with("kafka_offset", i64::try_from(offset).unwrap())
        .with("record_index", 0_i32)
        .with("received_at", at("12:00"))
}

/// A lake with events `time partner type key=value…` and a request of consumer `gw`, credential `k1:x`, at each time.
async fn lake_of(events: &str, requests: &str) -> (tempfile::TempDir, Lake) {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
    let event = |(offset, line): (usize, &str)| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let pairs = words[3..].iter().map(|pair| pair.split_once('=').unwrap());
        let data = pairs.map(|(key, value)| match key {
            "credential_hashes" => (key.to_owned(), [value].as_slice().into()),
            _ => (key.to_owned(), value.into()),
        });
        let attribute = |name: &str| {
            Some(match name {
                "specversion" => "1.0".to_owned(),
                "type" => format!("com.test.partner.{}.v1", words[2]),
                "source" => "/test".to_owned(),
                "id" => offset.to_string(),
                "time" => print_instant(at(words[0])),
                "subject" => format!("partner/{}", words[1]),
                _ => return None,
            })
        };
        place(LifecycleEvent::from_attributes(attribute, data.collect()).unwrap().row(), "portal", offset)
    };
    let rows: Vec<Row> = events.lines().map(str::trim).enumerate().map(event).collect();
    let read = |source: &str, count: usize| TxnStep {
        app_id: Source::parse(source).unwrap().app_id(0),
        expected: None,
        next: i64::try_from(count).unwrap(),
    };
    lake.append(&PARTNER_EVENT, &rows, &[read("portal", rows.len())]).await.unwrap();
    let request = |(offset, time): (usize, &str)| {
        let row = Row::new()
            .with("kind", "request")
            .with("occurred_at", at(time))
            .with("gateway", "edge")
            .with("event_id", format!("r{offset}"))
            .with("consumer", "gw")
            .with("credential_key_id", "k1")
            .with("credential_hash", "x")
            .with("environment_default", "production")
            .with("id_basis", "gateway")
            .with("bytes_basis", "absent")
            .with("time_basis", "start")
            .with("event_date", at(time).date_naive());
        place(row, "web", offset)
    };
    let rows: Vec<Row> = requests.split_whitespace().enumerate().map(request).collect();
    lake.append(&access_log::TABLE, &rows, &[read("web", rows.len())]).await.unwrap();
    (folder, lake)
}

/// One row: how a link of acme begins, ends, and begins for bolt inside one hour. Consumers and credentials end alike:
/// the instant of the end is not the partner's any more.
#[tokio::test]
async fn a_link_ends_inside_an_hour_and_each_request_is_of_its_own_time() {
    let catalog = Catalog::parse(&[CatalogFile { path: "catalog.toml".into(), text: CATALOG.into() }]).unwrap();
    for (system, external_id, begin, end) in [
        (
            "consumer",
            "gw",
            "identity.linked system=gateway external_id=gw",
            "identity.unlinked system=gateway external_id=gw",
        ),
        ("credential", "k1:x", "credential.issued credential_hashes=k1:x", "credential.revoked credential_hashes=k1:x"),
    ] {
        let events = format!(
            "08:00 acme {begin}
             08:00 acme subscription.started subscription_id=s1 plan_id=pro
             08:30 acme subscription.changed subscription_id=s1 plan_id=max
             09:20 acme {end}
             09:40 bolt {begin}"
        );
        let (_folder, lake) = lake_of(&events, "08:10 08:40 09:19 09:20 09:39 09:40 09:59 10:00").await;
        let pin = lake.pin(&PARTNER_EVENT).await.unwrap();
        let registry = read_registry(&lake, &pin, None).await.unwrap();
        assert_eq!(registry.findings, [], "{system}");
        refresh_registry(&lake, &registry, &catalog).await.unwrap();
        refresh_usage(&lake, &registry, &pin, &catalog, None).await.unwrap();

        let told = |row: &Row, columns: [&str; 4]| {
            columns
                .map(|column| match row.instant(column) {
                    Some(instant) => instant.format("%H:%M").to_string(),
                    None => row.text(column).unwrap_or("-").to_owned(),
                })
                .join(" ")
        };
        let mut links: Vec<String> = lake
            .rows(&IDENTITY_LINK, None)
            .await
            .unwrap()
            .iter()
            .map(|row| {
                assert_eq!((row.text("system"), row.text("external_id")), (Some(system), Some(external_id)));
                told(row, ["partner_id", "environment", "valid_from", "valid_to"])
            })
            .collect();
        links.sort();
        assert_eq!(links, ["acme - 08:00 09:20", "bolt - 09:40 -"], "{system}");

        let mut spans: Vec<String> = lake
            .rows(&SUBSCRIPTION, None)
            .await
            .unwrap()
            .iter()
            .map(|row| told(row, ["partner_id", "plan_id", "started_at", "ended_at"]))
            .collect();
        spans.sort();
        assert_eq!(spans, ["acme max 08:30 -", "acme pro 08:00 08:30"], "{system}");

        let mut usage: Vec<String> = lake
            .rows(&USAGE, None)
            .await
            .unwrap()
            .iter()
            .map(|row| {
                format!(
                    "{} {}",
                    told(row, ["slice_start", "slice_end", "partner_id", "unattributed_reason"]),
                    row.int("event_count").unwrap()
                )
            })
            .collect();
        usage.sort();
        assert_eq!(
            usage,
            [
                // Cut where the plan changes.
                "08:00 08:30 acme - 1",
                "08:30 09:00 acme - 1",
                "09:00 10:00 - unknown_consumer 2",
                "09:00 10:00 acme - 1",
                "09:00 10:00 bolt - 2",
                "10:00 11:00 bolt - 1",
            ],
            "{system}"
        );
    }
}

/// Usage is cut where a partner leaves, whatever ends its subscription; what it still calls is its own, behind the cut.
#[tokio::test]
async fn a_partner_that_leaves_inside_an_hour_cuts_it() {
    let catalog = Catalog::parse(&[CatalogFile { path: "catalog.toml".into(), text: CATALOG.into() }]).unwrap();
    for (rows, gone, ended, usage_of_the_hour) in [
        ("09:20 acme offboarded", "09:20", "09:20", ["09:00 09:20 1", "09:20 10:00 2"]),
        (
            "08:00 acme offboarded effective_at=2026-06-10T09:20:00Z",
            "09:20",
            "09:20",
            ["09:00 09:20 1", "09:20 10:00 2"],
        ),
        // Reactivation starts nothing again.
        ("09:20 acme offboarded\n 09:40 acme reactivated", "-", "09:20", ["09:00 09:20 1", "09:20 10:00 2"]),
        (
            "09:20 acme offboarded\n 09:45 acme subscription.cancelled subscription_id=s1",
            "09:20",
            "09:20",
            ["09:00 09:20 1", "09:20 10:00 2"],
        ),
        ("09:35 acme offboarded", "09:35", "09:35", ["09:00 09:35 2", "09:35 10:00 1"]),
    ] {
        let events = format!(
            "08:00 acme identity.linked system=gateway external_id=gw
             08:00 acme subscription.started subscription_id=s1 plan_id=pro
             {rows}"
        );
        let (_folder, lake) = lake_of(&events, "09:10 09:30 09:50").await;
        let pin = lake.pin(&PARTNER_EVENT).await.unwrap();
        let registry = read_registry(&lake, &pin, None).await.unwrap();
        assert_eq!(registry.findings, [], "{rows}");
        refresh_registry(&lake, &registry, &catalog).await.unwrap();
        refresh_usage(&lake, &registry, &pin, &catalog, None).await.unwrap();
        let told = |row: &Row, column: &str| {
            row.instant(column).map_or("-".to_owned(), |instant| instant.format("%H:%M").to_string())
        };
        let partners = lake.rows(&derived::PARTNER, None).await.unwrap();
        let subscriptions = lake.rows(&SUBSCRIPTION, None).await.unwrap();
        assert_eq!((partners.len(), subscriptions.len()), (1, 1), "{rows}");
        assert_eq!(told(&partners[0], "offboarded_at"), gone, "{rows}");
        assert_eq!(told(&subscriptions[0], "ended_at"), ended, "{rows}");
        let stored = lake.rows(&USAGE, None).await.unwrap();
        let line = |row: &Row| {
            assert_eq!(row.text("partner_id"), Some("acme"));
            format!("{} {} {}", told(row, "slice_start"), told(row, "slice_end"), row.int("event_count").unwrap())
        };
        let mut usage: Vec<String> = stored.iter().map(line).collect();
        usage.sort();
        assert_eq!(usage, usage_of_the_hour, "{rows}");
    }
}
