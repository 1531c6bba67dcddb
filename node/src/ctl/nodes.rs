//! `meseta ctl nodes …`

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::http::Method;
use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Client, CtlError, path};
use super::table::{cell, render};
use super::{Output, node};

#[derive(Debug, Subcommand)]
pub enum Command {
    List,
    /// Nodes of the network that nobody has claimed, as they announce themselves
    Unclaimed,
    /// Takes in an unclaimed node by the code on its screen
    Adopt {
        address: IpAddr,
        code: String,
    },
    /// What would move so that nodes are loaded alike
    Rebalance {
        /// Move it
        #[arg(long)]
        run: bool,
    },
    /// New tasks may be started on it again
    Activate {
        id: String,
    },
    /// No new tasks; those it has stay
    Cordon {
        id: String,
    },
    /// No new tasks, and those it has are replaced on other nodes
    Drain {
        id: String,
    },
    /// Another name for it
    Rename {
        id: String,
        name: String,
    },
    /// Attributes for constraints, such as rack=r1; `rack=` takes one away
    Label {
        id: String,
        #[arg(required = true, value_name = "KEY=VALUE", value_parser = attribute)]
        attributes: Vec<(String, Option<String>)>,
    },
    /// It starts anew; its tasks too
    Reboot {
        id: String,
    },
    /// It is off until somebody starts it
    PowerOff {
        id: String,
    },
    /// It makes a new key, by which the others know it; the one it had is dead
    RenewKey {
        id: String,
    },
    /// The certificate authority, and for which nodes replacing it waits
    Authority {
        /// Replace it: what the present one has certified counts no more in the end
        #[arg(long)]
        replace: bool,
    },
    /// What giving up a majority that is lost for good would cost on the node that is asked
    Recover {
        /// Give it up: the name of that node, which goes on alone
        #[arg(long, value_name = "NAME")]
        confirm: Option<String>,
    },
    /// Removes a node for ever; its tasks are started elsewhere
    Remove {
        id: String,
    },
}

pub async fn run(client: &Client, output: &mut Output, command: Command) -> Result<(), CtlError> {
    match command {
        Command::List => list(client, output).await,
        Command::Unclaimed => unclaimed(client, output).await,
        Command::Adopt { address, code } => {
            let wish = json!({ "address": address, "code": code }).to_string();
            let answer = client.json(Method::POST, "/meseta/v1/unclaimed-nodes", Some(wish)).await?;
            output.print(&if output.json { format!("{answer}\n") } else { format!("adopted {address}\n") })
        }
        Command::Rebalance { run } => rebalance(client, output, run).await,
        Command::Activate { id } => change(client, output, &id, json!({ "availability": "active" })).await,
        Command::Cordon { id } => change(client, output, &id, json!({ "availability": "cordoned" })).await,
        Command::Drain { id } => change(client, output, &id, json!({ "availability": "draining" })).await,
        Command::Rename { id, name } => change(client, output, &id, json!({ "name": name })).await,
        Command::Label { id, attributes } => {
            let attributes: BTreeMap<_, _> = attributes.into_iter().collect();
            change(client, output, &id, json!({ "attributes": attributes })).await
        }
        Command::Reboot { id } => power(client, output, &id, "reboot").await,
        Command::PowerOff { id } => power(client, output, &id, "off").await,
        Command::RenewKey { id } => {
            let at = format!("{}/key", path("/meseta/v1/nodes", &id));
            let answer = client.json(Method::POST, &at, None).await?;
            output.print(&if output.json { format!("{answer}\n") } else { format!("renews {id}\n") })
        }
        Command::Authority { replace } => authority(client, output, replace).await,
        Command::Recover { confirm } => recover(client, output, confirm).await,
        Command::Remove { id } => {
            let answer = client.json(Method::DELETE, &path("/meseta/v1/nodes", &id), None).await?;
            output.print(&if output.json { format!("{answer}\n") } else { format!("removed {id}\n") })
        }
    }
}

async fn rebalance(client: &Client, output: &mut Output, run: bool) -> Result<(), CtlError> {
    let at = "/meseta/v1/rebalance";
    let answer = if run { client.json(Method::POST, at, None).await? } else { client.get(at).await? };
    if output.json {
        return output.print(&format!("{answer}\n"));
    }
    let moves = answer["moves"].as_array().into_iter().flatten();
    let rows: Vec<[String; 3]> =
        moves.map(|step| ["task", "from", "to"].map(|key| cell(&step[key]))).collect();
    output.print(&render(["TASK", "FROM", "TO"], &rows))
}

