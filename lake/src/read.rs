//! Reading: every table and view as SQL, at the snapshots of one moment or as a run left them; small tables as rows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use datafusion::common::ScalarValue;
use datafusion::dataframe::DataFrame;
use datafusion::execution::context::{SQLOptions, SessionContext};
use datafusion::prelude::SessionConfig;
use tollbook_schemas::pin::Pin;
use tollbook_schemas::source::Source;
use tollbook_schemas::tables::{ALL, Row, Table, rejected, rows_of};
use tollbook_schemas::views::VIEWS;

use crate::error::LakeError;
use crate::open::Lake;
use crate::past::{INGESTED, PinnedTables};
use crate::question::refused;
use crate::scan::Scan;

impl Lake {
    /// A session that sees no table yet.
    ///
    /// # Errors
    /// [`LakeError`].
    pub fn empty_session(&self) -> Result<SessionContext, LakeError> {
        let mut config = SessionConfig::new().with_information_schema(true);
        // Strings stay plain: our readers and the tables' declarations agree on one layout.
        config.options_mut().execution.parquet.schema_force_view_types = false;
        config.options_mut().sql_parser.map_string_types_to_utf8view = false;
        Ok(SessionContext::new_with_config_rt(config, self.inner.runtime.clone()))
    }

    /// A session with every table, each at its newest version now, and every view. Of `rejected` it shows what counts:
    /// records below the frontier of the table that they were meant for.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn session(&self) -> Result<SessionContext, LakeError> {
        let context = self.empty_session()?;
        // The frontiers before the rows: what they passed is there by then.
        let mut now = PinnedTables::default();
        for def in INGESTED {
            now.pins.insert(def.name.to_owned(), self.pin(def).await?);
        }
        for def in ALL {
            match now.condition(def) {
                Some(condition) if def.name == rejected::TABLE.name => {
                    self.register_where(&context, def, &condition).await?;
                }
                _ => self.register(&context, def, None).await?,
            }
        }
        register_views(&context).await?;
        Ok(context)
    }

    /// A session with every table and view as a run left them: ingested tables up to the offsets that the run knew,
    /// whatever was compacted since; every other table at the version that the run recorded. A table whose version is
    /// gone is an error of the queries that read it, and of no other.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn session_at(&self, pinned: &PinnedTables) -> Result<SessionContext, LakeError> {
        let context = self.empty_session()?;
        for def in ALL {
            match pinned.condition(def) {
                Some(condition) => self.register_where(&context, def, &condition).await?,
                None => {
                    let version = pinned.versions.get(def.name).copied();
                    context.register_table(def.name, self.table_at(def, version).await?)?;
                }
            }
        }
        register_views(&context).await?;
        Ok(context)
    }

    /// Registers the rows of a table that meet an SQL condition under the table's own name.
    async fn register_where(
        &self,
        context: &SessionContext,
        def: &'static Table,
        condition: &str,
    ) -> Result<(), LakeError> {
        // The plan is made where the name still means the whole table.
        let whole = self.empty_session()?;
        self.register(&whole, def, None).await?;
        let rows = whole.sql(&format!("select * from {} where {condition}", def.name)).await?;
        context.register_table(def.name, rows.into_view())?;
        Ok(())
    }

    /// Registers one table with a session under its own name; `values` leaves only files of these partition values.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn register(
        &self,
        context: &SessionContext,
        def: &'static Table,
        values: Option<&[ScalarValue]>,
    ) -> Result<(), LakeError> {
        let handle = self.handle(def).await?;
        let mut handle = handle.lock().await;
        handle.refresh().await?;
        let scan = Scan::of(&mut handle)?;
        let scan = match values {
            Some(values) => scan.only(values),
            None => scan,
        };
        context.register_table(def.name, Arc::new(scan))?;
        Ok(())
    }

    /// The values of a table's partition column that have rows now, in order; none where the table has no such column.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn partition_values(&self, def: &'static Table) -> Result<Vec<ScalarValue>, LakeError> {
        let handle = self.handle(def).await?;
        let mut handle = handle.lock().await;
        handle.refresh().await?;
        Ok(Scan::of(&mut handle)?.values())
    }

    /// Registers one table with a session under its own name, with one column more: the data file that each row lies in
    /// now, as a path below the lake's root.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn register_with_files(
        &self,
        context: &SessionContext,
        def: &'static Table,
        column: &str,
    ) -> Result<(), LakeError> {
        let handle = self.handle(def).await?;
        let mut handle = handle.lock().await;
        handle.refresh().await?;
        context.register_table(def.name, Arc::new(Scan::of(&mut handle)?.with_locations(column)))?;
        Ok(())
    }

    /// All rows of a table that meet an SQL condition.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn rows(&self, def: &'static Table, condition: Option<&str>) -> Result<Vec<Row>, LakeError> {
        let context = self.empty_session()?;
        self.register(&context, def, None).await?;
        self.rows_in(&context, def, condition).await
    }

    /// All rows of a table, as a session has it, that meet an SQL condition.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn rows_in(
        &self,
        context: &SessionContext,
        def: &'static Table,
        condition: Option<&str>,
    ) -> Result<Vec<Row>, LakeError> {
        let columns: Vec<String> = def.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        let filter = condition.map(|condition| format!(" where {condition}")).unwrap_or_default();
        let batches = self.query(context, &format!("select {} from {}{filter}", columns.join(", "), def.name)).await?;
        let mut rows = Vec::new();
        for batch in &batches {
            rows.extend(rows_of(def, batch)?);
        }
        Ok(rows)
    }

    /// Runs one query.
    ///
    /// # Errors
    /// [`LakeError::Query`]; [`LakeError::Past`] where it reads a version that is gone.
    pub async fn query(&self, context: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>, LakeError> {
        Ok(context.sql(sql).await?.collect().await?)
    }

    /// Runs one query for people: an answer without rows has one empty batch, which tells its columns.
    ///
    /// # Errors
    /// [`LakeError::Sql`] where what was asked cannot be answered; else as [`Lake::query`].
    pub async fn answer(&self, context: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>, LakeError> {
        let rows = planned(context, sql).await?;
        let schema = Arc::new(rows.schema().as_arrow().clone());
        let mut batches = rows.collect().await.map_err(refused)?;
        if batches.is_empty() {
            batches.push(RecordBatch::new_empty(schema));
        }
        Ok(batches)
    }

    /// What is known of an ingested table now: the next offset of every partition of every source.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn pin(&self, def: &'static Table) -> Result<Pin, LakeError> {
        let mut pin = Pin::new();
        for (app_id, next) in self.txns(def).await? {
            if let Some((source, partition)) = Source::split_app_id(&app_id) {
                pin.set(source, partition, next);
            }
        }
        Ok(pin)
    }
}

