use std::collections::BTreeMap;

use proptest::prelude::*;
use tollbook_schemas::catalog::{Catalog, Product};
use tollbook_schemas::id::{MeterId, ProductId};
use tollbook_schemas::period::Month;
use tollbook_schemas::registry::Registry;

use super::*;
use crate::document::Body;
use crate::draft::coupon::tests::{catalog as couponed, redeemed};
use crate::draft::parts::draft_parts;
use crate::draft::tests::{at, profiles, registry, usage};
use crate::draft::{TermsChanges, changed_terms, of_partners};

/// Closes months one after the other, each with what was known then.
#[derive(Default)]
struct Program {
    issued: Vec<IssuedDocument>,
    adjust_months_max: Option<u32>,
    terms_changes: TermsChanges,
    /// Tax rates.
    rates: &'static str,
    /// Terms of coupons, and who redeemed them.
    coupons: (&'static str, &'static str),
    /// The product of the meter `calls`.
    product: Option<&'static str>,
}

impl Program {
    /// Drafted on the second day after the month.
    fn draft(&self, month: &str, registry_text: &str, usage_text: &str) -> Drafted {
        let next = month.parse::<Month>().unwrap().next();
        self.draft_as_of(&format!("{next}-02"), month, registry_text, usage_text)
    }

    fn draft_as_of(&self, as_of: &str, month: &str, registry_text: &str, usage_text: &str) -> Drafted {
        let (terms, coupons) = self.coupons;
        let registry = Registry { coupons: redeemed(coupons), ..registry(registry_text) };
        let mut catalog = couponed(terms, self.rates);
        let (usage, profiles) = (usage(usage_text), profiles());
        catalog.issuers.values_mut().for_each(|issuer| issuer.adjust_months_max = self.adjust_months_max);
        let product = self.product.map(|product| ProductId::parse(product).unwrap());
        catalog.meters.get_mut(&MeterId::parse("calls").unwrap()).unwrap().product = product;
        let input = DraftInput {
            month: month.parse().unwrap(),
            usage: &usage,
            registry: &registry,
            catalog: &catalog,
            profiles: &profiles,
            pin_json: "{}",
            as_of: at(as_of),
            terms_changes: &self.terms_changes,
        };
        let in_parts_of = |partners_max| {
            draft_parts(&input, &self.issued, partners_max, |input, part| of_partners(input, &part.usage, &part.issued))
        };
        // Whatever the cut, nothing of a partner depends on another.
        let whole = in_parts_of(usize::MAX).unwrap();
        assert_eq!(in_parts_of(1).unwrap(), whole);
        whole
    }

    fn issue(&mut self, drafted: &Drafted) {
        let billed = Billed::fold(&self.issued, None).unwrap();
        let closed: Vec<_> = drafted.documents.iter().filter(|one| billed.slot(&one.slot_id).is_none()).collect();
        assert!(closed.iter().all(|document| billed.is_current(document)));
        for document in closed.into_iter().cloned().collect::<Vec<_>>() {
            let number = format!("N{}", self.issued.len() + 1);
            self.issued.push(IssuedDocument { document, number, is_voided: false });
        }
    }

    fn close(&mut self, month: &str, registry_text: &str, usage_text: &str) -> String {
        let drafted = self.draft(month, registry_text, usage_text);
        let told = told(&drafted);
        self.issue(&drafted);
        told
    }
}

/// Documents as `partner kind total: price[@adjusted month] quantity amount, …`; then who is not adjusted, and why.
fn told(drafted: &Drafted) -> String {
    let line = |line: &Line| {
        let month = line.adjusts.as_ref().map_or(String::new(), |adjusts| format!("@{}", adjusts.month));
        format!("{}{month} {} {}", line.price_id, line.quantity, line.amount_minor)
    };
    let documents = drafted.documents.iter().map(|document| {
        let body = &document.body;
        let lines: Vec<String> = body.lines.iter().map(line).collect();
        let kind = match &body.credits {
            None => body.kind.as_str().to_owned(),
            Some(credits) => format!("{} of {}", body.kind.as_str(), credits.number),
        };
        format!("{} {kind} {}: {}", body.partner_id, document.total(), lines.join(", "))
    });
    let left = drafted.unadjusted.iter().map(|one| format!("{} {}! {}", one.partner_id, one.month, one.reason));
    documents.chain(left).collect::<Vec<_>>().join(" | ")
}

