//! Requests to Stripe: built from async-stripe's types, frozen as path and bytes.
//!
//! The types take metadata as a hash map, whose order differs from run to run; the frozen form has the metadata of
//! each object in order of its keys, so that equal requests are equal bytes.

use std::collections::HashMap;

use stripe_billing::invoice::{
    AddLinesInvoice, AddLinesInvoiceLines, CreateInvoice, CreateInvoicePendingInvoiceItemsBehavior,
    FinalizeInvoiceInvoice, ListInvoice, Period, RetrieveInvoice,
};
use stripe_billing::invoice_line_item::ListInvoiceInvoiceLineItem;
use stripe_client_core::{RequestBuilder, StripeRequest};
use stripe_core::customer::{
    CreateCustomer, CreateCustomerInvoiceSettings, CustomFieldParams, ListCustomer, OptionalFieldsCustomerAddress,
    RetrieveCustomer, UpdateCustomer, UpdateCustomerInvoiceSettings,
};
use stripe_shared::InvoiceCollectionMethod;
use tollbook_schemas::digest::sha256_hex;
use tollbook_schemas::id::ProfileVersionId;

use crate::document::{Document, Line};
use crate::profile::Profile;

/// The API version that every request names.
pub const STRIPE_VERSION: &str = "2026-09-30.endive";
/// Lines in one call.
pub const LINES_A_CALL: usize = 100;
/// Lines on one invoice, by Stripe's own limit.
pub const LINES_MAX: usize = 250;
/// Objects on one page of a list.
const PAGE: i64 = 100;
/// Characters of a description that Stripe prints without complaint.
const DESCRIPTION_MAX: usize = 500;
/// What stands before a tax id on Stripe's invoices.
const TAX_ID: &str = "Tax id";
/// Characters of the value of a custom field, by Stripe's own limit.
const CUSTOM_FIELD_MAX: usize = 140;

/// Metadata that finds our objects again.
pub(crate) mod metadata {
    pub(crate) const NAMESPACE: &str = "tollbook_namespace";
    pub(crate) const PARTNER: &str = "tollbook_partner_id";
    pub(crate) const PROFILE: &str = "tollbook_profile_version_id";
    pub(crate) const INVOICE: &str = "tollbook_invoice_id";
    pub(crate) const NUMBER: &str = "tollbook_number";
    pub(crate) const DOCUMENT_SHA256: &str = "tollbook_document_sha256";
    pub(crate) const LINE_COUNT: &str = "tollbook_line_count";
    pub(crate) const LINE: &str = "tollbook_line_id";
}

/// A request as it is sent, and sent again.
#[derive(Clone, PartialEq, Eq)]
pub struct Frozen {
    /// Path below the host, such as `/v1/invoices`.
    pub path: String,
    /// Form-encoded bytes.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Frozen {
    /// Without the bytes: they may hold contact data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frozen({}, {} bytes)", self.path, self.body.len())
    }
}

fn frozen(request: RequestBuilder) -> Frozen {
    Frozen { path: format!("/v1{}", request.path), body: in_order(&request.body.unwrap_or_default()).into_bytes() }
}

fn read(request: RequestBuilder) -> String {
    match request.query.filter(|query| !query.is_empty()) {
        Some(query) => format!("/v1{}?{query}", request.path),
        None => format!("/v1{}", request.path),
    }
}

/// Orders each run of metadata pairs of one object by key; everything else stays where it is.
fn in_order(form: &str) -> String {
    let object_of = |pair: &str| {
        let key = pair.split('=').next().unwrap_or_default();
        key.rsplit_once('[')
            .filter(|(object, _)| object.ends_with("metadata") || object.ends_with("metadata]"))
            .map(|(object, _)| object.to_owned())
    };
    let mut pairs: Vec<&str> = form.split('&').collect();
    for run in pairs.chunk_by_mut(|a, b| object_of(a).is_some() && object_of(a) == object_of(b)) {
        run.sort_unstable();
    }
    pairs.join("&")
}

fn pairs<const N: usize>(pairs: [(&str, String); N]) -> HashMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// SHA-256 of the document, which the draft at Stripe carries.
pub(crate) fn document_sha256(document: &Document) -> String {
    sha256_hex(document.text.as_bytes())
}

/// One customer for each partner.
pub(crate) fn create_customer(namespace: &str, profile: &Profile) -> Frozen {
    let mut request = CreateCustomer::new()
        .name(profile.legal_name.as_str())
        .email(profile.billing_email.as_str())
        .address(address_of(profile))
        .metadata(customer_metadata(namespace, profile));
    if let Some(tax_id) = tax_id_of(profile) {
        let mut settings = CreateCustomerInvoiceSettings::new();
        settings.custom_fields = Some(vec![tax_id]);
        request = request.invoice_settings(settings);
    }
    frozen(request.build())
}

/// Brings a customer to a version of its partner's profile. What the version does not have is unset: a parameter that
/// is left out would keep what an earlier version said.
pub(crate) fn update_customer(namespace: &str, profile: &Profile, customer: &str) -> Frozen {
    let mut address = address_of(profile);
    address.line1.get_or_insert_default();
    address.line2.get_or_insert_default();
    let mut request = UpdateCustomer::new(customer)
        .name(profile.legal_name.as_str())
        .email(profile.billing_email.as_str())
        .address(address)
        .metadata(customer_metadata(namespace, profile));
    let tax_id = tax_id_of(profile);
    // async-stripe has no way to write "no custom fields": an empty list is left out of the form.
    let unset = if tax_id.is_none() { "&invoice_settings[custom_fields]=" } else { "" };
    if let Some(tax_id) = tax_id {
        let mut settings = UpdateCustomerInvoiceSettings::new();
        settings.custom_fields = Some(vec![tax_id]);
        request = request.invoice_settings(settings);
    }
    let mut update = frozen(request.build());
    update.body.extend_from_slice(unset.as_bytes());
    update
}

