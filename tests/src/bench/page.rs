//! Row 21: what a browser must fetch before it shows the first page.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};

use super::{Row, Settings};
use crate::http::{Answer, Client};
use crate::node::{Node, PASSWORD};

pub fn first(_: &Settings) -> anyhow::Result<Vec<Row>> {
    let node = Node::start();
    let client = node.open();
    let session = log_in(&client)?;
    let mut fetched = Vec::new();
    let page = fetch(&client, "/", &session)?;
    let html = client.send("GET", "/", &[("Cookie", &session)], None)?.text();
    ensure!(html.contains("</html>"), "the first page is no page: {html}");
    fetched.push(("/".to_owned(), page.body.len()));
    for asset in assets(&html) {
        let size = fetch(&client, &asset, &session)?.body.len();
        fetched.push((asset, size));
    }
    let bytes: usize = fetched.iter().map(|(_, size)| size).sum();
    let row = |what: &str, unit, must, aim, value, note: String| Row {
        target: 21,
        what: what.into(),
        unit,
        must: Some(must),
        aim: Some(aim),
        samples: vec![value],
        note,
    };
    Ok(vec![
        row(
            "console first page with all assets",
            "KiB",
            80.0,
            35.0,
            bytes as f64 / 1024.0,
            format!("{fetched:?}"),
        ),
        row("console first page, requests", "requests", 5.0, 3.0, fetched.len() as f64, String::new()),
    ])
}

/// What the server sends to a client that can unpack.
fn fetch(client: &Client, path: &str, session: &str) -> anyhow::Result<Answer> {
    let headers = [("Cookie", session), ("Accept-Encoding", "gzip, br, zstd")];
    let answer = client.send("GET", path, &headers, None)?;
    ensure!(answer.status == 200, "{path} was answered {answer}");
    Ok(answer)
}

/// Logs in as a browser does, and returns the cookies it would send from then on.
fn log_in(client: &Client) -> anyhow::Result<String> {
    let form = client.get("/login")?;
    let cookies = cookies(&form);
    let html = form.text();
    let csrf = html
        .split_once("name=\"csrf\" value=\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(token, _)| token)
        .context("no token in the login form")?;
    let body = format!("csrf={csrf}&name=admin&password={PASSWORD}&next=/");
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Cookie", cookies.as_str())];
    let answer = client.send("POST", "/login", &headers, Some(body.as_bytes()))?;
    ensure!(answer.status == 303, "the login was answered {answer}");
    Ok(self::cookies(&answer))
}

fn cookies(answer: &Answer) -> String {
    let set = answer.headers.get_all("set-cookie").iter().filter_map(|v| v.to_str().ok());
    let pairs: Vec<&str> = set.filter_map(|v| v.split(';').next()).collect();
    pairs.join("; ")
}

/// Style sheets, scripts and pictures a page names, each once; what is written into the page itself costs nothing more.
fn assets(html: &str) -> BTreeSet<String> {
    let tags =
        html.split('<').filter(|t| ["link ", "script ", "img "].iter().any(|name| t.starts_with(name)));
    let attribute = |tag: &str| {
        let (_, rest) = tag.split_once("src=\"").or_else(|| tag.split_once("href=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    tags.filter_map(attribute).filter(|url| !url.starts_with("data:")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn assets_are_what_the_browser_fetches() {
        let html = r#"<link rel="icon" href="data:x"><link href="/a.css"><script src="/b.js" defer></script><a href="/c">
            <img src="/a.css">"#;
        assert_eq!(super::assets(html).into_iter().collect::<Vec<_>>(), ["/a.css", "/b.js"]);
    }
}
