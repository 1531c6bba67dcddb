//! How the board becomes text: the overview of a whole screen with the QR code beside it, and the block that a serial
//! line gets whenever something changed. Pure.
//!
//! Scripts read the block: the lines `URL: …` and `claim code: …` stand whole and alone.

use super::qr;
use crate::init::board::Shown;

const RULE: &str = "────────────────────────────────────────────────────────────";
/// Narrower text is no use beside a code.
const TEXT_COLUMNS_MIN: usize = 34;
const GAP: usize = 2;

/// At most `rows` lines for a screen of `columns`.
pub fn overview(board: &Shown, columns: usize, rows: usize) -> Vec<String> {
    let mut code = url(board).map(qr::lines).unwrap_or_default();
    let code_width = code.first().map_or(0, |line| line.chars().count());
    if code.len() > rows || columns < code_width + GAP + TEXT_COLUMNS_MIN {
        code.clear();
    }
    let width = if code.is_empty() { columns } else { columns - code_width - GAP };
    let text = texts(board).into_iter().flat_map(|line| wrap(&line, width));
    let mut text: Vec<String> = text.collect();
    text.truncate(rows);
    text.resize(text.len().max(code.len()), String::new());
    let blank = String::new();
    text.iter()
        .enumerate()
        .map(|(row, line)| match code.get(row) {
            Some(code) => format!("{line:width$}{:GAP$}{code}", blank),
            None => line.clone(),
        })
        .collect()
}

/// The lines of the board, most useful first.
fn texts(board: &Shown) -> Vec<String> {
    let mut lines = vec![format!(" Meseta {}", env!("CARGO_PKG_VERSION")), String::new()];
    for (name, value) in &board.lines {
        lines.push(format!(" {}: {}", printable(name), printable(value)));
    }
    lines.extend(board.errors.iter().map(|error| format!(" last error: {}", printable(error))));
    let noted =
        board.phases.iter().filter(|phase| phase.end_ms.is_none() || phase.note.starts_with("failed"));
    lines.extend(noted.map(|phase| {
        let state = if phase.end_ms.is_none() { "…" } else { "" };
        format!(" {}{state} {}", printable(&phase.name), printable(&phase.note)).trim_end().to_owned()
    }));
    lines.extend(restarted(board));
    lines
}

fn restarted(board: &Shown) -> impl Iterator<Item = String> {
    board.services.iter().filter(|service| service.restarts > 0).map(|service| {
        let (name, times) = (&service.name, service.restarts);
        format!(" {name} was restarted {times} times; last it {}", printable(&service.last_end))
    })
}

/// The whole block, each line ended.
pub fn block(board: &Shown) -> String {
    let mut text = format!("\n{RULE}\n Meseta {}\n", env!("CARGO_PKG_VERSION"));
    let mut push = |line: &str| {
        text.push_str(line.trim_end());
        text.push('\n');
    };
    for (name, value) in &board.lines {
        push(&format!(" {}: {}", printable(name), printable(value)));
    }
    push("");
    for phase in &board.phases {
        let time = match phase.end_ms {
            Some(end) => format!("{:>7} ms at {:>7} ms", end.saturating_sub(phase.start_ms), end),
            None => format!("{:>7}    at {:>7} ms", "…", phase.start_ms),
        };
        push(&format!(" {time}  {} {}", printable(&phase.name), printable(&phase.note)));
    }
    restarted(board).for_each(|line| push(&line));
    for error in &board.errors {
        push(&format!(" last error: {}", printable(error)));
    }
    if let Some(url) = url(board) {
        push("");
        qr::lines(url).iter().for_each(|line| push(&format!("  {line}")));
    }
    push(" n network   r reboot   o power off");
    push(RULE);
    text
}

fn url(board: &Shown) -> Option<&str> {
    board.lines.iter().find(|(name, _)| name == "URL").map(|(_, value)| value.as_str())
}

/// Whatever a role says, it cannot command the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

pub fn cut(line: &str, columns: usize) -> String {
    line.chars().take(columns).collect()
}

/// Breaks at the width; what goes on is indented.
fn wrap(line: &str, width: usize) -> Vec<String> {
    const INDENT: &str = "   ";
    let (width, mut rest): (usize, Vec<char>) = (width.max(INDENT.len() + 1), line.chars().collect());
    let mut lines = Vec::new();
    while rest.len() > width {
        // At a blank in the second half if there is one; an address is rather broken than pushed down alone.
        let blank = rest[..width].iter().rposition(|c| *c == ' ').filter(|at| *at > width / 2);
        let tail = rest.split_off(blank.unwrap_or(width));
        lines.push(rest.iter().collect());
        rest = INDENT.chars().chain(tail.into_iter().skip_while(|c| *c == ' ')).collect();
    }
    lines.push(rest.iter().collect());
    lines
}

#[cfg(test)]
mod tests {
    use console::BootPhase;

    use super::*;

    fn board() -> Shown {
        let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let phase =
            |name: &str, end_ms| BootPhase { name: name.into(), start_ms: 100, end_ms, note: String::new() };
        Shown {
            lines: vec![
                line("URL", "http://10.0.2.15:8080"),
                line("claim code", "ABCD-EFGH"),
                line("address", "2001:db8:1234:5678:5054:ff:fe12:3456 (eth0)"),
            ],
            errors: vec!["no\u{1b}[2Jleader".to_owned()],
            phases: vec![phase("mounts", Some(150)), phase("state disk", None)],
            services: Vec::new(),
        }
    }

    #[test]
    fn the_block_has_the_form_that_scripts_read() {
        let text = block(&board());
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for expected in [
            "URL: http://10.0.2.15:8080",
            "claim code: ABCD-EFGH",
            "50 ms at     150 ms  mounts",
            "…    at     100 ms  state disk",
            "last error: no [2Jleader",
        ] {
            assert!(lines.contains(&expected), "{expected} in {text}");
        }
    }

    #[test]
    fn the_overview_fits_an_old_screen_with_its_code() {
        let lines = overview(&board(), 80, 23);
        assert!(lines.len() <= 23 && lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        assert!(lines.iter().filter(|line| line.contains('▀') || line.contains('█')).count() >= 13);
        let text = lines.join("\n");
        for expected in ["URL: http://10.0.2.15:8080", "claim code: ABCD-EFGH", "fe12:3456 ", "state disk…"]
        {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        let narrow = overview(&board(), 40, 23);
        assert!(!narrow.join("").contains('█'));
    }

    #[test]
    fn long_lines_are_broken_and_lose_nothing() {
        let text = " address: 2001:db8:1234:5678:5054:ff:fe12:3456 (eth0, DHCP from 10.0.0.1)";
        for width in 5..90 {
            let lines = wrap(text, width);
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:?}");
            let kept: String = lines.concat().split_whitespace().collect();
            assert_eq!(kept, text.split_whitespace().collect::<String>());
        }
    }
}
