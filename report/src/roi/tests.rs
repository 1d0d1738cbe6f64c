use tollbook_schemas::period::parse_instant;

use super::*;
use crate::page::tests::assert_self_contained;

fn issued(partner: &str, month: &str, minor: i64, code: &str, is_paid: bool) -> IssuedAmount {
    IssuedAmount {
        partner_id: partner.to_owned(),
        display_name: (partner == "evil").then(|| "<script>alert(1)</script>".to_owned()),
        month: month.parse().unwrap(),
        total: Money { minor, currency: Currency::parse(code).unwrap() },
        is_paid,
    }
}

fn cost(month: &str, amount: &str, code: &str, pool: &str) -> RecordedCost {
    RecordedCost {
        month: month.parse().unwrap(),
        currency: Currency::parse(code).unwrap(),
        amount: amount.parse().unwrap(),
        pool: pool.to_owned(),
    }
}

#[test]
fn currencies_are_apart_and_a_missing_side_is_not_zero() {
    let invoices = [
        issued("a", "2026-05", 10_000, "EUR", true),
        issued("a", "2026-06", 20_000, "EUR", true),
        issued("b", "2026-06", 5_000, "EUR", false),
        issued("c", "2026-06", 7_000, "JPY", false),
        issued("d", "2026-06", 0, "CHF", false),
        issued("e", "2026-06", 100, "SEK", false),
    ];
    let costs = [
        cost("2026-06", "150", "EUR", "staff"),
        cost("2026-06", "50.005", "EUR", "cloud"),
        cost("2026-06", "9.99", "USD", "cloud"),
        cost("2026-06", "80", "CHF", "cloud"),
        cost("2026-05", "80", "SEK", "cloud"),
    ];
    let found: Vec<String> = currency_sides(&invoices, &costs)
        .unwrap()
        .iter()
        .map(|side| {
            let text = |amount: Option<Decimal>| amount.map_or("-".to_owned(), |amount| amount.to_string());
            let months: Vec<String> = side.months.iter().map(|m| format!("{} {}", m.month, m.roi.printed())).collect();
            format!(
                "{} {} {} {} {} | {}",
                side.currency,
                text(side.revenue),
                text(side.paid),
                text(side.cost),
                side.roi.printed(),
                months.join(", ")
            )
        })
        .collect();
    let (no_cost, no_revenue) = ("not instrumented: no cost.recorded event", "not instrumented: no issued invoice");
    assert_eq!(
        found,
        [
            "CHF 0 0 80 -100.00 % | 2026-06 -100.00 %".to_owned(),
            // 250 over 200.005 is 24.9968…: May has no cost, so its revenue is not in the ratio.
            format!("EUR 350 300 200.005 24.99 % | 2026-05 {no_cost}, 2026-06 24.99 %"),
            format!("JPY 7000 0 - {no_cost} | 2026-06 {no_cost}"),
            format!("SEK 1 0 80 undefined: no month has both sides | 2026-05 {no_revenue}, 2026-06 {no_cost}"),
            format!("USD - - 9.99 {no_revenue} | 2026-06 {no_revenue}"),
        ]
    );
}

/// The cells of a table's row.
fn cells(html: &str, first: &str) -> Vec<String> {
    let row = html.split("<tr>").find(|row| row.contains(&format!(">{first}</")));
    let row = row.unwrap_or_else(|| panic!("no row {first}"));
    row.split("</td>")
        .filter_map(|cell| Some(cell.rsplit_once('>')?.1.trim().to_owned()))
        .filter(|c| !c.is_empty())
        .collect()
}

#[test]
fn a_ratio_stands_beside_the_amounts_that_give_it() {
    let invoices = [
        issued("a", "2026-05", 100_000, "EUR", true),
        issued("a", "2026-06", 20_000, "EUR", true),
        issued("b", "2026-06", 5_000, "EUR", false),
    ];
    let costs = [cost("2026-06", "200", "EUR", "staff"), cost("2026-07", "40", "EUR", "staff")];
    let of = |invoices: &[IssuedAmount], costs: &[RecordedCost]| {
        roi_html(&RoiReport { currencies: currency_sides(invoices, costs).unwrap(), ..report() }).unwrap()
    };
    let html = of(&invoices, &costs);
    assert_eq!(cells(&html, "all"), ["all", "3", "1250.00 EUR", "1200.00 EUR", "240.00 EUR", "see months compared"]);
    let compared = ["months compared", "2", "250.00 EUR", "200.00 EUR", "200.00 EUR", "25.00 %"];
    assert_eq!(cells(&html, "months compared"), compared);
    assert!(html.contains("(revenue − cost) / cost of that row"));
    // Where every month has both sides, `all` is what is compared.
    let html = of(&invoices[1..], &costs[..1]);
    assert_eq!(cells(&html, "all"), ["all", "2", "250.00 EUR", "200.00 EUR", "200.00 EUR", "25.00 %"]);
    assert!(!html.contains("months compared"));
    // Where no month has, there is nothing to compare.
    let html = of(&invoices[..1], &costs[..1]);
    assert!(!html.contains("months compared") && html.contains("no month has both sides"));
}