fn customer_metadata(namespace: &str, profile: &Profile) -> HashMap<String, String> {
    pairs([
        (metadata::NAMESPACE, namespace.to_owned()),
        (metadata::PARTNER, profile.partner_id.to_string()),
        (metadata::PROFILE, profile.profile_version_id.to_string()),
    ])
}

/// The address in the two lines that Stripe has; which of ours is a city, nobody knows.
fn address_of(profile: &Profile) -> OptionalFieldsCustomerAddress {
    let mut lines = profile.address.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    // Many an address begins with the name, which Stripe prints above it.
    lines.next_if(|line| *line == profile.legal_name);
    let mut address = OptionalFieldsCustomerAddress::new();
    address.line1 = lines.next().map(str::to_owned);
    address.line2 = Some(lines.collect::<Vec<_>>().join(", ")).filter(|rest| !rest.is_empty());
    address.country = Some(profile.country.clone());
    address
}

/// The tax id as it is printed. Stripe's own tax ids need a type that a profile does not have.
fn tax_id_of(profile: &Profile) -> Option<CustomFieldParams> {
    let tax_id = profile.tax_id.as_deref().map(str::trim).filter(|tax_id| !tax_id.is_empty())?;
    Some(CustomFieldParams::new(TAX_ID, tax_id.chars().take(CUSTOM_FIELD_MAX).collect::<String>()))
}

/// The version of the profile that a frozen request gives a customer; none of one that was frozen before there was
/// such a thing.
pub(crate) fn profile_version_in(body: &[u8]) -> Option<ProfileVersionId> {
    let id = field_of(body, &format!("metadata[{}]", metadata::PROFILE))?;
    ProfileVersionId::parse(id).ok()
}

/// One customer.
pub(crate) fn retrieve_customer(customer: &str) -> String {
    read(RetrieveCustomer::new(customer).build())
}

/// A draft without lines, which Stripe never finalises by itself.
pub(crate) fn create_invoice(namespace: &str, document: &Document, number: &str, customer: &str) -> Frozen {
    let body = &document.body;
    let metadata = pairs([
        (metadata::NAMESPACE, namespace.to_owned()),
        (metadata::PARTNER, body.partner_id.to_string()),
        (metadata::INVOICE, document.invoice_id.to_string()),
        (metadata::NUMBER, number.to_owned()),
        (metadata::DOCUMENT_SHA256, document_sha256(document)),
        (metadata::LINE_COUNT, body.lines.len().to_string()),
    ]);
    let request = CreateInvoice::new()
        .customer(customer)
        .currency(currency_of(document))
        .auto_advance(false)
        .collection_method(InvoiceCollectionMethod::SendInvoice)
        .days_until_due(body.payment_terms_days)
        .pending_invoice_items_behavior(CreateInvoicePendingInvoiceItemsBehavior::Exclude)
        .description(format!("Invoice {number}"))
        .metadata(metadata);
    frozen(request.build())
}

fn currency_of(document: &Document) -> stripe_types::Currency {
    // Every code parses; one that async-stripe does not know is kept as it is.
    let Ok(currency) = document.body.currency.code().to_ascii_lowercase().parse();
    currency
}

/// Some lines of a document, with amounts of ours.
pub(crate) fn add_lines(document: &Document, stripe_invoice: &str, lines: &[&Line]) -> Frozen {
    let line_of = |line: &&Line| {
        let mut item = AddLinesInvoiceLines::new();
        item.amount = Some(line.amount_minor);
        let description = line.description_with_tax(document.body.currency);
        item.description = Some(description.chars().take(DESCRIPTION_MAX).collect());
        item.period = Some(Period::new(line.span_end.timestamp(), line.span_start.timestamp()));
        item.metadata = Some(pairs([(metadata::LINE, document.line_id(line.line_number).to_string())]));
        item
    };
    let lines: Vec<_> = lines.iter().map(line_of).collect();
    frozen(AddLinesInvoice::new(stripe_invoice, lines).build())
}

/// Finalises, and lets Stripe send and collect.
pub(crate) fn finalise(stripe_invoice: &str) -> Frozen {
    frozen(FinalizeInvoiceInvoice::new(stripe_invoice).auto_advance(true).build())
}

/// One invoice.
pub(crate) fn retrieve(stripe_invoice: &str) -> String {
    read(RetrieveInvoice::new(stripe_invoice).build())
}

/// A page of a customer's invoices.
pub(crate) fn list_invoices(customer: &str, after: Option<&str>) -> String {
    let mut request = ListInvoice::new().customer(customer).limit(PAGE);
    if let Some(after) = after {
        request = request.starting_after(after);
    }
    read(request.build())
}

/// A page of the customers with an e-mail address.
pub(crate) fn list_customers(email: &str, after: Option<&str>) -> String {
    let mut request = ListCustomer::new().email(email).limit(PAGE);
    if let Some(after) = after {
        request = request.starting_after(after);
    }
    read(request.build())
}

/// A page of an invoice's lines.
pub(crate) fn list_lines(stripe_invoice: &str, after: Option<&str>) -> String {
    let mut request = ListInvoiceInvoiceLineItem::new(stripe_invoice).limit(PAGE);
    if let Some(after) = after {
        request = request.starting_after(after);
    }
    read(request.build())
}

/// A field of a frozen form.
pub(crate) fn field_of(body: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(body).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
#[path = "requests/tests.rs"]
mod tests;
