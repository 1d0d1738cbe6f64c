//! Customers: create, update, retrieve, list.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Work;
use super::answers::Refusal;
use super::currencies::AMOUNT_MOST;
use super::form::{Fields, MetadataChange, settle};
use super::paging::{PageAsk, TimeRange, list};
use super::state::{Customer, State};

const ADDRESS_PARTS: [&str; 6] = ["city", "country", "line1", "line2", "postal_code", "state"];

/// What a create or an update says about a customer.
struct Change {
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    description: Option<String>,
    business_name: Option<String>,
    individual_name: Option<String>,
    address: Option<BTreeMap<String, String>>,
    metadata: Option<MetadataChange>,
    balance: Option<i64>,
    invoice_prefix: Option<String>,
    preferred_locales: Option<Vec<String>>,
    tax_exempt: Option<&'static str>,
    footer: Option<String>,
    custom_fields: Option<Vec<(String, String)>>,
}

impl Change {
    fn read(fields: &mut Fields) -> Result<Self, Refusal> {
        let email = fields.text("email", 512)?;
        if let Some(email) = email.as_deref().filter(|email| !email.is_empty() && !is_address(email)) {
            return Err(Refusal::invalid(format!("Invalid email address: {email}"))
                .code("email_invalid")
                .param("email"));
        }
        let invoice_prefix = fields.filled("invoice_prefix", 12)?;
        if let Some(prefix) = &invoice_prefix {
            let plain = prefix.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
            if prefix.len() < 3 || !plain {
                return Err(Refusal::invalid("Invoice prefixes are 3 to 12 upper-case letters or digits")
                    .param("invoice_prefix"));
            }
        }
        let balance = fields.integer("balance")?;
        if balance.is_some_and(|balance| balance.unsigned_abs() > AMOUNT_MOST.unsigned_abs()) {
            return Err(Refusal::invalid("Balance has too many digits").code("amount_too_large").param("balance"));
        }
        let (mut footer, mut custom) = (None, None);
        if let Some(mut settings) = fields.group("invoice_settings")? {
            footer = settings.text("footer", 5_000)?;
            custom = custom_fields(&mut settings)?;
            settings.finish()?;
        }
        Ok(Self {
            name: fields.text("name", 256)?,
            email,
            phone: fields.text("phone", 20)?,
            description: fields.text("description", 350)?,
            business_name: fields.text("business_name", 150)?,
            individual_name: fields.text("individual_name", 150)?,
            address: address(fields)?,
            metadata: fields.metadata("metadata")?,
            balance,
            invoice_prefix,
            preferred_locales: fields.texts("preferred_locales")?,
            tax_exempt: fields.choice("tax_exempt", &["none", "exempt", "reverse"])?,
            footer,
            custom_fields: custom,
        })
    }

    fn apply(self, state: &State, customer: &mut Customer) -> Result<(), Refusal> {
        if let Some(prefix) = self.invoice_prefix {
            let taken = |other: &Customer| other.id != customer.id && other.invoice_prefix == prefix;
            if state.customers.iter().any(taken) {
                return Err(Refusal::invalid("Another customer has this invoice prefix").param("invoice_prefix"));
            }
            customer.invoice_prefix = prefix;
        }
        if let Some(change) = &self.metadata {
            change.apply(&mut customer.metadata)?;
        }
        settle(&mut customer.name, self.name);
        settle(&mut customer.email, self.email);
        settle(&mut customer.phone, self.phone);
        settle(&mut customer.description, self.description);
        settle(&mut customer.business_name, self.business_name);
        settle(&mut customer.individual_name, self.individual_name);
        settle(&mut customer.footer, self.footer);
        if let Some(address) = self.address {
            customer.address = (!address.is_empty()).then_some(address);
        }
        customer.balance = self.balance.unwrap_or(customer.balance);
        customer.preferred_locales = self.preferred_locales.unwrap_or_else(|| customer.preferred_locales.clone());
        customer.tax_exempt = self.tax_exempt.unwrap_or(customer.tax_exempt);
        customer.custom_fields = self.custom_fields.unwrap_or_else(|| customer.custom_fields.clone());
        Ok(())
    }
}

fn is_address(email: &str) -> bool {
    let Some((local, host)) = email.rsplit_once('@') else { return false };
    !local.is_empty() && host.contains('.') && !email.contains(char::is_whitespace)
}

fn address(fields: &mut Fields) -> Result<Option<BTreeMap<String, String>>, Refusal> {
    if fields.text_is_empty("address") {
        return Ok(fields.text("address", 0)?.map(|_| BTreeMap::new()));
    }
    let Some(mut group) = fields.group("address")? else { return Ok(None) };
    let mut parts = BTreeMap::new();
    for part in ADDRESS_PARTS {
        if let Some(text) = group.text(part, 5_000)?.filter(|text| !text.is_empty()) {
            parts.insert(part.to_owned(), text);
        }
    }
    group.finish()?;
    Ok(Some(parts))
}

