//! I2 and I3: usage equals a naive fold over the raw rows, and a refresh in any pieces equals one refresh of all.
//!
//! Histories are random, from a seed: requests that come again in the same and in other hours, with the same and with
//! other content, corrections that come early, late and twice, consumers that are linked late, relinked and unlinked,
//! subscriptions that start inside an hour in zones of half and quarter hours. The fold below is the second opinion:
//! it walks all rows, for each meter, with no index, no hours and no SQL.

use chrono::TimeDelta;
use chrono_tz::Tz;
use tollbook_schemas::catalog::CatalogFile;
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::{MeterId, PartnerId, PlanId, SubscriptionId};
use tollbook_schemas::lifecycle::LifecycleEvent;
use tollbook_schemas::meter::{MeterState, Observation};
use tollbook_schemas::period::{parse_instant, print_instant};
use tollbook_schemas::registry::{Course, IdentityLink, LinkSystem, Subscription};
use tollbook_schemas::source::Source;
use tollbook_schemas::tables::Value;

use super::*;
use crate::touched::hour_of;

/// Every aggregation; one meter with rules.
const METERS: &[(&str, &str)] = &[
    ("calls", "aggregation = \"count\"\nfilter = \"status between 200 and 299\""),
    ("bytes", "aggregation = \"sum\"\nvalue = \"response_bytes\"\nproduct = \"maps\""),
    ("each", "aggregation = \"sum_by_event\"\nvalue = \"response_bytes\""),
    ("users", "aggregation = \"unique\"\nvalue = \"attributes['user']\""),
    ("least", "aggregation = \"min\"\nvalue = \"response_bytes\""),
    ("most", "aggregation = \"max\"\nvalue = \"response_bytes\""),
    ("mean", "aggregation = \"avg\"\nvalue = \"response_bytes\""),
    ("last", "aggregation = \"latest\"\nvalue = \"response_bytes\""),
    ("held", "aggregation = \"time_weighted\"\nvalue = \"response_bytes\""),
    ("p90", "aggregation = \"percentile\"\npercentile = \"90\"\nvalue = \"response_bytes\""),
    ("good", "preset = \"billable_success\""),
];

fn catalog() -> Catalog {
    let mut text = "[[product]]\nid = \"maps\"\nname = \"Maps\"\nroutes = [\"/maps/\"]\n".to_owned();
    for (id, keys) in METERS {
        text += &format!("[[meter]]\nid = {id:?}\nname = \"M\"\nunit = \"u\"\n{keys}\n");
    }
    Catalog::parse(&[CatalogFile { path: "c.toml".into(), text }]).unwrap()
}

fn midnight() -> DateTime<Utc> {
    parse_instant("2026-03-28T00:00:00Z").unwrap()
}

/// A generator of small numbers: the same seed gives the same history on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % end
    }
}

/// One row of `access_log`, as far as it matters here.
#[derive(Debug, Clone)]
struct Record {
    partition: i32,
    offset: i64,
    kind: &'static str,
    corrects: Option<String>,
    event_id: String,
    occurred_at: DateTime<Utc>,
    received_at: DateTime<Utc>,
    consumer: &'static str,
    path: &'static str,
    status: i32,
    bytes: i64,
    user: String,
    tag: Option<&'static str>,
    retried: Option<&'static str>,
}

impl Record {
    fn row(&self) -> Row {
        Row::new()
            .with("source", source().as_str())
            .with("kafka_partition", self.partition)
            .with("kafka_offset", self.offset)
            .with("record_index", 0_i32)
            .with("kind", self.kind)
            .with("corrects_event_id", self.corrects.clone())
            .with("occurred_at", self.occurred_at)
            .with("received_at", self.received_at)
            .with("gateway", "gw")
            .with("event_id", self.event_id.as_str())
            .with("path", self.path)
            .with("status", self.status)
            .with("response_bytes", self.bytes)
            .with("consumer", self.consumer)
            .with("environment_default", "production")
            .with("id_basis", "gateway")
            .with("bytes_basis", "body")
            .with("time_basis", "start")
            .with("client_tag", self.tag)
            .with("idempotency_key_hash", self.retried)
            .with("attributes", BTreeMap::from([("user".to_owned(), self.user.clone())]))
            .with("event_date", self.occurred_at.date_naive())
    }

