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

use super::board::Board;
use super::clock;
use super::shell::Extra;
use crate::config::Paths;
use modules::Modules;

/// What the phases pass on to each other.
struct Context<'a> {
    paths: &'a Paths,
    modules: Option<Modules>,
    /// Where the state lies, once it does.
    faults: Vec<String>,
}

/// A step's note for the screen, empty if there is nothing to say.
type Outcome = Result<String, String>;

type Phase = fn(&mut Context<'_>) -> Outcome;

/// In this order; each depends on those before it.
const PHASES: [(&str, Phase); 5] = [
    ("kernel file systems", mount_kernel),
    ("kernel settings", |_| settings::apply()),
    ("drivers", load_drivers),
    ("state disk", mount_state),
    ("clock", |context| clock_floor::raise(&context.paths.state)),
];

/// Runs all phases. What it returns must be served on: devices that come later.
pub fn run(paths: &Paths, board: &mut Board) -> Option<Box<dyn Extra>> {
    let mut context = Context { paths, modules: None, faults: Vec::new() };
    for (name, phase) in PHASES {
        let start = clock::now();
        board.phase(start, name, false, "");
        let outcome = phase(&mut context);
        let (note, failed) = match outcome {
            Ok(note) => (note, false),
            Err(fault) => (format!("failed: {fault}"), true),
        };
        let end = clock::now();
        board.phase(end, name, true, &note);
        say(&format!("{:>6} ms  {name} ({} ms) {note}", end, end - start));
        if failed {
            context.faults.push(format!("{name}: {note}"));
        }
    }
    if !context.faults.is_empty() {
        board.set_error(context.faults.join("; "));
    }
    context.modules.map(|modules| Box::new(modules) as Box<dyn Extra>)
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

fn mount_state(context: &mut Context<'_>) -> Outcome {
    let mount_point = disk::MOUNT_POINT;
    let found = disk::find(context.modules.as_mut()).and_then(|disk| disk.prepare_and_mount());
    let outcome = match found {
        Ok(note) => Ok(note),
        Err(fault) => {
            mounts::mount_memory(mount_point)
                .map_err(|error| format!("{fault}; and no memory instead: {error}"))?;
            Err(format!("{fault}. THE STATE IS IN MEMORY AND WILL BE LOST WITH THE NEXT BOOT"))
        }
    };
    for folder in [&context.paths.state, &context.paths.data] {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    outcome
}

/// A line on the console, while there is no screen yet.
fn say(text: &str) {
    // Without a console there is nobody to tell.
    let _ = writeln!(io::stderr(), "meseta boot {text}");
}
