//! A history of traffic: one simulated month, again and again, each 30 days later and with ids of its own. One commit a
//! day, a file for each of four partitions.

// Each benchmark uses its own part of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray as _, Date32Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt32Array,
};
use arrow::compute::{concat_batches, sort_to_indices, take_record_batch};
use arrow::datatypes::{Date32Type, Int32Type, TimestampMicrosecondType};
use tollbook_ingest::Decoder;
use tollbook_lake::{CHECKPOINT_ENTRIES, Lake, Outcome, Part, TxnStep};
use tollbook_schemas::tables::{access_log, partner_event};
use tollbook_simulate::World;

use crate::inputs;

const DAY_MICROS: i64 = 86_400_000_000;
/// Days of one month of history.
const DAYS: i64 = 30;

/// One month of traffic in the order of its requests, with the rows of each day.
pub struct Month {
    rows: RecordBatch,
    pub days: Vec<Range<usize>>,
}

impl Month {
    pub fn of(world: &World) -> Self {
        let mut partitions = inputs::Partitions::new(inputs::door(Decoder::Native, "access"));
        let (mut offsets, mut batches) = (BTreeMap::<i32, i64>::new(), Vec::new());
        let mut keep = |sealed: Vec<(i32, tollbook_ingest::bench::Decoded)>| {
            batches.extend(sealed.into_iter().filter_map(|(_, part)| part.accepted));
        };
        for message in world.traffic() {
            let offset = offsets.entry(message.partition).or_default();
            let (arrived, payload) = (inputs::arrived(&message), message.payload.as_deref());
            if let Some(sealed) = partitions.push(message.partition, *offset, arrived, payload, &message.headers) {
                keep(sealed);
            }
            *offset += 1;
        }
        keep(partitions.seal());
        let rows = concat_batches(&access_log::TABLE.arrow_schema(), &batches).unwrap();
        let order = sort_to_indices(rows.column_by_name("occurred_at").unwrap(), None, None).unwrap();
        let rows = take_record_batch(&rows, &order).unwrap();
        let dates = rows.column_by_name("event_date").unwrap().as_primitive::<Date32Type>().values();
        // The days of a month; what is stamped long before or after is none of them.
        let first = dates[dates.len() / 2] - 15;
        let mut days = Vec::new();
        for day in first..first + i32::try_from(DAYS).unwrap() {
            days.push(dates.partition_point(|date| *date < day)..dates.partition_point(|date| *date <= day));
        }
        Self { rows, days }
    }

    pub fn rows_total(&self) -> usize {
        self.days.last().unwrap().end - self.days[0].start
    }

    /// Some rows of this month, `months` later, as parts of a commit that continues from `next`.
    pub fn parts(&self, chosen: &[(usize, usize)], next: &mut BTreeMap<i32, i64>) -> Vec<Part> {
        let partition = self.rows.column_by_name("kafka_partition").unwrap().as_primitive::<Int32Type>();
        let mut of_partitions: BTreeMap<i32, Vec<(usize, usize)>> = BTreeMap::new();
        for (months, row) in chosen {
            of_partitions.entry(partition.value(*row)).or_default().push((*months, *row));
        }
        let each = of_partitions.into_iter().map(|(partition, chosen)| {
            let expected = next.get(&partition).copied();
            let from = expected.unwrap_or(0);
            let to = from + i64::try_from(chosen.len()).unwrap();
            next.insert(partition, to);
            let step = TxnStep { app_id: inputs::source("access").app_id(partition), expected, next: to };
            Part { step, batches: vec![self.shifted(&chosen, from)] }
        });
        each.collect()
    }

    fn shifted(&self, chosen: &[(usize, usize)], from: i64) -> RecordBatch {
        let indices: UInt32Array = chosen.iter().map(|(_, row)| Some(u32::try_from(*row).unwrap())).collect();
        let rows = take_record_batch(&self.rows, &indices).unwrap();
        let later: Vec<i64> =
            chosen.iter().map(|(months, _)| i64::try_from(*months).unwrap() * DAYS * DAY_MICROS).collect();
        let schema = rows.schema();
        let columns = schema.fields().iter().zip(rows.columns()).map(|(field, column)| -> ArrayRef {
            match field.name().as_str() {
                "kafka_offset" => Arc::new(Int64Array::from_iter_values((from..).take(chosen.len()))),
                "record_index" => Arc::new(Int32Array::from(vec![0; chosen.len()])),
                "occurred_at" | "received_at" => {
                    let instants = column.as_primitive::<TimestampMicrosecondType>().values();
                    let shifted = instants.iter().zip(&later).map(|(at, later)| at + later);
                    Arc::new(TimestampMicrosecondArray::from_iter_values(shifted).with_timezone("UTC"))
                }
                "event_date" => {
                    let dates = column.as_primitive::<Date32Type>().values();
                    let days = |later: &i64| i32::try_from(later / DAY_MICROS).unwrap();
                    Arc::new(Date32Array::from_iter_values(
                        dates.iter().zip(&later).map(|(date, later)| date + days(later)),
                    ))
                }
                "event_id" | "corrects_event_id" => {
                    let ids = column.as_string::<i32>().iter();
                    let own = ids.zip(chosen).map(|(id, (months, _))| id.map(|id| format!("{months}-{id}")));
                    Arc::new(own.collect::<StringArray>())
                }
                _ => column.clone(),
            }
        });
        RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
    }
}

pub async fn commit(lake: &Lake, parts: Vec<Part>) {
    let outcomes = lake.append_parts(&access_log::TABLE, &parts).await.unwrap();
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Committed), "{outcomes:?}");
}

/// The partner events of the world.
async fn take_in_events(lake: &Lake, world: &World) {
    let mut partitions = inputs::Partitions::new(inputs::door(Decoder::CloudEvents, "lifecycle"));
    let mut offsets = BTreeMap::<i32, i64>::new();
    for message in world.lifecycle_messages() {
        let offset = offsets.entry(message.partition).or_default();
        let (arrived, payload) = (inputs::arrived(&message), message.payload.as_deref());
        assert!(partitions.push(message.partition, *offset, arrived, payload, &message.headers).is_none());
        *offset += 1;
    }
    let part = |(partition, part): (i32, tollbook_ingest::bench::Decoded)| {
        let app_id = inputs::source("lifecycle").app_id(partition);
        let step = TxnStep { app_id, expected: None, next: part.to };
        Part { step, batches: part.accepted.into_iter().collect() }
    };
    let parts: Vec<Part> = partitions.seal().into_iter().map(part).collect();
    lake.append_parts(&partner_event::TABLE, &parts).await.unwrap();
}

/// A lake with the partner events and these days, one commit each.
pub async fn write_history(
    root: &Path,
    world: &World,
    month: &Month,
    days: impl IntoIterator<Item = Vec<(usize, usize)>>,
) {
    let _ = std::fs::remove_dir_all(root);
    let lake = Lake::open(&root.display().to_string()).unwrap();
    take_in_events(&lake, world).await;
    let mut next = BTreeMap::new();
    for day in days.into_iter().filter(|day| !day.is_empty()) {
        commit(&lake, month.parts(&day, &mut next)).await;
        // As ingest does.
        lake.checkpoint(&access_log::TABLE, CHECKPOINT_ENTRIES).await.unwrap();
    }
}

/// Where each partition of the access log goes on.
pub async fn next_of(root: &Path) -> BTreeMap<i32, i64> {
    let lake = Lake::open(&root.display().to_string()).unwrap();
    let pin = lake.pin(&access_log::TABLE).await.unwrap();
    pin.iter().map(|(_, partition, next)| (partition, next)).collect()
}
