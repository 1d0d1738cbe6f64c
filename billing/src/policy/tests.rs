use super::*;
use crate::draft::tests::{drafted, profile};

/// Acme's June with a total.
fn document(total_minor: i64) -> Document {
    let mut body = drafted("acme pro 2026-01-01..", "").documents[0].body.clone();
    body.lines.truncate(1);
    (body.lines[0].amount_minor, body.total_minor) = (total_minor, total_minor);
    Document::close(body).unwrap()
}

/// Reads `month total`, several, separated by `;`.
fn past(text: &str) -> BTreeMap<Month, i64> {
    let lines = text.split(';').map(str::trim).filter(|line| !line.is_empty());
    let read = |line: &str| {
        let (month, total) = line.split_once(' ').unwrap();
        (month.parse().unwrap(), total.parse().unwrap())
    };
    lines.map(read).collect()
}

fn met(policy: &HoldPolicy, total_minor: i64, before: &str) -> Vec<String> {
    let profile = profile("acme", "2026-01-01", "1");
    let met = rules_met(policy, &document(total_minor), Ok(&profile), &past(before));
    met.into_iter().map(|met| format!("{}: {}", met.rule, met.what)).collect()
}

/// What Stripe takes is issued, one line more is not: nothing of it could ever be sent.
#[test]
fn an_invoice_of_more_lines_than_stripe_takes_is_held() {
    let profile = profile("acme", "2026-01-01", "1");
    for (lines, is_held) in [(LINES_MAX, false), (LINES_MAX + 1, true)] {
        let mut body = document(0).body;
        body.lines = vec![body.lines[0].clone(); lines];
        let document = Document::close(body).unwrap();
        let met = rules_met(&HoldPolicy::default(), &document, Ok(&profile), &past(""));
        assert_eq!(met.iter().any(|met| met.rule == "too_many_lines"), is_held, "{met:?}");
        let off = HoldPolicy { too_many_lines: false, ..HoldPolicy::default() };
        assert_eq!(rules_met(&off, &document, Ok(&profile), &past("")), []);
    }
}

/// Without configuration everything is issued that was so far, but what is below 0.
#[test]
fn by_default_only_what_is_below_zero_is_held() {
    let policy = HoldPolicy::default();
    for total in [0, 1, 1_000_000] {
        assert_eq!(met(&policy, total, "2026-05 1"), Vec::<String>::new(), "{total}");
        assert_eq!(met(&policy, total, ""), Vec::<String>::new(), "{total}");
    }
    assert_eq!(met(&policy, -1, ""), ["negative_total: total -0.01 EUR is below 0"]);
    assert_eq!(met(&HoldPolicy { negative_total: false, ..policy }, -1, ""), Vec::<String>::new());
}

