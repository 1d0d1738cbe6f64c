//! Invoices before they are finalised: create, update, delete; and retrieve and list at any time.

use serde_json::json;

use super::Work;
use super::answers::Refusal;
use super::currencies;
use super::customers::custom_fields;
use super::form::{Fields, MetadataChange, settle};
use super::invoice_json;
use super::paging::{PageAsk, TimeRange, list};
use super::state::{Collection, Invoice, InvoiceStatus, Kept, State};

/// A draft with `auto_advance` finalises itself this long after it was made, or after the flag was set.
const ADVANCE_S: i64 = 3_600;

/// What a create or an update says about a draft.
struct Terms {
    auto_advance: Option<bool>,
    collection: Option<Collection>,
    days_until_due: Option<i64>,
    due_date: Option<i64>,
    effective_at: Option<i64>,
    description: Option<String>,
    footer: Option<String>,
    statement_descriptor: Option<String>,
    custom_fields: Option<Vec<(String, String)>>,
    payment_method_types: Option<Vec<String>>,
    number: Option<String>,
}

impl Terms {
    fn read(fields: &mut Fields) -> Result<Self, Refusal> {
        if let Some(mut tax) = fields.group("automatic_tax")? {
            if tax.boolean("enabled")?.ok_or_else(|| Refusal::missing_parameter("automatic_tax[enabled]"))? {
                return Err(Refusal::invalid("This double does not compute tax: automatic_tax[enabled] must be false")
                    .param("automatic_tax[enabled]"));
            }
            tax.finish()?;
        }
        if let Some(mut issuer) = fields.group("issuer")? {
            issuer.choice("type", &["self"])?.ok_or_else(|| Refusal::missing_parameter("issuer[type]"))?;
            issuer.finish()?;
        }
        let mut payment_method_types = None;
        if let Some(mut settings) = fields.group("payment_settings")? {
            payment_method_types = settings.texts("payment_method_types")?;
            settings.finish()?;
        }
        let collection = fields.choice("collection_method", &["charge_automatically", "send_invoice"])?;
        let days_until_due = fields.integer("days_until_due")?;
        if days_until_due.is_some_and(|days| !(0..=3_650).contains(&days)) {
            return Err(Refusal::invalid("days_until_due must be between 0 and 3650").param("days_until_due"));
        }
        Ok(Self {
            auto_advance: fields.boolean("auto_advance")?,
            collection: collection.map(|word| match word {
                "send_invoice" => Collection::SendInvoice,
                _ => Collection::ChargeAutomatically,
            }),
            days_until_due,
            due_date: fields.integer("due_date")?,
            effective_at: fields.integer("effective_at")?,
            description: fields.text("description", 1_500)?,
            footer: fields.text("footer", 5_000)?,
            statement_descriptor: fields.text("statement_descriptor", 22)?,
            custom_fields: custom_fields(fields)?,
            payment_method_types,
            number: fields.text("number", 26)?,
        })
    }

    /// Whether an update says anything that a finalised invoice forbids.
    fn is_silent(&self) -> bool {
        matches!(
            self,
            Self {
                auto_advance: None,
                collection: None,
                days_until_due: None,
                due_date: None,
                effective_at: None,
                description: None,
                footer: None,
                statement_descriptor: None,
                custom_fields: None,
                payment_method_types: None,
                number: None,
            }
        )
    }

