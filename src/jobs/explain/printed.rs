//! What else a person must see of a printed line: what one unit costs, and by what the line came to be. Pure.

use tollbook_billing::document::Line;
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::print_instant;

/// What one unit costs, in major units, where one price times the quantity is the line: a price per unit without steps,
/// and a flat price that is charged whole. None of what has tiers or other components, and of what is a difference.
#[must_use]
pub fn unit_price_of(line: &Line) -> Option<Decimal> {
    if line.adjusts.is_some() || line.opening.is_some() {
        return None;
    }
    let working = &line.working;
    working.unit_price.or_else(|| {
        let is_whole = line.price_model == "flat" && working.components.is_empty() && line.quantity != Decimal::ZERO;
        let exact: Exact = working.exact.parse().ok().filter(|_| is_whole)?;
        exact.checked_div(Exact::from_decimal(line.quantity)).ok()?.to_decimal()
    })
}

/// The price of a line as a column of a table has it; where it is more than one figure, what to look at.
#[must_use]
pub fn price_told(line: &Line, currency: Currency) -> String {
    let working = &line.working;
    match (unit_price_of(line), &line.tax) {
        _ if line.adjusts.is_some() => "now - billed".to_owned(),
        (_, Some(tax)) => format!("{} %", tax.percent),
        (Some(price), None) => format!("{price} {currency}"),
        _ if !working.tiers.is_empty() => "by tier".to_owned(),
        _ if !working.components.is_empty() || line.opening.is_some() => "see below".to_owned(),
        _ => String::new(),
    }
}

/// By what a line came to be, beside its plan's price: a sentence each; who made it by hand and why is for staff alone.
#[must_use]
pub fn provenance(line: &Line, currency: Currency) -> Vec<String> {
    let mut told = terms(line, currency);
    if let Some(by_hand) = &line.by_hand {
        let word = if by_hand.is_revoked { "taken back" } else { "made" };
        told.push(format!("{word} by {}: {}", by_hand.actor, by_hand.reason));
        if by_hand.billed_minor != 0 {
            let minor = by_hand.billed_minor;
            told.push(format!("earlier documents billed {} of it", Money { minor, currency }));
        }
    }
    told
}

