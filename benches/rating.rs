//! Rating: nanoseconds a line for each price model, from the quantity to the rounded amount and its working.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tollbook_billing::rating::{Usage, rate};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::money::Currency;
use tollbook_schemas::price::{PriceModel, Tariff, Tier};

/// 10¹², the scale of a decimal.
const ONE: i128 = 1_000_000_000_000;

fn decimal(millionths: i128) -> Decimal {
    Decimal::from_unscaled(millionths * (ONE / 1_000_000)).unwrap()
}

/// Quantities from 0.37 to some millions, with six digits after the point.
fn quantities() -> Vec<Decimal> {
    (0..256_i128).map(|at| decimal(370_000 + at * at * at * 191_317)).collect()
}

/// Tiers whose ends are spread over the quantities, so that lines enter some, most or all of them.
fn graduated(tiers: i128) -> PriceModel {
    let tier = |at: i128| Tier {
        up_to: (at + 1 < tiers).then(|| decimal((at + 1) * 3_200_000_000_000 / tiers)),
        unit_price: decimal(5_000 - at * 100),
        flat_price: decimal(at * 1_000_000),
        package_size: None,
    };
    PriceModel::Graduated { tiers: (0..tiers).map(tier).collect() }
}

fn rating(criterion: &mut Criterion) {
    let per_unit = PriceModel::PerUnit { unit_price: decimal(1_234) };
    let models = [
        ("flat", PriceModel::Flat { amount: decimal(99_000_000) }),
        ("per unit", per_unit),
        ("graduated, 3 tiers", graduated(3)),
        ("graduated, 20 tiers", graduated(20)),
    ]
    .map(|(name, model)| (name, Tariff::of(model)));
    let (quantities, currency) = (quantities(), Currency::parse("EUR").unwrap());
    let mut group = criterion.benchmark_group("rating");
    group.throughput(Throughput::Elements(u64::try_from(quantities.len()).unwrap()));
    for (name, model) in &models {
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                for quantity in &quantities {
                    black_box(rate(black_box(model), &Usage::of(*quantity), currency).unwrap());
                }
            });
        });
    }
    // What is stored with the line.
    let model = &models[3].1;
    group.bench_function("graduated, 20 tiers, with its JSON", |bencher| {
        bencher.iter(|| {
            for quantity in &quantities {
                black_box(rate(black_box(model), &Usage::of(*quantity), currency).unwrap().working.to_json().unwrap());
            }
        });
    });
    group.finish();
}

criterion_group!(benches, rating);
criterion_main!(benches);
