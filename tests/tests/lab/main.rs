//! Real nodes in network namespaces of their own, which are killed, cut off and frozen.

mod adoption;
mod authority;
mod drain;
mod faults;
mod keys;
mod lease;
mod one;
mod quarantine;
mod recovery;
mod several;
mod strangers;
mod versions;
mod workers;

use tests::lab::Lab;
