//! What the tests share: a real node off the image, an HTTP client, and the count of what a node leaves behind.

mod apps;
pub mod axe;
pub mod bench;
pub mod browser;
pub mod dig;
pub mod disk;
pub mod gate;
pub mod gdb;
pub mod http;
pub mod image;
pub mod init;
pub mod iso;
pub mod lab;
pub mod leftovers;
pub mod linear;
pub mod network;
pub mod node;
pub mod registry;
pub mod s3;
pub mod task_root;
pub mod token;
pub mod vm;
pub mod vms;
pub mod wait;
