//! Verdicts as a table of rows, and that the order of arrival never matters.

use chrono::TimeDelta;
use tollbook_schemas::period::parse_instant;

use super::*;

/// `r1@10=7`: a request at offset 1 in hour 10 with content 7; `x3@10/c1`: a retraction, `a3@11/c1`: an amendment,
/// whose own id is `c1`, received at its offset's second unless `!5` says another.
fn deliveries(text: &str) -> Vec<Delivery> {
    let midnight = parse_instant("2026-06-01T00:00:00Z").unwrap();
    text.split_whitespace()
        .map(|word| {
            let (word, received) = word.split_once('!').unwrap_or((word, ""));
            let (word, content) = word.split_once('=').unwrap_or((word, "0"));
            let (word, own_id) = word.split_once('/').unwrap_or((word, "id"));
            let (place, hour) = word.split_once('@').unwrap();
            let offset: i64 = place[1..].parse().unwrap();
            Delivery {
                place: ("test/web/1".to_owned(), 0, offset, 0),
                kind: match &place[..1] {
                    "r" => DeliveryKind::Request,
                    "x" => DeliveryKind::Retraction,
                    _ => DeliveryKind::Amendment,
                },
                own_id: own_id.to_owned(),
                hour: midnight + TimeDelta::hours(hour.parse().unwrap()),
                received_at: midnight + TimeDelta::seconds(received.parse().unwrap_or(offset)),
                content_hash: content.parse().unwrap(),
            }
        })
        .collect()
}

#[test]
fn the_delivery_that_counts_is_decided_by_rule_whatever_the_order_of_arrival() {
    for (text, counted, superseded, reasons) in [
        ("r1@10", Some(1), false, ""),
        ("r1@10 r2@10 r3@10", Some(1), false, ""),
        ("r2@11 r1@10", Some(1), false, "hour"),
        ("r1@11 r2@10", Some(1), false, "hour"),
        ("r1@10=7 r2@10=8", Some(1), false, "content"),
        ("r1@10=7 r2@11=8", Some(1), false, "content, hour"),
        ("r1@10 x2@10/c1", None, true, "retracted"),
        // A retraction that overtook its request on another partition.
        ("x1@10/c1 r2@10", None, true, "retracted"),
        ("r1@10 a2@12/c1", Some(2), true, "amended"),
        ("r1@10 a2@12/c1 a3@12/c2", Some(3), true, "amended"),
        ("r1@10 a2@12/c1 x3@12/c2", None, true, "amended, retracted"),
        ("r1@10 x2@12/c1 a3@12/c2", Some(3), true, "amended, retracted"),
        // The record's time says which correction is the last one, not its place.
        ("r1@10 a2@12/c1!50 a3@12/c2!40", Some(2), true, "amended"),
        // Delivered again, the first correction does not overtake the second.
        ("r1@10 a2@12/c1 x3@12/c2 a4@12/c1", None, true, "amended, retracted"),
        ("r5@10 x6@12/c1!10 a7@12/c2!20 x1@12/c1!30", Some(7), true, "amended, retracted"),
        ("x1@10/c1", None, false, "orphan, retracted"),
        ("a1@10/c1 a2@10/c2", None, false, "amended, orphan"),
    ] {
        let all = deliveries(text);
        let verdict = decide(&all);
        assert_eq!(verdict.counted.as_ref().map(|place| place.2), counted, "{text}");
        assert_eq!(verdict.superseded, superseded, "{text}");
        assert_eq!(verdict.reasons.iter().copied().collect::<Vec<_>>().join(", "), reasons, "{text}");
        assert_eq!(verdict.deliveries, all.len(), "{text}");
        for turn in 0..all.len() {
            let mut other = all.clone();
            other.rotate_left(turn);
            other.reverse();
            assert_eq!(decide(&other), verdict, "{text} in another order");
        }
    }
}
