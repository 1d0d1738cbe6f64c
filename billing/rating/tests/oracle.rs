//! A second pricing with `bigdecimal`, from the prices' definitions, that shares no code with the first; and what must
//! hold for every price and usage.

use std::str::FromStr;

use bigdecimal::{BigDecimal, RoundingMode, Zero};
use proptest::prelude::*;
use tollbook_rating::allocate::{allocate_units, shares};
use tollbook_rating::split::{delta, rate_split};
use tollbook_rating::usage::Event;
use tollbook_rating::{Usage, amount, rate};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::{Direction, Exact};
use tollbook_schemas::money::Currency;
use tollbook_schemas::price::setting::{Limits, Settings, VolumeBeforeEnd, ZeroUsageFirstTierFlat};
use tollbook_schemas::price::{Convert, PercentTier, Percentage, PriceModel, RoundQuantity, Steps, Tariff, Tier};

fn big(decimal: Decimal) -> BigDecimal {
    BigDecimal::from_str(&decimal.to_string()).unwrap()
}

fn whole(n: i64) -> BigDecimal {
    BigDecimal::from(n)
}

/// The minor unit, half away from zero.
fn cents(value: &BigDecimal) -> i64 {
    let cents = (value * whole(100)).with_scale_round(0, RoundingMode::HalfUp);
    cents.to_string().parse().unwrap()
}

/// Sums over unit steps of the tiers' lower bounds: each bound contributes the change of the unit price above it.
fn tiered(
    tiers: &[(Option<BigDecimal>, BigDecimal, BigDecimal)],
    quantity: &BigDecimal,
    zero_pays: bool,
) -> BigDecimal {
    let mut sum = BigDecimal::zero();
    let mut lower = BigDecimal::zero();
    let mut price_before = BigDecimal::zero();
    for (index, (up_to, unit, flat)) in tiers.iter().enumerate() {
        let above = quantity > &lower;
        if above {
            sum += (quantity - &lower) * (unit - &price_before);
        }
        if above || (index == 0 && zero_pays) {
            sum += flat;
        }
        price_before = unit.clone();
        if let Some(up_to) = up_to {
            lower = up_to.clone();
        }
    }
    sum
}

/// Units, or started packages: how often the size can be taken away before nothing is left.
fn sold(units: &BigDecimal, tier: &Tier) -> BigDecimal {
    let Some(size) = tier.package_size.map(big) else { return units.clone() };
    let (mut left, mut packages) = (up_to_step(units, &size), 0_i64);
    while left > BigDecimal::zero() {
        // In thousands first, so that small packages do not take for ever.
        let many = if left > &size * whole(1_000) { 1_000 } else { 1 };
        left -= &size * whole(many);
        packages += many;
    }
    whole(packages)
}

/// Tiers from the last to the first: each takes what lies above its lower bound, and leaves the rest.
fn in_packages(tiers: &[Tier], quantity: &BigDecimal, zero_pays: bool) -> BigDecimal {
    let mut left = quantity.clone();
    let mut sum = BigDecimal::zero();
    for (index, tier) in tiers.iter().enumerate().rev() {
        let lower = index.checked_sub(1).map_or(BigDecimal::zero(), |before| big(tiers[before].up_to.unwrap()));
        if left > lower {
            sum += sold(&(&left - &lower), tier) * big(tier.unit_price) + big(tier.flat_price);
            left = lower;
        } else if index == 0 && zero_pays {
            sum += big(tier.flat_price);
        }
    }
    sum
}

/// Smallest multiple of `step` that is not below, for a value from zero on.
fn up_to_step(value: &BigDecimal, step: &BigDecimal) -> BigDecimal {
    let quotient = (value / step).with_scale_round(0, RoundingMode::Down);
    let candidate = &quotient * step;
    if &candidate < value { candidate + step } else { candidate }
}

