//! `meseta ctl node …` and `meseta ctl claim`.

use axum::http::Method;
use clap::Subcommand;
use serde_json::json;

use super::Output;
use super::client::{Client, CtlError};
use super::table::{cell, render};

#[derive(Debug, Subcommand)]
pub enum Command {
    Show,
    Reboot,
    PowerOff,
}

pub async fn run(client: &Client, output: &mut Output, command: Command) -> Result<(), CtlError> {
    match command {
        Command::Show => show(client, output).await,
        Command::Reboot => power(client, output, "reboot").await,
        Command::PowerOff => power(client, output, "off").await,
    }
}

async fn show(client: &Client, output: &mut Output) -> Result<(), CtlError> {
    let node = client.get("/meseta/v1/node").await?;
    if output.json {
        return output.print(&format!("{node}\n"));
    }
    let line = |name: &str, value: String| format!("{name:<10} {value}\n");
    let mib = |kib: &serde_json::Value| kib.as_u64().unwrap_or(0) / 1024;
    let mut text = line("id", cell(&node["id"]));
    for key in ["name", "addresses", "kernel"] {
        text += &line(key, cell(&node[key]));
    }
    text += &line("product", cell(&node["product_version"]));
    text += &line("uptime", format!("{} s", cell(&node["uptime_s"])));
    let (free, total) = (mib(&node["memory_available_kib"]), mib(&node["memory_total_kib"]));
    text += &line("memory", format!("{free} of {total} MiB available"));
    if !cell(&node["last_error"]).is_empty() {
        text += &line("error", cell(&node["last_error"]));
    }
    text.push('\n');
    let services = node["services"].as_array().into_iter().flatten();
    let rows: Vec<[String; 4]> =
        services.map(|s| ["name", "pid", "restarts", "last_end"].map(|key| cell(&s[key]))).collect();
    text += &render(["SERVICE", "PID", "RESTARTS", "LAST END"], &rows);
    output.print(&text)
}

async fn power(client: &Client, output: &mut Output, action: &str) -> Result<(), CtlError> {
    switch(client, output, "/meseta/v1/node/power", action).await
}

/// Turns the power switch at `path`.
pub async fn switch(client: &Client, output: &mut Output, path: &str, action: &str) -> Result<(), CtlError> {
    let body = json!({ "action": action }).to_string();
    let answer = client.json(Method::POST, path, Some(body)).await?;
    let text = if output.json { format!("{answer}\n") } else { format!("{}\n", cell(&answer["message"])) };
    output.print(&text)
}

pub async fn claim(client: &Client, output: &mut Output, code: &str) -> Result<(), CtlError> {
    let password = client.password.as_ref().ok_or_else(|| {
        CtlError::Config("no password given: set MESETA_PASSWORD or use --password-file".to_owned())
    })?;
    let body = json!({ "code": code, "password": password }).to_string();
    let answer = client.json(Method::POST, "/meseta/v1/claim", Some(body)).await?;
    let text = if output.json {
        format!("{answer}\n")
    } else {
        format!("claimed; log in as {}\n", cell(&answer["user"]))
    };
    output.print(&text)
}
