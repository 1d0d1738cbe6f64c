//! Subscriptions of one partner that run at the same time and bill one product: an add-on, or the same thing sold
//! twice. Pure.
//!
//! Where both bill the same meter, the partner is blocked (`span::check_overlaps`). By different meters one request is
//! charged by both, and two subscriptions to one plan without a meter are charged twice: that may be meant so. It is
//! billed as the subscriptions say, and listed, so that nobody finds it on an invoice first.

use std::collections::BTreeSet;

use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::id::{MeterId, ProductId};

use super::span::{self, Span};
use super::{ByPartner, DraftInput, Drafted};

/// Lists each pair of them once, for every partner that is not blocked.
pub(super) fn list(input: &DraftInput<'_>, own: &ByPartner<'_>, drafted: &mut Drafted) {
    for (&partner_id, subscriptions) in own {
        if subscriptions.len() < 2 || drafted.blocked.iter().any(|blocked| blocked.partner_id == *partner_id) {
            continue;
        }
        let spans: Result<Vec<_>, _> = subscriptions.iter().map(|one| span::spans_of(input, one)).collect();
        // What cannot be read has blocked its partner.
        let Ok(spans) = spans else { continue };
        let mut listed = BTreeSet::new();
        let spans: Vec<Span<'_>> = spans.into_iter().flatten().collect();
        for (at, one) in spans.iter().enumerate() {
            for other in &spans[at + 1..] {
                let ids = (&one.subscription.subscription_id, &other.subscription.subscription_id);
                if ids.0 == ids.1 || listed.contains(&ids) {
                    continue;
                }
                if let Some(told) = told_of(input.catalog, one, other) {
                    listed.insert(ids);
                    drafted.side_by_side.push((partner_id.clone(), told));
                }
            }
        }
    }
}

/// What two spans bill both, in words; none where they share neither a time nor a product.
fn told_of(catalog: &Catalog, one: &Span<'_>, other: &Span<'_>) -> Option<String> {
    let both = one.billed.intersect(&other.billed)?;
    let (first, second) = (one.subscription, other.subscription);
    let (ids, plans) = ((&first.subscription_id, &second.subscription_id), (&first.plan_id, &second.plan_id));
    let what = match shared_product(catalog, one, other) {
        Some((product_id, meters)) => {
            let product = product_id.map_or_else(|| "all products".to_owned(), |id| format!("product {id}"));
            let (first, second) = meters;
            format!(
                "both bill requests of {product}, by meters {first} and {second}: what both count is charged by both"
            )
        }
        None if plans.0 == plans.1 => format!("are both to plan {}: its prices are charged twice", plans.0),
        None => return None,
    };
    Some(format!(
        "subscriptions {} and {} {what} for {both}; unless that is meant so, cancel one of them with \
         `tollbook partner record` and draft again",
        ids.0, ids.1
    ))
}

/// A product that both price, with a meter of each; no product where their meters count requests of all.
fn shared_product<'s>(
    catalog: &'s Catalog,
    one: &'s Span<'_>,
    other: &'s Span<'_>,
) -> Option<(Option<&'s ProductId>, (&'s MeterId, &'s MeterId))> {
    let product_of = |meter_id| catalog.meters.get(meter_id).and_then(|meter| meter.product.as_ref());
    span::meters(one).find_map(|first| {
        let product = product_of(first);
        // A meter of no product counts the requests of each.
        let is_shared = |of_other: Option<&ProductId>| product.is_none() || of_other.is_none() || product == of_other;
        let second = span::meters(other).find(|second| is_shared(product_of(second)))?;
        Some((product.or(product_of(second)), (first, second)))
    })
}

#[cfg(test)]
mod tests {
    use tollbook_schemas::id::{MeterId, ProductId};

    use crate::draft::tests::{catalog, drafted_with, told};

    /// One row: the products of the meters `calls` and `users`, subscriptions, and what is listed. The plan pro prices
    /// calls and seats prices users; days has a fee alone.
    #[test]
    fn what_two_subscriptions_bill_of_one_product_is_listed() {
        let june = "acme pro 2026-01-01..; acme seats 2026-06-10..";
        for (calls, users, registry, words) in [
            (Some("maps"), Some("maps"), june, Some("both bill requests of product maps, by meters calls and users")),
            (Some("maps"), None, june, Some("both bill requests of product maps, by meters calls and users")),
            (None, None, june, Some("both bill requests of all products, by meters calls and users")),
            (Some("maps"), Some("tiles"), june, None),
            // One after the other, another partner's, and one beside a fee.
            (Some("maps"), Some("maps"), "acme pro 2026-01-01..2026-06-10; acme seats 2026-06-10..", None),
            (Some("maps"), Some("maps"), "acme pro 2026-01-01..; bolt seats 2026-06-10..", None),
            (Some("maps"), Some("maps"), "acme pro 2026-01-01..; acme days 2026-06-10..", None),
            (
                None,
                None,
                "acme days 2026-01-01..; acme days 2026-06-10..",
                Some("both to plan days: its prices are charged twice"),
            ),
        ] {
            let mut catalog = catalog();
            for (meter_id, product) in [("calls", calls), ("users", users)] {
                let meter = catalog.meters.get_mut(&MeterId::parse(meter_id).unwrap()).unwrap();
                meter.product = product.map(|product| ProductId::parse(product).unwrap());
            }
            let drafted = drafted_with(&catalog, registry, Vec::new(), "");
            assert_eq!(drafted.blocked.len(), 0, "{registry}: {}", told(&drafted));
            let told: Vec<&str> = drafted.side_by_side.iter().map(|(_, told)| told.as_str()).collect();
            match words {
                None => assert_eq!(told, Vec::<&str>::new(), "{calls:?} {users:?} {registry}"),
                Some(words) => {
                    let [told] = told[..] else { panic!("{calls:?} {users:?} {registry}: {told:?}") };
                    assert!(told.contains(words) && told.contains("cancel one of them"), "{told}");
                }
            }
        }
    }
}
