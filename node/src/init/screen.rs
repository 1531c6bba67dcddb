//! The console screen: what a person without a network needs to know. A fresh block is printed when it changes.
//!
//! Scripts read it too: the lines `URL: …` and `claim code: …` keep their form.

use std::fs::File;
use std::io::Write;

use super::board::Board;

const RULE: &str = "────────────────────────────────────────────────────────────";

pub struct Screen {
    console: File,
    shown: String,
}

impl Screen {
    pub fn new(console: File) -> Self {
        Self { console, shown: String::new() }
    }

    pub fn show(&mut self, board: &Board) {
        let text = render(board);
        if text != self.shown {
            // A console that is gone cannot be told about; the next change tries again.
            let _ = self.console.write_all(text.replace('\n', "\r\n").as_bytes());
            self.shown = text;
        }
    }
}

/// The whole block.
fn render(board: &Board) -> String {
    let mut text = format!("\n{RULE}\n Meseta {}\n", env!("CARGO_PKG_VERSION"));
    for (name, value) in board.lines() {
        text.push_str(&format!(" {}: {}\n", printable(name), printable(value)));
    }
    text.push('\n');
    for phase in board.phases() {
        let time = match phase.end_ms {
            Some(end) => format!("{:>7} ms at {:>7} ms", end.saturating_sub(phase.start_ms), end),
            None => format!("{:>7}    at {:>7} ms", "…", phase.start_ms),
        };
        text.push_str(format!(" {time}  {} {}", printable(&phase.name), printable(&phase.note)).trim_end());
        text.push('\n');
    }
    for service in board.services().iter().filter(|service| service.restarts > 0) {
        text.push_str(&format!(
            " {} was restarted {} times; last it {}\n",
            service.name,
            service.restarts,
            printable(&service.last_end)
        ));
    }
    for error in board.errors() {
        text.push_str(&format!(" last error: {}\n", printable(error)));
    }
    text.push_str(RULE);
    text.push('\n');
    text
}

/// Whatever a role says, it cannot command the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_the_roles_say_in_a_form_that_scripts_read() {
        let mut board = Board::default();
        board.phase(100, "mounts", false, "");
        board.phase(150, "mounts", true, "");
        board.phase(150, "state disk", false, "");
        board.status("net", vec![("address".into(), "10.0.2.15".into())], String::new());
        let lines = vec![
            ("URL".to_owned(), "http://10.0.2.15:8080".to_owned()),
            ("claim code".to_owned(), "ABCD-EFGH".to_owned()),
        ];
        board.status("agent", lines, "no\u{1b}[2Jleader".to_owned());
        let text = render(&board);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for expected in [
            "URL: http://10.0.2.15:8080",
            "claim code: ABCD-EFGH",
            "address: 10.0.2.15",
            "50 ms at     150 ms  mounts",
            "…    at     150 ms  state disk",
            "last error: no [2Jleader",
        ] {
            assert!(lines.contains(&expected), "{expected} in {text}");
        }
    }
}
