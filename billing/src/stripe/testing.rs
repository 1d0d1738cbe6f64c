//! A document for the tests of this module.

use chrono::{DateTime, Utc};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::{IssuerId, PartnerId, PlanId, PriceId, ProfileVersionId, SubscriptionId};
use tollbook_schemas::money::Currency;
use tollbook_schemas::period::parse_instant;

use crate::document::{Body, Document, DocumentKind, FORMAT, IssuedBy, Line, sum_of};
use crate::rating::Working;

fn at(text: &str) -> DateTime<Utc> {
    parse_instant(text).unwrap()
}

/// A document of some lines, of 1.00, 2.00, 3.00 … EUR.
pub(crate) fn document(line_count: u32) -> Document {
    let line = |number: u32| Line {
        adjusts: None,
        by_hand: None,
        amount_minor: i64::from(number) * 100,
        contract: None,
        coupon: None,
        credit: None,
        description: format!("Line {number}: 100 % of a+b & c=d; ü"),
        due: None,
        for_partner: None,
        line_number: number,
        meter_id: None,
        opening: None,
        plan_id: PlanId::parse("pro").unwrap(),
        plan_version: 1,
        price_id: PriceId::parse(format!("p{number}")).unwrap(),
        price_model: "flat".into(),
        quantity: Decimal::whole(1),
        rollover: None,
        span_end: at("2026-07-01T00:00:00Z"),
        span_start: at("2026-06-01T00:00:00Z"),
        subscription_id: SubscriptionId::parse("s1").unwrap(),
        tax: None,
        unit: None,
        usage: Vec::new(),
        working: Working { exact: number.to_string(), ..Working::default() },
    };
    let lines: Vec<Line> = (1..=line_count).map(line).collect();
    let total_minor = sum_of(&lines).unwrap();
    let body = Body {
        catalog_sha256: "c".into(),
        credits: None,
        currency: Currency::parse("EUR").unwrap(),
        format: FORMAT,
        issuer: IssuedBy {
            address: vec!["Street 1".into()],
            issuer_id: IssuerId::parse("berlin").unwrap(),
            legal_name: "Berlin APIs GmbH".into(),
            tax_id: None,
        },
        kind: DocumentKind::Invoice,
        lines,
        month: "2026-06".parse().unwrap(),
        partner_id: PartnerId::parse("acme").unwrap(),
        payment_terms_days: 21,
        period_end: at("2026-07-01T00:00:00Z"),
        period_start: at("2026-06-01T00:00:00Z"),
        pin: "{}".into(),
        profile_version_id: ProfileVersionId::derive(["acme"]),
        shadows: Vec::new(),
        total_minor,
    };
    Document::close(body).unwrap()
}
