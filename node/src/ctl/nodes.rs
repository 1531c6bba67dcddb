//! `meseta ctl nodes …`

use axum::http::Method;
use clap::Subcommand;

use super::Output;
use super::client::{Client, CtlError, path};
use super::table::{cell, render};

#[derive(Debug, Subcommand)]
pub enum Command {
    List,
    /// Removes a node for ever; its tasks are started elsewhere
    Remove {
        id: String,
    },
}

pub async fn run(client: &Client, output: &mut Output, command: Command) -> Result<(), CtlError> {
    match command {
        Command::List => list(client, output).await,
        Command::Remove { id } => {
            let answer = client.json(Method::DELETE, &path("/meseta/v1/nodes", &id), None).await?;
            output.print(&if output.json { format!("{answer}\n") } else { format!("removed {id}\n") })
        }
    }
}

async fn list(client: &Client, output: &mut Output) -> Result<(), CtlError> {
    let answer = client.get("/meseta/v1/nodes").await?;
    if output.json {
        return output.print(&format!("{answer}\n"));
    }
    let nodes = answer["nodes"].as_array().into_iter().flatten();
    let keys = ["id", "name", "role", "reach", "tasks", "product_version"];
    let rows: Vec<[String; 6]> = nodes.map(|node| keys.map(|key| cell(&node[key]))).collect();
    let survives = cell(&answer["survives"]);
    let table = render(["ID", "NAME", "ROLE", "REACH", "TASKS", "VERSION"], &rows);
    output.print(&format!("{table}\nsurvives the loss of {survives}\n"))
}
