//! What issued invoices were rated with may not change: refused with file, line, what changed and the mend, before
//! anything is written. Which changes that are: `schemas/src/catalog/diff/frozen.rs`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use arrow::array::AsArray as _;
use arrow::datatypes::{Int32Type, Int64Type};
use tollbook_billing::document::Body;
use tollbook_lake::as_text;
use tollbook_schemas::catalog::diff::{
    Change, EntryChange, FieldChange, Section, broken, broken_contract, broken_coupon, broken_issuer, broken_tax_rate,
};
use tollbook_schemas::catalog::{Catalog, KeptError, Problem, problem};
use tollbook_schemas::id::{ContractId, CouponId, IssuerId, PlanId, TaxRateId};
use tollbook_schemas::tables::billing::{INVOICE, INVOICE_EVENT, INVOICE_LINE};

use super::read_kept_partly;
use crate::context::{CatalogProblems, JobContext};

/// What issued invoices were rated by: a version of a plan, of a contract or of a tax rate, a coupon, an issuer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Sold {
    Plan(PlanId, u32),
    Contract(ContractId, u32),
    TaxRate(TaxRateId, u32),
    Coupon(CouponId),
    Issuer(IssuerId),
}

/// A version on issued invoices that were rated with another catalog than the present one.
#[derive(Debug)]
struct Used {
    sold: Sold,
    /// The first of them, by number.
    invoice: String,
    invoices: i64,
}

/// What the present catalog does to what was billed.
#[derive(Debug, Default)]
struct Frozen {
    /// Changes that are refused, in file and line order.
    problems: Vec<Problem>,
    /// Changes that are not, and what cannot be compared.
    notes: Vec<String>,
}

/// Refuses a catalog that changes what issued invoices were rated with.
///
/// # Errors
/// [`CatalogProblems`]; the lake's; kept catalogs that are damaged.
pub async fn refuse_changes(context: &JobContext, catalog: &Catalog) -> anyhow::Result<()> {
    let is_promised = |section| {
        matches!(
            section,
            Section::Plan | Section::Contract | Section::TaxRate | Section::Coupon | Section::Meter | Section::Issuer
        )
    };
    // On the heap: the jobs around it are nested deeply already, and a thread's stack is small.
    let found = Box::pin(changes(context, catalog, is_promised)).await?;
    refuse(context, found).map(|_| ())
}

/// As [`refuse_changes`]; gives what else changed of what was billed, and what cannot be compared, in words.
///
/// # Errors
/// As [`refuse_changes`].
pub async fn refuse_changes_and_note(context: &JobContext, catalog: &Catalog) -> anyhow::Result<Vec<String>> {
    refuse(context, Box::pin(changes(context, catalog, |_| true)).await?)
}

fn refuse(context: &JobContext, Frozen { problems, notes }: Frozen) -> anyhow::Result<Vec<String>> {
    if problems.is_empty() {
        return Ok(notes);
    }
    let folder = context.configuration.path(&context.configuration.catalog.folder);
    bail!(CatalogProblems::of(&folder, problems))
}

/// Compares the present catalog with those that documents were rated with. Lines are read only where something that is
/// looked for is different, so that years of invoices cost nothing while prices change as they should.
async fn changes(
    context: &JobContext,
    catalog: &Catalog,
    is_looked_for: impl Fn(Section) -> bool,
) -> anyhow::Result<Frozen> {
    let mut found = Frozen::default();
    // One mistake is told once, though several catalogs had it otherwise.
    let mut told: BTreeSet<(Section, String, Option<u32>, Vec<String>)> = BTreeSet::new();
    for sha256 in other_catalogs(context, &catalog.sha256).await? {
        let short = &sha256[..12.min(sha256.len())];
        let (then, problems) = match read_kept_partly(context, &sha256).await {
            Ok(kept) => kept,
            Err(error) if matches!(error.downcast_ref(), Some(KeptError::Missing { .. })) => {
                found.notes.push(format!(
                    "documents were rated with catalog {short}, which was not kept: whether what they billed changed is \
                     not known"
                ));
                continue;
            }
            Err(error) => return Err(error),
        };
        if let Some(first) = problems.first() {
            found.notes.push(format!(
                "of catalog {short}, with which documents were rated, this version of tollbook refuses something, which \
                 is not compared: {first}"
            ));
        }
        let mut changed: BTreeMap<Sold, Vec<EntryChange>> = BTreeMap::new();
        for sold in sold_in(&then) {
            let mut entries = match &sold {
                Sold::Plan(plan, version) => broken(&then, catalog, plan, *version),
                Sold::Contract(contract, version) => broken_contract(&then, catalog, contract, *version),
                Sold::TaxRate(rate, version) => broken_tax_rate(&then, catalog, rate, *version),
                Sold::Coupon(coupon) => broken_coupon(&then, catalog, coupon),
                Sold::Issuer(issuer) => broken_issuer(&then, catalog, issuer).into_iter().collect(),
            };
            entries.retain(|entry| is_looked_for(entry.section));
            if !entries.is_empty() {
                changed.insert(sold, entries);
            }
        }
        if changed.is_empty() {
            continue;
        }
        let mut all_used = used_of(context, &sha256).await?;
        if changed.keys().any(|sold| matches!(sold, Sold::Issuer(_))) {
            all_used.extend(issuers_of(context, &sha256).await?);
        }
        if changed.keys().any(|sold| !matches!(sold, Sold::Plan(..) | Sold::Issuer(_))) {
            all_used.extend(told_by_documents(context, &sha256).await?);
        }
        for used in all_used {
            for entry in changed.get(&used.sold).into_iter().flatten() {
                for field in fields_of(entry) {
                    let path = field.map_or_else(Vec::new, |field| field.path.clone());
                    if told.insert((entry.section, entry.id.clone(), entry.version, path)) {
                        found.tell(catalog, &used, entry, field);
                    }
                }
            }
        }
    }
    problem::sort(&mut found.problems);
    Ok(found)
}

