//! An invoice's life: draft -> open -> paid, void or uncollectible.
//!
//! Finalising fixes the number, the dates, the amounts and the customer's data. An empty draft is finalised without
//! complaint, and is paid: only the client can know that lines are missing.

use super::Work;
use super::answers::Refusal;
use super::currencies;
use super::form::Fields;
use super::invoice_json;
use super::state::{Collection, Finalised, Invoice, InvoiceStatus, State};

const DAY_S: i64 = 86_400;

/// What is due of a total, and what goes to the customer's balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settlement {
    pub amount_due: i64,
    pub ending_balance: i64,
}

/// Applies a customer's balance. What is left below the currency's minimum is not collected but carried over.
pub(super) fn settlement(total: i64, balance: i64, least_due: i64) -> Settlement {
    let left = total.saturating_add(balance);
    if left < least_due {
        Settlement { amount_due: 0, ending_balance: left }
    } else {
        Settlement { amount_due: left, ending_balance: 0 }
    }
}

/// The least amount that is collected.
pub(super) fn least_due(state: &State, currency: &str) -> i64 {
    if state.quirks.small_amounts_are_carried { currencies::least_due(currency) } else { 1 }
}

fn finalise_now(state: &mut State, id: &str, auto_advance: Option<bool>, now: i64) -> Result<(), Refusal> {
    let invoice = state.invoice(id)?;
    if invoice.status != InvoiceStatus::Draft {
        return Err(state.not_from_here(format!(
            "This invoice is already finalized, you can't re-finalize a non-draft invoice. {id} is {}.",
            invoice.status
        )));
    }
    let mut invoice = invoice.clone();
    let total = invoice.total();
    currencies::check_amount("total", total, &invoice.currency)?;
    let mut customer = state.customer(&invoice.customer)?.clone();
    if invoice.collection == Collection::SendInvoice && customer.email.is_none() {
        return Err(Refusal::invalid("Missing email. To send the invoice, the customer must have an email."));
    }
    // After this point the invoice is finalised.
    if invoice.number.is_none() {
        let number = loop {
            let number = format!("{}-{:04}", customer.invoice_prefix, customer.next_invoice_sequence);
            customer.next_invoice_sequence += 1;
            if state.numbers.insert(number.clone()) {
                break number;
            }
        };
        invoice.number = Some(number);
    }
    let starting_balance = customer.balance;
    let settled = settlement(total, starting_balance, least_due(state, &invoice.currency));
    customer.balance = settled.ending_balance;
    invoice.auto_advance = auto_advance.unwrap_or(invoice.auto_advance);
    invoice.effective_at = invoice.effective_at.or(Some(now));
    if let Some(days) = invoice.days_until_due {
        invoice.due_date = Some(now.saturating_add(days * DAY_S));
    }
    invoice.status = InvoiceStatus::Open;
    invoice.finalised = Some(Finalised {
        at: now,
        total,
        amount_due: settled.amount_due,
        starting_balance,
        ending_balance: settled.ending_balance,
        customer: customer.clone(),
    });
    if settled.amount_due == 0 {
        mark_paid(&mut invoice, now);
    }
    if let Some(kept) = state.customers.get_mut(&customer.id) {
        *kept = customer;
    }
    *state.invoice_mut(id)? = invoice;
    Ok(())
}

fn mark_paid(invoice: &mut Invoice, now: i64) {
    invoice.status = InvoiceStatus::Paid;
    invoice.paid_at = Some(now);
    invoice.amount_paid = invoice.finalised.as_ref().map_or(0, |finalised| finalised.amount_due);
}

/// Finalises the drafts whose time has come, as Stripe does on its own.
pub(super) fn advance(state: &mut State, now: i64) {
    while let Some((at, id)) = state.advances.first().cloned().filter(|(at, _)| *at <= now) {
        state.advances.remove(&(at, id.clone()));
        let advancing = state.invoices.get(&id).is_some_and(|invoice| invoice.auto_advance);
        if advancing {
            // A refusal (already finalised, too large) leaves the invoice as it is; Stripe tells nobody but webhooks.
            let _ = finalise_now(state, &id, None, at);
        }
    }
}

/// `POST /v1/invoices/{id}/finalize`.
pub(super) fn finalise(id: String, mut fields: Fields) -> Result<Work, Refusal> {
    let auto_advance = fields.boolean("auto_advance")?;
    fields.finish()?;
    Ok(Box::new(move |state, now| {
        finalise_now(state, &id, auto_advance, now)?;
        invoice_json::whole(state, &id)
    }))
}

