//! `[[alert]]`: levels of usage and spend that somebody wants to be told of, once for each partner and month.

use serde::Deserialize;
use tollbook_billing::alert::{Alert, Level};
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
/// What the types do not say, at its place.
pub(super) fn alerts(sections: &[AlertSection]) -> Result<Vec<Alert>, WrongValue> {
    let mut alerts: Vec<Alert> = Vec::new();
    for (number, section) in sections.iter().enumerate() {
        let number = number.to_string();
        let wrong = |key: &str, what: &str, mend: &str| {
            let what = format!("[[alert]] {}: {what}", section.name);
            WrongValue::at(&["alert", &number, key], what, mend)
        };
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if section.name.is_empty() || section.name.len() > 64 || !section.name.chars().all(is_word) {
            return Err(wrong(
                "name",
                "a name is 1 to 64 letters, digits, '_', '.', '-'",
                "such as name = \"half-way\"",
            ));
        }
        if alerts.iter().any(|other| other.name == section.name) {
            return Err(wrong(
                "name",
                "the name is there twice",
                "give each its own: with partner and month it is told once",
            ));
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
        alerts.push(Alert { name: section.name.clone(), partner_id: section.partner.clone(), level });
    }
    Ok(alerts)
}
