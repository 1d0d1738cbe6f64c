//! The double over its real socket, as tables: one row is one request and what its answer must say.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;

mod faults;
mod wire_client;

use wire_client::{Client, KEY, Seen};

const T0: i64 = 1_767_225_600;
const DAY_S: i64 = 86_400;

/// A double whose clock stands still until it is moved.
struct Stage {
    double: StripeDouble,
    clock: Arc<AtomicI64>,
}

impl Stage {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Quirks)) -> Self {
        let clock = Arc::new(AtomicI64::new(T0));
        let hand = Arc::clone(&clock);
        let mut options = Options::new(KEY, Arc::new(move || hand.load(Ordering::SeqCst)));
        change(&mut options.quirks);
        Self { double: StripeDouble::start(options).await.unwrap(), clock }
    }

    fn wait(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Plays rows of: call, idempotency key or "", form, status, conditions.
    async fn play(&self, rows: &[(&str, &str, &str, u16, &str)]) {
        let mut client = Client::connect(self.double.base_url()).await;
        for (call, key, form, status, conditions) in rows {
            let seen = client.call(call, key, form).await.unwrap_or_else(|| panic!("{call}: no answer"));
            assert_eq!(seen.status, *status, "{call} {form}: {}", seen.text());
            seen.check(&format!("{call} {form}"), conditions);
        }
    }

    async fn once(&self, call: &str, key: &str, form: &str) -> Option<Seen> {
        Client::connect(self.double.base_url()).await.call(call, key, form).await
    }
}

const CUSTOMER: (&str, &str, &str, u16, &str) =
    ("POST /v1/customers", "", "name=Acme&email=a@acme.example&metadata[partner]=p1", 200, "id=cus_000000000001");
const DRAFT: (&str, &str, &str, u16, &str) = (
    "POST /v1/invoices",
    "",
    "customer=cus_000000000001&currency=usd&collection_method=send_invoice&days_until_due=30\
     &pending_invoice_items_behavior=exclude&auto_advance=false&automatic_tax[enabled]=false\
     &metadata[tollbook_invoice_id]=inv_1",
    200,
    "id=in_000000000001 status=draft number=null due_date=null total=0 auto_advance=false",
);
const LINES: (&str, &str, &str, u16, &str) = (
    "POST /v1/invoices/in_000000000001/add_lines",
    "",
    "lines[0][amount]=1050&lines[0][description]=API&lines[0][metadata][tollbook_line_id]=l1\
     &lines[1][amount]=-50&lines[1][metadata][tollbook_line_id]=l2\
     &lines[1][period][start]=1767225600&lines[1][period][end]=1769904000",
    200,
    "total=1000 lines/total_count=2",
);
const FINALISE: (&str, &str, &str, u16, &str) =
    ("POST /v1/invoices/in_000000000001/finalize", "", "auto_advance=false", 200, "");

#[tokio::test]
async fn an_invoice_goes_from_draft_to_paid() {
    let stage = Stage::new().await;
    stage
        .play(&[
            CUSTOMER,
            ("GET /v1/customers/cus_000000000001", "", "", 200, "email=a@acme.example metadata/partner=p1 balance=0"),
            DRAFT,
            LINES,
            // The newest comes first, also within one call.
            (
                "GET /v1/invoices/in_000000000001/lines?limit=100",
                "",
                "",
                200,
                "data/0/metadata/tollbook_line_id=l2 data/0/amount=-50 data/0/period/end=1769904000 data/1/amount=1050 \
                 data/1/description=API data/1/period/start=1767225600 has_more=false object=list",
            ),
            (
                "POST /v1/invoices/in_000000000001/finalize",
                "",
                "auto_advance=false",
                200,
                "status=open number=D0000001-0001 due_date=1769817600 amount_due=1000 amount_remaining=1000 \
                 status_transitions/finalized_at=1767225600 effective_at=1767225600 customer_email=a@acme.example",
            ),
            (
                "POST /v1/invoices/in_000000000001/pay",
                "",
                "paid_out_of_band=true",
                200,
                "status=paid amount_paid=1000 amount_remaining=0 status_transitions/paid_at=1767225600 attempt_count=0",
            ),
            ("GET /v1/invoices/in_000000000001?expand[]=customer", "", "", 200, "customer/name=Acme"),
        ])
        .await;
    let invoices = stage.double.invoices();
    assert_eq!(invoices.len(), 1);
    assert_eq!(invoices[0].status, InvoiceStatus::Paid);
    assert_eq!(invoices[0].line_amounts(), [("l1".to_owned(), 1050), ("l2".to_owned(), -50)]);
    assert_eq!(stage.double.oracle(), []);
    assert_eq!(stage.double.counts()["POST /v1/invoices/{id}/add_lines"], 1);
}