fn oracle(tariff: &Tariff, usage: &Usage) -> BigDecimal {
    let steps = &tariff.steps;
    let mut quantity = big(usage.quantity);
    if let Some(convert) = steps.convert {
        quantity = quantity * big(convert.multiply_by) / big(convert.divide_by);
    }
    if let Some(round) = steps.round_quantity {
        quantity = up_to_step(&quantity, &big(round.to_multiple_of));
    }
    if let Some(included) = steps.included {
        quantity = (quantity - big(included)).max(BigDecimal::zero());
    }
    let zero_pays = tariff.settings.zero_usage_first_tier_flat == ZeroUsageFirstTierFlat::Charged;
    let mut sum = match &tariff.model {
        PriceModel::Flat { amount } => big(*amount),
        PriceModel::PerUnit { unit_price } => quantity * big(*unit_price),
        PriceModel::Graduated { tiers } if tiers.iter().any(|tier| tier.package_size.is_some()) => {
            in_packages(tiers, &quantity, zero_pays)
        }
        PriceModel::Graduated { tiers } => {
            let tiers: Vec<_> =
                tiers.iter().map(|t| (t.up_to.map(big), big(t.unit_price), big(t.flat_price))).collect();
            tiered(&tiers, &quantity, zero_pays)
        }
        PriceModel::GraduatedPercentage { tiers } => {
            let tiers: Vec<_> =
                tiers.iter().map(|t| (t.up_to.map(big), big(t.percent) / whole(100), big(t.flat_price))).collect();
            tiered(&tiers, &quantity, zero_pays)
        }
        PriceModel::Volume { tiers } => {
            let tier = tiers.iter().rev().skip(1).rev().find(|t| quantity <= big(t.up_to.unwrap()));
            let tier = tier.unwrap_or_else(|| tiers.last().unwrap());
            let flat = if quantity.is_zero() && !zero_pays { BigDecimal::zero() } else { big(tier.flat_price) };
            sold(&quantity, tier) * big(tier.unit_price) + flat
        }
        PriceModel::Package { package_size, package_price, free_units } => {
            let mut packages = 0_i64;
            let mut covered = big(*free_units);
            while covered < quantity {
                covered += big(*package_size);
                packages += 1;
            }
            whole(packages) * big(*package_price)
        }
        PriceModel::Percentage(percentage) => {
            let mut sum = BigDecimal::zero();
            for event in usage.events.as_ref().unwrap() {
                let mut due = big(event.quantity) * big(percentage.percent) / whole(100) + big(percentage.fixed_fee);
                due = percentage.event_minimum.map_or(due.clone(), |least| due.max(big(least)));
                sum += percentage.event_maximum.map_or(due.clone(), |most| due.min(big(most)));
            }
            if quantity.is_zero() { BigDecimal::zero() } else { sum }
        }
        other => panic!("{}", other.as_str()),
    };
    let off = steps.discount_percent.map_or(whole(1), |percent| (whole(100) - big(percent)) / whole(100));
    if tariff.settings.limits == Limits::AfterDiscount {
        sum *= off.clone();
    }
    sum = steps.minimum.map_or(sum.clone(), |least| sum.max(big(least)));
    sum = steps.maximum.map_or(sum.clone(), |most| sum.min(big(most)));
    if tariff.settings.limits == Limits::BeforeDiscount { sum * off } else { sum }
}

fn scaled(value: i128, digits: u32) -> Decimal {
    Decimal::from_unscaled(value * 10_i128.pow(12 - digits)).unwrap()
}

fn usd() -> Currency {
    Currency::parse("USD").unwrap()
}

/// Up to five tiers: (width in hundredths, unit price in ten-thousandths, flat price in cents).
fn widths() -> impl Strategy<Value = Vec<(i128, i128, i128)>> {
    prop::collection::vec((1_i128..100_000, 0_i128..100_000, 0_i128..10_000), 1..5)
}

fn bounds(widths: &[(i128, i128, i128)]) -> Vec<(Option<Decimal>, Decimal, Decimal)> {
    let mut up_to = 0;
    let bound = |(index, (width, unit, flat)): (usize, &(i128, i128, i128))| {
        up_to += width;
        (((index + 1) < widths.len()).then(|| scaled(up_to, 2)), scaled(*unit, 4), scaled(*flat, 2))
    };
    widths.iter().enumerate().map(bound).collect()
}

fn tiers(widths: &[(i128, i128, i128)]) -> Vec<Tier> {
    // Some tiers sell packages of a tenth of their width.
    let size = |(width, _, _): &(i128, i128, i128)| (width % 4 == 1).then(|| scaled(width / 10 + 1, 2));
    let tier =
        |((up_to, unit_price, flat_price), width)| Tier { up_to, unit_price, flat_price, package_size: size(width) };
    bounds(widths).into_iter().zip(widths).map(tier).collect()
}