    fn request_id(&self) -> &str {
        if self.kind == "request" { &self.event_id } else { self.corrects.as_deref().unwrap() }
    }
}

fn source() -> Source {
    Source::kafka("test", "web", "1").unwrap()
}

/// Three days around a change of clocks.
fn history(dice: &mut Dice, length: i64) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    let mut offsets = [0_i64; 3];
    for at in 0..length {
        let partition = usize::try_from(dice.below(3)).unwrap();
        let offset = offsets[partition];
        // Offsets have gaps, as control records make them.
        offsets[partition] += 1 + i64::from(dice.below(20) == 0);
        let mut record = Record {
            partition: i32::try_from(partition).unwrap(),
            offset,
            kind: "request",
            corrects: None,
            event_id: format!("e{at}"),
            occurred_at: midnight() + TimeDelta::seconds(dice.below(3 * 86_400)),
            received_at: midnight() + TimeDelta::seconds(at),
            consumer: ["shop", "bank", "nobody"][usize::try_from(dice.below(3)).unwrap()],
            path: ["/maps/1", "/other"][usize::try_from(dice.below(2)).unwrap()],
            status: [200, 200, 204, 404][usize::try_from(dice.below(4)).unwrap()],
            bytes: dice.below(1_000),
            user: format!("u{}", dice.below(5)),
            tag: [None, None, Some("try_it"), Some("health_check")][usize::try_from(dice.below(4)).unwrap()],
            retried: [None, Some("k1"), Some("k2")][usize::try_from(dice.below(3)).unwrap()],
        };
        let earlier = (!records.is_empty())
            .then(|| records[usize::try_from(dice.below(i64::try_from(records.len()).unwrap())).unwrap()].clone());
        match (dice.below(12), earlier) {
            // Delivered again as it was.
            (0 | 1, Some(earlier)) => {
                record = Record { partition: record.partition, offset, received_at: record.received_at, ..earlier };
            }
            // The same id with another content, in the same or another hour.
            (2, Some(earlier)) if earlier.kind == "request" => record.event_id = earlier.event_id,
            (3, Some(earlier)) if earlier.kind == "request" => {
                record.event_id = earlier.event_id;
                record.occurred_at = earlier.occurred_at;
            }
            (4, Some(earlier)) => {
                record.kind = "retraction";
                record.corrects = Some(earlier.request_id().to_owned());
                record.event_id = format!("c{at}");
            }
            // Of an earlier one, of one that may come, and of one that never does.
            (5, _) => {
                record.kind = "amendment";
                record.corrects = Some(format!("e{}", dice.below(length + 5)));
                record.event_id = format!("c{at}");
            }
            _ => {}
        }
        records.push(record);
    }
    records
}

/// Who is who after a step of the history.
fn registry(step: i64, dice: &mut Dice) -> Registry {
    let mut registry = Registry::default();
    let partner = |name: &str| PartnerId::parse(name).unwrap();
    let later = |dice: &mut Dice| midnight() + TimeDelta::seconds(dice.below(3 * 86_400));
    let mut link = |consumer: &str, owner: Option<&str>, from, to| {
        registry.links.push(IdentityLink {
            system: LinkSystem::Consumer,
            external_id: consumer.to_owned(),
            partner_id: owner.map(partner),
            environment: None,
            valid_from: from,
            valid_to: to,
        });
    };
    link("shop", Some("acme"), midnight(), None);
    if step > 0 {
        let changes = later(dice);
        link("bank", Some("zeta"), midnight(), Some(changes));
        link("bank", [Some("acme"), None][usize::try_from(dice.below(2)).unwrap()], changes, None);
    }
    for (name, zone) in
        [("acme", Tz::Asia__Kathmandu), ("zeta", Tz::Europe__Berlin)].into_iter().take(1 + usize::from(step > 0))
    {
        let started_at = later(dice);
        let subscription = Subscription {
            subscription_id: SubscriptionId::parse(format!("s-{name}")).unwrap(),
            partner_id: partner(name),
            plan_id: PlanId::parse("pro").unwrap(),
            time_zone: Some(zone),
            started_at,
            ended_at: (dice.below(2) == 0).then(|| started_at + TimeDelta::seconds(dice.below(90_000))),
            course: Course::default(),
        };
        registry.subscriptions.insert((subscription.subscription_id.clone(), started_at), subscription);
    }
    registry
}

