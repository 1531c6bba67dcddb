//! Measures the figures of a real node and prints them. Called by scripts/bench, which builds everything first.

use anyhow::bail;
use serde_json::json;
use tests::bench::{ALL, Conditions, Settings, print};

fn main() -> anyhow::Result<()> {
    let (mut settings, mut as_json, mut name) = (Settings::default(), false, None);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--json" => as_json = true,
            "--peers" => settings.peers = true,
            flag if flag.starts_with('-') => bail!("unknown flag {flag}"),
            other => name = Some(other.to_owned()),
        }
    }
    let chosen: Vec<_> = ALL.iter().filter(|b| name.as_deref().is_none_or(|n| b.name == n)).collect();
    if chosen.is_empty() {
        bail!("no such measurement; there are: {}", ALL.map(|b| b.name).join(" "));
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
