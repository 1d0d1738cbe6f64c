//! The invoice page: what the customer reads; behind it the usage of each line by day; at the foot what proves it.
//!
//! Days are those of the issuer's zone, and of a line those of its subscription's: its billing periods begin with them.
//! A zone that is not the issuer's is named.

mod appendix;

use std::fmt::Write as _;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::{Month, Tz, print_instant};

use crate::amount::in_currency;
use crate::local;
use crate::page::{Page, escape};

/// Who issues or who is billed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Party {
    /// Legal name.
    pub legal_name: String,
    /// Address lines.
    pub address: Vec<String>,
    /// Country code, where the address does not name it.
    pub country: Option<String>,
    /// Tax id.
    pub tax_id: Option<String>,
}

/// One tier's share of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TierPart {
    /// The tier begins after this quantity.
    pub from: Decimal,
    /// Last quantity of the tier; none for the last tier.
    pub up_to: Option<Decimal>,
    /// Units that lie in it.
    pub quantity: Decimal,
    /// Price of each.
    pub unit_price: Decimal,
    /// Charged once.
    pub flat_price: Decimal,
    /// Exact share, in major units.
    pub exact: String,
}

/// One component of a line that has more than a price: packages, the units of a tier, a minimum, a discount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentPart {
    /// What it is, such as `tier 2 units`.
    pub name: String,
    /// Units, packages or events that it prices, where it prices some.
    pub quantity: Option<String>,
    /// Price of each of them, where that is a decimal.
    pub unit_price: Option<Decimal>,
    /// The price in per cent, for a component that takes a part of an amount.
    pub percent: Option<Decimal>,
    /// Exact share, in major units; a reduction is negative.
    pub exact: String,
}

/// What a line is the difference of, where it adjusts a month that was billed before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AdjustedPart {
    /// Month that was billed.
    pub month: Month,
    /// Quantity that was billed for it so far.
    pub billed_quantity: Decimal,
    /// What was billed for it so far.
    pub billed: Money,
    /// The quantity by what is known now.
    pub now_quantity: Decimal,
    /// What it comes to by what is known now.
    pub now: Money,
}

/// What a line billed on one UTC day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BilledDay {
    /// UTC day.
    pub event_date: NaiveDate,
    /// Quantity of the day.
    pub quantity: Decimal,
    /// Requests of the day.
    pub event_count: i64,
    /// SHA-256 over the usage rows of the day.
    pub usage_sha256: String,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InvoiceLine {
    /// Place, from 1.
    pub line_number: u32,
    /// What the customer reads.
    pub description: String,
    /// The zone whose days its billing period begins and ends with.
    #[serde(serialize_with = "name_of")]
    pub time_zone: Tz,
    /// First instant that is billed.
    pub span_start: DateTime<Utc>,
    /// First instant after it.
    pub span_end: DateTime<Utc>,
    /// Quantity that was counted.
    pub quantity: Decimal,
    /// Quantity that was priced, after conversion, rounding and included units, where a price has such steps.
    pub billable: Option<String>,
    /// Unit; none for a flat price.
    pub unit: Option<String>,
    /// The word of the price's model, such as `volume`.
    pub price_model: String,
    /// Price of one unit, for a price per unit.
    pub unit_price: Option<Decimal>,
    /// Per cent of a tax line.
    pub tax_percent: Option<Decimal>,
    /// Tiers, for a graduated price without steps.
    pub tiers: Vec<TierPart>,
    /// Components, for a price with steps or of another model than flat, per unit and graduated.
    pub components: Vec<ComponentPart>,
    /// The amount before it was rounded, in major units.
    pub exact: String,
    /// Amount, rounded once.
    pub amount: Money,
    /// What it is the difference of, where it adjusts an earlier month; tiers, components and `exact` are those of now.
    pub adjusts: Option<AdjustedPart>,
    /// The line's id; none of a shadow bill's.
    pub line_id: Option<String>,
    /// Plan with its version.
    pub plan: String,
    /// Price of the plan.
    pub price_id: String,
    /// Meter; none for a flat price.
    pub meter_id: Option<String>,
    /// Subscription.
    pub subscription_id: String,
    /// What the customer must know of it beside its price, such as the contract that priced it: a sentence each.
    pub notes: Vec<String>,
    /// Its usage by day; none of a flat price.
    pub usage: Vec<BilledDay>,
}