#[tokio::test]
async fn what_is_not_known_is_refused() {
    let stage = Stage::new().await;
    let invoices = "POST /v1/invoices";
    let add = "POST /v1/invoices/in_000000000001/add_lines";
    stage
        .play(&[
            CUSTOMER,
            ("POST /v1/customers", "", "name=Nobody", 200, "email=null"),
            DRAFT,
            ("GET /v1/nothing", "", "", 404, "error/type=invalid_request_error"),
            ("GET /v1/invoices/", "", "", 404, ""),
            ("GET /v1/invoices/in_9", "", "", 404, "error/code=resource_missing"),
            ("POST /v1/customers", "", "nam=x", 400, "error/code=parameter_unknown error/param=nam"),
            ("POST /v1/customers", "", "email=x", 400, "error/code=email_invalid"),
            ("POST /v1/customers", "", "name=a&name=b", 400, ""),
            ("POST /v1/customers", "", "metadata[a][b]=x", 400, "error/param=metadata[a]"),
            ("POST /v1/customers", "", "expand[]=sources", 400, "error/param=expand"),
            (invoices, "", "currency=usd", 400, "error/code=parameter_missing error/param=customer"),
            (invoices, "", "customer=", 400, "error/code=parameter_invalid_empty"),
            (invoices, "", "customer=cus_9", 400, "error/code=resource_missing error/param=customer"),
            (invoices, "", "customer=cus_000000000001&currency=ugx", 400, "error/param=currency"),
            (invoices, "", "customer=cus_000000000001&auto_advance=1", 400, "error/param=auto_advance"),
            (invoices, "", "customer=cus_000000000001&days_until_due=3", 400, "error/param=days_until_due"),
            (invoices, "", "customer=cus_000000000001&collection_method=send_invoice", 400, ""),
            // Without an e-mail there is nowhere to send it.
            (
                invoices,
                "",
                "customer=cus_000000000002&collection_method=send_invoice&days_until_due=3",
                400,
                "error/code=null",
            ),
            (invoices, "", "customer=cus_000000000001&automatic_tax[enabled]=true", 400, ""),
            (add, "", "lines[0][amount]=1.5", 400, "error/code=parameter_invalid_integer error/param=lines[0][amount]"),
            (add, "", "lines[0][description]=x", 400, "error/code=parameter_missing"),
            (add, "", "lines[0][amount]=1&lines[0][quantity]=2", 400, "error/param=lines[0][quantity]"),
            (add, "", "lines[0][amount]=1&lines[0][price]=p", 400, "error/param=lines[0][price]"),
            (add, "", "lines[0][amount]=100000000", 400, "error/code=amount_too_large"),
            (add, "", "", 400, "error/param=lines"),
            ("GET /v1/invoices?limit=101", "", "", 400, "error/param=limit"),
            ("GET /v1/invoices?starting_after=in_9", "", "", 400, "error/code=resource_missing"),
            ("GET /v1/invoices?metadata[k]=v", "", "", 400, "error/code=parameter_unknown"),
            ("GET /v1/invoices/in_000000000001", "", "", 200, "lines/total_count=0"),
        ])
        .await;
}

