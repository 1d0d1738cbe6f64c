//! A real NGINX as the gateway: clients send some thousand requests through it and count for themselves; its log goes
//! through real Kafka into the lake; each partner's invoice has the clients' own count, to the call and to the byte.
//!
//! NGINX runs `docs/nginx.conf`, the README's recipe. The shipper delivers some lines twice, as shippers do.

mod books;
mod driver;
mod gateway;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tollbook_schemas::period::Month;
use tollbook_simulate::stripe_double::{Options, StripeDouble};

use crate::kafka::Kafka;
use crate::ledger::Dice;
use crate::parts::wanted;
use books::{Books, STRIPE_KEY};
use driver::{Cell, KEYS, Tally, drive};
use gateway::Nginx;

const TOPIC: &str = "gateway-log";
const PARTITIONS: i32 = 3;
const CLIENTS: u64 = 4;
const REQUESTS_PER_CLIENT: u64 = 1_200;

#[allow(clippy::disallowed_methods)]
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Where two counts of the same things differ; what is not there is zero.
fn differences(expected: &BTreeMap<Cell, u64>, found: &BTreeMap<Cell, u64>) -> Vec<String> {
    let cells: BTreeSet<&Cell> = expected.keys().chain(found.keys()).collect();
    let of = |counts: &BTreeMap<Cell, u64>, cell: &Cell| counts.get(cell).copied().unwrap_or_default();
    cells
        .into_iter()
        .filter(|cell| of(expected, cell) != of(found, cell))
        .map(|cell| format!("{cell:?}: the clients counted {}, tollbook {}", of(expected, cell), of(found, cell)))
        .collect()
}

/// Sends each line as a message, some of them twice; gives how many were sent again.
fn ship(kafka: &Kafka, log: &[Vec<u8>]) -> u64 {
    kafka.make_topic(TOPIC, PARTITIONS);
    let producer = kafka.producer(TOPIC, None);
    let mut dice = Dice::new(11);
    let mut partition = || i32::try_from(dice.below(3)).unwrap();
    let mut again = 0;
    for (at, line) in log.iter().enumerate() {
        producer.send(partition(), Some(line));
        if at % 23 == 0 {
            producer.send(partition(), Some(line));
            again += 1;
        }
    }
    producer.flush();
    again
}

fn drive_all(port: u16) -> Tally {
    let clients: Vec<_> =
        (0..CLIENTS).map(|client| std::thread::spawn(move || drive(port, 100 + client, REQUESTS_PER_CLIENT))).collect();
    let mut tally = Tally::default();
    clients.into_iter().for_each(|client| tally.add(client.join().unwrap()));
    tally
}

/// The traffic had what the test is about.
fn is_varied(tally: &Tally) {
    for status in [200, 201, 204, 302, 400, 401, 404, 413, 429, 500, 502, 503] {
        assert!(tally.statuses.contains_key(&status), "no request was answered with {status}: {:?}", tally.statuses);
    }
    for partner in ["acme", "globex", "initech"] {
        for meter in ["maps-calls", "maps-body", "reports-calls", "reports-in", "reports-out"] {
            let cell = ("production".to_owned(), partner.to_owned(), meter.to_owned());
            assert!(tally.usage.contains_key(&cell), "{partner} has no {meter}");
        }
    }
    assert!(tally.usage.keys().any(|(environment, ..)| environment == "sandbox"));
    assert_eq!(tally.unattributed.len(), 2, "{:?}", tally.unattributed);
}

