use tollbook_lake::Lake;
use tollbook_schemas::tables::billing::{BILLED_USAGE, INVOICE_LINE};

use super::*;
use crate::document::read_documents;
use crate::draft::tests::{at, catalog, drafted, drafted_after};
use crate::event::events_of;
use crate::stripe::{Ledger, State};
use crate::write_drafts::{DraftCounts, KnownDrafts, draft_into, draft_of};

fn month() -> Month {
    "2026-06".parse().unwrap()
}

fn lake() -> (tempfile::TempDir, Lake) {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
    (folder, lake)
}

static NOBODY: BTreeSet<PartnerId> = BTreeSet::new();

/// What these tests are not about.
static POLICY: HoldPolicy = HoldPolicy::NOTHING;

/// Usage as the tests' drafts were rated from, with data up to an instant.
fn usage(reach: &str) -> IssueTerms<'static> {
    let as_of = at("2026-12-01");
    let policy = &POLICY;
    IssueTerms { pin_json: "{}", reach: Some(at(reach)), as_of, accept_incomplete: None, overtaken: &NOBODY, policy }
}

async fn issue_june(lake: &Lake) -> Issued {
    issue(lake, &catalog(), month(), usage("2026-07-03"), at("2026-07-03")).await.unwrap()
}

/// Invoices as `number partner total`.
fn told(issued: &Issued) -> Vec<String> {
    issued.invoices.iter().map(|i| format!("{} {} {}", i.number, i.partner_id, i.total)).collect()
}

async fn issue_of_month(lake: &Lake, month: &str) -> Issued {
    issue(lake, &catalog(), month.parse().unwrap(), usage("2026-12-01"), at("2026-12-01")).await.unwrap()
}

/// Drafts a month, with what is issued by now.
async fn draft_late(lake: &Lake, month: &str, as_of: &str, usage_text: &str) -> DraftCounts {
    let issued = read_issued(lake, None).await.unwrap();
    let drafted = drafted_after(&issued, month, as_of, "acme pro 2026-01-01..2026-06-15 UTC", usage_text);
    draft_into(lake, &drafted, at("2026-12-01")).await.unwrap()
}

async fn row_count(lake: &Lake) -> usize {
    let mut count = 0;
    for table in [&INVOICE, &INVOICE_LINE, &BILLED_USAGE, &INVOICE_EVENT] {
        count += lake.rows(table, None).await.unwrap().len();
    }
    count
}

const ACME: &str = "acme pro 2026-01-01..";
const BOTH: &str = "acme pro 2026-01-01..; bolt pro 2026-01-01..; acme jp 2026-01-01..";

#[tokio::test]
async fn drafting_and_issuing_twice_changes_nothing() {
    let (_folder, lake) = lake();
    let june = drafted(BOTH, "acme calls production 2026-06-02T00:00 12");
    let counts = draft_into(&lake, &june, at("2026-07-02")).await.unwrap();
    assert_eq!((counts.drafted, counts.unchanged, counts.withdrawn.len()), (3, 0, 0));
    let rows = row_count(&lake).await;
    let counts = draft_into(&lake, &june, at("2026-07-03")).await.unwrap();
    assert_eq!((counts.drafted, counts.unchanged, counts.withdrawn.len()), (0, 3, 0));
    assert_eq!(row_count(&lake).await, rows);

    let issued = issue_june(&lake).await;
    assert_eq!(told(&issued), ["B-000001 acme 49.20 EUR", "B-000002 bolt 49.00 EUR", "T-000001 acme 1000 JPY"]);
    let rows = row_count(&lake).await;
    let again = issue_june(&lake).await;
    assert_eq!((told(&again).len(), again.already_issued), (0, 3));
    assert_eq!(row_count(&lake).await, rows);
    let berlin = IssuerId::parse("berlin").unwrap();
    assert_eq!(lake.txn(&INVOICE_EVENT, &number_app_id(&berlin)).await.unwrap(), Some(3));
}

