//! Coupons in drafts: terms, redemptions, subscriptions and usage in, lines out. The sample's `pro` costs 49 and, from
//! 11 calls on, 0.1 a call; `seats` 2.5 a user.

use tollbook_schemas::catalog::{Catalog, CatalogFile};
use tollbook_schemas::id::{CouponId, PartnerId, SubscriptionId};
use tollbook_schemas::registry::{RedeemedCoupon, Registry};

use super::super::tax::tests::rates;
use super::super::tests::{at, catalog as sample, registry as subscriptions, told, with_input};
use super::super::{DraftInput, draft};

/// Reads `id rest`, several, separated by `;`: of issuer `berlin` unless the rest says otherwise; values of TOML
/// without blanks.
pub(crate) fn terms(text: &str) -> String {
    let coupon = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let more: Vec<String> = words[1..].iter().map(|word| word.replacen('=', " = ", 1)).collect();
        let issuer = if line.contains("issuer=") { "" } else { "issuer = \"berlin\"\n" };
        format!("\n[[coupon]]\nid = \"{}\"\ndescription = \"{}\"\n{issuer}{}\n", words[0], words[0], more.join("\n"))
    };
    text.split(';').map(str::trim).filter(|line| !line.is_empty()).map(coupon).collect()
}

pub(crate) fn catalog(coupons: &str, rates_text: &str) -> Catalog {
    // A coupon needs a plan of its currency.
    let of_yen = "\n[[plan]]\nid = \"yen\"\nversion = 1\neffective_from = \"2026-01-01T00:00:00Z\"\nname = \"Yen\"\n\
                  issuer = \"berlin\"\ncurrency = \"JPY\"\n\
                  price = [{ id = \"base\", description = \"Base\", model = \"flat\", amount = \"1\" }]\n";
    let plan = if coupons.contains("JPY") { of_yen } else { "" };
    let text = format!("{}{plan}{}{}", sample().files()[0].text, terms(coupons), rates(rates_text));
    Catalog::parse(&[CatalogFile { path: "catalog.toml".into(), text }])
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// Reads `partner coupon[/subscription] from..to`, several, separated by `;`.
pub(crate) fn redeemed(text: &str) -> Vec<RedeemedCoupon> {
    let one = |line: &str| {
        let [partner, coupon, span] = line.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{line}") };
        let (coupon, own) = coupon.split_once('/').map_or((coupon, None), |(coupon, own)| (coupon, Some(own)));
        let (from, to) = span.split_once("..").unwrap();
        RedeemedCoupon {
            partner_id: PartnerId::parse(partner).unwrap(),
            redeemed_at: at(from),
            coupon_id: CouponId::parse(coupon).unwrap(),
            subscription_id: own.map(|own| SubscriptionId::parse(own).unwrap()),
            withdrawn_at: (!to.is_empty()).then(|| at(to)),
        }
    };
    let mut all: Vec<_> = text.split(';').map(str::trim).filter(|line| !line.is_empty()).map(one).collect();
    all.sort();
    all
}

fn drafted(catalog: &Catalog, registry: &str, coupons: &str, usage: &str) -> super::super::Drafted {
    let registry = Registry { coupons: redeemed(coupons), ..subscriptions(registry) };
    with_input("", usage, |input| draft(&DraftInput { catalog, registry: &registry, ..*input }))
}

/// One row: terms, tax rates, subscriptions, redemptions; what June comes to.
#[test]
fn a_coupon_takes_off_its_lines_while_it_holds() {
    let pro = "acme pro 2026-01-01.. UTC";
    let both = "acme s1:pro 2026-01-01.. UTC; acme s2:seats 2026-01-01.. UTC";
    let used = "acme calls production 2026-06-02T00:00 1010; acme users production 2026-06-02T00:00 a,b";
    for (coupons, rates, registry, redeemed, expected) in [
        ("half percent=50", "", pro, "", "acme berlin 149.00 EUR: base 1 4900, calls 1010 10000"),
        (
            "half percent=50",
            "",
            pro,
            "acme half 2026-06-10..",
            "acme berlin 74.50 EUR: base 1 4900, calls 1010 10000, half 1 -7450",
        ),
        // An amount, over its lines by what they are worth; never more than that.
        (
            r#"ten amount=10 currency="EUR""#,
            "",
            pro,
            "acme ten 2026-06-10..",
            "acme berlin 139.00 EUR: base 1 4900, calls 1010 10000, ten 1 -1000",
        ),
        (
            r#"big amount=1000 currency="EUR" prices=["base"]"#,
            "",
            pro,
            "acme big 2026-06-10..",
            "acme berlin 100.00 EUR: base 1 4900, calls 1010 10000, big 1 -4900",
        ),
        (
            r#"yen amount=1000 currency="JPY""#,
            "",
            pro,
            "acme yen 2026-06-10..",
            "acme berlin 149.00 EUR: base 1 4900, calls 1010 10000",
        ),
        (
            r#"far percent=50 issuer="tokyo""#,
            "",
            pro,
            "acme far 2026-06-10..",
            "acme berlin 149.00 EUR: base 1 4900, calls 1010 10000",
        ),
        // Of some prices, plans, subscriptions; somebody else's.
        (
            r#"calls percent=10 prices=["calls"]"#,
            "",
            pro,
            "acme calls 2026-06-10..",
            "acme berlin 139.00 EUR: base 1 4900, calls 1010 10000, calls 1 -1000",
        ),
        (
            r#"seats percent=10 plans=["seats"]"#,
            "",
            both,
            "acme seats 2026-06-10..",
            "acme berlin 153.50 EUR: base 1 4900, calls 1010 10000, users 2 500, seats 1 -50",
        ),
        (
            "half percent=50",
            "",
            both,
            "acme half/s2 2026-06-10..",
            "acme berlin 151.50 EUR: base 1 4900, calls 1010 10000, users 2 500, half 1 -250",
        ),
        ("half percent=50", "", pro, "bolt half 2026-06-10..", "acme berlin 149.00 EUR: base 1 4900, calls 1010 10000"),
        // One after the other, each on what the one before left: half, then a quarter of the rest.
        (
            "half percent=50; quarter percent=25",
            "",
            pro,
            "acme quarter 2026-06-11..; acme half 2026-06-10..",
            "acme berlin 55.87 EUR: base 1 4900, calls 1010 10000, half 1 -7450, quarter 1 -1863",
        ),
        // For its months; withdrawn; until.
        (
            "once percent=50 months=1",
            "",
            pro,
            "acme once 2026-05-10..",
            "acme berlin 149.00 EUR: base 1 4900, calls 1010 10000",
        ),
        (
            "twice percent=50 months=2",
            "",
            pro,
            "acme twice 2026-05-10..",
            "acme berlin 74.50 EUR: base 1 4900, calls 1010 10000, twice 1 -7450",
        ),
        ("half percent=50", "", pro, "acme half 2026-07-10..", "acme berlin 149.00 EUR: base 1 4900, calls 1010 10000"),
        (
            "half percent=50",
            "",
            pro,
            "acme half 2026-04-10..2026-05-20",
            "acme berlin 149.00 EUR: base 1 4900, calls 1010 10000",
        ),
        (
            "half percent=50",
            "",
            pro,
            "acme half 2026-04-10..2026-06-20",
            "acme berlin 74.50 EUR: base 1 4900, calls 1010 10000, half 1 -7450",
        ),
        // Tax is of what is left, on each line: (149.00 − 10.00) × 0.19 = 26.41.
        (
            r#"ten amount=10 currency="EUR""#,
            "vat 19",
            pro,
            "acme ten 2026-06-10..",
            "acme berlin 165.41 EUR: base 1 4900, calls 1010 10000, ten 1 -1000, vat 139 2641",
        ),
        // What the catalog does not have blocks, and says how to mend it.
        (
            "half percent=50",
            "",
            pro,
            "acme gone 2026-06-10..",
            "acme! coupon gone was redeemed, and the catalog does not have it; add it, or record coupon.withdrawn of it at the \
             instant of its redemption",
        ),
    ] {
        let found = drafted(&catalog(coupons, rates), registry, redeemed, used);
        assert_eq!(told(&found), expected, "{coupons}, {redeemed}");
    }
}

/// 100 over three lines of 50, as `docs/money.md` has it: 33.34, 33.33, 33.33, and each line is taxed of what is left.
#[test]
fn what_is_taken_off_is_split_by_largest_remainder() {
    let plan = "[[plan]]\nid = \"three\"\nversion = 1\neffective_from = \"2026-01-01T00:00:00Z\"\nname = \"T\"\nissuer = \"berlin\"\n\
        currency = \"EUR\"\nprice = [\n\
        { id = \"a\", description = \"A\", model = \"flat\", amount = 50 },\n\
        { id = \"b\", description = \"B\", model = \"flat\", amount = 50, tax_code = \"low\" },\n\
        { id = \"c\", description = \"C\", model = \"flat\", amount = 50 } ]\n";
    let rates = rates(r#"vat 19; low 7 tax_codes=["low"]"#);
    let text = format!("{}{plan}{}{rates}", sample().files()[0].text, terms(r#"hundred amount=100 currency="EUR""#));
    let catalog = Catalog::parse(&[CatalogFile { path: "c.toml".into(), text }]).unwrap();
    let found = drafted(&catalog, "acme three 2026-01-01.. UTC", "acme hundred 2026-06-10..", "");
    // 16.67 × 0.07 = 1.1669; (16.66 + 16.67) × 0.19 = 6.3327.
    let expected =
        "acme berlin 57.50 EUR: a 1 5000, b 1 5000, c 1 5000, hundred 1 -10000, low 16.67 117, vat 33.33 633";
    assert_eq!(told(&found), expected);
    let line = serde_json::to_string(&found.documents[0].body.lines[3]).unwrap();
    for part in [
        r#""coupon":{"coupon_id":"hundred","redeemed_at":"2026-06-10T00:00:00Z"}"#,
        r#""working":{"components":[{"exact":"-33.34","name":"A"},{"exact":"-33.33","name":"B"},{"exact":"-33.33","name":"C"}],"exact":"-100"}"#,
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}