/// What the same usage would have cost on another plan; in no total.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShadowBill {
    /// The other plan.
    pub plan_id: String,
    /// Its lines.
    pub lines: Vec<InvoiceLine>,
    /// Their sum.
    pub total: Money,
}

/// Everything on the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InvoiceDocument {
    /// Number.
    pub number: String,
    /// Number of the invoice that it credits, for a credit note.
    pub credits: Option<String>,
    /// Derived from the document's text.
    pub invoice_id: String,
    /// The issuer's zone: days on the page are its days, but for those of lines that have another one.
    #[serde(serialize_with = "name_of")]
    pub time_zone: Tz,
    /// Day of issue in that zone.
    pub issued_on: NaiveDate,
    /// Days until it is due.
    pub payment_terms_days: u32,
    /// Last day to pay.
    pub due_on: NaiveDate,
    /// Who issues.
    pub issuer: Party,
    /// Who is billed.
    pub bill_to: Party,
    /// Purchase order of the customer.
    pub purchase_order: Option<String>,
    /// Partner in the program.
    pub partner_id: String,
    /// Month that is billed.
    pub month: Month,
    /// First instant of the billing period.
    pub period_start: DateTime<Utc>,
    /// First instant after it.
    pub period_end: DateTime<Utc>,
    /// Lines.
    pub lines: Vec<InvoiceLine>,
    /// What of the total is no tax, where there are tax lines.
    pub before_tax: Option<Money>,
    /// Sum of the lines.
    pub total: Money,
    /// What the usage would have cost on other plans.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shadows: Vec<ShadowBill>,
    /// What was known, JSON.
    pub pin: String,
    /// Hash of the catalog that priced it.
    pub catalog_sha256: String,
    /// Version of the billing profile.
    pub profile_version_id: String,
    /// In words, that it was issued before its data were complete, and why.
    pub incomplete: Option<String>,
}

fn name_of<S: serde::Serializer>(zone: &Tz, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(zone.name())
}

/// The page. It cannot fail: there is no chart on it.
#[must_use]
pub fn invoice_html(invoice: &InvoiceDocument) -> String {
    let title = match invoice.credits {
        Some(_) => format!("Credit note {}", invoice.number),
        None => format!("Invoice {}", invoice.number),
    };
    let mut page = Page::new(&title);
    page.raw("<div class=\"head\">\n<div>");
    page.element("h1", "", &title);
    page.element("p", "as-of", &invoice.issuer.legal_name);
    page.raw("</div>");
    due(&mut page, invoice);
    page.raw("</div>\n<div class=\"parties\">");
    party(&mut page, "From", &invoice.issuer);
    party(&mut page, "Bill to", &invoice.bill_to);
    page.raw("</div>");
    facts(&mut page, invoice);
    let before_tax = invoice.before_tax.map(|money| ("Before tax", money));
    let totals: Vec<(&str, Money)> = before_tax.into_iter().chain([("Total", invoice.total)]).collect();
    page.raw(&lines_table(invoice, &invoice.lines, &totals, invoice.total.currency));
    for shadow in &invoice.shadows {
        page.element("h2", "", &format!("What this would have cost on plan {}", shadow.plan_id));
        page.element("p", "", "Not charged, and in no total above.");
        let label = if invoice.before_tax.is_some() { "Would have been, before tax" } else { "Would have been" };
        page.raw(&lines_table(invoice, &shadow.lines, &[(label, shadow.total)], shadow.total.currency));
    }
    notes(&mut page, invoice);
    appendix::appendix(&mut page, invoice);
    foot(&mut page, invoice);
    page.end()
}

