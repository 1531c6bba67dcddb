//! The logger's loop: takes pipes from init, moves bytes, tells init when a task's output has ended.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use console::LogStream;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::index::{self, Index as ReadIndex, Writer};
use super::output_file;
use super::protocol::{self, HandOver, Received};
use super::stream::{Index, Stream, Turn};
use crate::config::Paths;
use crate::init::clock;

/// How long to wait before a full disk is tried again: nothing reports that room was made.
const FULL_RETRY_MS: u16 = 1_000;

const TOKEN_INIT: u64 = 0;
const TOKEN_SIGNAL: u64 = 1;
const TOKEN_STREAMS: u64 = 2;

pub struct Pump {
    paths: Paths,
    limit: u64,
    socket: OwnedFd,
    signals: SignalFd,
    epoll: Epoll,
    logs: BTreeMap<u64, Log>,
}

/// The output of one task.
struct Log {
    index: Index,
    /// stdout, stderr; `None` once ended.
    streams: [Option<Stream>; 2],
    /// Streams that wait for room on the disk.
    full: [bool; 2],
}

impl Pump {
    pub fn new(paths: Paths, limit: u64, socket: OwnedFd) -> io::Result<Self> {
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGTERM);
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, TOKEN_INIT))?;
        epoll.add(&signals, EpollEvent::new(EpollFlags::EPOLLIN, TOKEN_SIGNAL))?;
        Ok(Self { paths, limit, socket, signals, epoll, logs: BTreeMap::new() })
    }

    /// Until SIGTERM or the end of init; then what lies in the pipes is still moved.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            let is_full = self.logs.values().any(|log| log.full.contains(&true));
            let timeout = if is_full { EpollTimeout::from(FULL_RETRY_MS) } else { EpollTimeout::NONE };
            let mut events = [EpollEvent::empty(); 64];
            let count = match self.epoll.wait(&mut events, timeout) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => 0,
                Err(error) => return Err(error.into()),
            };
            let mut goes_on = true;
            for event in &events[..count] {
                match event.data() {
                    TOKEN_INIT => goes_on &= self.take_pipes()?,
                    TOKEN_SIGNAL => goes_on &= !matches!(self.signals.read_signal(), Ok(Some(_))),
                    token => self.serve((token - TOKEN_STREAMS) / 2, (token % 2) as usize)?,
                }
            }
            if !goes_on {
                return self.drain();
            }
            if is_full {
                self.retry_full()?;
            }
        }
    }

    fn drain(&mut self) -> io::Result<()> {
        let all: Vec<u64> = self.logs.keys().copied().collect();
        for serial in all {
            for side in [0, 1] {
                self.serve(serial, side)?;
            }
        }
        Ok(())
    }

    /// False once init is gone.
    fn take_pipes(&mut self) -> io::Result<bool> {
        loop {
            match protocol::receive_hand_over(self.socket.as_raw_fd())? {
                Received::Nothing => return Ok(true),
                Received::Closed => return Ok(false),
                Received::HandOver(hand_over, stdout, stderr) => {
                    let serial = hand_over.serial;
                    let log = self.open(&hand_over, stdout, stderr)?;
                    self.logs.insert(serial, log);
                    self.watch(serial)?;
                }
            }
        }
    }

    fn open(&self, hand_over: &HandOver, stdout: OwnedFd, stderr: OwnedFd) -> io::Result<Log> {
        let path = self.paths.task(&hand_over.task).join(index::FILE);
        let (index, before) = match Writer::open(path) {
            Ok((index, before)) => (Some(index), before),
            Err(error) => {
                complain(hand_over, &format!("the output has no index: {error}"));
                (None, ReadIndex::default())
            }
        };
        let stream = |kind: LogStream, pipe: OwnedFd| -> io::Result<Stream> {
            let sandbox = self.paths.sandbox(&hand_over.task);
            let (file, length, limit) =
                match output_file::open_for_writing(&sandbox, kind, hand_over.uid, hand_over.gid) {
                    Ok(file) => {
                        let length = file.metadata()?.len();
                        (file, length, self.limit)
                    }
                    // If the folder is gone, so is everybody's interest. The pipe must still be emptied.
                    Err(error) => {
                        complain(
                            hand_over,
                            &format!("the output is lost, its file cannot be opened: {error}"),
                        );
                        (null()?, 0, u64::MAX)
                    }
                };
            // The task may have cut its file; offsets never go back.
            let offset = length.max(before.written(kind));
            Ok(Stream::new(kind, pipe, file, (before.first(kind), offset), limit))
        };
        let streams = [Some(stream(LogStream::Stdout, stdout)?), Some(stream(LogStream::Stderr, stderr)?)];
        Ok(Log { index, streams, full: [false; 2] })
    }

    fn watch(&self, serial: u64) -> io::Result<()> {
        let Some(log) = self.logs.get(&serial) else { return Ok(()) };
        for (side, stream) in log.streams.iter().enumerate() {
            if let Some(stream) = stream {
                self.epoll.add(stream.pipe(), EpollEvent::new(EpollFlags::EPOLLIN, token(serial, side)))?;
            }
        }
        Ok(())
    }

    /// One turn of one stream.
    fn serve(&mut self, serial: u64, side: usize) -> io::Result<()> {
        let Some(log) = self.logs.get_mut(&serial) else { return Ok(()) };
        let Some(stream) = &mut log.streams[side] else { return Ok(()) };
        let turn = stream.turn(clock::wall_ms(), &mut log.index).unwrap_or_else(|error| {
            // A sick disk is treated like a full one: the bytes wait, and one task's fault is not the others'.
            eprintln!("meseta log: output cannot be written: {error}");
            Turn::Full
        });
        match turn {
            Turn::Later => self.set_full(serial, side, false),
            Turn::Full => self.set_full(serial, side, true),
            Turn::Ended => {
                self.epoll.delete(stream.pipe())?;
                log.streams[side] = None;
                log.full[side] = false;
                if log.streams.iter().all(Option::is_none) {
                    self.logs.remove(&serial);
                    protocol::send_drained(self.socket.as_fd().as_raw_fd(), serial)?;
                }
                Ok(())
            }
        }
    }

    /// A stream without room is not listened to: its pipe would be ready all the time.
    fn set_full(&mut self, serial: u64, side: usize, full: bool) -> io::Result<()> {
        let Some(log) = self.logs.get_mut(&serial) else { return Ok(()) };
        let Some(stream) = &log.streams[side] else { return Ok(()) };
        if log.full[side] == full {
            return Ok(());
        }
        log.full[side] = full;
        if full {
            eprintln!("meseta log: no room for the output of tasks; they wait until there is");
        }
        let flags = if full { EpollFlags::empty() } else { EpollFlags::EPOLLIN };
        Ok(self.epoll.modify(stream.pipe(), &mut EpollEvent::new(flags, token(serial, side)))?)
    }

    fn retry_full(&mut self) -> io::Result<()> {
        let waiting: Vec<(u64, usize)> = self
            .logs
            .iter()
            .flat_map(|(serial, log)| {
                [0, 1].into_iter().filter(|side| log.full[*side]).map(|side| (*serial, side))
            })
            .collect();
        for (serial, side) in waiting {
            self.serve(serial, side)?;
        }
        Ok(())
    }
}

fn token(serial: u64, side: usize) -> u64 {
    TOKEN_STREAMS + 2 * serial + side as u64
}

fn null() -> io::Result<File> {
    OpenOptions::new().write(true).open("/dev/null")
}

fn complain(hand_over: &HandOver, fault: &str) {
    eprintln!("meseta log: {}: {fault}", hand_over.task);
}
