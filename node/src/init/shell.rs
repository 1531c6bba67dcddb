//! Carries out what the machine decides, and tells it what happens: one thread, one epoll, no waiting elsewhere.

mod roles;
mod watch;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use model::TaskId;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

use super::board::{Board, CONSOLE, Shown};
use super::cgroup::Cgroups;
use super::clock::{self, Alarm};
use super::connections::Connections;
use super::helper::Helpers;
use super::journal::{Journal, Remembered};
use super::machine::{Action, ConnectionId, Input, Machine, PowerKind, RoleName};
use super::output::Outputs;
use super::protocol::{FromInit, ToInit};
use super::reap;
use super::reboots::Reboots;
use super::role_log::RoleLogs;
use super::watchdog::Watchdog;
use crate::config::Paths;
use crate::oci::meta;

/// What woke the loop. Connections and helpers carry their number in the lower half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    Listener,
    Connection(ConnectionId),
    Helper(u64),
    Logger,
    RoleLog(u64),
    Alarm,
    /// Last in order: an end is looked at after everything the process said before.
    Signals,
    Extra,
}

impl Wake {
    fn token(self) -> u64 {
        let (kind, number) = match self {
            Self::Listener => (0, 0),
            Self::Connection(id) => (1, id),
            Self::Helper(id) => (2, id),
            Self::Logger => (3, 0),
            Self::Alarm => (4, 0),
            Self::Signals => (5, 0),
            Self::Extra => (6, 0),
            Self::RoleLog(number) => (7, number),
        };
        kind << 56 | number
    }

    fn from_token(token: u64) -> Self {
        let number = token & ((1 << 56) - 1);
        match token >> 56 {
            0 => Self::Listener,
            1 => Self::Connection(number),
            2 => Self::Helper(number),
            3 => Self::Logger,
            4 => Self::Alarm,
            5 => Self::Signals,
            7 => Self::RoleLog(number),
            _ => Self::Extra,
        }
    }
}

pub struct Shell {
    paths: Paths,
    agent_arguments: Vec<OsString>,
    boot_id: String,
    epoll: Epoll,
    signals: SignalFd,
    alarm: Alarm,
    connections: Connections,
    pub(super) helpers: Helpers,
    pub(super) dying: Vec<reap::Dying>,
    outputs: Outputs,
    pub(super) role_logs: RoleLogs,
    pub(super) cgroups: Cgroups,
    journal: Journal,
    pub(super) machine: Machine,
    pub board: Board,
    inputs: VecDeque<Input>,
    finished: Option<PowerKind>,
    /// What the role `screen` was told last; nothing while there is none.
    shown: Option<Shown>,
    /// Work of the appliance that an event wakes: new devices.
    extra: Option<Box<dyn Extra>>,
    watchdog: Watchdog,
    /// Where agents that hang may cost a reboot.
    reboots: Option<Reboots>,
}

/// Something more the loop listens to.
pub trait Extra {
    fn fd(&self) -> BorrowedFd<'_>;
    fn ready(&mut self);
    /// The agent's console answers, for the first time or once more.
    fn console_answers(&mut self, board: &mut Board);
}

