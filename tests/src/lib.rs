//! What the tests share: a real node off the image, an HTTP client, and the count of what a node leaves behind.

mod apps;
pub mod axe;
pub mod bench;
pub mod browser;
pub mod http;
pub mod init;
pub mod leftovers;
pub mod node;
pub mod task_root;
pub mod vm;
pub mod wait;
