//! Work of many shares, some of them beside each other, on as many threads as the machine has cores.
//!
//! Takes shares and what is to be done with one; gives what came of each, in their order. Shares that nobody has begun
//! when one fails are left; the first error in the order of the shares is the whole's.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Handle, RuntimeFlavor};

/// The stack of a thread that plans or evaluates SQL: the engine goes a step deeper for each part of an expression, and
/// a meter's may have many. It is taken as it is used.
pub const STACK_BYTES: usize = 16 << 20;

/// Does the work of every share.
///
/// # Errors
/// The first share's that has one.
pub async fn each_beside<T: Sync, R: Send, E: Send>(
    shares: &[T],
    work: impl AsyncFn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let runtime = Handle::current();
    // Where one thread is all that the runtime has, nobody else would wait for the store's answers.
    if threads_of(shares.len()) < 2 || runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
        let mut done = Vec::with_capacity(shares.len());
        for share in shares {
            done.push(work(share).await?);
        }
        return Ok(done);
    }
    tokio::task::block_in_place(|| on_threads(shares, |share| runtime.block_on(work(share))))
}

/// The same of work that waits for nobody.
///
/// # Errors
/// The first share's that has one.
pub fn on_threads<T: Sync, R: Send, E: Send>(
    shares: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let threads = threads_of(shares.len());
    if threads < 2 {
        return shares.iter().map(work).collect();
    }
    let (next, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done = Mutex::new(BTreeMap::new());
    let run = || {
        while !has_failed.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(share) = shares.get(at) else { break };
            let one = work(share);
            has_failed.fetch_or(one.is_err(), Ordering::Relaxed);
            done.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(at, one);
        }
    };
    // A panic of one is a panic of the whole.
    thread::scope(|scope| {
        for _ in 0..threads {
            let begun = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, run);
            // Without a thread of its own, what is left is done here.
            begun.map_or_else(|_| run(), drop);
        }
    });
    // Shares are begun in order: before the first that failed all are there.
    done.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).into_values().collect()
}

fn threads_of(shares: usize) -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shares_are_done_in_order() {
        let shares: Vec<usize> = (0..20).collect();
        let twice = async |share: &usize| {
            tokio::time::sleep(std::time::Duration::from_millis(u64::try_from(20 - share).unwrap() % 3)).await;
            Ok::<_, usize>(share * 2)
        };
        assert_eq!(each_beside(&shares, twice).await, Ok(shares.iter().map(|share| share * 2).collect()));
        let begun = AtomicUsize::new(0);
        let some_fail = async |share: &usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            if *share >= 3 { Err(*share) } else { Ok(()) }
        };
        assert_eq!(each_beside(&shares, some_fail).await, Err(3));
        assert!(begun.into_inner() < 20, "what nobody has begun is left");
        assert_eq!(each_beside(&[], twice).await, Ok(Vec::new()));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn one_thread() {
        shares_are_done_in_order().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn several_threads() {
        shares_are_done_in_order().await;
    }
}
