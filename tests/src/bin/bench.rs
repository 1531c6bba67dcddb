//! Measures the figures of a real node and prints them. Called by scripts/bench, which builds everything first.

use anyhow::{Context, bail};
use serde_json::json;
use tests::bench::{ALL, Bench, Conditions, LONG, Settings, print};

fn main() -> anyhow::Result<()> {
    let (mut settings, mut as_json, mut name) = (Settings::default(), false, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => {
                let seconds = arguments.next().and_then(|number| number.parse().ok());
                settings.seconds = Some(seconds.context("--seconds: expected a number")?);
            }
            "--json" => as_json = true,
            "--peers" => settings.peers = true,
            flag if flag.starts_with('-') => bail!("unknown flag {flag}"),
            other => name = Some(other.to_owned()),
        }
    }
    let is_named = |bench: &Bench| name.as_deref() == Some(bench.name);
    let mut chosen: Vec<_> = ALL.iter().filter(|bench| name.is_none() || is_named(bench)).collect();
    chosen.extend(LONG.iter().filter(|bench| is_named(bench)));
    if chosen.is_empty() {
        let names: Vec<&str> = ALL.iter().chain(&LONG).map(|bench| bench.name).collect();
        bail!("no such measurement; there are: {}", names.join(" "));
    }
    let conditions = Conditions::now(&tests::node::binary());
    let mut rows = Vec::new();
    for bench in chosen {
        eprintln!("measuring {}", bench.name);
        rows.extend((bench.run)(&settings)?);
    }
    if as_json {
        let report = json!({ "conditions": conditions, "rows": rows });
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!(
            "kernel {}, {} cores, {} build, load before {}",
            conditions.kernel, conditions.cores, conditions.build, conditions.load_average_before
        );
        print(&rows);
    }
    Ok(())
}