/// (meter, partner, product, hour) → (requests, state, left out by rules): what usage must say when its slices are
/// folded.
type Folded = BTreeMap<(String, Option<String>, String, DateTime<Utc>), (i64, String, i64)>;

/// The second opinion.
fn naive(records: &[Record], registry: &Registry) -> Folded {
    let mut by_id: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for record in records {
        by_id.entry(record.request_id()).or_default().push(record);
    }
    let mut counted: Vec<&Record> = Vec::new();
    for deliveries in by_id.values() {
        let place = |record: &&&Record| (record.partition, record.offset);
        let Some(first) = deliveries.iter().filter(|record| record.kind == "request").min_by_key(place) else {
            continue;
        };
        let mut corrections: BTreeMap<&str, &Record> = BTreeMap::new();
        let mut in_order: Vec<&&Record> = deliveries.iter().filter(|record| record.kind != "request").collect();
        in_order.sort_by_key(|record| (record.received_at, record.partition, record.offset));
        for correction in in_order {
            corrections.entry(&correction.event_id).or_insert(correction);
        }
        match corrections.values().max_by_key(|record| (record.received_at, record.partition, record.offset)) {
            None => counted.push(first),
            Some(last) if last.kind == "amendment" => counted.push(last),
            Some(_) => {}
        }
    }
    let catalog = catalog();
    let mut folded: BTreeMap<_, (i64, MeterState, i64)> = BTreeMap::new();
    counted.sort_by_key(|record| (record.occurred_at, record.partition, record.offset));
    let mut tried = BTreeSet::new();
    for record in counted {
        let link = registry.links.iter().find(|link| {
            link.external_id == record.consumer
                && link.valid_from <= record.occurred_at
                && link.valid_to.is_none_or(|end| record.occurred_at < end)
        });
        let owner = link.and_then(|link| link.partner_id.as_ref()).map(ToString::to_string);
        let product = if record.path.starts_with("/maps/") { "maps" } else { "unmapped" };
        let hour = hour_of(record.occurred_at).unwrap();
        for (meter, _) in METERS {
            let is_good = (200..300).contains(&record.status);
            if !(match *meter {
                "calls" | "good" => is_good,
                "bytes" => product == "maps",
                _ => true,
            }) {
                continue;
            }
            let aggregation = catalog.meters[&MeterId::parse(*meter).unwrap()].aggregation;
            let key = ((*meter).to_owned(), owner.clone(), product.to_owned(), hour);
            let sums = folded.entry(key).or_insert_with(|| (0, MeterState::empty(aggregation), 0));
            let is_left_out = *meter == "good"
                && (record.tag.is_some()
                    || record
                        .retried
                        .is_some_and(|retried| owner.is_some() && !tried.insert((owner.clone(), hour, retried))));
            if is_left_out {
                sums.2 += 1;
                continue;
            }
            sums.0 += 1;
            if let MeterState::Unique(values) = &mut sums.1 {
                values.insert(record.user.clone());
            } else {
                let place = (source().as_str().to_owned(), record.partition, record.offset, 0);
                let seen = Observation { at: record.occurred_at, place, value: Decimal::whole(record.bytes) };
                sums.1.observe(seen).unwrap();
            }
        }
    }
    folded.into_iter().map(|(key, sums)| (key, (sums.0, sums.1.to_json(), sums.2))).collect()
}