/// One row: what was known when each month was closed, and the documents of the last. A plan of 49.00 a month, ten
/// calls included, 0.10 for each call above.
#[test]
fn what_comes_late_is_billed_by_the_next_documents() {
    let pro = "acme pro 2026-01-01.. UTC";
    let gone = "acme pro 2026-01-01..2026-04-11 UTC";
    let june = "acme calls production 2026-04-02T00:00";
    for (case, closes, expected) in [
        (
            "nothing came late",
            vec![("2026-04", pro, format!("{june} 12")), ("2026-05", pro, format!("{june} 12"))],
            "acme invoice 49.00 EUR: base 1 4900, calls 0 0",
        ),
        (
            "late usage above the included units",
            vec![("2026-04", pro, format!("{june} 12")), ("2026-05", pro, format!("{june} 15"))],
            "acme invoice 49.30 EUR: base 1 4900, calls 0 0, calls@2026-04 3 30",
        ),
        (
            "late usage that crosses the included units pays for what lies above",
            vec![("2026-04", pro, format!("{june} 8")), ("2026-05", pro, format!("{june} 12"))],
            "acme invoice 49.20 EUR: base 1 4900, calls 0 0, calls@2026-04 4 20",
        ),
        (
            "late usage within the included units is told at 0",
            vec![("2026-04", pro, format!("{june} 2")), ("2026-05", pro, format!("{june} 7"))],
            "acme invoice 49.00 EUR: base 1 4900, calls 0 0, calls@2026-04 5 0",
        ),
        (
            "a correction downwards is a credit note beside the invoice",
            vec![("2026-04", pro, format!("{june} 20")), ("2026-05", pro, format!("{june} 13"))],
            "acme invoice 49.00 EUR: base 1 4900, calls 0 0 | acme credit_note of N1 -0.70 EUR: calls@2026-04 -7 -70",
        ),
        (
            "an adjusted month is adjusted from where it stands",
            vec![
                ("2026-04", pro, format!("{june} 12")),
                ("2026-05", pro, format!("{june} 15")),
                ("2026-06", pro, format!("{june} 14")),
            ],
            "acme invoice 49.00 EUR: base 1 4900, calls 0 0 | acme credit_note of N1 -0.10 EUR: calls@2026-04 -1 -10",
        ),
        (
            "what was credited may come back",
            vec![
                ("2026-04", pro, format!("{june} 20")),
                ("2026-05", pro, format!("{june} 13")),
                ("2026-06", pro, format!("{june} 20")),
            ],
            "acme invoice 49.70 EUR: base 1 4900, calls 0 0, calls@2026-04 7 70",
        ),
        (
            "a subscription that had ended is credited in full, with no invoice to ride on",
            vec![
                ("2026-04", pro, format!("{june} 12")),
                ("2026-05", pro, format!("{june} 12")),
                ("2026-06", gone, format!("{june} 12")),
            ],
            "acme credit_note of N2 -49.00 EUR: base@2026-05 -1 -4900",
        ),
        (
            "late usage of who has left makes an invoice of its own",
            vec![
                ("2026-04", gone, format!("{june} 12")),
                ("2026-05", gone, format!("{june} 12")),
                ("2026-06", gone, format!("{june} 22")),
            ],
            "acme invoice 1.00 EUR: calls@2026-04 10 100",
        ),
        (
            "what comes to nothing makes no document of its own",
            vec![("2026-04", gone, format!("{june} 2")), ("2026-05", gone, format!("{june} 7"))],
            "",
        ),
        (
            "two months at once, each by its own",
            vec![
                ("2026-04", pro, format!("{june} 12")),
                ("2026-05", pro, format!("{june} 12; acme calls production 2026-05-02T00:00 30")),
                ("2026-06", pro, format!("{june} 16; acme calls production 2026-05-02T00:00 11")),
            ],
            "acme invoice 49.40 EUR: base 1 4900, calls 0 0, calls@2026-04 4 40 | \
             acme credit_note of N2 -1.90 EUR: calls@2026-05 -19 -190",
        ),
        (
            "a subscription that began earlier than was known",
            vec![
                ("2026-04", "acme pro 2026-01-01.. UTC", String::new()),
                (
                    "2026-05",
                    "acme pro 2026-01-01.. UTC; acme seats 2026-04-01.. UTC",
                    "acme users production 2026-04-02T00:00 a,b".to_owned(),
                ),
            ],
            "acme invoice 54.00 EUR: base 1 4900, calls 0 0, users 0 0, users@2026-04 2 500",
        ),
        (
            "a subscription that moved to another issuer is left to a person",
            vec![
                ("2026-04", "acme s1:pro 2026-01-01.. UTC", String::new()),
                ("2026-05", "acme s1:jp 2026-01-01.. UTC", String::new()),
            ],
            "acme invoice 1000 JPY: base 1 1000 | acme 2026-04! subscription s1 moved to another issuer, currency or payer \
             after invoice N1 billed it; credit the invoice and bill the rest by hand",
        ),
        (
            "who cannot be computed for an earlier month is billed for this one, and told",
            vec![
                ("2026-04", "acme pro 2026-01-01.. UTC", String::new()),
                ("2026-05", "acme s1:nosuch 2026-01-01..2026-05-01 UTC; acme s2:pro 2026-05-01.. UTC", String::new()),
            ],
            "acme invoice 49.00 EUR: base 1 4900, calls 0 0 | acme 2026-04! it cannot be computed now: subscription s1 is to plan nosuch, which \
             the catalog does not have; add the plan, or correct the subscription",
        ),
    ] {
        let mut program = Program::default();
        let mut last = String::new();
        for (month, registry_text, usage_text) in &closes {
            last = program.close(month, registry_text, usage_text);
        }
        assert_eq!(last, expected, "{case}");
        // Closed again, the same month bills nothing new.
        let (month, registry_text, usage_text) = closes.last().unwrap();
        let before = program.issued.len();
        program.close(month, registry_text, usage_text);
        assert_eq!(program.issued.len(), before, "{case}");
    }
}