async fn power(client: &Client, output: &mut Output, id: &str, action: &str) -> Result<(), CtlError> {
    let at = format!("{}/power", path("/meseta/v1/nodes", id));
    node::switch(client, output, &at, action).await
}

async fn authority(client: &Client, output: &mut Output, replace: bool) -> Result<(), CtlError> {
    let at = "/meseta/v1/authority";
    let answer = if replace { client.json(Method::POST, at, None).await? } else { client.get(at).await? };
    if output.json {
        return output.print(&format!("{answer}\n"));
    }
    let [number, fingerprint] = ["number", "fingerprint"].map(|key| cell(&answer[key]));
    let waits = answer["pending"].as_array().into_iter().flatten().map(|node| cell(&node["name"]));
    let waits: Vec<String> = waits.collect();
    let step = match answer["step"].as_str() {
        Some("trust") => format!("being replaced, step 1 of 2; waits for {}\n", waits.join(", ")),
        Some(_) => format!("being replaced, step 2 of 2; waits for {}\n", waits.join(", ")),
        None => String::new(),
    };
    output.print(&format!("number {number}, SHA-256 {fingerprint}\n{step}"))
}

async fn recover(client: &Client, output: &mut Output, confirm: Option<String>) -> Result<(), CtlError> {
    const AT: &str = "/meseta/v1/recover";
    if let Some(confirm) = confirm {
        let answer = client.json(Method::POST, AT, Some(json!({ "confirm": confirm }).to_string())).await?;
        let text = if output.json { answer.to_string() } else { cell(&answer["message"]) };
        return output.print(&format!("{text}\n"));
    }
    let answer = client.get(AT).await?;
    if output.json {
        return output.print(&format!("{answer}\n"));
    }
    let gone = answer["gone"].as_array().into_iter().flatten();
    let rows: Vec<[String; 4]> =
        gone.map(|node| ["id", "name", "addresses", "tasks"].map(|key| cell(&node[key]))).collect();
    let table = render(["REMOVED FOR EVER", "NAME", "ADDRESSES", "TASKS"], &rows);
    let [index, at, heard, name] =
        ["last_change", "last_change_at", "last_contact", "node"].map(|key| cell(&answer[key]));
    let heard = if answer["last_contact"].is_null() { "not since it started" } else { heard.as_str() };
    output.print(&format!(
        "{table}\nlast change here: {index}, {at}\nothers heard of: {heard}\nwhat they acknowledged later is lost; \
         to go on: --confirm {name}\n"
    ))
}

async fn unclaimed(client: &Client, output: &mut Output) -> Result<(), CtlError> {
    let answer = client.get("/meseta/v1/unclaimed-nodes").await?;
    if output.json {
        return output.print(&format!("{answer}\n"));
    }
    let nodes = answer["nodes"].as_array().into_iter().flatten();
    let rows: Vec<[String; 3]> = nodes
        .map(|node| [cell(&node["addresses"][0]), cell(&node["name"]), cell(&node["version"])])
        .collect();
    output.print(&render(["ADDRESS", "NAME", "VERSION"], &rows))
}

fn attribute(text: &str) -> Result<(String, Option<String>), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE, or KEY= to take it away")?;
    Ok((key.to_owned(), Some(value.to_owned()).filter(|value| !value.is_empty())))
}

async fn change(client: &Client, output: &mut Output, id: &str, wish: Value) -> Result<(), CtlError> {
    let answer = client.json(Method::PATCH, &path("/meseta/v1/nodes", id), Some(wish.to_string())).await?;
    output.print(&if output.json { format!("{answer}\n") } else { format!("changed {id}\n") })
}

async fn list(client: &Client, output: &mut Output) -> Result<(), CtlError> {
    let answer = client.get("/meseta/v1/nodes").await?;
    if output.json {
        return output.print(&format!("{answer}\n"));
    }
    let nodes = answer["nodes"].as_array().into_iter().flatten();
    let keys = ["id", "name", "role", "reach", "availability", "tasks", "product_version"];
    let rows: Vec<[String; 7]> = nodes.map(|node| keys.map(|key| cell(&node[key]))).collect();
    let survives = cell(&answer["survives"]);
    let table = render(["ID", "NAME", "ROLE", "REACH", "TAKES TASKS", "TASKS", "VERSION"], &rows);
    output.print(&format!("{table}\nsurvives the loss of {survives}\n"))
}
