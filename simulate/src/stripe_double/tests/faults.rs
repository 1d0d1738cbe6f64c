//! Faults on order: what the client sees, and what happened all the same.

use std::time::Duration;

use super::*;

/// One fault at customer creation: what is seen first, how many customers exist then, and what the retry with the
/// same key sees. The second column is a status, or 0 for a connection that closes.
const ROWS: [(FaultKind, u16, u32, &str); 13] = [
    (FaultKind::RefuseBefore, 0, 0, "@replayed=-"),
    (FaultKind::ExecuteThenDrop, 0, 1, "@replayed=true id=cus_000000000001"),
    (FaultKind::Status500Before, 500, 0, "@replayed=-"),
    (FaultKind::Status500After, 500, 1, "@replayed=true error/type=api_error"),
    (FaultKind::Status429(LimitReason::EndpointRate), 429, 0, "@replayed=-"),
    (FaultKind::LockTimeout, 429, 0, "@replayed=true error/code=lock_timeout"),
    (FaultKind::KeyInUse, 409, 0, "@replayed=-"),
    (FaultKind::Html(503), 503, 0, "@replayed=-"),
    (FaultKind::EmptyBody, 200, 1, "@replayed=true id=cus_000000000001"),
    (FaultKind::BrokenJson, 200, 1, "@replayed=true id=cus_000000000001"),
    (FaultKind::ExecuteThenTruncate(20), 200, 1, "@replayed=true id=cus_000000000001"),
    (FaultKind::Slow(20), 200, 1, "@replayed=true id=cus_000000000001"),
    (FaultKind::ExecuteThenSlow(20), 200, 1, "@replayed=true id=cus_000000000001"),
];

#[tokio::test]
async fn each_fault_strikes_once_and_the_retry_tells_the_truth() {
    for (kind, status, customers, retry) in ROWS {
        let stage = Stage::new().await;
        let fault = Fault { endpoint: "POST /v1/customers", nth: 1, kind };
        stage.double.inject(fault).unwrap();
        let first = stage.once("POST /v1/customers", "k", "name=A").await;
        assert_eq!(first.as_ref().map_or(0, |seen| seen.status), status, "{kind:?}");
        assert_eq!(stage.double.faults_left(), 0);
        let list = stage.once("GET /v1/customers", "", "").await.unwrap().json();
        assert_eq!(list["data"].as_array().unwrap().len(), usize::try_from(customers).unwrap(), "{kind:?}");
        let again = stage.once("POST /v1/customers", "k", "name=A").await.unwrap();
        again.check(&format!("{kind:?}"), retry);
        let log = stage.double.requests();
        assert_eq!((&log[0].body, &log[0].idempotency_key), (&log[2].body, &log[2].idempotency_key));
        assert!(log[0].status.is_some(), "{kind:?}");
    }
}

#[tokio::test]
async fn answers_break_in_the_way_they_say() {
    let stage = Stage::new().await;
    let order = |kind| stage.double.inject(Fault { endpoint: "*", nth: 1, kind }).unwrap();
    order(FaultKind::EmptyBody);
    let seen = stage.once("GET /v1/customers", "", "").await.unwrap();
    assert!(seen.whole && seen.body.is_empty());
    order(FaultKind::ExecuteThenTruncate(7));
    let seen = stage.once("GET /v1/customers", "", "").await.unwrap();
    assert!(!seen.whole);
    assert_eq!(seen.body.len(), 7);
    order(FaultKind::BrokenJson);
    let seen = stage.once("GET /v1/customers", "", "").await.unwrap();
    assert!(seen.whole && serde_json::from_slice::<Value>(&seen.body).is_err());
    order(FaultKind::Html(502));
    let seen = stage.once("GET /v1/customers", "", "").await.unwrap();
    assert_eq!((seen.status, seen.header("content-type")), (502, Some("text/html")));
    order(FaultKind::Status429(LimitReason::GlobalConcurrency));
    stage.once("GET /v1/customers", "", "").await.unwrap().check("429", "@reason=global-concurrency");
    order(FaultKind::LockTimeout);
    stage.once("GET /v1/customers", "", "").await.unwrap().check("lock", "@reason=- error/code=lock_timeout");
}

#[tokio::test]
async fn faults_are_counted_from_the_order_and_for_one_endpoint() {
    let stage = Stage::new().await;
    stage.play(&[("GET /v1/customers", "", "", 200, "")]).await;
    stage
        .double
        .inject(Fault { endpoint: "GET /v1/customers/{id}", nth: 2, kind: FaultKind::Status500Before })
        .unwrap();
    stage.double.inject(Fault { endpoint: "*", nth: 5, kind: FaultKind::Html(503) }).unwrap();
    let get = "GET /v1/customers/cus_1";
    let calls = [(get, 404), ("GET /v1/customers", 200), (get, 500), (get, 404), ("GET /v1/invoices", 503), (get, 404)];
    for (call, status) in calls {
        assert_eq!(stage.once(call, "", "").await.unwrap().status, status, "{call}");
    }
    let bad = Fault { endpoint: "POST /v1/invoice", nth: 1, kind: FaultKind::RefuseBefore };
    assert!(matches!(stage.double.inject(bad), Err(StripeDoubleError::NoSuchEndpoint(_))));
    let never = Fault { endpoint: "*", nth: 0, kind: FaultKind::RefuseBefore };
    assert!(matches!(stage.double.inject(never), Err(StripeDoubleError::NthZero)));
}

#[tokio::test]
async fn lock_timeouts_are_forgotten_if_so_set() {
    let stage = Stage::with(|quirks| quirks.lock_timeout_kept = false).await;
    stage.double.inject(Fault { endpoint: "*", nth: 1, kind: FaultKind::LockTimeout }).unwrap();
    stage
        .play(&[
            ("POST /v1/customers", "k", "name=A", 429, "error/code=lock_timeout @reason=-"),
            ("POST /v1/customers", "k", "name=A", 200, "@replayed=-"),
        ])
        .await;
}

/// The client gives up, its twin meets the key in use, and the original is executed nevertheless.
#[tokio::test]
async fn a_slow_original_outlives_its_client() {
    let stage = Stage::new().await;
    stage.double.inject(Fault { endpoint: "*", nth: 1, kind: FaultKind::Slow(300) }).unwrap();
    let mut impatient = Client::connect(stage.double.base_url()).await;
    let headers = [
        "Authorization: Bearer sk_test_double",
        "Stripe-Version: 2026-09-30.endive",
        "Content-Type: application/x-www-form-urlencoded",
        "Idempotency-Key: k",
    ];
    assert!(impatient.send("POST", "/v1/customers", &headers, "name=A").await);
    until(|| !stage.double.requests().is_empty()).await;
    drop(impatient);
    stage
        .play(&[
            ("POST /v1/customers", "k", "name=A", 409, "error/code=idempotency_key_in_use @original=-"),
            ("POST /v1/customers", "k", "name=B", 400, "error/type=idempotency_error"),
            ("GET /v1/customers", "", "", 200, "data/0=-"),
        ])
        .await;
    until(|| stage.double.requests()[0].status.is_some()).await;
    stage
        .play(&[
            ("GET /v1/customers", "", "", 200, "data/0/id=cus_000000000001 data/1=-"),
            ("POST /v1/customers", "k", "name=A", 200, "@replayed=true @original=req_000000000001"),
        ])
        .await;
}

async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not happen within five seconds");
}