#[tokio::test]
async fn every_request_needs_a_key_and_a_version() {
    let stage = Stage::new().await;
    let base = stage.double.base_url();
    // sk_test_double: in base64, as a user name.
    let good = ["Authorization: Bearer sk_test_double", "Authorization: Basic c2tfdGVzdF9kb3VibGU6"];
    let bad = ["X: y", "Authorization: Bearer sk_test_other", "Authorization: Bearer", "Authorization: Basic c2s6"];
    let version = "Stripe-Version: 2026-09-30.endive";
    for (authorization, status) in good.map(|line| (line, 200)).into_iter().chain(bad.map(|line| (line, 401))) {
        let seen = Client::connect(base).await.raw("GET", "/v1/invoices", &[authorization, version], "").await.unwrap();
        assert_eq!(seen.status, status, "{authorization}");
        assert_eq!(seen.header("stripe-version"), Some("2026-09-30.endive"));
        assert!(seen.header("request-id").unwrap().starts_with("req_"));
        assert!(!seen.text().contains("sk_test_other"), "a refusal must not repeat the key");
    }
    for (line, status) in [("X: y", 400), ("Stripe-Version: endive", 400), ("Stripe-Version: 2024-06-20", 200)] {
        let seen = Client::connect(base).await.raw("GET", "/v1/invoices", &[good[0], line], "").await.unwrap();
        assert_eq!(seen.status, status, "{line}");
    }
    let json = ["Content-Type: application/json", good[0], version];
    let seen = Client::connect(base).await.raw("POST", "/v1/customers", &json, "{}").await.unwrap();
    assert_eq!(seen.status, 400);
    for key in ["sk_live_x", "sk_test_", ""] {
        let refused = StripeDouble::start(Options::new(key, Arc::new(|| T0))).await;
        assert!(matches!(refused, Err(StripeDoubleError::NotATestKey)), "{key:?}");
    }
}

#[tokio::test]
async fn a_key_is_answered_once_and_then_replayed() {
    let stage = Stage::new().await;
    let create = "POST /v1/customers";
    stage
        .play(&[
            (create, "k1", "name=A&metadata[a]=1&metadata[b]=2", 200, "id=cus_000000000001 @original=req_000000000001"),
            // The same in another order is the same.
            (
                create,
                "k1",
                "metadata[b]=2&name=A&metadata[a]=1",
                200,
                "id=cus_000000000001 @replayed=true @original=req_000000000001",
            ),
            (create, "k1", "name=B", 400, "error/type=idempotency_error @replayed=-"),
            (create, "", "name=A", 200, "id=cus_000000000002 @original=-"),
            // Refused before execution: nothing is kept, and the key is free for something else.
            (create, "k2", "nam=A", 400, "error/code=parameter_unknown @original=-"),
            (create, "k2", "name=C", 200, "id=cus_000000000003 @replayed=-"),
            // Refused by execution: kept, even when it would succeed by now.
            ("POST /v1/invoices", "k3", "customer=cus_000000000004", 400, "error/code=resource_missing @replayed=-"),
            (create, "", "name=D", 200, "id=cus_000000000004"),
            ("POST /v1/invoices", "k3", "customer=cus_000000000004", 400, "error/code=resource_missing @replayed=true"),
            // A key belongs to one path.
            ("POST /v1/invoices", "k1", "name=A&metadata[a]=1&metadata[b]=2", 400, "error/type=idempotency_error"),
            // Other methods ignore keys.
            ("GET /v1/customers/cus_000000000001", "k1", "", 200, "@replayed=- @original=-"),
        ])
        .await;
    stage.wait(DAY_S - 1);
    stage
        .play(&[(create, "k1", "name=A&metadata[a]=1&metadata[b]=2", 200, "id=cus_000000000001 @replayed=true")])
        .await;
    stage.wait(1);
    stage.play(&[(create, "k1", "name=A&metadata[a]=1&metadata[b]=2", 200, "id=cus_000000000005 @replayed=-")]).await;
    let log = stage.double.requests();
    assert_eq!(log[0].idempotency_key.as_deref(), Some("k1"));
    assert_eq!(log[0].body, b"name=A&metadata[a]=1&metadata[b]=2");
    assert_eq!(log.iter().filter(|entry| entry.replayed).count(), 3);
}