/// The tax that documents billed for the months before one.
fn tax_before(issued: &[IssuedDocument], month: &str) -> i64 {
    let month: Month = month.parse().unwrap();
    let lines = issued.iter().flat_map(|one| one.document.body.lines.iter().map(|line| (&one.document.body, line)));
    let billed_for = |body: &Body, line: &Line| line.adjusts.as_ref().map_or(body.month, |adjusts| adjusts.month);
    lines.filter(|(body, line)| billed_for(body, line) < month).map(|(_, line)| line.tax_minor()).sum()
}

/// One row: tax rates, calls of April when it was billed and as they are known in May, and May's documents: tax is
/// adjusted as any line is, tax now less tax billed.
#[test]
fn tax_is_adjusted_with_what_it_is_of() {
    let pro = "acme pro 2026-01-01.. UTC";
    for (rates, then, now, expected) in [
        // 49.20 × 0.19 = 9.348 was billed as 9.35; 49.50 × 0.19 = 9.405 is 9.41.
        (
            "vat 19",
            12,
            15,
            "acme invoice 58.67 EUR: base 1 4900, calls 0 0, vat 49 931, calls@2026-04 3 30, vat@2026-04 0.3 6",
        ),
        (
            "vat 19",
            20,
            13,
            "acme invoice 58.31 EUR: base 1 4900, calls 0 0, vat 49 931 | \
             acme credit_note of N1 -0.83 EUR: calls@2026-04 -7 -70, vat@2026-04 -0.7 -13",
        ),
        // The rate of then, whatever holds now.
        (
            r#"vat 19; vat 25 version=2 effective_from="2026-05-01T00:00:00Z""#,
            10,
            20,
            "acme invoice 62.44 EUR: base 1 4900, calls 0 0, vat 49 1225, calls@2026-04 10 100, vat@2026-04 1 19",
        ),
        // What is contained is adjusted as well, and adds nothing.
        (
            r#"vat 19 mode="inclusive""#,
            10,
            20,
            "acme invoice 50.00 EUR: base 1 4900, calls 0 0, vat 49 0, calls@2026-04 10 100, vat@2026-04 1 0",
        ),
        (
            r#"vat 19 lines="per_line""#,
            10,
            20,
            "acme invoice 59.50 EUR: base 1 4900, calls 0 0, base 49 931, calls 0 0, calls@2026-04 10 100, calls@2026-04 1 19",
        ),
    ] {
        let mut program = Program { rates, ..Program::default() };
        let calls = |count: u32| format!("acme calls production 2026-04-02T00:00 {count}");
        program.close("2026-04", pro, &calls(then));
        assert_eq!(program.close("2026-05", pro, &calls(now)), expected, "{rates}");
        let of_april = tax_before(&program.issued, "2026-05");
        let fresh = Program { rates, ..Program::default() }.draft("2026-04", pro, &calls(now));
        let tax_now: i64 = fresh.documents.iter().flat_map(|one| &one.body.lines).map(Line::tax_minor).sum();
        assert_eq!(of_april, tax_now, "{rates}");
    }
}

