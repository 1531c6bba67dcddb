//! Runs the simulation for many seeds: `simulation [--seeds N] [--from SEED] [--seconds S] [--bug NAME] [--film]`.

use std::process::ExitCode;

use simulation::{Bug, Options, run};

const USAGE: &str = "usage: simulation [--seeds N] [--from SEED] [--seconds S] [--bug skip-fencing|forget-deadline|\
    acknowledge-before-fsync|lease-from-stale-state] [--film]\n  --seeds N     how many runs (100)\n  --from SEED   the \
    first seed (1); with --seeds 1 a run is played again exactly\n  --seconds S   simulated seconds of faults (90)\n  \
    --bug NAME    a bug that is to be found\n  --film        print each run line by line";

fn main() -> ExitCode {
    match arguments() {
        Ok((options, seeds, film)) => sweep(options, seeds, film),
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            ExitCode::from(64)
        }
    }
}

fn arguments() -> Result<(Options, u64, bool), String> {
    let (mut options, mut seeds, mut film) = (Options { seed: 1, bug: None, seconds: 90 }, 100, false);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |text: String| text.parse().map_err(|_| format!("{text} is no number"));
        match word.as_str() {
            "--seeds" => seeds = number(value()?)?,
            "--from" => options.seed = number(value()?)?,
            "--seconds" => options.seconds = number(value()?)?,
            "--bug" => options.bug = Some(bug(&value()?)?),
            "--film" => film = true,
            other => return Err(format!("{other} is unknown")),
        }
    }
    Ok((options, seeds, film))
}

fn bug(name: &str) -> Result<Bug, String> {
    match name {
        "skip-fencing" => Ok(Bug::SkipFencing),
        "forget-deadline" => Ok(Bug::ForgetDeadline),
        "acknowledge-before-fsync" => Ok(Bug::AcknowledgeBeforeFsync),
        "lease-from-stale-state" => Ok(Bug::LeaseFromStaleState),
        other => Err(format!("there is no bug {other}")),
    }
}

fn sweep(options: Options, seeds: u64, film: bool) -> ExitCode {
    let mut failed = 0;
    for seed in options.seed..options.seed + seeds {
        let report = run(&Options { seed, ..options });
        if film {
            report.film.iter().for_each(|line| println!("{line}"));
        }
        println!("seed {seed}: {:?}", report.counts);
        if let Some(violation) = report.violation {
            failed += 1;
            println!("seed {seed} FAILED: {violation}");
        }
    }
    println!("{seeds} seeds, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
