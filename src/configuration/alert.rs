//! `[[alert]]`: levels of usage and spend that somebody wants to be told of, once for each partner and month.

use std::collections::BTreeSet;

use serde::Deserialize;
use tollbook_billing::alert::{Alert, Level};
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::{MeterId, PartnerId};
use tollbook_schemas::money::{Currency, Money};

use super::place::WrongValue;

/// `[[alert]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertSection {
    /// Name; with partner and month it is told once.
    pub name: String,
    /// Partner; everybody by default.
    pub partner: Option<PartnerId>,
    /// Meter, with `quantity`.
    pub meter: Option<MeterId>,
    /// Level of usage, in the meter's unit.
    pub quantity: Option<Decimal>,
    /// Level of spend in major units, with `currency`.
    pub spend: Option<Decimal>,
    /// Currency of the spend.
    pub currency: Option<Currency>,
}

/// Reads all of them.
///
/// # Errors
/// What the types do not say: all of it, at the place of the first.
pub(super) fn alerts(sections: &[AlertSection]) -> Result<Vec<Alert>, WrongValue> {
    let mut alerts: Vec<Alert> = Vec::new();
    let mut wrong: Option<WrongValue> = None;
    for (number, section) in sections.iter().enumerate() {
        let is_twice = sections[..number].iter().any(|other| other.name == section.name);
        match read(section, number, is_twice) {
            Ok(alert) => alerts.push(alert),
            Err(found) => {
                wrong = Some(match wrong {
                    None => found,
                    Some(first) => WrongValue { mend: format!("{}\n{found}", first.mend), ..first },
                });
            }
        }
    }
    match wrong {
        Some(wrong) => Err(wrong),
        None => Ok(alerts),
    }
}

fn wrong(section: &AlertSection, number: usize, key: &str, what: &str, mend: &str) -> WrongValue {
    let what = format!("[[alert]] {}: {what}", section.name);
    WrongValue::at(&["alert", &number.to_string(), key], what, mend)
}

fn read(section: &AlertSection, number: usize, is_twice: bool) -> Result<Alert, WrongValue> {
    let wrong = |key: &str, what: &str, mend: &str| wrong(section, number, key, what, mend);
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if section.name.is_empty() || section.name.len() > 64 || !section.name.chars().all(is_word) {
        return Err(wrong("name", "a name is 1 to 64 letters, digits, '_', '.', '-'", "such as name = \"half-way\""));
    }
    if is_twice {
        let mend = "give each its own: with partner and month it is told once";
        return Err(wrong("name", "the name is there twice", mend));
    }
    let level = match (&section.meter, section.quantity, section.spend, section.currency) {
        (Some(meter_id), Some(quantity), None, None) => Level::Usage { meter_id: meter_id.clone(), quantity },
        (None, None, Some(spend), Some(currency)) => {
            let exact = Money::exact(spend, currency);
            Level::Spend(exact.map_err(|error| wrong("spend", &error.to_string(), "write a whole amount"))?)
        }
        _ => {
            let what = "it has either meter and quantity, or spend and currency";
            return Err(wrong("name", what, "such as meter = \"map-calls\" and quantity = \"9000\""));
        }
    };
    let is_above_zero = match &level {
        Level::Usage { quantity, .. } => *quantity > Decimal::ZERO,
        Level::Spend(money) => money.minor > 0,
    };
    if !is_above_zero {
        return Err(wrong("name", "its level is not above 0", "a level of 0 is reached before anything happens"));
    }
    Ok(Alert { name: section.name.clone(), partner_id: section.partner.clone(), level })
}

/// Alerts that nobody will ever reach: of a meter that the catalog does not have, or of a currency in which no plan is
/// sold.
pub(super) fn dead(sections: &[AlertSection], catalog: &Catalog) -> Vec<WrongValue> {
    let meters: Vec<&str> = catalog.meters.keys().map(MeterId::as_str).collect();
    let sold: BTreeSet<&str> = catalog.plans.values().flatten().map(|version| version.currency.code()).collect();
    let sold: Vec<&str> = sold.into_iter().collect();
    let one = |(number, section): (usize, &AlertSection)| {
        let unknown = section.meter.as_ref().filter(|meter_id| !catalog.meters.contains_key(*meter_id));
        let unsold = section.currency.filter(|currency| !sold.contains(&currency.code()));
        let of_meter = unknown.map(|meter_id| {
            let what = format!("it is of meter {meter_id}, which the catalog does not have");
            wrong(section, number, "meter", &what, &format!("its meters are {}", meters.join(", ")))
        });
        let of_currency = unsold.map(|currency| {
            let what = format!("it is of {currency}, in which no plan of the catalog is sold");
            wrong(section, number, "currency", &what, &format!("plans are sold in {}", sold.join(", ")))
        });
        of_meter.into_iter().chain(of_currency)
    };
    sections.iter().enumerate().flat_map(one).collect()
}