/// What is to be paid and until when, where a reader looks first.
fn due(page: &mut Page, invoice: &InvoiceDocument) {
    let (label, note) = match (&invoice.credits, invoice.total.minor) {
        (Some(number), _) => ("Credited", format!("of invoice {number}")),
        (None, minor) if minor > 0 => ("Amount due", format!("until {}", local::day(invoice.due_on))),
        (None, 0) => ("Amount due", "nothing to pay".to_owned()),
        (None, _) => ("In your favour", String::new()),
    };
    page.raw("<div class=\"due\">");
    page.element("p", "label", label);
    page.element("p", "amount", &invoice.total.to_string());
    page.element("p", "label", &note);
    page.raw("</div>");
}

fn party(page: &mut Page, label: &str, party: &Party) {
    page.raw("<div>");
    page.element("p", "label", label);
    page.element("p", "", &party.legal_name);
    // Many an address begins with the name; it is printed once.
    let begins_with_name = party.address.first() == Some(&party.legal_name);
    for line in party.address.iter().skip(usize::from(begins_with_name)) {
        page.element("p", "", line);
    }
    if let Some(country) = &party.country {
        page.element("p", "", country);
    }
    if let Some(tax_id) = &party.tax_id {
        page.element("p", "", &format!("Tax id {tax_id}"));
    }
    page.raw("</div>");
}

fn facts(page: &mut Page, invoice: &InvoiceDocument) {
    let (start, end, zone) = (invoice.period_start, invoice.period_end, zone_of_period(invoice));
    let period = format!("{} ({zone})", local::span(start, end, zone));
    let instants = format!("{} until before {}", print_instant(start), print_instant(end));
    // Nobody has to pay a credit note.
    let terms = match invoice.credits {
        Some(_) => String::new(),
        None => format!("{} ({} days after issue)", local::day(invoice.due_on), invoice.payment_terms_days),
    };
    let order = invoice.purchase_order.clone().unwrap_or_default();
    let facts = [
        ("Number", invoice.number.clone()),
        ("Credits invoice", invoice.credits.clone().unwrap_or_default()),
        ("Issued", local::day(invoice.issued_on)),
        ("Due", terms),
        ("Billing period", period),
        ("In UTC", instants),
        ("Purchase order", order),
        ("Customer", invoice.partner_id.clone()),
    ];
    page.raw("<dl class=\"facts\">");
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        page.element("dt", "", name);
        page.element("dd", "", value);
    }
    page.raw("</dl>");
}

/// The zone in which the billing period is whole days: the issuer's, or that of some lines.
fn zone_of_period(invoice: &InvoiceDocument) -> Tz {
    let mut zones = [invoice.time_zone].into_iter().chain(invoice.lines.iter().map(|line| line.time_zone));
    let found = zones.find(|zone| local::is_whole_days(invoice.period_start, invoice.period_end, *zone));
    found.unwrap_or(invoice.time_zone)
}

fn lines_table(
    invoice: &InvoiceDocument,
    lines: &[InvoiceLine],
    totals: &[(&str, Money)],
    currency: Currency,
) -> String {
    let mut html = String::from(
        "<table>\n<thead><tr><th>#</th><th>Description</th><th class=\"figure\">Quantity</th>\
         <th class=\"figure\">Price</th><th class=\"figure\">Amount</th></tr></thead>\n<tbody>\n",
    );
    for line in lines {
        let parts = parts_of(line, currency);
        line_row(&mut html, line, invoice, !parts.is_empty());
        for (at, part) in parts.iter().enumerate() {
            part_row(&mut html, part, at + 1 == parts.len());
        }
    }
    for (label, total) in totals {
        // Writing to a string cannot fail.
        let _ = writeln!(
            html,
            "<tr class=\"total\"><td></td><td>{}</td><td></td><td></td><td class=\"figure\">{}</td></tr>",
            escape(label),
            escape(&total.to_string())
        );
    }
    html.push_str("</tbody>\n</table>");
    html
}

