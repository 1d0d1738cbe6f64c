//! Issued invoices as pages need them: the document, its number, and the billing profile that it names.

use std::collections::BTreeMap;

use anyhow::Context as _;
use chrono::Days;
use tollbook_billing::document::{Document, Line, Shadow};
use tollbook_billing::event::{EventKind, InvoiceEvent, events_of};
use tollbook_billing::profile::Profiles;
use tollbook_report::{AdjustedPart, ComponentPart, InvoiceDocument, InvoiceLine, Party, ShadowBill, TierPart};
use tollbook_schemas::id::InvoiceId;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::Month;
use tollbook_schemas::tables::billing::{BILLING_PROFILE, INVOICE, INVOICE_EVENT};

use super::read::Read;
use crate::jobs::explain::{computed_after_opening, how_computed};

/// The issued invoices of a month, by issuer and number.
pub(super) async fn issued(read: &Read<'_>, month: Month) -> anyhow::Result<Vec<InvoiceDocument>> {
    let rows = read.rows(&INVOICE, Some(&format!("period = '{month}'"))).await?;
    let documents = rows.iter().map(Document::from_row).collect::<Result<Vec<_>, _>>()?;
    let documents: BTreeMap<&InvoiceId, &Document> = documents.iter().map(|one| (&one.invoice_id, one)).collect();
    let events = events_of(&read.rows(&INVOICE_EVENT, Some("kind = 'issued'")).await?)?;
    let profiles = read.rows(&BILLING_PROFILE, None).await?;
    let profiles = Profiles::read(&profiles)?;
    let mut issued: Vec<(&InvoiceEvent, &Document)> = events
        .iter()
        .filter(|event| event.kind == EventKind::Issued)
        .filter_map(|event| Some((event, *documents.get(&event.invoice_id)?)))
        .collect();
    issued.sort_by_key(|(event, _)| (event.issuer_id.clone(), event.number_sequence));
    issued.into_iter().map(|(event, document)| printed(event, document, &profiles)).collect()
}

fn printed(event: &InvoiceEvent, document: &Document, profiles: &Profiles) -> anyhow::Result<InvoiceDocument> {
    let body = &document.body;
    let profile = profiles
        .version(&body.profile_version_id)
        .map_err(|told| anyhow::anyhow!("invoice {}: {told}", document.invoice_id))?;
    let number = event.number.clone().with_context(|| format!("invoice {} has no number", document.invoice_id))?;
    let issued_on = event.at.date_naive();
    let due_on = issued_on
        .checked_add_days(Days::new(u64::from(body.payment_terms_days)))
        .with_context(|| format!("invoice {number} is due beyond the calendar"))?;
    let bill_to = Party {
        legal_name: profile.legal_name.clone(),
        address: profile.address.lines().map(str::to_owned).collect(),
        country: Some(profile.country.clone()),
        tax_id: profile.tax_id.clone(),
    };
    Ok(InvoiceDocument {
        number,
        credits: body.credits.as_ref().map(|credits| credits.number.clone()),
        invoice_id: document.invoice_id.to_string(),
        issued_on,
        payment_terms_days: body.payment_terms_days,
        due_on,
        issuer: Party {
            legal_name: body.issuer.legal_name.clone(),
            address: body.issuer.address.clone(),
            country: None,
            tax_id: body.issuer.tax_id.clone(),
        },
        bill_to,
        purchase_order: profile.purchase_order.clone(),
        partner_id: body.partner_id.to_string(),
        month: body.month,
        period_start: body.period_start,
        period_end: body.period_end,
        lines: body.lines.iter().map(|line| line_of(line, body.currency)).collect(),
        before_tax: body
            .lines
            .iter()
            .any(|line| line.tax.is_some())
            .then(|| document.net_minor())
            .flatten()
            .map(|minor| Money { minor, currency: body.currency }),
        total: document.total(),
        shadows: body.shadows.iter().map(shadow_of).collect(),
        pin: body.pin.clone(),
        catalog_sha256: body.catalog_sha256.clone(),
        profile_version_id: body.profile_version_id.to_string(),
        incomplete: event.detail.clone(),
    })
}

fn shadow_of(shadow: &Shadow) -> ShadowBill {
    ShadowBill {
        plan_id: shadow.plan_id.to_string(),
        lines: shadow.lines.iter().map(|line| line_of(line, shadow.currency)).collect(),
        total: Money { minor: shadow.total_minor, currency: shadow.currency },
    }
}

fn line_of(line: &Line, currency: Currency) -> InvoiceLine {
    let working = &line.working;
    let money = |minor| Money { minor, currency };
    let tiers = working.tiers.iter().map(|tier| TierPart {
        from: tier.from,
        up_to: tier.up_to,
        quantity: tier.quantity,
        unit_price: tier.unit_price,
        flat_price: tier.flat_price,
        exact: tier.exact.clone(),
    });
    let computed = how_computed(working).into_iter().chain(computed_after_opening(line, currency));
    let components = computed.map(|component| ComponentPart {
        name: component.name,
        quantity: component.quantity,
        unit_price: component.unit_price,
        percent: component.percent,
        exact: component.exact,
    });
    InvoiceLine {
        line_number: line.line_number,
        description: line.description_with_tax(currency),
        span_start: line.span_start,
        span_end: line.span_end,
        quantity: line.quantity,
        billable: working.billable.clone(),
        unit: line.unit.clone(),
        unit_price: working.unit_price,
        tax_percent: line.tax.as_ref().map(|tax| tax.percent),
        price_model: line.price_model.clone(),
        tiers: tiers.collect(),
        components: components.collect(),
        exact: working.exact.clone(),
        amount: money(line.amount_minor),
        adjusts: line.adjusts.as_ref().map(|adjusts| AdjustedPart {
            month: adjusts.month,
            billed_quantity: adjusts.billed_quantity,
            billed: money(adjusts.billed_amount_minor),
            now_quantity: adjusts.now_quantity,
            now: money(adjusts.now_amount_minor),
        }),
    }
}
