//! Cells of a CSV that a spreadsheet would take for a formula: a customer's word is in them, and `=cmd|…` must stay a
//! word. Takes the rows of an answer; gives the same rows, with an apostrophe before each such text. Numbers are no
//! texts, so what is below zero stays as it is.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch, StringArray};
use arrow::datatypes::DataType;

/// What a spreadsheet begins a formula with, and what it skips before one.
const BEGINS_FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// The rows with texts that stay texts.
pub(super) fn as_texts(batch: &RecordBatch) -> anyhow::Result<RecordBatch> {
    let column = |column: &ArrayRef| -> ArrayRef {
        match column.data_type() {
            DataType::Utf8 => {
                Arc::new(column.as_string::<i32>().iter().map(|cell| cell.map(cell_of)).collect::<StringArray>())
            }
            _ => column.clone(),
        }
    };
    Ok(RecordBatch::try_new(batch.schema(), batch.columns().iter().map(column).collect())?)
}

fn cell_of(text: &str) -> String {
    if text.starts_with(BEGINS_FORMULA) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use arrow::array::Decimal128Array;

    use super::*;

    #[test]
    fn a_text_is_no_formula_and_a_number_is_a_number() {
        let texts = [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+1", "'+1"),
            ("-2+3", "'-2+3"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("Calls - late", "Calls - late"),
            ("{\"exact\":\"-1\"}", "{\"exact\":\"-1\"}"),
            ("", ""),
        ];
        let column: ArrayRef =
            Arc::new(texts.iter().map(|(text, _)| Some(*text)).chain([None]).collect::<StringArray>());
        let amounts: ArrayRef = Arc::new((0..9).map(|at| Some(-at)).collect::<Decimal128Array>());
        let batch =
            RecordBatch::try_from_iter_with_nullable([("text", column, true), ("amount", amounts.clone(), true)]);
        let safe = as_texts(&batch.unwrap()).unwrap();
        let found: Vec<Option<&str>> = safe.column(0).as_string::<i32>().iter().collect();
        assert_eq!(found, texts.iter().map(|(_, safe)| Some(*safe)).chain([None]).collect::<Vec<_>>());
        assert_eq!(safe.column(1), &amounts);
    }
}
