//! The handlers: one file a page, reading the request, asking `view`, filling a template of the same name.

pub mod app;
pub mod apps;
pub mod balancer;
pub mod claim;
pub mod confirm;
pub mod create;
pub mod login;
pub mod node;
pub mod output;
pub mod task;