#[tokio::test]
async fn steps_go_one_way() {
    let stage = Stage::new().await;
    let [void, pay, finalise, doubtful, delete] = [
        "POST /v1/invoices/in_000000000001/void",
        "POST /v1/invoices/in_000000000001/pay",
        "POST /v1/invoices/in_000000000001/finalize",
        "POST /v1/invoices/in_000000000001/mark_uncollectible",
        "DELETE /v1/invoices/in_000000000001",
    ];
    let update = "POST /v1/invoices/in_000000000001";
    stage
        .play(&[
            CUSTOMER,
            DRAFT,
            (void, "", "", 400, "error/code=null"),
            (pay, "", "paid_out_of_band=true", 400, ""),
            (doubtful, "", "", 400, ""),
            (update, "", "description=x&metadata[k]=v&days_until_due=10&footer=f", 200, "description=x metadata/k=v"),
            (update, "", "description=&metadata[k]=&customer=cus_1", 400, "error/code=parameter_unknown"),
            (update, "", "description=&metadata[k]=", 200, "description=null metadata/k=-"),
            LINES,
            FINALISE,
            (finalise, "", "", 400, "error/code=null error/type=invalid_request_error"),
            (delete, "", "", 400, ""),
            LINES_AGAIN,
            (update, "", "description=x", 400, ""),
            (update, "", "metadata[late]=yes", 200, "metadata/late=yes status=open"),
            (pay, "", "", 400, ""),
            (pay, "", "payment_method=pm_card_chargeDeclined", 402, "error/code=card_declined"),
            ("GET /v1/invoices/in_000000000001", "", "", 200, "status=open attempt_count=1 attempted=true"),
            (doubtful, "", "", 200, "status=uncollectible"),
            (void, "", "", 200, "status=void amount_remaining=1000"),
            (pay, "", "paid_out_of_band=true", 400, ""),
            (void, "", "", 400, ""),
            // A deleted draft is gone.
            DRAFT_2,
            ("DELETE /v1/invoices/in_000000000002", "", "", 200, "deleted=true"),
            ("GET /v1/invoices/in_000000000002", "", "", 404, ""),
            ("GET /v1/invoices", "", "", 200, "data/0/id=in_000000000001 data/1=-"),
        ])
        .await;
    let other =
        Stage::with(|quirks| (quirks.transition_codes, quirks.uncollectible_can_be_voided) = (true, false)).await;
    other
        .play(&[
            CUSTOMER,
            DRAFT,
            LINES,
            FINALISE,
            (finalise, "", "", 400, "error/code=invoice_not_editable"),
            (doubtful, "", "", 200, "status=uncollectible"),
            (void, "", "", 400, "error/code=invoice_not_editable"),
            (pay, "", "payment_method=pm_card_visa", 200, "status=paid attempt_count=1"),
        ])
        .await;
}

const LINES_AGAIN: (&str, &str, &str, u16, &str) =
    ("POST /v1/invoices/in_000000000001/add_lines", "", "lines[0][amount]=1", 400, "");
const DRAFT_2: (&str, &str, &str, u16, &str) =
    ("POST /v1/invoices", "", "customer=cus_000000000001", 200, "id=in_000000000002");

#[tokio::test]
async fn lines_are_bounded_and_shown_ten_at_a_time() {
    let stage = Stage::new().await;
    stage.play(&[CUSTOMER, DRAFT]).await;
    let lines = |from: usize, count: usize| {
        (0..count).map(|at| format!("lines[{at}][amount]={}&", from + at)).collect::<String>()
    };
    let add = "POST /v1/invoices/in_000000000001/add_lines";
    for (form, status, conditions) in [
        (lines(0, 101), 400, "error/param=lines"),
        (lines(0, 100), 200, "lines/total_count=100 lines/has_more=true lines/data/9/amount=90 lines/data/10=-"),
        (lines(100, 100), 200, "lines/total_count=200 total=19900"),
        (lines(200, 51), 400, ""),
        (lines(200, 50), 200, "lines/total_count=250 lines/data/0/amount=249"),
    ] {
        let form = form.trim_end_matches('&');
        stage.play(&[(add, "", form, status, conditions)]).await;
    }
    let all = "/v1/invoices/in_000000000001/lines";
    stage
        .play(&[
            (&format!("GET {all}?limit=100"), "", "", 200, "data/0/amount=249 data/99/amount=150 has_more=true"),
            (
                &format!("GET {all}?limit=100&starting_after=il_000000000101"),
                "",
                "",
                200,
                "data/0/amount=99 has_more=false",
            ),
            (&format!("GET {all}?ending_before=il_000000000101"), "", "", 200, "data/9/amount=101 has_more=true"),
            (
                "POST /v1/invoices/in_000000000001/remove_lines",
                "",
                "lines[0][id]=il_000000000250&lines[0][behavior]=delete",
                200,
                "lines/total_count=249 lines/data/0/amount=248",
            ),
        ])
        .await;
}

