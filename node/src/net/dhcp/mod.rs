//! DHCPv4 (RFC 2131): what goes over the wire, what a client does when, and the task that does it for one interface.

pub mod client;
mod machine;
mod wire;

pub use wire::Mac;
