//! `tollbook bill explain LINE`: from a printed line to how it was computed (tiers, steps), and to the usage slices,
//! data files and offsets that made it.

mod printed;

use anyhow::{Context as _, bail};
use tollbook_aggregate::{Evidence, explain as evidence_of, read_registry};
use tollbook_billing::document::{Document, Line};
use tollbook_billing::draft::PAUSED;
use tollbook_billing::rating::Working;
use tollbook_lake::as_text;
use tollbook_schemas::catalog::{Catalog, KeptError};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::exact::Exact;
use tollbook_schemas::id::LineId;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::Period;
use tollbook_schemas::pin::Pin;
use tollbook_schemas::tables::billing::{INVOICE, INVOICE_LINE};

use crate::configuration::ConfigurationError;
use crate::context::JobContext;
use crate::jobs::catalog::read_kept;

pub use printed::{price_told, provenance, terms, unit_price_of};

/// A line with what is behind it.
pub struct Explained {
    /// The document that it is printed on.
    pub document: Document,
    /// The line.
    pub line: Line,
    /// Offsets by slice and partition; none for a flat price.
    pub evidence: Vec<Evidence>,
    /// Whether the rows were found with the catalog that priced the line: another may meter them otherwise.
    pub same_catalog: bool,
}

/// Walks a line back.
///
/// # Errors
/// A line that does not exist, or stored rows that cannot be read.
pub async fn explain(context: &JobContext, line_id: &str) -> anyhow::Result<Explained> {
    let line_id = LineId::parse(line_id).map_err(|error| {
        ConfigurationError(format!("{error}; a line id looks like lin_0123…; see the table invoice_line"))
    })?;
    let condition = format!("line_id = {}", as_text(line_id.as_str()));
    let rows = context.lake.rows(&INVOICE_LINE, Some(&condition)).await?;
    let Some(row) = rows.first() else {
        bail!(ConfigurationError(format!(
            "there is no line {line_id}; list them: tollbook sql \"select line_id, description from invoice_line\""
        )));
    };
    let invoice_id = row.text("invoice_id").context("a line without an invoice")?;
    let condition = format!("invoice_id = {}", as_text(invoice_id));
    let invoices = context.lake.rows(&INVOICE, Some(&condition)).await?;
    let document = Document::from_row(invoices.first().context("a line whose invoice is missing")?)?;
    let number = row.int("line_number");
    let line = document.body.lines.iter().find(|line| Some(i64::from(line.line_number)) == number);
    let line = line.context("a line that its document does not have")?.clone();
    let catalog = catalog_of(context, &document).await?;
    let pin: serde_json::Value = serde_json::from_str(&document.body.pin)?;
    let access: Pin = serde_json::from_value(pin["access_log"].clone()).context("the document's pin")?;
    let events: Pin = serde_json::from_value(pin["partner_event"].clone()).context("the document's pin")?;
    let registry = read_registry(&context.lake, &events, None).await?;
    let span = Period::new(line.span_start, line.span_end)?;
    let meter = line
        .meter_id
        .as_ref()
        .map(|id| catalog.meters.get(id).with_context(|| format!("the catalog has no meter {id} any more")));
    let evidence = match meter.transpose()? {
        None => Vec::new(),
        Some(meter) => {
            let partner_id = line.for_partner.as_ref().unwrap_or(&document.body.partner_id);
            let mut evidence =
                evidence_of(&context.lake, &registry, &catalog, &access, meter, partner_id, span).await?;
            // What was used during a pause stands on a line of its own.
            let of_line = registry.subscriptions.values().find(|own| {
                own.subscription_id == line.subscription_id
                    && own.started_at <= span.start
                    && own.plan_id == line.plan_id
            });
            if let Some(course) = of_line.map(|own| &own.course) {
                let is_paused_line = line.price_model == PAUSED;
                evidence.retain(|part| course.is_paused_at(part.slice.start) == is_paused_line);
            }
            evidence
        }
    };
    let same_catalog = catalog.sha256 == document.body.catalog_sha256;
    Ok(Explained { document, line, evidence, same_catalog })
}

