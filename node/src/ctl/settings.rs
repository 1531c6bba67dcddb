//! `meseta ctl settings …`

use axum::http::Method;
use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::Output;
use super::client::{Client, CtlError};
use super::table::cell;

#[derive(Debug, Subcommand)]
pub enum Command {
    Show,
    /// Who starts moves that even out the load: a person, or the leader, one instance after the other
    Rebalance {
        who: Who,
    },
    /// Where the leader asks for a lost node to be powered off; an empty address asks nobody
    FenceHook {
        #[arg(value_name = "ADDRESS")]
        url: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Who {
    Manual,
    Automatic,
}

pub async fn run(client: &Client, output: &mut Output, command: Command) -> Result<(), CtlError> {
    const SETTINGS: &str = "/meseta/v1/settings";
    let wish = match command {
        Command::Show => None,
        Command::Rebalance { who: Who::Manual } => Some(json!({ "rebalance": "manual" })),
        Command::Rebalance { who: Who::Automatic } => Some(json!({ "rebalance": "automatic" })),
        Command::FenceHook { url } => Some(json!({ "fence_hook": url })),
    };
    let answer = match wish {
        Some(wish) => client.json(Method::PATCH, SETTINGS, Some(wish.to_string())).await?,
        None => client.get(SETTINGS).await?,
    };
    if output.json {
        return output.print(&format!("{answer}\n"));
    }
    let lines = ["rebalance", "fence_hook"].map(|key| format!("{key}: {}\n", cell(&answer[key])));
    output.print(&lines.concat())
}
