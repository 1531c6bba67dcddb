//! Takes the ends of children: looks first, tells the machine (which journals), and only then lets the zombie go.

use model::task::Exit;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use super::machine::Input;
use super::proc;
use super::shell::Shell;

pub(super) fn reap(shell: &mut Shell) {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    loop {
        let (pid, exit) = match waitid(Id::All, look) {
            Ok(WaitStatus::Exited(pid, code)) => (pid, Exit::Code(code)),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Exit::Signal(signal as i32)),
            Err(nix::errno::Errno::EINTR) => continue,
            // None left, or none ended.
            Ok(_) | Err(_) => return,
        };
        ended(shell, pid, exit);
        // It is a zombie of ours: this returns at once.
        let _ = waitpid(pid, None);
    }
}

fn ended(shell: &mut Shell, pid: Pid, exit: Exit) {
    let pid = pid.as_raw();
    if let Some(id) = shell.helpers.by_pid(pid) {
        shell.helper_spoke_last(id);
        if let Some((task, failure)) = shell.helpers.remove(id) {
            let result = match (&exit, failure) {
                (Exit::Code(0), _) => Ok(()),
                (_, Some(message)) => Err(message),
                (exit, None) => Err(format!("the helper {}", describe(exit))),
            };
            shell.input(Input::HelperEnded { task, result });
        }
    } else if let Some(role) = shell.machine.role_of(pid) {
        if role == super::machine::RoleName::Log {
            shell.logger_ended();
        }
        shell.input(Input::RoleEnded { role, how: describe(&exit) });
    } else {
        let task = shell.machine.task_of(pid);
        // Must be asked before the cgroup is removed. A task that ended well did not suffer from it.
        let starved = exit != Exit::Code(0) && task.is_some_and(|task| shell.cgroups.out_of_memory(task));
        let exit = if starved { Exit::OutOfMemory } else { exit };
        // A zombie still shows it; 0 matches no registration.
        let start_time = proc::start_time(pid).unwrap_or(0);
        shell.input(Input::TaskEnded { pid, start_time, exit });
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
