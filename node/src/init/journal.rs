//! What init must remember if it is itself replaced: which tasks it started and which exits nobody acknowledged.
//!
//! A file of JSON lines under RUN. That is a tmpfs: a reboot ends the tasks anyway, so nothing is synced. Written
//! before the process is reaped, so an exit is either still in the kernel or already here.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;

use model::TaskId;

use super::machine::Record;
use super::protocol::ExitRecord;

/// Records after which the file is written anew with what still matters.
const RECORDS_MAX: usize = 1_000;

pub struct Journal {
    path: PathBuf,
    file: File,
    /// What still matters: the last record of each task that is not forgotten.
    live: BTreeMap<TaskId, Record>,
    records: usize,
}

/// What an init before this one left.
#[derive(Debug, Default, PartialEq)]
pub struct Remembered {
    pub exits: Vec<ExitRecord>,
    /// Started, end unknown.
    pub orphans: Vec<TaskId>,
}

impl Journal {
    pub fn open(path: PathBuf) -> io::Result<(Self, Remembered)> {
        let live = match File::open(&path) {
            Ok(file) => read(file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        let mut remembered = Remembered::default();
        for (task, record) in &live {
            match record {
                Record::Exited(record) => remembered.exits.push(record.clone()),
                Record::Started { .. } => remembered.orphans.push(task.clone()),
                Record::Forgotten { .. } => {}
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let mut journal = Self { path, file, live, records: 0 };
        journal.compact()?;
        Ok((journal, remembered))
    }

    pub fn append(&mut self, record: Record) -> io::Result<()> {
        self.file.write_all(&line(&record)?)?;
        apply(&mut self.live, record);
        self.records += 1;
        // At least as many dead records as live ones: the cost of a rewrite is spread over what made it necessary.
        if self.records > RECORDS_MAX && self.records > 2 * self.live.len() {
            self.compact()?;
        }
        Ok(())
    }

    fn compact(&mut self) -> io::Result<()> {
        let next = self.path.with_extension("next");
        let mut file = File::create(&next)?;
        for record in self.live.values() {
            file.write_all(&line(record)?)?;
        }
        fs::rename(&next, &self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.records = self.live.len();
        Ok(())
    }
}

fn line(record: &Record) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    Ok(line)
}

/// A last line that was cut short by a crash says nothing and is left out.
fn read(file: File) -> io::Result<BTreeMap<TaskId, Record>> {
    let mut live = BTreeMap::new();
    for line in BufReader::new(file).split(b'\n') {
        match serde_json::from_slice(&line?) {
            Ok(record) => apply(&mut live, record),
            Err(_) => break,
        }
    }
    Ok(live)
}

fn apply(live: &mut BTreeMap<TaskId, Record>, record: Record) {
    match record {
        Record::Started { ref task, .. } => live.insert(task.clone(), record),
        Record::Exited(ExitRecord { ref task, .. }) => live.insert(task.clone(), record),
        Record::Forgotten { ref task } => live.remove(task),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::task::Exit;

    fn id(n: usize) -> TaskId {
        TaskId::parse(&format!("task-{n}")).expect("a task id")
    }

    fn exit(n: usize) -> ExitRecord {
        ExitRecord { task: id(n), exit: Exit::Code(3), at_boottime_ms: 7, fenced: false }
    }

    #[test]
    fn remembers_what_is_not_forgotten() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("journal");
        let (mut journal, before) = Journal::open(path.clone()).expect("a new journal");
        assert_eq!(before, Remembered::default());
        for n in 0..4 {
            journal.append(Record::Started { task: id(n), pid: 1 }).expect("append");
        }
        journal.append(Record::Exited(exit(1))).expect("append");
        journal.append(Record::Exited(exit(2))).expect("append");
        journal.append(Record::Forgotten { task: id(2) }).expect("append");
        // A torn last line.
        journal.file.write_all(b"{\"started\":{\"ta").expect("append");
        let (_, after) = Journal::open(path).expect("the journal again");
        assert_eq!(after, Remembered { exits: vec![exit(1)], orphans: vec![id(0), id(3)] });
    }

    #[test]
    fn stays_small_over_many_tasks() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("journal");
        let (mut journal, _) = Journal::open(path.clone()).expect("a new journal");
        for n in 0..10_000 {
            journal.append(Record::Started { task: id(n), pid: 1 }).expect("append");
            journal.append(Record::Exited(exit(n))).expect("append");
            journal.append(Record::Forgotten { task: id(n) }).expect("append");
        }
        let size = fs::metadata(&path).expect("metadata").len();
        assert!(size < 200 * RECORDS_MAX as u64, "{size} bytes");
    }
}
