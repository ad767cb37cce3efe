//! The two text formats of a scrape.
//!
//! The encoder speaks OpenMetrics 1.0; [`to_prometheus_text`] turns that into the older text format 0.0.4,
//! for scrapers that do not ask for OpenMetrics.
//!
//! **Source:** Prometheus exposition formats, text-based format; OpenMetrics 1.0 §4.

use prometheus_client::{encoding::text, registry::Registry};

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exposition {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The Prometheus text format 0.0.4.
    Text,
}

impl Exposition {
    /// The content type of a response in this format.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text;charset=utf-8;version=1.0.0",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// All metrics of a registry as text.
    #[must_use]
    pub fn render(self, registry: &Registry) -> String {
        let mut out = String::new();
        // Writing to a string does not fail, and no encoder of ours refuses a metric.
        let encoded = text::encode(&mut out, registry);
        debug_assert!(encoded.is_ok(), "a metric could not be encoded");
        match self {
            Self::OpenMetrics => out,
            Self::Text => to_prometheus_text(&out),
        }
    }

    /// The format to answer with, given a request's `Accept`: OpenMetrics where it is asked for at least as
    /// much as plain text, else plain text.
    #[must_use]
    pub fn negotiate(accept: &str) -> Self {
        let mut open_metrics = None;
        let mut text = 0.0_f32;
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let mut quality = 1.0_f32;
            let mut version_1 = true;
            for parameter in parts {
                let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
                let value = value.trim().trim_matches('"');
                match name.trim().to_ascii_lowercase().as_str() {
                    "q" => quality = value.parse().unwrap_or(0.0),
                    // 0.0.1 is the draft that Prometheus also asks for; 1.0.0 is read by all who read it.
                    "version" => version_1 = matches!(value, "1.0.0" | "0.0.1" | ""),
                    _ => {}
                }
            }
            if kind.eq_ignore_ascii_case("application/openmetrics-text")
                && version_1
                && quality > 0.0
            {
                open_metrics = Some(open_metrics.unwrap_or(0.0_f32).max(quality));
            } else if kind.eq_ignore_ascii_case("text/plain") {
                text = text.max(quality);
            }
        }
        match open_metrics {
            Some(quality) if quality >= text => Self::OpenMetrics,
            Some(_) | None => Self::Text,
        }
    }
}

/// Rewrites OpenMetrics text as Prometheus text 0.0.4.
///
/// Counters keep their `_total`, which becomes part of the family's name in HELP and TYPE; `# UNIT`, `# EOF`,
/// exemplars and `_created` series, which the older format lacks, are left out.
pub(crate) fn to_prometheus_text(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len());
    let mut help = "";
    let mut family = "";
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "unknown"));
            family = name;
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "gauge" | "stateset" => ("", "gauge"),
                "histogram" => ("", "histogram"),
                "summary" => ("", "summary"),
                _ => ("", "untyped"),
            };
            if let Some((_, text)) = help.split_once(' ').filter(|(helped, _)| *helped == name) {
                push(&mut out, &["# HELP ", name, suffix, " ", text]);
            }
            push(&mut out, &["# TYPE ", name, suffix, " ", kind]);
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            if name.strip_prefix(family) != Some("_created") {
                push(&mut out, &[without_exemplar(line)]);
            }
        }
    }
    out
}

fn push(out: &mut String, parts: &[&str]) {
    for part in parts {
        out.push_str(part);
    }
    out.push('\n');
}

/// A sample line without what follows its value and timestamp.
fn without_exemplar(line: &str) -> &str {
    let mut quoted = false;
    let mut escaped = false;
    for (index, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'#' if !quoted => return line[..index].trim_end(),
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests;
