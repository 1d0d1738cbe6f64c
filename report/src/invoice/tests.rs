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
        time_zone: Tz::Europe__Berlin,
        span_start: start,
        span_end: end,
        quantity: decimal("1"),
        billable: None,
        unit: None,
        unit_price: None,
        tax_percent: None,
        price_model: "flat".to_owned(),
        tiers: Vec::new(),
        components: Vec::new(),
        exact: "49".to_owned(),
        amount: money(minor),
        adjusts: None,
        line_id: Some(format!("lin_{line_number}")),
        plan: "pro version 3".to_owned(),
        price_id: format!("price-{line_number}"),
        meter_id: None,
        subscription_id: "s1".to_owned(),
        notes: Vec::new(),
        usage: Vec::new(),
    };
    let tier = |from: &str, up_to: Option<&str>, quantity: &str, price: &str, flat: &str, exact: &str| TierPart {
        from: decimal(from),
        up_to: up_to.map(decimal),
        quantity: decimal(quantity),
        unit_price: decimal(price),
        flat_price: decimal(flat),
        exact: exact.to_owned(),
    };
    let component = |name: &str, quantity: Option<&str>, price: Option<&str>, percent: Option<&str>, exact: &str| {
        let (name, quantity, exact) = (name.to_owned(), quantity.map(str::to_owned), exact.to_owned());
        ComponentPart { name, quantity, unit_price: price.map(decimal), percent: percent.map(decimal), exact }
    };
    let day = |day, quantity: &str, event_count| BilledDay {
        event_date: NaiveDate::from_ymd_opt(2026, 6, day).unwrap(),
        quantity: decimal(quantity),
        event_count,
        usage_sha256: format!("{day:064x}"),
    };
    let party = |name: &str| Party {
        legal_name: name.to_owned(),
        address: vec!["Beispielstrasse 1".to_owned(), "10115 Berlin".to_owned()],
        country: None,
        tax_id: Some("DE000000000".to_owned()),
    };
    InvoiceDocument {
        number: "NW-2026-000001".to_owned(),
        credits: None,
        invoice_id: "inv_1eb6f956af32422875a8".to_owned(),
        time_zone: Tz::Europe__Berlin,
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
                exact: "0.165".to_owned(),
                meter_id: Some("routing".to_owned()),
                notes: vec!["by contract <deal> version 2".to_owned()],
                usage: vec![day(10, "30", 31), day(11, "3", 3)],
                ..line(3, "Routing calls", 17)
            },
            InvoiceLine {
                quantity: decimal("2500000000"),
                billable: Some("2".to_owned()),
                unit: Some("byte".to_owned()),
                price_model: "volume".to_owned(),
                components: vec![
                    component("tier 2 units", Some("2"), Some("1.5"), None, "3"),
                    component("tier 2 flat", None, None, None, "4"),
                    component("percentage", Some("200"), None, Some("2.9"), "5.8"),
                    component("fixed_fee", Some("3"), Some("0.125"), None, "0.375"),
                    component("minimum", None, None, None, "10"),
                    component("discount", None, None, None, "-1.3175"),
                ],
                ..line(4, "Traffic", 2_186)
            },
            // Everything is included: there is nothing to price, and it is not a flat price.
            InvoiceLine {
                quantity: decimal("7"),
                billable: Some("0".to_owned()),
                unit: Some("report".to_owned()),
                price_model: "graduated_percentage".to_owned(),
                ..line(5, "Reports", 0)
            },
        ],
        before_tax: None,
        total: money(26_083),
        shadows: Vec::new(),
        pin: r#"{"access_log":{"demo/access/1":{"0":70000}}}"#.to_owned(),
        catalog_sha256: "abc123".to_owned(),
        profile_version_id: "prf_1".to_owned(),
        incomplete: Some("issued although the data reach only to 2026-06-28T00:00:00Z: flat plans only".to_owned()),
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
        "<dd>2 July 2026</dd>",
        "16 July 2026 (14 days after issue)",
        "<p class=\"label\">Amount due</p>\n<p class=\"amount\">260.83 EUR</p>\n<p class=\"label\">until 16 July 2026</p>",
        "PO 7",
        "<dd>1 to 30 June 2026 (Europe/Berlin)</dd>",
        "<dd>2026-05-31T22:00:00Z until before 2026-06-30T22:00:00Z</dd>",
        "49.00 EUR",
        "21726 call",
        "189.80 EUR",
        "above 500 up to 20000",
        "0.0015 EUR + 10.00 EUR once",
        "(39.25)",
        "above 20000",
        "(51.5534)",
        "0.005 EUR",
        "10 June 2026, 02:00:00 to 30 June 2026",
        "from 2026-06-10T00:00:00Z until before 2026-06-30T22:00:00Z",
        "by contract &lt;deal&gt; version 2",
        "quantity × price, before rounding</td><td class=\"figure\"></td><td class=\"figure\"></td><td class=\"figure\">(0.165)</td>",
        "<h3>Line 3: Routing calls</h3>",
        "Plan pro version 3, price price-3, flat; meter routing; subscription s1; usage from 2026-06-10T00:00:00Z until before \
         2026-06-30T22:00:00Z; line id lin_3.",
        "<tr><td>2026-06-10</td><td class=\"figure\">30</td><td class=\"figure\">31</td><td class=\"hash\">000000000000000000000000000000000000000000000000000000000000000a</td></tr>",
        "<tr><td>The line</td><td class=\"figure\">33</td><td class=\"figure\">34</td><td class=\"hash\"></td></tr>",
        "260.83 EUR",
        "quantity priced, after conversion, rounding and included units</td><td class=\"figure\">2</td>",
        ">tier 2 units</td><td class=\"figure\">2</td><td class=\"figure\">1.50 EUR</td><td class=\"figure\">(3)</td>",
        ">tier 2 flat</td><td class=\"figure\"></td><td class=\"figure\"></td><td class=\"figure\">(4)</td>",
        ">percentage</td><td class=\"figure\">200</td><td class=\"figure\">2.9 %</td><td class=\"figure\">(5.8)</td>",
        ">fixed fee</td><td class=\"figure\">3</td><td class=\"figure\">0.125 EUR</td><td class=\"figure\">(0.375)</td>",
        ">minimum</td><td class=\"figure\"></td><td class=\"figure\"></td><td class=\"figure\">(10)</td>",
        "<tr class=\"part last-part\"><td></td><td>discount</td>",
        "(-1.3175)",
        ">2500000000 byte</td><td class=\"figure\">volume</td>",
        ">7 report</td><td class=\"figure\">graduated percentage</td>",
        "This document was issued although the data reach only to 2026-06-28T00:00:00Z: flat plans only.",
        "inv_1eb6f956af32422875a8",
        "abc123",
        "{&quot;access_log&quot;:{&quot;demo/access/1&quot;:{&quot;0&quot;:70000}}}",
        "prf_1",
    ] {
        assert!(html.contains(text), "{text}");
    }
    assert_eq!(html, invoice_html(&invoice()), "the same document gives the same page");
}

