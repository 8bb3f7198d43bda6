//! The `weir` binary.

use std::process::ExitCode;

mod cli;
mod files;
mod serve;

fn main() -> ExitCode {
    cli::run()
}
