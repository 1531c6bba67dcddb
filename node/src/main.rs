//! `meseta`: one program, one role a process.

mod agent;
mod api;
mod backup;
mod config;
mod ctl;
mod dns;
mod durable;
mod health;
mod images;
mod init;
mod log;
mod net;
mod network;
mod oci;
mod peers;
mod proxy;
mod s3;
mod screen;
mod slot;
mod watchdog;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// One machine made of many: a node of a Meseta cluster, or its client.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Parent of everything on a node: starts the other roles and all tasks; process 1 on the image
    Init(init::Args),
    /// The node's part in the cluster: log, console, API, scheduling
    Agent(Box<agent::Args>),
    /// Brings up links and addresses (image only)
    Net(net::Args),
    /// Moves the output of all tasks into their sandboxes
    Log(log::Args),
    /// Shows the node on the machine's consoles and takes keys there (image only)
    Screen(screen::Args),
    /// Becomes HAProxy once there is something to balance
    Balancer(proxy::role::Args),
    /// One-shot: creates, enters or removes one container; called by init
    Oci(oci::Args),
    /// Talks to a cluster from the command line
    Ctl(ctl::Args),
}

/// What the exit code of every role means to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Ok = 0,
    Failure = 1,
    /// The configuration or an argument's value is wrong; restarting does not help.
    BadConfig = 65,
    Internal = 70,
    /// Something outside is not ready; worth another try.
    TryAgain = 75,
}

fn main() -> ExitCode {
    let exit = match Cli::parse_from(arguments()).role {
        Role::Init(args) => init::run(args),
        Role::Agent(args) => agent::run(*args),
        Role::Net(args) => net::run(args),
        Role::Log(args) => log::run(args),
        Role::Screen(args) => screen::run(args),
        Role::Balancer(args) => proxy::role::run(args),
        Role::Oci(args) => oci::run(args),
        Role::Ctl(args) => ctl::run(args),
    };
    ExitCode::from(exit as u8)
}

/// The kernel starts process 1 with arguments of its own making: there the role is `init` on the appliance.
fn arguments() -> Vec<std::ffi::OsString> {
    if std::process::id() == 1 && std::env::args_os().nth(1).is_none_or(|a| a != "init") {
        return vec!["meseta".into(), "init".into(), "--appliance".into()];
    }
    std::env::args_os().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_flags_of_a_role_contradict() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
