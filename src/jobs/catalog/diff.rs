//! `tollbook catalog diff A B`: what is different between two catalogs, and for whom.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use arrow::array::AsArray as _;
use arrow::datatypes::TimestampMicrosecondType;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tollbook_aggregate::read_registry;
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::catalog::diff::{Affected, EntryChange, Subscribers, affected, diff};
use tollbook_schemas::id::SubscriptionId;
use tollbook_schemas::period::print_instant;
use tollbook_schemas::tables::billing::{INVOICE, INVOICE_EVENT, INVOICE_LINE};

use super::{kept_by_prefix, read_kept};
use crate::context::{JobContext, read_catalog};
use crate::output::table;

/// What is different between two catalogs.
#[derive(Debug)]
pub struct Compared {
    old_sha256: String,
    new_sha256: String,
    changes: Vec<EntryChange>,
    affected: Vec<Affected>,
}

/// Compares two catalogs: each a folder, or the first letters of a kept catalog's hash; the second is the configured
/// folder where it is not given. Writes nothing.
///
/// # Errors
/// A name that is neither; a catalog with problems; the lake's.
pub async fn compare(context: &JobContext, old: &str, new: Option<&str>) -> anyhow::Result<Compared> {
    let old = named(context, old).await?;
    let new = match new {
        Some(new) => named(context, new).await?,
        None => context.catalog()?,
    };
    let (_, events) = context.pins().await?;
    let registry = read_registry(&context.lake, &events, None).await?;
    let billed_until = billed_until(context).await?;
    let who = Subscribers {
        subscriptions: &registry.subscriptions,
        contracts: &registry.contracts,
        billed_until: &billed_until,
    };
    let affected = affected(&old, &new, who)?;
    Ok(Compared { changes: diff(&old, &new), affected, old_sha256: old.sha256, new_sha256: new.sha256 })
}

/// A catalog by a folder, or by the first letters of a kept one's hash.
pub(crate) async fn named(context: &JobContext, name: &str) -> anyhow::Result<Catalog> {
    match Path::new(name).is_dir() {
        true => read_catalog(Path::new(name)),
        false => read_kept(context, &kept_by_prefix(context, name).await?).await,
    }
}

/// The end of what was issued, by subscription.
async fn billed_until(context: &JobContext) -> anyhow::Result<BTreeMap<SubscriptionId, DateTime<Utc>>> {
    let session = context.lake.empty_session()?;
    context.lake.register(&session, &INVOICE_EVENT, None).await?;
    context.lake.register(&session, &INVOICE_LINE, None).await?;
    // What is billed in advance lies behind the document's period, and its usage is not billed yet.
    context.lake.register(&session, &INVOICE, None).await?;
    let sql = "select l.subscription_id, max(least(l.period_end, i.period_end)) from invoice_line l join invoice_event e \
               on e.invoice_id = l.invoice_id and e.kind = 'issued' join invoice i on i.invoice_id = l.invoice_id where l.subscription_id is not null group by 1";
    let mut until = BTreeMap::new();
    for batch in context.lake.query(&session, sql).await? {
        let ids = batch.column(0).as_string::<i32>();
        let ends = batch.column(1).as_primitive::<TimestampMicrosecondType>();
        for row in 0..batch.num_rows() {
            let id = SubscriptionId::parse(ids.value(row)).context("invoice_line.subscription_id")?;
            let end = DateTime::from_timestamp_micros(ends.value(row)).context("invoice_line.period_end")?;
            until.insert(id, end);
        }
    }
    Ok(until)
}

impl Compared {
    /// For people.
    #[must_use]
    pub fn shown(&self) -> String {
        if self.changes.is_empty() {
            return if self.old_sha256 == self.new_sha256 {
                format!("nothing changes: both are catalog {}", short(&self.new_sha256))
            } else {
                let (old, new) = (short(&self.old_sha256), short(&self.new_sha256));
                format!("nothing changes: {old} and {new} say the same in other words")
            };
        }
        let mut shown = vec![format!("from catalog {} to {}\n", short(&self.old_sha256), short(&self.new_sha256))];
        shown.push(table(
            &["entry", "change", "key", "old", "new"],
            &self.changes.iter().flat_map(cells).collect::<Vec<_>>(),
        ));
        if self.affected.is_empty() {
            shown.push("\nnobody is affected: no subscription has a period left that is billed otherwise".to_owned());
            return shown.join("\n");
        }
        let rows: Vec<Vec<String>> = self
            .affected
            .iter()
            .map(|one| {
                vec![
                    one.partner_id.to_string(),
                    one.subscription_id.to_string(),
                    one.plan_id.to_string(),
                    one.month.to_string(),
                    one.because.join("; "),
                ]
            })
            .collect();
        shown.push(format!("\n{}", table(&["partner", "subscription", "plan", "first period", "because"], &rows)));
        shown.join("\n")
    }

    /// For machines: one object.
    #[must_use]
    pub fn json(&self) -> Value {
        let changes = self.changes.iter().map(|entry| {
            let fields = entry.fields.iter();
            json!({ "section": entry.section.as_str(), "id": entry.id, "version": entry.version,
                "change": entry.change.as_str(), "compared_with": entry.compared_with,
                "fields": fields.map(|field| json!({ "key": field.name(), "old": field.old, "new": field.new }))
                    .collect::<Vec<_>>() })
        });
        let affected = self.affected.iter().map(|one| {
            json!({ "partner_id": one.partner_id, "subscription_id": one.subscription_id, "plan_id": one.plan_id,
                "first_period": one.month, "from": print_instant(one.period.start),
                "to": print_instant(one.period.end), "because": one.because })
        });
        json!({ "old_sha256": self.old_sha256, "new_sha256": self.new_sha256, "same": self.changes.is_empty(),
            "changes": changes.collect::<Vec<_>>(), "affected": affected.collect::<Vec<_>>() })
    }
}

/// A row for each key; what it belongs to stands in the first.
fn cells(entry: &EntryChange) -> Vec<Vec<String>> {
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let version = entry.version.map(|version| format!(" version {version}")).unwrap_or_default();
    let name = format!("{} {}{version}", entry.section.as_str(), entry.id);
    let change = match entry.compared_with {
        Some(before) => format!("{}, against version {before}", entry.change.as_str()),
        None => entry.change.as_str().to_owned(),
    };
    let row = |(at, field): (usize, &tollbook_schemas::catalog::diff::FieldChange)| {
        let head = if at == 0 { (name.clone(), change.clone()) } else { (String::new(), String::new()) };
        vec![head.0, head.1, field.name(), dash(&field.old), dash(&field.new)]
    };
    entry.fields.iter().enumerate().map(row).collect()
}

fn short(sha256: &str) -> &str {
    &sha256[..12.min(sha256.len())]
}
