use tollbook_schemas::error::{Classified as _, Kind};

use super::*;
use crate::draft::Drafted;
use crate::draft::tests::{at, catalog, drafted};
use crate::issue::{IssueTerms, Issued, issue};
use crate::range::PartnerRange;
use crate::register::register;
use crate::write_drafts::{KnownDrafts, draft_of};

const ACME: &str = "acme pro 2026-01-01..";
const USED: &str = "acme calls production 2026-06-02T00:00 12";

fn june() -> Month {
    "2026-06".parse().unwrap()
}

fn lake() -> (tempfile::TempDir, Lake) {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
    (folder, lake)
}

fn actor(name: &str) -> Actor {
    Actor::parse(&format!("staff:{name}")).unwrap()
}

fn target(drafted: &Drafted) -> Target {
    Target::of(&drafted.documents[0])
}

async fn draft_as(lake: &Lake, drafted: &Drafted, name: &str) {
    draft_of(
        lake,
        &KnownDrafts::of(drafted.month),
        drafted,
        (&PartnerRange::ALL, &[]),
        Some(&actor(name)),
        at("2026-07-02"),
    )
    .await
    .unwrap();
}

async fn do_as(
    lake: &Lake,
    what: Act,
    of: &Drafted,
    (name, why): (&str, &str),
    policy: &HoldPolicy,
) -> Result<bool, String> {
    let done = act(lake, what, &[target(of)], (&actor(name), why), policy, at("2026-07-03")).await;
    match done {
        Ok(done) => Ok(done[0].is_new),
        Err(error) => {
            assert_eq!(error.kind(), Kind::Configuration, "{error}");
            Err(error.to_string())
        }
    }
}

async fn issue_with(lake: &Lake, policy: &HoldPolicy) -> Issued {
    let usage = IssueTerms {
        pin_json: "{}",
        reach: Some(at("2026-07-03")),
        as_of: at("2026-12-01"),
        accept_incomplete: None,
        overtaken: &BTreeSet::new(),
        policy,
    };
    issue(lake, &catalog(), june(), usage, at("2026-07-03")).await.unwrap()
}

/// (issued, held as words).
async fn issued(lake: &Lake, policy: &HoldPolicy) -> (usize, Vec<String>) {
    let issued = issue_with(lake, policy).await;
    (issued.invoices.len(), issued.held.iter().map(ToString::to_string).collect())
}

/// Events of holds and approvals as `kind step generation detail`.
async fn acts_of(lake: &Lake) -> Vec<String> {
    let events = events_of(&lake.rows(&INVOICE_EVENT, Some("kind in ('held', 'released', 'approved')")).await.unwrap());
    let told = |e: &InvoiceEvent| format!("{} {} {} {}", e.kind, e.step, e.generation, e.detail.as_deref().unwrap());
    let mut told: Vec<String> = events.unwrap().iter().map(told).collect();
    told.sort_unstable();
    told
}

