//! Levels of usage and spend that somebody wants to be told of. Pure.
//!
//! Takes the configured alerts and what a month comes to so far (drafted documents, whether or not they are stored);
//! gives each partner that has reached a level, with what was measured. Usage is what the month's own lines of a meter
//! have counted for it, whoever pays. Spend is the sum of its invoices before prepaid credits, with lines by hand and
//! adjustments. Both are those of the billing month, in the subscription's own time zone. What is not billed (sandbox,
//! nobody's traffic, a partner that is blocked) reaches nothing.

use std::collections::{BTreeMap, BTreeSet};

use tollbook_schemas::decimal::{Decimal, DecimalError};
use tollbook_schemas::id::{MeterId, PartnerId};
use tollbook_schemas::money::{Currency, Money, MoneyError};
use tollbook_schemas::period::Month;

use crate::billed::IssuedDocument;
use crate::document::Document;
use crate::draft::PAUSED;

/// A level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Level {
    /// So much of a meter, in its unit.
    Usage {
        /// Meter.
        meter_id: MeterId,
        /// Quantity at which it is reached.
        quantity: Decimal,
    },
    /// So much money in a currency.
    Spend(Money),
}

/// One configured alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Its name: with partner and month it is told once.
    pub name: String,
    /// Whose; everybody's where none is named.
    pub partner_id: Option<PartnerId>,
    /// The level.
    pub level: Level,
}

/// A level that was reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reached {
    /// Name of the alert.
    pub alert: String,
    /// Whose.
    pub partner_id: PartnerId,
    /// Month.
    pub month: Month,
    /// Meter, or currency.
    pub of: String,
    /// The level, a decimal: in the meter's unit, or in major units.
    pub level: String,
    /// What was measured when it was found, likewise.
    pub measured: String,
}

