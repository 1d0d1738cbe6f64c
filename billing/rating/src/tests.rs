use proptest::prelude::*;
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::price::Tier;

use super::*;

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn rate(model: &PriceModel, quantity: Decimal, currency: Currency) -> Result<Rated, RatingError> {
    let tariff = Tariff::of(model.clone());
    let rated = super::rate(&tariff, &Usage::of(quantity), currency)?;
    assert_eq!(amount(&tariff, &Usage::of(quantity), currency), Ok(rated.amount));
    Ok(rated)
}

/// Reads a price: `flat 49`, `unit 0.002`, or tiers `5:0+100 10:0+50 *:1` as `up_to:unit_price+flat_price`.
fn model(text: &str) -> PriceModel {
    if let Some(amount) = text.strip_prefix("flat ") {
        return PriceModel::Flat { amount: decimal(amount) };
    }
    if let Some(unit_price) = text.strip_prefix("unit ") {
        return PriceModel::PerUnit { unit_price: decimal(unit_price) };
    }
    let tiers = text.split_whitespace().map(|tier| {
        let (up_to, price) = tier.split_once(':').unwrap();
        let (unit_price, flat_price) = price.split_once('+').unwrap_or((price, "0"));
        let up_to = (up_to != "*").then(|| decimal(up_to));
        Tier { up_to, unit_price: decimal(unit_price), flat_price: decimal(flat_price), package_size: None }
    });
    PriceModel::Graduated { tiers: tiers.collect() }
}

/// One row: currency | prices | `quantity=minor units`, several.
const AMOUNTS: &str = "
    # a fixed amount is due whatever was used
    EUR | flat 49        | 0=4900 7=4900 0.5=4900
    EUR | flat 0         | 0=0 1000000=0
    JPY | flat 1499.5    | 0=1500
    # OpenMeter: unit 100, unit 0.001, dynamic 1.33333; Lago: 0.0002
    USD | unit 100       | 0=0 10=100000
    USD | unit 0.001     | 0=0 4=0 5=1 333=33 666=67
    USD | unit 1.33333   | 10=1333
    USD | unit 0.0002    | 1000000=20000
    USD | unit 0.05      | 30=150
    KWD | unit 0.0155    | 1=20
    ISK | unit 1.5       | 1=200 0.9=100
    # OpenMeter Graduated A
    USD | 5:0+100 10:0+50 15:5 *:1 | 0=10000 5=10000 6=15000 10=15000 15=17500 16=17600 22=18200
    # OpenMeter Graduated B, with both sides of each bound and a fraction above it
    USD | 5:0+100 10:0+50 15:10 *:5 | 0=10000 3=10000 4=10000 5=10000 5.001=15000 6=15000 7=15000 9=15000 10=15000
    USD | 5:0+100 10:0+50 15:10 *:5 | 10.001=15001 11=16000 12=17000 14=19000 15=20000 15.0001=20000 16=20500 22=23500
    # OpenMeter delta: 5 at 1, 10 at 2, then 3
    USD | 5:1 10:2 *:3 | 0=0 3=300 4=400 5=500 6=700 7=900 10=1500 11=1800 12=2100
    # Lago A, tiers 0-10, 11-20, 21+, and decimal tiers
    EUR | 10:10+2 20:5+3 *:5+3 | 0=200 1=1200 10=10200 11=11000 12=11500 20=15500 21=16300
    EUR | 0.1:10 1:5 *:2 | 0.05=50 0.1=100 0.5=300 1=550 1.5=650
    # free units first, as most catalogs begin
    EUR | 1000:0 5000:0.002 *:0.001+1.5 | 0=0 1=0 999=0 1000=0 1001=0 1003=1 5000=800 5001=950 1000000=100450
    # one open tier is a price per unit
    USD | *:0.001        | 0=0 4=0 5=1 666=67
";

#[test]
fn amounts_follow_the_table() {
    for line in AMOUNTS.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let [currency, prices, cases] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let currency = Currency::parse(currency).unwrap();
        for case in cases.split_whitespace() {
            let (quantity, minor) = case.split_once('=').unwrap();
            let rated = rate(&model(prices), decimal(quantity), currency).unwrap();
            assert_eq!(rated.amount.minor.to_string(), minor, "{prices}: {quantity}");
        }
    }
}

