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