#[tokio::test]
async fn lists_filter_and_page_newest_first() {
    let stage = Stage::new().await;
    stage.play(&[CUSTOMER, ("POST /v1/customers", "", "email=b@acme.example", 200, "")]).await;
    for at in 0..5 {
        let form = format!("customer=cus_00000000000{}", at % 2 + 1);
        stage.play(&[("POST /v1/invoices", "", &form, 200, "")]).await;
        stage.wait(10);
    }
    let since = format!("GET /v1/invoices?created[gte]={}&created[lt]={}", T0 + 10, T0 + 30);
    stage
        .play(&[
            (
                "GET /v1/invoices?limit=2",
                "",
                "",
                200,
                "data/0/id=in_000000000005 data/1/id=in_000000000004 has_more=true",
            ),
            (
                "GET /v1/invoices?limit=2&starting_after=in_000000000004",
                "",
                "",
                200,
                "data/0/id=in_000000000003 has_more=true",
            ),
            (
                "GET /v1/invoices?limit=2&ending_before=in_000000000002",
                "",
                "",
                200,
                "data/0/id=in_000000000004 has_more=true",
            ),
            ("GET /v1/invoices?customer=cus_000000000002", "", "", 200, "data/1/id=in_000000000002 data/2=-"),
            (&since, "", "", 200, "data/0/id=in_000000000003 data/1/id=in_000000000002 data/2=-"),
            ("GET /v1/invoices?status=open", "", "", 200, "data/0=- has_more=false"),
            ("GET /v1/customers?email=b@acme.example", "", "", 200, "data/0/id=cus_000000000002 data/1=-"),
            ("GET /v1/invoices?limit=1&expand[]=data.customer", "", "", 200, "data/0/customer/id=cus_000000000001"),
        ])
        .await;
}

#[tokio::test]
async fn balances_and_small_amounts_move_what_is_due() {
    let stage = Stage::new().await;
    let add = |id: u32, amount: i64| (format!("POST /v1/invoices/in_00000000000{id}/add_lines"), amount);
    let rows = [
        // total, then: status, amount_due, starting_balance, ending_balance.
        (add(1, 0), "status=paid amount_due=0 starting_balance=0 ending_balance=0"),
        (add(2, 30), "status=paid amount_due=0 total=30 starting_balance=0 ending_balance=30"),
        (add(3, 100), "status=open amount_due=130 total=100 starting_balance=30 ending_balance=0"),
        (add(4, -500), "status=paid amount_due=0 total=-500 starting_balance=0 ending_balance=-500"),
        (add(5, 800), "status=open amount_due=300 starting_balance=-500 ending_balance=0"),
    ];
    stage.play(&[CUSTOMER]).await;
    for ((call, amount), conditions) in &rows {
        let finalise = call.replace("add_lines", "finalize");
        let form = format!("lines[0][amount]={amount}");
        stage
            .play(&[
                ("POST /v1/invoices", "", "customer=cus_000000000001", 200, ""),
                (call, "", &form, 200, ""),
                (&finalise, "", "", 200, conditions),
            ])
            .await;
    }
    stage
        .play(&[
            ("POST /v1/invoices/in_000000000005/void", "", "", 200, "status=void"),
            ("GET /v1/customers/cus_000000000001", "", "", 200, "balance=-500 next_invoice_sequence=6"),
        ])
        .await;
    let other = Stage::with(|quirks| quirks.small_amounts_are_carried = false).await;
    other
        .play(&[
            CUSTOMER,
            ("POST /v1/invoices", "", "customer=cus_000000000001", 200, ""),
            ("POST /v1/invoices/in_000000000001/add_lines", "", "lines[0][amount]=30", 200, ""),
            ("POST /v1/invoices/in_000000000001/finalize", "", "", 200, "status=open amount_due=30"),
        ])
        .await;
}

