//! The handlers: one file a page, reading the request, asking `view`, filling a template of the same name.

pub mod app;
pub mod apps;
pub mod claim;
pub mod compose;
pub mod confirm;
pub mod events;
pub mod help;
pub mod login;
pub mod node;
pub mod output;
pub mod review;
pub mod search;
pub mod settings;
pub mod task;
pub mod versions;