    fn apply(self, state: &State, invoice: &mut Invoice, now: i64) -> Result<(), Refusal> {
        invoice.auto_advance = self.auto_advance.unwrap_or(invoice.auto_advance);
        invoice.collection = self.collection.unwrap_or(invoice.collection);
        // Either way of saying when it is due replaces the other.
        match (self.days_until_due, self.due_date) {
            (Some(_), Some(_)) => {
                return Err(Refusal::invalid("You may only specify one of these parameters: days_until_due, due_date"));
            }
            (Some(days), None) => (invoice.days_until_due, invoice.due_date) = (Some(days), None),
            (None, Some(at)) if at < now => {
                return Err(Refusal::invalid("due_date must be in the future").param("due_date"));
            }
            (None, Some(at)) => (invoice.days_until_due, invoice.due_date) = (None, Some(at)),
            (None, None) => {}
        }
        let is_dated = invoice.days_until_due.is_some() || invoice.due_date.is_some();
        match invoice.collection {
            Collection::SendInvoice if !is_dated => {
                return Err(Refusal::invalid(
                    "If the invoice is to be sent, you must specify either days_until_due or due_date",
                )
                .param("days_until_due"));
            }
            Collection::SendInvoice if state.customer(&invoice.customer)?.email.is_none() => {
                return Err(Refusal::invalid("Missing email. To send the invoice, the customer must have an email."));
            }
            Collection::ChargeAutomatically if is_dated => {
                return Err(Refusal::invalid(
                    "You can only specify days_until_due or due_date if collection_method is send_invoice",
                )
                .param("days_until_due"));
            }
            _ => {}
        }
        if let Some(number) = &self.number
            && !number.is_empty()
            && invoice.number.as_ref() != Some(number)
            && state.numbers.contains(number)
        {
            return Err(Refusal::invalid(format!("Invoice number {number} is already in use")).param("number"));
        }
        settle(&mut invoice.number, self.number);
        settle(&mut invoice.description, self.description);
        settle(&mut invoice.footer, self.footer);
        settle(&mut invoice.statement_descriptor, self.statement_descriptor);
        invoice.effective_at = self.effective_at.or(invoice.effective_at);
        if let Some(pairs) = self.custom_fields {
            invoice.custom_fields = pairs;
        }
        if let Some(types) = self.payment_method_types {
            invoice.payment_method_types = (!types.is_empty()).then_some(types);
        }
        Ok(())
    }
}

/// `POST /v1/invoices`.
pub(super) fn create(mut fields: Fields) -> Result<Work, Refusal> {
    let customer = fields.required("customer", 255)?;
    let currency = fields.filled("currency", 3)?.map(|code| currencies::parse("currency", &code)).transpose()?;
    // Nothing is ever pending here, because the double has no invoice items apart from lines.
    fields.choice("pending_invoice_items_behavior", &["exclude", "include"])?;
    let metadata = fields.metadata("metadata")?;
    let terms = Terms::read(&mut fields)?;
    fields.finish()?;
    Ok(Box::new(move |state, now| {
        let Some(owner) = state.customers.get(&customer) else {
            return Err(Refusal::no_such_in("customer", "customer", &customer));
        };
        let currency = currency.or_else(|| owner.currency.clone()).unwrap_or_else(|| "usd".to_owned());
        let mut invoice = Invoice {
            id: format!("in_{:012}", state.invoices.len() + 1),
            customer: customer.clone(),
            currency: currency.clone(),
            status: InvoiceStatus::Draft,
            created: now,
            deleted: false,
            auto_advance: false,
            collection: Collection::ChargeAutomatically,
            days_until_due: None,
            due_date: None,
            effective_at: None,
            description: None,
            footer: None,
            statement_descriptor: None,
            custom_fields: owner.custom_fields.clone(),
            payment_method_types: None,
            metadata: super::state::Metadata::new(),
            number: None,
            lines: Vec::new(),
            finalised: None,
            amount_paid: 0,
            paid_out_of_band: false,
            attempt_count: 0,
            paid_at: None,
            voided_at: None,
            marked_uncollectible_at: None,
        };
        if let Some(change) = &metadata {
            change.apply(&mut invoice.metadata)?;
        }
        terms.apply(state, &mut invoice, now)?;
        if let Some(owner) = state.customers.get_mut(&customer) {
            owner.currency.get_or_insert(currency);
        }
        schedule(state, &invoice, now);
        state.numbers.extend(invoice.number.clone());
        let id = invoice.id.clone();
        state.invoices.add(invoice);
        invoice_json::whole(state, &id)
    }))
}

