//! kill -9 at random points of `tollbook ingest` on real Kafka: afterwards each (offset, index) of each partition is
//! in the tables exactly once (I1), as the test's own ledger has it.
//!
//! A kill counts only when the process had rows in hand: since its last commit at least [`IN_HAND_BYTES_MIN`] had come
//! to it over the wire, the topic had more than was committed, and no commit landed between that look and the end of
//! the process. `TOLLBOOK_KILL_SEED` gives another run of points.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::catch::Catch;
use crate::folder::{Folder, Run};
use crate::kafka::{Kafka, Producer};
use crate::ledger::{Dice, Ledger};
use crate::log::Log;
use crate::parts::setting;

const PARTITIONS: i32 = 3;
const BACKLOG_MESSAGES: usize = 60_000;
const KILLS: usize = 20;
/// Runs that may end by themselves, or whose rows land while the signal is on its way: where the machine is fast the
/// backlog is gone after a few, and of the later runs two of three catch up before they can be killed.
const RUNS_MAX: usize = 240;
/// More than a run's first exchanges (some 10 KiB: versions, metadata, offsets), and than answers without records can
/// be between two commits: so at least half of it is records.
const IN_HAND_BYTES_MIN: u64 = 32 * 1024;
const PATIENCE: Duration = Duration::from_secs(180);

/// What can be seen of the ingestor from outside: its tables' logs, and the wire.
struct Watch {
    kafka: Arc<Kafka>,
    source: String,
    main: Log,
    rejected: Log,
    delivered: Arc<AtomicU64>,
    /// Moves of the frontier since the run began.
    commits: usize,
    /// Bytes over the wire when the frontier was last seen to move.
    mark_bytes: u64,
}

impl Watch {
    fn new(kafka: Arc<Kafka>, folder: &Folder, delivered: Arc<AtomicU64>) -> Self {
        let log = |table: &str| Log::of(folder.lake().join(table));
        let (main, rejected) = (log("access_log"), log("rejected"));
        Self { kafka, source: folder.source(), main, rejected, delivered, commits: 0, mark_bytes: 0 }
    }

    fn begin_run(&mut self) {
        self.look();
        (self.commits, self.mark_bytes) = (0, self.kafka.watched_bytes());
    }

    fn look(&mut self) {
        let bytes = self.kafka.watched_bytes();
        let before = self.frontier();
        // The frontier, not the rows, says what is committed: rows before their frontier are the very thing that a
        // wrong lake shows, and a kill between the two must count.
        self.main.refresh();
        if self.frontier() != before {
            self.commits += 1;
            // Taken before the log was read: it can only be too low by what came before the commit, and the
            // process had sealed its rows long before that.
            self.mark_bytes = self.kafka.watched_bytes().max(bytes);
        }
        self.rejected.refresh();
    }

    fn frontier(&self) -> [i64; PARTITIONS as usize] {
        std::array::from_fn(|p| self.main.frontier(&self.source, p as i32).unwrap_or(0))
    }

    fn committed(&self) -> i64 {
        self.frontier().iter().sum()
    }

    fn uncommitted(&self) -> i64 {
        self.delivered.load(Ordering::SeqCst) as i64 - self.committed()
    }

    fn in_hand_bytes(&self) -> u64 {
        self.kafka.watched_bytes().saturating_sub(self.mark_bytes)
    }

    fn has_rows_in_hand(&self) -> bool {
        self.in_hand_bytes() >= IN_HAND_BYTES_MIN && self.uncommitted() > 0
    }

    /// Partitions whose rejects are committed further than their rows: this process, or one before it, died between
    /// the two commits.
    fn rejects_ahead(&self) -> usize {
        (0..PARTITIONS)
            .filter(|p| self.rejected.frontier(&self.source, *p) > self.main.frontier(&self.source, *p))
            .count()
    }
}

/// How one run went.
enum Ended {
    /// Killed with rows in hand.
    Killed,
    /// Its rows landed between the last look and the signal.
    Landed,
    /// It had caught up before.
    ByItself,
}