#[tokio::test]
async fn a_draft_that_advances_finalises_itself_complete_or_not() {
    let stage = Stage::new().await;
    stage.play(&[CUSTOMER, ("POST /v1/invoices", "", "customer=cus_000000000001&auto_advance=true", 200, "")]).await;
    stage.wait(3_599);
    stage.play(&[("GET /v1/invoices/in_000000000001", "", "", 200, "status=draft")]).await;
    stage.wait(1);
    assert_eq!(stage.double.invoices()[0].status, InvoiceStatus::Paid, "an empty invoice is paid");
}

#[tokio::test]
async fn the_customer_pays_on_stripes_page() {
    let stage = Stage::new().await;
    stage.play(&[CUSTOMER, DRAFT, LINES]).await;
    let id = "in_000000000001";
    assert!(matches!(stage.double.pay_as_customer(id), Err(StripeDoubleError::NotPayable { .. })));
    assert!(matches!(stage.double.pay_as_customer("in_9"), Err(StripeDoubleError::NoSuchInvoice(_))));
    stage.play(&[FINALISE]).await;
    stage.double.fail_payment(id).unwrap();
    stage.play(&[("GET /v1/invoices/in_000000000001", "", "", 200, "status=open attempt_count=1")]).await;
    stage.wait(DAY_S);
    stage.double.pay_as_customer(id).unwrap();
    stage
        .play(&[(
            "GET /v1/invoices/in_000000000001",
            "",
            "",
            200,
            "status=paid attempt_count=2 amount_remaining=0 status_transitions/paid_at=1767312000",
        )])
        .await;
    assert!(stage.double.pay_as_customer(id).is_err());
}

#[tokio::test]
async fn the_oracle_sees_what_was_billed_twice() {
    let stage = Stage::new().await;
    let second = "lines[0][amount]=5&lines[0][metadata][tollbook_line_id]=l1\
                  &lines[1][amount]=5&lines[1][metadata][tollbook_line_id]=l1";
    stage
        .play(&[
            CUSTOMER,
            DRAFT,
            LINES,
            FINALISE,
            ("POST /v1/invoices", "", "customer=cus_000000000001&metadata[tollbook_invoice_id]=inv_1", 200, ""),
            ("POST /v1/invoices/in_000000000002/add_lines", "", second, 200, ""),
        ])
        .await;
    assert_eq!(stage.double.oracle(), [], "a draft bills nobody");
    stage.play(&[("POST /v1/invoices/in_000000000002/finalize", "", "", 200, "")]).await;
    let breaches: Vec<String> = stage.double.oracle().iter().map(ToString::to_string).collect();
    assert_eq!(
        breaches,
        [
            "in_000000000002 has line l1 more than once",
            "inv_1 is finalised more than once: in_000000000001, in_000000000002"
        ]
    );
    stage
        .play(&[
            ("POST /v1/invoices", "", "customer=cus_000000000001", 200, ""),
            ("POST /v1/invoices/in_000000000003/finalize", "", "", 200, ""),
        ])
        .await;
    assert!(stage.double.oracle().contains(&Breach::Unnamed { invoice: "in_000000000003".to_owned() }));
}

#[tokio::test]
async fn after_shutdown_connections_are_refused() {
    let stage = Stage::new().await;
    let base = stage.double.base_url().to_owned();
    // A connection kept alive does not hold the double up.
    let mut idle = Client::connect(&base).await;
    idle.call("GET /v1/invoices", "", "").await.unwrap();
    stage.double.shutdown().await;
    assert!(tokio::net::TcpStream::connect(base.trim_start_matches("http://")).await.is_err());
    assert!(idle.call("GET /v1/invoices", "", "").await.is_none());
}
