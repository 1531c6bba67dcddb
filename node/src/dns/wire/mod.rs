//! DNS messages as bytes (RFC 1035, EDNS0 of RFC 6891): as much of them as a server of one small zone and a forwarder
//! need. Reading never panics and never follows a pointer; writing never exceeds its limit.

pub mod query;
pub mod reply;

/// Length of the fixed part of a message.
pub const HEADER_BYTES: usize = 12;
/// Without EDNS no answer over UDP is longer.
pub const UDP_BYTES_MIN: usize = 512;
/// Larger answers would be cut into fragments somewhere on their way; the client is told to come by TCP.
pub const UDP_BYTES_MAX: usize = 1_232;
pub const TCP_BYTES_MAX: usize = 65_535;
/// No query of a decent client comes near; longer ones are not read.
pub const QUERY_BYTES_MAX: usize = 4_096;

pub mod record_type {
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const SOA: u16 = 6;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
    pub const OPT: u16 = 41;
    pub const IXFR: u16 = 251;
    pub const AXFR: u16 = 252;
    pub const ANY: u16 = 255;
}

pub mod class {
    pub const IN: u16 = 1;
    pub const ANY: u16 = 255;
}

pub mod code {
    pub const NO_ERROR: u16 = 0;
    pub const FORMAT_ERROR: u16 = 1;
    pub const SERVER_FAILURE: u16 = 2;
    pub const NX_DOMAIN: u16 = 3;
    pub const NOT_IMPLEMENTED: u16 = 4;
    pub const REFUSED: u16 = 5;
    /// Has more bits than the header: the rest is in the OPT record.
    pub const BAD_VERSION: u16 = 16;
}

/// Bits of the third and fourth byte.
pub mod flag {
    pub const RESPONSE: u16 = 0x8000;
    pub const OPCODE: u16 = 0x7800;
    pub const AUTHORITATIVE: u16 = 0x0400;
    pub const TRUNCATED: u16 = 0x0200;
    pub const RECURSION_DESIRED: u16 = 0x0100;
    pub const RECURSION_AVAILABLE: u16 = 0x0080;
}