#[tokio::test]
async fn the_last_draft_is_issued_also_when_an_earlier_document_comes_back() {
    let (_folder, lake) = lake();
    let one = drafted(ACME, "acme calls production 2026-06-02T00:00 11");
    let two = drafted(ACME, "acme calls production 2026-06-02T00:00 12");
    // The same instant each time: a fixed clock must not confuse the order.
    for (document, expected) in [(&one, (1, 0)), (&two, (1, 1)), (&one, (1, 1)), (&one, (0, 0))] {
        let counts = draft_into(&lake, document, at("2026-07-02")).await.unwrap();
        assert_eq!((counts.drafted, counts.withdrawn.len()), expected);
    }
    assert_eq!(told(&issue_june(&lake).await), ["B-000001 acme 49.10 EUR"]);
}

#[tokio::test]
async fn a_draft_whose_partner_is_billed_no_more_is_never_issued() {
    let (_folder, lake) = lake();
    draft_into(&lake, &drafted(BOTH, ""), at("2026-07-02")).await.unwrap();
    let counts = draft_into(&lake, &drafted("acme; bolt pro 2026-01-01..", ""), at("2026-07-02")).await.unwrap();
    let withdrawn: Vec<&str> = counts.withdrawn.iter().map(|(partner_id, _)| partner_id.as_str()).collect();
    assert_eq!((counts.unchanged, withdrawn), (1, vec!["acme", "acme"]));
    assert_eq!(told(&issue_june(&lake).await), ["B-000001 bolt 49.00 EUR"]);
}

/// Share after share is as all at once, and what is drafted of one leaves the drafts of the others.
#[tokio::test]
async fn the_shares_of_a_month_are_drafted_one_after_the_other() {
    let (_folder, lake) = lake();
    let bolt = PartnerId::parse("bolt").unwrap();
    let shares = [
        (PartnerRange { from: None, before: Some(bolt.clone()) }, "acme pro 2026-01-01..; acme jp 2026-01-01.."),
        (PartnerRange { from: Some(bolt), before: None }, "bolt pro 2026-01-01.."),
    ];
    let known = KnownDrafts::of("2026-06".parse().unwrap());
    for (drafted_count, day) in [([2, 1], "2026-07-02"), ([0, 0], "2026-07-03")] {
        for ((range, registry_text), count) in shares.iter().zip(drafted_count) {
            let counts =
                draft_of(&lake, &known, &drafted(registry_text, ""), (range, &[]), None, at(day)).await.unwrap();
            assert_eq!((counts.drafted, counts.withdrawn), (count, Vec::new()), "{registry_text}");
        }
    }
    // The share of acme is billed nothing any more; bolt's draft stays.
    let counts =
        draft_of(&lake, &known, &drafted("acme", ""), (&shares[0].0, &[]), None, at("2026-07-04")).await.unwrap();
    assert_eq!(counts.withdrawn.len(), 2);
    assert_eq!(told(&issue_june(&lake).await), ["B-000001 bolt 49.00 EUR"]);
}

#[tokio::test]
async fn an_issued_slot_is_closed_and_numbers_go_on() {
    let (_folder, lake) = lake();
    draft_into(&lake, &drafted(ACME, ""), at("2026-07-02")).await.unwrap();
    let first = issue_june(&lake).await;
    let rows = row_count(&lake).await;
    let late = drafted(ACME, "acme calls production 2026-06-02T00:00 99");
    let counts = draft_into(&lake, &late, at("2026-07-04")).await.unwrap();
    let acme = PartnerId::parse("acme").unwrap();
    assert_eq!(counts.already_issued, [(acme, first.invoices[0].invoice_id.clone())]);
    assert_eq!(row_count(&lake).await, rows, "nothing is written for a closed slot");
    // Told, with what it comes to: 89 calls of 0.10 above the first ten.
    let [changed] = &counts.changed_since_issue[..] else { panic!("{counts:?}") };
    assert_eq!((changed.number.as_str(), changed.difference_minor(), changed.line_count), ("B-000001", 890, 1));
    let counts = draft_into(&lake, &drafted(ACME, ""), at("2026-07-04")).await.unwrap();
    assert_eq!((counts.already_issued.len(), counts.changed_since_issue.len()), (1, 0));
    draft_into(&lake, &drafted(BOTH, ""), at("2026-07-04")).await.unwrap();
    let second = issue_june(&lake).await;
    assert_eq!(told(&second), ["B-000002 bolt 49.00 EUR", "T-000001 acme 1000 JPY"]);
    assert_eq!(second.already_issued, 1);
}

