use tollbook_schemas::actor::Actor;
use tollbook_schemas::id::IssuerId;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::Month;
use tollbook_schemas::registry::Revoked;

use super::*;
use crate::billed::Billed;
use crate::draft::draft_adjusting;
use crate::draft::tax::tests::catalog as taxed;
use crate::draft::tests::{at, invoice_row, line_rows, profiles, registry, usage};
use crate::issue::changed_since_issue;

/// Reads `name partner month amount_minor [currency] [for NUMBER] [revoked]`, several, separated by `;`.
fn made(text: &str) -> BTreeMap<AdjustmentId, HandMade> {
    let lines = text.split(';').map(str::trim).filter(|line| !line.is_empty());
    let bob = Actor::parse("staff:bob").unwrap();
    let read = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_jpy = words.contains(&"JPY");
        let currency = Currency::parse(if is_jpy { "JPY" } else { "EUR" }).unwrap();
        let named = words.iter().position(|word| *word == "for").map(|at| words[at + 1].to_owned());
        let one = HandMade {
            adjustment_id: AdjustmentId::derive([words[0]]),
            partner_id: PartnerId::parse(words[1]).unwrap(),
            month: words[2].parse().unwrap(),
            issuer_id: IssuerId::parse(if is_jpy { "tokyo" } else { "berlin" }).unwrap(),
            amount: Money { minor: words[3].parse().unwrap(), currency },
            description: words[0].to_owned(),
            reason: "goodwill".to_owned(),
            actor: Actor::parse("staff:ann").unwrap(),
            for_invoice: named,
            revoked: words.contains(&"revoked").then(|| Revoked { actor: Some(bob.clone()), reason: None }),
        };
        (one.adjustment_id.clone(), one)
    };
    lines.map(read).collect()
}

#[derive(Default)]
struct Program {
    issued: Vec<IssuedDocument>,
    /// Tax rates.
    rates: &'static str,
}

impl Program {
    fn draft(&self, month: &str, as_of: &str, registry_text: &str, made_text: &str) -> Drafted {
        let (mut registry, catalog, profiles) = (registry(registry_text), taxed(self.rates), profiles());
        registry.adjustments = made(made_text);
        for one in registry.adjustments.values() {
            registry.partners.entry(one.partner_id.clone()).or_default();
        }
        let usage = usage("acme calls production 2026-06-02T00:00 12");
        let input = DraftInput {
            month: month.parse().unwrap(),
            usage: &usage,
            registry: &registry,
            catalog: &catalog,
            profiles: &profiles,
            pin_json: "{}",
            as_of: at(as_of),
            terms_changes: &crate::draft::TermsChanges::new(),
        };
        draft_adjusting(&input, &self.issued).unwrap()
    }

    /// Drafts on the second day after the month, and issues.
    fn close(&mut self, month: &str, registry_text: &str, made_text: &str) -> String {
        let next = month.parse::<Month>().unwrap().next();
        let drafted = self.draft(month, &format!("{next}-02"), registry_text, made_text);
        let told = told(&drafted);
        for document in drafted.documents {
            if self.issued.iter().any(|one| one.document.slot_id == document.slot_id) {
                continue;
            }
            assert!(is_current_by_hand(&document, &self.issued));
            let number = format!("N{}", self.issued.len() + 1);
            self.issued.push(IssuedDocument { document, number, is_voided: false });
        }
        told
    }
}

/// Documents as `partner kind total: description amount, …`; then who is blocked, and why.
fn told(drafted: &Drafted) -> String {
    let line = |line: &Line| {
        let what = if line.by_hand.is_some() { line.description.clone() } else { line.price_id.to_string() };
        format!("{what} {}", line.amount_minor)
    };
    let documents = drafted.documents.iter().map(|document| {
        let lines: Vec<String> = document.body.lines.iter().map(line).collect();
        let kind = document.body.kind.as_str();
        format!("{} {kind} {}: {}", document.body.partner_id, document.total(), lines.join(", "))
    });
    let blocked = drafted.blocked.iter().map(|blocked| format!("{}! {}", blocked.partner_id, blocked.reason));
    documents.chain(blocked).collect::<Vec<_>>().join(" | ")
}

const ACME: &str = "acme pro 2026-01-01..2026-07-31T22:00";
const JUNE: &str = "base 4900, calls 20";