/// `usage` with its slices folded into hours; every slice must lie between the cuts of its partner.
async fn folded(lake: &Lake, registry: &Registry) -> Folded {
    let catalog = catalog();
    let mut sums: BTreeMap<_, (i64, MeterState, i64)> = BTreeMap::new();
    for row in lake.rows(&USAGE, None).await.unwrap() {
        let (start, end) = (row.instant("slice_start").unwrap(), row.instant("slice_end").unwrap());
        for subscription in registry.subscriptions.values() {
            if row.text("partner_id") == Some(subscription.partner_id.as_str()) {
                let cut = |at: DateTime<Utc>| start < at && at < end;
                assert!(!cut(subscription.started_at) && !subscription.ended_at.is_some_and(cut), "{row:?} is not cut");
            }
        }
        let text = |column: &str| row.text(column).map(str::to_owned);
        let aggregation = catalog.meters[&MeterId::parse(text("meter_id").unwrap()).unwrap()].aggregation;
        let state = MeterState::from_json(aggregation, row.text("state").unwrap()).unwrap();
        let Value::TextMap(excluded) = row.get("excluded") else { panic!("{row:?}") };
        let excluded: i64 = excluded.values().map(|count| count.parse::<i64>().unwrap()).sum();
        let hour = hour_of(start).unwrap();
        let key = (text("meter_id").unwrap(), text("partner_id"), text("product_id").unwrap(), hour);
        let sum = sums.entry(key).or_insert_with(|| (0, MeterState::empty(aggregation), 0));
        sum.0 += row.int("event_count").unwrap();
        sum.1.merge(state).unwrap();
        sum.2 += excluded;
    }
    let rows = sums.into_iter().map(|(key, sum)| (key, (sum.0, sum.1.to_json(), sum.2)));
    // Rows of deliveries alone that do not count.
    rows.filter(|(_, (events, _, excluded))| events + excluded > 0).collect()
}

async fn deliver(lake: &Lake, records: &[Record]) {
    let known = lake.pin(&access_log::TABLE).await.unwrap();
    let rows: Vec<Row> = records.iter().map(Record::row).collect();
    let mut next = known.clone();
    for record in records {
        let passed = next.next_offset(&source(), record.partition).unwrap_or(0);
        next.set(source(), record.partition, passed.max(record.offset + 1));
    }
    let steps: Vec<TxnStep> = next
        .iter()
        .filter(|(source, partition, next)| known.next_offset(source, *partition) != Some(*next))
        .map(|(source, partition, next)| TxnStep {
            app_id: source.app_id(partition),
            expected: known.next_offset(source, partition),
            next,
        })
        .collect();
    assert_eq!(lake.append(&access_log::TABLE, &rows, &steps).await.unwrap(), Outcome::Committed);
}

#[tokio::test]
async fn usage_is_a_naive_fold_however_the_history_came_in_pieces() {
    let catalog = catalog();
    let (mut computed, mut added) = (0, 0);
    for seed in 1..=2 {
        let mut dice = Dice(seed);
        let records = history(&mut dice, 160);
        let whose = registry(1, &mut dice);
        let wanted = naive(&records, &whose);
        // All at once.
        let folder = tempfile::tempdir().unwrap();
        let whole = Lake::open(folder.path().to_str().unwrap()).unwrap();
        deliver(&whole, &records).await;
        refresh_usage(&whole, &whose, &Pin::new(), &catalog, None).await.unwrap();
        assert_eq!(folded(&whole, &whose).await, wanted, "seed {seed}, at once");
        // In pieces, each refreshed; some hours are touched many times.
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
        let mut at = 0;
        while at < records.len() {
            let end = (at + 1 + usize::try_from(dice.below(90)).unwrap()).min(records.len());
            deliver(&lake, &records[at..end]).await;
            let report = refresh_usage(&lake, &whose, &Pin::new(), &catalog, None).await.unwrap();
            assert_eq!(folded(&lake, &whose).await, naive(&records[..end], &whose), "seed {seed}, {end} records");
            assert!(report.hours_total <= 3 * 24, "{report:?}");
            if at > 0 {
                added += report.hours_added_total;
                computed += report.hours_total - report.hours_added_total;
            }
            at = end;
        }
        // Nothing new: nothing is computed.
        let again = refresh_usage(&lake, &whose, &Pin::new(), &catalog, None).await.unwrap();
        assert_eq!((again.hours_total, again.usage_rows_total), (0, 0), "seed {seed}");
        for def in [&USAGE, &CONTESTED_REQUEST] {
            assert_eq!(sorted(&lake, def).await, sorted(&whole, def).await, "seed {seed}: {}", def.name);
        }
    }
    // Both ways were gone.
    assert!(added > 30 && computed > 30, "{added} added to, {computed} computed anew");
}

