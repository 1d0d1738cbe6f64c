use tollbook_schemas::period::parse_instant;

use super::*;
use crate::page::tests::assert_self_contained;

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn invoice() -> InvoiceDocument {
    let currency = Currency::parse("EUR").unwrap();
    let money = |minor| Money { minor, currency };
    let (start, end) = (parse_instant("2026-05-31T22:00:00Z").unwrap(), parse_instant("2026-06-30T22:00:00Z").unwrap());
    let line = |line_number, description: &str, minor| InvoiceLine {
        line_number,
        description: description.to_owned(),
        span_start: start,
        span_end: end,
        quantity: decimal("1"),
        unit: None,
        unit_price: None,
        tiers: Vec::new(),
        exact: "49".to_owned(),
        amount: money(minor),
    };
    let tier = |from: &str, up_to: Option<&str>, quantity: &str, price: &str, flat: &str, exact: &str| TierPart {
        from: decimal(from),
        up_to: up_to.map(decimal),
        quantity: decimal(quantity),
        unit_price: decimal(price),
        flat_price: decimal(flat),
        exact: exact.to_owned(),
    };
    let party = |name: &str| Party {
        legal_name: name.to_owned(),
        address: vec!["Beispielstrasse 1".to_owned(), "10115 Berlin".to_owned()],
        country: None,
        tax_id: Some("DE000000000".to_owned()),
    };
    InvoiceDocument {
        number: "NW-2026-000001".to_owned(),
        invoice_id: "inv_1eb6f956af32422875a8".to_owned(),
        issued_on: NaiveDate::from_ymd_opt(2026, 7, 2).unwrap(),
        payment_terms_days: 14,
        due_on: NaiveDate::from_ymd_opt(2026, 7, 16).unwrap(),
        issuer: party("Nordwind APIs GmbH"),
        bill_to: Party { country: Some("DE".to_owned()), ..party("<script>alert('x')</script> & Söhne") },
        purchase_order: Some("PO 7".to_owned()),
        partner_id: "amber-freight".to_owned(),
        month: "2026-06".parse().unwrap(),
        period_start: start,
        period_end: end,
        lines: vec![
            line(1, "Pro, monthly", 4_900),
            InvoiceLine {
                quantity: decimal("21726"),
                unit: Some("call".to_owned()),
                tiers: vec![
                    tier("0", Some("500"), "500", "0", "99", "99"),
                    tier("500", Some("20000"), "19500", "0.0015", "10", "39.25"),
                    tier("20000", None, "1726", "0.0009", "50", "51.5534"),
                ],
                ..line(2, "Map calls", 18_980)
            },
            InvoiceLine {
                quantity: decimal("33"),
                unit: Some("call".to_owned()),
                unit_price: Some(decimal("0.005")),
                span_start: parse_instant("2026-06-10T00:00:00Z").unwrap(),
                ..line(3, "Routing calls", 17)
            },
        ],
        total: money(23_897),
        pin: r#"{"access_log":{"demo/access/1":{"0":70000}}}"#.to_owned(),
        catalog_sha256: "abc123".to_owned(),
        profile_version_id: "prf_1".to_owned(),
    }
}

#[test]
fn the_page_says_who_what_and_why() {
    let html = invoice_html(&invoice());
    assert_self_contained(&html);
    for text in [
        "<h1>Invoice NW-2026-000001</h1>",
        "Nordwind APIs GmbH",
        "Tax id DE000000000",
        "10115 Berlin",
        "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; Söhne",
        "2026-07-16 (14 days after issue)",
        "PO 7",
        "2026-06: from 2026-05-31T22:00:00Z until before 2026-06-30T22:00:00Z",
        "49.00 EUR",
        "21726 call",
        "189.80 EUR",
        "above 500 up to 20000",
        "0.0015 EUR + 10.00 EUR once",
        "(39.25)",
        "above 20000",
        "(51.5534)",
        "0.005 EUR",
        "from 2026-06-10T00:00:00Z until before 2026-06-30T22:00:00Z",
        "238.97 EUR",
        "inv_1eb6f956af32422875a8",
        "abc123",
        "{&quot;access_log&quot;:{&quot;demo/access/1&quot;:{&quot;0&quot;:70000}}}",
        "prf_1",
    ] {
        assert!(html.contains(text), "{text}");
    }
    assert_eq!(html, invoice_html(&invoice()), "the same document gives the same page");
}

#[test]
fn what_is_not_there_is_not_printed() {
    let mut invoice = invoice();
    invoice.purchase_order = None;
    invoice.bill_to.tax_id = None;
    invoice.issuer.tax_id = None;
    invoice.issuer.address.insert(0, invoice.issuer.legal_name.clone());
    let html = invoice_html(&invoice);
    assert_eq!(html.matches("Nordwind APIs GmbH").count(), 1);
    assert!(!html.contains("Purchase order") && !html.contains("Tax id"));
}