/// One row: limit, minimum, total, what was issued before, and what is told.
#[test]
fn a_total_far_from_the_trailing_three_is_held() {
    const SPRING: &str = "2026-03 48500; 2026-04 49500; 2026-05 50500";
    const ODD: &str = "2026-04 1; 2026-05 2";
    for (limit_percent, minimum, total, before, told) in [
        (
            50,
            "0",
            81_200,
            SPRING,
            Some("total 812.00 EUR is 64.04 % above the mean 495.00 EUR of 2026-03..2026-05; limit 50 %"),
        ),
        // Exactly at the limit is not beyond it; a cent more is.
        (50, "0", 74_250, SPRING, None),
        (50, "0", 24_750, SPRING, None),
        (
            50,
            "0",
            74_251,
            SPRING,
            Some("total 742.51 EUR is more than 50 % above the mean 495.00 EUR of 2026-03..2026-05; limit 50 %"),
        ),
        (50, "0", 0, SPRING, Some("total 0.00 EUR is 100 % below the mean 495.00 EUR of 2026-03..2026-05; limit 50 %")),
        // A difference below the minimum is never held; one of exactly it is.
        (50, "317", 81_200, SPRING, Some("64.04 %")),
        (50, "317.01", 81_200, SPRING, None),
        (50, "99999999999999999999999999", 81_200, SPRING, None),
        // The mean of 1 and 2 cents is 1.5: no rounding before the comparison.
        (0, "0", 2, ODD, Some("total 0.02 EUR is 33.33 % above the mean 0.02 EUR of 2026-04..2026-05; limit 0 %")),
        (33, "0.005", 2, ODD, Some("33.33 %")),
        (33, "0.006", 2, ODD, None),
        (34, "0", 2, ODD, None),
        // Only the last three count, whatever lies between them, and nothing from the month itself on.
        (
            10,
            "0",
            120,
            "2025-01 9000; 2026-01 100; 2026-03 100; 2026-05 100; 2026-06 9; 2026-07 9",
            Some("total 1.20 EUR is 20 % above the mean 1.00 EUR of 2026-01, 2026-03, 2026-05; limit 10 %"),
        ),
        (50, "0", 200, "2026-05 100", Some("total 2.00 EUR is 100 % above the mean 1.00 EUR of 2026-05; limit 50 %")),
        // A mean of 0 has no per cent: everything else deviates.
        (
            900,
            "0",
            1,
            "2026-05 0; 2026-04 0",
            Some("total 0.01 EUR is above the mean 0.00 EUR of 2026-04..2026-05; limit 900 %"),
        ),
        (900, "0", 0, "2026-05 0", None),
        // The mean of credits is below 0.
        (50, "0", -100, "2026-05 -100", None),
        (50, "0", 0, "2026-05 -100", Some("total 0.00 EUR is 100 % above the mean -1.00 EUR of 2026-05; limit 50 %")),
        // The largest amounts.
        (u32::MAX, "0", i64::MAX, "2026-05 -9223372036854775808; 2026-04 -9223372036854775808", None),
        (199, "0", i64::MAX, "2026-05 -9223372036854775808; 2026-04 -9223372036854775808", Some("is 199.99 % above")),
        (50, "0", 100, "", None),
    ] {
        let minimum: Decimal = minimum.parse().unwrap();
        let deviation = Some(Deviation { limit_percent, minimum });
        let found = met(&HoldPolicy { deviation, ..HoldPolicy::NOTHING }, total, before);
        match told {
            None => assert_eq!(found, Vec::<String>::new(), "{limit_percent} {minimum} {total} {before}"),
            Some(told) => assert!(found.len() == 1 && found[0].contains(told), "{told}: {found:?}"),
        }
    }
}

#[test]
fn the_first_invoice_and_every_invoice_can_be_held() {
    let first = HoldPolicy { first_invoice: true, ..HoldPolicy::NOTHING };
    assert_eq!(met(&first, 5, ""), ["first_invoice: the first invoice of this partner and issuer in EUR"]);
    assert_eq!(met(&first, 5, "2026-07 5"), ["first_invoice: the first invoice of this partner and issuer in EUR"]);
    assert_eq!(met(&first, 5, "2025-05 0"), Vec::<String>::new());
    let every = HoldPolicy { every_invoice: true, ..HoldPolicy::NOTHING };
    // A credit note has rules of its own.
    let deviation = Some(Deviation { limit_percent: 1, minimum: Decimal::ZERO });
    let all = HoldPolicy { deviation, first_invoice: true, negative_total: true, ..HoldPolicy::NOTHING };
    let mut body = document(-500).body;
    body.kind = crate::document::DocumentKind::CreditNote;
    let note = Document::close(body).unwrap();
    let profile = profile("acme", "2026-01-01", "1");
    let held = |policy: &HoldPolicy| rules_met(policy, &note, Ok(&profile), &past("2026-05 5"));
    assert_eq!(held(&all), []);
    let [met_by] = &held(&HoldPolicy { credit_note: HeldCreditNotes::All, ..all })[..] else { panic!() };
    assert_eq!((met_by.rule, met_by.what.as_str()), ("credit_note", "a credit note of -5.00 EUR"));
    assert_eq!(met(&every, 5, "2026-05 5"), ["every_invoice: every invoice is approved first; total 0.05 EUR"]);
}

