//! Takes the ends of children: looks first, tells the machine (which journals), and only then lets the zombie go.

use model::TaskId;
use model::task::Exit;
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use super::machine::{Input, RoleName};
use super::proc;
use super::shell::Shell;

/// A create that failed, whose helper's own children are still on their way out: only when they are gone will no
/// further cgroup of the task appear.
pub(super) struct Dying {
    group: Pid,
    task: TaskId,
    message: String,
}

pub(super) fn reap(shell: &mut Shell) {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    loop {
        let (pid, exit) = match waitid(Id::All, look) {
            Ok(WaitStatus::Exited(pid, code)) => (pid, Exit::Code(code)),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Exit::Signal(signal as i32)),
            Err(Errno::EINTR) => continue,
            // None left, or none ended.
            Ok(_) | Err(_) => return,
        };
        ended(shell, pid, exit);
        // It is a zombie of ours: this returns at once.
        let _ = waitpid(pid, None);
        bury(shell);
    }
}

fn ended(shell: &mut Shell, pid: Pid, exit: Exit) {
    if let Some(id) = shell.helpers.by_pid(pid.as_raw()) {
        helper_ended(shell, id, pid, &exit);
    } else if let Some(role) = shell.machine.role_of(pid.as_raw()) {
        if role == RoleName::Log {
            shell.logger_ended();
        }
        let how = describe(&exit);
        shell.role_logs.note(role.as_str(), &format!("{} {how}", role.as_str()));
        shell.input(Input::RoleEnded { role, how });
    } else {
        let task = shell.machine.task_of(pid.as_raw());
        // Must be asked before the cgroup is removed. A task that ended well did not suffer from it.
        let starved = exit != Exit::Code(0) && task.is_some_and(|task| shell.cgroups.out_of_memory(task));
        let exit = if starved { Exit::OutOfMemory } else { exit };
        // A zombie still shows it; 0 matches no registration.
        let start_time = proc::start_time(pid.as_raw()).unwrap_or(0);
        shell.input(Input::TaskEnded { pid: pid.as_raw(), start_time, exit });
    }
}

fn helper_ended(shell: &mut Shell, id: u64, pid: Pid, exit: &Exit) {
    shell.helper_spoke_last(id);
    let Some((task, failure)) = shell.helpers.remove(id) else { return };
    if *exit == Exit::Code(0) {
        return shell.input(Input::HelperEnded { task, result: Ok(()) });
    }
    // The zombie still holds the group's number, so the signal can hit no other.
    let _ = killpg(pid, Signal::SIGKILL);
    let message = failure.unwrap_or_else(|| format!("the helper {}", describe(exit)));
    shell.dying.push(Dying { group: pid, task, message });
}

/// Tells the ends of helpers whose group has no member left. Each member is our child, so this is looked at whenever
/// one of them was reaped.
fn bury(shell: &mut Shell) {
    let is_gone = |dying: &mut Dying| killpg(dying.group, None) == Err(Errno::ESRCH);
    let gone: Vec<Dying> = shell.dying.extract_if(.., is_gone).collect();
    for Dying { task, message, .. } in gone {
        shell.input(Input::HelperEnded { task, result: Err(message) });
    }
}

fn describe(exit: &Exit) -> String {
    match exit {
        Exit::Code(code) => format!("ended with exit code {code}"),
        Exit::Signal(number) => match nix::sys::signal::Signal::try_from(*number) {
            Ok(signal) => format!("was ended by {signal}"),
            Err(_) => format!("was ended by signal {number}"),
        },
        Exit::OutOfMemory => "ran out of memory".to_owned(),
        Exit::NeverRan | Exit::Unknown => "ended, nobody saw how".to_owned(),
    }
}
