//! `meseta ctl backup schedule …`

use std::path::PathBuf;

use axum::http::Method;
use clap::{Args, Subcommand, ValueEnum};
use model::backup::REGION_DEFAULT;
use serde_json::{Value, json};

use super::Output;
use super::backup::first_line;
use super::client::{Client, CtlError};
use super::table::cell;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// How often, where to, how the last one went, and when the next one is due
    Show,
    /// Backs up every so many hours, the first time at once
    Set(Box<Wish>),
    /// Backs up now, to where the schedule says
    Run,
    /// No more backups; those that were made stay
    Off,
}

#[derive(Debug, Args)]
pub struct Wish {
    #[arg(long, default_value_t = 24, value_name = "N")]
    every_hours: u32,
    /// How many are kept, in the bucket or on each node
    #[arg(long, default_value_t = 7, value_name = "N")]
    keep: u32,
    /// Holds the passphrase in its first line; without this the files are locked as before, at first not at all
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// The files are not locked any more, and accounts, tokens and secrets are left out
    #[arg(long, conflicts_with = "passphrase_file")]
    no_passphrase: bool,
    /// To a bucket of a server that speaks the S3 protocol, such as https://s3.example.com; without this to the folder
    /// backups on the data disk of the node that leads
    #[arg(long, value_name = "URL", requires_all = ["s3_bucket", "s3_access_key"])]
    s3_endpoint: Option<String>,
    #[arg(long, value_name = "NAME", requires = "s3_endpoint")]
    s3_bucket: Option<String>,
    /// What the keys of all objects begin with, such as meseta/
    #[arg(long, value_name = "TEXT", default_value = "")]
    s3_prefix: String,
    #[arg(long, value_name = "NAME", default_value = REGION_DEFAULT)]
    s3_region: String,
    #[arg(long, value_name = "ID", requires = "s3_endpoint")]
    s3_access_key: Option<String>,
    /// Holds the secret key in its first line; without this it stays as it was
    #[arg(long, value_name = "FILE", requires = "s3_endpoint")]
    s3_secret_key_file: Option<PathBuf>,
    /// Where the bucket stands in an address: in its path, or before its host
    #[arg(long, value_name = "WHERE", default_value = "path")]
    s3_style: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Style {
    Path,
    Host,
}

pub async fn run(client: &Client, output: &mut Output, command: Command) -> Result<(), CtlError> {
    const SCHEDULE: &str = "/meseta/v1/backup/schedule";
    let answer = match command {
        Command::Show => client.get(SCHEDULE).await?,
        Command::Set(wish) => client.json(Method::PUT, SCHEDULE, Some(body(&wish)?.to_string())).await?,
        Command::Run => client.json(Method::POST, &format!("{SCHEDULE}/run"), None).await?,
        Command::Off => client.json(Method::DELETE, SCHEDULE, None).await?,
    };
    output.print(&if output.json { format!("{answer}\n") } else { lines(&answer) })
}

/// What is not said is left out, so that it stays as it is.
fn body(wish: &Wish) -> Result<Value, CtlError> {
    let mut body = json!({ "every_hours": wish.every_hours, "keep": wish.keep });
    if wish.no_passphrase {
        body["passphrase"] = Value::Null;
    } else if let Some(path) = &wish.passphrase_file {
        body["passphrase"] = first_line(path)?.into();
    }
    if let Some(endpoint) = &wish.s3_endpoint {
        body["s3"] = json!({
            "endpoint": endpoint,
            "bucket": wish.s3_bucket,
            "prefix": wish.s3_prefix,
            "region": wish.s3_region,
            "access_key": wish.s3_access_key,
            "path_style": wish.s3_style == Style::Path,
        });
        if let Some(path) = &wish.s3_secret_key_file {
            body["s3"]["secret_key"] = first_line(path)?.into();
        }
    }
    Ok(body)
}

/// For people.
fn lines(answer: &Value) -> String {
    let (schedule, last) = (&answer["schedule"], &answer["last"]);
    if schedule.is_null() {
        return "no backups by themselves\n".to_owned();
    }
    let s3 = &schedule["s3"];
    let to = match s3.is_null() {
        true => "the folder backups on the leader's data disk".to_owned(),
        false => format!(
            "{}, bucket {}, prefix \"{}\"",
            cell(&s3["endpoint"]),
            cell(&s3["bucket"]),
            cell(&s3["prefix"])
        ),
    };
    let result = match (last.is_null(), cell(&last["error"]), cell(&last["left"])) {
        (true, ..) => "none yet".to_owned(),
        (false, error, _) if !error.is_empty() => {
            format!("{} failed ({} in a row): {error}", cell(&last["at"]), cell(&answer["failures"]))
        }
        (false, _, left) => {
            let object =
                last["object"].as_str().map(|_| format!(", {}", cell(&last["object"]))).unwrap_or_default();
            let left = if left.is_empty() { left } else { format!("; older ones are left: {left}") };
            format!("{}, {} bytes{object}{left}", cell(&last["at"]), cell(&last["bytes"]))
        }
    };
    let rows = [
        ("every_hours", cell(&schedule["every_hours"])),
        ("keep", cell(&schedule["keep"])),
        ("locked", cell(&schedule["locked"])),
        ("to", to),
        ("last", result),
        ("last_good", cell(&answer["last_good_at"])),
        ("next", cell(&answer["next"])),
    ];
    rows.into_iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        wish: Wish,
    }

    fn said(args: &[&str]) -> Result<Value, clap::Error> {
        let line = Line::try_parse_from([&["set"], args].concat())?;
        Ok(body(&line.wish).expect("no files are named"))
    }

    #[test]
    fn what_is_not_said_is_left_out() {
        assert_eq!(said(&[]).unwrap(), json!({ "every_hours": 24, "keep": 7 }));
        assert_eq!(said(&["--no-passphrase"]).unwrap()["passphrase"], Value::Null);
        let s3 = ["--s3-endpoint", "http://a", "--s3-bucket", "b-1", "--s3-access-key", "c"];
        let body = said(&s3).unwrap();
        assert!(body["s3"].get("secret_key").is_none() && body.get("passphrase").is_none(), "{body}");
        assert_eq!((&body["s3"]["region"], &body["s3"]["path_style"]), (&json!("us-east-1"), &json!(true)));
        assert!(said(&s3[..4]).is_err(), "no access key");
        assert!(said(&["--s3-bucket", "b"]).is_err(), "no endpoint");
        assert!(said(&["--no-passphrase", "--passphrase-file", "f"]).is_err());
    }

    #[test]
    fn people_read_how_it_goes() {
        assert_eq!(lines(&json!({ "schedule": null })), "no backups by themselves\n");
        let schedule = json!({ "every_hours": 6, "keep": 3, "locked": true, "s3": null });
        let failed = json!({
            "schedule": schedule, "failures": 2, "next": "later",
            "last": { "at": "now", "error": "HTTP status 403 Forbidden" },
        });
        assert!(lines(&failed).contains("last: now failed (2 in a row): HTTP status 403 Forbidden\n"));
        let good = json!({ "schedule": schedule, "last": { "at": "now", "bytes": 9, "object": "a/b" } });
        assert!(lines(&good).contains("last: now, 9 bytes, a/b\n"), "{}", lines(&good));
    }
}
