//! The image in a virtual machine: what only a whole machine can show.

mod disk;
mod image;
mod machine;
mod power;
mod slots;
