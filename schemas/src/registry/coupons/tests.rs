use super::super::tests::events;
use super::super::{Registry, fold};
use super::*;

/// Spans as `partner coupon[/subscription] from..to`, then what is told, with `!` where it blocks billing.
fn told(registry: &Registry) -> Vec<String> {
    let day = |instant: DateTime<Utc>| instant.format("%d").to_string();
    let span = |span: &RedeemedCoupon| {
        let of = span.subscription_id.as_ref().map(|id| format!("/{id}")).unwrap_or_default();
        let ended = span.withdrawn_at.map(day).unwrap_or_default();
        format!("{} {}{of} {}..{ended}", span.partner_id, span.coupon_id, day(span.redeemed_at))
    };
    let finding = |finding: &super::super::Finding| {
        format!("{}{}", if finding.blocks_billing() { "! " } else { "" }, finding.what)
    };
    registry.coupons.iter().map(span).chain(registry.findings.iter().map(finding)).collect()
}

/// Each row: events in any order, and what comes of them.
#[test]
fn redemptions_become_spans() {
    for (table, wanted) in [
        ("01 acme coupon.redeemed coupon_id=ten", &["acme ten 01.."][..]),
        ("05 acme coupon.redeemed coupon_id=ten effective_at=2026-06-01T00:00:00Z", &["acme ten 01.."]),
        // In the order of redemption, which is that in which they take off.
        (
            "02 acme coupon.redeemed coupon_id=a
             01 acme coupon.redeemed coupon_id=b subscription_id=s1
             04 acme coupon.withdrawn coupon_id=b subscription_id=s1 effective_at=2026-06-20T00:00:00Z",
            &["acme b/s1 01..20", "acme a 02.."],
        ),
        // Said again, and redeemed once more while it holds.
        (
            "01 acme coupon.redeemed coupon_id=ten
             01 acme coupon.redeemed coupon_id=ten
             03 acme coupon.redeemed coupon_id=ten",
            &["acme ten 01.."],
        ),
        (
            "01 acme coupon.redeemed coupon_id=ten
             05 acme coupon.withdrawn coupon_id=ten
             09 acme coupon.redeemed coupon_id=ten",
            &["acme ten 01..05", "acme ten 09.."],
        ),
        // Taken back at its very begin.
        (
            "01 acme coupon.redeemed coupon_id=ten
             03 acme coupon.withdrawn coupon_id=ten effective_at=2026-06-01T00:00:00Z",
            &[],
        ),
        (
            "01 acme coupon.redeemed coupon_id=ten subscription_id=s1
             01 acme coupon.redeemed coupon_id=ten
             01 bolt coupon.redeemed coupon_id=ten
             02 acme coupon.withdrawn coupon_id=ten",
            &["acme ten 01..02", "acme ten/s1 01..02", "bolt ten 01.."],
        ),
        ("01 acme coupon.withdrawn coupon_id=ten", &["coupon.withdrawn: ten is no coupon that the partner has"]),
        // What cannot be read blocks, until one that can puts it right.
        ("01 acme coupon.redeemed coupon_id=json:5", &["! coupon.redeemed: coupon_id is missing or not valid"]),
        (
            "01 acme coupon.redeemed coupon_id=a/b
             02 acme coupon.redeemed coupon_id=ten",
            &["acme ten 02..", "coupon.redeemed: coupon_id is missing or not valid"],
        ),
        (
            "01 acme coupon.redeemed coupon_id=ten
             02 acme coupon.withdrawn coupon_id=ten effective_at=soon",
            &["acme ten 01..", "! coupon.withdrawn: effective_at is missing or not valid"],
        ),
        (
            "01 acme coupon.redeemed coupon_id=ten subscription_id=a/b",
            &["! coupon.redeemed: subscription_id is missing or not valid"],
        ),
    ] {
        assert_eq!(told(&fold(events(table), None)), wanted, "{table}");
        // Delivered twice it is the same.
        let twice = [events(table), events(table)].concat();
        assert_eq!(told(&fold(twice, None)), wanted, "{table}");
    }
}