#[tokio::test]
async fn nothing_is_issued_before_its_period_has_ended() {
    let (_folder, lake) = lake();
    draft_into(&lake, &drafted(ACME, ""), at("2026-06-20")).await.unwrap();
    // Berlin's June ends at 22:00 UTC.
    let because = Some("flat plans only");
    for (now, as_of, accept_incomplete, issued, not_ended) in [
        ("2026-06-30T21:59", "2026-12-01", None, 0, 1),
        // Nobody can accept a month that goes on, by the clock or by the instant from which is looked.
        ("2026-06-30T21:59", "2026-12-01", because, 0, 1),
        ("2026-07-20", "2026-06-30T21:59", because, 0, 1),
        ("2026-06-30T22:00", "2026-06-30T22:00", None, 1, 0),
    ] {
        let state = IssueTerms { as_of: at(as_of), accept_incomplete, ..usage("2026-07-02") };
        let found = issue(&lake, &catalog(), month(), state, at(now)).await.unwrap();
        assert_eq!((found.invoices.len(), found.not_ended.len()), (issued, not_ended), "{now} as of {as_of}");
    }
}

#[tokio::test]
async fn numbers_have_no_gap_however_many_issue_at_once() {
    let (folder, lake) = lake();
    draft_into(&lake, &drafted(BOTH, ""), at("2026-07-02")).await.unwrap();
    let path = folder.path().to_str().unwrap();
    let others = [Lake::open(path).unwrap(), Lake::open(path).unwrap(), Lake::open(path).unwrap()];
    let runs = futures::future::join_all(others.iter().map(issue_june)).await;
    let mut numbers: Vec<String> = runs.iter().flat_map(told).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, ["B-000001 acme 49.00 EUR", "B-000002 bolt 49.00 EUR", "T-000001 acme 1000 JPY"]);
    let events = events_of(&lake.rows(&INVOICE_EVENT, None).await.unwrap()).unwrap();
    assert_eq!(Ledger::fold(&events).values().filter(|ledger| ledger.state() == State::Issued).count(), 3);
}

#[tokio::test]
async fn a_gap_in_the_sequence_stops_the_run() {
    let (_folder, lake) = lake();
    draft_into(&lake, &drafted(ACME, ""), at("2026-07-02")).await.unwrap();
    let app_id = number_app_id(&IssuerId::parse("berlin").unwrap());
    lake.append(&INVOICE_EVENT, &[], &[TxnStep { app_id, expected: None, next: 5 }]).await.unwrap();
    let error = issue(&lake, &catalog(), month(), usage("2026-07-03"), at("2026-07-03")).await.unwrap_err();
    assert!(error.to_string().contains("the next number of issuer berlin is 5"), "{error}");
}