#[test]
fn the_working_shows_every_step_before_rounding() {
    let eur = Currency::parse("EUR").unwrap();
    for (prices, quantity, json) in [
        ("flat 49", "0", r#"{"exact":"49"}"#),
        ("unit 0.000125", "3", r#"{"exact":"0.000375","unit_price":"0.000125"}"#),
        (
            "5:1+100 *:0.5",
            "7",
            r#"{"exact":"106","tiers":[{"exact":"105","flat_price":"100","from":"0","quantity":"5","unit_price":"1","up_to":"5"},{"exact":"1","flat_price":"0","from":"5","quantity":"2","unit_price":"0.5","up_to":null}]}"#,
        ),
    ] {
        let rated = rate(&model(prices), decimal(quantity), eur).unwrap();
        assert_eq!(rated.working.to_json().unwrap(), json);
        assert_eq!(serde_json::from_str::<Working>(json).unwrap(), rated.working);
    }
}

#[test]
fn what_has_no_amount_is_an_error() {
    let eur = Currency::parse("EUR").unwrap();
    assert_eq!(
        rate(&model("unit 1"), decimal("-0.5"), eur),
        Err(RatingError::NegativeQuantity(decimal("-0.5"))),
        "a negative quantity is no credit"
    );
    assert_eq!(rate(&model("5:1 10:2"), decimal("11"), eur), Err(RatingError::NoTier("graduated")));
    let most = decimal("99999999999999999999999999.999999999999");
    let price = PriceModel::PerUnit { unit_price: most };
    assert!(matches!(rate(&price, most, eur), Err(RatingError::Money { .. })));
}

/// An independent pricing in plain `i128`: quantities in thousandths, prices in ten-thousandths, walked from the last
/// tier down. Amounts are in 10⁻⁷ major units until the one rounding.
fn oracle(tiers: &[(Option<i128>, i128, i128)], quantity: i128) -> i128 {
    let mut rest = quantity;
    let mut sum = 0_i128;
    for index in (0..tiers.len()).rev() {
        let (_, unit_price, flat_price) = tiers[index];
        let from = if index == 0 { 0 } else { tiers[index - 1].0.unwrap() };
        if rest > from || index == 0 {
            sum += (rest - from) * unit_price + flat_price * 1000;
            rest = from;
        }
    }
    // To hundredths: divide by 10^5, half up (nothing is negative here).
    (sum + 50_000) / 100_000
}

fn scaled(value: i128, digits: u32) -> Decimal {
    Decimal::from_unscaled(value * 10_i128.pow(12 - digits)).unwrap()
}

/// Up to five tiers as (width, unit price, flat price).
fn tier_widths(flat_max: i128) -> impl Strategy<Value = Vec<(i128, i128, i128)>> {
    prop::collection::vec((1_i128..2_000_000, 0_i128..100_000, 0_i128..=flat_max), 1..5)
}

fn tiers_of(widths: &[(i128, i128, i128)]) -> Vec<(Option<i128>, i128, i128)> {
    let mut end = 0;
    let last = widths.len() - 1;
    widths
        .iter()
        .enumerate()
        .map(|(index, (width, unit_price, flat_price))| {
            end += width;
            ((index < last).then_some(end), *unit_price, *flat_price)
        })
        .collect()
}

fn graduated_of(tiers: &[(Option<i128>, i128, i128)]) -> PriceModel {
    let tiers = tiers.iter().map(|(up_to, unit_price, flat_price)| Tier {
        up_to: up_to.map(|up_to| scaled(up_to, 3)),
        unit_price: scaled(*unit_price, 4),
        flat_price: scaled(*flat_price, 4),
        package_size: None,
    });
    PriceModel::Graduated { tiers: tiers.collect() }
}

fn minor(model: &PriceModel, quantity: Decimal) -> i64 {
    rate(model, quantity, Currency::parse("USD").unwrap()).unwrap().amount.minor
}

proptest! {
    #[test]
    fn graduated_is_what_a_naive_walk_gives(widths in tier_widths(1_000_000), quantity in 0_i128..10_000_000) {
        let tiers = tiers_of(&widths);
        prop_assert_eq!(i128::from(minor(&graduated_of(&tiers), scaled(quantity, 3))), oracle(&tiers, quantity));
    }

    #[test]
    fn more_units_never_cost_less(widths in tier_widths(1_000_000), low in 0_i128..9_000_000, more in 0_i128..1_000_000) {
        let model = graduated_of(&tiers_of(&widths));
        prop_assert!(minor(&model, scaled(low, 3)) <= minor(&model, scaled(low + more, 3)));
    }

    /// Without flat prices nothing jumps: a step of one thousandth costs at most its price at the dearest tier,
    /// plus the one minor unit that rounding may turn over.
    #[test]
    fn without_flat_prices_nothing_jumps(widths in tier_widths(0), quantity in 0_i128..10_000_000) {
        let tiers = tiers_of(&widths);
        let model = graduated_of(&tiers);
        let step = i128::from(minor(&model, scaled(quantity + 1, 3)) - minor(&model, scaled(quantity, 3)));
        let dearest = tiers.iter().map(|tier| tier.1).max().unwrap();
        prop_assert!(step * 100_000 <= dearest + 100_000, "{step} for a price of {dearest}");
    }

    #[test]
    fn one_open_tier_is_a_price_per_unit(unit_price in 0_i128..10_000_000, quantity in 0_i128..1_000_000_000) {
        let one = graduated_of(&[(None, unit_price, 0)]);
        let per_unit = PriceModel::PerUnit { unit_price: scaled(unit_price, 4) };
        let (quantity, usd) = (scaled(quantity, 3), Currency::parse("USD").unwrap());
        let (one, per_unit) = (rate(&one, quantity, usd).unwrap(), rate(&per_unit, quantity, usd).unwrap());
        prop_assert_eq!(one.amount, per_unit.amount);
        prop_assert_eq!(one.working.exact, per_unit.working.exact);
    }
}