fn line_row(html: &mut String, line: &InvoiceLine, invoice: &InvoiceDocument, has_parts: bool) {
    let mut description = escape(&line.description);
    // A line that bills less than the whole period says which part.
    if (line.span_start, line.span_end) != (invoice.period_start, invoice.period_end) {
        let days = local::span(line.span_start, line.span_end, line.time_zone);
        let named = match line.time_zone == invoice.time_zone {
            true => String::new(),
            false => format!(" ({})", line.time_zone),
        };
        let (from, until) = (print_instant(line.span_start), print_instant(line.span_end));
        let _ = write!(description, "<br><span class=\"span\">{days}{named}</span>");
        // A span that ends or begins within a day is told in both clocks.
        if days.contains(':') {
            let _ = write!(description, "<br><span class=\"span\">from {from} until before {until}</span>");
        }
    }
    for note in &line.notes {
        let _ = write!(description, "<br><span class=\"span\">{}</span>", escape(note));
    }
    let quantity = match &line.unit {
        Some(unit) => format!("{} {unit}", line.quantity),
        None => line.quantity.to_string(),
    };
    let price = match &line.unit_price {
        _ if line.adjusts.is_some() => "now \u{2212} billed".to_owned(),
        _ if line.tax_percent.is_some() => line.tax_percent.map_or_else(String::new, |percent| format!("{percent} %")),
        Some(price) => in_currency(*price, line.amount.currency),
        None if !line.tiers.is_empty() => "by tier".to_owned(),
        None => line.price_model.replace('_', " "),
    };
    let class = if has_parts { " class=\"parts-follow\"" } else { "" };
    let _ = writeln!(
        html,
        "<tr{class}><td>{}</td><td>{description}</td><td class=\"figure\">{}</td><td class=\"figure\">{}</td>\
         <td class=\"figure\">{}</td></tr>",
        line.line_number,
        escape(&quantity),
        escape(&price),
        escape(&line.amount.to_string())
    );
}

/// How an amount was computed: a row below its line.
struct Part {
    name: String,
    quantity: String,
    price: String,
    exact: String,
}

fn parts_of(line: &InvoiceLine, currency: Currency) -> Vec<Part> {
    let unit = line.unit.as_ref().map_or(String::new(), |unit| format!(" {unit}"));
    let figures = line.adjusts.iter().flat_map(|adjusts| {
        let part = |name: String, quantity: Decimal, amount: &Money| Part {
            name,
            quantity: format!("{quantity}{unit}"),
            price: String::new(),
            exact: format!("({amount})"),
        };
        [
            part(format!("{} by what is known now", adjusts.month), adjusts.now_quantity, &adjusts.now),
            part(format!("{} billed before", adjusts.month), adjusts.billed_quantity, &adjusts.billed),
        ]
    });
    let figures: Vec<Part> = figures.collect();
    let tier = |tier: &TierPart| {
        let name = match &tier.up_to {
            Some(up_to) => format!("above {} up to {up_to}", tier.from),
            None => format!("above {}", tier.from),
        };
        let mut price = in_currency(tier.unit_price, currency);
        if tier.flat_price != Decimal::ZERO {
            let _ = write!(price, " + {} once", in_currency(tier.flat_price, currency));
        }
        Part { name, quantity: tier.quantity.to_string(), price, exact: format!("({})", tier.exact) }
    };
    let component = |component: &ComponentPart| Part {
        name: component.name.replace('_', " "),
        quantity: component.quantity.clone().unwrap_or_default(),
        price: match (&component.percent, &component.unit_price) {
            (Some(percent), _) => format!("{percent} %"),
            (None, Some(price)) => in_currency(*price, currency),
            (None, None) => String::new(),
        },
        exact: format!("({})", component.exact),
    };
    // What was priced is told where the steps before the price made another number of what was counted.
    let counted = line.adjusts.as_ref().map_or(line.quantity, |adjusts| adjusts.now_quantity);
    // Of a flat price its components say what part of the period it is.
    let is_other = |billable: &&String| **billable != counted.to_string() && line.price_model != "flat";
    let priced = line.billable.as_ref().filter(is_other).map(|billable| Part {
        name: "quantity priced, after conversion, rounding and included units".to_owned(),
        quantity: billable.clone(),
        price: String::new(),
        exact: String::new(),
    });
    // One price times the quantity, where rounding took something off or put it on.
    let is_product = line.unit_price.is_some() && line.adjusts.is_none() && line.components.is_empty();
    let amount = line.amount.amount_text();
    let is_rounded = is_product && line.exact != amount && padded_exact(&line.exact, &amount) != amount;
    let product = is_rounded.then(|| Part {
        name: "quantity × price, before rounding".to_owned(),
        quantity: String::new(),
        price: String::new(),
        exact: format!("({})", line.exact),
    });
    let priced = priced.into_iter().chain(product);
    let computed = priced.chain(line.tiers.iter().map(tier)).chain(line.components.iter().map(component));
    figures.into_iter().chain(computed).collect()
}