#[tokio::test]
async fn nothing_is_issued_that_usage_does_not_hold_up() {
    let (_folder, lake) = lake();
    draft_into(&lake, &drafted(ACME, ""), at("2026-07-02")).await.unwrap();
    let try_with = |usage: IssueTerms<'static>| {
        let lake = lake.clone();
        async move { issue(&lake, &catalog(), month(), usage, at("2026-07-03")).await.unwrap() }
    };
    // The calendar is past June, but the data are not.
    for reach in [Some(at("2026-06-28")), Some(at("2026-06-30T21:59")), None] {
        let early = try_with(IssueTerms { reach, ..usage("2026-07-02") }).await;
        assert_eq!((early.invoices.len(), early.not_ended.len()), (0, 0));
        assert_eq!(early.incomplete, [(PartnerId::parse("acme").unwrap(), at("2026-06-30T22:00"))]);
    }
    // Rows came after the draft was rated: whoever accepts what is missing does not accept that.
    for accept_incomplete in [None, Some("late")] {
        let new = IssueTerms { pin_json: "{\"new\":1}", accept_incomplete, ..usage("2026-07-02") };
        let stale = try_with(new).await;
        assert_eq!((stale.invoices.len(), stale.stale[0].since), (0, ChangedSince::Inputs));
    }
    // A cancellation, or whatever else, is known of acme, and not to usage.
    let overtaken: &'static BTreeSet<PartnerId> = Box::leak(Box::new([PartnerId::parse("acme").unwrap()].into()));
    let stale = try_with(IssueTerms { overtaken, ..usage("2026-07-02") }).await;
    assert_eq!((stale.invoices.len(), stale.stale.len()), (0, 1));
    // A price was corrected after the draft.
    let mut corrected = catalog();
    corrected.sha256 = "another".to_owned();
    let stale = issue(&lake, &corrected, month(), usage("2026-07-02"), at("2026-07-03")).await.unwrap();
    assert_eq!((stale.invoices.len(), stale.stale.len()), (0, 1));
    assert_eq!(issue_june(&lake).await.invoices.len(), 1);
}

#[tokio::test]
async fn what_is_known_of_one_partner_holds_up_no_other() {
    let (_folder, lake) = lake();
    draft_into(&lake, &drafted(BOTH, ""), at("2026-07-02")).await.unwrap();
    let overtaken = BTreeSet::from([PartnerId::parse("acme").unwrap()]);
    let state = IssueTerms { overtaken: &overtaken, ..usage("2026-07-03") };
    let issued = issue(&lake, &catalog(), month(), state, at("2026-07-03")).await.unwrap();
    assert_eq!((told(&issued), issued.stale.len()), (vec!["B-000001 bolt 49.00 EUR".to_owned()], 2));
}

#[tokio::test]
async fn a_subscription_is_billed_once_for_a_month_whatever_slot_its_document_falls_into() {
    let (_folder, lake) = lake();
    draft_into(&lake, &drafted(ACME, ""), at("2026-07-02")).await.unwrap();
    assert_eq!(issue_june(&lake).await.invoices.len(), 1);
    // The same subscription, but its plan is now one of another issuer and currency.
    let moved = drafted("acme jp 2026-01-01..", "");
    let counts = draft_into(&lake, &moved, at("2026-07-04")).await.unwrap();
    assert_eq!((counts.drafted, counts.billed_elsewhere.len()), (0, 1));
    let left = counts.billed_elsewhere[0].rest.unwrap();
    assert_eq!((left.minor, left.currency.code()), (0, "JPY"));
    // With it goes what nobody else bills: that is told, with its amount.
    let moved = drafted("acme jp 2026-01-01..; acme jp 2026-01-01..", "");
    let counts = draft_into(&lake, &moved, at("2026-07-05")).await.unwrap();
    let told: Vec<String> = counts.billed_elsewhere.iter().map(ToString::to_string).collect();
    assert!(
        told.len() == 1 && told[0].contains("has billed subscription s1; 1000 JPY of other subscriptions"),
        "{told:?}"
    );
    assert!(issue_june(&lake).await.invoices.is_empty());
}

/// What is issued before its data are there says so for good, in the event that made it an invoice.
#[tokio::test]
async fn what_is_issued_although_data_are_missing_says_so() {
    for (reach, told) in [
        (Some(at("2026-06-28")), Some("issued although the data reach only to 2026-06-28T00:00:00Z: flat plans only")),
        (None, Some("issued although it is not known how far the data reach: flat plans only")),
        // Accepting what is not there changes nothing where everything is.
        (Some(at("2026-06-30T22:00")), None),
    ] {
        let (_folder, lake) = lake();
        draft_into(&lake, &drafted(ACME, ""), at("2026-07-02")).await.unwrap();
        let state = IssueTerms { reach, accept_incomplete: Some("flat plans only"), ..usage("2026-07-02") };
        let issued = issue(&lake, &catalog(), month(), state, at("2026-07-03")).await.unwrap();
        assert_eq!(issued.invoices[0].incomplete.as_deref(), told);
        let events = events_of(&lake.rows(&INVOICE_EVENT, Some("kind = 'issued'")).await.unwrap()).unwrap();
        assert_eq!(events.iter().map(|event| event.detail.as_deref()).collect::<Vec<_>>(), [told]);
        let rows = row_count(&lake).await;
        // Issued again when the data are there: it stays what it was.
        assert_eq!(issue_june(&lake).await.already_issued, 1);
        assert_eq!(row_count(&lake).await, rows);
        let documents = read_documents(&lake, month()).await.unwrap();
        let issued = read_issued(&lake, None).await.unwrap();
        let register =
            crate::register::register(&documents, &issued, &events, &drafted(ACME, ""), at("2026-07-03")).unwrap();
        assert_eq!(register[0].note.as_deref(), told);
    }
}

