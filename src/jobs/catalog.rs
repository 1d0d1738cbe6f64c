//! Catalogs as the lake keeps them: kept by every job that computes with one, read again by hash, compared.

pub mod coverage;
pub mod diff;
pub mod frozen;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use chrono::{DateTime, Utc};
use tollbook_billing::draft::{ChangedTerms, TermsChanges, changed_terms};
use tollbook_lake::as_text;
use tollbook_schemas::catalog::{Catalog, KeptError, Problem};
use tollbook_schemas::id::ProductId;
use tollbook_schemas::period::print_instant;
use tollbook_schemas::tables::catalog::CATALOG_FILE;
use tollbook_schemas::tables::{Cells, Row, access_log};

use crate::configuration::ConfigurationError;
use crate::context::JobContext;

/// How many letters of a hash must be given at least.
const PREFIX_MIN: usize = 4;

/// Kept catalogs that an error lists.
const LISTED_MAX: usize = 10;

/// Keeps a catalog, before anything is computed with it. Once more adds nothing.
///
/// # Errors
/// The lake's.
pub async fn keep(context: &JobContext, catalog: &Catalog) -> anyhow::Result<()> {
    let rows = catalog.to_rows(context.clock.now());
    // On the heap: the jobs around it are nested deeply already, and a thread's stack is small.
    Box::pin(context.lake.append_missing(&CATALOG_FILE, &rows)).await?;
    Ok(())
}

/// What of the present catalog would make another past than the catalogs did that documents were rated with. Of one
/// that was not kept nobody knows.
///
/// # Errors
/// The lake's; kept catalogs that are damaged.
pub async fn changes_since_kept(context: &JobContext, catalog: &Catalog) -> anyhow::Result<TermsChanges> {
    let mut found = TermsChanges::new();
    let mut kept = Vec::new();
    for sha256 in frozen::other_catalogs(context, &catalog.sha256).await? {
        match read_kept_partly(context, &sha256).await {
            Ok((then, _)) => kept.push(then),
            Err(error) if matches!(error.downcast_ref(), Some(KeptError::Missing { .. })) => {
                let unknown = || vec![ChangedTerms::of_everything("it is not known what of the catalog changed")];
                found.extend(catalog.issuers.keys().map(|issuer| ((sha256.clone(), issuer.clone()), unknown())));
            }
            Err(error) => return Err(error),
        }
    }
    let rules = catalog.product_rules();
    let changed = kept.iter().flat_map(|then| then.product_rules().changed_hints(&rules)).collect();
    let hints = hinted(context, &changed).await?;
    found.extend(kept.iter().flat_map(|then| changed_terms(then, catalog, &hints)));
    Ok(found)
}

/// Which of some products requests were ever hinted to be of, by their gateway.
async fn hinted(context: &JobContext, products: &BTreeSet<ProductId>) -> anyhow::Result<BTreeSet<ProductId>> {
    if products.is_empty() {
        return Ok(BTreeSet::new());
    }
    let session = context.lake.empty_session()?;
    context.lake.register(&session, &access_log::TABLE, None).await?;
    let names: Vec<String> = products.iter().map(|product| as_text(product.as_str())).collect();
    let sql = format!("select distinct product_hint from access_log where product_hint in ({})", names.join(", "));
    let mut hinted = BTreeSet::new();
    for batch in context.lake.query(&session, &sql).await? {
        let cells = Cells::of(&access_log::TABLE, &batch, "product_hint")?;
        for row in 0..batch.num_rows() {
            hinted.insert(ProductId::parse(cells.some_text(row)?)?);
        }
    }
    Ok(hinted)
}

/// A kept catalog, by its whole hash.
///
/// # Errors
/// The lake's; a [`tollbook_schemas::catalog::KeptError`].
pub async fn read_kept(context: &JobContext, sha256: &str) -> anyhow::Result<Catalog> {
    Ok(Catalog::of_rows(sha256, &rows_of(context, sha256).await?)?)
}

/// As [`read_kept`], with what today's rules refuse left out and told.
async fn read_kept_partly(context: &JobContext, sha256: &str) -> anyhow::Result<(Catalog, Vec<Problem>)> {
    Ok(Catalog::of_rows_partly(sha256, &rows_of(context, sha256).await?)?)
}

async fn rows_of(context: &JobContext, sha256: &str) -> anyhow::Result<Vec<Row>> {
    let condition = format!("catalog_sha256 = {}", as_text(sha256));
    Ok(context.lake.rows(&CATALOG_FILE, Some(&condition)).await?)
}

/// The whole hash of a kept catalog, from its first letters.
async fn kept_by_prefix(context: &JobContext, prefix: &str) -> anyhow::Result<String> {
    let mut kept: BTreeMap<String, DateTime<Utc>> = BTreeMap::new();
    for row in context.lake.rows(&CATALOG_FILE, None).await? {
        if let (Some(sha256), Some(at)) = (row.text("catalog_sha256"), row.instant("kept_at")) {
            kept.insert(sha256.to_owned(), at);
        }
    }
    let fitting: Vec<&String> = kept.keys().filter(|sha256| sha256.starts_with(prefix)).collect();
    match fitting.as_slice() {
        [one] if prefix.len() >= PREFIX_MIN => Ok((*one).clone()),
        [] => bail!(ConfigurationError(format!(
            "{prefix} is neither a folder nor the hash of a kept catalog; {}",
            match listed(&kept) {
                list if list.is_empty() => "none was kept yet: `tollbook aggregate` keeps the present one".to_owned(),
                list => format!("there are {list}"),
            }
        ))),
        _ => bail!(ConfigurationError(format!(
            "{prefix} does not tell one kept catalog; give more of its hash (at least {PREFIX_MIN} letters): there are \
             {}",
            listed(&kept)
        ))),
    }
}

/// The newest kept catalogs, with the time from which each was used.
fn listed(kept: &BTreeMap<String, DateTime<Utc>>) -> String {
    let mut by_time: Vec<_> = kept.iter().collect();
    by_time.sort_by_key(|(sha256, at)| (std::cmp::Reverse(**at), *sha256));
    let told = by_time.iter().take(LISTED_MAX);
    let told: Vec<String> = told
        .map(|(sha256, at)| format!("{} (from {})", &sha256[..12.min(sha256.len())], print_instant(**at)))
        .collect();
    let more = by_time.len().saturating_sub(LISTED_MAX);
    if more > 0 { format!("{} and {more} older ones", told.join(", ")) } else { told.join(", ") }
}
