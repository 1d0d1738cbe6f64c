//! stripe-mock, Stripe's own server of its published schema: every distinct request that billing makes must fit. An
//! unknown parameter, a wrong type or a path that does not exist gets 400 or 404 there.
//!
//! The requests are those of a small demo: its path is run against our double, faults included so that recovery is
//! asked for too, and the double's log is replayed to stripe-mock as it was, byte by byte.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tollbook::jobs;
use tollbook_billing::stripe::STRIPE_VERSION;
use tollbook_schemas::id::ProfileVersionId;
use tollbook_schemas::tables::billing::BILLING_PROFILE;
use tollbook_simulate::stripe_double::{Fault, FaultKind, LoggedRequest};

use crate::month::{Issued, KEY};
use crate::parts::{Process, free_ports, install, wanted};

/// A running stripe-mock.
struct StripeMock {
    port: u16,
    _process: Process,
    _folder: TempDir,
}

impl StripeMock {
    fn start() -> Result<Self, String> {
        let begun = Instant::now();
        let binary = install("stripe-mock")?;
        let installed = begun.elapsed();
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let [port] = free_ports();
        let mut command = Command::new(binary);
        command.args(["-http-addr", &format!("127.0.0.1:{port}")]);
        let mut process = Process::start(&mut command, &folder.path().join("output.txt"))?;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            process.alive()?;
            if begun.elapsed() > installed + Duration::from_secs(60) {
                return Err(format!("it does not answer: {}", process.last_words()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        println!("stripe-mock: installed after {installed:.1?}, answers after {:.1?}", begun.elapsed());
        Ok(Self { port, _process: process, _folder: folder })
    }

    /// Sends a request; gives status and body.
    fn send(&self, request: &LoggedRequest) -> (u16, String) {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer {KEY}\r\n\
             Stripe-Version: {STRIPE_VERSION}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n",
            request.method,
            request.path,
            request.body.len(),
        );
        if let Some(key) = &request.idempotency_key {
            head.push_str(&format!("Idempotency-Key: {key}\r\n"));
        }
        head.push_str("\r\n");
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&request.body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("stripe-mock answered {answer:?}")), answer)
    }
}

/// Everything that billing sends for a small month: push, recovery after lost answers, sync.
async fn requests_of_billing() -> anyhow::Result<Vec<LoggedRequest>> {
    let Issued { context, double, month, .. } = &Issued::make().await?;
    let month = *month;

    // Answers that never come, for each kind of write: what is asked to find out what happened must fit as well.
    for endpoint in [
        "POST /v1/customers",
        "POST /v1/customers/{id}",
        "POST /v1/invoices",
        "POST /v1/invoices/{id}/add_lines",
        "POST /v1/invoices/{id}/finalize",
    ] {
        double.inject(Fault { endpoint, nth: 1, kind: FaultKind::ExecuteThenDrop })?;
        double.inject(Fault { endpoint, nth: 2, kind: FaultKind::Status500After })?;
    }
    // Sent once, some invoices stay drafts; their partners then change their profiles, and lose or get a tax id.
    let mut once = context.clone();
    if let Some(stripe) = &mut once.configuration.stripe {
        stripe.sends_max = Some(1);
    }
    jobs::bill::push_month(&once, month).await?;
    let mut profiles = context.lake.rows(&BILLING_PROFILE, None).await?;
    for (at, profile) in profiles.iter_mut().enumerate() {
        let recorded = profile.instant("recorded_at").unwrap() + chrono::TimeDelta::seconds(1);
        let tax_id = (at % 2 == 0).then(|| format!("DE{at:09}"));
        let version = ProfileVersionId::derive([format!("later {at}")]);
        let changed =
            profile.clone().with("profile_version_id", version.as_str()).with("legal_name", "Renamed & Söhne");
        *profile = changed.with("tax_id", tax_id).with("recorded_at", recorded);
    }
    context.lake.append_missing(&BILLING_PROFILE, &profiles).await?;
    for _ in 0..4 {
        jobs::bill::push_month(context, month).await?;
    }
    jobs::bill::complain(&[jobs::bill::push_month(context, month).await?])?;
    let open: Vec<String> =
        double.invoices().into_iter().filter(|i| i.status.to_string() == "open").map(|i| i.id.clone()).collect();
    if let [first, second, ..] = open.as_slice() {
        double.pay_as_customer(first)?;
        double.fail_payment(second)?;
    }
    jobs::bill::sync(context).await?;
    Ok(double.requests())
}

#[test]
fn every_request_of_billing_fits_stripes_schema() {
    let Some(mock) = wanted("stripe-mock", StripeMock::start) else { return };
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let requests = runtime.block_on(requests_of_billing()).unwrap();
    println!("{} requests of billing after {:.1?}", requests.len(), begun.elapsed());

    let mut seen = BTreeSet::new();
    let mut sent: BTreeMap<&str, usize> = BTreeMap::new();
    let mut refused = Vec::new();
    for request in &requests {
        if !seen.insert((request.method.clone(), request.path.clone(), request.body.clone())) {
            continue;
        }
        let endpoint = request.endpoint.unwrap_or_else(|| panic!("{} is no endpoint of ours", request.path));
        *sent.entry(endpoint).or_default() += 1;
        let (status, answer) = mock.send(request);
        if status != 200 {
            let body = String::from_utf8_lossy(&request.body);
            refused.push(format!("{endpoint}: {status} for {} {body}\n{answer}", request.path));
        }
    }
    for (endpoint, count) in &sent {
        println!("stripe-mock: {count:4} distinct {endpoint}");
    }
    println!("stripe-mock: {:4} in all; {:.1?}", sent.values().sum::<usize>(), begun.elapsed());
    assert!(refused.is_empty(), "{} requests do not fit, the first:\n{}", refused.len(), refused[0]);
    for endpoint in [
        "POST /v1/customers",
        "POST /v1/customers/{id}",
        "GET /v1/customers/{id}",
        "POST /v1/invoices",
        "POST /v1/invoices/{id}/add_lines",
    ] {
        assert!(sent.contains_key(endpoint), "billing made no {endpoint}: the test has lost its subject");
    }

    // The check can fail: each write with a parameter that Stripe does not have is refused.
    for endpoint in sent.keys().filter(|endpoint| endpoint.starts_with("POST")) {
        let mut wrong = requests.iter().find(|request| request.endpoint == Some(*endpoint)).unwrap().clone();
        let separator: &[u8] = if wrong.body.is_empty() { b"" } else { b"&" };
        wrong.body = [wrong.body.as_slice(), separator, b"no_such_parameter=1"].concat();
        assert_eq!(mock.send(&wrong).0, 400, "stripe-mock takes anything for {endpoint}");
    }
}
