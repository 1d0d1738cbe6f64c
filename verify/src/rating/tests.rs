//! The numbers of `docs/money.md` and of `billing/rating/tests/rows`, as far as a plan can be billed by them; and both
//! implementations over random prices and usage.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tollbook_rating::{Event, Group, Usage, rate};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::{Direction, Exact};
use tollbook_schemas::price::setting::{
    LimitsInPart, PackageRemainder, Per, Proration, Settings, SplitRounding, TierEdge,
};
use tollbook_schemas::price::{Cell, Convert, PercentTier, Percentage, RoundQuantity, Tier};

use super::*;

pub(crate) fn number(text: &str) -> Ratio {
    Ratio::decimal(text.parse().unwrap())
}

pub(crate) fn used(quantity: &str, event_count: Option<i64>) -> Used {
    Used { event_count, ..Used::of(number(quantity)) }
}

pub(crate) fn tariff(json: &str) -> Tariff {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

/// Currency, price, and pairs of quantity and amount in major units.
type Worked = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const WORKED: &[Worked] = &[
    (
        "USD",
        r#"{"model":"per_unit","unit_price":"0.001"}"#,
        &[("4", "0"), ("5", "0.01"), ("333", "0.33"), ("666", "0.67")],
    ),
    ("USD", r#"{"model":"per_unit","unit_price":"1.33333"}"#, &[("10", "13.33")]),
    ("USD", r#"{"model":"per_unit","unit_price":"0.0002"}"#, &[("1000000", "200"), ("1234567", "246.91")]),
    ("USD", r#"{"model":"per_unit","unit_price":"0.05"}"#, &[("30", "1.5"), ("0.5", "0.03")]),
    (
        "USD",
        r#"{"model":"graduated","tiers":[{"up_to":"1000","unit_price":"1","package_size":"100"},
           {"unit_price":"2","package_size":"500"}]}"#,
        &[("0", "0"), ("1", "1"), ("1000", "10"), ("1001", "12"), ("1501", "14")],
    ),
    (
        "USD",
        r#"{"model":"volume","tiers":[{"up_to":"1000","unit_price":"1","package_size":"100"},{"unit_price":"2","package_size":"500"}],
           "settings":{"package_remainder":"down"}}"#,
        &[("99", "0"), ("1000", "10"), ("1501", "6")],
    ),
    (
        "USD",
        r#"{"model":"per_unit","unit_price":"10","convert":{"divide_by":"1000"},"round_quantity":{"direction":"up"},
           "included":"0.5","minimum":"20","maximum":"100","discount_percent":"50"}"#,
        &[("0", "10"), ("1400", "10"), ("7400", "37.5"), ("20000", "50")],
    ),
    ("EUR", r#"{"model":"flat","amount":"49"}"#, &[("0", "49"), ("7", "49")]),
    ("JPY", r#"{"model":"flat","amount":"1499.5"}"#, &[("1", "1500")]),
    ("ISK", r#"{"model":"per_unit","unit_price":"1.5"}"#, &[("1", "2"), ("0.9", "1")]),
    ("KWD", r#"{"model":"flat","amount":"0.0155"}"#, &[("1", "0.02")]),
    (
        "USD",
        r#"{"model":"graduated","tiers":[{"up_to":"5","flat_price":"100"},{"up_to":"10","flat_price":"50"},
           {"up_to":"15","unit_price":"10"},{"unit_price":"5"}]}"#,
        &[
            ("0", "100"),
            ("5", "100"),
            ("5.001", "150"),
            ("10", "150"),
            ("10.001", "150.01"),
            ("11", "160"),
            ("15", "200"),
            ("15.0001", "200"),
            ("16", "205"),
            ("22", "235"),
        ],
    ),
    (
        "EUR",
        r#"{"model":"graduated","tiers":[{"up_to":"1000","unit_price":"0"},{"up_to":"5000","unit_price":"0.002"},
           {"unit_price":"0.001","flat_price":"1.5"}]}"#,
        &[("1000", "0"), ("1001", "0"), ("1003", "0.01"), ("5000", "8"), ("5001", "9.5"), ("1000000", "1004.5")],
    ),
    (
        "USD",
        r#"{"model":"volume","tiers":[{"up_to":"5","flat_price":"100"},{"up_to":"10","flat_price":"150"},
           {"up_to":"15","unit_price":"10"},{"unit_price":"5"}]}"#,
        &[("0", "100"), ("5", "100"), ("7", "150"), ("14", "140"), ("15", "150"), ("16", "80"), ("15.001", "75.01")],
    ),
    (
        "USD",
        r#"{"model":"volume","tiers":[{"up_to":"10.5","unit_price":"1","flat_price":"5"},{"unit_price":"2"}],
           "settings":{"zero_usage_first_tier_flat":"not_charged","tier_edge":"ceil"}}"#,
        &[("0", "0"), ("10.2", "20.4")],
    ),
    (
        "USD",
        r#"{"model":"package","package_size":"10","package_price":"15","free_units":"5"}"#,
        &[("5", "0"), ("6", "15"), ("15", "15"), ("15.5", "30")],
    ),
    (
        "USD",
        r#"{"model":"package","package_size":"10","package_price":"15","settings":{"package_remainder":"down"}}"#,
        &[("19", "15")],
    ),
    ("EUR", r#"{"model":"percentage","percent":"2.9"}"#, &[("4", "0.12"), ("0", "0")]),
    ("EUR", r#"{"model":"percentage","percent":"1.3","fixed_fee":"2"}"#, &[("800", "18.4"), ("0", "0")]),
    (
        "EUR",
        r#"{"model":"graduated_percentage","tiers":[{"up_to":"10","percent":"1","flat_price":"200"},
           {"up_to":"20","percent":"2","flat_price":"300"},{"percent":"3","flat_price":"400"}]}"#,
        &[("0", "200"), ("1", "200.01"), ("11", "500.12"), ("21", "900.33"), ("10.5", "500.11"), ("20", "500.3")],
    ),
    ("USD", r#"{"model":"dynamic","multiplier":"1.33333"}"#, &[("10", "13.33"), ("0", "0")]),
    (
        "USD",
        r#"{"model":"per_unit","unit_price":"10","maximum":"100","discount_percent":"50",
           "settings":{"limits":"after_discount","negative_total":"nothing_due"}}"#,
        &[("27", "100"), ("7", "35"), ("-1", "0")],
    ),
];