impl Shell {
    pub fn new(
        paths: Paths,
        roles: &[RoleName],
        agent_arguments: Vec<OsString>,
        signals: SignalFd,
        role_logs: RoleLogs,
    ) -> io::Result<Self> {
        let cgroups = Cgroups::find(&paths.cgroup)?;
        let (journal, remembered) = Journal::open(paths.run.join("journal"))?;
        let mut shell = Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            signals,
            alarm: Alarm::new()?,
            connections: Connections::listen(&paths.init_socket())?,
            helpers: Helpers::default(),
            dying: Vec::new(),
            outputs: Outputs::default(),
            role_logs,
            cgroups,
            journal,
            machine: Machine::new(roles),
            board: Board::default(),
            inputs: VecDeque::new(),
            finished: None,
            shown: None,
            extra: None,
            watchdog: Watchdog::default(),
            reboots: None,
            boot_id: super::boot_id()?,
            paths,
            agent_arguments,
        };
        shell.take_over(remembered);
        shell.listen_to_all()?;
        Ok(shell)
    }

    pub fn also_serve(&mut self, extra: Box<dyn Extra>) -> io::Result<()> {
        self.watch(extra.fd(), Wake::Extra)?;
        self.extra = Some(extra);
        Ok(())
    }

    /// Ends what an init before this one left: its tasks are not our children.
    fn take_over(&mut self, remembered: Remembered) {
        let mut orphans = remembered.orphans;
        let known: Vec<TaskId> = remembered.exits.iter().map(|record| record.task.clone()).collect();
        // A create that was under way is in no journal, only its cgroup tells of it. Nobody was told that it ran, so
        // nobody need be told that it ended.
        let strays =
            self.cgroups.list().into_iter().filter(|id| !known.contains(id) && !orphans.contains(id));
        for stray in strays.collect::<Vec<_>>() {
            self.cgroups.clean(&stray);
        }
        orphans.retain(|id| !known.contains(id));
        let actions = self.machine.restore(remembered.exits, orphans, clock::now());
        self.carry_out(actions);
        self.settle();
    }

    fn listen_to_all(&mut self) -> io::Result<()> {
        self.watch(self.connections.listener(), Wake::Listener)?;
        self.watch(self.signals.as_fd(), Wake::Signals)?;
        self.watch(self.alarm.fd(), Wake::Alarm)
    }

    fn watch(&self, fd: BorrowedFd<'_>, wake: Wake) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, wake.token()))?)
    }

    /// Until everything is down.
    pub fn run(mut self) -> io::Result<(PowerKind, Watchdog)> {
        self.input(Input::Tick);
        loop {
            if let Some(kind) = self.finished {
                self.leave();
                return Ok((kind, self.watchdog));
            }
            self.alarm.set(self.machine.next_deadline())?;
            self.tell_screen();
            let mut events = [EpollEvent::empty(); 64];
            let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => 0,
                Err(error) => return Err(error.into()),
            };
            let mut wakes: Vec<Wake> =
                events[..count].iter().map(|event| Wake::from_token(event.data())).collect();
            wakes.sort();
            for wake in wakes {
                self.wake(wake)?;
            }
        }
    }

    fn wake(&mut self, wake: Wake) -> io::Result<()> {
        match wake {
            Wake::Listener => {
                if let Some(id) = self.connections.accept()?
                    && let Some(fd) = self.connections.fd(id)
                {
                    self.watch(fd, Wake::Connection(id))?;
                }
            }
            Wake::Connection(id) => self.hear(id),
            Wake::Helper(id) => {
                if let Some((task, registration)) = self.helpers.hear(id) {
                    self.input(Input::Registered { task, registration });
                }
            }
            Wake::Logger => {
                self.outputs.hand_over();
                if !self.outputs.hear_logger() {
                    self.outputs.logger_ended();
                }
                self.watch_logger();
            }
            Wake::RoleLog(number) => self.role_logs.hear(number),
            Wake::Alarm => {
                self.alarm.take()?;
                self.input(Input::Tick);
            }
            Wake::Signals => {
                while let Ok(Some(signal)) = self.signals.read_signal() {
                    match Signal::try_from(signal.ssi_signo as i32) {
                        Ok(Signal::SIGTERM) => self.input(Input::PowerRequested(PowerKind::Off)),
                        // Ctrl-Alt-Del on the appliance, Ctrl-C elsewhere.
                        Ok(Signal::SIGINT) => self.input(Input::PowerRequested(PowerKind::Reboot)),
                        _ => {}
                    }
                }
                reap::reap(self);
            }
            Wake::Extra => {
                if let Some(extra) = &mut self.extra {
                    extra.ready();
                }
            }
        }
        Ok(())
    }

    fn hear(&mut self, id: ConnectionId) {
        if let Err(error) = self.connections.flush(id) {
            return self.close(id, &error);
        }
        loop {
            match self.connections.receive(id) {
                Ok(Some(message)) => self.message(id, message),
                Ok(None) => break,
                Err(error) => return self.close(id, &error),
            }
        }
        self.watch_connection(id);
    }

    fn message(&mut self, from: ConnectionId, message: ToInit) {
        match message {
            ToInit::Status { lines, error } => {
                let role = self.connections.role(from).to_owned();
                self.board.status(&role, lines, error);
            }
            ToInit::Phase { name, done, note } => {
                self.board.phase(clock::now(), &name, done, &note);
                if let Some(extra) = self.extra.as_mut().filter(|_| done && name == CONSOLE) {
                    self.watchdog.be_patient();
                    extra.console_answers(&mut self.board);
                    self.watchdog.be_strict();
                }
                self.tell_node();
            }
            ToInit::Watchdog { setting } => self.watch_as(setting),
            message => {
                if message == ToInit::Ready {
                    self.agent_is_good();
                }
                if let ToInit::Hello { role } = &message {
                    if role == RoleName::Screen.as_str() {
                        self.shown = None;
                    }
                    for older in self.connections.set_role(from, role) {
                        self.close(older, &io::Error::other("the role connected again"));
                    }
                }
                self.input(Input::Message { from, message });
            }
        }
    }

    fn close(&mut self, id: ConnectionId, reason: &io::Error) {
        if reason.kind() != io::ErrorKind::UnexpectedEof {
            let role = self.connections.role(id);
            eprintln!("meseta init: connection of `{role}` closed: {reason}");
        }
        self.connections.close(id);
        self.input(Input::Closed { connection: id });
    }

    pub fn input(&mut self, input: Input) {
        self.inputs.push_back(input);
        self.settle();
    }

    /// Works until no action brings a new input.
    fn settle(&mut self) {
        while let Some(input) = self.inputs.pop_front() {
            let actions = self.machine.step(clock::now(), input);
            self.carry_out(actions);
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::SpawnRole { role } => self.spawn_role(role),
            Action::SignalRole { pid, kill: hard, .. } => {
                // We are its parent and have not reaped it: the number is still its own.
                let _ = kill(Pid::from_raw(pid), if hard { Signal::SIGKILL } else { Signal::SIGTERM });
            }
            Action::RolesChanged => self.tell_node(),
            Action::SpawnHelper { task, bundle } => self.spawn_helper(task, &bundle),
            Action::KillHelper { task } => self.helpers.kill(&task),
            Action::Acknowledge { task } => self.helpers.acknowledge(&task),
            Action::HandOver { task, registration } => {
                self.outputs.registered(&task, registration);
                self.watch_logger();
            }
            Action::Terminate { task, pid } => {
                let signal = meta::stop_signal_of(&self.paths.bundle(&task));
                self.cgroups.terminate(&task, pid, signal);
            }
            Action::KillCgroup { task } => self.cgroups.kill(&task),
            Action::Clean { task } => {
                let done = self.cgroups.clean(&task);
                self.inputs.push_back(Input::Cleaned { task, done });
            }
            Action::RemoveFiles { task, bundle } => self.remove_files(&task, bundle),
            Action::Journal(record) => {
                if let Err(error) = self.journal.append(record) {
                    self.complain(&format!("the journal of exits cannot be written: {error}"));
                }
            }
            Action::Send { to, message } => self.send(to, &message),
            Action::SendWorld { to, tasks, exits } => {
                let (phases, services) = (self.board.phases().to_vec(), self.machine.services());
                let boot_id = self.boot_id.clone();
                self.send(to, &FromInit::World { boot_id, tasks, exits, phases, services });
            }
            Action::GiveUp(why) => self.give_up(why),
            Action::Ping => self.ping(),
            Action::Finish(kind) => self.finished = Some(kind),
        }
    }

    fn send(&mut self, to: ConnectionId, message: &FromInit) {
        if let Err(error) = self.connections.send(to, message) {
            return self.close(to, &error);
        }
        self.watch_connection(to);
    }

    /// Roles' phases and services changed: the agent wants to know, the screen too.
    pub fn tell_node(&mut self) {
        self.board.set_services(self.machine.services());
        let (phases, services) = (self.board.phases().to_vec(), self.board.services().to_vec());
        for agent in self.connections.of_role(RoleName::Agent.as_str()) {
            self.send(agent, &FromInit::Node { phases: phases.clone(), services: services.clone() });
        }
    }

    fn spawn_helper(&mut self, task: TaskId, bundle: &std::path::Path) {
        let spawned = self.outputs.open(&task).and_then(|(stdout, stderr)| {
            let id = self.helpers.spawn(&task, bundle, stdout, stderr)?;
            let fd = self.helpers.fd(id).ok_or(io::ErrorKind::NotFound)?;
            self.watch(fd, Wake::Helper(id))
        });
        if let Err(error) = spawned {
            let result = Err(format!("the helper could not be started: {error}"));
            self.inputs.push_back(Input::HelperEnded { task, result });
        }
    }

    fn remove_files(&mut self, task: &TaskId, bundle: bool) {
        let mut folders = vec![self.paths.containers().join(task.as_str())];
        if bundle {
            folders.push(self.paths.bundle(task));
            self.outputs.abandon(task);
        }
        for folder in folders {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.complain(&format!("{} cannot be removed: {error}", folder.display()));
                }
                _ => {}
            }
        }
    }

    pub fn complain(&mut self, error: &str) {
        eprintln!("meseta init: {error}");
        self.role_logs.note("init", error);
        self.board.set_error(error.to_owned());
    }

    fn watch_connection(&self, id: ConnectionId) {
        if let Some(fd) = self.connections.fd(id) {
            self.watch_for(fd, Wake::Connection(id), self.connections.wants_to_write(id));
        }
    }

    fn watch_logger(&self) {
        if let Some(fd) = self.outputs.logger() {
            self.watch_for(fd, Wake::Logger, self.outputs.is_waiting());
        }
    }

    fn watch_new_logger(&mut self) {
        if let Some(fd) = self.outputs.logger()
            && let Err(error) = self.watch(fd, Wake::Logger)
        {
            self.complain(&format!("the logger cannot be heard: {error}"));
        }
        self.watch_logger();
    }

    fn watch_for(&self, fd: BorrowedFd<'_>, wake: Wake, writing: bool) {
        let mut flags = EpollFlags::EPOLLIN;
        flags.set(EpollFlags::EPOLLOUT, writing);
        // It is registered: modifying cannot fail but for memory, and then the next change tries again.
        let _ = self.epoll.modify(fd, &mut EpollEvent::new(flags, wake.token()));
    }

    pub(super) fn helper_spoke_last(&mut self, id: u64) {
        while let Some((task, registration)) = self.helpers.hear(id) {
            self.input(Input::Registered { task, registration });
        }
    }

    pub(super) fn logger_ended(&mut self) {
        self.outputs.hear_logger();
        self.outputs.logger_ended();
    }

    /// Leaves nothing on a machine that is not ours alone.
    fn leave(&mut self) {
        self.cgroups.remove_base();
        // Their absence says that nobody listens; a leftover would only be replaced by the next init.
        let _ = fs::remove_file(self.paths.init_socket());
    }
}

/// The signals init handles; blocked, so that they come by descriptor only.
pub fn block_signals() -> io::Result<SignalFd> {
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT] {
        mask.add(signal);
    }
    mask.thread_block()?;
    Ok(SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}