fn model() -> impl Strategy<Value = PriceModel> {
    prop_oneof![
        (0_i128..1_000_000).prop_map(|amount| PriceModel::Flat { amount: scaled(amount, 4) }),
        (0_i128..1_000_000).prop_map(|unit| PriceModel::PerUnit { unit_price: scaled(unit, 6) }),
        widths().prop_map(|widths| PriceModel::Graduated { tiers: tiers(&widths) }),
        widths().prop_map(|widths| PriceModel::Volume { tiers: tiers(&widths) }),
        widths().prop_map(|widths| PriceModel::GraduatedPercentage {
            tiers: bounds(&widths)
                .into_iter()
                .map(|(up_to, percent, flat_price)| PercentTier { up_to, percent, flat_price })
                .collect()
        }),
        (1_000_i128..1_000_000, 0_i128..10_000, 0_i128..100_000).prop_map(|(size, price, free)| {
            let (package_size, package_price) = (scaled(size, 2), scaled(price, 2));
            PriceModel::Package { package_size, package_price, free_units: scaled(free, 2) }
        }),
    ]
}

fn steps() -> impl Strategy<Value = (Steps, Settings)> {
    let convert = prop::option::of(prop_oneof![Just(1_000_i64), Just(60), Just(1 << 20), Just(7)]);
    let round = prop::option::of(1_i128..1_000);
    let limits = (prop::option::of(0_i128..1_000_000), prop::option::of(0_i128..1_000_000));
    let rest = (prop::option::of(0_i128..10_000), prop::option::of(0_i128..=10_000), any::<bool>(), any::<bool>());
    (convert, round, limits, rest).prop_map(|(convert, round, (one, two), (included, discount, after, zero_pays))| {
        let (minimum, maximum) = match (one, two) {
            (Some(one), Some(two)) => (Some(one.min(two)), Some(one.max(two))),
            other => other,
        };
        // A division that does not end is cut by bigdecimal at 100 digits: rounding makes both sides end.
        let convert = convert.filter(|factor| *factor == 1_000 || *factor == 1 << 20);
        let steps = Steps {
            rollover_periods: None,
            convert: convert.map(|by| Convert { divide_by: Decimal::whole(by), multiply_by: Decimal::whole(3) }),
            round_quantity: round
                .map(|step| RoundQuantity { direction: Direction::Up, to_multiple_of: scaled(step, 2) }),
            included: included.map(|units| scaled(units, 2)),
            minimum: minimum.map(|amount| scaled(amount, 2)),
            maximum: maximum.map(|amount| scaled(amount, 2)),
            discount_percent: discount.map(|percent| scaled(percent, 2)),
        };
        let settings = Settings {
            limits: if after { Limits::AfterDiscount } else { Limits::BeforeDiscount },
            zero_usage_first_tier_flat: if zero_pays {
                ZeroUsageFirstTierFlat::Charged
            } else {
                ZeroUsageFirstTierFlat::NotCharged
            },
            ..Settings::default()
        };
        (steps, settings)
    })
}

fn tariff() -> impl Strategy<Value = Tariff> {
    (model(), steps()).prop_map(|(model, (steps, settings))| {
        let steps = match model {
            PriceModel::Flat { .. } => Steps { convert: None, round_quantity: None, included: None, ..steps },
            _ => steps,
        };
        Tariff { model, steps, settings }
    })
}

