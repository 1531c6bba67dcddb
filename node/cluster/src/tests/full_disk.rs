//! A full disk: a tmpfs of its own size, mounted where only the test's own threads see it. Needs root.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::{config, failure, lead, numbered, open, propose_many};
use crate::{Cluster, Config, NoWire, ProposeError};

const MIB: u64 = 1024 * 1024;

/// Runs `test` on a thread with its own view of mounts, on a fresh file system of 24 MiB. The mount ends with it.
fn on_a_small_disk<F: Future<Output = ()>>(test: impl FnOnce(PathBuf) -> F + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: a small disk can only be mounted by root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some("size=24m")).unwrap();
        // Its worker threads inherit the view of this one.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(test(path));
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Writes `filler` until `leave` bytes are free.
fn fill(dir: &Path, leave: u64) {
    let mut filler = File::options().create(true).append(true).open(dir.join("filler")).unwrap();
    let mut block = vec![1; 1 << 16];
    loop {
        let stat = nix::sys::statvfs::statvfs(dir).unwrap();
        let free = stat.blocks_available() * stat.fragment_size();
        if free <= leave {
            return;
        }
        block.truncate(usize::try_from((free - leave).next_multiple_of(4096)).unwrap());
        if filler.write_all(&block).is_err() {
            return;
        }
    }
}

#[test]
fn below_the_reserve_proposals_are_refused_and_reads_go_on() {
    on_a_small_disk(async |dir| {
        let reserve = 4 * MIB;
        let config = Config { reserve_bytes: reserve, ..config(&dir) };
        let cluster = Cluster::open(config, Arc::new(NoWire)).await.unwrap();
        lead(&cluster).await;
        let applied = cluster.propose(numbered(1)).await.unwrap();
        assert_eq!(fs::metadata(dir.join("ballast")).unwrap().len(), reserve / 2);

        fill(&dir, 3 * MIB);
        let refused = cluster.propose(numbered(2)).await.unwrap_err();
        assert!(matches!(refused, ProposeError::NoSpace { free, .. } if free < reserve), "{refused}");
        assert!(cluster.read().await.expect("reads go on").index >= applied.index);

        // Others take the rest as well: the ballast is given back for what the log itself must still write.
        fill(&dir, 0);
        assert!(matches!(cluster.propose(numbered(3)).await, Err(ProposeError::NoSpace { .. })));
        assert!(!dir.join("ballast").exists() && cluster.metrics().free_bytes.unwrap() > MIB);
        cluster.raft().unwrap().write_blank().await.expect("the log's own entries go on");

        fs::remove_file(dir.join("filler")).unwrap();
        cluster.propose(numbered(4)).await.expect("there is room again");
        cluster.shutdown().await;
    });
}

#[test]
fn a_disk_that_is_really_full_stops_the_node_and_loses_nothing() {
    on_a_small_disk(async |dir| {
        let cluster = open(&dir).await;
        let acknowledged = propose_many(&cluster, 0..500).await;
        let state = cluster.state();
        fill(&dir, 0);
        let mut large = numbered(600);
        large.origin.uri = "x".repeat(1 << 20);
        // No answer is the honest one: some of it may lie on the disk.
        let answer = cluster.propose(large.clone()).await;
        assert!(matches!(answer, Err(ProposeError::Unknown(_))), "{answer:?}");
        let failure = failure(&cluster).await;
        assert!(failure.reason.contains("full"), "{failure}");
        assert_eq!(cluster.propose(large).await, Err(ProposeError::Failed(failure.reason)));
        assert_eq!(cluster.state().index, acknowledged);

        // Space alone does not heal it in this process: nothing is tried again after a failed write.
        fs::remove_file(dir.join("filler")).unwrap();
        assert!(matches!(cluster.propose(numbered(601)).await, Err(ProposeError::Failed(_))));
        cluster.shutdown().await;

        let cluster = open(&dir).await;
        let after = cluster.read().await.unwrap();
        assert_eq!(after.nodes, state.nodes);
        assert!(cluster.propose(numbered(602)).await.unwrap().index > acknowledged);
        cluster.shutdown().await;
    });
}