async fn register_views(context: &SessionContext) -> Result<(), LakeError> {
    for view in VIEWS {
        context.sql(&format!("create view {} as {}", view.name, view.sql)).await?;
    }
    Ok(())
}

/// The plan of a query of a person: one that only reads. `create external table` would open any file of this machine,
/// `copy … to` write one, and `drop table` seem to have done something.
pub(crate) async fn planned(context: &SessionContext, sql: &str) -> Result<DataFrame, LakeError> {
    let only_reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    context.sql_with_options(sql, only_reads).await.map_err(refused)
}

/// The SQL condition that a row was known at a pin.
#[must_use]
pub fn pin_condition(pin: &Pin) -> String {
    let known: Vec<String> = pin
        .iter()
        .map(|(source, partition, next)| {
            let source = as_text(source.as_str());
            format!("(source = {source} and kafka_partition = {partition} and kafka_offset < {next})")
        })
        .collect();
    any_of(&known)
}

/// The SQL condition that a row was known at one pin and not yet at an earlier one. Partitions that did not move are
/// not in it, so what it costs follows what came.
#[must_use]
pub fn since_condition(known: &Pin, pin: &Pin) -> String {
    let came: Vec<String> = pin
        .iter()
        .filter_map(|(source, partition, next)| {
            let passed = known.next_offset(source, partition);
            if passed.is_some_and(|passed| passed >= next) {
                return None;
            }
            let from = passed.map(|passed| format!(" and kafka_offset >= {passed}")).unwrap_or_default();
            let source = as_text(source.as_str());
            Some(format!("(source = {source} and kafka_partition = {partition}{from} and kafka_offset < {next})"))
        })
        .collect();
    any_of(&came)
}

/// Conditions of which one must hold, as a tree of little depth: the planner walks a chain by recursion, and a lake of
/// some hundred files would take more stack than a thread has.
fn any_of(conditions: &[String]) -> String {
    match conditions {
        [] => "false".to_owned(),
        [one] => one.clone(),
        many => {
            let (one, other) = many.split_at(many.len() / 2);
            format!("({} or {})", any_of(one), any_of(other))
        }
    }
}

/// A text as an SQL literal.
#[must_use]
pub fn as_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// An SQL expression that somebody wrote, as a part of ours: whatever comment it ends with ends with its line.
#[must_use]
pub fn as_part(sql: &str) -> String {
    format!("({sql}\n)")
}

/// Batches as a table for people.
///
/// # Errors
/// [`LakeError::Query`].
pub fn as_table(batches: &[RecordBatch]) -> Result<String, LakeError> {
    let printed = pretty_format_batches(batches).map_err(|error| LakeError::Query(Box::new(error.into())))?;
    Ok(printed.to_string())
}

#[cfg(test)]
mod tests;
