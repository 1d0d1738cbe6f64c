//! What is in the tables, held against the ledger: invariant I1, each (offset, index) of each partition exactly once
//! in `access_log` or `rejected`.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::AsArray as _;
use arrow::datatypes::{Int32Type, Int64Type};
use tollbook_lake::{Lake, as_text};
use tollbook_schemas::tables::{access_log, rejected};

use crate::ledger::{Ledger, Place};

/// Every record of a source in the tables: event id where it was accepted, `None` where it was rejected.
pub struct Catch {
    /// As often as they are there.
    pub records: Vec<(Place, Option<String>)>,
}

impl Catch {
    /// Reads both tables of a lake.
    pub fn read(lake: &Path, source: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let lake = Lake::open(lake.to_str().unwrap()).unwrap();
            let mut records = Vec::new();
            for (table, id) in [(&access_log::TABLE, "event_id"), (&rejected::TABLE, "cast(null as varchar)")] {
                let context = lake.empty_session().unwrap();
                lake.register(&context, table, None).await.unwrap();
                let sql = format!(
                    "select kafka_partition, kafka_offset, record_index, {id} from {} where source = {}",
                    table.name,
                    as_text(source),
                );
                for batch in lake.query(&context, &sql).await.unwrap() {
                    let partitions = batch.column(0).as_primitive::<Int32Type>();
                    let offsets = batch.column(1).as_primitive::<Int64Type>();
                    let indices = batch.column(2).as_primitive::<Int32Type>();
                    let ids: Vec<Option<String>> = (0..batch.num_rows())
                        .map(|row| {
                            let text = arrow::util::display::array_value_to_string(batch.column(3), row).unwrap();
                            (table.name == access_log::TABLE.name).then_some(text)
                        })
                        .collect();
                    for (row, id) in ids.into_iter().enumerate() {
                        records.push(((partitions.value(row), offsets.value(row), indices.value(row)), id));
                    }
                }
            }
            Self { records }
        })
    }

    /// Holds it against the ledger.
    pub fn against(&self, ledger: &Ledger) -> Differences {
        let mut found: BTreeMap<Place, Vec<&Option<String>>> = BTreeMap::new();
        for (place, id) in &self.records {
            found.entry(*place).or_default().push(id);
        }
        let mut differences = Differences::default();
        let mut tell = |place: &Place, what: String| {
            if differences.first.len() < 10 {
                differences.first.push(format!("{place:?}: {what}"));
            }
        };
        for (place, expected) in &ledger.records {
            match found.remove(place).as_deref() {
                None => {
                    differences.missing += 1;
                    tell(place, "is missing".to_owned());
                }
                Some([one]) if *one == expected => {}
                Some([other]) => {
                    differences.otherwise += 1;
                    tell(place, format!("is {other:?}, not {expected:?}"));
                }
                Some(many) => {
                    differences.doubled += 1;
                    tell(place, format!("is there {} times", many.len()));
                }
            }
        }
        for place in found.keys() {
            differences.unknown += 1;
            tell(place, "was never produced".to_owned());
        }
        differences
    }
}

/// How tables and ledger differ.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Records that are there more than once.
    pub doubled: usize,
    /// Records that are not there.
    pub missing: usize,
    /// Records that are there and were never produced.
    pub unknown: usize,
    /// Records in the wrong table, or with another record's event id.
    pub otherwise: usize,
    /// The first few, in words.
    pub first: Vec<String>,
}