/// `POST /v1/invoices/{id}`: everything of a draft, only metadata of a finalised invoice.
pub(super) fn update(id: String, mut fields: Fields) -> Result<Work, Refusal> {
    let metadata: Option<MetadataChange> = fields.metadata("metadata")?;
    let terms = Terms::read(&mut fields)?;
    fields.finish()?;
    Ok(Box::new(move |state, now| {
        let mut invoice = state.invoice(&id)?.clone();
        if let Some(change) = &metadata {
            change.apply(&mut invoice.metadata)?;
        }
        if invoice.status != InvoiceStatus::Draft {
            if !terms.is_silent() {
                return Err(state.not_from_here("Finalized invoices can't be updated in this way"));
            }
        } else {
            let (number_before, advanced_before) = (invoice.number.clone(), invoice.auto_advance);
            terms.apply(state, &mut invoice, now)?;
            if let Some(before) = number_before {
                state.numbers.remove(&before);
            }
            state.numbers.extend(invoice.number.clone());
            if !advanced_before {
                schedule(state, &invoice, now);
            }
        }
        *state.invoice_mut(&id)? = invoice;
        invoice_json::whole(state, &id)
    }))
}

fn schedule(state: &mut State, invoice: &Invoice, now: i64) {
    if invoice.auto_advance {
        state.advances.insert((now.saturating_add(ADVANCE_S), invoice.id.clone()));
    }
}

/// `DELETE /v1/invoices/{id}`: drafts only.
pub(super) fn delete(id: String, fields: Fields) -> Result<Work, Refusal> {
    fields.finish()?;
    Ok(Box::new(move |state, _| {
        let invoice = state.invoice(&id)?;
        if invoice.status != InvoiceStatus::Draft {
            return Err(state.not_from_here(format!("You can only delete draft invoices. {id} is {}.", invoice.status)));
        }
        let number = invoice.number.clone();
        state.invoice_mut(&id)?.deleted = true;
        if let Some(number) = number {
            state.numbers.remove(&number);
        }
        Ok(json!({ "id": id, "object": "invoice", "deleted": true }))
    }))
}

/// `GET /v1/invoices/{id}`.
pub(super) fn retrieve(id: String, fields: Fields) -> Result<Work, Refusal> {
    fields.finish()?;
    Ok(Box::new(move |state, _| invoice_json::whole(state, &id)))
}

/// `GET /v1/invoices`: no filter by metadata, as at Stripe.
pub(super) fn list_all(mut fields: Fields) -> Result<Work, Refusal> {
    let page = PageAsk::read(&mut fields)?;
    let created = TimeRange::read(&mut fields, "created")?;
    let customer = fields.filled("customer", 255)?;
    let status = fields.choice("status", &["draft", "open", "paid", "uncollectible", "void"])?;
    let collection = fields.choice("collection_method", &["charge_automatically", "send_invoice"])?;
    fields.finish()?;
    Ok(Box::new(move |state, _| {
        if let Some(id) = customer.as_ref().filter(|id| state.customers.get(id).is_none()) {
            return Err(Refusal::no_such_in("customer", "customer", id));
        }
        let wanted = |invoice: &Invoice| {
            created.contains(invoice.created)
                && customer.as_ref().is_none_or(|customer| invoice.customer == *customer)
                && status.is_none_or(|status| invoice.status.as_str() == status)
                && collection.is_none_or(|collection| invoice.collection.as_str() == collection)
        };
        let page = page.cut("invoice", &state.invoices.newest_first(), |invoice| invoice.id(), wanted)?;
        let items = page.items.iter().map(|invoice| invoice_json::invoice(state, invoice)).collect();
        Ok(list("/v1/invoices", items, page.has_more))
    }))
}
