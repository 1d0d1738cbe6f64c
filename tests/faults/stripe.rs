//! Stripe that refuses, errs, answers rubbish or nothing: what `bill push` tells, and that afterwards the same command
//! completes with exactly one invoice each (I7).

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::runtime::Runtime;
use tollbook_schemas::tables::billing::INVOICE_EVENT;
use tollbook_simulate::stripe_double::{Fault, FaultKind, LimitReason, Options, StripeDouble};

use crate::catalog::{PARTNERS, feed};
use crate::folder::{Folder, KEY, MONTH, Ran, runtime};

/// A folder with two issued invoices, and a double of Stripe that has heard of none.
pub struct Shop {
    pub folder: Folder,
    pub double: StripeDouble,
    // Serves the double as long as it lives.
    _runtime: Runtime,
}

/// Issued once for all rows: each has a copy.
fn issued() -> &'static Folder {
    static ISSUED: OnceLock<Folder> = OnceLock::new();
    ISSUED.get_or_init(|| {
        let folder = Folder::new();
        folder.write("partners.csv", PARTNERS);
        feed(&folder);
        folder.run(&["partner", "import", "partners.csv", "--apply"]).done();
        folder.run(&["aggregate", "--as-of", MONTH[3]]).done();
        for step in ["draft", "issue"] {
            folder.run(&[&["bill", step][..], &MONTH].concat()).done();
        }
        folder
    })
}

impl Shop {
    pub fn open() -> Self {
        let runtime = runtime();
        let now = DateTime::parse_from_rfc3339(MONTH[3]).unwrap().with_timezone(&Utc).timestamp();
        let double = runtime.block_on(StripeDouble::start(Options::new(KEY, Arc::new(move || now)))).unwrap();
        let shop = Self { folder: issued().copy(), double, _runtime: runtime };
        shop.configure("");
        shop
    }

    /// Few sends, so that a fault that does not end is told soon.
    fn configure(&self, more: &str) {
        self.folder.configure(&format!(
            "[stripe]\nbase_url = \"{}\"\nnamespace = \"faults\"\naccount = \"acct_1\"\nsecret_file = \"stripe.key\"\n\
             timeout_ms = 9000\nsends_max = 2\n{more}",
            self.double.base_url()
        ));
    }

    fn push(&self) -> Ran {
        self.folder.run(&[&["bill", "push"][..], &MONTH].concat())
    }

    /// Everything is final, once, and stays so.
    fn assert_final(&self, name: &str) {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for invoice in self.double.invoices() {
            *seen.entry(invoice.metadata["tollbook_invoice_id"].clone()).or_default() += 1;
            assert_eq!(invoice.status.to_string(), "open", "{name}");
        }
        assert_eq!(seen.into_values().collect::<Vec<_>>(), [1, 1], "{name}: one invoice for each id");
        assert_eq!(self.double.oracle(), [], "{name}");
        let events = self.folder.rows(&INVOICE_EVENT);
        let final_count = events.iter().filter(|row| row.text("kind") == Some("finalised")).count();
        assert_eq!(final_count, 2, "{name}");
        let before = (self.double.requests().len(), events);
        let again = self.push().json();
        assert_eq!(
            (again["already_finalised"].as_u64(), again["write_requests"].as_u64()),
            (Some(2), Some(0)),
            "{name}"
        );
        assert_eq!(self.folder.rows(&INVOICE_EVENT), before.1, "{name}: again adds no row");
        let writes = self.double.requests().split_off(before.0).iter().filter(|one| one.method != "GET").count();
        assert_eq!(writes, 0, "{name}: again writes nothing");
    }
}

#[test]
fn answers_that_are_none_are_told_and_the_same_command_completes() {
    let mut rows: Vec<(&str, FaultKind, u32, &[&str])> = Vec::new();
    for (name, kind, count, words) in [
        ("always 500", FaultKind::Status500Before, 8, &["unfinished", "500"][..]),
        ("always 500, and carried out", FaultKind::Status500After, 4, &[]),
        ("429, then fine", FaultKind::Status429(LimitReason::GlobalRate), 4, &["unfinished", "429"]),
        ("HTML", FaultKind::Html(502), 4, &["unfinished", "502 without a readable body"]),
        ("HTML with 200", FaultKind::Html(200), 4, &["unfinished", "200 without a readable body"]),
        ("closed with nothing", FaultKind::RefuseBefore, 4, &["unfinished", "answer did not arrive"]),
        ("carried out, closed with nothing", FaultKind::ExecuteThenDrop, 4, &["unfinished", "answer did not arrive"]),
        ("an empty answer", FaultKind::EmptyBody, 4, &["unfinished", "200 without a readable body"]),
        ("half an answer", FaultKind::ExecuteThenTruncate(10), 4, &["unfinished", "answer broke off"]),
        ("never answering", FaultKind::ExecuteThenSlow(900), 4, &["unfinished", "no answer within 400 ms"]),
    ] {
        rows.push((name, kind, count, words));
    }
    // Most of it is waiting: three at a time.
    std::thread::scope(|scope| {
        for part in rows.chunks(rows.len().div_ceil(3)) {
            scope.spawn(|| part.iter().for_each(|(name, kind, count, words)| row(name, *kind, *count, words)));
        }
    });
}