/// The same as far as the customer reads it.
#[must_use]
pub fn terms(line: &Line, currency: Currency) -> Vec<String> {
    let money = |minor| Money { minor, currency };
    let mut told = Vec::new();
    if let Some(contract) = &line.contract {
        told.push(format!("by contract {} version {}", contract.contract_id, contract.version));
    }
    if let Some(partner_id) = &line.for_partner {
        told.push(format!("for {partner_id}, whose invoices this partner pays"));
    }
    match line.due.as_deref() {
        Some("in_advance") => told.push("billed in advance".to_owned()),
        Some("once") => told.push("charged once".to_owned()),
        Some(other) => told.push(format!("due {other}")),
        None => {}
    }
    if let Some(rollover) = &line.rollover {
        let from: Vec<String> =
            rollover.from.iter().map(|one| format!("{} of {}", one.units, print_instant(one.span_start))).collect();
        told.push(format!("less {} units that earlier periods left: {}", rollover.units, from.join(", ")));
    }
    if let Some(credit) = &line.credit {
        told.push(format!(
            "paid with credit {}, of which {} were left before and {} after",
            credit.credit_id,
            money(credit.before_minor),
            money(credit.after_minor)
        ));
    }
    if let Some(coupon) = &line.coupon {
        told.push(format!("by coupon {}, redeemed at {}", coupon.coupon_id, print_instant(coupon.redeemed_at)));
    }
    if let Some(tax) = &line.tax {
        told.push(format!("by tax rate {} version {}, {} %", tax.tax_rate_id, tax.version, tax.percent));
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A line with what matters here changed.
    fn line(changes: serde_json::Value) -> Line {
        let mut line = json!({ "amount_minor": 100, "description": "d", "line_number": 1, "meter_id": null,
            "plan_id": "pro", "plan_version": 1, "price_id": "p", "price_model": "flat", "quantity": "1",
            "span_end": "2026-07-01T00:00:00Z", "span_start": "2026-06-01T00:00:00Z", "subscription_id": "s1", "unit": null,
            "usage": [], "working": { "exact": "49" } });
        line.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        serde_json::from_value(line).unwrap()
    }

    fn tiers() -> serde_json::Value {
        json!([{ "exact": "3", "flat_price": "0", "from": "0", "quantity": "6", "unit_price": "0.5", "up_to": null }])
    }

    #[test]
    fn a_unit_price_is_told_only_where_it_times_the_quantity_is_the_line() {
        let day = "2026-06-02T00:00:00Z";
        for (name, changes, price, told) in [
            ("flat", json!({}), Some("49"), "49 EUR"),
            ("flat, five units", json!({ "quantity": "5", "working": { "exact": "60" } }), Some("12"), "12 EUR"),
            ("flat, no unit", json!({ "quantity": "0", "working": { "exact": "0" } }), None, ""),
            (
                "flat, a part of the month",
                json!({ "working": { "exact": "24.5", "components": [{ "exact": "24.5", "name": "15 of 30 days" }] } }),
                None,
                "see below",
            ),
            (
                "per unit",
                json!({ "price_model": "per_unit", "quantity": "47", "working": { "exact": "0.1457", "unit_price": "0.0031" } }),
                Some("0.0031"),
                "0.0031 EUR",
            ),
            (
                "graduated",
                json!({ "price_model": "graduated", "working": { "exact": "3", "tiers": tiers() } }),
                None,
                "by tier",
            ),
            (
                "an adjustment",
                json!({ "price_model": "per_unit", "working": { "exact": "5", "unit_price": "0.5" }, "adjusts": {
                    "billed_amount_minor": 1, "billed_quantity": "1", "invoice_ids": [], "month": "2026-05",
                    "now_amount_minor": 2, "now_quantity": "2" } }),
                None,
                "now - billed",
            ),
            (
                "tax",
                json!({ "price_model": "tax", "tax": { "percent": "19", "profile_version_id": "prf_0123456789abcdef0123",
                    "tax_rate_id": "vat", "version": 1 } }),
                None,
                "19 %",
            ),
            (
                "a coupon",
                json!({ "price_model": "coupon", "coupon": { "coupon_id": "spring", "redeemed_at": day } }),
                None,
                "",
            ),
        ] {
            let line = line(changes);
            assert_eq!(unit_price_of(&line).map(|price| price.to_string()).as_deref(), price, "{name}");
            assert_eq!(price_told(&line, Currency::parse("EUR").unwrap()), told, "{name}");
        }
    }

    #[test]
    fn what_made_a_line_is_told() {
        let day = "2026-06-02T00:00:00Z";
        for (changes, expected) in [
            (json!({}), ""),
            (json!({ "contract": { "contract_id": "c-1", "version": 2 } }), "by contract c-1 version 2"),
            (json!({ "for_partner": "sub" }), "for sub, whose invoices this partner pays"),
            (json!({ "due": "in_advance" }), "billed in advance"),
            (
                json!({ "rollover": { "from": [{ "span_start": day, "units": "7" }], "units": "7" } }),
                "less 7 units that earlier periods left: 7 of 2026-06-02T00:00:00Z",
            ),
            (
                json!({ "credit": { "after_minor": 5, "before_minor": 105, "credit_id": "gift", "first_month": "2026-06",
                    "granted_minor": 200 } }),
                "paid with credit gift, of which 1.05 EUR were left before and 0.05 EUR after",
            ),
            (
                json!({ "by_hand": { "actor": "staff:ann", "adjustment_id": "adj_0123456789abcdef0123", "billed_minor": 100,
                    "month": "2026-06", "reason": "order 17" } }),
                "made by staff:ann: order 17; earlier documents billed 1.00 EUR of it",
            ),
        ] {
            let (line, currency) = (line(changes), Currency::parse("EUR").unwrap());
            assert_eq!(provenance(&line, currency).join("; "), expected);
            let to_customer = if line.by_hand.is_some() { "" } else { expected };
            assert_eq!(terms(&line, currency).join("; "), to_customer, "reasons are for staff");
        }
    }
}
