//! The client: talks to any node's HTTP API and prints for people, or with `--json` for programs.

mod apps;
mod backup;
mod client;
mod events;
mod join_tokens;
mod node;
mod nodes;
mod schedule;
mod settings;
mod table;
mod tasks;
mod tokens;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use self::client::Client;
pub use self::client::CtlError;
use crate::Exit;

#[derive(Debug, ClapArgs)]
pub struct Args {
    /// A node's plain HTTP address; names other than localhost are not resolved [env: MESETA_URL]
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    #[arg(long, global = true, default_value = "admin", value_name = "NAME")]
    user: String,
    /// Holds the password in its first line; without it the variable MESETA_PASSWORD does
    #[arg(long, global = true, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Print the server's answers as they are
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What should run
    #[command(subcommand)]
    Apps(apps::Command),
    /// What runs
    #[command(subcommand)]
    Tasks(tasks::Command),
    /// Takes an unclaimed cluster with the code its screen shows; the password becomes admin's
    Claim { code: String },
    /// Writes everything the cluster was asked for into one file, or has the cluster do so by itself
    Backup(backup::Backup),
    /// Lets an unclaimed node begin from such a file; a password given becomes admin's
    Restore(backup::Restore),
    /// The nodes of the cluster
    #[command(subcommand)]
    Nodes(nodes::Command),
    /// What lets further nodes in
    #[command(subcommand)]
    JoinTokens(join_tokens::Command),
    /// What the cluster does by itself
    #[command(subcommand)]
    Settings(settings::Command),
    /// What programs log in with
    #[command(subcommand)]
    Tokens(tokens::Command),
    /// The node that answers
    #[command(subcommand)]
    Node(node::Command),
    /// What happens, one line an event, until interrupted
    Events {
        /// Only events of this type; may be repeated
        #[arg(long = "type", value_name = "TYPE")]
        kinds: Vec<String>,
    },
}

/// Where answers are printed, and how.
pub struct Output {
    /// As the server wrote them, instead of tables for people.
    pub json: bool,
    to: Box<dyn std::io::Write + Send>,
}

impl Output {
    pub fn print(&mut self, text: &str) -> Result<(), CtlError> {
        self.print_bytes(text.as_bytes())
    }

    /// A closed pipe ends the program quietly, as `head` expects.
    pub fn print_bytes(&mut self, bytes: &[u8]) -> Result<(), CtlError> {
        self.to.write_all(bytes).and_then(|()| self.to.flush()).map_err(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => CtlError::OutputClosed,
            _ => CtlError::Config(format!("the output cannot be written: {error}")),
        })
    }
}

const URL_DEFAULT: &str = "http://127.0.0.1:8080";

pub fn run(args: Args) -> Exit {
    // One thread is enough: there is one request at a time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(dispatch(args, Box::new(std::io::stdout()))),
        Err(error) => Err(CtlError::Config(format!("the runtime cannot start: {error}"))),
    };
    match result {
        Ok(()) => Exit::Ok,
        Err(error) => {
            eprintln!("{error}");
            error.exit()
        }
    }
}

/// One command line, its answer written to `to`.
pub async fn dispatch(args: Args, to: Box<dyn std::io::Write + Send>) -> Result<(), CtlError> {
    let output = &mut Output { json: args.json, to };
    let url = args.url.clone().or_else(|| std::env::var("MESETA_URL").ok());
    let client = Client::new(url.as_deref().unwrap_or(URL_DEFAULT), &args.user, password(&args)?)?;
    match args.command {
        Command::Apps(command) => apps::run(&client, output, command).await,
        Command::Tasks(command) => tasks::run(&client, output, command).await,
        Command::Claim { code } => node::claim(&client, output, &code).await,
        Command::Backup(wish) => backup::back_up(&client, output, wish).await,
        Command::Restore(wish) => backup::restore(&client, output, wish).await,
        Command::Nodes(command) => nodes::run(&client, output, command).await,
        Command::JoinTokens(command) => join_tokens::run(&client, output, command).await,
        Command::Settings(command) => settings::run(&client, output, command).await,
        Command::Tokens(command) => tokens::run(&client, output, command).await,
        Command::Node(command) => node::run(&client, output, command).await,
        Command::Events { kinds } => events::run(&client, output, &kinds).await,
    }
}

/// `None` if none was given: the server then says what it needs.
fn password(args: &Args) -> Result<Option<String>, CtlError> {
    let Some(path) = &args.password_file else {
        return Ok(std::env::var("MESETA_PASSWORD").ok());
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| CtlError::Config(format!("{} cannot be read: {error}", path.display())))?;
    Ok(Some(text.lines().next().unwrap_or("").to_owned()))
}

#[cfg(test)]
mod tests;
