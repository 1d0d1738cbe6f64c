use proptest::prelude::*;
use tollbook_schemas::price::setting::ZeroUsageFirstTierFlat;
use tollbook_schemas::price::{PriceModel, Tier};

use super::*;
use crate::split::{delta, rate_split};

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn price(json: &str) -> Tariff {
    serde_json::from_str(json).unwrap()
}

/// One row: price | `opening+since=minor units`, several.
#[test]
fn what_is_due_is_the_whole_less_what_was_billed_elsewhere() {
    let tiers = r#"[{"up_to":"10","unit_price":"1","flat_price":"5"},{"unit_price":"2"}]"#;
    for (tariff, cases) in [
        (format!(r#"{{"model":"graduated","tiers":{tiers}}}"#), "0+0=500 0+3=800 3+0=0 3+4=400 8+4=600 12+1=200"),
        // All 12 at the second tier's price, less 8 at the first's and its flat price.
        (format!(r#"{{"model":"volume","tiers":{tiers}}}"#), "0+3=800 8+4=1100 8+0=0 12+1=200"),
        (r#"{"model":"per_unit","unit_price":"0.1","included":"10"}"#.into(), "0+8=0 8+4=20 10+4=40 15+4=40"),
        // Half a package was billed whole.
        (r#"{"model":"package","package_size":"10","package_price":"15"}"#.into(), "5+5=0 5+6=1500 0+1=1500"),
        // What was billed counts towards the minimum, which is due here; and towards the maximum.
        (r#"{"model":"per_unit","unit_price":"1","minimum":"20"}"#.into(), "0+0=2000 5+0=1500 5+30=3000 25+1=100"),
        (r#"{"model":"per_unit","unit_price":"1","maximum":"20"}"#.into(), "15+15=500 25+1=0"),
        // Of a flat price its units: none, half of it, all of it.
        (r#"{"model":"flat","amount":"49"}"#.into(), "0+1=4900 0.5+1=2450 1+1=0"),
    ] {
        let tariff = price(&tariff);
        let currency = Currency::parse("EUR").unwrap();
        for case in cases.split(' ') {
            let (usage, minor) = case.split_once('=').unwrap();
            let (opening, since) = usage.split_once('+').unwrap();
            let found =
                rate_after(&tariff, &Usage::of(decimal(opening)), &Usage::of(decimal(since)), currency).unwrap();
            assert_eq!(found.due.minor.to_string(), minor, "{tariff:?}: {case}");
            assert_eq!(found.due.minor, found.whole.amount.minor - found.opening.minor, "{case}");
        }
    }
}

proptest! {
    /// Whatever the opening: both systems together bill what one would have, where the other billed by this price; and
    /// the same as a late correction of the whole, or the last of two splits.
    #[test]
    fn both_systems_together_bill_the_whole(
        opening in 1_i64..400, since in 0_i64..400, minimum in 0_i64..300,
        bounds in prop::collection::btree_set(1_i64..300, 0..4), prices in prop::collection::vec(0_i64..50, 5),
    ) {
        let open = std::iter::once(None);
        let ends = bounds.iter().map(|end| Some(Decimal::whole(*end))).chain(open);
        let tiers = ends.zip(&prices).map(|(up_to, price)| Tier {
            up_to, unit_price: Decimal::whole(*price), flat_price: Decimal::whole(price % 3), package_size: None,
        });
        let settings = Settings { zero_usage_first_tier_flat: ZeroUsageFirstTierFlat::NotCharged, ..Settings::default() };
        let plain = Tariff { settings, ..Tariff::of(PriceModel::Graduated { tiers: tiers.collect() }) };
        let steps = Steps { minimum: Some(Decimal::whole(minimum)), ..Steps::default() };
        let tariff = Tariff { steps, ..plain.clone() };
        let currency = Currency::parse("EUR").unwrap();
        let [before, after, whole] = [opening, since, opening + since].map(|units| Usage::of(Decimal::whole(units)));
        let found = rate_after(&tariff, &before, &after, currency).unwrap();
        prop_assert_eq!(found.opening, amount(&plain, &before, currency).unwrap());
        prop_assert_eq!(found.due.minor + found.opening.minor, amount(&tariff, &whole, currency).unwrap().minor);
        let split = rate_split(&tariff, Some(&before), &before.then(&after).unwrap(), true, currency).unwrap();
        prop_assert_eq!(found.due, split.amount);
        let late = delta(&plain, &before, &whole, currency).unwrap();
        prop_assert_eq!(rate_after(&plain, &before, &after, currency).unwrap().due, late.amount);
    }
}
