//! `meseta ctl tasks …`

use axum::http::Method;
use clap::Subcommand;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::Output;
use super::client::{Client, CtlError, path};
use super::table::{cell, render};

#[derive(Debug, Subcommand)]
pub enum Command {
    List,
    /// The end of a task's output
    Log {
        id: String,
        /// Go on until the task has ended
        #[arg(long, short)]
        follow: bool,
        #[arg(long)]
        stderr: bool,
        /// Begin at this byte of all that it ever wrote
        #[arg(long, value_name = "BYTE")]
        offset: Option<u64>,
    },
    /// Ends a task; the app gets a fresh one
    Kill {
        id: String,
        /// The app wants one instance fewer from now on
        #[arg(long)]
        scale: bool,
    },
}

pub async fn run(client: &Client, output: &mut Output, command: Command) -> Result<(), CtlError> {
    match command {
        Command::List => {
            let answer = client.get("/v2/tasks").await?;
            let text = if output.json { format!("{answer}\n") } else { table(&answer["tasks"]) };
            output.print(&text)
        }
        Command::Log { id, follow, stderr, offset } => {
            let stream = if stderr { "stderr" } else { "stdout" };
            let offset = offset.map_or_else(String::new, |offset| format!("&offset={offset}"));
            let target = format!("{}/logs/{stream}?follow={follow}{offset}", path("/meseta/v1/tasks", &id));
            log(client, output, &target).await
        }
        Command::Kill { id, scale } => kill(client, output, &id, scale).await,
    }
}

pub fn table(tasks: &Value) -> String {
    let tasks = tasks.as_array().into_iter().flatten();
    let rows: Vec<[String; 5]> =
        tasks.map(|task| ["id", "state", "host", "ports", "startedAt"].map(|key| cell(&task[key]))).collect();
    render(["ID", "STATE", "HOST", "PORTS", "STARTED"], &rows)
}

/// The task's bytes as they are: this is what it wrote.
async fn log(client: &Client, output: &mut Output, target: &str) -> Result<(), CtlError> {
    let mut body = client.send(Method::GET, target, None).await?;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| client.unreachable(error))?;
        if let Some(data) = frame.data_ref() {
            output.print_bytes(data)?;
        }
    }
    Ok(())
}

async fn kill(client: &Client, output: &mut Output, id: &str, scale: bool) -> Result<(), CtlError> {
    let body = json!({ "ids": [id] }).to_string();
    let answer = client.json(Method::POST, &format!("/v2/tasks/delete?scale={scale}"), Some(body)).await?;
    if output.json {
        return output.print(&format!("{answer}\n"));
    }
    // The server skips what is gone already.
    let gone = answer["tasks"].as_array().is_some_and(Vec::is_empty);
    output.print(&if gone { format!("there is no such task: {id}\n") } else { format!("killing {id}\n") })
}
