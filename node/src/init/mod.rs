//! The parent of every task: supervises the other roles, starts containers, keeps exits, holds deadlines.

pub mod protocol;

use crate::Exit;
use crate::config::Paths;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    paths: Paths,
}

pub fn run(_args: Args) -> Exit {
    Exit::Internal
}