fn row(name: &str, kind: FaultKind, count: u32, words: &[&str]) {
    let shop = Shop::open();
    for nth in 1..=count {
        shop.double.inject(Fault { endpoint: "*", nth, kind }).unwrap();
    }
    if matches!(kind, FaultKind::ExecuteThenSlow(_)) {
        let text = std::fs::read_to_string(shop.folder.path("tollbook.toml")).unwrap();
        shop.folder.write("tollbook.toml", text.replace("timeout_ms = 9000", "timeout_ms = 400"));
    }
    let begun = Instant::now();
    let mut failed = 0;
    loop {
        let ran = shop.push();
        if ran.code == Some(0) {
            break;
        }
        let told = ran.fails(4, &["not final at Stripe; run `tollbook bill push` again"]);
        if failed == 0 {
            for word in words {
                assert!(told.told.contains(word), "{name}: {word:?} is not in {}", told.told);
            }
        }
        assert!(!told.told.contains(KEY), "{name}: {}", told.told);
        failed += 1;
        assert!(failed < 10, "{name}: {}", told.told);
    }
    assert!(failed > 0 || words.is_empty(), "{name}: nothing went wrong");
    assert!(begun.elapsed() < Duration::from_secs(30), "{name}: {:?}", begun.elapsed());
    assert_eq!(shop.double.faults_left(), 0, "{name}");
    shop.assert_final(name);
}

#[test]
fn keys_that_cannot_be_used_are_told_before_or_when_stripe_refuses() {
    let shop = Shop::open();
    let before = shop.folder.all_rows();
    std::fs::remove_file(shop.folder.path("stripe.key")).unwrap();
    shop.push().fails(2, &["[stripe]", "stripe.key, which cannot be read", "write it there"]);
    for (name, key, words) in [
        ("empty", "\n", &["[stripe] has an empty secret", "secret_file points"][..]),
        ("live", "sk_live_s3cr3t", &["live mode", "use a test key, or set stripe.live = true"]),
        ("a public key", "pk_test_s3cr3t", &["must start with sk_test_ or rk_test_", "copy the secret key"]),
        ("rubbish", "s3cr3t s3cr3t", &["must start with sk_test_ or rk_test_", "copy the secret key"]),
    ] {
        shop.folder.write("stripe.key", key);
        let told = shop.push().fails(2, words);
        assert!(!told.told.contains("s3cr3t"), "{name}: {}", told.told);
    }
    let as_given = |lines: &str| {
        let text = std::fs::read_to_string(shop.folder.path("tollbook.toml")).unwrap();
        shop.folder.write("tollbook.toml", text.replace("secret_file = \"stripe.key\"", lines));
    };
    as_given("secret_env = \"TOLLBOOK_FAULTS_NOT_SET\"");
    shop.push().fails(2, &["environment variable TOLLBOOK_FAULTS_NOT_SET, which is not set; set it"]);
    shop.configure("");
    as_given("");
    shop.push().fails(2, &["[stripe] must name secret_env or secret_file"]);
    shop.configure("");
    assert_eq!(shop.folder.all_rows(), before, "nothing was begun");
    assert_eq!(shop.double.requests().len(), 0, "nothing was sent");

    // One that Stripe refuses: the run ends, nothing is made, and the right key goes on with what was begun.
    shop.folder.write("stripe.key", "sk_test_s3cr3t");
    let told = shop.push().fails(2, &["Stripe refused the key (401", "check the key, its permissions and its account"]);
    assert!(!told.told.contains("s3cr3t"), "{}", told.told);
    let sync = shop.folder.run(&["bill", "sync"]);
    assert!(!sync.told.contains("s3cr3t"), "{}", sync.told);
    assert_eq!(shop.double.invoices().len(), 0);
    shop.folder.write("stripe.key", KEY);
    shop.push().done();
    shop.assert_final("after a wrong key");
}

#[test]
fn a_stripe_that_is_not_there_or_not_stripe_is_told() {
    let shop = Shop::open();
    let set = |from: &str, to: &str| {
        let text = std::fs::read_to_string(shop.folder.path("tollbook.toml")).unwrap();
        shop.folder.write("tollbook.toml", text.replace(from, to));
    };
    set(shop.double.base_url(), "http://stripe.example");
    shop.push().fails(2, &["stripe.base_url \"http://stripe.example\" cannot be used", "write https://api.stripe.com"]);
    shop.configure("");
    set("timeout_ms = 9000", "timeout_ms = 0");
    shop.push().fails(2, &["timeout_ms must be 1 or more"]);
    shop.configure("");
    set(shop.double.base_url(), "http://127.0.0.1:1");
    shop.push().fails(4, &["Stripe could not be reached", "run `tollbook bill push` again"]);
    // Payments that cannot be asked about are told too.
    shop.configure("");
    // What was begun at another address belongs to another account: a copy begins anew.
    let shop = Shop::open();
    shop.push().done();
    for nth in 1..=8 {
        shop.double.inject(Fault { endpoint: "*", nth, kind: FaultKind::Status500Before }).unwrap();
    }
    let sync = || shop.folder.run(&["bill", "sync"]);
    sync().fails(4, &["Stripe did not tell of", "500"]);
    while shop.double.faults_left() > 0 {
        sync();
    }
    let told = sync().json();
    assert_eq!((told["open"].as_u64(), told["unfinished"].as_u64()), (Some(2), Some(0)));
    shop.assert_final("after sync");
}
