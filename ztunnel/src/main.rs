//! The ztunnel binary: reads the environment, runs the application, reports how it ended.

use std::process::ExitCode;

use ztunnel::{app, config::Config};

fn main() -> ExitCode {
    let result = Config::load()
        .map_err(anyhow::Error::from)
        .and_then(|(config, warnings)| app::run(config, &warnings));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the log may not have been started")]
            {
                eprintln!("ztunnel: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}
