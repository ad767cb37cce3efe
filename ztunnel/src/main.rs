//! The ztunnel binary: reads the environment, runs the application, or undoes what it has left (`ztunnel uncapture`), and reports how
//! that ended. Other arguments count for nothing: manifests of Istio's ztunnel have some.

use std::process::ExitCode;

use ztunnel::{app, capture::uncapture, config::Config};

/// The argument that removes what outlives ztunnel.
const UNCAPTURE: &str = "uncapture";

fn main() -> ExitCode {
    let result = Config::load()
        .map_err(anyhow::Error::from)
        .and_then(|(config, warnings)| {
            if std::env::args_os().nth(1).is_some_and(|it| it == UNCAPTURE) {
                let removed = uncapture::uncapture(&config.capture.pins)?;
                #[expect(clippy::print_stdout, reason = "this is what the command is for")]
                {
                    println!("{removed}");
                }
                return Ok(());
            }
            app::run(config, &warnings)
        });
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
