//! The endpoints: which there are, which one a request is for, and what it takes to execute it.
//!
//! [`prepare`] reads and checks parameters without looking at the account; what it refuses was never executed and is
//! not kept under an idempotency key. The [`Work`] it gives looks at the account; whatever that says is kept.

use serde_json::Value;

use super::Work;
use super::answers::Refusal;
use super::form::{Fields, Params};
use super::state::State;
use super::{customers, invoices, lines, transitions};

/// An endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    CreateCustomer,
    ListCustomers,
    RetrieveCustomer,
    UpdateCustomer,
    CreateInvoice,
    ListInvoices,
    RetrieveInvoice,
    UpdateInvoice,
    DeleteInvoice,
    AddLines,
    RemoveLines,
    ListLines,
    Finalise,
    Send,
    Pay,
    Void,
    MarkUncollectible,
}

/// Every endpoint with its name.
const ROUTES: [(&str, Endpoint); 17] = [
    ("POST /v1/customers", Endpoint::CreateCustomer),
    ("GET /v1/customers", Endpoint::ListCustomers),
    ("GET /v1/customers/{id}", Endpoint::RetrieveCustomer),
    ("POST /v1/customers/{id}", Endpoint::UpdateCustomer),
    ("POST /v1/invoices", Endpoint::CreateInvoice),
    ("GET /v1/invoices", Endpoint::ListInvoices),
    ("GET /v1/invoices/{id}", Endpoint::RetrieveInvoice),
    ("POST /v1/invoices/{id}", Endpoint::UpdateInvoice),
    ("DELETE /v1/invoices/{id}", Endpoint::DeleteInvoice),
    ("POST /v1/invoices/{id}/add_lines", Endpoint::AddLines),
    ("POST /v1/invoices/{id}/remove_lines", Endpoint::RemoveLines),
    ("GET /v1/invoices/{id}/lines", Endpoint::ListLines),
    ("POST /v1/invoices/{id}/finalize", Endpoint::Finalise),
    ("POST /v1/invoices/{id}/send", Endpoint::Send),
    ("POST /v1/invoices/{id}/pay", Endpoint::Pay),
    ("POST /v1/invoices/{id}/void", Endpoint::Void),
    ("POST /v1/invoices/{id}/mark_uncollectible", Endpoint::MarkUncollectible),
];

/// The names of the endpoints, as faults and the request log use them.
pub const ENDPOINTS: [&str; 17] = {
    let mut names = [""; 17];
    let mut at = 0;
    while at < ROUTES.len() {
        names[at] = ROUTES[at].0;
        at += 1;
    }
    names
};

/// The endpoint of a request, its name, and the id in the path (empty where the path has none).
pub(super) fn find(method: &str, path: &str) -> Option<(Endpoint, &'static str, String)> {
    ROUTES.iter().find_map(|(name, endpoint)| {
        let template = name.strip_prefix(method)?.strip_prefix(' ')?;
        Some((*endpoint, *name, id_in(template, path)?))
    })
}

fn id_in(template: &str, path: &str) -> Option<String> {
    let mut id = String::new();
    let (mut expected, mut found) = (template.split('/'), path.split('/'));
    loop {
        match (expected.next(), found.next()) {
            (None, None) => return Some(id),
            (Some("{id}"), Some(segment)) if !segment.is_empty() => segment.clone_into(&mut id),
            (Some(one), Some(other)) if one == other => {}
            _ => return None,
        }
    }
}

/// Checks the parameters of a request and gives the work to be done.
pub(super) fn prepare(endpoint: Endpoint, id: String, params: Params) -> Result<Work, Refusal> {
    let mut fields = Fields::new(params);
    let expands_customer = expansions(endpoint, fields.texts("expand")?.unwrap_or_default())?;
    let work = match endpoint {
        Endpoint::CreateCustomer => customers::create(fields),
        Endpoint::ListCustomers => customers::list_all(fields),
        Endpoint::RetrieveCustomer => customers::retrieve(id, fields),
        Endpoint::UpdateCustomer => customers::update(id, fields),
        Endpoint::CreateInvoice => invoices::create(fields),
        Endpoint::ListInvoices => invoices::list_all(fields),
        Endpoint::RetrieveInvoice => invoices::retrieve(id, fields),
        Endpoint::UpdateInvoice => invoices::update(id, fields),
        Endpoint::DeleteInvoice => invoices::delete(id, fields),
        Endpoint::AddLines => lines::add(id, fields),
        Endpoint::RemoveLines => lines::remove(id, fields),
        Endpoint::ListLines => lines::list_all(id, fields),
        Endpoint::Finalise => transitions::finalise(id, fields),
        Endpoint::Send => transitions::send(id, fields),
        Endpoint::Pay => transitions::pay(id, fields),
        Endpoint::Void => transitions::void(id, fields),
        Endpoint::MarkUncollectible => transitions::mark_uncollectible(id, fields),
    }?;
    if !expands_customer {
        return Ok(work);
    }
    Ok(Box::new(move |state: &mut State, now| {
        let mut body = work(state, now)?;
        match body.get_mut("data").and_then(Value::as_array_mut) {
            Some(items) => items.iter_mut().for_each(|item| expand_customer(state, item)),
            None => expand_customer(state, &mut body),
        }
        Ok(body)
    }))
}

/// `expand[]`: the customer of an invoice, and nothing else.
fn expansions(endpoint: Endpoint, paths: Vec<String>) -> Result<bool, Refusal> {
    let known = match endpoint {
        Endpoint::ListInvoices => Some("data.customer"),
        Endpoint::CreateCustomer
        | Endpoint::ListCustomers
        | Endpoint::RetrieveCustomer
        | Endpoint::UpdateCustomer
        | Endpoint::DeleteInvoice
        | Endpoint::ListLines => None,
        _ => Some("customer"),
    };
    match paths.iter().find(|path| known != Some(path.as_str())) {
        Some(path) => Err(Refusal::invalid(format!("This property cannot be expanded ({path}).")).param("expand")),
        None => Ok(!paths.is_empty()),
    }
}

fn expand_customer(state: &State, item: &mut Value) {
    let expanded = item.get("customer").and_then(Value::as_str).and_then(|id| state.customers.get(id));
    if let Some(customer) = expanded {
        item["customer"] = customers::json(customer);
    }
}
