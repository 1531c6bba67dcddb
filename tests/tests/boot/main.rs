//! The image in a virtual machine: what only a whole machine can show.

mod bridge;
mod disk;
mod host;
mod image;
mod machine;
mod power;
mod slots;
