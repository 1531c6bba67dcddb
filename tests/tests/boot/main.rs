//! The image in a virtual machine: what only a whole machine can show.

mod image;
mod machine;
mod power;
