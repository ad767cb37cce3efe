//! The binary: reads the command line, serves or does one small thing.

use std::process::ExitCode;

use clap::Parser as _;
use controller::{app, cli::Arguments};

fn main() -> ExitCode {
    match app::run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the log may not have been started, and an operator looks here first"
)]
fn report(error: &anyhow::Error) {
    eprintln!("controller: {error:#}");
}
