//! Binary of Weir.

use std::process::ExitCode;

mod cli;
mod files;
mod probe;
mod serve;
mod status;

fn main() -> ExitCode {
    cli::run()
}