/// Why a sum has no exact form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlertError {
    /// Quantities.
    #[error("the usage of {0} does not add up to an exact decimal")]
    Quantity(MeterId, #[source] DecimalError),
    /// Amounts.
    #[error("the invoices of {0} do not add up")]
    Spend(PartnerId, #[source] MoneyError),
}

/// Who has reached what, in order of alert and partner. Lines by hand of an invoice that was issued are in no document
/// that is drafted again, so they are taken from it.
///
/// # Errors
/// [`AlertError`].
pub fn reached(
    alerts: &[Alert],
    month: Month,
    documents: &[Document],
    issued: &[IssuedDocument],
) -> Result<Vec<Reached>, AlertError> {
    let mut usage: BTreeMap<(&PartnerId, &MeterId), Decimal> = BTreeMap::new();
    let mut spend: BTreeMap<(&PartnerId, Currency), Money> = BTreeMap::new();
    // Several prices of one meter have a line each for the same usage.
    let mut counted = BTreeSet::new();
    for document in documents.iter().filter(|document| document.body.kind.is_invoice()) {
        let body = &document.body;
        let sum = spend.entry((&body.partner_id, body.currency)).or_insert(Money::zero(body.currency));
        let too_big = |e| AlertError::Spend(body.partner_id.clone(), e);
        *sum = sum.checked_add(document.total_before_credits()).map_err(too_big)?;
        for line in body.lines.iter().filter(|line| line.adjusts.is_none()) {
            let Some(meter_id) = &line.meter_id else { continue };
            if !counted.insert((&line.subscription_id, line.span_start, meter_id, line.price_model == PAUSED)) {
                continue;
            }
            let sum = usage.entry((line.for_partner.as_ref().unwrap_or(&body.partner_id), meter_id)).or_default();
            *sum = sum.checked_add(line.quantity).map_err(|e| AlertError::Quantity(meter_id.clone(), e))?;
        }
    }
    let of_month = issued.iter().filter(|one| !one.is_voided).map(|one| &one.document.body);
    for body in of_month.filter(|body| body.month == month && body.kind.is_invoice()) {
        let sum = spend.entry((&body.partner_id, body.currency)).or_insert(Money::zero(body.currency));
        for line in body.lines.iter().filter(|line| line.by_hand.is_some()) {
            let made = Money { minor: line.amount_minor, currency: body.currency };
            *sum = sum.checked_add(made).map_err(|e| AlertError::Spend(body.partner_id.clone(), e))?;
        }
    }
    let mut found = Vec::new();
    for alert in alerts {
        let is_meant = |partner_id: &PartnerId| alert.partner_id.as_ref().is_none_or(|meant| meant == partner_id);
        let mut push = |partner_id: &PartnerId, of: &str, level: String, measured: String| {
            let (alert, partner_id) = (alert.name.clone(), partner_id.clone());
            found.push(Reached { alert, partner_id, month, of: of.to_owned(), level, measured });
        };
        match &alert.level {
            Level::Usage { meter_id, quantity } => {
                for ((partner_id, _), sum) in
                    usage.iter().filter(|((_, meter), sum)| *meter == meter_id && *sum >= quantity)
                {
                    if is_meant(partner_id) {
                        push(partner_id, meter_id.as_str(), quantity.to_string(), sum.to_string());
                    }
                }
            }
            Level::Spend(level) => {
                let of_currency =
                    spend.iter().filter(|((_, currency), sum)| *currency == level.currency && sum.minor >= level.minor);
                for ((partner_id, currency), sum) in of_currency {
                    if is_meant(partner_id) {
                        push(partner_id, currency.code(), level.amount_text(), sum.amount_text());
                    }
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::tests::drafted;

    /// One row: partner, level, and who has reached it with what.
    #[test]
    fn a_level_is_reached_by_those_who_have_come_to_it() {
        const BOTH: &str =
            "acme pro 2026-01-01..; bolt pro 2026-01-01..; acme jp 2026-01-01..; bolt seats 2026-01-01..";
        const USED: &str = "acme calls production 2026-06-02T00:00 12; acme calls sandbox 2026-06-02T00:00 99;
            bolt calls production 2026-06-02T00:00 5; bolt calls production 2026-06-03T00:00 6.5;
            acme calls production 2026-07-02T00:00 99; bolt users production 2026-06-02T00:00 a,b";
        let june = drafted(BOTH, USED);
        assert_eq!(june.blocked, []);
        let usage = |meter: &str, quantity: &str| Level::Usage {
            meter_id: MeterId::parse(meter).unwrap(),
            quantity: quantity.parse().unwrap(),
        };
        let spend = |minor, code| Level::Spend(Money { minor, currency: Currency::parse(code).unwrap() });
        for (partner, level, expected) in [
            (None, usage("calls", "11.5"), "acme calls 11.5 12; bolt calls 11.5 11.5"),
            (None, usage("calls", "11.500000000001"), "acme calls 11.500000000001 12"),
            (Some("bolt"), usage("calls", "1"), "bolt calls 1 11.5"),
            (Some("corp"), usage("calls", "1"), ""),
            (None, usage("users", "2"), "bolt users 2 2"),
            (None, usage("other", "1"), ""),
            // 49.20 of acme; 49 + 0.15 + 2 seats of 2.50 of bolt.
            (None, spend(4920, "EUR"), "acme EUR 49.20 49.20; bolt EUR 49.20 54.15"),
            (None, spend(4921, "EUR"), "bolt EUR 49.21 54.15"),
            (None, spend(1000, "JPY"), "acme JPY 1000 1000"),
            (None, spend(1, "USD"), ""),
        ] {
            let partner_id = partner.map(|id| PartnerId::parse(id).unwrap());
            let alerts = [Alert { name: "a".into(), partner_id, level: level.clone() }];
            let found = reached(&alerts, june.month, &june.documents, &[]).unwrap();
            let told: Vec<String> =
                found.iter().map(|r| format!("{} {} {} {}", r.partner_id, r.of, r.level, r.measured)).collect();
            assert_eq!(told.join("; "), expected, "{level:?}");
            assert!(found.iter().all(|r| (r.alert.as_str(), r.month) == ("a", june.month)));
        }
    }

    /// Two prices of one meter are two lines of the same usage.
    #[test]
    fn usage_counts_once_whatever_the_number_of_its_prices() {
        let mut june = drafted("acme pro 2026-01-01..", "acme calls production 2026-06-02T00:00 12");
        let document = &mut june.documents[0];
        let calls = document.body.lines.iter().find(|line| line.meter_id.is_some()).cloned().unwrap();
        document.body.lines.push(calls);
        let level = Level::Usage { meter_id: MeterId::parse("calls").unwrap(), quantity: Decimal::whole(1) };
        let alerts = [Alert { name: "a".into(), partner_id: None, level }];
        let found = reached(&alerts, june.month, &june.documents, &[]).unwrap();
        assert_eq!(found.iter().map(|one| one.measured.as_str()).collect::<Vec<_>>(), ["12"]);
    }

    /// Calls are those of whoever made them; what credits pay was spent; what was made by hand was, also once it is
    /// issued.
    #[test]
    fn what_counts_is_whose_it_is_and_what_was_spent() {
        let june = drafted("acme pro 2026-01-01..", "acme calls production 2026-06-02T00:00 12");
        let mut body = june.documents[0].body.clone();
        let calls = body.lines.iter().position(|line| line.meter_id.is_some()).unwrap();
        body.lines[calls].for_partner = Some(PartnerId::parse("corp").unwrap());
        let mut paid = body.lines[0].clone();
        paid.amount_minor = -body.total_minor;
        paid.credit = Some(crate::document::LineCredit {
            after_minor: 0,
            before_minor: body.total_minor,
            credit_id: tollbook_schemas::id::CreditId::parse("c1").unwrap(),
            first_month: june.month,
            granted_minor: body.total_minor,
        });
        body.lines.push(paid);
        body.total_minor = 0;
        let document = Document::close(body.clone()).unwrap();
        let mut by_hand = body.lines[0].clone();
        by_hand.amount_minor = 10_000;
        by_hand.by_hand = Some(crate::document::ByHand {
            actor: "staff:ann".to_owned(),
            adjustment_id: tollbook_schemas::id::AdjustmentId::derive(["a"]),
            billed_minor: 0,
            for_invoice: None,
            is_revoked: false,
            month: june.month,
            reason: "order".to_owned(),
        });
        body.lines = vec![by_hand];
        body.total_minor = 10_000;
        let issued =
            IssuedDocument { document: Document::close(body).unwrap(), number: "N1".to_owned(), is_voided: false };
        let eur = Currency::parse("EUR").unwrap();
        let alert = |level| [Alert { name: "a".into(), partner_id: None, level }];
        let calls = Level::Usage { meter_id: MeterId::parse("calls").unwrap(), quantity: Decimal::whole(1) };
        let spent = Level::Spend(Money { minor: 1, currency: eur });
        for (level, issued, expected) in [
            (&calls, &[][..], "corp 12"),
            (&spent, &[][..], "acme 49.20"),
            (&spent, std::slice::from_ref(&issued), "acme 149.20"),
        ] {
            let found = reached(&alert(level.clone()), june.month, std::slice::from_ref(&document), issued).unwrap();
            let told: Vec<String> = found.iter().map(|one| format!("{} {}", one.partner_id, one.measured)).collect();
            assert_eq!(told, [expected]);
        }
    }
}
