//! An analyst's tools on our tables: DuckDB (`delta_scan`, and `read_parquet` over the files that `lake files` prints)
//! and Polars (`scan_delta`) give the counts and sums that `tollbook sql` gives,
//! before and after the tables were compacted and have checkpoints.

use std::process::Command;
use std::time::Instant;

use tollbook::jobs::sql::{Format, sql};
use tollbook_schemas::tables::by_name;

use crate::month::Issued;
use crate::parts::{install, wanted};

/// Table, and a column to sum: integers and exact decimals.
const SUMS: [(&str, &str); 6] = [
    ("access_log", "response_bytes"),
    ("rejected", "payload_bytes_total"),
    ("usage", "quantity"),
    ("usage", "event_count"),
    ("invoice", "total_minor"),
    ("invoice_line", "quantity"),
];

/// Arguments: table's folder, column, files. Prints rows and sum by each of the three ways.
const READ: &str = r#"
import glob, os, sys
import duckdb, duckdb_ext.extensions as extensions, polars
folder, column, *files = sys.argv[1:]
extension = next(p for root in extensions.__path__ for p in glob.glob(os.path.join(root, "**", "delta.duckdb_extension"), recursive=True))
db = duckdb.connect(config={"allow_unsigned_extensions": "true"})
db.execute(f"load '{extension}'")
names = ", ".join(f"'{name}'" for name in files)
for way in (f"delta_scan('{folder}')", f"read_parquet([{names}])"):
    print(*db.execute(f"select count(*), sum({column}) from {way}").fetchone())
print(*polars.scan_delta(folder).select(polars.len(), polars.col(column).sum()).collect().row(0))
"#;

/// A number without the zeros at its end: the tools print different scales.
pub fn plain(number: &str) -> String {
    let digits = number.trim();
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.').to_owned() } else { digits.to_owned() }
}

#[test]
fn duckdb_and_polars_read_what_we_read() {
    let Some(python) = wanted("DuckDB and Polars", || install("duckdb")) else { return };
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let issued = Issued::make().await.unwrap();
        let lake = &issued.context.lake;
        let root = issued.context.configuration.path(&issued.context.configuration.lake.root);
        for when in ["written", "compacted"] {
            if when == "compacted" {
                for table in SUMS.map(|(table, _)| table) {
                    let table = by_name(table).unwrap();
                    lake.compact(table, 128 << 20).await.unwrap();
                    lake.checkpoint(table, 1).await.unwrap();
                    let log = std::fs::read_dir(root.join(table.name).join("_delta_log")).unwrap();
                    let names = log.map(|entry| entry.unwrap().file_name().into_string().unwrap());
                    assert!(names.into_iter().any(|name| name.ends_with(".checkpoint.parquet")), "{}", table.name);
                }
            }
            for (table, column) in SUMS {
                let query = format!("select count(*), sum({column}) from {table}");
                let ours = sql(&issued.context, &query, Format::Csv).await.unwrap();
                let ours: Vec<String> = ours.lines().nth(1).unwrap().split(',').map(plain).collect();
                assert!(ours[0] != "0" && ours[1] != "0", "{table} is empty: nothing to compare");
                let output = Command::new(&python)
                    .args(["-c", READ])
                    .arg(root.join(table))
                    .arg(column)
                    .args(lake.files(table).await.unwrap().unwrap())
                    .output()
                    .unwrap();
                assert!(output.status.success(), "{table}: {}", String::from_utf8_lossy(&output.stderr));
                let printed = String::from_utf8_lossy(&output.stdout).into_owned();
                let theirs: Vec<Vec<String>> =
                    printed.lines().map(|line| line.split(' ').map(plain).collect()).collect();
                for (way, found) in
                    ["DuckDB delta_scan", "DuckDB read_parquet", "Polars scan_delta"].iter().zip(&theirs)
                {
                    assert_eq!(*found, ours, "{way} on {when} {table}.{column}");
                }
                assert_eq!(theirs.len(), 3);
                println!("{when} {table}.{column}: {} rows, sum {}: equal in all four", ours[0], ours[1]);
            }
        }
    });
    println!("duckdb, polars: {:.1?}", begun.elapsed());
}
