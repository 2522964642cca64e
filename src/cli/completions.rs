//! `completions`: what a shell needs to complete our command line.

use clap::CommandFactory as _;

use super::args::{Args, Completions};
use super::verdict::Verdict;

#[allow(clippy::unnecessary_wraps, reason = "verbs have one shape")]
pub(super) fn run(args: &Completions) -> anyhow::Result<Verdict> {
    let mut command = Args::command();
    clap_complete::generate(
        args.shell,
        &mut command,
        "soap-router",
        &mut std::io::stdout(),
    );
    Ok(Verdict::Fine)
}
