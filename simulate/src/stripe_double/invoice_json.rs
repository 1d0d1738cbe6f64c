//! The invoice and line objects of the API, with every field that async-stripe's types insist on.
//!
//! Inside an invoice only the first ten lines are given, newest first, with `has_more` and `total_count`; the rest is
//! behind the list of lines.

use serde_json::{Value, json};

use super::answers::Refusal;
use super::customers::{self, pairs_json};
use super::state::{Customer, Invoice, InvoiceStatus, Line, State};
use super::transitions::{least_due, settlement};

const LINES_INLINE: usize = 10;

/// The invoice with this id.
pub(super) fn whole(state: &State, id: &str) -> Result<Value, Refusal> {
    state.invoice(id).map(|found| invoice(state, found))
}

/// One line.
pub(super) fn line(invoice: &Invoice, line: &Line) -> Value {
    json!({
        "id": line.id,
        "object": "line_item",
        "amount": line.amount,
        "currency": invoice.currency,
        "description": line.description,
        "discount_amounts": [],
        "discountable": line.discountable,
        "discounts": [],
        "invoice": invoice.id,
        "livemode": false,
        "metadata": line.metadata,
        "parent": {
            "type": "invoice_item_details",
            "invoice_item_details": {
                "invoice_item": line.item_id,
                "proration": false,
                "proration_details": { "credited_items": null },
                "subscription": null,
            },
            "subscription_item_details": null,
        },
        "period": { "start": line.period_start, "end": line.period_end },
        "pretax_credit_amounts": [],
        "pricing": null,
        "quantity": 1,
        "quantity_decimal": "1",
        "subtotal": line.amount,
        "taxes": [],
    })
}

/// Amounts that a draft shows as they would be now, and a finalised invoice as they were then.
struct Amounts {
    total: i64,
    due: i64,
    starting_balance: i64,
    ending_balance: Option<i64>,
}

fn amounts(state: &State, invoice: &Invoice) -> Amounts {
    if let Some(then) = &invoice.finalised {
        return Amounts {
            total: then.total,
            due: then.amount_due,
            starting_balance: then.starting_balance,
            ending_balance: Some(then.ending_balance),
        };
    }
    let (total, balance) = (invoice.total(), state.customers.get(&invoice.customer).map_or(0, |owner| owner.balance));
    let now = settlement(total, balance, least_due(state, &invoice.currency));
    Amounts { total, due: now.amount_due, starting_balance: balance, ending_balance: None }
}

/// The invoice object, made of three parts only because one `json!` of this size exceeds the compiler's recursion
/// limit.
pub(super) fn invoice(state: &State, invoice: &Invoice) -> Value {
    let mut whole = terms(state, invoice);
    for part in [money(state, invoice), unmodelled()] {
        if let (Some(into), Value::Object(part)) = (whole.as_object_mut(), part) {
            into.extend(part);
        }
    }
    whole
}

/// Whose it is, how it is collected, what it says.
fn terms(state: &State, invoice: &Invoice) -> Value {
    let nobody = Customer::default();
    let customer = match &invoice.finalised {
        Some(finalised) => &finalised.customer,
        None => state.customers.get(&invoice.customer).unwrap_or(&nobody),
    };
    // The domain is reserved for examples: nothing is there, and nobody can take it for Stripe's.
    let page =
        (invoice.status != InvoiceStatus::Draft).then(|| format!("https://invoice.stripe.example/i/{}", invoice.id));
    let pdf = page.as_ref().map(|page| format!("{page}/pdf"));
    let tax_ids: Vec<Value> =
        customer.tax_ids.iter().map(|(kind, value)| json!({ "type": kind, "value": value })).collect();
    json!({
        "id": invoice.id,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Stripe double",
        "auto_advance": invoice.auto_advance,
        "billing_reason": "manual",
        "collection_method": invoice.collection.as_str(),
        "created": invoice.created,
        "custom_fields": pairs_json(&invoice.custom_fields),
        "customer": invoice.customer,
        "customer_address": customers::address_json(customer.address.as_ref()),
        "customer_email": customer.email,
        "customer_name": customer.name,
        "customer_phone": customer.phone,
        "customer_tax_exempt": customer.tax_exempt,
        "customer_tax_ids": tax_ids,
        "description": invoice.description,
        "due_date": invoice.due_date,
        "effective_at": invoice.effective_at,
        "footer": invoice.footer,
        "hosted_invoice_url": page,
        "invoice_pdf": pdf,
        "issuer": { "type": "self" },
        "livemode": false,
        "metadata": invoice.metadata,
        "number": invoice.number,
        "payment_settings": {
            "default_mandate": null,
            "payment_method_options": null,
            "payment_method_types": invoice.payment_method_types,
        },
        // Without a subscription, the "usage period" of the API is the moment of creation: not our billing period.
        "period_end": invoice.created,
        "period_start": invoice.created,
        "statement_descriptor": invoice.statement_descriptor,
        "status": invoice.status.as_str(),
        "status_transitions": {
            "finalized_at": invoice.finalised.as_ref().map(|finalised| finalised.at),
            "marked_uncollectible_at": invoice.marked_uncollectible_at,
            "paid_at": invoice.paid_at,
            "voided_at": invoice.voided_at,
        },
    })
}

/// Lines and amounts.
fn money(state: &State, invoice: &Invoice) -> Value {
    let amounts = amounts(state, invoice);
    let paid_off_stripe = if invoice.paid_out_of_band { invoice.amount_paid } else { 0 };
    let inline: Vec<Value> = invoice.lines.iter().rev().take(LINES_INLINE).map(|item| line(invoice, item)).collect();
    json!({
        "amount_due": amounts.due,
        "amount_overpaid": 0,
        "amount_paid": invoice.amount_paid,
        "amount_paid_off_stripe": paid_off_stripe,
        "amount_remaining": amounts.due - invoice.amount_paid,
        "amount_shipping": 0,
        "attempt_count": invoice.attempt_count,
        "attempted": invoice.attempt_count > 0,
        "currency": invoice.currency,
        "ending_balance": amounts.ending_balance,
        "lines": {
            "object": "list",
            "data": inline,
            "has_more": invoice.lines.len() > LINES_INLINE,
            "total_count": invoice.lines.len(),
            "url": format!("/v1/invoices/{}/lines", invoice.id),
        },
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "starting_balance": amounts.starting_balance,
        "subtotal": amounts.total,
        "subtotal_excluding_tax": amounts.total,
        "total": amounts.total,
        "total_excluding_tax": amounts.total,
    })
}

/// Members that the API has and the double never fills.
fn unmodelled() -> Value {
    json!({
        "account_tax_ids": null,
        "application": null,
        "automatic_tax": {
            "disabled_reason": null, "enabled": false, "liability": null, "provider": null, "status": null,
        },
        "automatically_finalizes_at": null,
        "confirmation_secret": null,
        "customer_shipping": null,
        "default_payment_method": null,
        "default_source": null,
        "default_tax_rates": [],
        "discounts": [],
        "from_invoice": null,
        "last_finalization_error": null,
        "latest_revision": null,
        "next_payment_attempt": null,
        "on_behalf_of": null,
        "parent": null,
        "receipt_number": null,
        "rendering": null,
        "shipping_cost": null,
        "shipping_details": null,
        "test_clock": null,
        "total_discount_amounts": [],
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": null,
    })
}
