//! Who is at the door: credentials, limits on guessing, the claim code, and the gate before every API handler.

pub mod code;
mod credentials;
mod gate;
pub mod password;
pub mod tries;
mod verified;

pub use gate::{Caller, caller_without_login, gate, host_of};
pub use verified::Verified;