/// What comes after April was issued: billed once, by the month that is issued first; given back by a credit note with
/// a number of the same sequence; until then told.
#[tokio::test]
async fn what_comes_late_is_billed_by_one_later_document() {
    let (_folder, lake) = lake();
    let april = |quantity: i64| format!("acme calls production 2026-04-02T00:00 {quantity}");
    draft_late(&lake, "2026-04", "2026-05-02", &april(12)).await;
    assert_eq!(told(&issue_of_month(&lake, "2026-04").await), ["B-000001 acme 49.20 EUR"]);

    let counts = draft_late(&lake, "2026-04", "2026-05-02", &april(15)).await;
    assert_eq!((counts.drafted, counts.changed_since_issue[0].difference_minor()), (0, 30));
    // Both later months would bill it; when one has, the other is stale until it is drafted again.
    draft_late(&lake, "2026-05", "2026-06-20", &april(15)).await;
    draft_late(&lake, "2026-06", "2026-06-20", &april(15)).await;
    assert_eq!(told(&issue_of_month(&lake, "2026-06").await), ["B-000002 acme 49.30 EUR"]);
    let may = issue_of_month(&lake, "2026-05").await;
    assert_eq!((may.invoices.len(), may.stale[0].since), (0, ChangedSince::Issued));
    let counts = draft_late(&lake, "2026-05", "2026-06-20", &april(15)).await;
    assert_eq!((counts.drafted, counts.withdrawn.len()), (1, 1));
    assert_eq!(told(&issue_of_month(&lake, "2026-05").await), ["B-000003 acme 49.00 EUR"]);
    for month in ["2026-04", "2026-05", "2026-06"] {
        let counts = draft_late(&lake, month, "2026-06-20", &april(15)).await;
        assert!(counts.changed_since_issue.is_empty(), "{month}: {counts:?}");
    }

    // A correction, after the subscription has ended: the next month holds a credit note and nothing else.
    let counts = draft_late(&lake, "2026-04", "2026-05-02", &april(11)).await;
    assert_eq!(counts.changed_since_issue[0].difference_minor(), -40);
    draft_late(&lake, "2026-07", "2026-08-02", &april(11)).await;
    assert_eq!(told(&issue_of_month(&lake, "2026-07").await), ["B-000004 acme -0.40 EUR"]);
    assert_eq!(
        draft_late(&lake, "2026-07", "2026-08-02", &april(11)).await.already_issued.len(),
        0,
        "nothing is due any more"
    );
    let issued = read_issued(&lake, None).await.unwrap();
    let notes: Vec<_> = issued.iter().filter_map(|one| one.document.body.credits.as_ref()).collect();
    assert_eq!((notes.len(), notes[0].number.as_str()), (1, "B-000001"));
    // Corrected once more, the same month of the same invoice is another document, in a later month.
    draft_late(&lake, "2026-07", "2026-08-02", &april(10)).await;
    assert_eq!(issue_of_month(&lake, "2026-07").await.invoices.len(), 0, "the slot of the credit note is closed");
    draft_late(&lake, "2026-08", "2026-09-02", &april(10)).await;
    assert_eq!(told(&issue_of_month(&lake, "2026-08").await), ["B-000005 acme -0.10 EUR"]);
}