#[tokio::test]
async fn a_hold_stays_on_the_slot_until_it_is_released() {
    let (_folder, lake) = lake();
    let open = HoldPolicy::NOTHING;
    let (first, second) = (drafted(ACME, ""), drafted(ACME, USED));
    // Before there is any draft.
    assert_eq!(do_as(&lake, Act::Hold, &first, ("ann", "dispute"), &open).await, Ok(true));
    draft_as(&lake, &first, "ann").await;
    let held = vec!["held by staff:ann: dispute".to_owned()];
    assert_eq!(issued(&lake, &open).await, (0, held.clone()));
    // Again it is the same act; another reason, or another person, is told of it.
    assert_eq!(do_as(&lake, Act::Hold, &first, ("ann", "dispute"), &open).await, Ok(false));
    for said in [("ann", "other"), ("bob", "dispute")] {
        let refused = do_as(&lake, Act::Hold, &first, said, &open).await.unwrap_err();
        assert!(refused.contains("is held already, by staff:ann: dispute"), "{refused}");
    }
    // Another document in the slot, and an approval of it: the hold stays.
    draft_as(&lake, &second, "ann").await;
    assert_eq!(issued(&lake, &open).await, (0, held.clone()));
    assert_eq!(do_as(&lake, Act::Approve, &second, ("bob", "seen"), &open).await, Ok(true));
    assert_eq!(issued(&lake, &open).await, (0, held));
    assert_eq!(do_as(&lake, Act::Release, &second, ("bob", "settled"), &open).await, Ok(true));
    assert_eq!(do_as(&lake, Act::Release, &second, ("bob", "settled"), &open).await, Ok(false));
    let refused = do_as(&lake, Act::Release, &second, ("ann", "settled"), &open).await.unwrap_err();
    assert!(refused.contains("is held by nobody"), "{refused}");
    // Held and released once more is a generation of its own.
    assert_eq!(do_as(&lake, Act::Hold, &second, ("ann", "dispute"), &open).await, Ok(true));
    assert_eq!(issued(&lake, &open).await.0, 0);
    assert_eq!(do_as(&lake, Act::Release, &second, ("ann", "settled"), &open).await, Ok(true));
    assert_eq!(issued(&lake, &open).await, (1, vec![]));
    let refused = do_as(&lake, Act::Hold, &second, ("ann", "too late"), &open).await.unwrap_err();
    assert!(refused.contains("invoice B-000001 was issued"), "{refused}");
    assert_eq!(
        acts_of(&lake).await,
        [
            "approved approve 0 staff:bob seen",
            "held hold 0 staff:ann dispute",
            "held hold 1 staff:ann dispute",
            "released hold 0 staff:bob settled",
            "released hold 1 staff:ann settled",
        ]
    );
}

#[tokio::test]
async fn what_was_approved_is_what_is_issued() {
    let (_folder, lake) = lake();
    let every = HoldPolicy { every_invoice: true, ..HoldPolicy::NOTHING };
    let (first, second) = (drafted(ACME, ""), drafted(ACME, USED));
    draft_as(&lake, &first, "ann").await;
    let told =
        |total: &str| vec![format!("held by system:every_invoice: every invoice is approved first; total {total}")];
    assert_eq!(issued(&lake, &every).await, (0, told("49.00 EUR")));
    // Found again, it is noted once.
    assert_eq!(issued(&lake, &every).await, (0, told("49.00 EUR")));
    assert_eq!(acts_of(&lake).await.len(), 1);
    assert_eq!(do_as(&lake, Act::Approve, &first, ("ann", "seen"), &every).await, Ok(true));
    assert_eq!(do_as(&lake, Act::Approve, &first, ("ann", "seen"), &every).await, Ok(false));
    // Drafted anew with other content, it is another document.
    draft_as(&lake, &second, "ann").await;
    assert_eq!(issued(&lake, &every).await, (0, told("49.20 EUR")));
    let refused = do_as(&lake, Act::Approve, &first, ("bob", "seen"), &every).await.unwrap_err();
    assert!(refused.contains("is not the draft any more: inv_"), "{refused}");
    // What comes back is what was approved.
    draft_as(&lake, &first, "ann").await;
    let invoices = issue_with(&lake, &every).await.invoices;
    assert_eq!(invoices.iter().map(|one| one.total.to_string()).collect::<Vec<_>>(), ["49.00 EUR"]);
    let refused = do_as(&lake, Act::Approve, &first, ("bob", "seen"), &every).await.unwrap_err();
    assert!(refused.contains("was issued in this place before"), "{refused}");
    // A draft that is gone.
    let bolt = drafted("bolt pro 2026-01-01..", "");
    let refused = do_as(&lake, Act::Approve, &bolt, ("bob", "seen"), &every).await.unwrap_err();
    assert!(refused.contains("it was withdrawn"), "{refused}");
}

