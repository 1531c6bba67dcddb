//! What the boot loader remembers: which slot is wanted, how often each may still be tried, and why one was given up.
//!
//! It is GRUB's environment block, 1024 bytes of a file that is only ever overwritten in place. All of it that counts
//! lies in the first sector, so a write that the power cuts is either there or not. `buildroot/grub.cfg` is the other
//! reader and writer: every boot takes one try of the slot, and the node gives them back once it works.

use std::collections::BTreeMap;
use std::fmt;

pub const ENVIRONMENT_BYTES: usize = 1024;
pub const TRIES_MAX: u8 = 3;
const HEAD: &str = "# GRUB Environment Block\n";
const FIRST_SECTOR: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    A,
    B,
}

impl Slot {
    pub fn parse(text: &str) -> Option<Slot> {
        match text {
            "A" => Some(Slot::A),
            "B" => Some(Slot::B),
            _ => None,
        }
    }

    pub fn other(self) -> Slot {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Slot::A => "A",
            Slot::B => "B",
        })
    }
}

/// Why the loader could not even start a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadFault {
    Settings,
    Kernel,
    Initrd,
    Start,
}

const FAULTS: [(LoadFault, &str); 4] = [
    (LoadFault::Settings, "settings"),
    (LoadFault::Kernel, "kernel"),
    (LoadFault::Initrd, "initrd"),
    (LoadFault::Start, "start"),
];

impl fmt::Display for LoadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LoadFault::Settings => "its settings are missing or damaged",
            LoadFault::Kernel => "its kernel cannot be loaded",
            LoadFault::Initrd => "its initrd cannot be loaded",
            LoadFault::Start => "its kernel cannot be started",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots {
    /// The slot that is to run.
    pub active: Slot,
    tries: [u8; 2],
    faults: [Option<LoadFault>; 2],
}

impl Default for Slots {
    /// As the image brings them: A filled, B empty. Also what the loader takes a damaged block for.
    fn default() -> Slots {
        Slots { active: Slot::A, tries: [TRIES_MAX, 0], faults: [None; 2] }
    }
}

impl Slots {
    /// A damaged block reads as the default.
    pub fn parse(block: &[u8]) -> Slots {
        let text = String::from_utf8_lossy(block);
        let Some(body) = text.strip_prefix(HEAD) else { return Slots::default() };
        let values: BTreeMap<&str, &str> = body.lines().filter_map(|line| line.split_once('=')).collect();
        let default = Slots::default();
        let tries = |slot: Slot| {
            let read = values.get(format!("tries_{slot}").as_str()).and_then(|text| text.parse::<u8>().ok());
            read.filter(|tries| *tries <= TRIES_MAX).unwrap_or(default.tries[slot as usize])
        };
        let fault = |slot: Slot| {
            let name = values.get(format!("fault_{slot}").as_str())?;
            FAULTS.iter().find(|(_, text)| text == name).map(|(fault, _)| *fault)
        };
        Slots {
            active: values.get("active").and_then(|text| Slot::parse(text)).unwrap_or(default.active),
            tries: [tries(Slot::A), tries(Slot::B)],
            faults: [fault(Slot::A), fault(Slot::B)],
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut values = vec![("active".to_owned(), self.active.to_string())];
        for slot in [Slot::A, Slot::B] {
            values.push((format!("tries_{slot}"), self.tries[slot as usize].to_string()));
            let fault = self.faults[slot as usize];
            if let Some((_, text)) = FAULTS.iter().find(|(known, _)| Some(*known) == fault) {
                values.push((format!("fault_{slot}"), (*text).to_owned()));
            }
        }
        environment(&values)
    }

    /// The slot that runs works: it gets its tries back.
    pub fn confirm(&mut self, running: Slot) {
        self.tries[running as usize] = TRIES_MAX;
        self.faults[running as usize] = None;
    }

    pub fn tries(&self, slot: Slot) -> u8 {
        self.tries[slot as usize]
    }

    /// The slot that should run instead of `running`, and why it does not.
    pub fn given_up(&self, running: Slot) -> Option<(Slot, String)> {
        if running == self.active {
            return None;
        }
        let why = match self.faults[self.active as usize] {
            Some(fault) => fault.to_string(),
            None => "none of its boots became ready".to_owned(),
        };
        Some((self.active, why))
    }
}

/// An environment block with these values. Values hold neither newlines nor backslashes.
pub fn environment(values: &[(String, String)]) -> Vec<u8> {
    let mut text = HEAD.to_owned();
    for (name, value) in values {
        text.push_str(&format!("{name}={value}\n"));
    }
    debug_assert!(text.len() <= FIRST_SECTOR, "all of it must lie in one sector");
    let mut block = text.into_bytes();
    block.resize(ENVIRONMENT_BYTES, b'#');
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_block_is_what_grub_expects() {
        let block = Slots::default().encode();
        assert_eq!(block.len(), ENVIRONMENT_BYTES);
        let text = String::from_utf8(block.clone()).unwrap();
        assert!(text.starts_with("# GRUB Environment Block\nactive=A\ntries_A=3\ntries_B=0\n###"), "{text}");
        assert_eq!(Slots::parse(&block), Slots::default());
    }

    #[test]
    fn damage_reads_as_the_default() {
        for block in [&b""[..], &[0; 1024], b"# GRUB Environment Block\nactive=C\ntries_A=9\ntries_B=x\n####"]
        {
            assert_eq!(Slots::parse(block), Slots::default());
        }
    }

    #[test]
    fn a_slot_that_was_given_up_says_why() {
        let block =
            |rest: &str| format!("# GRUB Environment Block\nactive=A\ntries_A=0\ntries_B=2\n{rest}####");
        let mut slots = Slots::parse(block("fault_A=kernel\n").as_bytes());
        assert_eq!(slots.given_up(Slot::A), None);
        assert_eq!(slots.given_up(Slot::B), Some((Slot::A, "its kernel cannot be loaded".to_owned())));
        slots.confirm(Slot::B);
        assert_eq!((slots.tries(Slot::A), slots.tries(Slot::B)), (0, TRIES_MAX));
        assert_eq!(Slots::parse(&slots.encode()), slots, "stays known until slot A works again");
        slots.confirm(Slot::A);
        assert_eq!(slots.tries(Slot::A), TRIES_MAX);
        let (_, why) = Slots::parse(block("").as_bytes()).given_up(Slot::B).unwrap();
        assert_eq!(why, "none of its boots became ready");
    }
}