#[test]
fn invoices_have_what_the_clients_of_nginx_counted() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(nginx) = wanted("NGINX", || Nginx::start(KEYS)) else { return };
    let begun = Instant::now();
    let tally = drive_all(nginx.port());
    println!("{} requests after {:.1?}: {:?}", tally.requests, begun.elapsed(), tally.statuses);
    is_varied(&tally);
    let log = nginx.quit();
    assert_eq!(u64::try_from(log.len()).unwrap(), tally.requests, "lines of the log");
    let again = ship(&kafka, &log);
    println!("shipped after {:.1?}, {again} lines twice", begun.elapsed());

    // By the books' clock this month and the next are over: the traffic may have run into the next.
    let registered = now() - Duration::from_secs(86_400);
    let clock = Month::of(now(), chrono_tz::UTC).next().next().period(chrono_tz::UTC).unwrap().start;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let at = clock.timestamp();
    let double = runtime.block_on(StripeDouble::start(Options::new(STRIPE_KEY, Arc::new(move || at)))).unwrap();
    let books = Books::new(Some((kafka.brokers(), TOPIC)), double.base_url(), clock);
    books.run(&["check"]);
    books.import_partners(registered);
    let read = &books.json(&["ingest", "--until-caught-up"])[0];
    assert_eq!(read["accepted"].as_u64(), Some(tally.requests + again), "{read}");
    assert_eq!((read["rejected"].as_u64(), read["lag"].as_u64()), (Some(0), Some(0)), "{read}");
    assert_eq!(books.number("select count(*) from access_log"), tally.requests + again);
    assert_eq!(books.number("select count(*) from rejected"), 0);
    assert_eq!(books.number("select count(distinct event_id) from access_log"), tally.requests);
    let aggregated = &books.json(&["aggregate"])[0];
    assert_eq!(aggregated["duplicates"].as_u64(), Some(again), "{aggregated}");
    let unattributed: BTreeMap<String, u64> = serde_json::from_value(aggregated["unattributed"].clone()).unwrap();
    assert_eq!(unattributed, tally.unattributed, "nobody's requests");
    assert_eq!(differences(&tally.usage, &books.usage()), Vec::<String>::new(), "usage, sandbox included");
    println!("usage after {:.1?}", begun.elapsed());

    // Twice each: the second time there is nothing to do.
    for step in ["draft", "issue", "push", "draft", "issue", "push"] {
        books.run(&["bill", step]);
    }
    let mut owed = tally.usage.clone();
    owed.retain(|(environment, ..), _| environment == "production");
    assert_eq!(differences(&owed, &books.invoiced()), Vec::<String>::new(), "invoices");

    // A cent for each unit of each meter.
    let mut cents: BTreeMap<String, u64> = BTreeMap::new();
    owed.iter().for_each(|((_, partner, _), quantity)| *cents.entry(partner.clone()).or_default() += quantity);
    let mut registered: BTreeMap<String, u64> = BTreeMap::new();
    for row in books.json(&["bill", "register"]) {
        if let (Some(partner), Some(minor)) = (row["partner_id"].as_str(), row["total_minor"].as_u64()) {
            *registered.entry(partner.to_owned()).or_default() += minor;
        }
    }
    assert_eq!(registered, cents, "totals of the register");
    let at_stripe: i64 = double.invoices().iter().map(|invoice| invoice.total).sum();
    assert_eq!(u64::try_from(at_stripe).unwrap(), cents.values().sum::<u64>(), "totals at Stripe");
    assert!(double.oracle().is_empty(), "{:?}", double.oracle());
    println!("{owed:?}\ninvoices after {:.1?}", begun.elapsed());

    // The comparison can fail: the same log, as a file and without one billable line, lacks exactly this request.
    let missing = log.iter().position(|line| is_billable_map_call_of(line, "initech-gw")).unwrap();
    let rest: Vec<&[u8]> = log.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, line)| &line[..]).collect();
    let books = Books::new(None, double.base_url(), clock);
    let file = books.path().join("access.log.1");
    std::fs::write(&file, [rest.join(&b'\n'), b"\n".to_vec()].concat()).unwrap();
    books.import_partners(now() - Duration::from_secs(86_400));
    books.run(&["ingest", "--file", file.to_str().unwrap(), "--decoder", "nginx", "--gateway", "edge"]);
    books.run(&["aggregate"]);
    let found = books.usage();
    let calls = |counts: &BTreeMap<Cell, u64>| {
        counts[&("production".to_owned(), "initech".to_owned(), "maps-calls".to_owned())]
    };
    assert_eq!(calls(&found) + 1, calls(&tally.usage), "the missing call");
    let told = differences(&tally.usage, &found);
    assert!(told.iter().all(|line| line.contains("initech") && line.contains("maps-")), "{told:?}");
    println!("all after {:.1?}; without one line: {told:?}", begun.elapsed());
}

fn is_billable_map_call_of(line: &[u8], consumer: &str) -> bool {
    let line: Value = serde_json::from_str(&String::from_utf8_lossy(line)).unwrap();
    line["consumer"] == consumer
        && line["environment"] == "production"
        && line["status"] == "200"
        && line["product"] == "maps"
}
