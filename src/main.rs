//! argv in, exit code out.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    soap_router::cli::run(soap_router::filter::Registry::default())
}
