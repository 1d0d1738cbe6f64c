//! How much memory the queries of a process may take together: what needs more is sorted and grouped on the disk.
//!
//! Takes a limit, or half of what this machine or its container has; gives the pool of all sessions. A query that
//! cannot go on on the disk (the built side of a join) fails with an error that tells the limit, and the process lives:
//! an analyst's question must not take a close with it.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool, TrackConsumersPool};

/// Less than this does not even hold what sorts begin with.
pub const QUERY_BYTES_MIN: u64 = 64 << 20;
/// What is taken where nobody tells how much there is.
const UNKNOWN_BYTES: u64 = 4 << 30;
/// Operators that an error names, those with the most memory.
const TOLD_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);

/// The pool of a lake's sessions, of so many bytes; of half of what there is, where it is `None`.
pub(crate) fn pool(bytes_max: Option<u64>) -> Arc<dyn MemoryPool> {
    let bytes = bytes_max.unwrap_or_else(|| memory_bytes(Path::new("/")).unwrap_or(UNKNOWN_BYTES) / 2);
    let pool = FairSpillPool::new(usize::try_from(bytes).unwrap_or(usize::MAX));
    Arc::new(TrackConsumersPool::new(pool, TOLD_MAX))
}

/// The memory of the machine below a root, or the limit of its control group where that is lower.
fn memory_bytes(root: &Path) -> Option<u64> {
    let read = |name: &str| std::fs::read_to_string(root.join(name)).ok();
    let machine = read("proc/meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    });
    // "max" where there is no limit.
    let group = read("sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse::<u64>().ok());
    machine.into_iter().chain(group).min()
}

#[cfg(test)]
mod tests {
    use tollbook_schemas::error::{Classified as _, Kind};

    use super::*;
    use crate::error::LakeError;
    use crate::open::Lake;
    use crate::read::as_table;

    /// Sorts and groups that are larger than the pool come to what they come to without a limit; what cannot go on on
    /// the disk is an error that tells how to mend it, and the lake still answers.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_larger_than_the_pool_is_made_on_the_disk_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap();
        let numbers = "(select concat(cast(value * 7919 % 600011 as varchar), repeat('x', 80)) as text, value
                          from generate_series(1, 600000))";
        let sorted = format!(
            "select count(*), sum(value * (place % 7)) from
               (select value, row_number() over (order by text) as place from {numbers})"
        );
        let grouped = format!("select count(*), max(n) from (select text, count(*) as n from {numbers} group by text)");
        let joined =
            format!("select count(*) from {numbers} a join {numbers} b on a.text = b.text and a.value <> b.value + 1");
        let ask = async |bytes_max: u64, sql: &str| {
            let lake = Lake::open_within(root, Some(bytes_max)).unwrap();
            let session = lake.session().await.unwrap();
            Ok::<_, LakeError>(as_table(&lake.answer(&session, sql).await?).unwrap())
        };
        for sql in [&sorted, &grouped] {
            let (little, much) = (ask(QUERY_BYTES_MIN, sql).await.unwrap(), ask(4 << 30, sql).await.unwrap());
            assert_eq!(little, much, "{sql}");
            let run = ask(QUERY_BYTES_MIN, &format!("explain analyze {sql}")).await.unwrap();
            let spilled = run.split("spill_count=").skip(1).any(|rest| !rest.starts_with('0'));
            assert!(spilled, "the limit does not bite: {run}");
        }
        assert!(ask(4 << 30, &joined).await.is_ok());
        let error = ask(QUERY_BYTES_MIN, &joined).await.unwrap_err();
        assert!(matches!(error, LakeError::Memory { .. }) && error.kind() == Kind::Configuration, "{error}");
        let told = error.to_string();
        assert!(told.contains("query_memory_bytes_max") && told.lines().count() == 1, "{told}");
    }

    #[test]
    fn the_lower_of_machine_and_container_counts() {
        for (meminfo, group, wanted) in [
            (Some("MemFree: 1 kB\nMemTotal:       2048 kB\nBuffers: 9 kB"), None, Some(2_097_152)),
            (Some("MemTotal: 2048 kB"), Some("max\n"), Some(2_097_152)),
            (Some("MemTotal: 2048 kB"), Some("1048576\n"), Some(1_048_576)),
            (Some("MemTotal: 2048 kB"), Some("9223372036854771712\n"), Some(2_097_152)),
            (Some("MemTotal: many"), Some("4096"), Some(4_096)),
            (None, None, None),
        ] {
            let root = tempfile::tempdir().unwrap();
            for (folder, name, text) in [("proc", "meminfo", meminfo), ("sys/fs/cgroup", "memory.max", group)] {
                if let Some(text) = text {
                    std::fs::create_dir_all(root.path().join(folder)).unwrap();
                    std::fs::write(root.path().join(folder).join(name), text).unwrap();
                }
            }
            assert_eq!(memory_bytes(root.path()), wanted, "{meminfo:?} {group:?}");
        }
    }
}