/// Every version of a plan, contract or tax rate in a catalog, and every coupon.
fn sold_in(catalog: &Catalog) -> Vec<Sold> {
    let plans = catalog.plans.iter();
    let plans = plans.flat_map(|(id, own)| own.iter().map(move |plan| Sold::Plan(id.clone(), plan.version)));
    let contracts = catalog
        .contracts
        .iter()
        .flat_map(|(id, own)| own.iter().map(move |contract| Sold::Contract(id.clone(), contract.version)));
    let rates = catalog.tax_rates.iter();
    let rates = rates.flat_map(|(id, own)| own.iter().map(move |rate| Sold::TaxRate(id.clone(), rate.version)));
    let coupons = catalog.coupons.keys().map(|id| Sold::Coupon(id.clone()));
    let issuers = catalog.issuers.keys().map(|id| Sold::Issuer(id.clone()));
    plans.chain(contracts).chain(rates).chain(coupons).chain(issuers).collect()
}

/// The fields that are told one by one; none for an entry that is gone, which is told once.
fn fields_of(entry: &EntryChange) -> Vec<Option<&FieldChange>> {
    match entry.change {
        Change::Removed => vec![None],
        Change::Added | Change::Changed => entry.fields.iter().map(Some).collect(),
    }
}

impl Frozen {
    fn tell(&mut self, catalog: &Catalog, used: &Used, entry: &EntryChange, field: Option<&FieldChange>) {
        let Used { sold, invoice, invoices } = used;
        let (kind, id, version, versions) = match sold {
            Sold::Plan(id, version) => {
                let numbers = catalog.plans.get(id).into_iter().flatten().map(|plan| plan.version);
                ("plan", id.as_str(), *version, numbers.max())
            }
            Sold::Contract(id, version) => {
                let numbers = catalog.contracts.get(id).into_iter().flatten().map(|contract| contract.version);
                ("contract", id.as_str(), *version, numbers.max())
            }
            Sold::TaxRate(id, version) => {
                let numbers = catalog.tax_rates.get(id).into_iter().flatten().map(|rate| rate.version);
                ("tax rate", id.as_str(), *version, numbers.max())
            }
            Sold::Coupon(id) => ("coupon", id.as_str(), 0, None),
            Sold::Issuer(id) => ("issuer", id.as_str(), 0, None),
        };
        let billed = match invoices {
            1 => format!("is on invoice {invoice}"),
            _ => format!("is on invoice {invoice} and {} more", invoices - 1),
        };
        let what = match field {
            Some(field) => format!("was changed: {field}"),
            None => "is gone".to_owned(),
        };
        let back = field.and_then(|field| field.old.as_ref()).map_or("put it back as it was".to_owned(), |old| {
            // A long filter stands in the line above already.
            if old.chars().count() <= 40 { format!("put back {old}") } else { "put it back as it was".to_owned() }
        });
        let next = versions.unwrap_or(version).max(version) + 1;
        let (what, mend) = match entry.section {
            Section::Plan => (
                format!("plan {id} version {version} {billed} and {what}"),
                format!("{back}, and add version {next} with an effective_from"),
            ),
            Section::Contract => (
                format!("contract {id} version {version} {billed} and {what}"),
                format!("{back}, and add version {next} with a later starts"),
            ),
            Section::TaxRate => (
                format!("tax rate {id} version {version} {billed} and {what}"),
                format!("{back}, and add version {next} with a later effective_from"),
            ),
            Section::Coupon => (
                format!("coupon {id} {billed} and {what}"),
                format!("{back}, and offer the other terms as a coupon under another id"),
            ),
            Section::Meter => (
                format!("meter {} of {kind} {id} version {version}, which {billed}, {what}", entry.id),
                format!(
                    "{back}, add a meter under another id, and name it in version {next} of the {kind} with {}",
                    if kind == "plan" { "an effective_from" } else { "a later starts" }
                ),
            ),
            Section::Issuer => (
                format!("issuer {id} {billed} and {what}"),
                format!("{back}, and give plans from now on to another issuer"),
            ),
            Section::Product => {
                self.notes.push(format!(
                    "{} {} of {kind} {id} version {version}, which {billed}, {what}; invoices stay as they are, and \
                     usage that was not billed is computed anew",
                    entry.section.as_str(),
                    entry.id
                ));
                return;
            }
        };
        let path = field.map_or(&[][..], |field| &field.path);
        self.problems.push(catalog.problem_in_entry(entry, path, what, mend));
    }
}