/// `custom_fields`: at most four, 40 characters for a name, 140 for a value.
pub(super) fn custom_fields(fields: &mut Fields) -> Result<Option<Vec<(String, String)>>, Refusal> {
    let at = fields.name("custom_fields");
    let Some(groups) = fields.groups("custom_fields")? else { return Ok(None) };
    if groups.len() > 4 {
        return Err(Refusal::invalid("At most 4 custom fields").param(at));
    }
    let mut pairs = Vec::new();
    for mut group in groups {
        pairs.push((group.required("name", 40)?, group.required("value", 140)?));
        group.finish()?;
    }
    Ok(Some(pairs))
}

/// `POST /v1/customers`.
pub(super) fn create(mut fields: Fields) -> Result<Work, Refusal> {
    let change = Change::read(&mut fields)?;
    let mut tax_ids = Vec::new();
    for mut tax_id in fields.groups("tax_id_data")?.unwrap_or_default() {
        tax_ids.push((tax_id.required("type", 32)?, tax_id.required("value", 64)?));
        tax_id.finish()?;
    }
    fields.finish()?;
    Ok(Box::new(move |state, now| {
        let count = state.customers.len() + 1;
        let mut customer = Customer {
            id: format!("cus_{count:012}"),
            created: now,
            invoice_prefix: format!("D{count:07}"),
            next_invoice_sequence: 1,
            tax_exempt: "none",
            tax_ids,
            ..Customer::default()
        };
        change.apply(state, &mut customer)?;
        let body = json(&customer);
        state.customers.add(customer);
        Ok(body)
    }))
}

/// `POST /v1/customers/{id}`.
pub(super) fn update(id: String, mut fields: Fields) -> Result<Work, Refusal> {
    let change = Change::read(&mut fields)?;
    fields.finish()?;
    Ok(Box::new(move |state, _| {
        let mut customer = state.customer(&id)?.clone();
        change.apply(state, &mut customer)?;
        let body = json(&customer);
        if let Some(kept) = state.customers.get_mut(&id) {
            *kept = customer;
        }
        Ok(body)
    }))
}

/// `GET /v1/customers/{id}`.
pub(super) fn retrieve(id: String, fields: Fields) -> Result<Work, Refusal> {
    fields.finish()?;
    Ok(Box::new(move |state, _| state.customer(&id).map(json)))
}

/// `GET /v1/customers`.
pub(super) fn list_all(mut fields: Fields) -> Result<Work, Refusal> {
    let page = PageAsk::read(&mut fields)?;
    let created = TimeRange::read(&mut fields, "created")?;
    let email = fields.filled("email", 512)?;
    fields.finish()?;
    Ok(Box::new(move |state, _| {
        let wanted = |customer: &Customer| {
            created.contains(customer.created)
                && email.as_ref().is_none_or(|email| customer.email.as_ref() == Some(email))
        };
        let page = page.cut("customer", &state.customers.newest_first(), |customer| &customer.id, wanted)?;
        Ok(list("/v1/customers", page.items.into_iter().map(json).collect(), page.has_more))
    }))
}

/// A list of name and value pairs, or null.
pub(super) fn pairs_json(pairs: &[(String, String)]) -> Value {
    match pairs {
        [] => Value::Null,
        _ => pairs.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect(),
    }
}

/// An address with all its parts, or null.
pub(super) fn address_json(address: Option<&BTreeMap<String, String>>) -> Value {
    address.map_or(Value::Null, |parts| {
        ADDRESS_PARTS
            .iter()
            .map(|part| ((*part).to_owned(), json!(parts.get(*part))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    })
}

/// The customer object.
pub(super) fn json(customer: &Customer) -> Value {
    json!({
        "id": customer.id,
        "object": "customer",
        "address": address_json(customer.address.as_ref()),
        "balance": customer.balance,
        "business_name": customer.business_name,
        "created": customer.created,
        "currency": customer.currency,
        "default_source": null,
        "delinquent": false,
        "description": customer.description,
        "discount": null,
        "email": customer.email,
        "individual_name": customer.individual_name,
        "invoice_prefix": customer.invoice_prefix,
        "invoice_settings": {
            "custom_fields": pairs_json(&customer.custom_fields),
            "default_payment_method": null,
            "footer": customer.footer,
            "rendering_options": null,
        },
        "livemode": false,
        "metadata": customer.metadata,
        "name": customer.name,
        "next_invoice_sequence": customer.next_invoice_sequence,
        "phone": customer.phone,
        "preferred_locales": customer.preferred_locales,
        "shipping": null,
        "tax_exempt": customer.tax_exempt,
        "test_clock": null,
    })
}
