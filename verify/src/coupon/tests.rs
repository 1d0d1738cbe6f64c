//! Coupons by hand, and both implementations of the split over random lines.

use proptest::prelude::*;
use tollbook_rating::coupon::{Coupon as Theirs, Off, Split, reductions};
use tollbook_schemas::catalog::{Catalog, CatalogFile};
use tollbook_schemas::id::{CouponId, PartnerId, SubscriptionId};
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::{Tz, parse_instant};

use super::*;

/// Reads `id key=value …`, several, separated by `;`: of issuer `acme`.
fn catalog(coupons: &str) -> Catalog {
    let mut text = "[[issuer]]\nid = \"acme\"\nlegal_name = \"Acme\"\naddress = []\nnumber_prefix = \"A-\"\n\
         time_zone = \"Europe/Berlin\"\npayment_terms_days = 14\n\
         [[issuer]]\nid = \"far\"\nlegal_name = \"Far\"\naddress = []\nnumber_prefix = \"F-\"\n\
         time_zone = \"UTC\"\npayment_terms_days = 14\n\
         [[product]]\nid = \"maps\"\nname = \"M\"\nroutes = [\"/maps/\"]\n\
         [[meter]]\nid = \"calls\"\nname = \"C\"\nunit = \"call\"\naggregation = \"count\"\nproduct = \"maps\"\n\
         [[plan]]\nid = \"pro\"\nversion = 1\neffective_from = \"2020-01-01T00:00:00Z\"\nname = \"Pro\"\nissuer = \"acme\"\n\
         currency = \"EUR\"\nprice = [{ id = \"base\", description = \"Base\", model = \"flat\", amount = \"1\" }, \
         { id = \"calls\", description = \"Calls\", model = \"per_unit\", meter = \"calls\", unit_price = \"1\" }]\n"
        .to_owned();
    // A coupon needs a plan of its currency.
    for (issuer, code) in [("acme", "USD"), ("acme", "JPY"), ("acme", "ISK"), ("acme", "KWD"), ("far", "EUR")] {
        text += &format!(
            "[[plan]]\nid = \"{issuer}-{}\"\nversion = 1\neffective_from = \"2020-01-01T00:00:00Z\"\nname = \"P\"\n\
             issuer = \"{issuer}\"\ncurrency = \"{code}\"\n\
             price = [{{ id = \"base\", description = \"Base\", model = \"flat\", amount = \"10\" }}]\n",
            code.to_lowercase()
        );
    }
    for coupon in coupons.split(';').map(str::trim).filter(|coupon| !coupon.is_empty()) {
        let (id, rest) = coupon.split_once(' ').unwrap();
        let issuer = if rest.contains("issuer=") { "" } else { "issuer = \"acme\"\n" };
        let rest = rest.replace(' ', "\n");
        text += &format!("[[coupon]]\nid = \"{id}\"\ndescription = \"{id}\"\n{issuer}{rest}\n");
    }
    Catalog::parse(&[CatalogFile { path: "c.toml".into(), text }]).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// Reads `partner coupon[/subscription] from..to`, several, separated by `;`.
fn redeemed(text: &str) -> Registry {
    let at = |text: &str| parse_instant(text).unwrap();
    let one = |text: &str| {
        let [partner, coupon, time] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
        let (coupon, own) = coupon.split_once('/').map_or((coupon, None), |(coupon, own)| (coupon, Some(own)));
        let (from, to) = time.split_once("..").unwrap();
        RedeemedCoupon {
            partner_id: PartnerId::parse(partner).unwrap(),
            redeemed_at: at(from),
            coupon_id: CouponId::parse(coupon).unwrap(),
            subscription_id: own.map(|own| SubscriptionId::parse(own).unwrap()),
            withdrawn_at: (!to.is_empty()).then(|| at(to)),
        }
    };
    let coupons = text.split(';').map(str::trim).filter(|text| !text.is_empty()).map(one).collect();
    Registry { coupons, ..Registry::default() }
}

/// Reads `price amount[/subscription][>partner]`, several, separated by `, `: of plan `pro`; `paused` is a line of a
/// pause.
fn lines(text: &str) -> Vec<Coded> {
    let one = |text: &str| {
        let (text, of) = text.split_once('>').map_or((text, None), |(text, of)| (text, Some(of.to_owned())));
        let (text, own) = text.split_once('/').unwrap_or((text, "s1"));
        let (price, amount) = text.split_once(' ').unwrap();
        let line = Line {
            amount_minor: amount.parse().unwrap(),
            description: price.to_uppercase(),
            for_partner: of,
            meter_id: (price == "calls").then(|| price.to_owned()),
            plan_id: "pro".to_owned(),
            price_id: price.to_owned(),
            price_model: if price == "paused" { PAUSED } else { "flat" }.to_owned(),
            subscription_id: own.to_owned(),
            ..Line::default()
        };
        (line, None)
    };
    text.split(", ").map(one).collect()
}

fn taken(coupons: &str, redemptions: &str, month: &str, text: &str, code: &str) -> Result<(Taken, Vec<Coded>), String> {
    let (catalog, lines) = (catalog(coupons), lines(text));
    let place = Taxing {
        catalog: &catalog,
        issuer_id: "acme",
        zone: Tz::Europe__Berlin,
        partner_id: "bolt",
        currency: Currency::parse(code).unwrap(),
        profiles: Vec::new(),
    };
    Ok((take_off(&place, &redeemed(redemptions), month.parse().unwrap(), &lines)?, lines))
}

/// Each row: coupons, who redeemed them, lines of bolt's June; what is taken off, and what is left of each line.
#[test]
fn a_coupon_takes_off_its_lines_while_it_holds() {
    for (coupons, redemptions, text, told) in [
        ("half percent=50", "bolt half 2026-06-10T00:00:00Z..", "base 4900, calls 10000", "half -7450 | 2450 5000"),
        ("half percent=50", "corp half 2026-06-10T00:00:00Z..", "base 4900, calls 10000", " | 4900 10000"),
        ("half percent=50", "bolt half/s2 2026-06-10T00:00:00Z..", "base 4900, calls 101/s2", "half -51 | 4900 50"),
        (
            "half percent=50 prices=[\"calls\"]",
            "bolt half 2026-06-10T00:00:00Z..",
            "base 50, calls 10",
            "half -5 | 50 5",
        ),
        (
            "half percent=50 products=[\"maps\"]",
            "bolt half 2026-06-10T00:00:00Z..",
            "base 50, calls 10",
            "half -5 | 50 5",
        ),
        ("half percent=50 issuer=\"far\"", "bolt half 2026-06-10T00:00:00Z..", "base 50", " | 50"),
        ("half percent=50", "bolt half 2026-06-10T00:00:00Z..", "base 50, paused 0, paused 9", "half -25 | 25 0 9"),
        // An amount, by what its lines are worth and never more; of no other currency; nothing below zero is reduced.
        (
            "ten amount=10 currency=\"EUR\"",
            "bolt ten 2026-06-10T00:00:00Z..",
            "base 2000, calls 1000",
            "ten -1000 | 1333 667",
        ),
        ("ten amount=10 currency=\"EUR\"", "bolt ten 2026-06-10T00:00:00Z..", "base 300, calls 0", "ten -300 | 0 0"),
        (
            "ten amount=10 currency=\"EUR\"",
            "bolt ten 2026-06-10T00:00:00Z..",
            "base 300, calls -200",
            "ten -300 | 0 -200",
        ),
        ("ten amount=10 currency=\"USD\"", "bolt ten 2026-06-10T00:00:00Z..", "base 300", " | 300"),
        ("ten amount=10 currency=\"EUR\"", "bolt ten 2026-06-10T00:00:00Z..", "base 0", " | 0"),
        // One after the other, by their redemption.
        (
            "half percent=50; part percent=25",
            "bolt part 2026-06-11T00:00:00Z..; bolt half 2026-06-10T00:00:00Z..",
            "base 4900, calls 10000",
            "half -7450, part -1863 | 1837 3750",
        ),
        // Of whom another pays for: its own lines alone.
        (
            "half percent=50; ten amount=10 currency=\"EUR\"",
            "corp ten 2026-06-11T00:00:00Z..; bolt half 2026-06-12T00:00:00Z..",
            "base 4900, base 4900>corp",
            "half -2450, ten>corp -1000 | 2450 3900",
        ),
        // Its month in Berlin is the first; withdrawn and ended are the months that begin later.
        ("half percent=50", "bolt half 2026-06-30T21:59:59Z..", "base 50", "half -25 | 25"),
        ("half percent=50", "bolt half 2026-06-30T22:00:00Z..", "base 50", " | 50"),
        ("half percent=50 months=1", "bolt half 2026-05-31T22:00:00Z..", "base 50", "half -25 | 25"),
        ("half percent=50 months=1", "bolt half 2026-05-31T21:59:59Z..", "base 50", " | 50"),
        ("half percent=50 months=2", "bolt half 2026-05-31T21:59:59Z..", "base 50", "half -25 | 25"),
        ("half percent=50", "bolt half 2026-01-01T00:00:00Z..2026-05-31T22:00:00Z", "base 50", " | 50"),
        ("half percent=50", "bolt half 2026-01-01T00:00:00Z..2026-05-31T22:00:01Z", "base 50", "half -25 | 25"),
        ("half percent=50 until=\"2026-05-31T22:00:00Z\"", "bolt half 2026-01-01T00:00:00Z..", "base 50", " | 50"),
        (
            "half percent=50 until=\"2026-05-31T22:00:01Z\"",
            "bolt half 2026-01-01T00:00:00Z..",
            "base 50",
            "half -25 | 25",
        ),
    ] {
        let (taken, _) = taken(coupons, redemptions, "2026-06", text, "EUR").unwrap();
        let line = |line: &Line| {
            let of = line.for_partner.as_ref().map_or_else(String::new, |of| format!(">{of}"));
            format!("{}{of} {}", line.price_id, line.amount_minor)
        };
        let found: Vec<String> = taken.lines.iter().map(line).collect();
        let left: Vec<String> = taken.left_minor.iter().map(ToString::to_string).collect();
        assert_eq!(format!("{} | {}", found.join(", "), left.join(" ")), told, "{coupons}; {redemptions}; {text}");
    }
    let gone = taken("half percent=50", "bolt none 2026-06-10T00:00:00Z..", "2026-06", "base 50", "EUR");
    assert!(gone.is_err_and(|what| what.contains("coupon none was redeemed, and the catalog does not have it")));
}

/// The line as `docs/architecture.md` has it: its parts tell which line was reduced by how much.
#[test]
fn a_line_tells_its_parts() {
    let (coupons, redemptions) = ("big amount=100 currency=\"EUR\"", "bolt big 2026-06-10T00:00:00Z..");
    let (taken, _) = taken(coupons, redemptions, "2026-06", "a 5000, b 5000, c 5000", "EUR").unwrap();
    let json = serde_json::to_string(&taken.lines[0]).unwrap();
    for part in [
        r#""coupon":{"coupon_id":"big","redeemed_at":"2026-06-10T00:00:00Z"}"#,
        r#"{"components":[{"exact":"-33.34","name":"A"},{"exact":"-33.33","name":"B"},{"exact":"-33.33","name":"C"}],"exact":"-100"}"#,
        r#""span_end":"2026-06-30T22:00:00Z","span_start":"2026-05-31T22:00:00Z""#,
    ] {
        assert!(json.contains(part), "{part}: {json}");
    }
    assert_eq!(taken.left_minor, [1_666, 1_667, 1_667]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Both implementations take off the same, in currencies of two digits, of none and of steps.
    #[test]
    fn what_is_taken_off_is_what_rating_takes_off(
        amounts in prop::collection::vec(-2..50_000_i64, 1..7),
        percent in 1..10_001_i64,
        amount in prop::option::of(1..100_000_i64),
        code in prop::sample::select(vec!["EUR", "JPY", "ISK", "KWD"]),
    ) {
        let currency = Currency::parse(code).unwrap();
        let step = currency.step_minor();
        let text: Vec<String> = amounts.iter().map(|amount| format!("base {}", amount * step)).collect();
        let percent_text = Ratio::whole(percent).part_of(100).text();
        let (coupon, off) = match amount {
            None => (format!("c percent={percent_text}"), Off::Percent(percent_text.parse().unwrap())),
            Some(amount) => {
                let minor = amount * step;
                let text = major(minor, currency).text();
                (format!("c amount=\"{text}\" currency=\"{code}\""), Off::Amount(Money { minor, currency }))
            }
        };
        let coupon = coupon.replace(&format!("percent={percent_text}"), &format!("percent=\"{percent_text}\""));
        let (taken, lines) = taken(&coupon, "bolt c 2026-06-10T00:00:00Z..", "2026-06", &text.join(", "), code).unwrap();
        let money: Vec<Money> =
            lines.iter().map(|(line, _)| Money { minor: line.amount_minor, currency }).collect();
        let theirs = reductions(&money, &[Theirs { off, lines: None }], Split::LargestRemainder, currency).unwrap();
        for ((left, line), theirs) in taken.left_minor.iter().zip(&money).zip(theirs) {
            let theirs = Money::round(theirs, currency).unwrap().minor;
            prop_assert_eq!(line.minor - left, theirs, "{} {:?}", coupon, text);
        }
        let sum: i64 = money.iter().map(|money| money.minor).sum();
        let off: i64 = taken.lines.iter().map(|line| line.amount_minor).sum();
        prop_assert_eq!(taken.left_minor.iter().sum::<i64>(), sum + off);
    }
}
