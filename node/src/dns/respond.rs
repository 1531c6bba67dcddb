//! From the bytes of a question to the bytes of its answer, without a socket.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, RecordType};
use model::ids::IdSource;
use model::zone::label::normalised;
use model::zone::{Kind, Zone};

use super::wire::query::{self, Fault, Query};
use super::wire::reply::{self, Terms};
use super::wire::{TCP_BYTES_MAX, UDP_BYTES_MAX, UDP_BYTES_MIN};

/// Who asks, and how.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// May ask for names that are not of the zone.
    pub is_ours: bool,
    pub over_tcp: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// `out` holds the answer.
    Reply,
    /// Somebody else has to be asked.
    Forward,
    /// Nobody must hear anything.
    Silent,
}

/// No record is shorter: a pointer, the fixed part, an IPv4 address.
const RECORD_BYTES_MIN: u16 = 16;

pub fn respond(message: &[u8], zone: &Zone, asker: Asker, ids: &mut IdSource, out: &mut Vec<u8>) -> Outcome {
    let query = match query::read(message) {
        Ok(query) => query,
        Err(fault) => return tell(fault, out),
    };
    let refused = match refusal(&query) {
        Some(code) => Some(code),
        None => {
            let limit = if asker.over_tcp { TCP_BYTES_MAX } else { udp_limit(&query) };
            let most = usize::from(limit / RECORD_BYTES_MIN);
            let kind = kind_of(query.kind);
            let answer = if query.name.contains('*') {
                zone.answer(&normalised(&query.name), kind, most, ids)
            } else {
                zone.answer(&query.name, kind, most, ids)
            };
            if let Some(answer) = answer {
                let terms = Terms { ttl_s: zone.settings().ttl_s, limit, recursion: asker.is_ours };
                reply::write(out, &query, &answer, terms);
                return Outcome::Reply;
            }
            (!asker.is_ours || !query.head.recursion_desired).then_some(ResponseCode::Refused)
        }
    };
    match refused {
        None => Outcome::Forward,
        Some(code) => {
            reply::empty(out, &query, code, asker.is_ours);
            Outcome::Reply
        }
    }
}

/// An answer that only says to come by TCP, where nobody can pretend to be somebody else.
pub fn come_by_tcp(message: &[u8], out: &mut Vec<u8>) -> Outcome {
    match query::read(message) {
        Ok(query) => {
            reply::truncated(out, &query);
            Outcome::Reply
        }
        Err(_) => Outcome::Silent,
    }
}

/// The answer when nobody could be asked.
pub fn failed(message: &[u8], out: &mut Vec<u8>) -> Outcome {
    match query::read(message) {
        Ok(query) => {
            reply::empty(out, &query, ResponseCode::ServFail, true);
            Outcome::Reply
        }
        Err(fault) => tell(fault, out),
    }
}

fn tell(fault: Fault, out: &mut Vec<u8>) -> Outcome {
    match fault {
        Fault::Silent => return Outcome::Silent,
        Fault::Format(head) => reply::fault(out, &head, ResponseCode::FormErr),
        Fault::NotImplemented(head) => reply::fault(out, &head, ResponseCode::NotImp),
    }
    Outcome::Reply
}

/// What is answered to nobody, whatever the name.
fn refusal(query: &Query<'_>) -> Option<ResponseCode> {
    if query.edns.as_ref().is_some_and(|edns| edns.version() != 0) {
        return Some(ResponseCode::BADVERS);
    }
    let is_other = !matches!(query.class, DNSClass::IN | DNSClass::ANY);
    let is_transfer = matches!(query.kind, RecordType::AXFR | RecordType::IXFR);
    (is_other || is_transfer).then_some(ResponseCode::Refused)
}

fn udp_limit(query: &Query<'_>) -> u16 {
    query.edns.as_ref().map_or(UDP_BYTES_MIN, |edns| edns.max_payload().clamp(UDP_BYTES_MIN, UDP_BYTES_MAX))
}

