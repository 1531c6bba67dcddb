//! Writing an answer.

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Header, HeaderCounts, Metadata, ResponseCode};
use hickory_proto::rr::{DNSClass, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};
use model::zone::{Answer, Code, Record, RecordData};

use super::query::Query;
use super::{HEADER_BYTES, TCP_BYTES_MAX, UDP_BYTES_MAX};

/// Size of the OPT record that ends an answer with EDNS.
const OPT_BYTES: u16 = 11;
const POINTER: u16 = 0xc000;
/// A pointer to the name of the question, which every answer begins with.
const QUESTION: u16 = POINTER | HEADER_BYTES as u16;
/// Pointers have 14 bits.
const POINTED_BYTES_MAX: usize = 0x3fff;

/// What is said beside the records.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub ttl_s: u32,
    /// Bytes of the whole message.
    pub limit: u16,
    pub recursion: bool,
}

/// Only a header, for messages whose question could not be read.
pub fn fault(out: &mut Vec<u8>, asked: &Metadata, code: ResponseCode) {
    let mut metadata = Metadata::response_from_request(asked);
    metadata.response_code = code;
    out.clear();
    // Twelve bytes always fit.
    let _ = Header { metadata, counts: HeaderCounts::default() }.emit(&mut BinEncoder::new(out));
}

/// An answer without records.
pub fn empty(out: &mut Vec<u8>, query: &Query<'_>, code: ResponseCode, recursion: bool) {
    let mut reply = Reply::begin(out, query);
    reply.metadata.response_code = code;
    reply.metadata.recursion_available = recursion;
    reply.end(query);
}

/// The same, telling the client to come by TCP.
pub fn truncated(out: &mut Vec<u8>, query: &Query<'_>) {
    let mut reply = Reply::begin(out, query);
    reply.metadata.truncation = true;
    reply.end(query);
}

/// An answer of the zone: records until the limit is reached; if not even all answers fit, that is said in a flag.
pub fn write(out: &mut Vec<u8>, query: &Query<'_>, answer: &Answer, terms: Terms) {
    let mut reply = Reply::begin(out, query);
    reply.metadata.response_code = match answer.code {
        Code::NoError => ResponseCode::NoError,
        Code::NxDomain => ResponseCode::NXDomain,
    };
    reply.metadata.authoritative = true;
    reply.metadata.recursion_available = terms.recursion;
    reply.encoder.set_max_size(terms.limit.saturating_sub(if query.edns.is_some() { OPT_BYTES } else { 0 }));
    reply.counts.answers = reply.records(&answer.answers, Some(QUESTION), terms.ttl_s);
    let fits = !answer.is_cut && usize::from(reply.counts.answers) == answer.answers.len();
    if fits {
        reply.counts.authorities = reply.records(&answer.authority, None, terms.ttl_s);
        reply.counts.additionals = reply.records(&answer.additional, None, terms.ttl_s);
    }
    reply.metadata.truncation = !fits;
    reply.encoder.set_max_size(TCP_BYTES_MAX);
    reply.end(query);
}

/// A message that is being written. It is our own and not hickory's `Message` because that one would copy every name
/// and search all of them at each further one.
struct Reply<'a> {
    encoder: BinEncoder<'a>,
    metadata: Metadata,
    counts: HeaderCounts,
    /// Names written in full, by the address of their text, and where: the records that follow point there.
    names: Vec<(*const u8, u16)>,
}

impl<'a> Reply<'a> {
    fn begin(out: &'a mut Vec<u8>, query: &Query<'_>) -> Self {
        out.clear();
        // The header is written last, when its counts are known.
        out.extend_from_slice(&[0; HEADER_BYTES]);
        out.extend_from_slice(query.question);
        let end = out.len() as u32;
        Self {
            encoder: BinEncoder::with_offset(out, end),
            metadata: Metadata::response_from_request(&query.head),
            counts: HeaderCounts { queries: 1, ..HeaderCounts::default() },
            names: Vec::new(),
        }
    }

    fn end(mut self, query: &Query<'_>) {
        if query.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(UDP_BYTES_MAX).set_rcode_high(self.metadata.response_code.high());
            // Its room was kept free.
            if edns.emit(&mut self.encoder).is_ok() {
                self.counts.additionals += 1;
            }
        }
        self.encoder.set_offset(0);
        // Over bytes that are there.
        let _ = Header { metadata: self.metadata, counts: self.counts }.emit(&mut self.encoder);
    }

    /// Writes records as long as they fit; how many did.
    fn records(&mut self, records: &[Record], owner: Option<u16>, ttl_s: u32) -> u16 {
        let mut count = 0;
        for record in records {
            let (start, names) = (self.encoder.offset(), self.names.len());
            if self.record(record, owner, ttl_s).is_err() {
                self.encoder.set_offset(start);
                self.encoder.trim();
                self.names.truncate(names);
                break;
            }
            count += 1;
        }
        count
    }

    /// With `owner` as a pointer, or in whatever form is shortest.
    fn record(&mut self, record: &Record, owner: Option<u16>, ttl_s: u32) -> Result<(), ProtoError> {
        match owner.or_else(|| self.pointer_to(&record.owner)) {
            Some(pointer) => self.encoder.emit_u16(pointer)?,
            None => self.name(&record.owner)?,
        }
        let kind = match &record.data {
            RecordData::A(_) => RecordType::A,
            RecordData::Aaaa(_) => RecordType::AAAA,
            RecordData::Srv { .. } => RecordType::SRV,
            RecordData::Ns(_) => RecordType::NS,
            RecordData::Soa(_) => RecordType::SOA,
        };
        kind.emit(&mut self.encoder)?;
        DNSClass::IN.emit(&mut self.encoder)?;
        self.encoder.emit_u32(ttl_s)?;
        let length = self.encoder.place::<u16>()?;
        self.data(&record.data)?;
        let bytes = self.encoder.len_since_place(&length) as u16;
        length.replace(&mut self.encoder, bytes)
    }

    fn data(&mut self, data: &RecordData) -> Result<(), ProtoError> {
        match data {
            RecordData::A(address) => self.encoder.emit_vec(&address.octets()),
            RecordData::Aaaa(address) => self.encoder.emit_vec(&address.octets()),
            // A target is never a pointer (RFC 2782).
            RecordData::Srv { weight, port, target } => {
                for word in [0, *weight, *port] {
                    self.encoder.emit_u16(word)?;
                }
                self.name(target)
            }
            RecordData::Ns(server) => self.name(server),
            RecordData::Soa(soa) => {
                self.name(&soa.server)?;
                self.name(&soa.responsible)?;
                let numbers = [soa.serial, soa.refresh_s, soa.retry_s, soa.expire_s, soa.minimum_s];
                numbers.into_iter().try_for_each(|number| self.encoder.emit_u32(number))
            }
        }
    }

    /// The zone holds only names whose labels fit.
    fn name(&mut self, name: &str) -> Result<(), ProtoError> {
        let at = self.encoder.offset();
        if at <= POINTED_BYTES_MAX {
            self.names.push((name.as_ptr(), at as u16));
        }
        name.split('.').try_for_each(|label| self.encoder.emit_character_data(label))?;
        self.encoder.emit(0)
    }

    /// Equal names of one answer share their text: comparing addresses finds them without comparing texts.
    fn pointer_to(&self, name: &str) -> Option<u16> {
        let found = self.names.iter().rev().find(|(text, _)| *text == name.as_ptr());
        found.map(|(_, at)| POINTER | at)
    }
}
