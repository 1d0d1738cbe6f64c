//! Issued invoices as pages need them: the document, its number, and the billing profile that it names.

use std::collections::BTreeMap;

use anyhow::Context as _;
use tollbook_billing::document::{Document, Line, Shadow};
use tollbook_billing::event::{EventKind, InvoiceEvent, events_of};
use tollbook_billing::profile::Profiles;
use tollbook_report::{
    AdjustedPart, BilledDay, ComponentPart, InvoiceDocument, InvoiceLine, Party, ShadowBill, TierPart,
};
use tollbook_schemas::catalog::KeptError;
use tollbook_schemas::id::{InvoiceId, IssuerId};
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::{Month, Tz, parse_zone};
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::billing::{BILLING_PROFILE, INVOICE, INVOICE_EVENT};
use tollbook_schemas::tables::derived::SUBSCRIPTION;

use super::read::Read;
use crate::context::JobContext;
use crate::jobs::catalog::read_kept;
use crate::jobs::explain::{computed_after_opening, how_computed, terms};

/// The issued invoices of a month, by issuer and number.
pub(super) async fn issued(
    context: &JobContext,
    read: &Read<'_>,
    month: Month,
) -> anyhow::Result<Vec<InvoiceDocument>> {
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
    let mut zones = Zones { context, known: BTreeMap::new() };
    let subscriptions = zones_of_subscriptions(read).await?;
    let mut printed = Vec::new();
    for (event, document) in issued {
        let days = Days { time_zone: zones.of(document).await?, subscriptions: &subscriptions };
        printed.push(print(event, document, &profiles, &days)?);
    }
    Ok(printed)
}

/// Whose days a page tells.
struct Days<'a> {
    /// The issuer's zone.
    time_zone: Tz,
    /// Those of subscriptions.
    subscriptions: &'a BTreeMap<String, Tz>,
}

impl Days<'_> {
    /// The zone of a line; the issuer's where it is of no subscription, or of one that the registry has no more.
    fn of(&self, line: &Line) -> Tz {
        self.subscriptions.get(line.subscription_id.as_str()).copied().unwrap_or(self.time_zone)
    }
}

/// The zone of each subscription, whose days its billing periods begin with.
async fn zones_of_subscriptions(read: &Read<'_>) -> anyhow::Result<BTreeMap<String, Tz>> {
    let rows = read.rows(&SUBSCRIPTION, None).await?;
    let one = |row: &Row| {
        let zone = parse_zone(row.text("time_zone")?).ok()?;
        Some((row.text("subscription_id")?.to_owned(), zone))
    };
    Ok(rows.iter().filter_map(one).collect())
}

/// The zones of issuers, by the catalogs that priced documents.
struct Zones<'a> {
    context: &'a JobContext,
    known: BTreeMap<(String, IssuerId), Tz>,
}

impl Zones<'_> {
    /// The zone of a document's issuer. An issuer's zone is the same in all catalogs that were used; where the one that
    /// priced a document is not kept, or today's rules refuse it, days are those of UTC, and the page names that zone.
    async fn of(&mut self, document: &Document) -> anyhow::Result<Tz> {
        let body = &document.body;
        let key = (body.catalog_sha256.clone(), body.issuer.issuer_id.clone());
        if let Some(zone) = self.known.get(&key) {
            return Ok(*zone);
        }
        let kept = read_kept(self.context, &body.catalog_sha256).await;
        let zone = match kept.as_ref().map_err(|error| error.downcast_ref::<KeptError>()) {
            Ok(catalog) => catalog.issuers.get(&body.issuer.issuer_id).map_or(Tz::UTC, |issuer| issuer.time_zone),
            Err(Some(KeptError::Missing { .. } | KeptError::Unreadable { .. })) => Tz::UTC,
            Err(_) => kept.map(|_| Tz::UTC)?,
        };
        self.known.insert(key, zone);
        Ok(zone)
    }
}

fn print(
    event: &InvoiceEvent,
    document: &Document,
    profiles: &Profiles,
    days: &Days<'_>,
) -> anyhow::Result<InvoiceDocument> {
    let (body, time_zone) = (&document.body, days.time_zone);
    let profile = profiles
        .version(&body.profile_version_id)
        .map_err(|told| anyhow::anyhow!("invoice {}: {told}", document.invoice_id))?;
    let number = event.number.clone().with_context(|| format!("invoice {} has no number", document.invoice_id))?;
    let issued_on = event.at.with_timezone(&time_zone).date_naive();
    let due_on = issued_on
        .checked_add_days(chrono::Days::new(u64::from(body.payment_terms_days)))
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
        time_zone,
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
        lines: body
            .lines
            .iter()
            .map(|line| InvoiceLine {
                line_id: Some(document.line_id(line.line_number).to_string()),
                ..line_of(line, body.currency, days.of(line))
            })
            .collect(),
        before_tax: body
            .lines
            .iter()
            .any(|line| line.tax.is_some())
            .then(|| document.net_minor())
            .flatten()
            .map(|minor| Money { minor, currency: body.currency }),
        total: document.total(),
        shadows: body.shadows.iter().map(|shadow| shadow_of(shadow, days)).collect(),
        pin: body.pin.clone(),
        catalog_sha256: body.catalog_sha256.clone(),
        profile_version_id: body.profile_version_id.to_string(),
        incomplete: event.detail.clone(),
    })
}

fn shadow_of(shadow: &Shadow, days: &Days<'_>) -> ShadowBill {
    ShadowBill {
        plan_id: shadow.plan_id.to_string(),
        lines: shadow.lines.iter().map(|line| line_of(line, shadow.currency, days.of(line))).collect(),
        total: Money { minor: shadow.total_minor, currency: shadow.currency },
    }
}

fn line_of(line: &Line, currency: Currency, time_zone: Tz) -> InvoiceLine {
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
        time_zone,
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
        line_id: None,
        plan: format!("{} version {}", line.plan_id, line.plan_version),
        price_id: line.price_id.to_string(),
        meter_id: line.meter_id.as_ref().map(ToString::to_string),
        subscription_id: line.subscription_id.to_string(),
        notes: terms(line, currency),
        usage: line.usage.iter().map(day_of).collect(),
    }
}

fn day_of(day: &tollbook_billing::document::BilledDay) -> BilledDay {
    BilledDay {
        event_date: day.event_date,
        quantity: day.quantity,
        event_count: day.event_count,
        usage_sha256: day.usage_sha256.to_string(),
    }
}