/// What the partners' side may say, in whatever order it becomes known.
fn lifecycle(dice: &mut Dice, id: i64) -> LifecycleEvent {
    let at = midnight() + TimeDelta::seconds(dice.below(3 * 86_400));
    let partner = ["acme", "zeta"][usize::try_from(dice.below(2)).unwrap()];
    let consumer = ["shop", "bank"][usize::try_from(dice.below(2)).unwrap()];
    let zone = ["Asia/Kathmandu", "Europe/Berlin", "Australia/Eucla"][usize::try_from(dice.below(3)).unwrap()];
    let (kind, data) = match dice.below(6) {
        0..=2 => ("identity.linked", serde_json::json!({ "system": "gateway", "external_id": consumer })),
        3 => ("identity.unlinked", serde_json::json!({ "system": "gateway", "external_id": consumer })),
        4 => (
            "subscription.started",
            serde_json::json!({ "subscription_id": format!("s-{partner}"), "plan_id": "pro", "time_zone": zone }),
        ),
        _ => ("subscription.cancelled", serde_json::json!({ "subscription_id": format!("s-{partner}") })),
    };
    let event = serde_json::json!({
        "specversion": "1.0", "id": format!("e{id}"), "source": "/portal", "type": format!("com.test.partner.{kind}.v1"),
        "subject": format!("partner/{partner}"), "time": print_instant(at), "data": data,
    });
    LifecycleEvent::from_structured(event).unwrap()
}

async fn tell(lake: &Lake, events: &[LifecycleEvent], first: i64) -> Pin {
    let source = Source::kafka("test", "portal", "1").unwrap();
    let row = |(event, offset): (&LifecycleEvent, i64)| {
        event
            .row()
            .with("source", source.as_str())
            .with("kafka_partition", 0_i32)
            .with("kafka_offset", offset)
            .with("record_index", 0_i32)
            .with("received_at", midnight())
    };
    let rows: Vec<Row> = events.iter().zip(first..).map(row).collect();
    let next = first + i64::try_from(events.len()).unwrap();
    let step = TxnStep { app_id: source.app_id(0), expected: (first > 0).then_some(first), next };
    assert_eq!(lake.append(&partner_event::TABLE, &rows, &[step]).await.unwrap(), Outcome::Committed);
    lake.pin(&partner_event::TABLE).await.unwrap()
}

async fn sorted(lake: &Lake, def: &'static Table) -> Vec<String> {
    let mut rows: Vec<String> = lake.rows(def, None).await.unwrap().iter().map(|row| format!("{row:?}")).collect();
    rows.sort();
    rows
}

#[tokio::test]
async fn a_registry_that_becomes_known_late_gives_what_it_gives_known_early() {
    let catalog = catalog();
    for seed in 1..=2 {
        let mut dice = Dice(seed);
        let records = history(&mut dice, 120);
        let events: Vec<LifecycleEvent> = (0..10).map(|id| lifecycle(&mut dice, id)).collect();
        // Everything known, then computed once.
        let folder = tempfile::tempdir().unwrap();
        let whole = Lake::open(folder.path().to_str().unwrap()).unwrap();
        deliver(&whole, &records).await;
        let pin = tell(&whole, &events, 0).await;
        let registry = read_registry(&whole, &pin, None).await.unwrap();
        refresh_usage(&whole, &registry, &pin, &catalog, None).await.unwrap();
        assert_eq!(folded(&whole, &registry).await, naive(&records, &registry), "seed {seed}");
        // Traffic first, then one event after the other.
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
        deliver(&lake, &records).await;
        let mut computed = Vec::new();
        for (event, offset) in events.iter().zip(0..) {
            let pin = tell(&lake, std::slice::from_ref(event), offset).await;
            let registry = read_registry(&lake, &pin, None).await.unwrap();
            let report = refresh_usage(&lake, &registry, &pin, &catalog, None).await.unwrap();
            computed.push(report.hours_total);
        }
        assert_eq!(sorted(&lake, &USAGE).await, sorted(&whole, &USAGE).await, "seed {seed}");
        // Not everything each time: a subscription cuts a few hours, and some events change nothing.
        assert!(computed.iter().skip(1).any(|hours| *hours < 12), "seed {seed}: {computed:?}");
    }
}

