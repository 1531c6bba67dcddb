//! DNS messages as bytes, by hickory-proto: as much of them as a server of one small zone and a forwarder need.
//!
//! Of a query only header, question and EDNS are looked at, its question is echoed as it came; records are encoded one
//! by one until the limit is reached. Whole messages of hickory's own would cost a third of the answers a second.

pub mod query;
pub mod reply;

/// Length of the fixed part of a message.
pub const HEADER_BYTES: usize = 12;
/// Without EDNS no answer over UDP is longer.
pub const UDP_BYTES_MIN: u16 = 512;
/// Larger answers would be cut into fragments somewhere on their way; the client is told to come by TCP.
pub const UDP_BYTES_MAX: u16 = 1_232;
pub const TCP_BYTES_MAX: u16 = u16::MAX;
/// No query of a decent client comes near; longer ones are not read.
pub const QUERY_BYTES_MAX: usize = 4_096;