/// An exact amount with as many digits behind the point as a printed one, if it has no more.
fn padded_exact(exact: &str, printed: &str) -> String {
    let digits = |text: &str| text.split_once('.').map_or(0, |(_, part)| part.len());
    let missing = digits(printed).saturating_sub(digits(exact));
    let point = if missing > 0 && !exact.contains('.') { "." } else { "" };
    format!("{exact}{point}{}", "0".repeat(missing))
}

fn part_row(html: &mut String, part: &Part, is_last: bool) {
    let _ = writeln!(
        html,
        "<tr class=\"part{}\"><td></td><td>{}</td><td class=\"figure\">{}</td><td class=\"figure\">{}</td>\
         <td class=\"figure\">{}</td></tr>",
        if is_last { " last-part" } else { "" },
        escape(&part.name),
        escape(&part.quantity),
        escape(&part.price),
        escape(&part.exact)
    );
}

/// What the amounts mean.
fn notes(page: &mut Page, invoice: &InvoiceDocument) {
    if invoice.lines.iter().any(|line| line.adjusts.is_some()) {
        page.definition(
            "An adjustment bills what an earlier month comes to now, by everything known at this document's offsets and \
             under the prices in force then, less what was billed for it. What is below zero is given back.",
        );
    }
    page.definition(
        "Each line is computed exactly and rounded once, half away from zero; the total is the sum of the printed \
         lines. Amounts in brackets show how a line was computed: the exact shares of its tiers and other components, \
         before that rounding. Days are those of the issuer's time \
         zone, or of the one that stands beside them, and both days of a span belong to it; instants are UTC, and a span does not hold the one it ends before.",
    );
    if let Some(incomplete) = &invoice.incomplete {
        page.element("p", "incomplete", &format!("This document was {incomplete}."));
    }
}

/// What proves it.
fn foot(page: &mut Page, invoice: &InvoiceDocument) {
    page.raw("<div class=\"foot\">");
    for (name, value) in [
        ("Document (from the hash of its text)", &invoice.invoice_id),
        ("What was known (first offset that was not, for each partition)", &invoice.pin),
        ("Catalog SHA-256", &invoice.catalog_sha256),
        ("Billing profile", &invoice.profile_version_id),
    ] {
        page.raw(&format!("<p>{}: <code>{}</code></p>", escape(name), escape(value)));
    }
    page.raw("</div>");
}

#[cfg(test)]
mod tests;
