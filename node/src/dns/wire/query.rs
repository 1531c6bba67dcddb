//! Reading a query.

use hickory_proto::op::{Edns, Header, Message, MessageType, Metadata, OpCode, Query as Question};
use hickory_proto::rr::{DNSClass, Name, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use super::HEADER_BYTES;

/// A query as far as it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'a> {
    pub head: Metadata,
    /// The question section as it came, to be echoed.
    pub question: &'a [u8],
    /// The name asked for: lower case, without the dot at its end; bytes that are in no name of ours are escaped.
    pub name: String,
    pub kind: RecordType,
    pub class: DNSClass,
    pub edns: Option<Edns>,
}

/// Why a message is not answered as a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not even a header, or itself an answer: two servers must not talk to each other for ever.
    Silent,
    /// To be told under the head of the message.
    Format(Metadata),
    NotImplemented(Metadata),
}

pub fn read(message: &[u8]) -> Result<Query<'_>, Fault> {
    let mut decoder = BinDecoder::new(message);
    let header = Header::read(&mut decoder).map_err(|_| Fault::Silent)?;
    if header.message_type == MessageType::Response {
        return Err(Fault::Silent);
    }
    if header.op_code != OpCode::Query {
        return Err(Fault::NotImplemented(header.metadata));
    }
    body(message, decoder, header).ok_or(Fault::Format(header.metadata))
}

fn body<'a>(message: &'a [u8], mut decoder: BinDecoder<'a>, header: Header) -> Option<Query<'a>> {
    let counts = header.counts;
    if counts.queries != 1 {
        return None;
    }
    let asked = Question::read(&mut decoder).ok()?;
    let question = message.get(HEADER_BYTES..decoder.index())?;
    for count in [counts.answers, counts.authorities] {
        Message::read_records(&mut decoder, count.into(), false, OpCode::Query).ok()?;
    }
    let additional = counts.additionals.into();
    let (_, edns, _) = Message::read_records(&mut decoder, additional, true, OpCode::Query).ok()?;
    let name = text_of(&asked.name);
    Some(Query {
        head: header.metadata,
        question,
        name,
        kind: asked.query_type,
        class: asked.query_class,
        edns,
    })
}

/// A dot between two labels is not one inside of them.
fn text_of(name: &Name) -> String {
    let mut text = String::with_capacity(name.len());
    for label in name {
        if !text.is_empty() {
            text.push('.');
        }
        for byte in label {
            match byte {
                b'.' | b'\\' | 0..=32 | 127.. => text.push_str(&format!("\\{byte:03}")),
                byte => text.push(char::from(byte.to_ascii_lowercase())),
            }
        }
    }
    text
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
        assert_eq!((query.head.id, &*query.name), (0x1234, "web.marathon.mesos"));
        assert_eq!((query.kind, query.class), (RecordType::SRV, DNSClass::IN));
        assert_eq!(query.edns.map(|edns| (edns.max_payload(), edns.version())), Some((4096, 0)));
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
        let format = |message: &[u8]| matches!(read(message), Err(Fault::Format(head)) if head.id == 0x1234);
        assert_eq!(read(&good[..11]), Err(Fault::Silent));
        assert_eq!(read(&changed(2, 0x81)), Err(Fault::Silent));
        assert!(matches!(read(&changed(2, 0x28)), Err(Fault::NotImplemented(head)) if head.id == 0x1234));
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
