use tollbook_schemas::catalog::{Catalog, CatalogFile, PriceModel};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::PlanId;
use tollbook_schemas::period::parse_zone;

use super::FILES;
use crate::calendar::{TRAFFIC_START, as_utc, june};
use crate::metering::{Meter, Product};
use crate::pricing::{Charge, LLM, NIPPON, PRO, Plan, SCALE, STARTER};

fn catalog() -> Catalog {
    let file = |(path, text): &(&str, &str)| CatalogFile { path: (*path).into(), text: (*text).into() };
    Catalog::parse(&FILES.iter().map(file).collect::<Vec<_>>()).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    })
}

/// A price of the ledger as the catalog's type has it.
fn decimal(unscaled: i128) -> Decimal {
    Decimal::from_unscaled(unscaled).unwrap()
}

#[test]
fn the_ledgers_prices_are_those_of_the_catalog() {
    let catalog = catalog();
    let plans: [&Plan; 5] = [&STARTER, &PRO, &SCALE, &LLM, &NIPPON];
    assert_eq!(catalog.plans.len(), plans.len());
    for plan in plans {
        let id = PlanId::parse(plan.id).unwrap();
        // The same version whether the period starts with the month or with a subscription in it.
        let version = catalog.plan_at(&id, as_utc(june(1, 0, 0))).unwrap();
        for start in [TRAFFIC_START, june(30, 0, 0)] {
            assert_eq!(catalog.plan_at(&id, as_utc(start)), Some(version));
        }
        assert_eq!((version.currency.code(), version.currency.exponent()), (plan.currency, plan.digits));
        assert_eq!(version.currency.step_minor(), 1);
        assert_eq!(catalog.issuers[&version.issuer].time_zone, parse_zone(plan.issuer_zone.name).unwrap());
        assert_eq!(version.prices.len(), plan.prices.len());
        for (price, (price_id, charge)) in version.prices.iter().zip(plan.prices) {
            assert_eq!(price.price_id.as_str(), *price_id);
            let meter = price.meter.as_ref();
            match (&price.tariff.model, charge) {
                (PriceModel::Flat { amount }, Charge::Flat(flat)) => assert_eq!(*amount, decimal(*flat)),
                (PriceModel::PerUnit { unit_price }, Charge::PerUnit(own, unit)) => {
                    assert_eq!((meter.unwrap().as_str(), *unit_price), (own.id(), decimal(*unit)));
                }
                (PriceModel::Graduated { tiers }, Charge::Graduated(own, own_tiers)) => {
                    assert_eq!((meter.unwrap().as_str(), tiers.len()), (own.id(), own_tiers.len()));
                    for (tier, own) in tiers.iter().zip(*own_tiers) {
                        // Bounds are in millionths, prices in 10^-12.
                        assert_eq!(tier.up_to, own.up_to.map(|up_to| decimal(up_to * 1_000_000)));
                        assert_eq!((tier.unit_price, tier.flat_price), (decimal(own.unit), decimal(own.flat)));
                    }
                }
                other => panic!("{}.{price_id}: {other:?}", plan.id),
            }
        }
    }
}

#[test]
fn meters_and_products_are_those_of_the_catalog() {
    let catalog = catalog();
    let own = |meter: Meter, product: Option<Product>| {
        let found = &catalog.meters[&meter.id().to_owned().try_into().unwrap()];
        assert_eq!(found.product.as_ref().map(|id| id.as_str()), product.map(Product::id), "{}", meter.id());
    };
    own(Meter::MapCalls, Some(Product::Maps));
    own(Meter::MapBytes, Some(Product::Maps));
    own(Meter::RoutingCalls, Some(Product::Routing));
    own(Meter::LlmTokens, Some(Product::Llm));
    own(Meter::LlmUsers, Some(Product::Llm));
    own(Meter::AllCalls, None);
    assert_eq!((catalog.meters.len(), catalog.products.len(), catalog.issuers.len()), (6, 3, 2));
    // What every request is made for: its path leads to its product.
    for endpoint in crate::request::ENDPOINTS {
        let routes = catalog.products.iter().flat_map(|(id, product)| product.routes.iter().map(move |r| (r, id)));
        let longest =
            routes.filter(|(route, _)| endpoint.path.starts_with(route.as_str())).max_by_key(|(r, _)| r.len());
        assert_eq!(longest.map_or("unmapped", |(_, id)| id.as_str()), endpoint.product.id(), "{}", endpoint.path);
    }
}