#[test]
fn costs_add_up_by_pool() {
    let costs = [
        cost("2026-06", "0.1", "EUR", "cloud"),
        cost("2026-06", "0.2", "EUR", "cloud"),
        cost("2026-06", "1", "USD", "cloud"),
        cost("2026-05", "-5", "EUR", "staff"),
    ];
    let found: Vec<String> = cost_lines(&costs)
        .unwrap()
        .iter()
        .map(|line| format!("{} {} {} {} {}", line.month, line.currency, line.pool, line.amount, line.event_count))
        .collect();
    assert_eq!(found, ["2026-05 EUR staff -5 1", "2026-06 EUR cloud 0.3 2", "2026-06 USD cloud 1 1"]);
    let absurd = "90000000000000000000000000";
    assert!(cost_lines(&[cost("2026-06", absurd, "EUR", "x"), cost("2026-06", absurd, "EUR", "x")]).is_err());
}

#[test]
fn top_partners_are_of_each_currency() {
    let invoices = [
        issued("a", "2026-05", 100, "EUR", true),
        issued("a", "2026-06", 100, "EUR", true),
        issued("b", "2026-06", 150, "EUR", true),
        issued("c", "2026-06", 150, "EUR", true),
        issued("d", "2026-06", 0, "USD", true),
    ];
    let found: Vec<String> =
        top_revenue(&invoices, 2).unwrap().iter().map(|t| format!("{} {}", t.partner_id, t.revenue)).collect();
    assert_eq!(found, ["a 2", "b 1.5"]);
}

fn report() -> RoiReport {
    let invoices = [issued("evil", "2026-06", 123_456, "EUR", true), issued("b", "2026-06", 500, "JPY", false)];
    let costs = [cost("2026-06", "1000", "EUR", "cloud & <staff>")];
    let day = |day, quantity: &str| UsageDay {
        day: NaiveDate::from_ymd_opt(2026, 6, day).unwrap(),
        quantity: quantity.parse().unwrap(),
    };
    RoiReport {
        as_of: parse_instant("2026-07-02T06:00:00Z").unwrap(),
        currencies: currency_sides(&invoices, &costs).unwrap(),
        costs: cost_lines(&costs).unwrap(),
        unusable_cost_count: 3,
        later_invoice_count: 4,
        usage: vec![UsageSeries {
            meter_id: "all-calls".to_owned(),
            name: "Calls".to_owned(),
            unit: "call".to_owned(),
            days: vec![day(1, "4944"), day(2, "5021")],
        }],
        top_revenue: top_revenue(&invoices, 5).unwrap(),
        top_calls: vec![TopCalls {
            partner_id: "evil".to_owned(),
            display_name: Some("<script>alert(1)</script>".to_owned()),
            successful_calls_30d_total: 4321,
            trend: "growing".to_owned(),
        }],
        calls_as_of: Some(parse_instant("2026-07-02T06:00:00Z").unwrap()),
        completeness: Completeness {
            watermark: Some(parse_instant("2026-07-02T06:00:00Z").unwrap()),
            rejected: Vec::new(),
            unattributed: Vec::new(),
            pin: "{}".to_owned(),
        },
    }
}

#[test]
fn the_page_has_its_figures_and_what_they_mean() {
    let html = roi_html(&report()).unwrap();
    assert_self_contained(&html);
    assert!(!html.contains("<script"));
    for text in [
        "23.45 %",
        "1234.56 EUR",
        "1000.00 EUR",
        "500 JPY",
        "not instrumented: no cost.recorded event",
        "cloud &amp; &lt;staff&gt;",
        "&lt;script&gt;alert(1)&lt;/",
        ">9965<",
        "5021 on 2026-06-02",
        "4321  growing",
        "ends later: 4",
        "cannot be used: 3",
        "over 1 month that has both sides",
        "As of 2026-07-02T06:00:00Z",
        "cut to two decimals",
    ] {
        assert!(html.contains(text), "{text}");
    }
    assert_eq!(html.matches("<svg").count(), 6);
}

#[test]
fn nothing_is_said_to_be_nothing() {
    let mut report = report();
    report.currencies.clear();
    report.costs.clear();
    report.usage.clear();
    report.top_revenue.clear();
    report.top_calls.clear();
    let html = roi_html(&report).unwrap();
    assert_self_contained(&html);
    for text in
        ["no invoice was issued and no cost was recorded", "no cost.recorded event is known", "No invoice above zero"]
    {
        assert!(html.contains(text), "{text}");
    }
}