/// One row: tax rates, what was made when a month was closed, month by month, and what each month comes to. A line by
/// hand is taxed at the rate for prices without a tax code, in a line of its own, and what is taken back gives its tax
/// back.
#[test]
fn each_line_by_hand_is_taxed_once() {
    for (rates, months) in [
        (
            "vat 19",
            vec![
                (
                    "2026-06",
                    "a acme 2026-06 505",
                    "acme invoice 64.56 EUR: base 4900, calls 20, vat 935, a 505, vat 19 %: a 96",
                ),
                ("2026-07", "a acme 2026-06 505", "acme invoice 70.21 EUR: base 5900, vat 1121"),
            ],
        ),
        (
            "vat 19",
            vec![
                ("2026-06", "", "acme invoice 58.55 EUR: base 4900, calls 20, vat 935"),
                (
                    "2026-07",
                    "a acme 2026-06 -1000 for N1",
                    "acme invoice 70.21 EUR: base 5900, vat 1121 | acme credit_note -11.90 EUR: a -1000, vat 19 %: a -190",
                ),
                (
                    "2026-08",
                    "a acme 2026-06 -1000 for N1 revoked",
                    "acme invoice 11.90 EUR: a (taken back) 1000, vat 19 %: a (taken back) 190",
                ),
            ],
        ),
        (
            r#"vat 19 mode="inclusive""#,
            vec![(
                "2026-06",
                "a acme 2026-06 119",
                "acme invoice 50.39 EUR: base 4900, calls 20, vat 0, a 119, vat 19 %: a 0",
            )],
        ),
        // The rate of its month; no rate for prices without a code is no 0.
        (
            r#"vat 19; vat 25 version=2 effective_from="2026-07-01T00:00:00Z""#,
            vec![
                ("2026-06", "", "acme invoice 58.55 EUR: base 4900, calls 20, vat 935"),
                (
                    "2026-07",
                    "a acme 2026-06 1000",
                    "acme invoice 85.65 EUR: base 5900, vat 1475, a 1000, vat 19 %: a 190",
                ),
            ],
        ),
    ] {
        let mut program = Program { rates, ..Program::default() };
        for (month, made, expected) in months {
            assert_eq!(program.close(month, ACME, made), expected, "{rates} {month}");
        }
    }
    let mut program = Program { rates: r#"vat 19 tax_codes=["api"]"#, ..Program::default() };
    let told = program.close("2026-06", "acme cents 2026-01-01..", "a acme 2026-06 100");
    assert!(
        told.starts_with("acme! adj_") && told.contains("is for prices without a tax code of a customer in DE"),
        "{told}"
    );
}

/// One row: what was made when a month was closed, month by month, and what each month comes to.
#[test]
fn each_line_by_hand_is_billed_once() {
    for (name, months) in [
        (
            "on its month, and never again",
            vec![
                ("2026-06", "a acme 2026-06 500", format!("acme invoice 54.20 EUR: {JUNE}, a 500")),
                ("2026-07", "a acme 2026-06 500", "acme invoice 59.00 EUR: base 5900".into()),
            ],
        ),
        (
            "made after issue, it is on the next",
            vec![
                ("2026-06", "", format!("acme invoice 49.20 EUR: {JUNE}")),
                ("2026-07", "a acme 2026-06 -500", "acme invoice 54.00 EUR: base 5900, a -500".into()),
                ("2026-08", "a acme 2026-06 -500", String::new()),
            ],
        ),
        (
            "taken back before it is billed, it is nothing; after, it is given back once",
            vec![
                (
                    "2026-06",
                    "a acme 2026-06 500 revoked; b acme 2026-06 300",
                    format!("acme invoice 52.20 EUR: {JUNE}, b 300"),
                ),
                (
                    "2026-07",
                    "a acme 2026-06 500 revoked; b acme 2026-06 300 revoked",
                    "acme invoice 56.00 EUR: base 5900, b (taken back) -300".into(),
                ),
                ("2026-08", "b acme 2026-06 300 revoked", String::new()),
            ],
        ),
        (
            "where nothing else is billed, it is the document, also in another currency",
            vec![(
                "2026-09",
                "a acme 2026-09 -700; b acme 2026-09 900 JPY; c acme 2026-10 1",
                "acme invoice -7.00 EUR: a -700 | acme invoice 900 JPY: b 900".into(),
            )],
        ),
        (
            "a credit that names an invoice is a credit note of it",
            vec![
                ("2026-06", "", format!("acme invoice 49.20 EUR: {JUNE}")),
                (
                    "2026-07",
                    "a acme 2026-07 -500 for N1; b acme 2026-06 -100 for N1; c acme 2026-07 -1",
                    "acme invoice 58.99 EUR: base 5900, c -1 | acme credit_note -6.00 EUR: b -100, a -500".into(),
                ),
                // Made after the credit note of July was issued: the next month gives it.
                (
                    "2026-08",
                    "a acme 2026-07 -500 for N1; b acme 2026-06 -100 for N1; d acme 2026-07 -2 for N1",
                    "acme credit_note -0.02 EUR: d -2".into(),
                ),
                // A credit that is taken back is charged on an invoice.
                (
                    "2026-09",
                    "a acme 2026-07 -500 for N1 revoked; b acme 2026-06 -100 for N1; d acme 2026-07 -2 for N1",
                    "acme invoice 5.00 EUR: a (taken back) 500".into(),
                ),
            ],
        ),
        (
            "a partner of whom one cannot be billed is blocked, and no other",
            vec![(
                "2026-06",
                "a acme 2026-06 -1 for N7; b bolt 2026-06 5; c corp 2026-06 5",
                "bolt invoice 0.05 EUR: b 5 | acme! ".into(),
            )],
        ),
    ] {
        let mut program = Program::default();
        for (month, made, expected) in months {
            let found = program.close(month, ACME, made);
            match expected.strip_suffix("acme! ") {
                None => assert_eq!(found, expected, "{name}: {month}"),
                Some(documents) => {
                    let id = AdjustmentId::derive(["a"]);
                    let why =
                        format!("acme! {id} credits invoice N7, which issuer berlin has not issued to the partner");
                    assert!(found.starts_with(documents) && found.contains(&why), "{name}: {found}");
                    assert!(found.contains("corp! no billing profile is in force"), "{name}: {found}");
                }
            }
        }
    }
}

/// Of two drafts that bear one line, only the first that is issued may be.
#[test]
fn a_draft_is_stale_once_another_has_billed_its_line() {
    let mut program = Program::default();
    program.close("2026-05", ACME, "");
    let made = "a acme 2026-05 500";
    let june = program.draft("2026-06", "2026-07-02", ACME, made);
    let july = program.draft("2026-07", "2026-07-02", ACME, made);
    let bears = |drafted: &Drafted| drafted.documents[0].body.lines.iter().any(|line| line.by_hand.is_some());
    assert!(bears(&june) && bears(&july), "the month that ended and the one that runs both bear it");
    assert!(is_current_by_hand(&july.documents[0], &program.issued));
    program.close("2026-06", ACME, made);
    assert!(!is_current_by_hand(&july.documents[0], &program.issued));
    assert!(!bears(&program.draft("2026-07", "2026-08-02", ACME, made)));
    // An older month that is drafted again bears none of it.
    assert!(!bears(&program.draft("2026-04", "2026-07-02", ACME, made)));
}

/// What was made by hand is neither given back as late usage, nor told as a change of the invoice.
#[test]
fn late_usage_leaves_lines_by_hand_alone() {
    let mut program = Program::default();
    program.close("2026-06", ACME, "a acme 2026-06 500");
    let later = "a acme 2026-06 500; b acme 2026-06 1";
    let again = program.draft("2026-06", "2026-07-02", ACME, later);
    let billed = Billed::fold(&program.issued, None).unwrap();
    assert_eq!(changed_since_issue(&again, &billed), []);
    assert_eq!(program.close("2026-07", ACME, later), "acme invoice 59.01 EUR: base 5900, b 1");
    assert!(program.draft("2026-08", "2026-09-02", ACME, later).unadjusted.is_empty());
}

/// The document says who and why; one without such lines says nothing of them.
#[test]
fn a_line_by_hand_tells_who_and_why() {
    let program = Program::default();
    let plain = program.draft("2026-06", "2026-07-02", ACME, "");
    assert!(!plain.documents[0].text.contains("by_hand"));
    let drafted = program.draft("2026-06", "2026-07-02", ACME, "a acme 2026-06 -1234");
    let document = &drafted.documents[0];
    let id = AdjustmentId::derive(["a"]);
    let told = format!(
        r#""by_hand":{{"actor":"staff:ann","adjustment_id":"{id}","billed_minor":0,"month":"2026-06","reason":"goodwill"}}"#
    );
    assert!(document.text.contains(&told), "{}", document.text);
    let row = line_rows(document).pop().unwrap();
    assert_eq!(row.text("working"), Some(format!(r#"{{{told},"exact":"-12.34"}}"#).as_str()));
    assert_eq!((row.text("price_model"), row.int("plan_version")), (Some("by_hand"), Some(0)));
    assert_eq!(Document::from_row(&invoice_row(document)).unwrap(), *document);
}

/// One row: what was made when July was closed, and what July comes to: June's invoice N1 is of 49.20, 58.55 with tax.
/// What gives back more than is left of it blocks the partner, whichever credits it is made of.
#[test]
fn a_credit_note_gives_back_no_more_than_is_left_of_its_invoice() {
    const JULY: &str = "acme invoice 59.00 EUR: base 5900";
    for (rates, earlier, made, expected) in [
        ("", "", "a acme 2026-07 -4920 for N1", Ok(format!("{JULY} | acme credit_note -49.20 EUR: a -4920"))),
        ("", "", "a acme 2026-07 -4921 for N1", Err("give back 49.21 EUR, and 49.20 EUR are left of it")),
        (
            "",
            "",
            "a acme 2026-07 -1000 for N1; b acme 2026-06 -4500 for N1",
            Err("give back 55.00 EUR, and 49.20 EUR are left of it"),
        ),
        // What an issued credit note gave back is gone; what was taken back of it is there again.
        ("", "a acme 2026-06 -1000 for N1", "b acme 2026-08 -3921 for N1", Err("and 39.20 EUR are left of it")),
        (
            "",
            "a acme 2026-06 -1000 for N1",
            "b acme 2026-08 -3920 for N1",
            Ok("acme credit_note -39.20 EUR: b -3920".into()),
        ),
        // With its tax.
        (
            "vat 19",
            "",
            "a acme 2026-07 -4921 for N1",
            Err("give back 58.56 EUR, and 58.55 EUR are left of it, tax included"),
        ),
    ] {
        let mut program = Program { rates, ..Program::default() };
        program.close("2026-06", ACME, "");
        let month = if earlier.is_empty() { "2026-07" } else { "2026-08" };
        if !earlier.is_empty() {
            program.close("2026-07", ACME, earlier);
        }
        let found = program.close(month, ACME, &format!("{earlier}; {made}"));
        match expected {
            Ok(expected) => assert_eq!(found, expected, "{rates} {earlier} {made}"),
            Err(why) => {
                let told = found.starts_with("acme! the credit note of invoice N1 would") && found.contains(why);
                assert!(
                    told && found.contains("`tollbook bill adjust --partner acme --revoke adj_"),
                    "{made}: {found}"
                );
            }
        }
    }
}

/// What may be given back: less what was, and nothing of an invoice that was voided; and what is not on a document yet.
#[test]
fn what_is_left_of_an_invoice() {
    use crate::adjustments::{Creditable, accounts, creditable, pending_minor};
    let mut program = Program { rates: "vat 19", ..Program::default() };
    program.close("2026-06", ACME, "");
    program.close("2026-07", ACME, "a acme 2026-06 -1000 for N1");
    let later =
        "a acme 2026-06 -1000 for N1; b acme 2026-08 -500 for N1; c acme 2026-08 -1; d acme 2026-08 -7 for N1 revoked";
    let left = |issued: &[IssuedDocument]| creditable(&issued[0], issued).unwrap();
    assert_eq!(left(&program.issued), Creditable { net_minor: 3920, total_minor: 5855 - 1190 });
    let mut known = registry(ACME);
    known.adjustments = made(later);
    let all = accounts(&known, &program.issued).unwrap();
    let told: Vec<String> =
        all.iter().map(|one| format!("{} {} {}", one.made.description, one.billed.minor, one.open.minor)).collect();
    let mut sorted = told.clone();
    sorted.sort();
    assert_eq!(sorted, ["a -1000 0", "b 0 -500", "c 0 -1", "d 0 0"]);
    assert_eq!(pending_minor(&all, &program.issued[0]), 500);
    program.close("2026-08", ACME, "a acme 2026-06 -1000 for N1 revoked");
    assert_eq!(left(&program.issued), Creditable { net_minor: 4920, total_minor: 5855 });
    program.issued[0].is_voided = true;
    assert_eq!(left(&program.issued).net_minor, 0);
}

/// What stood on an invoice that was voided is owed by nobody, so taking it back gives nothing back; and who took it
/// back answers for the line that does, not who made it.
#[test]
fn what_was_voided_is_not_given_back() {
    for (is_voided, expected, author) in [
        (false, "acme invoice 54.00 EUR: base 5900, a (taken back) -500", Some("staff:bob")),
        (true, "acme invoice 59.00 EUR: base 5900", None),
    ] {
        let mut program = Program::default();
        let june = program.close("2026-06", ACME, "a acme 2026-06 500");
        assert_eq!(june, "acme invoice 54.20 EUR: base 4900, calls 20, a 500");
        program.issued[0].is_voided = is_voided;
        assert_eq!(program.close("2026-07", ACME, "a acme 2026-06 500 revoked"), expected);
        let lines = &program.issued[1].document.body.lines;
        let by_hand: Vec<&str> = lines.iter().filter_map(|line| Some(line.by_hand.as_ref()?.actor.as_str())).collect();
        assert_eq!(by_hand.first().copied(), author);
        assert_eq!(program.close("2026-08", ACME, "a acme 2026-06 500 revoked"), "", "nothing is given back twice");
    }
}

/// A tax rate that was inclusive when a line was billed and is exclusive now: the tax that was contained is given back
/// as that, and nothing is charged or given back beside the line.
#[test]
fn tax_that_was_contained_is_given_back_as_contained() {
    for (before, after, amounts) in [
        (r#"vat 19 mode="inclusive""#, "vat 19", [(-119, None), (0, Some(-19))]),
        ("vat 19", r#"vat 19 mode="inclusive""#, [(-119, None), (-23, Some(0))]),
        ("vat 19", "vat 19", [(-119, None), (-23, None)]),
    ] {
        let mut program = Program { rates: before, ..Program::default() };
        program.close("2026-06", ACME, "a acme 2026-06 119");
        program.rates = after;
        let july = program.draft("2026-07", "2026-08-02", ACME, "a acme 2026-06 119 revoked");
        let lines = july.documents[0].body.lines.iter().filter(|line| line.by_hand.is_some());
        let found = lines.map(|line| (line.amount_minor, line.tax.as_ref().and_then(|tax| tax.contained_minor)));
        assert_eq!(found.collect::<Vec<_>>(), amounts, "{before} and then {after}");
    }
}

/// A credit of the month that its credit note gave is taken back while the month's invoice is open: the invoice is
/// billed, and what was given stands on it. Both lines name the same adjustment, and neither bills a subscription.
#[test]
fn a_credit_note_of_the_month_keeps_no_invoice_from_being_billed() {
    let mut program = Program::default();
    program.close("2026-06", ACME, "");
    let made = "a acme 2026-07 -1000 for N1";
    let july = program.draft("2026-07", "2026-08-02", ACME, made);
    assert_eq!(told(&july), "acme invoice 59.00 EUR: base 5900 | acme credit_note -10.00 EUR: a -1000");
    let note = july.documents.into_iter().find(|document| !document.body.kind.is_invoice()).unwrap();
    let event = crate::event::InvoiceEvent {
        issuer_id: Some(note.body.issuer.issuer_id.clone()),
        number_sequence: Some(2),
        ..crate::event::InvoiceEvent::of(&note, crate::event::EventKind::Issued, "issue", 0, at("2026-08-02"))
    };
    let slots = crate::issue::Slots::fold(&[event]).unwrap();
    program.issued.push(IssuedDocument { document: note.clone(), number: "N2".to_owned(), is_voided: false });
    let july = program.draft("2026-07", "2026-08-03", ACME, &format!("{made} revoked"));
    assert_eq!(told(&july), "acme invoice 69.00 EUR: base 5900, a (taken back) 1000");
    let billed = crate::issue::billed_subscriptions([&note, &july.documents[0]].into_iter(), &slots);
    assert_eq!(crate::issue::billed_before(&july.documents[0], &billed), None);
}
