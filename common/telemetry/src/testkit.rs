//! What the tests of this crate share: a sink to read back, workloads, and a reader of scrapes that is as strict
//! as `promtool check metrics`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use mesh::{Service, SpiffeId, Workload, service::NetworkAddress};
use parking_lot::Mutex;

use crate::{
    event::{Connection, Direction, HboneAddress, Security},
    logging::{Format, Logging},
    recorder::{Build, Telemetry},
};

/// 2024-11-21T15:33:44.464123Z.
pub(crate) fn wall() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(1_732_203_224_464_123)
}

/// A sink whose bytes can be read back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    /// What has been written since the last time.
    pub(crate) fn take(&self, logging: &Logging) -> String {
        assert!(
            logging.flush(Duration::from_secs(10)),
            "the log was not written in time"
        );
        String::from_utf8(std::mem::take(&mut *self.0.lock())).unwrap()
    }
}

pub(crate) fn logging(format: Format, directives: &str) -> (Logging, Sink) {
    let sink = Sink::default();
    let logging = Logging::start(
        format,
        directives.parse().unwrap(),
        Box::new(sink.clone()),
        wall,
    )
    .unwrap();
    (logging, sink)
}

pub(crate) fn build() -> Build {
    Build {
        component: "ztunnel",
        tag: "1.2.3",
    }
}

pub(crate) fn telemetry(format: Format, directives: &str) -> (Telemetry, Sink, Instant) {
    let (logging, sink) = logging(format, directives);
    let now = net::clock::now();
    (Telemetry::new(build(), logging, now), sink, now)
}

/// A pod `<owner>-<number>` of namespace default.
pub(crate) fn workload(owner: &str, number: usize) -> Arc<Workload> {
    Arc::new(Workload {
        uid: format!("Kubernetes//Pod/default/{owner}-{number}").into(),
        name: format!("{owner}-{number}").into(),
        namespace: "default".into(),
        service_account: owner.into(),
        canonical_name: owner.into(),
        canonical_revision: "v1".into(),
        workload_name: owner.into(),
        ..Workload::default()
    })
}

pub(crate) fn service() -> Arc<Service> {
    Arc::new(Service {
        name: "reviews".into(),
        namespace: "default".into(),
        hostname: "reviews.default.svc.cluster.local".into(),
        vips: Vec::<NetworkAddress>::new(),
        ..Service::default()
    })
}

pub(crate) fn identity(service_account: &str) -> SpiffeId {
    SpiffeId::new(
        "cluster.local".into(),
        "default".into(),
        service_account.into(),
    )
}

/// A client of the service, over HBONE.
pub(crate) fn connection() -> Connection {
    Connection {
        hbone_addr: Some(HboneAddress::Address("10.0.1.7:8080".parse().unwrap())),
        source: Some(workload("client", 1)),
        destination: Some(workload("reviews", 7)),
        service: Some(service()),
        source_identity: Some(identity("client")),
        destination_identity: Some(identity("reviews")),
        security: Security::MutualTls,
        ..bare(Direction::Outbound)
    }
}

/// A connection of which only the addresses are known.
pub(crate) fn bare(direction: Direction) -> Connection {
    Connection::between(
        direction,
        "10.0.0.5:51234".parse().unwrap(),
        "10.0.1.7:15008".parse().unwrap(),
    )
}

/// A scrape, read back: the value of each series, by its line without the value.
pub(crate) type Scrape = BTreeMap<String, f64>;

/// Sums the series of `family` whose labels contain all of `labels` (`key="value"`).
pub(crate) fn sum(scrape: &Scrape, family: &str, labels: &[&str]) -> f64 {
    scrape
        .iter()
        .filter(|(series, _)| series.split('{').next() == Some(family))
        .filter(|(series, _)| labels.iter().all(|label| series.contains(label)))
        .map(|(_, value)| value)
        .sum()
}