/// Kills a run at a random moment after a random number of its commits.
fn kill(run: &mut Run, watch: &mut Watch, dice: &mut Dice, told: &str) -> Ended {
    let commits_wanted = usize::try_from(dice.below(4)).unwrap();
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "{told}: the run neither commits nor ends: {}", run.errors());
        if let Some(status) = run.ended() {
            assert!(status.success(), "{told}: ingest ended with {status}: {}", run.errors());
            return Ended::ByItself;
        }
        watch.look();
        if watch.commits >= commits_wanted && watch.has_rows_in_hand() {
            // Anywhere in the cycle of read, encode, commit rejects, commit rows.
            std::thread::sleep(Duration::from_millis(dice.below(160)));
            watch.look();
            if watch.has_rows_in_hand() {
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let (committed, in_hand, uncommitted) = (watch.committed(), watch.in_hand_bytes(), watch.uncommitted());
    let commits = watch.commits;
    let ran = begun.elapsed();
    let killed = run.kill();
    let orphans_before = watch.main.orphans();
    watch.look();
    if !killed {
        return Ended::ByItself;
    }
    if watch.committed() != committed {
        println!("{told}: a commit landed before the signal did; not counted");
        return Ended::Landed;
    }
    println!(
        "{told}: killed {} after {ran:.2?} and {commits} commits; committed {:?}, produced {} more, {in_hand} bytes in \
         hand; rejects ahead in {} partitions, {} files that no commit names",
        run.id(),
        watch.frontier(),
        uncommitted,
        watch.rejects_ahead(),
        orphans_before.max(watch.main.orphans()),
    );
    Ended::Killed
}

fn send_all(ledger: &mut Ledger, producer: &Producer, messages: usize) {
    for _ in 0..messages {
        let (partition, payload) = ledger.message();
        producer.send(partition, payload.as_deref());
    }
}

/// Goes on producing, slowly, until told to stop: a run then ends in the middle of traffic, not at its end.
fn trickle(mut ledger: Ledger, producer: Producer, stop: &AtomicBool) -> Ledger {
    while !stop.load(Ordering::SeqCst) {
        send_all(&mut ledger, &producer, 20);
        std::thread::sleep(Duration::from_millis(20));
    }
    producer.flush();
    ledger
}

#[test]
fn kill_9_at_random_points_leaves_each_record_exactly_once() {
    let Some(kafka) = Kafka::shared() else { return };
    let begun = Instant::now();
    let seed: u64 = setting("TOLLBOOK_KILL_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    kafka.make_topic("kills", PARTITIONS);
    let producer = kafka.producer("kills", None);
    let mut ledger = Ledger::new(seed, PARTITIONS);
    send_all(&mut ledger, &producer, BACKLOG_MESSAGES);
    producer.flush();
    println!("seed {seed}: {BACKLOG_MESSAGES} messages produced after {:.1?}", begun.elapsed());

    let folder = Folder::new(&kafka.watched_brokers(), "kills");
    let mut watch = Watch::new(kafka.clone(), &folder, producer.delivered());
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = stop.clone();
    let trickling = std::thread::spawn(move || trickle(ledger, producer, &stopping));

    let mut dice = Dice::new(seed.wrapping_add(0x6b69_6c6c));
    let (mut kills, mut runs, mut rejects_ahead) = (0, 0, 0);
    while kills < KILLS {
        runs += 1;
        assert!(runs <= RUNS_MAX, "only {kills} of {runs} runs were killed with rows in hand");
        watch.begin_run();
        let mut run = folder.ingest();
        match kill(&mut run, &mut watch, &mut dice, &format!("seed {seed}, kill {}", kills + 1)) {
            Ended::Killed => {
                kills += 1;
                rejects_ahead += usize::from(watch.rejects_ahead() > 0);
            }
            Ended::Landed | Ended::ByItself => {}
        }
    }
    stop.store(true, Ordering::SeqCst);
    let ledger = trickling.join().unwrap();
    println!(
        "{kills} kills in {runs} runs after {:.1?}; {rejects_ahead} left rejects ahead of their rows",
        begun.elapsed()
    );

    let left = watch.uncommitted();
    let report = folder.ingest_to_the_end(PATIENCE);
    println!("the last {left} messages until {:.1?}: {report}", begun.elapsed());
    for (partition, next) in ledger.next_offsets() {
        assert_eq!(kafka.high_watermark("kills", *partition), *next, "the ledger's own offsets are wrong");
    }
    watch.look();
    let reached: Vec<i64> = ledger.next_offsets().values().copied().collect();
    assert_eq!(watch.frontier().to_vec(), reached, "the frontier is not the end of the topic");
    check(&folder, &ledger);

    // Once more: there is nothing left to do, and nothing changes.
    let again = folder.ingest_to_the_end(PATIENCE);
    assert_eq!((&again["accepted"], &again["rejected"], &again["lag"]), (&0.into(), &0.into(), &0.into()), "{again}");
    check(&folder, &ledger);
    println!("I1 holds for {} records; {:.1?} in all", ledger.records.len(), begun.elapsed());
}

fn check(folder: &Folder, ledger: &Ledger) {
    let caught = Catch::read(&folder.lake(), &folder.source());
    let differences = caught.against(ledger);
    assert_eq!(differences, Default::default(), "tables and ledger differ");
    assert_eq!(caught.records.len(), ledger.records.len());
}

/// The proof that the check can fail, and that the txn action is what it hangs on: a commit of rows whose txn action is
/// taken out of the log, as a build without it would write, is read again by the next run, and the check sees each of
/// its rows twice. (A whole build of that kind: `scripts/prove-kill-test.sh`.)
#[test]
fn a_commit_without_its_txn_is_doubled_and_seen() {
    let Some(kafka) = Kafka::shared() else { return };
    kafka.make_topic("stripped", 1);
    let producer = kafka.producer("stripped", None);
    let mut ledger = Ledger::new(2, 1);
    send_all(&mut ledger, &producer, 3_000);
    producer.flush();
    let folder = Folder::new(kafka.brokers(), "stripped");
    folder.ingest_to_the_end(PATIENCE);
    check(&folder, &ledger);

    let path: PathBuf = folder.lake().join("access_log");
    let mut log = Log::of(path.clone());
    log.refresh();
    assert_eq!(log.frontier(&folder.source(), 0), Some(3_000));
    log.strip_last_commit_of_its_txns();
    let mut stripped = Log::of(path);
    stripped.refresh();
    let back_to = stripped.frontier(&folder.source(), 0).unwrap();
    assert!(back_to < 3_000);

    folder.ingest_to_the_end(PATIENCE);
    let differences = Catch::read(&folder.lake(), &folder.source()).against(&ledger);
    // The rejects keep their own txn: only accepted records are there twice.
    let doubled = ledger.records.iter().filter(|((_, offset, _), id)| *offset >= back_to && id.is_some()).count();
    assert!(doubled > 0);
    assert_eq!(
        (differences.doubled, differences.missing, differences.unknown, differences.otherwise),
        (doubled, 0, 0, 0)
    );
    println!("a commit of {doubled} rows without its txn: all of them doubled, all of them seen");
}
