//! What came out: figures read from the tables, and from the Stripe double, by queries that know nothing of the
//! ledger.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use chrono::{DateTime, Utc};
use tollbook_aggregate::read_registry;
use tollbook_billing::document::read_documents;
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::period::{Month, print_instant};
use tollbook_schemas::tables::Row;
use tollbook_schemas::tables::billing::INVOICE_EVENT;
use tollbook_schemas::tables::derived::{FUNNEL, USAGE};
use tollbook_schemas::tables::runs::JOB_RUN;
use tollbook_simulate::UsageKey;
use tollbook_simulate::stripe_double::StripeDouble;

use crate::context::JobContext;

/// One issued invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundInvoice {
    /// Currency.
    pub currency: String,
    /// Total.
    pub total_minor: i64,
    /// Price, quantity, amount of each line, in order.
    pub lines: Vec<(String, String, i64)>,
    /// SHA-256 of the document's bytes.
    pub document_sha256: String,
    /// Total at Stripe; none where nothing was due.
    pub stripe_total_minor: Option<i64>,
}

/// Everything that is compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Records by name.
    pub counts: BTreeMap<String, i64>,
    /// Unattributed requests by reason.
    pub unattributed: BTreeMap<String, i64>,
    /// Usage.
    pub usage: BTreeMap<UsageKey, String>,
    /// Unattributed usage by meter.
    pub unattributed_usage: BTreeMap<String, String>,
    /// Invoices by partner.
    pub invoices: BTreeMap<String, FoundInvoice>,
    /// Steps of the funnel: reached and skipped.
    pub funnel: BTreeMap<String, (i64, i64)>,
    /// Breaches that the double's own oracle saw.
    pub stripe_breaches: Vec<String>,
}

/// Reads all figures.
///
/// # Errors
/// The lake's.
pub async fn read(
    context: &JobContext,
    month: Month,
    as_of: DateTime<Utc>,
    double: &StripeDouble,
) -> anyhow::Result<Found> {
    let mut found = Found::default();
    counts(context, &mut found).await?;
    usage(context, &mut found).await?;
    invoices(context, month, double, &mut found).await?;
    let condition = format!("as_of = timestamp '{}'", print_instant(as_of));
    for row in context.lake.rows(&FUNNEL, Some(&condition)).await? {
        let pair = row.int("reached_count").zip(row.int("skipped_count"));
        if let (Some(step), Some(pair)) = (row.text("step"), pair) {
            found.funnel.insert(step.to_owned(), pair);
        }
    }
    found.stripe_breaches = double.oracle().iter().map(|breach| format!("{breach:?}")).collect();
    Ok(found)
}

async fn counts(context: &JobContext, found: &mut Found) -> anyhow::Result<()> {
    let session = context.lake.session().await?;
    // Duplicates are counted here by their definition, not by the job's own report.
    let sql = "select
        (select count(*) from access_log) as access_accepted,
        (select count(*) from rejected where target = 'access_log') as access_rejected,
        (select count(*) from access_log) - (select count(*) from (select distinct gateway, event_id from access_log)) as access_duplicates,
        (select count(*) from partner_event) as lifecycle_accepted,
        (select count(*) from rejected where target = 'partner_event') as lifecycle_rejected";
    for batch in context.lake.query(&session, sql).await? {
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            let values = column.as_primitive::<Int64Type>();
            found.counts.insert(field.name().clone(), if values.is_empty() { 0 } else { values.value(0) });
        }
    }
    let (_, events) = context.pins().await?;
    let registry = read_registry(&context.lake, &events, None).await?;
    let duplicates = i64::try_from(registry.duplicate_count)?;
    found.counts.insert("lifecycle_duplicates".to_owned(), duplicates);
    // The reasons come from the last refresh that computed anything.
    let mut runs = context.lake.rows(&JOB_RUN, Some("job = 'aggregate usage' and result = 'ok'")).await?;
    runs.sort_by_key(|row| row.instant("started_at"));
    for run in &runs {
        let counts: serde_json::Value = serde_json::from_str(run.text("counts").unwrap_or("{}"))?;
        for (reason, count) in counts["unattributed"].as_object().into_iter().flatten() {
            found.unattributed.insert(reason.clone(), count.as_i64().unwrap_or_default());
        }
    }
    Ok(())
}

/// Sums and counts add up; distinct values are united over the slices.
#[derive(Default)]
struct Folded {
    sum: Option<Decimal>,
    values: BTreeSet<String>,
    is_unique: bool,
}

impl Folded {
    fn add(&mut self, row: &Row) -> anyhow::Result<()> {
        let state: serde_json::Value = serde_json::from_str(row.text("state").unwrap_or("{}"))?;
        if let Some(values) = state["values"].as_array() {
            self.is_unique = true;
            self.values.extend(values.iter().filter_map(|value| value.as_str().map(str::to_owned)));
        }
        let quantity = row.decimal("quantity").unwrap_or(Decimal::ZERO);
        self.sum = Some(self.sum.unwrap_or(Decimal::ZERO).checked_add(quantity)?);
        Ok(())
    }

    fn quantity(&self) -> String {
        if self.is_unique {
            return self.values.len().to_string();
        }
        self.sum.unwrap_or(Decimal::ZERO).to_string()
    }
}

async fn usage(context: &JobContext, found: &mut Found) -> anyhow::Result<()> {
    let mut attributed: BTreeMap<UsageKey, Folded> = BTreeMap::new();
    let mut unattributed: BTreeMap<String, Folded> = BTreeMap::new();
    for row in context.lake.rows(&USAGE, None).await? {
        let text = |column: &str| row.text(column).map(str::to_owned);
        let meter = text("meter_id").unwrap_or_default();
        match (text("partner_id"), text("environment"), text("product_id")) {
            (Some(partner), Some(environment), Some(product)) => {
                attributed.entry(UsageKey { partner, meter, environment, product }).or_default().add(&row)?;
            }
            _ => unattributed.entry(meter).or_default().add(&row)?,
        }
    }
    found.usage = attributed.into_iter().map(|(key, folded)| (key, folded.quantity())).collect();
    found.unattributed_usage = unattributed.into_iter().map(|(meter, folded)| (meter, folded.quantity())).collect();
    Ok(())
}

async fn invoices(context: &JobContext, month: Month, double: &StripeDouble, found: &mut Found) -> anyhow::Result<()> {
    let issued: BTreeSet<String> = context
        .lake
        .rows(&INVOICE_EVENT, Some("kind = 'issued'"))
        .await?
        .iter()
        .filter_map(|row| row.text("invoice_id").map(str::to_owned))
        .collect();
    let at_stripe: BTreeMap<String, i64> = double
        .invoices()
        .into_iter()
        .filter_map(|invoice| Some((invoice.metadata.get("tollbook_invoice_id")?.clone(), invoice.total)))
        .collect();
    for (id, document) in read_documents(&context.lake, month).await? {
        if !issued.contains(id.as_str()) {
            continue;
        }
        let lines = document
            .body
            .lines
            .iter()
            .map(|line| (line.price_id.to_string(), line.quantity.to_string(), line.amount_minor))
            .collect();
        let invoice = FoundInvoice {
            currency: document.body.currency.code().to_owned(),
            total_minor: document.total().minor,
            lines,
            document_sha256: tollbook_schemas::digest::sha256_hex(document.text.as_bytes()),
            stripe_total_minor: at_stripe.get(id.as_str()).copied(),
        };
        found.invoices.insert(document.body.partner_id.to_string(), invoice);
    }
    Ok(())
}