/// Each row: the zone of a line, the time that it bills, and how the page tells it; beside it how it tells the
/// document's period, where all its lines are of that zone and time.
#[test]
fn days_are_those_of_the_subscription() {
    for (zone, start, end, of_line, of_period) in [
        (
            "Asia/Tokyo",
            "2026-05-31T15:00:00Z",
            "2026-06-30T15:00:00Z",
            "1 to 30 June 2026 (Asia/Tokyo)",
            "1 to 30 June 2026 (Asia/Tokyo)",
        ),
        (
            "America/New_York",
            "2026-06-15T04:00:00Z",
            "2026-07-01T04:00:00Z",
            "15 to 30 June 2026 (America/New_York)",
            "15 to 30 June 2026 (America/New_York)",
        ),
        (
            "Europe/Berlin",
            "2026-06-14T22:00:00Z",
            "2026-06-30T22:00:00Z",
            "15 to 30 June 2026",
            "15 to 30 June 2026 (Europe/Berlin)",
        ),
        // Within a day of its own zone.
        (
            "Asia/Tokyo",
            "2026-06-10T00:00:00Z",
            "2026-06-30T15:00:00Z",
            "10 June 2026, 09:00:00 to 30 June 2026 (Asia/Tokyo)",
            "10 June 2026, 02:00:00 to before 30 June 2026, 17:00:00 (Europe/Berlin)",
        ),
    ] {
        let at = |text: &str| parse_instant(text).unwrap();
        let mut invoice = invoice();
        invoice.lines.truncate(1);
        let line = &mut invoice.lines[0];
        (line.time_zone, line.span_start, line.span_end) = (zone.parse().unwrap(), at(start), at(end));
        let html = invoice_html(&invoice);
        assert!(html.contains(&format!("<span class=\"span\">{of_line}</span>")), "{zone}: {html}");
        (invoice.period_start, invoice.period_end) = (at(start), at(end));
        let html = invoice_html(&invoice);
        assert!(
            html.contains(&format!("<dd>{of_period}</dd>")) && !html.contains("class=\"span\">1"),
            "{zone}: {html}"
        );
    }
}

#[test]
fn what_is_not_there_is_not_printed() {
    let mut invoice = invoice();
    invoice.purchase_order = None;
    invoice.bill_to.tax_id = None;
    invoice.incomplete = None;
    invoice.lines.truncate(2);
    invoice.issuer.tax_id = None;
    invoice.issuer.address.insert(0, invoice.issuer.legal_name.clone());
    let html = invoice_html(&invoice);
    // Under the title, and as who issues.
    assert_eq!(html.matches("Nordwind APIs GmbH").count(), 2);
    assert!(!html.contains("Usage appendix") && !html.contains("before rounding"));
    assert!(!html.contains("Purchase order") && !html.contains("Tax id"));
    assert!(!html.contains("This document was") && !html.contains("quantity priced"));
}

