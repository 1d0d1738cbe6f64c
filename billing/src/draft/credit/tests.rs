//! Prepaid credits on documents: months closed one after the other, each with the grants that were known then.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tollbook_schemas::id::{CreditId, IssuerId, PartnerId};
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::registry::{Grant, Registry};

use super::super::tax::tests::catalog as taxed;
use super::super::tests::{at, profiles, registry as subscriptions, usage};
use super::super::{DraftInput, Drafted, TermsChanges, draft_adjusting};
use super::*;
use crate::billed::Billed;

/// Reads `partner id amount from..[expires] [priority]`, several, separated by `;`: of `berlin`, in EUR cents.
fn grants(text: &str) -> BTreeMap<CreditId, Grant> {
    let one = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [partner, id, amount, span] = words[..4] else { panic!("{line}") };
        let (from, expires) = span.split_once("..").unwrap();
        let credit_id = CreditId::parse(id).unwrap();
        let grant = Grant {
            credit_id: credit_id.clone(),
            partner_id: PartnerId::parse(partner).unwrap(),
            issuer_id: IssuerId::parse("berlin").unwrap(),
            amount: Money { minor: amount.parse().unwrap(), currency: Currency::parse("EUR").unwrap() },
            description: id.to_owned(),
            priority: words.get(4).map_or(0, |word| word.parse().unwrap()),
            granted_at: at(from),
            expires_at: (!expires.is_empty()).then(|| at(expires)),
            voided_at: None,
        };
        (credit_id, grant)
    };
    text.split(';').map(str::trim).filter(|line| !line.is_empty()).map(one).collect()
}

#[derive(Default)]
struct Program {
    issued: Vec<IssuedDocument>,
    rates: &'static str,
}

impl Program {
    fn draft(&self, month: &str, credits: &str, usage_text: &str) -> Drafted {
        let next = month.parse::<Month>().unwrap().next();
        let registry = Registry { credits: grants(credits), ..subscriptions("acme pro 2026-01-01.. UTC") };
        let catalog = taxed(self.rates);
        let input = DraftInput {
            month: month.parse().unwrap(),
            usage: &usage(usage_text),
            registry: &registry,
            catalog: &catalog,
            profiles: &profiles(),
            pin_json: "{}",
            as_of: at(&format!("{next}-02")),
            terms_changes: &TermsChanges::new(),
        };
        draft_adjusting(&input, &self.issued).unwrap()
    }

    /// Issues what may be issued, as `issue` does; gives what is stale.
    fn issue(&mut self, drafted: &Drafted) -> usize {
        let mut stale = 0;
        for document in &drafted.documents {
            let billed = Billed::fold(&self.issued, None).unwrap();
            let is_current = billed.is_current(document) && is_current_credit(document, &self.issued);
            if !is_current || billed.slot(&document.slot_id).is_some() {
                stale += 1;
                continue;
            }
            let number = format!("N{}", self.issued.len() + 1);
            self.issued.push(IssuedDocument { document: document.clone(), number, is_voided: false });
        }
        stale
    }

    fn close(&mut self, month: &str, credits: &str, usage_text: &str) -> String {
        let drafted = self.draft(month, credits, usage_text);
        self.issue(&drafted);
        told(&drafted)
    }
}

/// `kind total: price amount[ before>after], …`.
fn told(drafted: &Drafted) -> String {
    let line = |line: &Line| match &line.credit {
        None => format!("{} {}", line.price_id, line.amount_minor),
        Some(credit) => {
            format!("{} {} {}>{}", line.price_id, line.amount_minor, credit.before_minor, credit.after_minor)
        }
    };
    let documents = drafted.documents.iter().map(|document| {
        let lines: Vec<String> = document.body.lines.iter().map(line).collect();
        format!("{} {}: {}", document.body.kind.as_str(), document.total(), lines.join(", "))
    });
    let blocked = drafted.blocked.iter().map(|blocked| format!("{}! {}", blocked.partner_id, blocked.reason));
    documents.chain(blocked).collect::<Vec<_>>().join(" | ")
}

