//! `meseta ctl join-tokens …`

use axum::http::Method;
use clap::Subcommand;
use serde_json::json;

use super::Output;
use super::client::{Client, CtlError, path};
use super::table::{cell, render};

#[derive(Debug, Subcommand)]
pub enum Command {
    List,
    /// Prints one line, this once: it lets nodes in that get it as `--join`
    Create {
        name: String,
        /// How many nodes it lets in
        #[arg(long, default_value_t = 1, value_name = "N")]
        uses: u32,
        /// After how many hours it expires
        #[arg(long, default_value_t = 24, value_name = "N")]
        hours: u64,
    },
    Revoke {
        name: String,
    },
}

pub async fn run(client: &Client, output: &mut Output, command: Command) -> Result<(), CtlError> {
    const TOKENS: &str = "/meseta/v1/join-tokens";
    match command {
        Command::List => {
            let answer = client.get(TOKENS).await?;
            if output.json {
                return output.print(&format!("{answer}\n"));
            }
            let tokens = answer["tokens"].as_array().into_iter().flatten();
            let keys = ["name", "uses_left", "expires_at"];
            let rows: Vec<[String; 3]> = tokens.map(|token| keys.map(|key| cell(&token[key]))).collect();
            output.print(&render(["NAME", "USES LEFT", "EXPIRES"], &rows))
        }
        Command::Create { name, uses, hours } => {
            let body = json!({ "name": name, "uses": uses, "hours": hours }).to_string();
            let answer = client.json(Method::POST, TOKENS, Some(body)).await?;
            let line = if output.json { answer.to_string() } else { cell(&answer["token"]) };
            output.print(&format!("{line}\n"))
        }
        Command::Revoke { name } => {
            let answer = client.json(Method::DELETE, &path(TOKENS, &name), None).await?;
            output.print(&if output.json { format!("{answer}\n") } else { format!("revoked {name}\n") })
        }
    }
}
