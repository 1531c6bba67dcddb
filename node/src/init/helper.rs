//! The helpers that are making containers right now, and what they say.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use model::TaskId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::child;
use crate::oci::control::{self, FromHelper, Registration};

#[derive(Default)]
pub struct Helpers {
    running: BTreeMap<u64, Helper>,
    next_id: u64,
}

struct Helper {
    task: TaskId,
    pid: i32,
    control: OwnedFd,
    failure: Option<String>,
}

impl Helpers {
    /// Returns the number by which this helper is known from now on.
    pub fn spawn(
        &mut self,
        task: &TaskId,
        bundle: &Path,
        stdout: OwnedFd,
        stderr: OwnedFd,
    ) -> io::Result<u64> {
        let (control, theirs) = child::socket_pair()?;
        let pid = child::spawn_helper(bundle, theirs, stdout, stderr)?;
        let id = self.next_id;
        self.next_id += 1;
        self.running.insert(id, Helper { task: task.clone(), pid, control, failure: None });
        Ok(id)
    }

    pub fn fd(&self, id: u64) -> Option<BorrowedFd<'_>> {
        self.running.get(&id).map(|helper| helper.control.as_fd())
    }

    /// Reads one message; the registration if it is one. A failure is kept until the helper has ended.
    pub fn hear(&mut self, id: u64) -> Option<(TaskId, Registration)> {
        let helper = self.running.get_mut(&id)?;
        match control::receive(helper.control.as_fd()) {
            Ok(Some(FromHelper::Registered(registration))) => Some((helper.task.clone(), registration)),
            Ok(Some(FromHelper::Failed { message })) => {
                helper.failure = Some(message);
                None
            }
            Ok(None) | Err(_) => None,
        }
    }

    pub fn acknowledge(&self, task: &TaskId) {
        if let Some(helper) = self.running.values().find(|helper| helper.task == *task) {
            // If it is gone meanwhile, its end says so.
            let _ = control::acknowledge(&helper.control);
        }
    }

    pub fn kill(&self, task: &TaskId) {
        if let Some(helper) = self.running.values().find(|helper| helper.task == *task) {
            // Our child, not yet reaped: the number is still its own.
            let _ = kill(Pid::from_raw(helper.pid), Signal::SIGKILL);
        }
    }

    pub fn by_pid(&self, pid: i32) -> Option<u64> {
        self.running.iter().find(|(_, helper)| helper.pid == pid).map(|(id, _)| *id)
    }

    /// Forgets a helper that ended; its task and the failure it told of, if it did.
    pub fn remove(&mut self, id: u64) -> Option<(TaskId, Option<String>)> {
        self.running.remove(&id).map(|helper| (helper.task, helper.failure))
    }
}
