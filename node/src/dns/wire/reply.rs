//! Writing an answer.

use model::zone::{Answer, Code, Record, RecordData};

use super::query::Query;
use super::{HEADER_BYTES, class, code, flag, record_type};

/// Size of the OPT record that ends an answer with EDNS.
const OPT_BYTES: usize = 11;
/// A pointer to the name of the question, which every answer begins with.
const QUESTION: u16 = 0xc000 | HEADER_BYTES as u16;
/// Pointers have 14 bits.
const POINTED_BYTES_MAX: usize = 0x3fff;

/// What is said beside the records.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub ttl_s: u32,
    /// Bytes of the whole message.
    pub limit: usize,
    pub recursion: bool,
}

/// Only a header, for messages whose question could not be read.
pub fn fault(out: &mut Vec<u8>, id: u16, flags: u16, code: u16) {
    out.clear();
    let flags = flag::RESPONSE | flags & (flag::OPCODE | flag::RECURSION_DESIRED) | code;
    for word in [id, flags, 0, 0, 0, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

/// An answer without records.
pub fn empty(out: &mut Vec<u8>, query: &Query<'_>, code: u16, recursion: bool) {
    let extra = if recursion { flag::RECURSION_AVAILABLE } else { 0 };
    begin(out, query, code, extra);
    end(out, query, code, [0, 0, 0]);
}

/// The same, telling the client to come by TCP.
pub fn truncated(out: &mut Vec<u8>, query: &Query<'_>) {
    begin(out, query, code::NO_ERROR, flag::TRUNCATED);
    end(out, query, code::NO_ERROR, [0, 0, 0]);
}

/// An answer of the zone: records until the limit is reached; if not even all answers fit, that is said in a flag.
pub fn write(out: &mut Vec<u8>, query: &Query<'_>, answer: &Answer, terms: Terms) {
    let code = match answer.code {
        Code::NoError => code::NO_ERROR,
        Code::NxDomain => code::NX_DOMAIN,
    };
    let recursion = if terms.recursion { flag::RECURSION_AVAILABLE } else { 0 };
    begin(out, query, code, flag::AUTHORITATIVE | recursion);
    let limit = terms.limit.saturating_sub(if query.edns.is_some() { OPT_BYTES } else { 0 });
    let mut writer = Writer { out, limit, ttl_s: terms.ttl_s, targets: Vec::new() };
    let mut counts = [0; 3];
    let mut fits = !answer.is_cut;
    for record in &answer.answers {
        if !writer.record(Some(QUESTION), record) {
            fits = false;
            break;
        }
        counts[0] += 1;
    }
    for (section, records) in [(1, &answer.authority), (2, &answer.additional)] {
        for record in records.iter().take_while(|_| fits) {
            if !writer.record(None, record) {
                break;
            }
            counts[section] += 1;
        }
    }
    if !fits {
        out[2] |= (flag::TRUNCATED >> 8) as u8;
    }
    end(out, query, code, counts);
}

fn begin(out: &mut Vec<u8>, query: &Query<'_>, code: u16, extra: u16) {
    fault(out, query.id, query.flags, code & 0xf);
    let flags = u16::from_be_bytes([out[2], out[3]]) | extra;
    out[2..4].copy_from_slice(&flags.to_be_bytes());
    out[5] = 1;
    out.extend_from_slice(query.question);
}

fn end(out: &mut Vec<u8>, query: &Query<'_>, code: u16, mut counts: [u16; 3]) {
    if query.edns.is_some() {
        let [high, low] = (super::UDP_BYTES_MAX as u16).to_be_bytes();
        let [_, kind] = record_type::OPT.to_be_bytes();
        out.extend_from_slice(&[0, 0, kind, high, low, (code >> 4) as u8, 0, 0, 0, 0, 0]);
        counts[2] += 1;
    }
    for (at, count) in [6, 8, 10].into_iter().zip(counts) {
        out[at..at + 2].copy_from_slice(&count.to_be_bytes());
    }
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    limit: usize,
    ttl_s: u32,
    /// Names written in full, by the address of their text, and where: the records that follow point there.
    targets: Vec<(*const u8, usize)>,
}

impl Writer<'_> {
    /// Writes the record with `owner` as a pointer, or in whatever form is shortest; takes it back and answers false
    /// if it does not fit.
    fn record(&mut self, owner: Option<u16>, record: &Record) -> bool {
        let (start, targets) = (self.out.len(), self.targets.len());
        match owner.or_else(|| self.pointer_to(&record.owner)) {
            Some(pointer) => self.out.extend_from_slice(&pointer.to_be_bytes()),
            None => self.name(&record.owner),
        }
        let kind = match &record.data {
            RecordData::A(_) => record_type::A,
            RecordData::Aaaa(_) => record_type::AAAA,
            RecordData::Srv { .. } => record_type::SRV,
            RecordData::Ns(_) => record_type::NS,
            RecordData::Soa(_) => record_type::SOA,
        };
        self.out.extend_from_slice(&kind.to_be_bytes());
        self.out.extend_from_slice(&class::IN.to_be_bytes());
        self.out.extend_from_slice(&self.ttl_s.to_be_bytes());
        let length_at = self.out.len();
        self.out.extend_from_slice(&[0, 0]);
        self.data(&record.data);
        let length = (self.out.len() - length_at - 2) as u16;
        self.out[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
        let fits = self.out.len() <= self.limit;
        if !fits {
            self.out.truncate(start);
            self.targets.truncate(targets);
        }
        fits
    }

    fn data(&mut self, data: &RecordData) {
        match data {
            RecordData::A(address) => self.out.extend_from_slice(&address.octets()),
            RecordData::Aaaa(address) => self.out.extend_from_slice(&address.octets()),
            // A target is never a pointer (RFC 2782).
            RecordData::Srv { weight, port, target } => {
                for word in [0, *weight, *port] {
                    self.out.extend_from_slice(&word.to_be_bytes());
                }
                self.name(target);
            }
            RecordData::Ns(server) => self.name(server),
            RecordData::Soa(soa) => {
                self.name(&soa.server);
                self.name(&soa.responsible);
                for number in [soa.serial, soa.refresh_s, soa.retry_s, soa.expire_s, soa.minimum_s] {
                    self.out.extend_from_slice(&number.to_be_bytes());
                }
            }
        }
    }

    /// The zone holds only names whose labels fit.
    fn name(&mut self, name: &str) {
        if self.out.len() <= POINTED_BYTES_MAX {
            self.targets.push((name.as_ptr(), self.out.len()));
        }
        for label in name.split('.') {
            self.out.push(label.len() as u8);
            self.out.extend_from_slice(label.as_bytes());
        }
        self.out.push(0);
    }

    /// Equal names of one answer share their text: comparing addresses finds them without comparing texts.
    fn pointer_to(&self, name: &str) -> Option<u16> {
        let found = self.targets.iter().rev().find(|(text, _)| *text == name.as_ptr());
        found.map(|(_, at)| 0xc000 | *at as u16)
    }
}
