//! The waypoint binary: reads the environment, runs the application, reports how it ended.

use std::process::ExitCode;

use waypoint::{app, config::Config};

fn main() -> ExitCode {
    let result = Config::load()
        .map_err(anyhow::Error::from)
        .and_then(app::run);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the log may not have been started")]
            {
                eprintln!("waypoint: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}
