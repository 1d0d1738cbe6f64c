//! The frame around a job.

use serde_json::json;

use super::*;

/// The lease is renewed again and again while a job works (here every few milliseconds), and a job may end in the
/// middle of a renewal: it has not lost its lease by that.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_while_its_lease_is_renewed_has_not_lost_it() {
    let folder = tempfile::tempdir().unwrap();
    crate::jobs::check::init(folder.path()).unwrap();
    let context = JobContext::open(&folder.path().join("tollbook.toml")).unwrap();
    for ms in (0..16).map(|at| at * 7 % 23) {
        let work = async {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(((), json!({ "ms": ms })))
        };
        context.run_renewing(Duration::from_millis(3), "test", None, work).await.unwrap();
    }
    let runs = context.lake.rows(&JOB_RUN, Some("job = 'test'")).await.unwrap();
    assert_eq!(runs.len(), 16);
}
