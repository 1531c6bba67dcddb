//! `meseta ctl apps …`

use std::io::Read;

use axum::http::Method;
use clap::Subcommand;
use serde_json::{Value, json};

use super::Output;
use super::client::{Client, CtlError, path};
use super::table::{cell, plain, render};

#[derive(Debug, Subcommand)]
pub enum Command {
    List,
    /// The definition and what runs of it
    Show {
        id: String,
    },
    /// Creates or replaces the app of a JSON file; `-` reads the input
    Put {
        file: String,
        /// Even if a deployment of it is under way
        #[arg(long)]
        force: bool,
    },
    Delete {
        id: String,
    },
    /// Sets the number of instances
    Scale {
        id: String,
        instances: u32,
        #[arg(long)]
        force: bool,
    },
    /// Replaces every instance by a fresh one
    Restart {
        id: String,
        #[arg(long)]
        force: bool,
    },
}

pub async fn run(client: &Client, output: &mut Output, command: Command) -> Result<(), CtlError> {
    match command {
        Command::List => list(client, output).await,
        Command::Show { id } => show(client, output, &id).await,
        Command::Put { file, force } => put(client, output, &file, force).await,
        Command::Delete { id } => {
            let answer = client.json(Method::DELETE, &app(&id), None).await?;
            told(output, &answer)
        }
        Command::Scale { id, instances, force } => {
            let body = json!({ "instances": instances }).to_string();
            // PATCH, so that a mistyped id is told and not created.
            let answer =
                client.json(Method::PATCH, &format!("{}?force={force}", app(&id)), Some(body)).await?;
            told(output, &answer)
        }
        Command::Restart { id, force } => {
            let target = format!("{}/restart?force={force}", app(&id));
            told(output, &client.json(Method::POST, &target, None).await?)
        }
    }
}

fn app(id: &str) -> String {
    path("/v2/apps", id)
}

/// What every change answers: the deployment that was started.
fn told(output: &mut Output, answer: &Value) -> Result<(), CtlError> {
    if output.json {
        return output.print(&format!("{answer}\n"));
    }
    output.print(&format!(
        "deployment {} version {}\n",
        cell(&answer["deploymentId"]),
        cell(&answer["version"])
    ))
}

async fn list(client: &Client, output: &mut Output) -> Result<(), CtlError> {
    let answer = client.get("/v2/apps").await?;
    if output.json {
        return output.print(&format!("{answer}\n"));
    }
    let rows: Vec<[String; 6]> = answer["apps"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|app| {
            let running = format!("{} of {}", cell(&app["tasksRunning"]), cell(&app["instances"]));
            let deploying = app["deployments"].as_array().is_some_and(|d| !d.is_empty());
            let what = app["cmd"].as_str().map_or_else(|| cell(&app["args"]), plain);
            [
                cell(&app["id"]),
                running,
                cell(&app["cpus"]),
                cell(&app["mem"]),
                if deploying { "deploying".to_owned() } else { String::new() },
                what.chars().take(60).collect(),
            ]
        })
        .collect();
    output.print(&render(["ID", "RUNNING", "CPUS", "MEM", "STATE", "COMMAND"], &rows))
}

async fn show(client: &Client, output: &mut Output, id: &str) -> Result<(), CtlError> {
    let answer = client.get(&app(id)).await?;
    let app = &answer["app"];
    if output.json {
        return output.print(&format!("{app}\n"));
    }
    let line = |name: &str, value: String| format!("{name:<10} {value}\n");
    let mut text = line("id", cell(&app["id"]));
    text += &line("version", cell(&app["version"]));
    text += &line("command", if app["cmd"].is_null() { cell(&app["args"]) } else { cell(&app["cmd"]) });
    text += &line("resources", format!("{} cpus, {} MiB", cell(&app["cpus"]), cell(&app["mem"])));
    text += &line("running", format!("{} of {}", cell(&app["tasksRunning"]), cell(&app["instances"])));
    let failure = &app["lastTaskFailure"];
    if failure.is_object() {
        let failed = [&failure["timestamp"], &failure["state"], &failure["message"]].map(cell).join(" ");
        text += &line("failed", failed);
    }
    text.push('\n');
    text += &super::tasks::table(&app["tasks"]);
    output.print(&text)
}

async fn put(client: &Client, output: &mut Output, file: &str, force: bool) -> Result<(), CtlError> {
    let text = read(file).map_err(|error| CtlError::Config(format!("{file} cannot be read: {error}")))?;
    let body: Option<Value> = serde_json::from_str(&text).ok();
    let id = body.as_ref().and_then(|body| body["id"].as_str());
    let Some(id) = id else {
        // The server says better than we could what is wrong with it, and where.
        let answer = client.json(Method::POST, "/v2/apps", Some(text)).await?;
        return told(output, &answer);
    };
    let target = format!("{}?partialUpdate=false&force={force}", app(id));
    told(output, &client.json(Method::PUT, &target, Some(text)).await?)
}

fn read(file: &str) -> std::io::Result<String> {
    if file != "-" {
        return std::fs::read_to_string(file);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}
