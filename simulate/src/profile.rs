//! Who is billed and where: made-up rows for the table `billing_profile`.
//!
//! They travel beside the events, never in them: that table is the only one with contact data. Names, streets and
//! tax ids belong to nobody, and mail goes to example.org.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::calendar::{KATHMANDU, KOLKATA, NEW_YORK, as_utc, may};
use crate::world::{Partner, World};

/// One version of who is billed and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BillingProfile {
    /// Partner that is billed.
    pub partner_id: String,
    /// First instant of this version: before every invoice of the demo.
    pub effective_from: DateTime<Utc>,
    /// Legal name, as printed.
    pub legal_name: String,
    /// Address, lines separated by line feeds.
    pub address: String,
    /// ISO 3166 code of two letters.
    pub country: String,
    /// Tax id, as printed.
    pub tax_id: Option<String>,
    /// Where invoices go.
    pub billing_email: String,
    /// Purchase order to print.
    pub purchase_order: Option<String>,
    /// Days until an invoice is due.
    pub payment_terms_days: i32,
}

/// One profile for each partner, whether it is billed or not.
pub(crate) fn profiles(world: &World) -> Vec<BillingProfile> {
    world.partners.iter().enumerate().map(|(index, partner)| profile(index, partner)).collect()
}

fn profile(index: usize, partner: &Partner) -> BillingProfile {
    let currency = partner.subscription.as_ref().map_or("EUR", |subscription| subscription.plan.currency);
    let (country, form, city) = match partner.zone {
        zone if zone == KOLKATA => ("IN", "Pvt. Ltd.", "Kolkata 700001"),
        zone if zone == KATHMANDU => ("NP", "Pvt. Ltd.", "Kathmandu 44600"),
        zone if zone == NEW_YORK => ("US", "Inc.", "New York, NY 10001"),
        _ if currency == "JPY" => ("JP", "K.K.", "Tokyo 100-0001"),
        _ => [("DE", "GmbH", "10115 Berlin"), ("AT", "GmbH", "1010 Wien"), ("NL", "B.V.", "1012 JS Amsterdam")]
            [index % 3],
    };
    let legal_name = format!("{} {form}", partner.display_name);
    BillingProfile {
        partner_id: partner.id.clone(),
        effective_from: as_utc(may(1, 0, 0)),
        address: format!("{legal_name}\n{} Example Street\n{city}", index + 1),
        legal_name,
        country: country.to_owned(),
        tax_id: (country != "US").then(|| format!("{country}{:09}", index + 1)),
        billing_email: format!("billing+{}@example.org", partner.id),
        purchase_order: index.is_multiple_of(5).then(|| format!("PO-{:04}", index + 1)),
        payment_terms_days: [14, 30, 30][index % 3],
    }
}