#[test]
fn the_worked_numbers_of_the_page_come_out() {
    for (code, json, rows) in WORKED {
        let currency = Currency::parse(code).unwrap();
        for (quantity, amount) in *rows {
            let (minor, _) = price(&tariff(json), &used(quantity, Some(4)), currency).unwrap();
            let expected = number(amount).to_minor(currency.exponent(), 1).unwrap();
            assert_eq!(minor, expected, "{code} {json} of {quantity}");
        }
    }
}

#[test]
fn a_matrix_prices_each_combination_alone() {
    let eur = Currency::parse("EUR").unwrap();
    let cells = r#""model":"matrix","dimensions":["region"],"cells":[{"values":["eu"],"unit_price":"2"},
        {"values":["us"],"unit_price":"3"}]"#;
    let groups = |groups: &[(&str, &str)]| {
        let group = |(region, quantity): &(&str, &str)| {
            (Dimensions::from([("region".to_owned(), (*region).to_owned())]), number(quantity))
        };
        let groups: BTreeMap<_, _> = groups.iter().map(group).collect();
        Used { groups: Some(groups.clone()), ..Used::of(groups.into_values().sum()) }
    };
    let of = |json: &str, used: &Used| price(&tariff(json), used, eur).map(|(minor, _)| minor);
    assert_eq!(of(&format!("{{{cells}}}"), &groups(&[("eu", "2"), ("us", "1")])), Ok(700));
    assert_eq!(
        of(&format!("{{{cells},\"default_unit_price\":\"1\"}}"), &groups(&[("eu", "2"), ("asia", "1")])),
        Ok(500)
    );
    assert!(of(&format!("{{{cells}}}"), &groups(&[("asia", "1")])).unwrap_err().contains("no cell asia"));
    // Each is rounded up alone.
    let rounded = format!("{{{cells},\"round_quantity\":{{\"direction\":\"up\"}}}}");
    assert_eq!(of(&rounded, &groups(&[("eu", "1.2"), ("us", "0.1")])), Ok(700));
    assert_eq!(of(&format!("{{{cells}}}"), &used("0", None)), Ok(0));
    assert!(of(&format!("{{{cells}}}"), &used("1", None)).is_err());
}

