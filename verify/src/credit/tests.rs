//! Credits by hand: what is drawn, and what of earlier documents is believed.

use tollbook_schemas::id::{CreditId, IssuerId, PartnerId};
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::parse_instant;

use super::*;

fn day(text: &str) -> DateTime<Utc> {
    parse_instant(&format!("2026-{text}T00:00:00Z")).unwrap()
}

/// Reads `id amount from..[expires][!voided] [priority]`, several, separated by `;`.
fn grants(text: &str) -> Vec<Grant> {
    let one = |text: &str| {
        let words: Vec<&str> = text.split(' ').collect();
        let (from, rest) = words[2].split_once("..").unwrap();
        let (expires, voided) = rest.split_once('!').unwrap_or((rest, ""));
        Grant {
            credit_id: CreditId::parse(words[0]).unwrap(),
            partner_id: PartnerId::parse("acme").unwrap(),
            issuer_id: IssuerId::parse("acme").unwrap(),
            amount: Money { minor: words[1].parse().unwrap(), currency: Currency::parse("EUR").unwrap() },
            description: words[0].to_owned(),
            priority: words.get(3).map_or(0, |word| word.parse().unwrap()),
            granted_at: day(from),
            expires_at: (!expires.is_empty()).then(|| day(expires)),
            voided_at: (!voided.is_empty()).then(|| day(voided)),
        }
    };
    text.split(';').map(str::trim).filter(|text| !text.is_empty()).map(one).collect()
}

/// Each row: credits, what was used of them, what is due at the end of June; what each pays of what was left.
#[test]
fn credits_pay_in_their_order() {
    for (text, used, due, told) in [
        ("", "", 100, ""),
        ("a 100 01-01..", "", 49, "a 49 of 100"),
        ("a 100 01-01..", "a 70", 49, "a 30 of 30"),
        ("a 100 01-01..", "a 100", 49, ""),
        // The same id with less than was used of it: nothing is left, and nothing comes back.
        ("a 100 01-01..", "a 120", 49, ""),
        ("a 100 01-01..", "", 0, ""),
        ("a 100 01-01..", "", -5, ""),
        // Priority, then expiry, then age, then id.
        (
            "a 10 01-01..; b 10 01-02.. -1; c 10 01-03..12-31; d 10 01-04..12-01; f 10 01-01..; e 10 01-01..",
            "",
            55,
            "b 10 of 10, d 10 of 10, c 10 of 10, a 10 of 10, e 10 of 10, f 5 of 10",
        ),
        // What begins when the period ends is later; what ends with it still pays.
        ("a 10 07-01..; b 10 06-30..; c 10 01-01..07-01", "", 55, "c 10 of 10, b 10 of 10"),
        ("a 10 01-01..06-30; b 10 01-01..!06-30; c 10 01-01..!07-01; d 10 01-01..12-01!06-30", "", 55, "c 10 of 10"),
    ] {
        let used: BTreeMap<String, i64> =
            used.split_once(' ').map(|(id, minor)| (id.to_owned(), minor.parse().unwrap())).into_iter().collect();
        let grants = grants(text);
        let drawn = draw(grants.iter().collect(), day("07-01"), due, &used).unwrap();
        let told_of: Vec<String> =
            drawn.iter().map(|(grant, before, amount)| format!("{} {amount} of {before}", grant.credit_id)).collect();
        assert_eq!(told_of.join(", "), told, "{text}; {used:?}");
    }
}

/// Reads `number before>after[!voided][~]`, several, separated by `;`: of credit `a` of 100, issued on that day of
/// July; `~` where its text is another.
fn uses(text: &str) -> Vec<Use> {
    let one = |text: &str| {
        let is_whole = !text.ends_with('~');
        let (number, rest) = text.trim_end_matches('~').split_once(' ').unwrap();
        let (rest, voided) = rest.split_once('!').unwrap_or((rest, ""));
        let (before, after) = rest.split_once('>').unwrap();
        let [before, after]: [i64; 2] = [before, after].map(|minor| minor.parse().unwrap());
        Use {
            number: number.to_owned(),
            sequence: number.parse().ok(),
            issued_at: Some(day(&format!("07-{number:0>2}"))),
            voided_at: (!voided.is_empty()).then(|| day(&format!("07-{voided:0>2}"))),
            is_whole,
            drawn: vec![Drawn { credit_id: "a".into(), granted: 100, before, after, amount: after - before }],
        }
    };
    text.split(';').map(str::trim).filter(|text| !text.is_empty()).map(one).collect()
}

/// Each row: what documents used; what that leaves to the one of the 20th, and what is told of them.
#[test]
fn what_was_used_is_believed_where_it_follows_from_what_was_left() {
    for (text, left, told) in [
        ("", 100, ""),
        ("1 100>60; 2 60>55", 55, ""),
        ("2 60>55; 1 100>60", 55, ""),
        // Voided on the 5th: what was issued before had it used, what was issued since does not.
        ("1 100>60!5; 2 60>55; 6 95>90", 90, ""),
        ("1 100>60!21; 2 60>55", 55, ""),
        ("1 100>60!20; 2 60>55", 95, ""),
        (
            "1 100>60; 2 61>55",
            54,
            "invoice 2 says that it used 6 of 61 minor units of credit a and left 55, and the invoices before it left 60",
        ),
        ("1 90>60", 70, "invoice 1 says that it used 30 of 90"),
        ("1 100>60!5; 6 60>55", 95, "invoice 6 says that it used 5 of 60"),
        ("1 100>100", 100, "invoice 1 says that it used 0 of 100"),
        ("1 100>-1", -1, "invoice 1 says that it used 101 of 100"),
        ("1 100>60~", 60, "invoice 1 used credits, and its text is not the one that its id is of"),
        ("21 40>30", 100, "invoice 21 says that it used 10 of 40"),
    ] {
        let all = uses(text);
        let [by] = &uses("20 0>0")[..] else { panic!() };
        let found = 100 - used(&all, by).unwrap().get("a").copied().unwrap_or(0);
        assert_eq!(found, left, "{text}");
        let what = broken(&all).unwrap_or_default();
        assert!(what.starts_with(told) && what.is_empty() == told.is_empty(), "{text}: {what}");
    }
}
