//! `meseta ctl backup` and `meseta ctl restore`. What the cluster does by itself is in `schedule`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use axum::http::Method;
use clap::{Args, Subcommand};
use serde_json::json;

use super::Output;
use super::client::{Client, CtlError};
use super::schedule;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Backup {
    #[command(subcommand)]
    command: Option<Command>,
    /// The file to write; it must not exist
    #[arg(long, value_name = "FILE", required = true)]
    out: Option<PathBuf>,
    /// Holds the passphrase in its first line; without one, accounts, tokens and secrets are left out
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// What the node has, however old: all there is when the majority is lost
    #[arg(long)]
    stale: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Backups that the cluster makes by itself
    #[command(subcommand)]
    Schedule(schedule::Command),
}

#[derive(Debug, Args)]
pub struct Restore {
    file: PathBuf,
    /// The claim code on the screen of the node, which nobody has claimed
    #[arg(long)]
    code: String,
    /// Holds the backup's passphrase in its first line
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

pub async fn back_up(client: &Client, output: &mut Output, wish: Backup) -> Result<(), CtlError> {
    match (wish.command, wish.out) {
        (Some(Command::Schedule(command)), _) => schedule::run(client, output, command).await,
        (None, out) => {
            let out = out.ok_or_else(|| CtlError::Config("--out FILE is needed".to_owned()))?;
            write(client, output, &out, wish.passphrase_file.as_deref(), wish.stale).await
        }
    }
}

async fn write(
    client: &Client,
    output: &mut Output,
    out: &Path,
    passphrase_file: Option<&Path>,
    stale: bool,
) -> Result<(), CtlError> {
    let passphrase = passphrase_file.map(first_line).transpose()?;
    let body = json!({ "passphrase": passphrase, "stale": stale }).to_string();
    let answer = client.send(Method::POST, "/meseta/v1/backup", Some(body)).await?;
    let bytes = client.read(answer).await?;
    let failed = |error| CtlError::Config(format!("{} cannot be written: {error}", out.display()));
    // An older backup is not what a failed one may cost; and nobody else needs to read it.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(out);
    let written = file.and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()));
    written.map_err(failed)?;
    let (path, size) = (out.display().to_string(), bytes.len());
    let text = match output.json {
        true => format!("{}\n", json!({ "file": path, "bytes": size, "secrets": passphrase.is_some() })),
        false => format!("{path}: {size} bytes\n"),
    };
    output.print(&text)
}

pub async fn restore(client: &Client, output: &mut Output, wish: Restore) -> Result<(), CtlError> {
    let passphrase = wish.passphrase_file.as_deref().map(first_line).transpose()?.unwrap_or_default();
    let file = std::fs::read(&wish.file)
        .map_err(|error| CtlError::Config(format!("{} cannot be read: {error}", wish.file.display())))?;
    let password = client.password.clone().unwrap_or_default();
    let fields = [
        ("code", wish.code.as_bytes()),
        ("passphrase", passphrase.as_bytes()),
        ("password", password.as_bytes()),
    ];
    let answer = client.form("/meseta/v1/restore", &fields, ("file", &file)).await?;
    let answer = String::from_utf8_lossy(&client.read(answer).await?).into_owned();
    let text = match output.json {
        true => format!("{answer}\n"),
        false => "restored; log in with an account of the backup\n".to_owned(),
    };
    output.print(&text)
}

pub fn first_line(path: &Path) -> Result<String, CtlError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CtlError::Config(format!("{} cannot be read: {error}", path.display())))?;
    Ok(text.lines().next().unwrap_or("").to_owned())
}
