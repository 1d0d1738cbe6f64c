//! Arrow to Parquet in memory, with the lake's own properties and cut by day as the lake cuts it: what encoding costs
//! without a file, a log, a commit.

use arrow::array::{AsArray as _, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::compute::kernels::cmp::eq;
use arrow::datatypes::Date32Type;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

/// Column by which the lake cuts `access_log`; it stands in the folder's name and not in the file.
const DAY: &str = "event_date";

/// The rows of each day, without the day.
pub fn by_day(batch: &RecordBatch) -> Vec<RecordBatch> {
    let at = batch.schema().index_of(DAY).unwrap();
    let column = batch.column(at).as_primitive::<Date32Type>();
    let mut days: Vec<i32> = column.values().to_vec();
    days.sort_unstable();
    days.dedup();
    let others: Vec<usize> = (0..batch.num_columns()).filter(|column| *column != at).collect();
    let rest = batch.project(&others).unwrap();
    let of_day = |day: &i32| {
        let scalar = arrow::array::Date32Array::new_scalar(*day);
        filter_record_batch(&rest, &eq(column, &scalar).unwrap()).unwrap()
    };
    if days.len() == 1 { vec![rest] } else { days.iter().map(of_day).collect() }
}

/// One Parquet file in memory.
pub fn parquet(batch: &RecordBatch, properties: WriterProperties) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}
