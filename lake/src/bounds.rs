//! What the log says of a data file: the least and the greatest value of its first columns. A query opens only files
//! in which its condition can hold, so what it costs follows what it asks for, not how long the table's history is.
//!
//! Bounds may be wider than the values (texts and times are cut short in the log, outwards), never narrower. A file
//! without them, or a column without, is always read.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::{Column, DFSchema, DataFusionError, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::logical_expr::Expr;
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
/// values the files have in common.
pub(crate) fn that_may_meet(
    files: &[Arc<Scanned>],
    condition: Expr,
    schema: &SchemaRef,
    state: &dyn Session,
) -> Result<Vec<Arc<Scanned>>, DataFusionError> {
    let condition = state.create_physical_expr(condition, &DFSchema::try_from(schema.as_ref().clone())?)?;
    let predicate = PruningPredicateBuilder::new().with_file_schema(schema.clone()).try_build(condition)?;
    if predicate.always_true() {
        return Ok(files.to_vec());
    }
    let kept = predicate.prune(&Known { files, schema })?;
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