/// Drafted again from more offsets, or with another catalog, and billing just the same: it is approved still. Else a
/// scheduler that aggregates every night would make every approval void.
#[tokio::test]
async fn an_approval_outlives_another_pin_and_nothing_else() {
    let every = HoldPolicy { every_invoice: true, ..HoldPolicy::NOTHING };
    let now = drafted(ACME, USED);
    let with = |change: fn(&mut Body)| {
        let mut body = now.documents[0].body.clone();
        change(&mut body);
        Drafted { documents: vec![Document::close(body).unwrap()], ..now.clone() }
    };
    for (before, issued_count) in [
        (with(|body| body.pin = r#"{"old":1}"#.to_owned()), 1),
        (with(|body| body.catalog_sha256 = "other".to_owned()), 1),
        (with(|body| body.payment_terms_days = 7), 0),
        (with(|body| body.lines[0].description.push('!')), 0),
    ] {
        let (_folder, lake) = lake();
        draft_as(&lake, &before, "ann").await;
        assert_eq!(do_as(&lake, Act::Approve, &before, ("bob", "seen"), &every).await, Ok(true));
        draft_as(&lake, &now, "ann").await;
        assert_eq!(issued(&lake, &every).await.0, issued_count);
    }
}

#[tokio::test]
async fn with_four_eyes_whoever_drafted_does_not_approve() {
    let (_folder, lake) = lake();
    let two = HoldPolicy { every_invoice: true, ..HoldPolicy::NOTHING };
    let four = HoldPolicy { four_eyes: true, ..two.clone() };
    let (first, second) = (drafted(ACME, ""), drafted(ACME, USED));
    draft_as(&lake, &first, "ann").await;
    let refused = do_as(&lake, Act::Approve, &first, ("ann", "seen"), &four).await.unwrap_err();
    assert!(refused.contains("staff:ann drafted inv_") && refused.contains("somebody else"), "{refused}");
    // Approved before four eyes were wanted: it does not count, and says so.
    assert_eq!(do_as(&lake, Act::Approve, &first, ("ann", "seen"), &two).await, Ok(true));
    let (count, held) = issued(&lake, &four).await;
    assert_eq!(count, 0);
    assert!(
        held[0].ends_with(
            "held by system:four_eyes: staff:ann approved it, and drafted it or made a line of it; somebody else must"
        ),
        "{held:?}"
    );
    // Whoever drafted the document last is its drafter, also where it comes back.
    draft_as(&lake, &second, "ann").await;
    draft_as(&lake, &first, "bob").await;
    let refused = do_as(&lake, Act::Approve, &first, ("bob", "seen"), &four).await.unwrap_err();
    assert!(refused.contains("staff:bob drafted"), "{refused}");
    assert_eq!(issued(&lake, &four).await, (1, vec![]), "ann's approval is that of somebody else now");
}

/// What is held is held by its own partner's past, and tells nobody else.
#[tokio::test]
async fn the_past_is_that_of_issuer_partner_and_currency() {
    let (_folder, lake) = lake();
    let both = drafted("acme pro 2026-01-01..; bolt pro 2026-01-01..; acme jp 2026-01-01..", "");
    draft_as(&lake, &both, "ann").await;
    assert_eq!(issued(&lake, &HoldPolicy::NOTHING).await, (3, vec![]));
    let july = |document: &Document| {
        let mut body = document.body.clone();
        body.month = "2026-07".parse().unwrap();
        (body.lines[0].amount_minor, body.total_minor) = (99, 99 + body.total_minor - body.lines[0].amount_minor);
        Document::close(body).unwrap()
    };
    let limit = crate::policy::Deviation { limit_percent: 10, minimum: tollbook_schemas::decimal::Decimal::ZERO };
    let policy = HoldPolicy { deviation: Some(limit), first_invoice: true, ..HoldPolicy::NOTHING };
    let holds = read(&lake, &policy).await.unwrap();
    let told: Vec<String> = both
        .documents
        .iter()
        .map(|one| holds.why_held(&july(one)).map_or("-".into(), |held| held.to_string()))
        .collect();
    let expected = |total: &str, percent: &str, mean: &str| {
        format!("held by system:deviation: total {total} is {percent} % below the mean {mean} of 2026-06; limit 10 %")
    };
    assert_eq!(
        told,
        [
            expected("0.99 EUR", "97.97", "49.00 EUR"),
            expected("0.99 EUR", "97.97", "49.00 EUR"),
            expected("99 JPY", "90.1", "1000 JPY"),
        ]
    );
    // Of June itself nothing was issued before.
    let holds = read(&lake, &policy).await.unwrap();
    let held = holds.why_held(&both.documents[0]).unwrap();
    assert_eq!((held.by.len(), held.by[0].actor.as_str()), (1, "system:first_invoice"));
    // A voided invoice is owed by nobody, and no measure of what is usual.
    let voided: Vec<Row> = both
        .documents
        .iter()
        .map(|document| InvoiceEvent::of(document, EventKind::Voided, "sync", 0, at("2026-07-04")).to_row())
        .collect();
    lake.append_missing(&INVOICE_EVENT, &voided).await.unwrap();
    let holds = read(&lake, &policy).await.unwrap();
    let held = holds.why_held(&july(&both.documents[0])).unwrap();
    assert_eq!((held.by.len(), held.by[0].actor.as_str()), (1, "system:first_invoice"));
}

/// Whoever holds while somebody issues: one of the two is first, and an issued invoice is never held.
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_beside_an_issue_is_before_it_or_is_refused() {
    let policy = HoldPolicy::NOTHING;
    let june = drafted(ACME, "");
    let mut refused_count = 0;
    for delay_ms in [0_u64, 5, 10, 20, 40, 80, 160] {
        let (folder, lake) = lake();
        draft_as(&lake, &june, "ann").await;
        let other = Lake::open(folder.path().to_str().unwrap()).unwrap();
        let hold = async {
            tokio::time::sleep(std::time::Duration::from_millis(delay_ms)).await;
            do_as(&other, Act::Hold, &june, ("ann", "dispute"), &policy).await
        };
        let ((count, held), is_held) = tokio::join!(issued(&lake, &policy), hold);
        match is_held {
            Ok(_) => assert_eq!((count, held.len()), (0, 1), "held, and issued all the same"),
            Err(told) => {
                refused_count += 1;
                assert_eq!((count, held.len()), (1, 0), "{told}");
            }
        }
    }
    assert!(refused_count > 0, "no hold came too late: nothing was tried");
}

#[tokio::test]
async fn the_register_says_what_is_held() {
    let (_folder, lake) = lake();
    let every = HoldPolicy { every_invoice: true, ..HoldPolicy::NOTHING };
    let both = drafted("acme pro 2026-01-01..; bolt pro 2026-01-01..", "");
    draft_as(&lake, &both, "ann").await;
    do_as(&lake, Act::Hold, &both, ("ann", "dispute"), &every).await.unwrap();
    let held = held_drafts(&lake, june(), &every).await.unwrap();
    assert_eq!(held.len(), 2);
    let id = &held[0].invoice_id;
    assert_eq!(held[0].way_out(), format!("`tollbook bill release {id}` and `tollbook bill approve {id}`"));
    let documents = read_documents(&lake, june()).await.unwrap();
    let events = events_of(&lake.rows(&INVOICE_EVENT, None).await.unwrap()).unwrap();
    // As of July acme's draft is another one today: both are noted.
    let mut rows =
        register(&documents, &[], &events, &drafted("acme; bolt pro 2026-01-01..", ""), at("2026-07-03")).unwrap();
    mark_held(&mut rows, &held);
    let told: Vec<(bool, &str)> = rows.iter().map(|row| (row.is_held, row.note.as_deref().unwrap_or("-"))).collect();
    let by_rule = "held by system:every_invoice: every invoice is approved first; total 49.00 EUR";
    let acme = format!("held by staff:ann: dispute; {by_rule}; today it would be another; run `tollbook bill draft`");
    assert!(told.contains(&(true, &acme)) && told.contains(&(true, by_rule)), "{told:?}");
}

/// Everything of a partner's month is held: also a credit note that nobody could know of when it was held.
#[tokio::test]
async fn a_held_month_holds_what_comes_later() {
    let (_folder, lake) = lake();
    let open = HoldPolicy::NOTHING;
    let june = drafted(ACME, USED);
    let whole = Target::whole_month(&june.documents[0].body.partner_id, june.month);
    let ann = actor("ann");
    let held =
        act(&lake, Act::Hold, std::slice::from_ref(&whole), (&ann, "dispute"), &open, at("2026-07-01")).await.unwrap();
    assert_eq!((held[0].is_new, held[0].target.to_string().as_str()), (true, "every document of 2026-06"));
    let mut body = june.documents[0].body.clone();
    body.kind = crate::document::DocumentKind::CreditNote;
    let number = "B-000009".to_owned();
    body.credits = Some(crate::document::Credits { invoice_id: InvoiceId::derive(["other"]), number });
    let note = Document::close(body).unwrap();
    let both = Drafted { documents: vec![june.documents[0].clone(), note], ..june.clone() };
    draft_as(&lake, &both, "ann").await;
    let found = issue_with(&lake, &open).await;
    assert_eq!((found.invoices.len(), found.held.len()), (0, 2));
    for one in &found.held {
        assert_eq!(one.to_string(), "held by staff:ann: dispute");
        assert_eq!(one.way_out(), "`tollbook bill release --partner acme --period 2026-06`");
    }
    // One document alone is not let go.
    let refused = do_as(&lake, Act::Release, &june, ("bob", "settled"), &open).await.unwrap_err();
    assert!(refused.contains("is held with every other document of 2026-06"), "{refused}");
    // Another month, and another partner, are not held.
    let bolt = drafted("bolt pro 2026-01-01..", "");
    assert!(read(&lake, &open).await.unwrap().why_held(&bolt.documents[0]).is_none());
    act(&lake, Act::Release, &[whole], (&ann, "settled"), &open, at("2026-07-02")).await.unwrap();
    assert_eq!(issue_with(&lake, &open).await.invoices.len(), 2);
}

/// Where nobody said who drafted, nobody is known to be another: until somebody drafts it again and says so.
#[tokio::test]
async fn with_four_eyes_an_unknown_drafter_is_nobody_else() {
    let (_folder, lake) = lake();
    let two = HoldPolicy { every_invoice: true, ..HoldPolicy::NOTHING };
    let four = HoldPolicy { four_eyes: true, ..two.clone() };
    let june = drafted(ACME, "");
    draft_of(&lake, &KnownDrafts::of(june.month), &june, (&PartnerRange::ALL, &[]), None, at("2026-07-01"))
        .await
        .unwrap();
    let refused = do_as(&lake, Act::Approve, &june, ("ann", "seen"), &four).await.unwrap_err();
    assert!(refused.contains("nobody knows who drafted inv_"), "{refused}");
    assert!(refused.contains("`tollbook bill draft --period 2026-06 --actor staff:NAME`"), "{refused}");
    // Approved while one pair of eyes was enough: it does not count.
    assert_eq!(do_as(&lake, Act::Approve, &june, ("ann", "seen"), &two).await, Ok(true));
    let (count, held) = issued(&lake, &four).await;
    assert!(count == 0 && held[0].contains("and nobody knows who drafted it"), "{held:?}");
    let counts = draft_of(
        &lake,
        &KnownDrafts::of(june.month),
        &june,
        (&PartnerRange::ALL, &[]),
        Some(&actor("ann")),
        at("2026-07-02"),
    )
    .await
    .unwrap();
    assert_eq!((counts.drafted, counts.unchanged), (0, 1));
    for name in ["ann", "Ann"] {
        let refused = do_as(&lake, Act::Approve, &june, (name, "looked"), &four).await.unwrap_err();
        assert!(refused.contains("drafted inv_"), "{name}: {refused}");
    }
    assert_eq!(issued(&lake, &four).await.0, 0, "ann's approval is her own now");
    // Who is known stays it, whoever drafts the same again.
    let events = lake.rows(&INVOICE_EVENT, None).await.unwrap().len();
    draft_as(&lake, &june, "bob").await;
    assert_eq!(lake.rows(&INVOICE_EVENT, None).await.unwrap().len(), events);
    assert_eq!(do_as(&lake, Act::Approve, &june, ("bob", "seen"), &four).await, Ok(true));
    assert_eq!(issued(&lake, &four).await, (1, vec![]));
}