/// A coupon is computed again with its month: what it takes off more or less is adjusted, and its tax with it.
#[test]
fn a_coupon_is_adjusted_with_its_lines() {
    let pro = "acme pro 2026-01-01.. UTC";
    let calls = |count: u32| format!("acme calls production 2026-04-02T00:00 {count}");
    for (coupons, rates, then, now, expected) in [
        (
            ("half percent=50", "acme half 2026-04-10.."),
            "",
            10,
            30,
            "acme invoice 25.50 EUR: base 1 4900, calls 0 0, half 1 -2450, calls@2026-04 20 200, half@2026-04 0 -100",
        ),
        // 24.50 × 0.19 = 4.655 was billed as 4.66; 25.50 × 0.19 = 4.845 is 4.85.
        (
            ("half percent=50", "acme half 2026-04-10.."),
            "vat 19",
            10,
            30,
            "acme invoice 30.35 EUR: base 1 4900, calls 0 0, half 1 -2450, vat 24.5 466, calls@2026-04 20 200, \
             half@2026-04 0 -100, vat@2026-04 1 19",
        ),
        // An amount takes off what is there: 2.00 of the calls of April, and of what came late the rest.
        (
            (r#"five amount=5 currency="EUR" prices=["calls"]"#, "acme five 2026-04-10.."),
            "",
            30,
            100,
            "acme invoice 53.00 EUR: base 1 4900, calls 0 0, calls@2026-04 70 700, five@2026-04 0 -300",
        ),
        // Fewer calls: a credit note of what they cost after the coupon.
        (
            ("half percent=50", "acme half 2026-04-10.."),
            "",
            30,
            10,
            "acme invoice 24.50 EUR: base 1 4900, calls 0 0, half 1 -2450 | \
             acme credit_note of N1 -1.00 EUR: calls@2026-04 -20 -200, half@2026-04 0 100",
        ),
    ] {
        let mut program = Program { rates, coupons, ..Program::default() };
        program.close("2026-04", pro, &calls(then));
        assert_eq!(program.close("2026-05", pro, &calls(now)), expected, "{coupons:?}");
    }
    // Redeemed for a month that was billed: it is given back.
    let mut program = Program { coupons: ("half percent=50 months=1", ""), ..Program::default() };
    program.close("2026-04", pro, "");
    program.coupons.1 = "acme half 2026-04-10..";
    let expected =
        "acme invoice 49.00 EUR: base 1 4900, calls 0 0 | acme credit_note of N1 -24.50 EUR: half@2026-04 1 -2450";
    assert_eq!(program.close("2026-05", pro, ""), expected);
}

/// Rates of a month that was billed are not changed by an edit of the catalog: what it would make is told, and billed
/// by nothing.
#[test]
fn a_change_of_tax_rates_bills_no_past_month() {
    let (pro, late) = ("acme pro 2026-01-01.. UTC", "acme calls production 2026-04-02T00:00 20");
    for (then, now, words) in [
        (
            "",
            "vat 19",
            "2026-04! the tax rates of issuer berlin from 2026-01-01 00:00:00 UTC on changed since invoice N1",
        ),
        (
            "vat 19",
            "vat 20",
            "2026-04! the tax rates of issuer berlin from 2026-01-01 00:00:00 UTC on changed since invoice N1",
        ),
        // What begins later is no matter.
        (
            "vat 19",
            r#"vat 19; vat 20 version=2 effective_from="2026-05-01T00:00:00Z""#,
            "calls@2026-04 20 100, vat@2026-04 1 19",
        ),
        ("", r#"vat 20 effective_from="2026-05-01T00:00:00Z""#, "vat 49 980, calls@2026-04 20 100"),
        // A rate that no line of the month gets: of another country, of another tax code.
        ("vat 19", r#"vat 19; at 20 countries=["AT"]"#, "calls@2026-04 20 100, vat@2026-04 1 19"),
        ("vat 19", r#"vat 19; books 7 tax_codes=["book"]"#, "calls@2026-04 20 100, vat@2026-04 1 19"),
        (r#"vat 19; at 20 countries=["AT"]"#, "vat 19", "calls@2026-04 20 100, vat@2026-04 1 19"),
        // One that they get in the place of the general one.
        (
            "vat 19",
            r#"vat 19; de 19 countries=["DE"]"#,
            "2026-04! the tax rates of issuer berlin from 2026-01-01 00:00:00 UTC on changed since invoice N1",
        ),
    ] {
        let mut program = Program { rates: then, ..Program::default() };
        program.close("2026-04", pro, "");
        program.rates = now;
        // The sample's hash is that of its text.
        program.terms_changes = changed_terms(&couponed("", then), &couponed("", now), &BTreeSet::new());
        let may = told(&program.draft("2026-05", pro, late));
        assert!(may.contains(words), "{then} to {now}: {may}");
    }
}

/// A line says what it is the difference of, with the evidence of all days as they are now; the page's words name the
/// month once, however often it was adjusted.
#[test]
fn an_adjustment_carries_both_figures_and_the_evidence() {
    let mut program = Program::default();
    let pro = "acme pro 2026-01-01.. UTC";
    program.close("2026-04", pro, "acme calls production 2026-04-02T00:00 12");
    program.close("2026-05", pro, "acme calls production 2026-04-02T00:00 15");
    program.close("2026-06", "acme pro 2026-05-01.. UTC", "acme calls production 2026-04-02T00:00 15");
    let lines: Vec<&Line> = program.issued.iter().flat_map(|one| &one.document.body.lines).collect();
    let first = lines.iter().find(|line| line.adjusts.is_some()).unwrap();
    let adjusts = first.adjusts.as_ref().unwrap();
    let figures = |adjusts: &crate::document::Adjusts| {
        let quantities = (adjusts.billed_quantity.to_string(), adjusts.now_quantity.to_string());
        (adjusts.billed_amount_minor, adjusts.now_amount_minor, quantities)
    };
    assert_eq!(figures(adjusts), (20, 50, ("12".to_owned(), "15".to_owned())));
    assert_eq!(adjusts.invoice_ids, [program.issued[0].document.invoice_id.clone()]);
    assert_eq!(first.description, "Calls (adjustment of 2026-04)");
    assert_eq!((first.usage.len(), first.usage[0].quantity.to_string()), (1, "15".to_owned()));
    assert_eq!(first.working.exact, "0.5", "how today's amount came about");
    // The subscription began in May after all: all of April is given back, the adjustment too.
    let note = &program.issued.iter().find(|one| !one.document.body.kind.is_invoice()).unwrap().document;
    assert_eq!((note.body.total_minor, note.body.lines.len()), (-4950, 2));
    let calls = note.body.lines.iter().find(|line| line.price_id.as_str() == "calls").unwrap();
    assert_eq!(figures(calls.adjusts.as_ref().unwrap()), (50, 0, ("15".to_owned(), "0".to_owned())));
    assert_eq!((calls.description.as_str(), calls.working.exact.as_str()), ("Calls (adjustment of 2026-04)", "0"));
    let mut billed_by: Vec<_> = program.issued[..2].iter().map(|one| one.document.invoice_id.clone()).collect();
    billed_by.sort();
    assert_eq!(calls.adjusts.as_ref().unwrap().invoice_ids, billed_by);
}

/// Two drafts that adjust the same month, from the same state: when one was issued, the other may not be.
#[test]
fn a_month_is_adjusted_by_one_document_at_a_time() {
    let mut program = Program::default();
    let pro = "acme pro 2026-01-01.. UTC";
    program.close("2026-04", pro, "");
    let late = "acme calls production 2026-04-02T00:00 30";
    let draft = |month| program.draft_as_of("2026-06-20", month, pro, late);
    let (may, june) = (draft("2026-05"), draft("2026-06"));
    assert!(told(&may).contains("calls@2026-04 30 200") && told(&june).contains("calls@2026-04 30 200"));
    // A month before them brings in what it brought in.
    assert!(!told(&draft("2026-03")).contains("@") && draft("2026-03").unadjusted.is_empty());
    program.issue(&june);
    let billed = Billed::fold(&program.issued, None).unwrap();
    assert!(!billed.is_current(&may.documents[0]));
    assert_eq!(told(&program.draft("2026-05", pro, late)), "acme invoice 49.00 EUR: base 1 4900, calls 0 0");
}

#[test]
fn a_voided_month_is_left_to_a_person() {
    let mut program = Program::default();
    let pro = "acme pro 2026-01-01.. UTC";
    program.close("2026-04", pro, "");
    program.issued[0].is_voided = true;
    let may = program.draft("2026-05", pro, "acme calls production 2026-04-02T00:00 30");
    let words = "acme 2026-04! invoice N1 was voided at Stripe, and what its month comes to now is billed by nothing; \
                 bill it by hand";
    assert_eq!(told(&may), format!("acme invoice 49.00 EUR: base 1 4900, calls 0 0 | {words}"));
    assert!(program.draft("2026-05", pro, "").unadjusted.is_empty(), "nothing of it changed");
}

/// Months before the limit are told, and the others adjusted; what is the same is no matter.
#[test]
fn an_issuer_may_limit_how_far_back_it_adjusts() {
    let pro = "acme pro 2026-01-01.. UTC";
    for (months_max, expected) in [
        (None, "calls@2026-03 20 100, calls@2026-04 30 200"),
        (Some(2), "calls@2026-03 20 100, calls@2026-04 30 200"),
        (Some(1), "calls@2026-04 30 200 | acme 2026-03! issuer berlin adjusts invoices of the last 1 months only"),
        (
            Some(0),
            "acme 2026-03! issuer berlin adjusts invoices of the last 0 months only (adjust_months_max) | acme 2026-04!",
        ),
    ] {
        let mut program = Program { adjust_months_max: months_max, ..Program::default() };
        for month in ["2026-02", "2026-03", "2026-04"] {
            program.close(month, pro, "");
        }
        let late = "acme calls production 2026-03-02T00:00 20; acme calls production 2026-04-02T00:00 30";
        let may = told(&program.draft("2026-05", pro, late));
        assert!(may.contains(expected), "{months_max:?}: {may}");
        assert!(!may.contains("2026-02"), "{may}");
    }
}

/// What was voided at Stripe counts no more, and a person decides what of it is still billed.
#[test]
fn an_adjustment_that_was_voided_is_left_to_a_person() {
    let mut program = Program::default();
    let (pro, late) = ("acme pro 2026-01-01.. UTC", "acme calls production 2026-04-02T00:00 30");
    program.close("2026-04", pro, "");
    let may = program.draft("2026-05", pro, late);
    program.issue(&may);
    let june = program.draft("2026-06", pro, "acme calls production 2026-04-02T00:00 31");
    assert!(Billed::fold(&program.issued, None).unwrap().is_current(&june.documents[0]));
    program.issued[1].is_voided = true;
    assert!(
        !Billed::fold(&program.issued, None).unwrap().is_current(&june.documents[0]),
        "drafted before it was voided"
    );
    let words = "acme 2026-04! N2, which adjusted it, was voided at Stripe; bill the rest by hand";
    assert_eq!(
        told(&program.draft("2026-06", pro, late)),
        format!("acme invoice 49.00 EUR: base 1 4900, calls 0 0 | {words}")
    );
    // What it adjusts was voided.
    let mut program = Program::default();
    program.close("2026-04", pro, late);
    let may = program.draft("2026-05", pro, "");
    assert_eq!(may.credit_note_count(), 1);
    program.issued[0].is_voided = true;
    let billed = Billed::fold(&program.issued, None).unwrap();
    let current: Vec<bool> = may.documents.iter().map(|document| billed.is_current(document)).collect();
    assert_eq!(current, [true, false]);
}

/// A subscription that another invoice of the month has billed is not billed by this one too.
#[test]
fn what_moved_to_an_invoice_that_is_there_is_not_billed_twice() {
    let mut program = Program::default();
    program.close("2026-04", "acme s1:pro 2026-01-01.. UTC; acme s2:jp 2026-01-01.. UTC", "");
    let may = program.draft("2026-05", "acme s1:jp 2026-01-01.. UTC; acme s2:jp 2026-01-01.. UTC", "");
    let moved = "subscription s1 moved to another issuer, currency or payer after invoice N1 billed it; credit the invoice and \
                 bill the rest by hand";
    assert_eq!(
        told(&may),
        format!("acme invoice 2000 JPY: base 1 1000, base 1 1000 | acme 2026-04! {moved} | acme 2026-04! {moved}")
    );
}

/// Products by `id=route`.
fn with_products(products: &str) -> Catalog {
    let mut catalog = couponed("", "");
    for product in products.split_whitespace() {
        let (id, route) = product.split_once('=').unwrap();
        let product = Product {
            name: id.to_owned(),
            routes: vec![route.to_owned()],
            rules: Vec::new(),
            description: None,
            terms_version: None,
            sandbox: None,
        };
        catalog.products.insert(ProductId::parse(id).unwrap(), product);
    }
    catalog
}

/// Late usage after the products of the catalog changed: billed as ever where no rule that changed shares a request
/// with what the meter counts, and no request was hinted to be of a product that came or went; else told. A fee is no
/// usage.
#[test]
fn other_products_end_the_adjustments_of_their_own_meters_alone() {
    let late = "acme calls production 2026-04-02T00:00 30";
    for (then, now, hinted, of_meter, is_adjusted) in [
        ("maps=/maps/", "maps=/maps/ tiles=/tilez/", "", Some("maps"), true),
        ("maps=/maps/", "maps=/maps/ tiles=/tilez/", "tiles", Some("maps"), false),
        ("maps=/maps/", "maps=/maps/ tiles=/maps/tiles/", "", Some("maps"), false),
        ("maps=/maps/ tiles=/maps/tiles/", "maps=/maps/", "", Some("maps"), false),
        ("maps=/maps/", "maps=/map/", "", Some("maps"), false),
        ("maps=/maps/ x=/x/", "maps=/maps/ x=/y/", "", Some("maps"), true),
        ("maps=/maps/ x=/x/", "maps=/maps/ x=/m", "", Some("maps"), false),
        ("maps=/maps/", "maps=/maps/ all=/", "", Some("maps"), false),
        ("maps=/maps/", "maps=/maps/ tiles=/maps/tiles/", "", None, true),
    ] {
        let mut program = Program { product: of_meter, ..Program::default() };
        let pro = "acme pro 2026-01-01.. UTC";
        program.close("2026-04", pro, "");
        let hints = hinted.split_whitespace().map(|id| ProductId::parse(id).unwrap()).collect();
        // The sample's hash is that of its text.
        program.terms_changes = changed_terms(&with_products(then), &with_products(now), &hints);
        let may = told(&program.draft("2026-05", pro, late));
        assert_eq!(may.contains("calls@2026-04 30 200"), is_adjusted, "{then} to {now}: {may}");
        let is_told = may.ends_with("since invoice N1 was drafted, and a change of the catalog bills no past month");
        assert_eq!(is_told, !is_adjusted, "{then} to {now}: {may}");
        assert!(!told(&program.draft("2026-05", pro, "")).contains('!'), "nothing of the past is another one");
    }
}

/// What a catalog makes otherwise of the past is told, and billed by nothing.
#[test]
fn a_change_of_the_catalog_bills_no_past_month() {
    let then = couponed("", "");
    let mut now = then.clone();
    assert!(changed_terms(&then, &now, &BTreeSet::new()).is_empty());
    let berlin = IssuerId::parse("berlin").unwrap();
    now.issuers.get_mut(&berlin).unwrap().time_zone = tollbook_schemas::period::parse_zone("Europe/Paris").unwrap();
    let changed = changed_terms(&then, &now, &BTreeSet::new());
    assert_eq!(
        changed.into_values().flatten().map(|changed| changed.what).collect::<Vec<_>>(),
        ["the time zone of issuer berlin changed"]
    );
    // A version that is in force from an earlier day than when the month was billed.
    let pro = "acme pro 2026-01-01.. UTC";
    let mut program = Program::default();
    program.close("2026-04", pro, "");
    program.issued.iter_mut().for_each(|issued| {
        issued
            .document
            .body
            .lines
            .iter_mut()
            .for_each(|line| (line.plan_version, line.amount_minor) = (7, line.amount_minor + 1));
    });
    let may = told(&program.draft("2026-05", pro, ""));
    assert!(may.contains("version 1 of plan pro would price it now, and version 7 did"), "{may}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is known when, and in whatever order months are closed: when all is known and a last month is closed,
    /// every month was billed exactly what it comes to, line by line (the sum of adjustments telescopes).
    #[test]
    fn in_the_end_every_month_is_billed_what_it_comes_to(
        rows in prop::collection::vec((0..4_u32, 1..28_u32, 1..40_i64, 0..6_usize), 0..20),
        ends in prop::option::of(1..28_u32),
        known_end in 0..6_usize,
        rates in prop::sample::select(vec![
            "",
            "vat 19",
            r#"vat 19 mode="inclusive""#,
            r#"vat 7.7 lines="per_line""#,
            r#"vat 19; vat 16.5 version=2 effective_from="2026-03-17T00:00:00Z""#,
        ]),
        coupons in prop::sample::select(vec![
            ("", ""),
            (r#"third percent="33.3""#, "acme third 2026-02-10.."),
            (r#"few amount="1.01" currency="EUR" prices=["calls"]; rest percent="10""#, "acme few 2026-01-01..; acme rest/s9 2026-02-01..2026-05-01"),
        ]),
    ) {
        let months = ["2026-01", "2026-02", "2026-03", "2026-04", "2026-05", "2026-06"];
        let mut program = Program { rates, coupons, ..Program::default() };
        let known = |until: usize| {
            let rows = rows.iter().filter(|row| row.3 <= until);
            let rows: Vec<String> = rows
                .map(|(month, day, quantity, _)| format!("acme calls production 2026-{:02}-{day:02}T00:00 {quantity}", month + 1))
                .collect();
            let registry = match ends {
                Some(day) if known_end <= until => format!("acme pro 2026-01-01..2026-04-{day:02} UTC; acme s9:seats 2026-01-01.. UTC"),
                _ => "acme pro 2026-01-01.. UTC; acme s9:seats 2026-01-01.. UTC".to_owned(),
            };
            (registry, rows.join("; "))
        };
        for (at, month) in months.iter().enumerate() {
            let (registry, usage) = known(at);
            program.close(month, &registry, &usage);
        }
        let (registry_text, usage_text) = known(usize::MAX);
        program.close("2026-07", &registry_text, &usage_text);
        // What each month comes to, drafted as if nothing had been issued; lines of nothing on either side are the
        // same.
        let mut expected: BTreeMap<(Month, String, String), (i64, String)> = BTreeMap::new();
        let mut tax = 0;
        for month in months {
            for document in (Program { rates, coupons, ..Program::default() }).draft(month, &registry_text, &usage_text).documents {
                for line in &document.body.lines {
                    let key = (document.body.month, line.subscription_id.to_string(), format!("{} {}", line.plan_id, line.price_id));
                    expected.insert(key, (line.amount_minor, line.quantity.to_string()));
                    tax += line.tax_minor();
                }
            }
        }
        let billed = Billed::fold(&program.issued, None).unwrap();
        let mut found = BTreeMap::new();
        prop_assert_eq!(tax_before(&program.issued, "2026-07"), tax, "tax of all documents is tax of all months");
        for (_, slot) in billed.slots() {
            let month = slot.invoice.document.body.month;
            if month.to_string() == "2026-07" {
                continue;
            }
            for (subscription_id, plan_id, price_id, amount, quantity) in slot.figures() {
                found.insert((month, subscription_id.to_string(), format!("{plan_id} {price_id}")), (amount, quantity.to_string()));
            }
        }
        expected.retain(|_, figures| *figures != (0, "0".to_owned()));
        found.retain(|_, figures| *figures != (0, "0".to_owned()));
        prop_assert_eq!(found, expected);
    }
}