/// Quantities in thousandths, zero and whole ones often.
fn quantity() -> impl Strategy<Value = i128> {
    prop_oneof![1 => Just(0_i128), 3 => 0_i128..2_000_000, 3 => (0_i128..2_000).prop_map(|n| n * 1_000)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_model_with_every_step_agrees_with_the_oracle(tariff in tariff(), quantity in quantity()) {
        let usage = Usage::of(scaled(quantity, 3));
        let rated = rate(&tariff, &usage, usd()).unwrap();
        let expected = oracle(&tariff, &usage);
        prop_assert_eq!(rated.amount.minor, cents(&expected), "{:?}", rated.working);
        prop_assert_eq!(BigDecimal::from_str(&rated.working.exact).unwrap(), expected);
        prop_assert_eq!(amount(&tariff, &usage, usd()).unwrap(), rated.amount);
    }

    #[test]
    fn percentages_of_events_agree_with_the_oracle(
        amounts in prop::collection::vec(0_i128..10_000_000, 0..8),
        (percent, fee) in (0_i128..10_000, 0_i128..500),
        (least, more) in (0_i128..500, 0_i128..5_000),
    ) {
        let events = amounts.iter().map(|amount| Event { quantity: scaled(*amount, 2), prorated: None, amount: None });
        let usage = Usage::of_events(events.collect()).unwrap();
        let tariff = Tariff::of(PriceModel::Percentage(Percentage {
            percent: scaled(percent, 3),
            fixed_fee: scaled(fee, 2),
            event_minimum: Some(scaled(least, 2)),
            event_maximum: Some(scaled(least + more, 2)),
            free_events: None,
            free_total: None,
        }));
        prop_assert_eq!(rate(&tariff, &usage, usd()).unwrap().amount.minor, cents(&oracle(&tariff, &usage)));
    }

    /// However a period is cut, its splits add up to its price; a volume price that is billed in between too.
    #[test]
    fn splitting_a_period_conserves(
        tariff in tariff(),
        cuts in prop::collection::vec(quantity(), 1..6),
        is_billed in any::<bool>(),
    ) {
        let mut tariff = tariff;
        if is_billed {
            tariff.settings.volume_before_end = VolumeBeforeEnd::Billed;
        }
        let mut before: Option<Usage> = None;
        let mut sum = 0;
        for (index, cut) in cuts.iter().enumerate() {
            let split = Usage::of(scaled(*cut, 3));
            let now = before.as_ref().map_or(split.clone(), |before| before.then(&split).unwrap());
            let is_last = index + 1 == cuts.len();
            sum += rate_split(&tariff, before.as_ref(), &now, is_last, usd()).unwrap().amount.minor;
            before = Some(now);
        }
        let whole = Usage::of(scaled(cuts.iter().sum(), 3));
        prop_assert_eq!(sum, rate(&tariff, &whole, usd()).unwrap().amount.minor);
    }

    /// An adjustment is rate(now) − rate(billed), and two of them are one.
    #[test]
    fn adjustments_are_differences(tariff in tariff(), a in quantity(), b in quantity(), c in quantity()) {
        let [a, b, c] = [a, b, c].map(|quantity| Usage::of(scaled(quantity, 3)));
        let of = |usage: &Usage| rate(&tariff, usage, usd()).unwrap().amount.minor;
        let from = |one: &Usage, two: &Usage| delta(&tariff, one, two, usd()).unwrap().amount.minor;
        prop_assert_eq!(from(&a, &b), of(&b) - of(&a));
        prop_assert_eq!(from(&a, &b) + from(&b, &c), from(&a, &c));
        prop_assert_eq!(from(&a, &a), 0);
    }

    #[test]
    fn graduated_never_falls(widths in widths(), one in quantity(), more in quantity()) {
        let tariff = Tariff::of(PriceModel::Graduated { tiers: tiers(&widths) });
        let of = |quantity| rate(&tariff, &Usage::of(scaled(quantity, 3)), usd()).unwrap().amount.minor;
        prop_assert!(of(one) <= of(one + more));
    }

    /// Without flat prices and packages graduated is continuous: at each bound both tiers give the same.
    #[test]
    fn graduated_is_continuous_at_its_bounds(widths in widths()) {
        let widths: Vec<_> = widths.into_iter().map(|(width, unit, _)| (width, unit, 0)).collect();
        let tiers: Vec<_> = tiers(&widths).into_iter().map(|tier| Tier { package_size: None, ..tier }).collect();
        let dearest = tiers.iter().map(|tier| tier.unit_price).max().unwrap();
        let tariff = Tariff::of(PriceModel::Graduated { tiers: tiers.clone() });
        let exact = |quantity| rate(&tariff, &Usage::of(quantity), usd()).unwrap().working.exact.parse::<Exact>().unwrap();
        let least = Decimal::from_unscaled(1).unwrap();
        for up_to in tiers.iter().filter_map(|tier| tier.up_to) {
            let step = exact(up_to.checked_add(least).unwrap()).checked_sub(exact(up_to)).unwrap();
            prop_assert!(!step.checked_cmp(dearest.times(least)).unwrap().is_gt());
        }
    }

    /// The order of events does not matter where no allowance depends on it.
    #[test]
    fn order_does_not_matter(amounts in prop::collection::vec(0_i128..1_000_000, 0..6), percent in 0_i128..10_000) {
        let tariff = Tariff::of(PriceModel::Percentage(Percentage {
            percent: scaled(percent, 3),
            fixed_fee: scaled(2, 1),
            event_minimum: Some(Decimal::whole(1)),
            event_maximum: Some(Decimal::whole(50)),
            free_events: None,
            free_total: None,
        }));
        let of = |amounts: &mut dyn Iterator<Item = &i128>| {
            let event = |amount: &i128| Event { quantity: scaled(*amount, 2), prorated: None, amount: None };
            rate(&tariff, &Usage::of_events(amounts.map(event).collect()).unwrap(), usd()).unwrap().amount
        };
        prop_assert_eq!(of(&mut amounts.iter()), of(&mut amounts.iter().rev()));
    }

    /// Parts add up, none is off by a unit or more, and nothing goes to a weight of zero.
    #[test]
    fn an_allocation_adds_up(units in -1_000_000_i64..1_000_000, weights in prop::collection::vec(0_i64..1_000, 1..8)) {
        let weights: Vec<Exact> = weights.into_iter().map(Exact::whole).collect();
        prop_assume!(weights.iter().any(|weight| !weight.is_zero()));
        let parts = allocate_units(units, &weights).unwrap();
        prop_assert_eq!(parts.iter().sum::<i64>(), units);
        for ((part, share), weight) in parts.iter().zip(shares(Exact::whole(units), &weights).unwrap()).zip(&weights) {
            let off = Exact::whole(*part).checked_sub(share).unwrap();
            prop_assert!(off.checked_cmp(Exact::whole(1)).unwrap().is_lt());
            prop_assert!(off.checked_cmp(Exact::whole(-1)).unwrap().is_gt());
            prop_assert!(!weight.is_zero() || *part == 0);
        }
    }

    /// Whatever stands in a line, it is answered by one line of JSON and never by a panic.
    #[test]
    fn an_estimate_always_answers(text in ".{0,60}", quantity in "[0-9a-z.-]{0,12}") {
        let line = format!(r#"{{"currency":"USD","price":{{"model":"flat","amount":"1"}},"quantity":"{quantity}"}}"#);
        for text in [text, line] {
            let answer = tollbook_rating::estimate::line(&text);
            prop_assert!(answer.starts_with('{') && !answer.contains('\n'), "{}", answer);
        }
    }

    /// The largest and smallest numbers in every place of every model are an amount or an error, never a panic.
    #[test]
    fn extremes_are_answered(template in 0_usize..11, picks in prop::collection::vec(0_usize..EXTREMES.len(), 12)) {
        let mut picks = picks.into_iter().cycle();
        let mut line = String::new();
        for piece in TEMPLATES[template].split('#') {
            if !line.is_empty() {
                line.push_str(EXTREMES[picks.next().unwrap()]);
            }
            line.push_str(piece);
        }
        let line = line.replace('\'', "\"");
        let answer = tollbook_rating::estimate::line(&line);
        prop_assert!(answer.contains("\"total\"") || answer.contains("\"error\""), "{}: {}", line, answer);
        prop_assert!(!answer.contains("expected value") && !answer.contains("EOF"), "{}: {}", line, answer);
    }
}

/// A tier as a line of JSON has it: where it ends, what a unit costs, what entering it costs, its least, its most.
type LimitedTier = (Option<Decimal>, Decimal, Decimal, Option<Decimal>, Option<Decimal>);

fn limited_tiers() -> impl Strategy<Value = Vec<LimitedTier>> {
    let limits = (prop::option::of(0_i128..20_000), prop::option::of(0_i128..20_000));
    (widths(), prop::collection::vec(limits, 5)).prop_map(|(widths, limits)| {
        let limited = |((up_to, unit, flat), (one, two)): (_, (Option<i128>, Option<i128>))| {
            let (least, most) = match (one, two) {
                (Some(one), Some(two)) => (Some(one.min(two)), Some(one.max(two))),
                other => other,
            };
            (up_to, unit, flat, least.map(|cents| scaled(cents, 2)), most.map(|cents| scaled(cents, 2)))
        };
        bounds(&widths).into_iter().zip(limits).map(limited).collect()
    })
}

fn json_of_tiers(tiers: &[LimitedTier]) -> String {
    let tier = |(up_to, unit, flat, least, most): &LimitedTier| {
        let optional = |key: &str, number: &Option<Decimal>| match number {
            None => String::new(),
            Some(number) => format!(",\"{key}\":{number}"),
        };
        let rest = [optional("up_to", up_to), optional("minimum", least), optional("maximum", most)].concat();
        format!("{{\"unit_price\":\"{unit}\",\"flat_price\":\"{flat}\"{rest}}}")
    };
    format!("[{}]", tiers.iter().map(tier).collect::<Vec<_>>().join(","))
}

/// What each tier costs, from the last to the first: its units, its flat price, what its limits add or take off.
fn costs_of_tiers(tiers: &[LimitedTier], quantity: &BigDecimal) -> Vec<[BigDecimal; 3]> {
    let mut costs = Vec::new();
    let mut left = quantity.clone();
    for (index, (_, unit, flat, least, most)) in tiers.iter().enumerate().rev() {
        let lower = index.checked_sub(1).map_or(BigDecimal::zero(), |before| big(tiers[before].0.unwrap()));
        if left <= lower && index > 0 {
            continue;
        }
        let units = (&left - &lower) * big(*unit);
        let due = &units + big(*flat);
        let mut held = due.clone();
        held = least.map_or(held.clone(), |least| held.max(big(least)));
        held = most.map_or(held.clone(), |most| held.min(big(most)));
        costs.push([units, big(*flat), held - due]);
        left = left.min(lower);
    }
    costs
}

fn sum(costs: &[[BigDecimal; 3]]) -> BigDecimal {
    costs.iter().flatten().fold(BigDecimal::zero(), |sum, cost| sum + cost)
}

fn minor_of(line: &str) -> i64 {
    let answer: serde_json::Value = serde_json::from_str(&tollbook_rating::estimate::line(line)).unwrap();
    answer["total_minor"].as_i64().unwrap_or_else(|| panic!("{line}: {answer}"))
}

fn half_even(value: &BigDecimal) -> i64 {
    (value * whole(100)).with_scale_round(0, RoundingMode::HalfEven).to_string().parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// What only a replay has, through the line of JSON: limits of tiers, an overage, events alone, units given back,
    /// each component rounded.
    #[test]
    fn rules_of_other_systems_agree_with_the_oracle(
        tiers in limited_tiers(),
        events in prop::collection::vec(quantity(), 1..5),
        (above, factor) in (0_i128..100_000, 0_i128..40),
        (least, more) in (0_i128..100_000, 0_i128..100_000),
    ) {
        let price = format!("\"model\":\"graduated\",\"tiers\":{}", json_of_tiers(&tiers));
        let line = |rules: &str, steps: &str, usage: &str| {
            minor_of(&format!("{{\"currency\":\"USD\",\"price\":{{{price}{steps}}}{rules},{usage}}}"))
        };
        let quantities: Vec<Decimal> = events.iter().map(|event| scaled(*event, 3)).collect();
        let listed = quantities.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let usage = format!("\"usage\":{{\"events\":[{listed}]}}");
        let total = scaled(events.iter().sum(), 3);
        let cost = |quantity: &Decimal| sum(&costs_of_tiers(&tiers, &big(*quantity)));

        prop_assert_eq!(line("", "", &usage), cents(&cost(&total)));

        let (above, factor) = (scaled(above, 2), scaled(factor, 1));
        let over = |cost: BigDecimal| {
            let extra = (&cost - big(above)).max(BigDecimal::zero());
            cost - &extra + extra * big(factor)
        };
        let rule = format!(",\"overage\":{{\"above\":{above},\"factor\":{factor}}}");
        prop_assert_eq!(line(&rule, "", &usage), cents(&over(cost(&total))));

        let alone = quantities.iter().fold(BigDecimal::zero(), |sum, quantity| sum + cost(quantity));
        prop_assert_eq!(line(",\"per_event\":\"price\"", "", &usage), cents(&alone));
        let each = quantities.iter().map(|quantity| half_even(&cost(quantity))).sum::<i64>();
        let rule_each = ",\"per_event\":\"price\",\"event_digits\":2,\"rounding\":\"half_even\"";
        prop_assert_eq!(line(rule_each, "", &usage), each);

        let (least, most) = (scaled(least, 2), scaled(least + more, 2));
        let held = |cost: BigDecimal| cost.max(big(least)).min(big(most));
        let steps = format!(",\"minimum\":\"{least}\",\"maximum\":\"{most}\"");
        let lines = quantities.iter().fold(BigDecimal::zero(), |sum, quantity| sum + held(over(cost(quantity))));
        prop_assert_eq!(line(&format!("{rule},\"per_event\":\"line\""), &steps, &usage), cents(&lines));
        prop_assert_eq!(line(&format!("{rule},\"per_event\":\"price\""), &steps, &usage), cents(&held(over(alone.clone()))));

        let rate = scaled(1 + more, 4);
        let exchanged = cents(&(held(over(cost(&total))) * big(rate)));
        prop_assert_eq!(line(&format!("{rule},\"exchange_rate\":{rate}"), &steps, &usage), exchanged);

        let document = |rules: &str| {
            let lines = quantities.iter().map(|quantity| format!("{{\"price\":{{{price}}},\"quantity\":{quantity}}}"));
            let lines = lines.collect::<Vec<_>>().join(",");
            minor_of(&format!("{{\"currency\":\"USD\",\"invoice\":{{\"lines\":[{lines}]{rules}}}}}"))
        };
        prop_assert_eq!(document(",\"line_amounts\":\"keep\""), cents(&alone));
        let printed = quantities.iter().map(|quantity| cents(&cost(quantity))).sum::<i64>();
        let limits = format!(",\"limits\":[{{\"minimum\":{least},\"maximum\":{most}}}]");
        prop_assert_eq!(document(&limits), printed.clamp(cents(&big(least)), cents(&big(most))));

        let units = |quantity: &Decimal| {
            costs_of_tiers(&tiers, &big(*quantity)).iter().fold(BigDecimal::zero(), |sum, cost| sum + &cost[0])
        };
        if total != Decimal::ZERO {
            let back = format!("\"quantity\":-{total}");
            prop_assert_eq!(line(",\"negative_quantity\":\"mirrored\"", &steps, &back), cents(&-units(&total)));
            let each = costs_of_tiers(&tiers, &big(total)).iter().map(|cost| -cents(&cost[0])).sum::<i64>();
            let rules = ",\"negative_quantity\":\"mirrored\",\"rounded\":\"component\"";
            prop_assert_eq!(line(rules, &steps, &back), each);
            let first = -big(total) * big(tiers[0].1);
            prop_assert_eq!(line(",\"negative_quantity\":\"first_tier\"", &steps, &back), cents(&first));
            let zero = held(cost(&Decimal::ZERO));
            prop_assert_eq!(line(",\"negative_quantity\":\"as_zero\"", &steps, &back), cents(&zero));
        }

        let components = costs_of_tiers(&tiers, &big(total));
        let expected: i64 = components.iter().flatten().map(cents).sum();
        prop_assert_eq!(line(",\"rounded\":\"component\"", "", &usage), expected);
    }

    /// Limits of tiers keep a graduated price from falling, and splits of a period add up under every rule that takes
    /// splits.
    #[test]
    fn rules_of_other_systems_keep_the_laws(
        tiers in limited_tiers(),
        cuts in prop::collection::vec(quantity(), 1..5),
        rule in 0_usize..5,
    ) {
        // A component that makes up for another one is rounded as that is, the other way.
        let is_monotone = rule != 2;
        let rule = [
            "",
            ",\"overage\":{\"above\":5,\"factor\":1.5}",
            ",\"rounded\":\"component\"",
            ",\"per_event\":\"price\",\"event_digits\":1",
            ",\"per_event\":\"quantity\",\"rounding\":\"ceiling\"",
        ][rule];
        let line = |usage: &str| {
            let price = format!("{{\"model\":\"graduated\",\"tiers\":{}}}", json_of_tiers(&tiers));
            minor_of(&format!("{{\"currency\":\"USD\",\"price\":{price}{rule},{usage}}}"))
        };
        let events = |cuts: &[i128]| {
            let events = cuts.iter().map(|cut| scaled(*cut, 3).to_string()).collect::<Vec<_>>().join(",");
            format!("{{\"events\":[{events}]}}")
        };
        let splits = cuts.iter().map(|cut| events(&[*cut])).collect::<Vec<_>>().join(",");
        let whole = line(&format!("\"usage\":{}", events(&cuts)));
        prop_assert_eq!(line(&format!("\"splits\":[{splits}]")), whole);
        let fewer = line(&format!("\"usage\":{}", events(&cuts[..cuts.len() - 1])));
        prop_assert!(fewer <= whole || !is_monotone, "{} {}", fewer, whole);
    }
}

const EXTREMES: [&str; 9] = [
    "0",
    "1",
    "-1",
    "0.000000000001",
    "3",
    "100",
    "7.000000000007",
    "99999999999999999999999999.999999999999",
    "9223372036854775807",
];

/// `#` is a number, `'` a quote.
const TEMPLATES: [&str; 14] = [
    "{'currency':'USD','price':{'model':'per_unit','unit_price':'#','convert':{'divide_by':'#','multiply_by':'#'},\
     'included':'#','minimum':'#','maximum':'#','discount_percent':'#'},'splits':['#','#','#']}",
    "{'currency':'JPY','price':{'model':'graduated','tiers':[{'up_to':'#','unit_price':'#','flat_price':'#'},\
     {'unit_price':'#'}],'round_quantity':{'direction':'half_up','to_multiple_of':'#'}},'billed':'#','quantity':'#'}",
    "{'currency':'ISK','price':{'model':'volume','tiers':[{'up_to':'#','unit_price':'#'},{'flat_price':'#'}],\
     'convert':'bytes_to_tib'},'quantity':'#'}",
    "{'currency':'KWD','price':{'model':'package','package_size':'#','package_price':'#','free_units':'#'},\
     'quantity':'#'}",
    "{'currency':'USD','price':{'model':'percentage','percent':'#','fixed_fee':'#','event_minimum':'#',\
     'free_total':'#'},'usage':{'events':['#','#','#']}}",
    "{'currency':'USD','price':{'model':'graduated','tiers':[{'up_to':'#','unit_price':'#'},{'flat_price':'#'}]},\
     'settings':{'quantity_basis':'prorated','negative_total':'nothing_due'},\
     'usage':{'events':[{'quantity':'#','prorated':'#'},{'quantity':'#','prorated':'#'}]}}",
    "{'currency':'USD','invoice':{'lines':[{'amount':'#','tax_percent':'#'},{'amount':'#','tax_percent':'#'}],\
     'coupons':[{'amount':'#'},{'percent':'#'}],'credits':[{'amount':'#'}],'tax_mode':'inclusive'}}",
    "{'currency':'USD','allocate':{'amount':'#','weights':['#','#','#']}}",
    "{'currency':'USD','digits':12,'per_event':'line','event_digits':9,'event_quantity_minimum':'#',\
     'negative_quantity':'mirrored','overage':{'above':'#','factor':'#'},'price':{'model':'volume','minimum':'#',\
     'tiers':[{'up_to':'#','unit_price':'#','minimum':'#'},{'unit_price':'#','flat_price':'#','maximum':'#'}]},\
     'usage':{'events':['#','#']}}",
    "{'currency':'USD','negative_quantity':'first_tier','rounded':'component','price':{'model':'graduated',\
     'convert':{'divide_by':'#'},'round_quantity':{'direction':'up'},'included':'#','discount_percent':'#',\
     'tiers':[{'up_to':'#','unit_price':'#'},{'unit_price':'#','minimum':'#'}]},'quantity':'#'}",
    "{'currency':'USD','price':{'model':'capacity','minimum':'#','tiers':[{'up_to':{'a':'#','b':'#'},'flat_price':'#'},\
     {'flat_price':'#'}]},'usage':{'quantities':{'a':'#','b':'#'}}}",
    "{'currency':'USD','invoice':{'line_amounts':'keep','split':'first','tax_rounding':'up','lines':[{'amount':'#',\
     'tax_percent':'#'},{'price':{'model':'per_unit','unit_price':'#'},'exchange_rate':'#','quantity':'#'}],\
     'coupons':[{'percent':'#','rounding':'down'}],'limits':[{'minimum':'#','overage':{'above':'#','factor':'#'},\
     'tax_percent':'#'},{'maximum':'#','lines':[0]}],'credits':[{'amount':'#'}]}}",
    "{'currency':'USD','exchange_rate':'#','exchange_digits':3,'negative_quantity':'mirrored','price':{'model':'graduated',\
     'maximum':'#','tiers':[{'up_to':'#','unit_price':'#'},{'unit_price':'#'}]},'splits':['#','#']}",
    "{'currency':'USD','per_event':'price','event_digits':2,'negative_quantity':'mirrored','price':{'model':'matrix',\
     'dimensions':['a'],'cells':[{'values':['x'],'unit_price':'#','included':'#'},{'values':['y'],'price':{'model':\
     'graduated','tiers':[{'up_to':'#','unit_price':'#'},{'unit_price':'#'}]}}]},'usage':{'events':[{'values':{'a':'x'},\
     'quantity':'#'},{'values':{'a':'y'},'quantity':'#'},{'values':{'a':'x'},'quantity':'#'}]}}",
];