fn kind_of(kind: RecordType) -> Kind {
    match kind {
        RecordType::A => Kind::A,
        RecordType::AAAA => Kind::Aaaa,
        RecordType::SRV => Kind::Srv,
        RecordType::NS => Kind::Ns,
        RecordType::SOA => Kind::Soa,
        RecordType::ANY => Kind::Any,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::testing::{Lab, node, port, spec};
    use model::zone::{View, records};
    use model::{Command, NodeId};
    use proptest::prelude::*;

    use hickory_proto::op::{Message, MessageType};

    use super::super::wire::query::tests::packet;
    use super::*;

    const NX_DOMAIN: u16 = 3;
    const REFUSED: u16 = 5;
    const STRANGER: Asker = Asker { is_ours: false, over_tcp: false };

    fn zone(nodes: u64, instances: u32, ports: usize) -> Zone {
        let mut lab = Lab::new();
        for id in 2..=nodes {
            lab.must(Command::RegisterNode { node: node(id) });
        }
        let mut app = spec("/web");
        app.instances = instances;
        app.ports = vec![port(0, None); ports];
        lab.put(app);
        lab.settle();
        records(&lab.state, View { node: NodeId(1), leader: Some(NodeId(1)) }, Arc::default())
    }

    /// Outcome, code, truncated, and records per section, all of which can be walked to the last byte.
    fn ask(zone: &Zone, message: &[u8], asker: Asker) -> (Outcome, u16, bool, [u16; 3], usize) {
        let mut out = Vec::new();
        let outcome = respond(message, zone, asker, &mut IdSource::new(3), &mut out);
        if outcome != Outcome::Reply {
            return (outcome, 0, false, [0; 3], 0);
        }
        let read = Message::from_vec(&out).unwrap_or_else(|error| panic!("{error}: {out:?}"));
        assert_eq!(read.id.to_be_bytes(), message[..2]);
        assert_eq!(read.message_type, MessageType::Response);
        let sections = [&read.answers, &read.authorities, &read.additionals];
        let mut counts = sections.map(|records| records.len() as u16);
        counts[2] += u16::from(read.edns.is_some());
        (outcome, u16::from(read.response_code) & 0xf, read.truncation, counts, out.len())
    }

    #[test]
    fn questions_have_their_answers() {
        let zone = zone(1, 3, 2);
        let ours = Asker { is_ours: true, ..STRANGER };
        let reply = |code, counts| (Outcome::Reply, code, false, counts);
        for (name, kind, edns, asker, expected) in [
            ("web.marathon.mesos", RecordType::A, None, STRANGER, reply(0, [1, 0, 0])),
            ("WEB.*.marathon.Mesos", RecordType::A, Some(1232), STRANGER, reply(0, [1, 0, 1])),
            ("_web._tcp.marathon.mesos", RecordType::SRV, Some(1232), STRANGER, reply(0, [6, 0, 4])),
            ("web.marathon.mesos", RecordType::AAAA, None, STRANGER, reply(0, [0, 1, 0])),
            ("no.marathon.mesos", RecordType::A, None, STRANGER, reply(NX_DOMAIN, [0, 1, 0])),
            ("mesos", RecordType::NS, None, STRANGER, reply(0, [1, 0, 1])),
            ("mesos", RecordType::AXFR, None, ours, reply(REFUSED, [0, 0, 0])),
            ("example.com", RecordType::A, Some(1232), STRANGER, reply(REFUSED, [0, 0, 1])),
            ("example.com", RecordType::A, None, ours, (Outcome::Forward, 0, false, [0; 3])),
        ] {
            let (outcome, code, cut, counts, _) = ask(&zone, &packet(name, kind.into(), edns), asker);
            assert_eq!((outcome, code, cut, counts), expected, "{name} {kind}");
        }
        let mut other_class = packet("web.marathon.mesos", 16, None);
        *other_class.last_mut().unwrap() = 3;
        assert_eq!(ask(&zone, &other_class, ours).1, REFUSED);
        let mut version = packet("web.marathon.mesos", 1, Some(1232));
        let at = version.len() - 5;
        version[at] = 1;
        assert_eq!(ask(&zone, &version, ours).3, [0, 0, 1]);
    }

    #[test]
    fn what_does_not_fit_is_cut_and_says_so() {
        let zone = zone(250, 1, 1);
        for (edns, limit) in [(None, 512), (Some(100), 512), (Some(700), 700), (Some(4096), 1232)] {
            let (_, _, cut, counts, bytes) = ask(&zone, &packet("slave.mesos", 1, edns), STRANGER);
            assert!(
                cut && counts[0] > 20 && bytes <= limit && bytes + 16 > limit,
                "{edns:?} {counts:?} {bytes}"
            );
        }
        let over_tcp = Asker { over_tcp: true, ..STRANGER };
        let (_, _, cut, counts, _) = ask(&zone, &packet("slave.mesos", 1, None), over_tcp);
        assert!(!cut && counts[0] == 250, "{counts:?}");
    }

    #[test]
    fn additional_records_give_way_without_a_word() {
        let zone = zone(1, 7, 1);
        let (_, _, cut, counts, _) = ask(&zone, &packet("_web._tcp.marathon.mesos", 33, None), STRANGER);
        assert!(!cut && counts[0] == 7 && (1..7).contains(&counts[2]), "{counts:?}");
    }

    proptest! {
        #[test]
        fn every_answer_can_be_read_whatever_was_sent(
            name in "(_?[a-z]{1,12}\\.){0,4}mesos|web\\.marathon\\.mesos|_web\\._tcp\\.marathon\\.mesos|slave\\.mesos",
            kind in 0..260u16, edns in prop::option::of(any::<u16>()), over_tcp in any::<bool>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            static ZONE: std::sync::LazyLock<Zone> = std::sync::LazyLock::new(|| zone(60, 3, 2));
            let mut message = packet(&name, kind, edns);
            for (at, value) in changes {
                let at = at.index(message.len());
                message[at] = value;
            }
            let (_, _, _, _, bytes) = ask(&ZONE, &message, Asker { is_ours: true, over_tcp });
            prop_assert!(over_tcp || bytes <= UDP_BYTES_MAX.into());
        }
    }
}