/// The catalog that priced a document, as the lake keeps it. A document of before catalogs were kept is explained with
/// today's, and so is one whose catalog today's rules refuse.
async fn catalog_of(context: &JobContext, document: &Document) -> anyhow::Result<Catalog> {
    let kept = read_kept(context, &document.body.catalog_sha256).await;
    match kept.as_ref().map_err(|error| error.downcast_ref::<KeptError>()) {
        Err(Some(KeptError::Missing { .. } | KeptError::Unreadable { .. })) => context.catalog(),
        _ => kept,
    }
}

/// One component of a line's working.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Computed {
    /// What it is, such as `tier 2 units`.
    pub name: String,
    /// Units, packages or events that it prices, where it prices some.
    pub quantity: Option<String>,
    /// Price of each of them, where that is a decimal: what it comes to by its quantity.
    pub unit_price: Option<Decimal>,
    /// The same in per cent, for a component that takes a part of an amount.
    pub percent: Option<Decimal>,
    /// Exact share, in major units; a reduction is negative.
    pub exact: String,
}

/// The components of a working; none for a flat price, a price per unit or a graduated one without steps.
#[must_use]
pub fn how_computed(working: &Working) -> Vec<Computed> {
    let components = working.components.iter().map(|component| {
        let quantity = component.quantity.as_deref().and_then(|quantity| quantity.parse::<Exact>().ok());
        // A share that is no finite decimal is a fraction in the text, and has no price worth printing.
        let exact = component.exact.parse::<Exact>().ok();
        let each = exact.zip(quantity).and_then(|(exact, quantity)| exact.checked_div(quantity).ok());
        let is_part = component.name.ends_with("percentage");
        let percent = each.and_then(|each| each.checked_mul(Exact::whole(100)).ok()).and_then(Exact::to_decimal);
        Computed {
            name: component.name.clone(),
            quantity: component.quantity.clone(),
            unit_price: each.and_then(Exact::to_decimal).filter(|_| !is_part),
            percent: percent.filter(|_| is_part),
            exact: component.exact.clone(),
        }
    });
    components.collect()
}

/// Of a period of which another system billed a part: what the whole comes to, and what is taken off for that part.
#[must_use]
pub fn computed_after_opening(line: &Line, currency: Currency) -> Vec<Computed> {
    let parts = line.opening.iter().flat_map(|opening| {
        let exact = |minor: i64| Exact::scaled(minor, currency.exponent());
        let taken_off = Exact::ZERO.checked_sub(exact(opening.amount_minor));
        let part = |name: &str, quantity: Option<String>, exact: Option<Exact>| Computed {
            name: name.to_owned(),
            quantity,
            unit_price: None,
            percent: None,
            exact: exact.map(|exact| exact.to_string()).unwrap_or_default(),
        };
        [
            part("the whole period", None, Some(exact(opening.whole_amount_minor))),
            part("billed elsewhere", Some(opening.quantity.to_string()), taken_off.ok()),
        ]
    });
    parts.collect()
}

