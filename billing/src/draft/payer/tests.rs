use std::collections::BTreeMap;

use tollbook_schemas::registry::{Payers, Registry};

use super::super::tests::{at, catalog, profiles, registry, told, usage};
use super::super::{Drafted, TermsChanges, draft_adjusting};
use super::*;
use crate::billed::IssuedDocument;

/// Adds `child>payer@DAY`, or `child>@DAY` where it pays for itself again; several, separated by blanks.
fn paid(mut registry: Registry, text: &str) -> Registry {
    let id = |text: &str| PartnerId::parse(text).unwrap();
    let mut payers: BTreeMap<PartnerId, Payers> = BTreeMap::new();
    for word in text.split_whitespace() {
        let (child, rest) = word.split_once('>').unwrap();
        let (payer, day) = rest.split_once('@').unwrap();
        payers.entry(id(child)).or_default().insert(at(day), (!payer.is_empty()).then(|| id(payer)));
    }
    registry.set_payers(payers);
    registry
}

fn drafted(registry: &Registry, month: &str, usage_text: &str, issued: &[IssuedDocument]) -> Drafted {
    let (catalog, usage) = (catalog(), usage(usage_text));
    let month: tollbook_schemas::period::Month = month.parse().unwrap();
    let input = DraftInput {
        month,
        usage: &usage,
        registry,
        catalog: &catalog,
        profiles: &profiles(),
        pin_json: "{}",
        as_of: at(&format!("{}-02", month.next())),
        terms_changes: &TermsChanges::new(),
    };
    draft_adjusting(&input, issued).unwrap()
}

/// One row: subscriptions, who pays, usage, what June comes to. Only acme and bolt have billing profiles.
#[test]
fn the_payer_bears_the_lines_of_those_it_pays_for() {
    const USED: &str = "acme calls production 2026-06-02T00:00 11; corp calls production 2026-06-02T00:00 12";
    for (subscriptions, payers, wanted) in [
        (
            "acme pro 2026-01-01..; corp pro 2026-01-01..",
            "corp>acme@2026-01-01",
            "acme berlin 98.30 EUR: base 1 4900, calls 11 10, base 1 4900, calls 12 20 | corp- billed under acme",
        ),
        // The free calls are each partner's own; the payer has no subscription itself.
        (
            "acme; corp pro 2026-01-01..",
            "corp>acme@2026-01-01",
            "acme berlin 49.20 EUR: base 1 4900, calls 12 20 | corp- billed under acme",
        ),
        // Asked at the begin of the period.
        (
            "acme; corp pro 2026-01-01..",
            "corp>acme@2026-06-01",
            "corp! no billing profile is in force; import one with \
            `tollbook partner import` and draft 2026-06 again | acme- never subscribed, so none runs in 2026-06; its \
             production usage of calls (11 call) is not billed",
        ),
        (
            "acme; corp pro 2026-01-01..",
            "corp>acme@2026-05-31T22:00",
            "acme berlin 49.20 EUR: base 1 4900, calls 12 20 | corp- billed under acme",
        ),
        (
            "acme; bolt pro 2026-01-01..",
            "bolt>acme@2026-01-01 bolt>@2026-05-31T22:00",
            "bolt berlin 49.00 EUR: base 1 4900, calls 0 0 | acme- never subscribed, so none runs in 2026-06; its \
             production usage of calls (11 call) is not billed",
        ),
        // Another issuer, another document of the payer.
        (
            "acme pro 2026-01-01..; corp jp 2026-01-01..",
            "corp>acme@2026-01-01",
            "acme berlin 49.10 EUR: base 1 4900, calls 11 10 | acme tokyo 1000 JPY: base 1 1000 | corp- billed under acme",
        ),
        // Both bill the same meter, each of its own usage.
        (
            "acme pro 2026-01-01..; corp pro 2026-01-01..; bolt pro 2026-01-01..",
            "corp>acme@2026-01-01 bolt>acme@2026-01-01",
            "acme berlin 147.30 EUR: base 1 4900, calls 11 10, base 1 4900, calls 0 0, base 1 4900, calls 12 20 | \
             bolt- billed under acme | corp- billed under acme",
        ),
        // What cannot be billed blocks the one that is paid for alone.
        (
            "acme pro 2026-01-01..; corp nosuch 2026-01-01..",
            "corp>acme@2026-01-01",
            "acme berlin 49.10 EUR: base 1 4900, calls 11 10 | corp! subscription s2 is to plan nosuch, which the catalog does \
             not have; add the plan, or correct the subscription",
        ),
    ] {
        let registry = paid(registry(subscriptions), payers);
        assert_eq!(told(&drafted(&registry, "2026-06", USED, &[])), wanted, "{subscriptions} {payers}");
    }
}

