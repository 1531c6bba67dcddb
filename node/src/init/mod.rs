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
pub mod role_log;
mod shell;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;

use nix::fcntl::{Flock, FlockArg};

use crate::Exit;
use crate::config::Paths;
use board::Board;
pub use boot::ModuleLoader;
use machine::{Millis, PowerKind, RoleName};
use shell::{Extra, Shell};

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
    /// Flags handed to the agent
    #[arg(last = true)]
    agent_arguments: Vec<OsString>,
}

pub fn run(args: Args) -> Exit {
    if args.appliance {
        run_appliance(args)
    }
    match supervise(args, Board::default(), None, None) {
        Ok(_) => Exit::Ok,
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
    let paths = args.paths.clone();
    let extra = boot::run(&args.paths, &mut board);
    // A slot that does not become ready is started anew, until the loader gives it up.
    let ready_by = crate::slot::booted().map(|booted| clock::now() + booted.ready_seconds * 1000);
    match supervise(args, board, extra, ready_by) {
        Ok(kind) => boot::power::leave(kind, &paths),
        Err(error) => boot::power::fail(&error.to_string()),
    }
    boot::power::fail("the kernel refused to go down")
}

fn supervise(
    args: Args,
    board: Board,
    extra: Option<Box<dyn Extra>>,
    ready_by: Option<Millis>,
) -> io::Result<PowerKind> {
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
    shell.board = board;
    shell.machine.expect_ready(ready_by);
    if let Some(extra) = extra {
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
