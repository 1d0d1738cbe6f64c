//! Coupons: from a table to checked terms.

use super::Checking;
use super::instant::instant;
use super::tax::some_of;
use crate::catalog::coupon::{COUPON_PLAN, Coupon, CouponOff};
use crate::decimal::Decimal;
use crate::id::{CouponId, IssuerId, PlanId, PriceId, ProductId};
use crate::money::{Currency, Money};
use crate::price::node::Node;
use crate::price::read::{Reading, Table};

/// Months of a coupon.
const MONTHS_MAX: u32 = 1_200;

impl Checking {
    pub(super) fn coupon(&mut self, mut table: Table<'_>, reading: &mut Reading) -> Option<()> {
        let whose = "a coupon";
        let flaws_before = reading.flaws.len();
        let table_at = table.at();
        let (id, id_at) = Self::own_id(&mut table, whose, CouponId::parse, reading);
        let issuer_at = table.place_or_table("issuer");
        let issuer = table.required(reading, "issuer", whose, Table::text);
        let path = ("issuer", "coupon.issuer");
        let issuer = issuer.and_then(|text| self.reference(text, issuer_at, path, IssuerId::parse, reading));
        let description = table.required(reading, "description", whose, Table::printed);
        let percent = table.optional(reading, "percent", percent);
        let amount_at = table.place_or_table("amount");
        let amount = table.optional(reading, "amount", Table::above_zero);
        let currency = table.optional(reading, "currency", |node, path, reading| {
            let currency = Currency::parse(&Table::text(node, path, reading)?);
            let mend = "use the currency of the invoices that it reduces";
            currency.map_err(|error| reading.flaw(node.at.clone(), path, error.to_string(), mend)).ok()
        });
        let plans = self.named(&mut table, "plans", ("plan", "coupon.plans"), PlanId::parse, reading);
        let products = self.named(&mut table, "products", ("product", "coupon.products"), ProductId::parse, reading);
        let prices_at = table.place_or_table("prices");
        let prices = table.optional(reading, "prices", |node, path, reading| {
            let is_price = |text: &String| PriceId::parse(text.clone()).is_ok();
            some_of(node, path, is_price, ("the id of a price", "write ids of prices, such as \"base\""), reading)
        });
        let months = table.optional(reading, "months", |node, path, reading| {
            let months = Table::count(node, path, reading)?;
            let fits = (1..=MONTHS_MAX).contains(&months);
            if !fits {
                let what = format!("months must be 1 to {MONTHS_MAX}");
                reading.flaw(node.at.clone(), path, what, "write 1 for once; leave it out for ever");
            }
            fits.then_some(months)
        });
        let until = table.optional(reading, "until", instant);
        let has_only_known = table.finish(reading);
        let off = match (percent?, amount?, currency?) {
            (Some(percent), None, None) => Some(CouponOff::Percent(percent)),
            (None, Some(amount), Some(currency)) => match Money::exact(amount, currency) {
                Ok(money) => Some(CouponOff::Amount(money)),
                Err(error) => {
                    let what = format!("{amount} {currency} cannot be taken off: {error}");
                    reading.flaw(amount_at.clone(), "coupon.amount", what, "write it as it can be paid");
                    None
                }
            },
            _ if !has_only_known => None,
            _ => {
                let mend = "write percent, or amount with currency";
                reading.flaw(table_at, "coupon", "a coupon takes off either per cent or an amount", mend);
                None
            }
        };
        let (id, issuer, plans, products) = (id?, issuer?, plans?, products?);
        let mut priced = self.catalog.plans.values().flatten().flat_map(|plan| &plan.prices);
        let prices: Vec<PriceId> =
            prices?.unwrap_or_default().into_iter().filter_map(|text| PriceId::parse(text).ok()).collect();
        // A plan that was refused may have what is missing.
        let is_known = self.is_whole && !self.told.covers_any("plan");
        let unknown = prices.iter().find(|id| !priced.clone().any(|price| price.price_id == **id));
        if let Some(unknown) = unknown.filter(|_| is_known && priced.next().is_some()) {
            let what = format!("no plan has a price {unknown}");
            reading.flaw(prices_at, "coupon.prices", what, "name prices that a plan has");
        }
        if let Some(CouponOff::Amount(off)) = off {
            let named = self.catalog.plans.iter().filter(|(id, _)| plans.is_empty() || plans.contains(id));
            let mut reduced = named.flat_map(|(_, versions)| versions).filter(|plan| plan.issuer == issuer).peekable();
            let is_of_none = reduced.peek().is_some() && reduced.all(|plan| plan.currency != off.currency);
            if is_known && is_of_none {
                let what =
                    format!("no plan that it is for is billed in {}: it would never take anything off", off.currency);
                reading.flaw(
                    amount_at.clone(),
                    "coupon.currency",
                    what,
                    "write the currency of the plans that it reduces",
                );
            }
        }
        if self.declared.get("plan").is_some_and(|plans| plans.contains(COUPON_PLAN)) {
            let what = format!("there is a plan {COUPON_PLAN}, and lines of coupons are printed under this id");
            reading.flaw(id_at.clone(), "coupon", what, "give the plan another id");
        }
        let new = Coupon {
            issuer,
            description: description?,
            off: off?,
            plans: plans.into_iter().collect(),
            prices: prices.into_iter().collect(),
            products: products.into_iter().collect(),
            months: months?,
            until: until?,
        };
        if reading.flaws.len() > flaws_before {
            return None;
        }
        if self.catalog.coupons.insert(id.clone(), new).is_some() {
            reading.flaw(
                id_at,
                "coupon.id",
                self.declared_twice("coupon", id.as_str(), None),
                "remove one, or rename it",
            );
        }
        Some(())
    }

    /// Names of entries of a section.
    fn named<T: std::fmt::Display>(
        &self,
        table: &mut Table<'_>,
        key: &'static str,
        path: (&'static str, &str),
        parse: fn(String) -> Result<T, crate::id::IdError>,
        reading: &mut Reading,
    ) -> Option<Vec<T>> {
        let at = table.place_or_table(key);
        let texts = table.optional(reading, key, |node, path, reading| {
            some_of(node, path, |_| true, ("a name", "name some"), reading)
        })?;
        let known = texts.into_iter().flatten().map(|text| self.reference(text, at.clone(), path, parse, reading));
        known.collect()
    }
}

fn percent(node: &Node, path: &str, reading: &mut Reading) -> Option<Decimal> {
    let percent = Table::above_zero(node, path, reading)?;
    if percent > Decimal::whole(100) {
        let what = format!("a coupon of {percent} per cent is more than everything");
        reading.flaw(node.at.clone(), path, what, "use 0 to 100");
        return None;
    }
    Some(percent)
}
