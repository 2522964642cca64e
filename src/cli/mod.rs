//! The verbs: one file each. The only room that prints, and the only one with `anyhow`.
//!
//! Data goes to stdout, talk to stderr. Exit codes: 0 fine, 1 the answer is "no" or mistakes
//! were found, 2 could not run or bad usage.

mod args;
mod bridge;
mod check;
mod completions;
mod demo;
mod explain;
mod load;
mod message;
mod reload;
mod schema;
mod serve;
mod stub;
mod test;
mod verdict;
mod xpath;

use std::process::ExitCode;

use clap::Parser as _;

use self::verdict::Verdict;
use crate::filter::Registry;

/// Runs the program with its arguments; custom filters of an embedding program come in the
/// registry.
#[must_use]
pub fn run(registry: Registry) -> ExitCode {
    let args = args::Args::parse();
    match dispatch(args.verb, registry) {
        Ok(Verdict::Fine) => ExitCode::SUCCESS,
        Ok(Verdict::No) => ExitCode::from(1),
        Ok(Verdict::CannotRun) => ExitCode::from(2),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn dispatch(verb: args::Verb, registry: Registry) -> anyhow::Result<Verdict> {
    use args::Verb;
    match verb {
        Verb::Serve(args) => serve::run(&args, registry),
        Verb::Demo(args) => demo::run(&args),
        Verb::Check(args) => check::run(&args, &registry),
        Verb::Explain(args) => explain::run(&args, &registry),
        Verb::Xpath(args) => xpath::run(&args),
        Verb::Bridge(args) => bridge::run(&args),
        Verb::Stub(args) => stub::run(&args),
        Verb::Test(args) => test::run(&args, &registry),
        Verb::Schema(args) => schema::run(&args),
        Verb::Reload(args) => reload::run(&args),
        Verb::Completions(args) => completions::run(&args),
    }
}