/// How the amount of a line came about, as rows of component, quantity, price and exact share; none where the working
/// is one price.
#[must_use]
pub fn how_computed_rows(line: &Line, currency: Currency) -> Vec<Vec<String>> {
    let working = &line.working;
    let tiers = working.tiers.iter().map(|tier| {
        let name = match &tier.up_to {
            Some(up_to) => format!("above {} up to {up_to}", tier.from),
            None => format!("above {}", tier.from),
        };
        let once = match tier.flat_price == Decimal::ZERO {
            true => String::new(),
            false => format!(" + {} {currency} once", tier.flat_price),
        };
        let price = format!("{} {currency}{once}", tier.unit_price);
        vec![name, tier.quantity.to_string(), price, tier.exact.clone()]
    });
    let components = how_computed(working).into_iter().chain(computed_after_opening(line, currency)).map(|component| {
        let price = match (component.percent, component.unit_price) {
            (Some(percent), _) => format!("{percent} %"),
            (None, Some(price)) => format!("{price} {currency}"),
            (None, None) => String::new(),
        };
        vec![component.name, component.quantity.unwrap_or_default(), price, component.exact]
    });
    let adjusted = line.adjusts.iter().flat_map(|adjusts| {
        let row = |what: &str, quantity: Decimal, minor: i64| {
            let amount = Money { minor, currency };
            vec![format!("{} {what}", adjusts.month), quantity.to_string(), String::new(), amount.to_string()]
        };
        [
            row("by what is known now", adjusts.now_quantity, adjusts.now_amount_minor),
            row("billed before", adjusts.billed_quantity, adjusts.billed_amount_minor),
        ]
    });
    let counted = line.adjusts.as_ref().map_or(line.quantity, |adjusts| adjusts.now_quantity);
    let priced = working.billable.iter().filter(|billable| **billable != counted.to_string());
    let priced =
        priced.map(|billable| vec!["quantity priced".to_owned(), billable.clone(), String::new(), String::new()]);
    adjusted.chain(priced).chain(tiers).chain(components).collect()
}

#[cfg(test)]
mod tests {
    use tollbook_billing::rating::{Usage, rate};
    use tollbook_schemas::price::{PriceModel, Steps, Tariff, Tier};

    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    /// Components as rating makes them, printed as `name quantity price exact`.
    #[test]
    fn each_component_has_its_quantity_its_price_and_its_amount() {
        let tier = |up_to: Option<&str>, unit: &str, flat: &str| Tier {
            up_to: up_to.map(decimal),
            unit_price: decimal(unit),
            flat_price: decimal(flat),
            package_size: None,
        };
        let tiers = vec![tier(Some("10"), "0.3", "0"), tier(None, "0.1", "5")];
        let graduated = PriceModel::Graduated { tiers: tiers.clone() };
        let steps = Steps { minimum: Some(decimal("20")), discount_percent: Some(decimal("10")), ..Steps::default() };
        let package = PriceModel::Package {
            package_size: decimal("100"),
            package_price: decimal("2.5"),
            free_units: decimal("0"),
        };
        for (model, steps, quantity, expected) in [
            (
                graduated.clone(),
                steps,
                "13",
                "tier 1 units 10 0.3 3; tier 2 units 3 0.1 0.3; tier 2 flat - - 5; minimum - - 11.7; discount - - -2",
            ),
            (PriceModel::Volume { tiers }, Steps::default(), "13", "tier 2 units 13 0.1 1.3; tier 2 flat - - 5"),
            (package, Steps::default(), "101", "packages 2 2.5 5"),
            (graduated, Steps::default(), "13", ""),
        ] {
            let tariff = Tariff { steps, ..Tariff::of(model) };
            let rated = rate(&tariff, &Usage::of(decimal(quantity)), Currency::parse("EUR").unwrap()).unwrap();
            let told = how_computed(&rated.working).into_iter().map(|one| {
                let price = one.unit_price.map_or("-".to_owned(), |price| price.to_string());
                format!("{} {} {price} {}", one.name, one.quantity.unwrap_or("-".to_owned()), one.exact)
            });
            assert_eq!(told.collect::<Vec<_>>().join("; "), expected);
        }
        let json = r#"{"components":[{"exact":"5.8","name":"tier 1 percentage","quantity":"200"},
            {"exact":"1/3","name":"units","quantity":"7"},{"exact":"0","name":"units","quantity":"0"}],"exact":"6"}"#;
        let computed = how_computed(&serde_json::from_str(json).unwrap());
        assert_eq!((computed[0].percent, computed[0].unit_price), (Some(decimal("2.9")), None));
        assert!(computed[1].unit_price.is_none() && computed[2].unit_price.is_none(), "no price can be told");
    }
}
