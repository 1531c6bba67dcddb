//! `dig`, as people ask: what it was told, section by section.

use std::net::SocketAddr;
use std::process::Command;

/// What a server said, as `dig` prints it.
#[derive(Debug, Clone, Default)]
pub struct Dug {
    /// `NOERROR`, `NXDOMAIN`, `REFUSED`…; empty if nobody answered.
    pub status: String,
    pub flags: Vec<String>,
    /// Type and data of each record, sorted.
    pub answer: Vec<String>,
    pub authority: Vec<String>,
    pub additional: Vec<String>,
    /// Everything.
    pub text: String,
}

/// Asks once. `args` are the name, the type, and what else `dig` takes.
pub fn dig(server: SocketAddr, args: &[&str]) -> Dug {
    dig_by(&[], server, args)
}

/// The same with a command in front, such as `ip netns exec NAME`.
pub fn dig_by(before: &[&str], server: SocketAddr, args: &[&str]) -> Dug {
    let (at, port) = (format!("@{}", server.ip()), server.port().to_string());
    let mut words = before.to_vec();
    words.extend(["dig", &at, "-p", &port, "+tries=1", "+time=20", "+nocmd", "+nocookie"]);
    words.extend(args);
    let output = Command::new(words[0]).args(&words[1..]).output().expect("dig; scripts/setup installs it");
    read(&String::from_utf8_lossy(&output.stdout))
}

fn read(text: &str) -> Dug {
    let mut dug = Dug { text: text.to_owned(), ..Dug::default() };
    let mut section = "";
    for line in text.lines() {
        if let Some(named) = line.strip_prefix(";; ").and_then(|line| line.strip_suffix(" SECTION:")) {
            section = named;
        } else if let Some(rest) = line.split_once("status: ").map(|(_, rest)| rest) {
            dug.status = rest.split(',').next().unwrap_or_default().to_owned();
        } else if let Some(rest) = line.strip_prefix(";; flags: ") {
            let flags = rest.split(';').next().unwrap_or_default();
            dug.flags = flags.split_whitespace().map(str::to_owned).collect();
        } else if !line.is_empty() && !line.starts_with(';') {
            let fields: Vec<&str> = line.split_whitespace().skip(3).collect();
            match section {
                "ANSWER" => dug.answer.push(fields.join(" ")),
                "AUTHORITY" => dug.authority.push(fields.join(" ")),
                "ADDITIONAL" => dug.additional.push(fields.join(" ")),
                _ => {}
            }
        }
    }
    dug.answer.sort();
    dug.additional.sort();
    dug
}

impl Dug {
    pub fn has_flag(&self, flag: &str) -> bool {
        self.flags.iter().any(|f| f == flag)
    }
}

#[test]
fn what_dig_prints_is_read() {
    let dug = read(
        ";; Got answer:\n;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 1\n;; flags: qr aa rd ra; QUERY: 1\n\n\
         ;; QUESTION SECTION:\n;a.mesos.\t\t\tIN\tA\n\n;; ANSWER SECTION:\na.mesos.\t5\tIN\tA\t10.0.0.2\n\
         a.mesos.\t5\tIN\tA\t10.0.0.1\n",
    );
    assert_eq!(
        (&*dug.status, dug.answer),
        ("NOERROR", vec!["A 10.0.0.1".to_owned(), "A 10.0.0.2".to_owned()])
    );
    assert_eq!(dug.flags, ["qr", "aa", "rd", "ra"]);
}