/// Reads the text format 0.0.4 and insists on all of its rules.
pub(crate) fn read_prometheus(text: &str) -> Scrape {
    read(text, "_total", |line| {
        assert!(
            !line.starts_with("# EOF") && !line.starts_with("# UNIT"),
            "{line:?}"
        );
    })
}

/// Reads OpenMetrics 1.0 and insists on the rules that concern us.
pub(crate) fn read_open_metrics(text: &str) -> Scrape {
    let body = text
        .strip_suffix("# EOF\n")
        .expect("OpenMetrics ends with EOF");
    read(body, "", |line| {
        assert!(!line.starts_with("# EOF"), "EOF within the text");
    })
}

fn read(text: &str, counter_family_suffix: &str, check_line: impl Fn(&str)) -> Scrape {
    assert!(text.ends_with('\n'), "the last line has an end");
    let mut scrape = Scrape::new();
    let mut families = BTreeMap::<&str, &str>::new();
    let mut helped = BTreeSet::new();
    let mut current = "";
    for line in text.lines() {
        check_line(line);
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("HELP has a text");
            assert!(helped.insert(name), "HELP of {name} twice");
            assert!(!help.trim().is_empty(), "HELP of {name} is empty");
            current = name;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("TYPE has a kind");
            assert!(
                ["counter", "gauge", "histogram", "unknown", "untyped"].contains(&kind),
                "{line:?}"
            );
            assert_eq!(name, current, "HELP and TYPE stand together");
            assert!(
                families.insert(name, kind).is_none(),
                "TYPE of {name} twice"
            );
            if kind == "counter" {
                assert!(name.ends_with(counter_family_suffix), "{line:?}");
            } else {
                // Envoy's names are kept, rules or not.
                assert!(
                    !name.ends_with("_total") || name.starts_with("envoy_"),
                    "{line:?}"
                );
            }
        } else {
            let (series, name, value) = sample(line);
            let kind = families[current];
            let suffix = name
                .strip_prefix(current)
                .unwrap_or_else(|| panic!("{line:?} is not of {current}"));
            match (kind, counter_family_suffix) {
                ("counter", "") => assert_eq!(suffix, "_total", "{line:?}"),
                ("counter" | "gauge" | "unknown" | "untyped", _) => {
                    assert_eq!(suffix, "", "{line:?}");
                }
                _ => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line:?}"),
            }
            assert!(kind != "counter" || value >= 0.0, "{line:?}");
            assert!(
                scrape.insert(series.to_owned(), value).is_none(),
                "{series} twice"
            );
        }
    }
    scrape
}

/// Takes a sample line apart: the series, its name and its value.
fn sample(line: &str) -> (&str, &str, f64) {
    let (series, value) = line
        .rsplit_once(' ')
        .unwrap_or_else(|| panic!("{line:?} has no value"));
    let name = series.split('{').next().unwrap();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    assert!(
        !name.is_empty() && name.chars().all(|c| word(c) || c == ':'),
        "{line:?}"
    );
    if let Some(labels) = series
        .strip_prefix(name)
        .filter(|labels| !labels.is_empty())
    {
        let mut rest = labels
            .strip_prefix('{')
            .and_then(|labels| labels.strip_suffix('}'))
            .expect("braces");
        let mut seen = BTreeSet::new();
        while !rest.is_empty() {
            let (key, from) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line:?}"));
            assert!(!key.is_empty() && key.chars().all(word), "{line:?}");
            assert!(seen.insert(key), "{key} twice in {line:?}");
            let mut escaped = false;
            let end = from
                .bytes()
                .position(|byte| {
                    let ends = byte == b'"' && !escaped;
                    assert!(
                        !escaped || matches!(byte, b'\\' | b'"' | b'n'),
                        "bad escape in {line:?}"
                    );
                    escaped = byte == b'\\' && !escaped;
                    ends
                })
                .unwrap_or_else(|| panic!("no end of value in {line:?}"));
            rest = &from[end + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
    }
    (
        series,
        name,
        value
            .parse()
            .unwrap_or_else(|_| panic!("{line:?} has a bad value")),
    )
}