/// A partner that is paid for and cannot be computed now, or is said to be paid for by a third one since, gives its
/// payer nothing back: that is told.
#[test]
fn what_is_not_known_of_who_is_paid_for_is_not_given_back() {
    let subscriptions = "acme pro 2026-01-01..; bolt pro 2026-01-01..; corp pro 2026-01-01..";
    let all = paid(registry(subscriptions), "corp>acme@2026-01-01");
    let june = drafted(&all, "2026-06", "corp calls production 2026-06-02T00:00 12", &[]);
    let issued: Vec<IssuedDocument> = june
        .documents
        .iter()
        .enumerate()
        .map(|(at, document)| IssuedDocument {
            document: document.clone(),
            number: format!("B-{at}"),
            is_voided: false,
        })
        .collect();
    let nosuch = paid(registry(&subscriptions.replace("corp pro", "corp nosuch")), "corp>acme@2026-01-01");
    let moved = paid(registry(subscriptions), "corp>acme@2026-01-01 corp>bolt@2026-05-31");
    for (registry, told) in
        [(nosuch, "it cannot be computed now: corp, for whom it pays: "), (moved, "subscription s3 moved")]
    {
        let july = drafted(&registry, "2026-07", "corp calls production 2026-06-02T00:00 12", &issued);
        assert_eq!(july.credit_note_count(), 0, "{told}");
        let reasons: Vec<&str> = july.unadjusted.iter().map(|one| one.reason.as_str()).collect();
        assert!(reasons.iter().any(|reason| reason.starts_with(told)), "{reasons:?}");
    }
}

/// What comes late of the partner that is paid for is adjusted on the payer's next invoice; a payer that is said for a
/// month that was billed is told, and bills and credits nothing.
#[test]
fn what_comes_late_stays_with_the_payer() {
    let subscriptions = "acme pro 2026-01-01..; bolt pro 2026-01-01..";
    let june = |text: &str| {
        let drafted = drafted(&paid(registry(subscriptions), "bolt>acme@2026-01-01"), "2026-06", text, &[]);
        let number = |(at, document): (usize, &crate::document::Document)| IssuedDocument {
            document: document.clone(),
            number: format!("B-{at}"),
            is_voided: false,
        };
        drafted.documents.iter().enumerate().map(number).collect::<Vec<_>>()
    };
    let issued = june("bolt calls production 2026-06-02T00:00 12");
    let lines = &issued[0].document.body.lines;
    assert_eq!(
        (lines[0].for_partner.as_ref(), lines[3].for_partner.as_ref().map(PartnerId::as_str)),
        (None, Some("bolt"))
    );
    assert_eq!(lines[3].description, "Calls (bolt)");
    let late = "bolt calls production 2026-06-02T00:00 12; bolt calls production 2026-06-03T00:00 3";
    let july = |payers: &str| drafted(&paid(registry(subscriptions), payers), "2026-07", late, &issued);
    assert_eq!(
        told(&july("bolt>acme@2026-01-01")),
        "acme berlin 118.30 EUR: base 1 5900, base 1 5900, calls 3 30 | bolt- billed under acme"
    );
    let moved = july("");
    assert_eq!(told(&moved), "acme berlin 59.00 EUR: base 1 5900 | bolt berlin 59.00 EUR: base 1 5900");
    let unadjusted: Vec<&str> = moved.unadjusted.iter().map(|one| one.reason.as_str()).collect();
    assert_eq!(unadjusted.len(), 1);
    assert!(
        unadjusted[0].starts_with("subscription s2 moved to another issuer, currency or payer after invoice B-0"),
        "{unadjusted:?}"
    );
}
