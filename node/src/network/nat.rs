//! Brings the packet filter to what [`Rules`] say, by the program `nft`: one transaction a change.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::NetworkError;
use super::rules::{self, Rules};

const PROGRAM: &str = "/usr/sbin/nft";

pub async fn apply(rules: &Rules) -> Result<(), NetworkError> {
    let script = rules.script();
    match run(&script).await {
        Ok(()) => Ok(()),
        // Tables of another release may have chains that cannot become ours: then in one go without them.
        Err(NetworkError::Filter(fault)) => {
            tracing::warn!(fault, "the packet filter is made anew");
            run(&format!("{}{script}", rules::removal())).await
        }
        Err(error) => Err(error),
    }
}

pub async fn remove() -> Result<(), NetworkError> {
    run(&rules::removal()).await
}

async fn run(script: &str) -> Result<(), NetworkError> {
    let program = |source| NetworkError::Program { program: PROGRAM, source };
    let mut command = Command::new(PROGRAM);
    command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().map_err(program)?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(script.as_bytes()).await.map_err(program)?;
    }
    let output = child.wait_with_output().await.map_err(program)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    // The first line names the fault; the rest repeats the script.
    Err(NetworkError::Filter(said.lines().next().unwrap_or("no reason given").to_owned()))
}