/// One row: grants, calls of April as known in April and in May; the documents of both months. `pro` costs 49.00, and
/// 0.10 a call above 10.
#[test]
fn credits_pay_invoices_in_their_order() {
    for (credits, rates, april, may, expected) in [
        ("", "", 10, 10, ["invoice 49.00 EUR: base 4900, calls 0", "invoice 49.00 EUR: base 4900, calls 0"]),
        // 100.00 pay April and May, and 2.00 are left.
        (
            "acme c 10000 2026-01-01..",
            "",
            10,
            10,
            [
                "invoice 0.00 EUR: base 4900, calls 0, c -4900 10000>5100",
                "invoice 0.00 EUR: base 4900, calls 0, c -4900 5100>200",
            ],
        ),
        // After tax.
        (
            "acme c 10000 2026-01-01..",
            "vat 19",
            10,
            10,
            [
                "invoice 0.00 EUR: base 4900, calls 0, vat 931, c -5831 10000>4169",
                "invoice 16.62 EUR: base 4900, calls 0, vat 931, c -4169 4169>0",
            ],
        ),
        // Priority, then expiry, then age.
        (
            "acme a 1000 2026-01-01..; acme b 1000 2026-01-02.. -1; acme c 1000 2026-01-03..2027-01-01; \
             acme d 1000 2026-01-04..2026-12-01; acme e 1000 2025-12-01..",
            "",
            10,
            10,
            [
                "invoice 0.00 EUR: base 4900, calls 0, b -1000 1000>0, d -1000 1000>0, c -1000 1000>0, e -1000 1000>0, a -900 1000>100",
                "invoice 48.00 EUR: base 4900, calls 0, a -100 100>0",
            ],
        ),
        // What expires with the month pays it, and no later one. April of `berlin` ends on the 30th at 22:00 UTC, that
        // of a subscription in UTC at midnight.
        (
            "acme c 10000 2026-01-01..2026-05-01",
            "",
            10,
            10,
            ["invoice 0.00 EUR: base 4900, calls 0, c -4900 10000>5100", "invoice 49.00 EUR: base 4900, calls 0"],
        ),
        (
            "acme c 10000 2026-01-01..2026-04-30T23:59",
            "",
            10,
            10,
            ["invoice 49.00 EUR: base 4900, calls 0", "invoice 49.00 EUR: base 4900, calls 0"],
        ),
        // Granted after the month, or to somebody else.
        (
            "acme c 10000 2026-05-01..; bolt d 10000 2026-01-01..",
            "",
            10,
            10,
            ["invoice 49.00 EUR: base 4900, calls 0", "invoice 0.00 EUR: base 4900, calls 0, c -4900 10000>5100"],
        ),
        // Late usage is paid as of the document that adjusts it.
        (
            "acme c 6000 2026-01-01..; acme d 6000 2026-01-01..2026-05-01",
            "",
            10,
            30,
            [
                "invoice 0.00 EUR: base 4900, calls 0, d -4900 6000>1100",
                "invoice 0.00 EUR: base 4900, calls 0, calls 200, c -5100 6000>900",
            ],
        ),
        // What comes to less is given back as money, and uses nothing.
        (
            "acme c 6000 2026-01-01..",
            "",
            20,
            10,
            [
                "invoice 0.00 EUR: base 4900, calls 100, c -5000 6000>1000",
                "invoice 39.00 EUR: base 4900, calls 0, c -1000 1000>0 | credit_note -1.00 EUR: calls -100",
            ],
        ),
    ] {
        let mut program = Program { rates, ..Program::default() };
        let calls = |count: u32| format!("acme calls production 2026-04-02T00:00 {count}");
        let found = [program.close("2026-04", credits, &calls(april)), program.close("2026-05", credits, &calls(may))];
        assert_eq!(found, expected, "{credits} {rates}");
    }
}

