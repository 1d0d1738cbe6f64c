//! Coupons: what an issuer takes off the lines of a partner for a while. Pure data, and the lines that one is for.
//!
//! The terms stand in the catalog and never change once an invoice was issued by them; who redeemed one, and when, are
//! events (`crate::registry`). A coupon is of one issuer: no other gives away what is its.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::Catalog;
use crate::decimal::Decimal;
use crate::id::{IssuerId, MeterId, PlanId, PriceId, ProductId};
use crate::money::Money;
use crate::period::Month;

/// Plan that lines of coupons name, which no catalog has.
pub const COUPON_PLAN: &str = "coupon";

/// What a coupon takes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CouponOff {
    /// A part of each of its lines, per cent.
    Percent(Decimal),
    /// An amount of a document, in its currency alone.
    Amount(Money),
}

/// The terms of a coupon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coupon {
    /// Whose lines it reduces.
    pub issuer: IssuerId,
    /// What the customer reads.
    pub description: String,
    /// What it takes off.
    pub off: CouponOff,
    /// Lines of these plans; of all where empty.
    pub plans: BTreeSet<PlanId>,
    /// Lines of prices with these ids; of all where empty.
    pub prices: BTreeSet<PriceId>,
    /// Lines of meters of these products; of all where empty.
    pub products: BTreeSet<ProductId>,
    /// How many months it holds, that of the redemption the first; for ever where `None`.
    pub months: Option<u32>,
    /// First instant at which no month that begins then has it any more.
    pub until: Option<DateTime<Utc>>,
}

impl Coupon {
    /// Whether it reduces a line.
    #[must_use]
    pub fn is_for(&self, catalog: &Catalog, plan: &PlanId, price: &PriceId, meter: Option<&MeterId>) -> bool {
        let product = || meter.and_then(|meter| catalog.meters.get(meter)?.product.as_ref());
        (self.plans.is_empty() || self.plans.contains(plan))
            && (self.prices.is_empty() || self.prices.contains(price))
            && (self.products.is_empty() || product().is_some_and(|product| self.products.contains(product)))
    }

    /// Whether it holds in a month that begins at an instant, where it was redeemed in a month.
    #[must_use]
    pub fn holds_in(&self, month: Month, starts: DateTime<Utc>, redeemed_in: Month) -> bool {
        let is_counted = self.months.is_none_or(|months| {
            let mut last = redeemed_in;
            (1..months).for_each(|_| last = last.next());
            month <= last
        });
        redeemed_in <= month && is_counted && self.until.is_none_or(|until| starts < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::period::parse_instant;

    /// One row: months and end of a coupon that was redeemed in June; the months that have it.
    #[test]
    fn a_coupon_holds_for_its_months() {
        for (months, until, expected) in [
            (None, None, "6 7 8 9"),
            (Some(1), None, "6"),
            (Some(3), None, "6 7 8"),
            (None, Some("2026-08-01T00:00:00Z"), "6 7"),
            (None, Some("2026-08-01T00:00:01Z"), "6 7 8"),
            (Some(2), Some("2026-07-01T00:00:00Z"), "6"),
        ] {
            let coupon = Coupon {
                issuer: IssuerId::parse("acme").unwrap(),
                description: "C".to_owned(),
                off: CouponOff::Percent(Decimal::whole(10)),
                plans: BTreeSet::new(),
                prices: BTreeSet::new(),
                products: BTreeSet::new(),
                months,
                until: until.map(|until| parse_instant(until).unwrap()),
            };
            let holds = |month: &u32| {
                let starts = parse_instant(&format!("2026-{month:02}-01T00:00:00Z")).unwrap();
                coupon.holds_in(format!("2026-{month:02}").parse().unwrap(), starts, "2026-06".parse().unwrap())
            };
            let found: Vec<String> = (4..10).filter(holds).map(|month| month.to_string()).collect();
            assert_eq!(found.join(" "), expected, "{months:?} {until:?}");
        }
    }

    const BASE: &str = r#"
[[issuer]]
id = "acme"
legal_name = "Acme"
address = []
number_prefix = "A-"
time_zone = "UTC"
payment_terms_days = 14
[[plan]]
id = "pro"
version = 1
effective_from = "2026-01-01T00:00:00Z"
name = "Pro"
issuer = "acme"
currency = "EUR"
price = [{ id = "base", description = "Base", model = "flat", amount = "49" }]
"#;

    fn parsed(rest: &str) -> Result<Catalog, Vec<crate::catalog::Problem>> {
        let head = "[[coupon]]\nid = \"c\"\nissuer = \"acme\"\ndescription = \"C\"\n";
        let text = format!("{BASE}{head}{rest}\n");
        Catalog::parse(&[crate::catalog::CatalogFile { path: "c.toml".into(), text }])
    }

    /// One row: the rest of a coupon, and what is told of it.
    #[test]
    fn what_a_coupon_cannot_be_is_told() {
        for (rest, expected) in [
            ("percent = 5", ""),
            ("", "a coupon takes off either per cent or an amount"),
            ("percent = 5\namount = 5\ncurrency = \"EUR\"", "a coupon takes off either per cent or an amount"),
            ("percent = \"100.5\"", "a coupon of 100.5 per cent is more than everything"),
            ("amount = \"0.005\"\ncurrency = \"EUR\"", "0.005 EUR cannot be taken off"),
            ("percent = 5\nplans = [\"por\"]", "no plan por"),
            ("percent = 5\nproducts = [\"maps\"]", "no product maps"),
            ("percent = 5\nprices = [\"bas\"]", "no plan has a price bas"),
            ("percent = 5\nmonths = 0", "months must be 1 to 1200"),
        ] {
            let found = parsed(rest);
            match expected {
                "" => assert!(found.is_ok(), "{rest}: {found:?}"),
                words => assert!(format!("{:?}", found.as_ref().unwrap_err()).contains(words), "{rest}: {found:?}"),
            }
        }
    }

    /// Once an invoice was issued by it, every change of a coupon is one of what was billed, and so is that it is gone.
    #[test]
    fn a_change_of_a_coupon_is_a_change_of_what_was_billed() {
        use crate::catalog::diff::broken_coupon;
        let then = parsed("percent = 5").unwrap();
        let id = crate::id::CouponId::parse("c").unwrap();
        for (now, expected) in [
            ("percent = 5", 0),
            ("percent = 6", 1),
            ("amount = 5\ncurrency = \"EUR\"", 3),
            ("percent = 5\nmonths = 2", 1),
            ("percent = 5\nuntil = \"2027-01-01T00:00:00Z\"", 1),
            ("percent = 5\nplans = [\"pro\"]", 1),
            ("percent = 5\nprices = [\"base\"]", 1),
        ] {
            let changes = broken_coupon(&then, &parsed(now).unwrap(), &id);
            assert_eq!(changes.iter().map(|change| change.fields.len()).sum::<usize>(), expected, "{now}");
        }
        let gone = Catalog::parse(&[crate::catalog::CatalogFile { path: "c.toml".into(), text: BASE.into() }]).unwrap();
        assert_eq!(broken_coupon(&then, &gone, &id).len(), 1);
    }
}