/// The catalogs that documents were rated with, without the present one.
pub(super) async fn other_catalogs(context: &JobContext, present: &str) -> anyhow::Result<BTreeSet<String>> {
    let lake = &context.lake;
    let session = lake.empty_session()?;
    lake.register(&session, &INVOICE, None).await?;
    let sql = format!("select distinct catalog_sha256 from invoice where catalog_sha256 <> {}", as_text(present));
    let mut others = BTreeSet::new();
    for batch in lake.query(&session, &sql).await? {
        others.extend(batch.column(0).as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    Ok(others)
}

/// The plan versions that issued invoices name which a catalog rated.
async fn used_of(context: &JobContext, sha256: &str) -> anyhow::Result<Vec<Used>> {
    let lake = &context.lake;
    let session = lake.empty_session()?;
    for table in [&INVOICE, &INVOICE_EVENT, &INVOICE_LINE] {
        lake.register(&session, table, None).await?;
    }
    let sql = format!(
        "select l.plan_id, l.plan_version, min(e.number), count(distinct i.invoice_id) \
         from invoice i join invoice_event e on e.invoice_id = i.invoice_id and e.kind = 'issued' \
         join invoice_line l on l.invoice_id = i.invoice_id \
         where i.catalog_sha256 = {} and l.plan_id is not null and l.plan_version is not null \
         group by 1, 2 order by 1, 2",
        as_text(sha256)
    );
    let mut used = Vec::new();
    for batch in lake.query(&session, &sql).await? {
        let (plans, numbers) = (batch.column(0).as_string::<i32>(), batch.column(2).as_string::<i32>());
        let versions = batch.column(1).as_primitive::<Int32Type>();
        let counts = batch.column(3).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            used.push(Used {
                sold: Sold::Plan(
                    PlanId::parse(plans.value(row)).context("invoice_line.plan_id")?,
                    u32::try_from(versions.value(row)).context("invoice_line.plan_version")?,
                ),
                invoice: numbers.value(row).to_owned(),
                invoices: counts.value(row),
            });
        }
    }
    Ok(used)
}

/// The issuers of issued invoices that a catalog rated.
async fn issuers_of(context: &JobContext, sha256: &str) -> anyhow::Result<Vec<Used>> {
    let lake = &context.lake;
    let session = lake.empty_session()?;
    for table in [&INVOICE, &INVOICE_EVENT] {
        lake.register(&session, table, None).await?;
    }
    let sql = format!(
        "select i.issuer_id, min(e.number), count(distinct i.invoice_id) \
         from invoice i join invoice_event e on e.invoice_id = i.invoice_id and e.kind = 'issued' \
         where i.catalog_sha256 = {} group by 1 order by 1",
        as_text(sha256)
    );
    let mut used = Vec::new();
    for batch in lake.query(&session, &sql).await? {
        let (issuers, numbers) = (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
        let counts = batch.column(2).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            used.push(Used {
                sold: Sold::Issuer(IssuerId::parse(issuers.value(row)).context("invoice.issuer_id")?),
                invoice: numbers.value(row).to_owned(),
                invoices: counts.value(row),
            });
        }
    }
    Ok(used)
}

/// The contracts, tax rates and coupons of issued invoices that a catalog rated: their documents say them.
async fn told_by_documents(context: &JobContext, sha256: &str) -> anyhow::Result<Vec<Used>> {
    let lake = &context.lake;
    let session = lake.empty_session()?;
    for table in [&INVOICE, &INVOICE_EVENT] {
        lake.register(&session, table, None).await?;
    }
    let sql = format!(
        "select e.number, i.document from invoice i \
         join invoice_event e on e.invoice_id = i.invoice_id and e.kind = 'issued' \
         where i.catalog_sha256 = {} order by e.number",
        as_text(sha256)
    );
    let mut used: BTreeMap<Sold, Used> = BTreeMap::new();
    for batch in lake.query(&session, &sql).await? {
        let (numbers, documents) = (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
        for row in 0..batch.num_rows() {
            let body: Body = serde_json::from_str(documents.value(row)).context("invoice.document")?;
            let sold: BTreeSet<Sold> = body
                .lines
                .into_iter()
                .flat_map(|line| {
                    let contract = line.contract.map(|one| Sold::Contract(one.contract_id, one.version));
                    let tax = line.tax.map(|tax| Sold::TaxRate(tax.tax_rate_id, tax.version));
                    let coupon = line.coupon.map(|coupon| Sold::Coupon(coupon.coupon_id));
                    contract.into_iter().chain(tax).chain(coupon)
                })
                .collect();
            for sold in sold {
                let invoice = numbers.value(row).to_owned();
                let first = Used { sold: sold.clone(), invoice, invoices: 0 };
                used.entry(sold).or_insert(first).invoices += 1;
            }
        }
    }
    Ok(used.into_values().collect())
}
