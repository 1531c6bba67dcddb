//! The parent of every task: supervises the other roles, starts containers, keeps exits, holds deadlines.
//!
//! One thread, no async runtime, and nothing from outside the node is parsed here. [`machine`] decides and is pure,
//! [`shell`] acts. On the appliance it is process 1 and also brings up and takes down the machine ([`boot`]); elsewhere
//! it is an ordinary supervisor and subreaper, so the same code runs under test.

mod backoff;
pub mod board;
pub mod boot;
pub mod cgroup;
mod child;
pub mod clock;
mod connections;
mod helper;
mod journal;
mod machine;
mod output;
pub mod proc;
pub mod protocol;
mod reap;
mod reboots;
pub mod role_log;
mod shell;
mod watchdog;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use nix::fcntl::{Flock, FlockArg};

use crate::Exit;
use crate::config::Paths;
use crate::watchdog::Watchdog as Setting;
use board::Board;
pub use boot::ModuleLoader;
use machine::{Millis, PowerKind, RoleName};
use reboots::Reboots;
use shell::{Extra, Shell};
use watchdog::Watchdog;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    paths: Paths,
    /// This machine is ours: mount its file systems, load its modules, power it off at the end
    #[arg(long)]
    appliance: bool,
    /// Roles to supervise; all that make sense here if none is named
    #[arg(long, value_delimiter = ',', value_name = "ROLE,…")]
    roles: Vec<RoleName>,
    /// The watchdog to keep quiet; by default the machine's if it is ours, else none
    #[arg(long, value_name = "DEVICE")]
    watchdog: Option<PathBuf>,
    /// Flags handed to the agent
    #[arg(last = true)]
    agent_arguments: Vec<OsString>,
}

pub fn run(args: Args) -> Exit {
    if args.appliance {
        run_appliance(args)
    }
    let mut watchdog = args.watchdog.as_deref().map(Watchdog::at).unwrap_or_default();
    if let Some(Err(fault)) = watchdog.want(Setting::default()) {
        eprintln!("meseta init: the watchdog: {fault}");
    }
    match supervise(args, Beginning { watchdog, ..Beginning::default() }) {
        Ok((_, mut watchdog)) => {
            if let Err(fault) = watchdog.let_go() {
                eprintln!("meseta init: {fault}");
            }
            Exit::Ok
        }
        Err(error) => {
            eprintln!("meseta init: {error}");
            Exit::Failure
        }
    }
}

/// Process 1: brings the machine up, and never just ends.
fn run_appliance(args: Args) -> ! {
    std::panic::set_hook(Box::new(|panic| boot::power::fail(&panic.to_string())));
    let mut board = Board::default();
    let mut watchdog = args.watchdog.as_deref().map_or_else(Watchdog::of_the_machine, Watchdog::at);
    let paths = args.paths.clone();
    let extra = boot::run(&args.paths, &mut board, &mut watchdog);
    // A slot that does not become ready is started anew, until the loader gives it up.
    let ready_by = crate::slot::booted().map(|booted| clock::now() + booted.ready_seconds * 1000);
    let reboots = Some(Reboots::read(&paths.state));
    let (kind, watchdog) = match supervise(args, Beginning { board, extra, ready_by, reboots, watchdog }) {
        Ok(end) => end,
        Err(error) => boot::power::fail(&error.to_string()),
    };
    // It stays armed to the last: should the machine get stuck now, nobody else is left to help it.
    watchdog.be_patient();
    boot::power::leave(kind, &paths);
    boot::power::fail("the kernel refused to go down")
}

/// What the loop begins with. Off the appliance there is nothing of it but perhaps a watchdog.
#[derive(Default)]
struct Beginning {
    board: Board,
    extra: Option<Box<dyn Extra>>,
    ready_by: Option<Millis>,
    reboots: Option<Reboots>,
    watchdog: Watchdog,
}

fn supervise(args: Args, beginning: Beginning) -> io::Result<(PowerKind, Watchdog)> {
    child::reserve_descriptor()?;
    let signals = shell::block_signals()?;
    nix::sys::prctl::set_child_subreaper(true)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&args.paths.run)?;
    let _lock = lock(&args.paths)?;
    let mut roles = match (args.roles.as_slice(), args.appliance) {
        ([], true) => {
            vec![RoleName::Log, RoleName::Net, RoleName::Agent, RoleName::Screen, RoleName::Balancer]
        }
        ([], false) => vec![RoleName::Log, RoleName::Agent, RoleName::Balancer],
        (named, _) => named.to_vec(),
    };
    let mut agent_arguments = args.agent_arguments;
    if args.appliance {
        agent_arguments.push("--discover".into());
    }
    // Without the program the role would only end again and again.
    roles.retain(|role| *role != RoleName::Balancer || crate::proxy::role::is_possible(&args.paths));
    let role_logs = role_log::RoleLogs::new(&args.paths, args.appliance);
    let mut shell = Shell::new(args.paths, &roles, agent_arguments, signals, role_logs)?;
    shell.board = beginning.board;
    shell.machine.expect_ready(beginning.ready_by);
    if let Some(reboots) = beginning.reboots {
        shell.expect_good_agents(reboots);
    }
    shell.keep_quiet(beginning.watchdog);
    if let Some(extra) = beginning.extra {
        shell.also_serve(extra)?;
    }
    shell.run()
}

/// Two inits in one folder would clean up each other's tasks.
fn lock(paths: &Paths) -> io::Result<Flock<File>> {
    let path = paths.run.join("init.lock");
    Flock::lock(File::create(&path)?, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
        io::Error::other(format!("{} is held by another init ({error})", path.display()))
    })
}

/// Names this life of init: whoever sees another knows that every task it had is gone.
fn boot_id() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