/// A credit note says what it gives back of which invoice, from which figures; nobody has to pay it.
#[test]
fn a_credit_note_shows_both_figures_of_each_line() {
    let mut note = invoice();
    let currency = note.total.currency;
    let money = |minor| Money { minor, currency };
    note.number = "NW-2026-000009".to_owned();
    note.credits = Some("NW-2026-000001".to_owned());
    let mut line = note.lines.remove(1);
    line.description = "Map calls (adjustment of 2026-05)".to_owned();
    line.quantity = decimal("-726");
    line.amount = money(-65);
    line.adjusts = Some(AdjustedPart {
        month: "2026-05".parse().unwrap(),
        billed_quantity: decimal("22452"),
        billed: money(19_045),
        now_quantity: decimal("21726"),
        now: money(18_980),
    });
    note.lines = vec![line];
    note.total = money(-65);
    let html = invoice_html(&note);
    assert_self_contained(&html);
    for text in [
        "<h1>Credit note NW-2026-000009</h1>",
        "<dt>Credits invoice</dt>\n<dd>NW-2026-000001</dd>",
        "now \u{2212} billed",
        "-726 call",
        "2026-05 by what is known now",
        "21726 call",
        "(189.80 EUR)",
        "2026-05 billed before",
        "(190.45 EUR)",
        "-0.65 EUR",
        "under the prices in force then",
        "<p class=\"label\">Credited</p>",
        "of invoice NW-2026-000001",
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
    assert!(!html.contains("<dt>Due</dt>") && !invoice_html(&invoice()).contains("under the prices in force then"));
}

/// Tax lines tell their per cent, and the total what of it is no tax.
#[test]
fn tax_is_told_with_its_rate_and_the_total_before_it() {
    let mut taxed = invoice();
    let money = |minor| Money { minor, currency: taxed.total.currency };
    let (total, before_tax) = (money(5_831), money(4_900));
    let tax = InvoiceLine {
        quantity: decimal("49"),
        unit: Some("EUR".to_owned()),
        tax_percent: Some(decimal("19")),
        components: vec![ComponentPart {
            name: "Pro, monthly: percentage".to_owned(),
            quantity: Some("49".to_owned()),
            unit_price: None,
            percent: Some(decimal("19")),
            exact: "9.31".to_owned(),
        }],
        line_number: 2,
        description: "VAT 19 %".to_owned(),
        amount: money(931),
        ..taxed.lines[0].clone()
    };
    taxed.lines = vec![taxed.lines[0].clone(), tax];
    (taxed.total, taxed.before_tax) = (total, Some(before_tax));
    let html = invoice_html(&taxed);
    for text in [
        ">49 EUR</td><td class=\"figure\">19 %</td><td class=\"figure\">9.31 EUR</td>",
        ">Pro, monthly: percentage</td><td class=\"figure\">49</td><td class=\"figure\">19 %</td><td class=\"figure\">(9.31)</td>",
        "<td>Before tax</td><td></td><td></td><td class=\"figure\">49.00 EUR</td></tr>\n<tr class=\"total\"><td></td><td>Total</td>",
        "58.31 EUR",
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
    assert!(!invoice_html(&invoice()).contains("Before tax"));
}

/// A shadow bill has its own table and total, and the invoice's total stays what it is.
#[test]
fn a_shadow_bill_is_told_apart_from_the_total() {
    let mut invoice = invoice();
    let before = invoice_html(&invoice);
    assert!(!before.contains("would have cost"));
    let total = Money { minor: 123_456, ..invoice.total };
    let lines = vec![InvoiceLine { description: "Shadow calls".to_owned(), amount: total, ..invoice.lines[0].clone() }];
    invoice.shadows = vec![ShadowBill { plan_id: "maps-pro".to_owned(), lines, total }];
    let html = invoice_html(&invoice);
    for words in
        ["What this would have cost on plan maps-pro", "Not charged", "Shadow calls", "Would have been", "1234.56 EUR"]
    {
        assert!(html.contains(words), "{words}");
    }
    assert!(html.contains(&invoice.total.to_string()));
    assert_self_contained(&html);
}

/// What a reader looks at first follows from the total.
#[test]
fn the_amount_due_is_told_first() {
    for (minor, label, note) in [
        (1, "Amount due", "until 16 July 2026"),
        (0, "Amount due", "nothing to pay"),
        (-1, "In your favour", "<p class=\"label\"></p>"),
    ] {
        let mut invoice = invoice();
        invoice.total.minor = minor;
        let html = invoice_html(&invoice);
        let (_, due) = html.split_once("<div class=\"due\">").unwrap();
        let (due, _) = due.split_once("</div>").unwrap();
        assert!(due.contains(label) && due.contains(note) && due.contains(&invoice.total.to_string()), "{due}");
    }
}

#[test]
fn an_exact_amount_is_told_where_rounding_changed_it() {
    for (exact, minor, told) in [
        ("0.165", 17, true),
        ("0.1457", 15, true),
        ("0.17", 17, false),
        ("0.1", 10, false),
        ("3", 300, false),
        ("1/3", 33, true),
    ] {
        let mut invoice = invoice();
        invoice.lines.truncate(3);
        (invoice.lines[2].exact, invoice.lines[2].amount.minor) = (exact.to_owned(), minor);
        let html = invoice_html(&invoice);
        assert_eq!(html.contains(&format!("({exact})")), told, "{exact}");
    }
}
