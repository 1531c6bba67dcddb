//! The last steps inside the container, after namespaces, mounts and capabilities: seccomp, then the program itself.
//!
//! Used for the task's own process and for every process that is exec'd into it: libcontainer gives the latter no
//! seccomp filter of its own.

use std::ffi::CString;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};
use nix::errno::Errno;
use nix::sys::signal::{SigHandler, SigSet, Signal};

use super::seccomp;

/// What shells answer with: found but not executable, and not found.
const EXIT_NOT_EXECUTABLE: i32 = 126;
const EXIT_NOT_FOUND: i32 = 127;
/// What `docker run` answers with when the runtime itself failed.
const EXIT_RUNTIME: i32 = 125;

#[derive(Debug, Clone)]
pub struct TaskExecutor {
    seccomp: bool,
}

impl TaskExecutor {
    pub fn new(seccomp: bool) -> Self {
        Self { seccomp }
    }
}

impl Executor for TaskExecutor {
    /// Runs after the start signal. There is nobody left to return an error to: it goes to the task's stderr.
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        if self.seccomp
            && let Err(error) = seccomp::load()
        {
            die(EXIT_RUNTIME, &format!("the seccomp filter could not be loaded: {error}"));
        }
        reset_signals();
        let arguments = arguments(spec).map_err(|error| ExecutorError::Other(error.to_string()))?;
        let c_arguments: Vec<CString> = arguments
            .iter()
            .map(|a| CString::new(a.as_bytes()))
            .collect::<Result<_, _>>()
            .map_err(|_| ExecutorError::Other("an argument holds a NUL byte".to_owned()))?;
        let Err(error) = nix::unistd::execvp(&c_arguments[0], &c_arguments);
        let code = if error == Errno::ENOENT { EXIT_NOT_FOUND } else { EXIT_NOT_EXECUTABLE };
        die(code, &format!("`{}` cannot be executed: {}", arguments[0], error.desc()));
    }

    /// Runs inside the new root but before the task is started: what fails here fails the create.
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        let fault = |text: String| ExecutorValidationError::ArgValidationError(text);
        let arguments = arguments(spec)?;
        let path = search_path(spec);
        let candidates = candidates(&arguments[0], &path);
        let Some(found) = candidates.iter().find(|candidate| candidate.exists()) else {
            let place = if arguments[0].contains('/') { String::new() } else { format!(" in PATH {path}") };
            return Err(fault(format!("the command `{}` does not exist{place}", arguments[0])));
        };
        let executable = |path: &Path| {
            path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        };
        if !candidates.iter().any(|candidate| executable(candidate)) {
            return Err(fault(format!("the command `{}` is not an executable file", found.display())));
        }
        Ok(())
    }
}

/// A program expects every signal to be what it is at boot. Ignored ones, such as the SIGPIPE of every Rust program,
/// and blocked ones would survive the exec.
fn reset_signals() {
    for signal in Signal::iterator().filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: setting the default action installs no handler of ours.
        let reset = unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) };
        debug_assert!(reset.is_ok());
    }
    let unblocked = SigSet::empty().thread_set_mask();
    debug_assert!(unblocked.is_ok());
}

fn arguments(spec: &Spec) -> Result<&[String], ExecutorValidationError> {
    let arguments = spec.process().as_ref().and_then(|process| process.args().as_deref()).unwrap_or_default();
    if arguments.is_empty() {
        return Err(ExecutorValidationError::ArgValidationError("no command is given".to_owned()));
    }
    Ok(arguments)
}

fn search_path(spec: &Spec) -> String {
    let environment =
        spec.process().as_ref().and_then(|process| process.env().as_deref()).unwrap_or_default();
    let path = environment.iter().find_map(|entry| entry.strip_prefix("PATH="));
    path.unwrap_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").to_owned()
}

/// Where `execvp` will look: a name with a slash is a path already.
fn candidates(name: &str, path: &str) -> Vec<PathBuf> {
    if name.contains('/') {
        return vec![PathBuf::from(name)];
    }
    path.split(':').map(|folder| Path::new(folder).join(name)).collect()
}

fn die(code: i32, message: &str) -> ! {
    // The write may fail when nobody reads; there is no other place to say it.
    let _ = writeln!(std::io::stderr(), "meseta: {message}");
    std::process::exit(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_slash_is_not_searched() {
        assert_eq!(candidates("./run.sh", "/bin:/usr/bin"), [PathBuf::from("./run.sh")]);
        assert_eq!(candidates("sh", "/bin:/usr/bin"), [PathBuf::from("/bin/sh"), "/usr/bin/sh".into()]);
    }
}