/// A run may die between any two of its commits, and two may run at once.
#[tokio::test]
async fn what_a_dead_run_left_and_two_runs_at_once_give_the_same_usage() {
    let catalog = catalog();
    let mut dice = Dice(11);
    let records = history(&mut dice, 160);
    let whose = registry(1, &mut dice);
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
    for (at, piece) in records.chunks(40).enumerate() {
        deliver(&lake, piece).await;
        let pin = lake.pin(&access_log::TABLE).await.unwrap();
        let known = usage_pin(&lake, &access_log::TABLE).await.unwrap();
        // Dies after the index, or after `contested_request`, or lives beside another.
        match at {
            0 => assert!(fill_index(&lake, &pin).await.unwrap().rows_total > 0),
            1 => assert!(refresh_contested(&lake, &pin, &known).await.unwrap().is_some()),
            2 => {}
            _ => {
                let other = Lake::open(folder.path().to_str().unwrap()).unwrap();
                let nothing = Pin::new();
                let (one, two) = tokio::join!(
                    refresh_usage(&lake, &whose, &nothing, &catalog, None),
                    refresh_usage(&other, &whose, &nothing, &catalog, None),
                );
                assert!(one.unwrap().usage_rows_total + two.unwrap().usage_rows_total > 0);
            }
        }
    }
    assert_eq!(folded(&lake, &whose).await, naive(&records, &whose));
}

/// A price book that changes every month must not cost a year of history; what is metered otherwise must.
#[tokio::test]
async fn a_catalog_of_other_prices_computes_nothing_anew_and_one_of_other_meters_everything() {
    let with = |more: &str, replaced: (&str, &str)| {
        let base = catalog();
        let file = &base.files()[0];
        let text = format!("{}{more}", file.text).replace(replaced.0, replaced.1);
        Catalog::parse(&[CatalogFile { path: file.path.clone(), text }]).unwrap()
    };
    let issuer = "[[issuer]]\nid = \"acme\"\nlegal_name = \"Acme\"\naddress = [\"Here\"]\nnumber_prefix = \"A-\"\n\
                  time_zone = \"Europe/Berlin\"\npayment_terms_days = 14\n\
                  [[plan]]\nid = \"pro\"\nversion = 1\neffective_from = \"2026-01-01T00:00:00Z\"\nname = \"Pro\"\n\
                  issuer = \"acme\"\ncurrency = \"EUR\"\n\
                  [[plan.price]]\nid = \"base\"\ndescription = \"Base\"\nmodel = \"flat\"\namount = \"1\"\n";
    let first = with(issuer, ("", ""));
    let mut dice = Dice(3);
    let records = history(&mut dice, 80);
    let events: Vec<LifecycleEvent> = (0..10).map(|id| lifecycle(&mut dice, id)).collect();
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
    deliver(&lake, &records).await;
    let pin = tell(&lake, &events, 0).await;
    let whose = read_registry(&lake, &pin, None).await.unwrap();
    let mut rows_before = Vec::new();
    for (catalog, computes, kept) in [
        (first.clone(), true, true),
        (with(issuer, ("amount = \"1\"", "amount = \"2\"")), false, true),
        (with(issuer, ("status between 200 and 299", "status = 200")), true, true),
        // Not kept: nobody will know what it metered.
        (with(issuer, ("status between 200 and 299", "status = 204")), true, false),
        (with(issuer, ("amount = \"1\"", "amount = \"3\"")), true, true),
    ] {
        if kept {
            lake.append_missing(&CATALOG_FILE, &catalog.to_rows(midnight())).await.unwrap();
        }
        let report = refresh_usage(&lake, &whose, &pin, &catalog, None).await.unwrap();
        assert_eq!(report.hours_total > 0, computes, "{report:?}");
        let rows = sorted(&lake, &USAGE).await;
        assert!(computes || rows == rows_before);
        rows_before = rows;
    }
}
