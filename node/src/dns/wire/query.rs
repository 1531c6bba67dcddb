//! Reading a query.

use super::{HEADER_BYTES, flag, record_type};

/// A query as far as it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'a> {
    pub id: u16,
    pub flags: u16,
    /// The question section as it came, to be echoed.
    pub question: &'a [u8],
    /// The name asked for: lower case, without the dot at its end; bytes that are in no name of ours are escaped.
    pub name: String,
    pub kind: u16,
    pub class: u16,
    pub edns: Option<Edns>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// Largest answer over UDP that the client takes.
    pub udp_bytes: u16,
    pub version: u8,
}

/// Why a message is not answered as a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not even a header, or itself an answer: two servers must not talk to each other for ever.
    Silent,
    /// To be told with the id and flags of the message.
    Format {
        id: u16,
        flags: u16,
    },
    NotImplemented {
        id: u16,
        flags: u16,
    },
}

pub fn read(message: &[u8]) -> Result<Query<'_>, Fault> {
    let (Some(id), Some(flags)) = (u16_at(message, 0), u16_at(message, 2)) else { return Err(Fault::Silent) };
    if message.len() < HEADER_BYTES || flags & flag::RESPONSE != 0 {
        return Err(Fault::Silent);
    }
    if flags & flag::OPCODE != 0 {
        return Err(Fault::NotImplemented { id, flags });
    }
    body(message, id, flags).ok_or(Fault::Format { id, flags })
}

fn body(message: &[u8], id: u16, flags: u16) -> Option<Query<'_>> {
    let counts = [4, 6, 8, 10].map(|at| u16_at(message, at).unwrap_or(0));
    if counts[0] != 1 {
        return None;
    }
    let (name, end) = name_at(message, HEADER_BYTES)?;
    let (kind, class) = (u16_at(message, end)?, u16_at(message, end + 2)?);
    let question = message.get(HEADER_BYTES..end + 4)?;
    let others = counts[1..].iter().map(|count| usize::from(*count)).sum();
    let edns = edns(message, end + 4, others)?;
    Some(Query { id, flags, question, name, kind, class, edns })
}

/// The name at `from` and where it ends. A question is the first name of its message: there is nothing that a pointer
/// in it could point to.
fn name_at(message: &[u8], from: usize) -> Option<(String, usize)> {
    let (mut at, mut name) = (from, String::new());
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            return Some((name, at));
        }
        if length > 63 || at + length - from > 254 {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        for byte in message.get(at..at + length)? {
            match byte {
                b'.' | b'\\' | 0..=32 | 127.. => name.push_str(&format!("\\{byte:03}")),
                byte => name.push(char::from(byte.to_ascii_lowercase())),
            }
        }
        at += length;
    }
}

/// Walks the records behind the question to the OPT record. `None` if the message ends amid them or has two of it.
fn edns(message: &[u8], from: usize, records: usize) -> Option<Option<Edns>> {
    let (mut at, mut found) = (from, None);
    for _ in 0..records {
        let is_root = *message.get(at)? == 0;
        at = after_name(message, at)?;
        let (kind, class) = (u16_at(message, at)?, u16_at(message, at + 2)?);
        let length = usize::from(u16_at(message, at + 8)?);
        if kind == record_type::OPT {
            if found.is_some() || !is_root {
                return None;
            }
            found = Some(Edns { udp_bytes: class, version: *message.get(at + 5)? });
        }
        at += 10 + length;
        if at > message.len() {
            return None;
        }
    }
    Some(found)
}

/// Where the name at `at` ends: at its pointer, which is not followed, or at its last label.
pub fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xc0.. => return message.get(at + 1).map(|_| at + 2),
            _ => return None,
        }
    }
}

pub fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]))
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A query for `name` of type `kind`, as any client writes it.
    pub fn packet(name: &str, kind: u16, edns: Option<u16>) -> Vec<u8> {
        let mut packet = vec![0x12, 0x34, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
        for label in name.split('.').filter(|label| !label.is_empty()) {
            packet.push(u8::try_from(label.len()).expect("a label"));
            packet.extend_from_slice(label.as_bytes());
        }
        packet.push(0);
        packet.extend_from_slice(&kind.to_be_bytes());
        packet.extend_from_slice(&[0, 1]);
        if let Some(bytes) = edns {
            packet.extend_from_slice(&[0, 0, 41]);
            packet.extend_from_slice(&bytes.to_be_bytes());
            packet.extend_from_slice(&[0, 0, 0, 0, 0, 0]);
        }
        packet
    }

    #[test]
    fn reads_what_clients_send() {
        let bytes = packet("Web.Marathon.MESOS", 33, Some(4096));
        let query = read(&bytes).expect("well formed");
        assert_eq!((query.id, &*query.name, query.kind, query.class), (0x1234, "web.marathon.mesos", 33, 1));
        assert_eq!(query.edns, Some(Edns { udp_bytes: 4096, version: 0 }));
        assert_eq!(query.question, &bytes[12..bytes.len() - 11]);
        assert_eq!(read(&packet("", 1, None)).expect("the root").name, "");
    }

    #[test]
    fn a_dot_inside_a_label_is_not_one_between_labels() {
        let mut bytes = packet("aXmesos", 1, None);
        bytes[14] = b'.';
        assert_eq!(read(&bytes).expect("well formed").name, "a\\046mesos");
    }

    #[test]
    fn faults_are_told_apart() {
        let good = packet("a.mesos", 1, None);
        let changed = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            bytes
        };
        let format = |message: &[u8]| matches!(read(message), Err(Fault::Format { id: 0x1234, .. }));
        assert_eq!(read(&good[..11]), Err(Fault::Silent));
        assert_eq!(read(&changed(2, 0x81)), Err(Fault::Silent));
        assert!(matches!(read(&changed(2, 0x28)), Err(Fault::NotImplemented { id: 0x1234, .. })));
        assert!(format(&changed(5, 2)) && format(&changed(5, 0)), "one question");
        assert!(format(&changed(12, 0xc0)), "a pointer");
        assert!(format(&changed(12, 64)), "a label of 64");
        assert!(format(&changed(11, 1)), "a record that is not there");
        assert!(format(&good[..good.len() - 1]), "half a class");
        let long = vec!["a".repeat(63); 4].join(".");
        assert!(format(&packet(&long, 1, None)), "256 bytes of name");
        let mut twice = packet("a.mesos", 1, Some(512));
        twice[11] = 2;
        let opt = twice[twice.len() - 11..].to_vec();
        twice.extend(opt);
        assert!(format(&twice), "OPT twice");
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = read(&bytes);
        }

        #[test]
        fn nor_is_a_query_with_some_bytes_changed(
            name in "([a-z_]{1,12}\\.){0,5}mesos", changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = packet(&name, 1, Some(1232));
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let _ = read(&bytes);
            let _ = read(&bytes[..cut.index(bytes.len())]);
        }
    }
}
