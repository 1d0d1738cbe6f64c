//! How much traffic the products of a catalog cover: requests by product, those of no product, and those that the rules
//! of several products fit. Takes the lake, a pin, a catalog (not only the one that `usage` was computed with) and a
//! period; gives counts of requests, each once (I2), whoever they are of. Every request is in exactly one count of
//! [`Coverage::products`] (I9).

use std::collections::BTreeMap;

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use datafusion::execution::context::SessionContext;
use tollbook_lake::{Lake, as_text, pin_condition};
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::catalog::route::ProductRules;
use tollbook_schemas::period::Period;
use tollbook_schemas::pin::Pin;
use tollbook_schemas::registry::Registry;
use tollbook_schemas::tables::access_log;

use crate::arrival;
use crate::attribution::{self, instant_sql};
use crate::contested::contested_at;
use crate::error::AggregateError;
use crate::exact::text_at;
use crate::product::{UNMAPPED, condition};
use crate::touched::whole_hours;

/// Requests of one product.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Covered {
    /// All of them.
    pub requests: i64,
    /// Those whose product the gateway named.
    pub hinted: i64,
}

/// Requests for which a product was decided though another one's rule fits them too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Overlap {
    /// The product that they are for.
    pub won: String,
    /// The other one.
    pub other: String,
    /// Whether the gateway's word decided, and not the more specific rule.
    pub by_hint: bool,
}

/// Requests of no product that look alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmapped {
    /// Host, as rules see it.
    pub host: Option<String>,
    /// Method, in capitals.
    pub method: Option<String>,
    /// The first parts of the path.
    pub route: Option<String>,
    /// How many.
    pub requests: i64,
}

/// What a catalog covers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Requests by product; those of none are `unmapped`.
    pub products: BTreeMap<String, Covered>,
    /// Requests that several products' rules fit. A request that three of them fit is in two pairs, each with the
    /// winner.
    pub overlaps: BTreeMap<Overlap, i64>,
    /// The largest groups of `unmapped`.
    pub unmapped: Vec<Unmapped>,
    /// How many groups there are.
    pub unmapped_groups: i64,
}

impl Coverage {
    /// All requests.
    #[must_use]
    pub fn requests(&self) -> i64 {
        self.products.values().map(|covered| covered.requests).sum()
    }

    /// Requests of no product.
    #[must_use]
    pub fn unmapped_requests(&self) -> i64 {
        self.products.get(UNMAPPED).map_or(0, |covered| covered.requests)
    }
}

/// What is looked at, and how closely.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// From whole hour to whole hour; everything where it is `None`.
    pub period: Option<Period>,
    /// Parts of the path by which unmapped requests are grouped.
    pub depth: u32,
    /// Groups that are listed.
    pub top: u32,
}

/// Counts the requests below a pin.
///
/// # Errors
/// [`AggregateError`].
pub async fn coverage(lake: &Lake, catalog: &Catalog, pin: &Pin, look: Look) -> Result<Coverage, AggregateError> {
    let context = lake.empty_session()?;
    lake.register(&context, &access_log::TABLE, None).await?;
    let within = look.period.map_or(String::new(), |period| {
        let (start, end) = (instant_sql(period.start), instant_sql(period.end));
        format!(" and occurred_at >= {start} and occurred_at < {end}")
    });
    let condition = format!("{}{within}", pin_condition(pin));
    let contested = contested_at(lake, pin).await?;
    let around = look.period.map(whole_hours).transpose()?.map(|around| [around]);
    arrival::register(lake, &context, pin, &condition, around.as_ref().map(|around| &around[..]), &contested).await?;
    // Whose a request is makes no difference to its product, so nobody is known here, and nothing is cut.
    let nowhen = Period { start: attribution::FAR, end: attribution::FAR };
    attribution::register(&context, &Registry::default(), catalog, nowhen, &condition).await?;
    let mut coverage = Coverage::default();
    by_product(lake, &context, &catalog.product_rules(), &mut coverage).await?;
    by_group(lake, &context, look, &mut coverage).await?;
    Ok(coverage)
}

async fn by_product(
    lake: &Lake,
    context: &SessionContext,
    rules: &ProductRules,
    coverage: &mut Coverage,
) -> Result<(), AggregateError> {
    let mut conditions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (product, rule) in rules.rules() {
        conditions.entry(product.as_str()).or_default().push(condition(rule));
    }
    let fits: String = conditions
        .iter()
        .map(|(product, conditions)| format!(", case when {} then {} end", conditions.join(" or "), as_text(product)))
        .collect();
    // An id has no space.
    let sql = format!(
        "select product_id, by_hint, fits, count(*) from (
           select product_id, coalesce(product_hint = product_id, false) as by_hint, concat_ws(' ', ''{fits}) as fits
           from attributed where delivery = 1)
         group by product_id, by_hint, fits"
    );
    for batch in lake.query(context, &sql).await? {
        let (hinted, counts) = (batch.column(1).as_boolean(), batch.column(3).as_primitive::<Int64Type>());
        for row in 0..batch.num_rows() {
            let (won, requests) = (text_at(batch.column(0), row).unwrap_or(UNMAPPED), counts.value(row));
            let by_hint = hinted.value(row);
            let covered = coverage.products.entry(won.to_owned()).or_default();
            covered.requests += requests;
            covered.hinted += if by_hint { requests } else { 0 };
            let others = text_at(batch.column(2), row).unwrap_or_default().split_ascii_whitespace();
            for other in others.filter(|other| *other != won) {
                let overlap = Overlap { won: won.to_owned(), other: other.to_owned(), by_hint };
                *coverage.overlaps.entry(overlap).or_default() += requests;
            }
        }
    }
    Ok(())
}

async fn by_group(
    lake: &Lake,
    context: &SessionContext,
    look: Look,
    coverage: &mut Coverage,
) -> Result<(), AggregateError> {
    // The path begins with a slash, so its first part is empty.
    let part = |at: u32| {
        format!("case when split_part(path, '/', {at}) = '' then '' else '/' || split_part(path, '/', {at}) end")
    };
    let parts: Vec<String> = (2..look.depth.saturating_add(2)).map(part).collect();
    let groups = format!(
        "select host, method, route, count(*) as requests from (
           select lower(split_part(host, ':', 1)) as host, upper(method) as method,
             case when path is null then null else coalesce(nullif({}, ''), '/') end as route
           from attributed where delivery = 1 and product_id = {})
         group by host, method, route",
        if parts.is_empty() { "''".to_owned() } else { parts.join(" || ") },
        as_text(UNMAPPED)
    );
    for batch in lake.query(context, &format!("select count(*) from ({groups})")).await? {
        coverage.unmapped_groups += batch.column(0).as_primitive::<Int64Type>().values().iter().sum::<i64>();
    }
    let largest = format!("{groups} order by requests desc, host, method, route limit {}", look.top);
    for batch in lake.query(context, &largest).await? {
        let counts = batch.column(3).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let text = |column: usize| text_at(batch.column(column), row).map(str::to_owned);
            let requests = counts.value(row);
            coverage.unmapped.push(Unmapped { host: text(0), method: text(1), route: text(2), requests });
        }
    }
    Ok(())
}
