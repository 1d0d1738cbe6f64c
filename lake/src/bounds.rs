//! What the log says of a data file: the least and the greatest value of its first columns. A query opens only files
//! in which its condition can hold, so what it costs follows what it asks for, not how long the table's history is.
//!
//! Bounds may be wider than the values (texts and times are cut short in the log, outwards), never narrower. A file
//! without them, or a column without, is always read.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNode as _;
use datafusion::common::{Column, DFSchema, DataFusionError, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_optimizer::pruning::{PruningPredicateBuilder, PruningStatistics};
use delta_kernel::expressions::Scalar;
use deltalake_core::kernel::LogicalFileView;

/// A live data file, with what the log says of its columns: `(column, least, greatest)`.
#[derive(Debug, Clone)]
pub(crate) struct Scanned {
    pub(crate) file: PartitionedFile,
    pub(crate) bounds: Vec<(String, ScalarValue, ScalarValue)>,
}

/// The bounds of a file's columns, of the kinds that conditions are made over.
pub(crate) fn bounds_of(file: &LogicalFileView, schema: &SchemaRef) -> Vec<(String, ScalarValue, ScalarValue)> {
    let (Some(Scalar::Struct(least)), Some(Scalar::Struct(greatest))) = (file.min_values(), file.max_values()) else {
        return Vec::new();
    };
    let of_greatest = |name: &str| {
        greatest.fields().iter().zip(greatest.values()).find(|(field, _)| field.name() == name).map(|(_, value)| value)
    };
    least
        .fields()
        .iter()
        .zip(least.values())
        .filter_map(|(field, least)| {
            let kind = schema.field_with_name(field.name()).ok()?.data_type();
            let (least, greatest) = (value_of(least, kind)?, value_of(of_greatest(field.name())?, kind)?);
            Some((field.name().clone(), least, greatest))
        })
        .collect()
}

/// A value of the log as one of the table's own type.
fn value_of(value: &Scalar, kind: &DataType) -> Option<ScalarValue> {
    match (value, kind) {
        (Scalar::Integer(value), DataType::Int32) => Some(ScalarValue::Int32(Some(*value))),
        (Scalar::Long(value), DataType::Int64) => Some(ScalarValue::Int64(Some(*value))),
        (Scalar::String(value), DataType::Utf8) => Some(ScalarValue::Utf8(Some(value.clone()))),
        (Scalar::Timestamp(value), DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, zone)) => {
            Some(ScalarValue::TimestampMicrosecond(Some(*value), zone.clone()))
        }
        _ => None,
    }
}

/// The files of which some row may meet all of these conditions; `schema` ends with `partition`, the columns whose
/// values the files have in common. Files are chosen by conditions over columns as they are: a cast may keep no order
/// (a time of day does not), and then the bounds of a file say nothing of it. What cannot be asked is asked of every
/// row.
pub(crate) fn that_may_meet(
    files: &[Arc<Scanned>],
    filters: &[Expr],
    schema: &SchemaRef,
    state: &dyn Session,
) -> Result<Vec<Arc<Scanned>>, DataFusionError> {
    let has_cast = |filter: &Expr| filter.exists(|part| Ok(matches!(part, Expr::Cast(_) | Expr::TryCast(_))));
    let plain = filters.iter().filter(|filter| !has_cast(filter).unwrap_or(true)).cloned();
    let Some(condition) = conjunction(plain) else { return Ok(files.to_vec()) };
    let condition = state.create_physical_expr(condition, &DFSchema::try_from(schema.as_ref().clone())?)?;
    let predicate = PruningPredicateBuilder::new().with_file_schema(schema.clone()).try_build(condition);
    let Ok(predicate) = predicate else { return Ok(files.to_vec()) };
    if predicate.always_true() {
        return Ok(files.to_vec());
    }
    let Ok(kept) = predicate.prune(&Known { files, schema }) else { return Ok(files.to_vec()) };
    Ok(files.iter().zip(kept).filter(|(_, kept)| *kept).map(|(file, _)| file.clone()).collect())
}

struct Known<'a> {
    files: &'a [Arc<Scanned>],
    schema: &'a SchemaRef,
}

impl Known<'_> {
    fn each(&self, column: &Column, of: fn(&(String, ScalarValue, ScalarValue)) -> &ScalarValue) -> Option<ArrayRef> {
        let at = self.schema.index_of(&column.name).ok()?;
        let unknown = ScalarValue::try_new_null(self.schema.field(at).data_type()).ok()?;
        let values = self.files.iter().map(|scanned| {
            // Columns that a whole file has in common stand behind those that it holds.
            let common = scanned.file.partition_values.len();
            if let Some(value) = (at + common).checked_sub(self.schema.fields().len()) {
                return scanned.file.partition_values.get(value).cloned().unwrap_or_else(|| unknown.clone());
            }
            let known = scanned.bounds.iter().find(|(name, _, _)| *name == column.name);
            known.map_or_else(|| unknown.clone(), |known| of(known).clone())
        });
        ScalarValue::iter_to_array(values).ok()
    }
}

impl PruningStatistics for Known<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.each(column, |(_, least, _)| least)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.each(column, |(_, _, greatest)| greatest)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, _: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _: &Column, _: &std::collections::HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

#[cfg(test)]
mod tests;