#[test]
fn what_no_plan_can_have_has_no_amount() {
    let eur = Currency::parse("EUR").unwrap();
    for (json, words) in [
        (r#"{"model":"percentage","percent":"1","event_minimum":"1"}"#, "single events"),
        (r#"{"model":"percentage","percent":"1","fixed_fee":"1","free_total":"5"}"#, "single events"),
        (r#"{"model":"per_unit","unit_price":"1","settings":{"quantity_basis":"prorated"}}"#, "prorated units"),
        (r#"{"model":"per_unit","unit_price":"99999999999999999999"}"#, "63 bits"),
        (r#"{"model":"percentage","percent":"1","fixed_fee":"1"}"#, "how many requests"),
    ] {
        let told = price(&tariff(json), &used("3", None), eur).unwrap_err();
        assert!(told.contains(words), "{json}: {told}");
    }
    let negative = price(&tariff(r#"{"model":"per_unit","unit_price":"1"}"#), &used("-1", None), eur).unwrap_err();
    assert!(negative.contains("below zero"), "{negative}");
}

fn decimal(unscaled: i128, digits: u32) -> Decimal {
    Decimal::from_unscaled(unscaled * 10_i128.pow(12 - digits)).unwrap()
}

pub(crate) fn amounts() -> impl Strategy<Value = Decimal> {
    prop_oneof![Just(Decimal::ZERO), (0_i128..1_000_000, 0_u32..7).prop_map(|(n, digits)| decimal(n, digits))]
}

fn steps_up() -> impl Strategy<Value = Decimal> {
    (1_i128..100_000, 0_u32..5).prop_map(|(n, digits)| decimal(n, digits))
}

/// Upper bounds of tiers that follow each other; the last is open.
fn bounds() -> impl Strategy<Value = Vec<Option<Decimal>>> {
    prop::collection::vec(1_i128..50_000, 0..4).prop_map(|widths| {
        let mut up_to = 0;
        let mut bounds: Vec<_> = widths
            .into_iter()
            .map(|width| {
                up_to += width;
                Some(decimal(up_to, 2))
            })
            .collect();
        bounds.push(None);
        bounds
    })
}

fn tiers() -> impl Strategy<Value = Vec<Tier>> {
    bounds().prop_flat_map(|bounds| {
        // Few of them sell packages: the working of the others is another one.
        let size = prop_oneof![3 => Just(None), 1 => steps_up().prop_map(Some)];
        let prices = prop::collection::vec((amounts(), amounts(), size), bounds.len());
        prices.prop_map(move |prices| {
            let tier = |(up_to, prices): (&Option<Decimal>, &(Decimal, Decimal, Option<Decimal>))| Tier {
                up_to: *up_to,
                unit_price: prices.0,
                flat_price: prices.1,
                package_size: prices.2,
            };
            bounds.iter().zip(&prices).map(tier).collect()
        })
    })
}

const REGIONS: [&str; 3] = ["eu", "us", "asia"];

fn models() -> impl Strategy<Value = PriceModel> {
    prop_oneof![
        amounts().prop_map(|amount| PriceModel::Flat { amount }),
        amounts().prop_map(|unit_price| PriceModel::PerUnit { unit_price }),
        tiers().prop_map(|tiers| PriceModel::Graduated { tiers }),
        tiers().prop_map(|tiers| PriceModel::Volume { tiers }),
        (steps_up(), amounts(), amounts()).prop_map(|(package_size, package_price, free_units)| PriceModel::Package {
            package_size,
            package_price,
            free_units
        }),
        (amounts(), amounts()).prop_map(|(percent, fixed_fee)| PriceModel::Percentage(Percentage {
            percent,
            fixed_fee,
            event_minimum: None,
            event_maximum: None,
            free_events: None,
            free_total: None
        })),
        (amounts(), amounts()).prop_map(|(percent, free_total)| PriceModel::Percentage(Percentage {
            percent,
            fixed_fee: Decimal::ZERO,
            event_minimum: None,
            event_maximum: None,
            free_events: None,
            free_total: Some(free_total)
        })),
        // Limits and allowances of single events, some of them together.
        (
            amounts(),
            amounts(),
            prop::option::of(amounts()),
            prop::option::of(amounts()),
            prop::option::of(0_u32..4),
            prop::option::of(amounts())
        )
            .prop_map(|(percent, fixed_fee, event_minimum, event_maximum, free_events, free_total)| {
                PriceModel::Percentage(Percentage {
                    percent,
                    fixed_fee,
                    event_minimum,
                    event_maximum,
                    free_events,
                    free_total,
                })
            }),
        tiers().prop_map(|tiers| PriceModel::GraduatedPercentage {
            tiers: tiers
                .into_iter()
                .map(|Tier { up_to, unit_price, flat_price, .. }| PercentTier {
                    up_to,
                    percent: unit_price,
                    flat_price
                })
                .collect()
        }),
        (amounts(), amounts(), prop::option::of(amounts())).prop_map(|(eu, us, default_unit_price)| {
            PriceModel::Matrix {
                dimensions: vec!["region".to_owned()],
                cells: [("eu", eu), ("us", us)]
                    .map(|(region, unit_price)| Cell { values: vec![region.to_owned()], unit_price })
                    .to_vec(),
                default_unit_price,
            }
        }),
        amounts().prop_map(|multiplier| PriceModel::Dynamic { multiplier }),
    ]
}

fn around() -> impl Strategy<Value = Steps> {
    let direction = prop_oneof![Just(Direction::Up), Just(Direction::Down), Just(Direction::HalfUp)];
    (
        prop::option::of((steps_up(), steps_up())),
        prop::option::of((direction, steps_up())),
        prop::option::of(amounts()),
        prop::option::of(amounts()),
        prop::option::of(amounts()),
        prop::option::of((0_i128..10_001).prop_map(|percent| decimal(percent, 2))),
    )
        .prop_map(|(convert, round, included, minimum, maximum, discount_percent)| Steps {
            rollover_periods: None,
            convert: convert.map(|(divide_by, multiply_by)| Convert { divide_by, multiply_by }),
            round_quantity: round.map(|(direction, to_multiple_of)| RoundQuantity { direction, to_multiple_of }),
            included,
            minimum,
            maximum: maximum.map(|most| most.max(minimum.unwrap_or(most))),
            discount_percent,
        })
}

fn settings() -> impl Strategy<Value = Settings> {
    use tollbook_schemas::price::setting::{
        FixedFeeAtZeroTotal as Fee, NegativeTotal as Negative, ZeroUsageFirstTierFlat as Zero,
    };
    let proration = prop_oneof![Just(Proration::None), Just(Proration::ByTime), Just(Proration::ByDay)];
    let per = prop_oneof![Just(Per::Subscription), Just(Per::Unit)];
    let in_part = prop_oneof![Just(LimitsInPart::Whole), Just(LimitsInPart::ByTime), Just(LimitsInPart::ByDay)];
    let either = any::<bool>;
    let (booleans, each) = ((either(), either(), either(), either(), either(), either()), either());
    (booleans, each, proration, per, in_part).prop_map(
        |((zero, edge, rest, limits, negative, fee), each, proration, per, limits_in_part)| Settings {
            split_rounding: if each { SplitRounding::Each } else { SplitRounding::Cumulative },
            proration,
            per,
            limits_in_part,
            zero_usage_first_tier_flat: if zero { Zero::Charged } else { Zero::NotCharged },
            tier_edge: if edge { TierEdge::HalfOpen } else { TierEdge::Ceil },
            package_remainder: if rest { PackageRemainder::Full } else { PackageRemainder::Down },
            limits: if limits { Limits::BeforeDiscount } else { Limits::AfterDiscount },
            negative_total: if negative { Negative::Refused } else { Negative::NothingDue },
            fixed_fee_at_zero_total: if fee { Fee::NotCharged } else { Fee::Charged },
            ..Settings::default()
        },
    )
}

pub(crate) fn tariffs() -> impl Strategy<Value = Tariff> {
    let steps = prop_oneof![Just(Steps::default()), around()];
    (models(), steps, settings()).prop_map(|(model, steps, settings)| Tariff { model, steps, settings })
}

fn quantities() -> impl Strategy<Value = Decimal> {
    prop_oneof![
        Just(Decimal::ZERO),
        (-100_i128..1_000).prop_map(|n| decimal(n, 0)),
        (0_i128..1_000_000_000, 0_u32..7).prop_map(|(n, digits)| decimal(n, digits)),
    ]
}

/// Usage in the form of each: split by region, or whole.
pub(crate) fn usages() -> impl Strategy<Value = (Usage, Used)> {
    let groups = prop::collection::vec((0..3_usize, (0_i128..100_000).prop_map(|n| decimal(n, 2))), 0..4);
    prop_oneof![
        (quantities(), 0_u32..1_000).prop_map(|(quantity, events)| {
            let theirs = Usage { event_count: Some(events), ..Usage::of(quantity) };
            let ours = Used { event_count: Some(i64::from(events)), ..Used::of(Ratio::decimal(quantity)) };
            (theirs, ours)
        }),
        prop::collection::vec((-1_i128..50_000).prop_map(|n| decimal(n, 2)), 0..6).prop_map(|amounts| {
            let event = |quantity: &Decimal| Event { quantity: *quantity, prorated: None, amount: Some(*quantity) };
            let count = u32::try_from(amounts.len()).unwrap();
            let theirs =
                Usage { event_count: Some(count), ..Usage::of_events(amounts.iter().map(event).collect()).unwrap() };
            let amounts: Vec<Ratio> = amounts.into_iter().map(Ratio::decimal).collect();
            let quantity = amounts.iter().cloned().sum();
            (theirs, Used { event_count: Some(i64::from(count)), amounts: Some(amounts), ..Used::of(quantity) })
        }),
        (groups, 0_u32..1_000).prop_map(|(parts, events)| {
            let mut by_region: BTreeMap<Dimensions, Decimal> = BTreeMap::new();
            for (region, quantity) in parts {
                let values = Dimensions::from([("region".to_owned(), REGIONS[region].to_owned())]);
                let sum = by_region.entry(values).or_insert(Decimal::ZERO);
                *sum = sum.checked_add(quantity).unwrap();
            }
            let groups =
                by_region.iter().map(|(values, quantity)| Group { values: values.clone(), quantity: *quantity });
            let theirs = Usage { event_count: Some(events), ..Usage::of_groups(groups.collect()).unwrap() };
            let groups: BTreeMap<_, _> =
                by_region.into_iter().map(|(values, quantity)| (values, Ratio::decimal(quantity))).collect();
            let quantity = groups.values().cloned().sum();
            (theirs, Used { event_count: Some(i64::from(events)), groups: Some(groups), ..Used::of(quantity) })
        }),
    ]
}

pub(crate) fn theirs_of(ours: &Served) -> tollbook_rating::served::Served {
    use tollbook_rating::served;
    let length = |length: Length| served::Length { us: length.micros, days: length.days };
    let stretch = |stretch: &Stretch| served::Stretch {
        length: length(stretch.length),
        units: stretch.units.text().parse().unwrap(),
    };
    served::Served { whole: length(ours.whole), stretches: ours.stretches.iter().map(stretch).collect() }
}

/// Stretches of a month in both measures, which may come to all of it; none where it was paused throughout.
pub(crate) fn parts() -> impl Strategy<Value = Served> {
    let micros = prop_oneof![Just(1_i64), Just(1_000_000), Just(60_000_000), Just(3_600_000_000)];
    let units = prop_oneof![Just("1"), Just("5"), Just("0"), Just("2.5")];
    let stretch = (0_i64..=360, 0_i64..=15, units);
    (micros, prop::collection::vec(stretch, 0..4)).prop_map(|(unit, stretches)| {
        let (mut hours, mut days) = (720, 30);
        let stretch = |(part, day, units): (i64, i64, &str)| {
            // No more than there is.
            let (part, day) = (part.min(hours), day.min(days));
            (hours, days) = (hours - part, days - day);
            Stretch { length: Length { micros: part * unit, days: day }, units: number(units) }
        };
        let stretches = stretches.into_iter().map(stretch).collect();
        Served { whole: Length { micros: 720 * unit, days: 30 }, stretches }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Amount and working, byte for byte, in currencies with every number of digits; where one has no amount, the other
    /// has none.
    #[test]
    fn both_implementations_agree(
        (theirs, ours) in usages(),
        tariff in tariffs(),
        code in 0..4_usize,
        served in prop::option::of(parts()),
        carried in prop::option::of(amounts()),
    ) {
        let theirs = Usage { served: served.as_ref().map(theirs_of), carried: carried.map(Exact::from_decimal), ..theirs };
        let ours = Used { served, carried: carried.map(Ratio::decimal), ..ours };
        let currency = Currency::parse(["EUR", "JPY", "ISK", "KWD"][code]).unwrap();
        match (rate(&tariff, &theirs, currency), price(&tariff, &ours, currency)) {
            (Ok(rated), Ok((minor, working))) => {
                prop_assert_eq!(rated.amount.minor, minor);
                prop_assert_eq!(serde_json::to_string(&rated.working).unwrap(), serde_json::to_string(&working).unwrap());
            }
            (Err(_), Err(_)) => {}
            (one, other) => prop_assert!(false, "{:?} and {:?}", one, other),
        }
    }
}
