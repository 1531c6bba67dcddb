//! The web console: server-rendered pages whose every action is a form. Sees a [`Backend`], never the node.
//!
//! A request passes [`guard`] (origin, claim, login), a handler in `pages`, which asks `view` for what to show of one
//! [`model::State`] and fills a template. An open page hears of changes through `live` and fetches its moving part
//! again. Without scripts every page and action works by plain requests.

pub mod adoption;
mod assets;
pub mod attachment;
mod backend;
mod balancer;
mod compose;
mod context;
mod definition;
mod dns;
mod guard;
mod host;
pub mod inspect;
mod live;
mod local;
pub mod multipart;
mod pages;
mod router;
pub mod sandbox;
mod session;
mod starting;
mod strings;
pub mod token;
mod view;

pub use backend::*;
pub use balancer::*;
pub use dns::DnsStatus;
pub use guard::ViaTls;
pub use host::{ClockStatus, HostStatus};
use local::local_path;
pub use router::router;
pub use starting::{Progress, starting};
