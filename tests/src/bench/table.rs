//! Rows, their percentiles and verdicts, as text for people and JSON for machines.

use serde::Serialize;

#[derive(Debug, Clone, Default, Serialize)]
pub struct Row {
    /// Number in the project's list of targets.
    pub target: u32,
    pub what: String,
    pub unit: &'static str,
    /// Every sample must be at most this at the 99th percentile; `None` for rows that only inform, such as peers.
    pub must: Option<f64>,
    pub aim: Option<f64>,
    /// In the order they were taken.
    pub samples: Vec<f64>,
    /// How it was measured, and whatever a reader must know to believe it.
    pub note: String,
}

/// What the figures were taken on.
#[derive(Debug, Clone, Serialize)]
pub struct Conditions {
    pub kernel: String,
    pub cores: usize,
    pub build: &'static str,
    pub program: String,
    pub load_average_before: String,
}

impl Conditions {
    pub fn now(program: &std::path::Path) -> Self {
        let uname = nix::sys::utsname::uname();
        Self {
            kernel: uname.map(|u| u.release().to_string_lossy().into_owned()).unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            program: program.display().to_string(),
            load_average_before: std::fs::read_to_string("/proc/loadavg")
                .unwrap_or_default()
                .trim()
                .to_owned(),
        }
    }
}

impl Row {
    /// The smallest sample that at least `share` of all samples do not exceed.
    pub fn percentile(&self, share: f64) -> f64 {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small count of samples"
        )]
        let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
        sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    pub fn verdict(&self) -> &'static str {
        let worst = self.percentile(0.99);
        match (self.must, self.aim) {
            (None, _) => "-",
            _ if worst.is_nan() => "no samples",
            (_, Some(aim)) if worst <= aim => "aim reached",
            (Some(must), _) if worst <= must => "must reached",
            _ => "MISSED",
        }
    }
}

/// Lines of equal columns.
pub fn print(rows: &[Row]) {
    let limit = |value: Option<f64>| value.map_or("-".into(), |v| format!("{v}"));
    println!(
        "{:>3}  {:<58} {:>7} {:>7} {:>9} {:>9} {:>4}  verdict",
        "row", "what", "must", "aim", "p50", "p99", "n"
    );
    for row in rows {
        println!(
            "{:>3}  {:<58} {:>7} {:>7} {:>9.2} {:>9.2} {:>4}  {}",
            row.target,
            format!("{}, {}", row.what, row.unit),
            limit(row.must),
            limit(row.aim),
            row.percentile(0.5),
            row.percentile(0.99),
            row.samples.len(),
            row.verdict(),
        );
    }
    for row in rows.iter().filter(|r| !r.note.is_empty()) {
        println!("{:>3}  {}", row.target, row.note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(samples: &[f64]) -> Row {
        let what = String::new();
        Row {
            target: 0,
            what,
            unit: "ms",
            must: Some(10.0),
            aim: Some(5.0),
            samples: samples.into(),
            note: String::new(),
        }
    }

    #[test]
    fn percentiles_are_samples() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!((row(&hundred).percentile(0.5), row(&hundred).percentile(0.99)), (50.0, 99.0));
        assert_eq!((row(&[7.0]).percentile(0.5), row(&[7.0]).percentile(0.99)), (7.0, 7.0));
        assert!(row(&[]).percentile(0.5).is_nan());
    }

    #[test]
    fn the_verdict_is_about_the_worst() {
        for (samples, verdict) in [
            (&[1.0, 5.0][..], "aim reached"),
            (&[1.0, 10.0], "must reached"),
            (&[1.0, 10.1], "MISSED"),
            (&[], "no samples"),
        ] {
            assert_eq!(row(samples).verdict(), verdict, "{samples:?}");
        }
    }
}