/// `POST /v1/invoices/{id}/send`: finalises a draft; nothing is mailed.
pub(super) fn send(id: String, fields: Fields) -> Result<Work, Refusal> {
    fields.finish()?;
    Ok(Box::new(move |state, now| {
        let invoice = state.invoice(&id)?;
        match (invoice.collection, invoice.status) {
            (Collection::ChargeAutomatically, _) => {
                return Err(state.not_from_here("You can only send invoices whose collection_method is send_invoice."));
            }
            (_, InvoiceStatus::Draft) => finalise_now(state, &id, None, now)?,
            (_, InvoiceStatus::Open) => {}
            (_, status) => {
                return Err(state.not_from_here(format!("You can only send open invoices. {id} is {status}.")));
            }
        }
        invoice_json::whole(state, &id)
    }))
}

/// `POST /v1/invoices/{id}/pay`.
///
/// Paid out of band, or with one of Stripe's test cards: `pm_card_chargeDeclined…` is declined, any other
/// `pm_card_…` pays. Customers have no saved card, so without either it is refused.
pub(super) fn pay(id: String, mut fields: Fields) -> Result<Work, Refusal> {
    let out_of_band = fields.boolean("paid_out_of_band")?.unwrap_or(false);
    fields.boolean("off_session")?;
    fields.boolean("forgive")?;
    let method = fields.filled("payment_method", 255)?;
    fields.finish()?;
    Ok(Box::new(move |state, now| {
        payable(state, &id)?;
        match method.as_deref() {
            _ if out_of_band => {
                let invoice = state.invoice_mut(&id)?;
                invoice.paid_out_of_band = true;
                mark_paid(invoice, now);
            }
            None => {
                return Err(Refusal::invalid(
                    "There is no default_payment_method set on this Customer or Invoice. Please set one.",
                ));
            }
            Some(card) if card.contains("chargeDeclined") => {
                state.invoice_mut(&id)?.attempt_count += 1;
                return Err(Refusal::card_declined());
            }
            Some(card) if card.starts_with("pm_card_") => collect(state, &id, now)?,
            Some(other) => return Err(Refusal::no_such_in("payment_method", "PaymentMethod", other)),
        }
        invoice_json::whole(state, &id)
    }))
}

fn payable(state: &State, id: &str) -> Result<(), Refusal> {
    match state.invoice(id)?.status {
        InvoiceStatus::Open | InvoiceStatus::Uncollectible => Ok(()),
        InvoiceStatus::Paid => Err(state.not_from_here("Invoice is already paid")),
        status => Err(state.not_from_here(format!("You can only pay open invoices. {id} is {status}."))),
    }
}

/// A payment that succeeds.
pub(super) fn collect(state: &mut State, id: &str, now: i64) -> Result<(), Refusal> {
    payable(state, id)?;
    let invoice = state.invoice_mut(id)?;
    invoice.attempt_count += 1;
    mark_paid(invoice, now);
    Ok(())
}

/// A payment that fails.
pub(super) fn fail(state: &mut State, id: &str) -> Result<(), Refusal> {
    payable(state, id)?;
    state.invoice_mut(id)?.attempt_count += 1;
    Ok(())
}

/// `POST /v1/invoices/{id}/void`. Balance that the invoice had used goes back to the customer.
pub(super) fn void(id: String, fields: Fields) -> Result<Work, Refusal> {
    fields.finish()?;
    Ok(Box::new(move |state, now| {
        let status = state.invoice(&id)?.status;
        let allowed = status == InvoiceStatus::Open
            || (status == InvoiceStatus::Uncollectible && state.quirks.uncollectible_can_be_voided);
        if !allowed {
            return Err(state.not_from_here(format!("You can only void open invoices. {id} is {status}.")));
        }
        let invoice = state.invoice_mut(&id)?;
        invoice.status = InvoiceStatus::Void;
        invoice.voided_at = Some(now);
        let (owner, finalised) = (invoice.customer.clone(), invoice.finalised.clone());
        if let (Some(owner), Some(finalised)) = (state.customers.get_mut(&owner), finalised) {
            let used = finalised.starting_balance.saturating_sub(finalised.ending_balance);
            owner.balance = owner.balance.saturating_add(used);
        }
        invoice_json::whole(state, &id)
    }))
}

/// `POST /v1/invoices/{id}/mark_uncollectible`.
pub(super) fn mark_uncollectible(id: String, fields: Fields) -> Result<Work, Refusal> {
    fields.finish()?;
    Ok(Box::new(move |state, now| {
        let status = state.invoice(&id)?.status;
        if status != InvoiceStatus::Open {
            return Err(
                state.not_from_here(format!("You can only mark open invoices as uncollectible. {id} is {status}."))
            );
        }
        let invoice = state.invoice_mut(&id)?;
        invoice.status = InvoiceStatus::Uncollectible;
        invoice.marked_uncollectible_at = Some(now);
        invoice_json::whole(state, &id)
    }))
}
