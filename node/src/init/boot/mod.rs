//! What process 1 of the appliance does before and after everything else: phases up, and the way down.
//!
//! The early init has only mounted the read-only root. A phase that fails is shown and boot goes on: a node that can
//! be reached tells more than one that stands still.

mod clock_floor;
mod disk;
pub mod modules;
mod mounts;
mod pattern;
pub mod power;
mod settings;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::path::Path;

use super::board::{Board, DATA};
use super::clock;
use super::shell::Extra;
use super::watchdog::{self, Watchdog};
use crate::config::Paths;
use crate::watchdog::Watchdog as Setting;
use disk::Disk;
pub use modules::ModuleLoader;
use modules::Modules;

/// What the phases pass on to each other.
struct Context<'a> {
    paths: &'a Paths,
    modules: Option<Modules>,
    disk: Option<Disk>,
    watchdog: &'a mut Watchdog,
}

const STATE_IN_MEMORY: &str = "THE STATE IS IN MEMORY AND WILL BE LOST WITH THE NEXT BOOT";
const DATA_IN_MEMORY: &str = "DATA IS IN MEMORY: TASKS HAVE LITTLE SPACE AND LOSE IT WITH THE NEXT BOOT";

/// A step's note for the screen, empty if there is nothing to say.
type Outcome = Result<String, String>;

type Phase = fn(&mut Context<'_>) -> Outcome;

/// In this order; each depends on those before it.
const PHASES: [(&str, Phase); 7] = [
    ("kernel file systems", mount_kernel),
    ("kernel settings", |_| settings::apply()),
    ("drivers", load_drivers),
    // From here on a machine that hangs starts anew.
    (watchdog::PHASE, |context| arm(context.watchdog)),
    ("disk", take_up_disk),
    ("state", mount_state),
    ("clock", |context| clock_floor::raise(&context.paths.state)),
];

/// Runs all phases but the last. What it returns must be served on: devices that come later, and the disk of the tasks,
/// whose file system is large and slow to load: the console does not wait for it.
pub fn run(paths: &Paths, board: &mut Board, watchdog: &mut Watchdog) -> Option<Box<dyn Extra>> {
    let mut context = Context { paths, modules: None, disk: None, watchdog };
    for (name, phase) in PHASES {
        go_through(board, name, || phase(&mut context));
    }
    let Context { modules, disk, .. } = context;
    match modules {
        Some(modules) => {
            board.phase(clock::now(), DATA, false, "");
            Some(Box::new(Rest { paths: paths.clone(), modules, disk, is_data_due: true }))
        }
        None => {
            let mut disk = disk;
            go_through(board, DATA, || mount_data(paths, disk.as_mut(), None));
            None
        }
    }
}

fn go_through(board: &mut Board, name: &str, phase: impl FnOnce() -> Outcome) {
    let start = clock::now();
    board.phase(start, name, false, "");
    let note = phase().unwrap_or_else(|fault| format!("failed: {fault}"));
    let end = clock::now();
    board.phase(end, name, true, &note);
    say(&format!("{:>6} ms  {name} ({} ms) {note}", end, end - start));
}

/// What process 1 goes on with while the roles run.
struct Rest {
    paths: Paths,
    modules: Modules,
    disk: Option<Disk>,
    is_data_due: bool,
}

impl Extra for Rest {
    fn fd(&self) -> BorrowedFd<'_> {
        self.modules.fd()
    }

    fn ready(&mut self) {
        self.modules.ready();
    }

    /// Blocks until DATA is mounted: there is no task yet that could want anything of init.
    fn console_answers(&mut self, board: &mut Board) {
        if std::mem::take(&mut self.is_data_due) {
            go_through(board, DATA, || mount_data(&self.paths, self.disk.as_mut(), Some(&mut self.modules)));
        }
    }
}

/// The console, which also becomes our standard streams: the kernel may have had none to give.
pub fn open_console() -> io::Result<File> {
    let console = OpenOptions::new().read(true).write(true).open("/dev/console")?;
    nix::unistd::dup2_stdin(&console)?;
    nix::unistd::dup2_stdout(&console)?;
    nix::unistd::dup2_stderr(&console)?;
    Ok(console)
}

fn mount_kernel(_: &mut Context<'_>) -> Outcome {
    let mounted = mounts::mount_all();
    // From here on what we say can be seen.
    let console = open_console().map(drop).map_err(|error| format!("/dev/console: {error}"));
    mounted.and(console.map(|()| String::new()))
}

fn load_drivers(context: &mut Context<'_>) -> Outcome {
    let mut modules = Modules::open().map_err(|error| format!("no modules: {error}"))?;
    modules.load_for_devices();
    modules.catch_up();
    // By name: no device asks for them.
    let named: Vec<String> = ["ext4", "overlay"].iter().filter_map(|name| modules.load(name).err()).collect();
    let count = modules.loaded();
    context.modules = Some(modules);
    if named.is_empty() { Ok(format!("{count} modules")) } else { Err(named.join("; ")) }
}

/// By the kernel line, as far as it says something: other settings are found later.
fn arm(watchdog: &mut Watchdog) -> Outcome {
    let outcome = watchdog.want(Setting::booted());
    // Nobody pings it until the loop turns.
    watchdog.be_patient();
    outcome.unwrap_or_else(|| Ok(String::new()))
}

fn take_up_disk(context: &mut Context<'_>) -> Outcome {
    let (disk, note) = disk::take_up(context.modules.as_mut())?;
    let published = disk::publish_esp(&disk, context.paths);
    context.disk = Some(disk);
    published.map_err(|error| format!("the boot loader's partition: {error}"))?;
    Ok(note)
}

fn mount_state(context: &mut Context<'_>) -> Outcome {
    let at = &context.paths.state;
    mount_or_memory(context.disk.as_mut(), at, STATE_IN_MEMORY, |disk| disk.mount_state(at))
}

fn mount_data(paths: &Paths, disk: Option<&mut Disk>, modules: Option<&mut Modules>) -> Outcome {
    // By far the largest module, and no device asks for it.
    let loaded = modules.map_or(Ok(()), |modules| modules.load("xfs"));
    let mount = |disk: &mut Disk| loaded.and_then(|()| disk.mount_data(&paths.data));
    mount_or_memory(disk, &paths.data, DATA_IN_MEMORY, mount)
}

/// A node that can be reached tells more than one that stands still, so memory takes the place of a disk that fails.
fn mount_or_memory(
    disk: Option<&mut Disk>,
    at: &Path,
    warning: &str,
    mount: impl FnOnce(&mut Disk) -> Outcome,
) -> Outcome {
    let fault = match disk.map(mount) {
        Some(Ok(note)) => return Ok(note),
        Some(Err(fault)) => fault,
        None => "there is no disk to use".to_owned(),
    };
    // What was mounted before the fault goes on to be used.
    if mounts::is_mount_point(at) {
        return Err(fault);
    }
    mounts::mount_memory(at).map_err(|error| format!("{fault}; and no memory instead: {error}"))?;
    Err(format!("{fault}. {warning}"))
}

/// A line on the console, while there is no screen yet.
fn say(text: &str) {
    // Without a console there is nobody to tell.
    let _ = writeln!(io::stderr(), "meseta boot {text}");
}
