//! Lines of an invoice: add, remove, list.
//!
//! A line here is an integer amount; prices, quantities, discounts and tax rates are not modelled and are refused.
//! Adding is all or nothing, and is not idempotent by nature: the same lines sent twice are there twice.

use super::Work;
use super::answers::Refusal;
use super::currencies;
use super::form::{Fields, MetadataChange};
use super::invoice_json;
use super::paging::{PageAsk, list};
use super::state::{InvoiceStatus, Line, Metadata, State};

/// Most lines in one call.
const LINES_PER_CALL: usize = 100;
/// Most lines of an invoice.
const LINES_PER_INVOICE: usize = 250;

struct NewLine {
    amount: i64,
    amount_name: String,
    description: Option<String>,
    discountable: Option<bool>,
    metadata: Metadata,
    period: Option<(i64, i64)>,
}

impl NewLine {
    fn read(mut fields: Fields) -> Result<Self, Refusal> {
        let amount_name = fields.name("amount");
        let amount = fields.integer("amount")?;
        for field in ["quantity", "quantity_decimal"] {
            if fields.filled(field, 64)?.is_some() {
                return Err(Refusal::invalid(format!("You may only specify one of these parameters: amount, {field}"))
                    .param(fields.name(field)));
            }
        }
        let metadata = match fields.metadata("metadata")? {
            Some(MetadataChange::Merge(pairs)) => pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
            _ => Metadata::new(),
        };
        let line = Self {
            amount: amount.ok_or_else(|| Refusal::missing_parameter(&amount_name))?,
            amount_name,
            description: fields.text("description", 500)?.filter(|text| !text.is_empty()),
            discountable: fields.boolean("discountable")?,
            metadata,
            period: period(&mut fields)?,
        };
        fields.finish()?;
        Ok(line)
    }
}

fn period(fields: &mut Fields) -> Result<Option<(i64, i64)>, Refusal> {
    let Some(mut group) = fields.group("period")? else { return Ok(None) };
    let mut bound = |field: &str| {
        let name = group.name(field);
        group.integer(field)?.ok_or_else(|| Refusal::missing_parameter(&name))
    };
    let (start, end) = (bound("start")?, bound("end")?);
    if end < start {
        return Err(Refusal::invalid("A period must not end before it starts").param(group.name("end")));
    }
    group.finish()?;
    Ok(Some((start, end)))
}

/// `POST /v1/invoices/{id}/add_lines`: at most 100 lines a call, 250 an invoice, drafts only.
pub(super) fn add(id: String, mut fields: Fields) -> Result<Work, Refusal> {
    let groups = fields.groups("lines")?.ok_or_else(|| Refusal::missing_parameter("lines"))?;
    if groups.is_empty() || groups.len() > LINES_PER_CALL {
        return Err(Refusal::invalid(format!("lines must have 1 to {LINES_PER_CALL} elements")).param("lines"));
    }
    let metadata = fields.metadata("invoice_metadata")?;
    fields.finish()?;
    let new = groups.into_iter().map(NewLine::read).collect::<Result<Vec<_>, _>>()?;
    Ok(Box::new(move |state, now| {
        let draft = draft(state, &id)?;
        if draft.lines.len() + new.len() > LINES_PER_INVOICE {
            return Err(
                Refusal::invalid(format!("An invoice can have at most {LINES_PER_INVOICE} items")).param("lines")
            );
        }
        for line in &new {
            currencies::check_amount(&line.amount_name, line.amount, &draft.currency)?;
        }
        let mut draft = draft.clone();
        if let Some(change) = &metadata {
            change.apply(&mut draft.metadata)?;
        }
        for line in new {
            let (line_id, item_id) = state.next_line_ids();
            let (period_start, period_end) = line.period.unwrap_or((now, now));
            draft.lines.push(Line {
                id: line_id,
                item_id,
                amount: line.amount,
                description: line.description,
                discountable: line.discountable.unwrap_or(line.amount >= 0),
                metadata: line.metadata,
                period_start,
                period_end,
            });
        }
        *state.invoice_mut(&id)? = draft;
        invoice_json::whole(state, &id)
    }))
}

/// `POST /v1/invoices/{id}/remove_lines`.
pub(super) fn remove(id: String, mut fields: Fields) -> Result<Work, Refusal> {
    let groups = fields.groups("lines")?.ok_or_else(|| Refusal::missing_parameter("lines"))?;
    if groups.is_empty() {
        return Err(Refusal::invalid("lines must have at least 1 element").param("lines"));
    }
    let mut removed = Vec::new();
    for mut group in groups {
        let name = group.name("behavior");
        removed.push((group.name("id"), group.required("id", 255)?));
        // `unassign` would leave a pending invoice item, which the double does not have.
        group.choice("behavior", &["delete"])?.ok_or_else(|| Refusal::missing_parameter(&name))?;
        group.finish()?;
    }
    let metadata = fields.metadata("invoice_metadata")?;
    fields.finish()?;
    Ok(Box::new(move |state, _| {
        let mut draft = draft(state, &id)?.clone();
        if let Some(change) = &metadata {
            change.apply(&mut draft.metadata)?;
        }
        for (name, line_id) in &removed {
            let Some(at) = draft.lines.iter().position(|line| line.id == *line_id) else {
                return Err(Refusal::no_such_in(name, "invoice line item", line_id));
            };
            draft.lines.remove(at);
        }
        *state.invoice_mut(&id)? = draft;
        invoice_json::whole(state, &id)
    }))
}

fn draft<'a>(state: &'a State, id: &str) -> Result<&'a super::state::Invoice, Refusal> {
    let invoice = state.invoice(id)?;
    match invoice.status {
        InvoiceStatus::Draft => Ok(invoice),
        status => Err(state.not_from_here(format!("Lines can only be changed on draft invoices. {id} is {status}."))),
    }
}

/// `GET /v1/invoices/{id}/lines`: newest first.
pub(super) fn list_all(id: String, mut fields: Fields) -> Result<Work, Refusal> {
    let page = PageAsk::read(&mut fields)?;
    fields.finish()?;
    Ok(Box::new(move |state, _| {
        let invoice = state.invoice(&id)?;
        let newest_first: Vec<&Line> = invoice.lines.iter().rev().collect();
        let page = page.cut("invoice line item", &newest_first, |line| &line.id, |_| true)?;
        let items = page.items.iter().map(|line| invoice_json::line(invoice, line)).collect();
        Ok(list(&format!("/v1/invoices/{id}/lines"), items, page.has_more))
    }))
}
