//! The command `lab`; see the library's `command` module.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    lab::command::main(lab::command::Arguments::parse())
}
