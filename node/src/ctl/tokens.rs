//! `meseta ctl tokens …`

use axum::http::Method;
use clap::Subcommand;
use serde_json::json;

use super::Output;
use super::client::{Client, CtlError, path};
use super::table::{cell, render};

#[derive(Debug, Subcommand)]
pub enum Command {
    List,
    /// Prints the token, this once: programs send it as `Authorization: Bearer TOKEN`
    Create {
        name: String,
        /// After how many days it expires; 0 is never
        #[arg(long, default_value_t = 90, value_name = "N")]
        days: u64,
    },
    Revoke {
        name: String,
    },
}

pub async fn run(client: &Client, output: &mut Output, command: Command) -> Result<(), CtlError> {
    const TOKENS: &str = "/meseta/v1/tokens";
    match command {
        Command::List => {
            let answer = client.get(TOKENS).await?;
            if output.json {
                return output.print(&format!("{answer}\n"));
            }
            let tokens = answer["tokens"].as_array().into_iter().flatten();
            let keys = ["name", "created_at", "expires_at"];
            let rows: Vec<[String; 3]> = tokens.map(|token| keys.map(|key| cell(&token[key]))).collect();
            output.print(&render(["NAME", "CREATED", "EXPIRES"], &rows))
        }
        Command::Create { name, days } => {
            let body = json!({ "name": name, "days": days }).to_string();
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