/// Two drafts use one credit from the same state: when one was issued, the other is stale. What is voided gives back.
#[test]
fn a_credit_is_used_by_one_document_at_a_time() {
    let mut program = Program::default();
    let credits = "acme c 6000 2026-01-01..";
    let (april, may) = (program.draft("2026-04", credits, ""), program.draft("2026-05", credits, ""));
    assert!(told(&april).contains("6000>1100") && told(&may).contains("6000>1100"));
    assert_eq!(program.issue(&april), 0);
    assert_eq!(program.issue(&may), 1, "it would use what is used");
    assert!(told(&program.draft("2026-05", credits, "")).ends_with("c -1100 1100>0"));
    program.issued[0].is_voided = true;
    assert!(told(&program.draft("2026-05", credits, "")).ends_with("c -4900 6000>1100"));
    assert!(is_current_credit(&may.documents[0], &[]), "nothing was used");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever is granted, known and issued in whatever order of months: what was used and what is left are what was
    /// granted, no credit goes below 0, and what documents come to before credits is what they ask for and what credits
    /// paid.
    #[test]
    fn credits_are_conserved(
        amounts in prop::collection::vec((1..9_000_i64, 0..3_i64, 1..7_u32, 0..4_u32), 0..5),
        months in prop::collection::vec(1..7_u32, 1..9),
        calls in prop::collection::vec((1..7_u32, 1..60_i64, 0..9_usize), 0..8),
        rates in prop::sample::select(vec!["", "vat 19", r#"vat 19 mode="inclusive""#]),
    ) {
        let credits: Vec<String> = amounts
            .iter()
            .enumerate()
            .map(|(at, (amount, priority, month, lasts))| {
                let expires = if *lasts == 0 { String::new() } else { format!("2026-{:02}-15", month + lasts) };
                format!("acme c{at} {amount} 2026-{month:02}-10..{expires} {priority}")
            })
            .collect();
        let credits = credits.join("; ");
        let mut program = Program { rates, ..Program::default() };
        for (at, month) in months.iter().enumerate() {
            let known = calls.iter().filter(|call| call.2 <= at);
            let known: Vec<String> =
                known.map(|(month, count, _)| format!("acme calls production 2026-{month:02}-03T00:00 {count}")).collect();
            // Drafted together with the next month, of which only one may use a credit.
            let next = format!("2026-{:02}", month + 1);
            let drafts = [format!("2026-{month:02}"), next].map(|month| program.draft(&month, &credits, &known.join("; ")));
            for drafted in &drafts {
                program.issue(drafted);
            }
        }
        let used = used_credits(&program.issued).unwrap();
        for (id, grant) in grants(&credits) {
            let used = used.get(&id).copied().unwrap_or(0);
            prop_assert!((0..=grant.amount.minor).contains(&used), "{id}: {used} of {}", grant.amount.minor);
            // Lines follow each other: each begins where the one before ended.
            let lines = program.issued.iter().flat_map(|one| &one.document.body.lines);
            let mut left = grant.amount.minor;
            for credit in lines.filter_map(|line| line.credit.as_ref()).filter(|credit| credit.credit_id == id) {
                prop_assert_eq!(credit.before_minor, left);
                left = credit.after_minor;
            }
            prop_assert_eq!(left + used, grant.amount.minor);
        }
        for IssuedDocument { document, .. } in &program.issued {
            let lines = &document.body.lines;
            let own: i64 = lines.iter().filter(|line| line.credit.is_none()).map(|line| line.amount_minor).sum();
            let paid: i64 = lines.iter().filter(|line| line.credit.is_some()).map(|line| -line.amount_minor).sum();
            prop_assert_eq!(own - paid, document.body.total_minor);
            prop_assert!(paid == 0 || (own > 0 && paid <= own));
        }
    }
}