/// One row: which credit notes are held, whether a person made all of its lines, and what is told.
#[test]
fn a_credit_note_that_nobody_made_is_held_by_default() {
    let by_hand = || crate::document::ByHand {
        actor: "staff:ann".to_owned(),
        adjustment_id: tollbook_schemas::id::AdjustmentId::derive(["a"]),
        billed_minor: 0,
        for_invoice: Some("B-000001".to_owned()),
        is_revoked: false,
        month: "2026-06".parse().unwrap(),
        reason: "dispute".to_owned(),
    };
    let usual = HoldPolicy::default().credit_note;
    for (credit_note, is_made, told) in [
        (usual, false, Some("a credit note of -5.00 EUR, of what came late or was corrected: nobody made it by hand")),
        (usual, true, None),
        (HeldCreditNotes::Nothing, false, None),
        (HeldCreditNotes::All, true, Some("a credit note of -5.00 EUR")),
    ] {
        let mut body = document(-500).body;
        body.kind = crate::document::DocumentKind::CreditNote;
        body.lines[0].by_hand = is_made.then(by_hand);
        let note = Document::close(body).unwrap();
        let profile = profile("acme", "2026-01-01", "1");
        let policy = HoldPolicy { credit_note, ..HoldPolicy::NOTHING };
        let met = rules_met(&policy, &note, Ok(&profile), &BTreeMap::new());
        assert_eq!(met.first().map(|met| met.what.as_str()), told, "{credit_note:?} {is_made}");
    }
}

/// What credits pay of an invoice is no part of how it compares.
#[test]
fn a_total_is_compared_before_prepaid_credits() {
    let limit = Some(Deviation { limit_percent: 50, minimum: Decimal::ZERO });
    let policy = HoldPolicy { deviation: limit, ..HoldPolicy::NOTHING };
    for (before_minor, paid_minor, past_total, told) in [
        (4920, 800, "2026-05 5200", None),
        (5200, 5200, "2026-05 4900", None),
        (
            12_000,
            12_000,
            "2026-05 5000",
            Some("before prepaid credits, total 120.00 EUR is 140 % above the mean 50.00 EUR of 2026-05; limit 50 %"),
        ),
    ] {
        let mut body = document(before_minor).body;
        let mut paid = body.lines[0].clone();
        paid.amount_minor = -paid_minor;
        paid.credit = Some(crate::document::LineCredit {
            after_minor: 0,
            before_minor: paid_minor,
            credit_id: tollbook_schemas::id::CreditId::parse("c1").unwrap(),
            first_month: "2026-05".parse().unwrap(),
            granted_minor: paid_minor,
        });
        body.lines.push(paid);
        body.total_minor = before_minor - paid_minor;
        let invoice = Document::close(body).unwrap();
        let profile = profile("acme", "2026-01-01", "1");
        let met = rules_met(&policy, &invoice, Ok(&profile), &past(past_total));
        assert_eq!(met.first().map(|met| met.what.as_str()), told, "{before_minor} {paid_minor}");
    }
}

/// A field is missing where it is blank, and the reason says where to add it and nothing of the customer.
#[test]
fn an_invoice_without_a_required_field_is_held() {
    let all = HoldPolicy {
        issuer_fields: IssuerField::words().into_iter().map(|word| IssuerField::parse(word).unwrap()).collect(),
        customer_fields: CustomerField::words().into_iter().map(|word| CustomerField::parse(word).unwrap()).collect(),
        ..HoldPolicy::NOTHING
    };
    let whole =
        Profile { tax_id: Some("DE1".into()), purchase_order: Some("7".into()), ..profile("acme", "2026-01-01", "1") };
    let mut body = document(1).body;
    body.issuer.tax_id = Some("DE2".into());
    let full = Document::close(body.clone()).unwrap();
    assert_eq!(rules_met(&all, &full, Ok(&whole), &BTreeMap::new()), []);
    body.issuer.tax_id = Some(" ".into());
    body.issuer.address = vec![" ".into(), String::new()];
    let bare = Document::close(body).unwrap();
    let blank = Profile { country: " ".into(), billing_email: String::new(), tax_id: None, ..whole.clone() };
    let [met] = &rules_met(&all, &bare, Ok(&blank), &BTreeMap::new())[..] else { panic!() };
    assert_eq!(met.rule, "missing_field");
    let id = &blank.profile_version_id;
    assert_eq!(
        met.what,
        format!(
            "issuer berlin has no address, no tax_id: add it to the catalog; billing profile {id} has no country, no \
             billing_email, no tax_id: import it again with `tollbook partner import`"
        )
    );
    // A profile that is gone is no profile with all its fields; where none is required, nobody asks.
    let [met] = &rules_met(&all, &full, Err("it is gone".into()), &BTreeMap::new())[..] else { panic!() };
    assert_eq!(met.what, "it is gone");
    assert_eq!(rules_met(&HoldPolicy::NOTHING, &bare, Err("it is gone".into()), &BTreeMap::new()), []);
}
