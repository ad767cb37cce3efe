//! Which lines are written, and in what form.

use std::{fmt, io};

use tracing::{Level, dispatcher, level_filters::LevelFilter};

use super::{Chain, Directives, Format, InvalidDirective};
use crate::testkit::logging;

#[derive(Debug)]
struct Outer(io::Error);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the file cannot be read")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn process_lines_have_the_shape_of_the_access_log() {
    let (logging, sink) = logging(Format::Text, "info");
    dispatcher::with_default(&logging.dispatch(), || {
        let outer = Outer(io::Error::other("broken"));
        let error: &dyn std::error::Error = &outer;
        tracing::info!(target: "control", version = 7, path = "/a b", pods = ?["x"], addr = %"10.0.0.1", done = true, "loaded {}", 1);
        tracing::warn!(target: "control", error, "not loaded");
        tracing::debug!(target: "control", "not shown");
    });
    assert_eq!(
        sink.take(&logging),
        "2024-11-21T15:33:44.464123Z\tinfo\tcontrol\tloaded 1\tversion=7 path=\"/a b\" pods=\"[\\\"x\\\"]\" addr=10.0.0.1 done=true\n\
         2024-11-21T15:33:44.464123Z\twarn\tcontrol\tnot loaded\terror=\"the file cannot be read: broken\"\n"
    );
}

#[test]
fn json_process_lines_can_be_read_back() {
    let (logging, sink) = logging(Format::Json, "info");
    dispatcher::with_default(&logging.dispatch(), || {
        tracing::error!(target: "control", ratio = f64::NAN, count = -3, text = "a\"b", "stopped\n");
    });
    let line: serde_json::Value = serde_json::from_str(&sink.take(&logging)).unwrap();
    assert_eq!(
        line,
        serde_json::json!({
            "level": "error", "time": "2024-11-21T15:33:44.464123Z", "scope": "control", "message": "stopped\n",
            "ratio": "NaN", "count": -3, "text": "a\"b",
        })
    );
}

#[test]
fn levels_change_while_the_process_runs_and_go_back() {
    let (logging, sink) = logging(Format::Text, "warn,hbone=info");
    let shown = || {
        dispatcher::with_default(&logging.dispatch(), || {
            tracing::debug!(target: "hbone::pool", "pool");
            tracing::info!(target: "hbone", "hbone");
            tracing::info!(target: "control", "control");
        });
        let lines = sink.take(&logging);
        lines
            .lines()
            .map(|line| line.split('\t').nth(3).unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(), ["hbone"]);
    logging.set_level("hbone::pool:debug,info").unwrap();
    assert_eq!(logging.level(), "hbone=info,hbone::pool=debug,info");
    assert_eq!(shown(), ["pool", "hbone", "control"]);
    logging.set_level("hbone=off").unwrap();
    assert_eq!(shown(), ["pool", "control"]);
    logging.reset();
    assert_eq!(logging.level(), "hbone=info,warn");
    assert_eq!(shown(), ["hbone"]);
}

#[test]
fn the_access_log_has_a_level_of_its_own() {
    let shows = |directives: &str| {
        let (logging, _) = logging(Format::Text, directives);
        [Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR]
            .map(|level| logging.shows_access(level))
    };
    assert_eq!(shows(""), [false, true, true, true]);
    assert_eq!(shows("access=off"), [false; 4]);
    assert_eq!(shows("access=debug"), [true; 4]);
    assert_eq!(shows("access=info,warn"), [false, true, true, true]);
    assert_eq!(shows("error"), [false, false, false, true]);
}

#[test]
fn a_wrong_level_changes_nothing_and_says_what_was_expected() {
    let (logging, _) = logging(Format::Text, "info");
    let error = logging.set_level("access:debug,loud").unwrap_err();
    assert_eq!(
        error,
        InvalidDirective::Level {
            text: "loud".into()
        }
    );
    assert_eq!(
        error.to_string(),
        "\"loud\" is not a level: expected off, error, warn, info, debug or trace, or target:level"
    );
    assert_eq!(logging.level(), "info");
    assert_eq!(
        logging.set_level("a b:info"),
        Err(InvalidDirective::Target { text: "a b".into() })
    );
    assert_eq!(
        logging.set_level("=info"),
        Err(InvalidDirective::Target {
            text: String::new()
        })
    );
}

#[test]
fn nobody_can_fill_memory_with_targets() {
    let many: Vec<String> = (0..1000).map(|number| format!("t{number}=info")).collect();
    assert_eq!(
        many.join(",").parse::<Directives>(),
        Err(InvalidDirective::TooMany)
    );
}

#[test]
fn directives_are_read_in_both_spellings() {
    let read: Directives = " Access:DEBUG, hbone::pool=trace ,warn,".parse().unwrap();
    assert_eq!(read.to_string(), "Access=debug,hbone::pool=trace,warn");
    assert_eq!(read.level_of("hbone::pool::idle"), LevelFilter::TRACE);
    assert_eq!(read.level_of("hbone"), LevelFilter::WARN);
    assert_eq!(read.to_string().parse::<Directives>(), Ok(read));
}

#[test]
fn a_log_format_is_one_of_two() {
    assert_eq!("json".parse(), Ok(Format::Json));
    assert_eq!("".parse(), Ok(Format::Text));
    assert_eq!("plain".parse(), Ok(Format::Text));
    assert_eq!(
        "xml".parse::<Format>().unwrap_err().to_string(),
        "\"xml\" is not a log format: expected plain or json"
    );
}

#[test]
fn a_chain_names_every_source() {
    assert_eq!(
        Chain(&Outer(io::Error::other("broken"))).to_string(),
        "the file cannot be read: broken"
    );
}
