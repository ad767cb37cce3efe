//! `accessLogFile` and what goes with it, `extensionProviders[].envoyFileAccessLog`, `defaultProviders.accessLogging`.

use std::collections::BTreeMap;

use serde::{
    Deserializer,
    de::{self, MapAccess, Visitor},
};
use yaml::{
    Cursor, Error,
    scalar::{boolean, checked, word},
};

use crate::{
    objects::{AccessLog, LogFormat},
    read::{field, line},
};

/// Fits any format that people read.
const MAX_FORMAT_BYTES: usize = 16 * 1024;
/// Four times as many as Istio's own, and as many as a proxy takes.
const MAX_FIELDS: usize = 100;
/// More than a mesh has ways to log.
pub(super) const MAX_PROVIDERS: usize = 1000;
/// Of these, so many at once.
const MAX_DEFAULTS: usize = 16;

/// `accessLogEncoding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Encoding {
    #[default]
    Text,
    Json,
}

/// `accessLogFile`, `accessLogEncoding` and `accessLogFormat` of MeshConfig.
pub(super) fn file(at: &Cursor<'_>) -> Result<Option<AccessLog>, Error> {
    let encodings = [("TEXT", Encoding::Text), ("JSON", Encoding::Json)];
    let encoding = at
        .field("accessLogEncoding", |at| word(at, &encodings))?
        .unwrap_or_default();
    let format = at.field("accessLogFormat", |at| {
        if field::is_empty(at) {
            return Ok(None);
        }
        let text = format_text(at)?;
        Ok(Some(match encoding {
            Encoding::Text => LogFormat::Text(text),
            Encoding::Json => LogFormat::Json(json(at, &text)?),
        }))
    })?;
    let format = format.flatten().unwrap_or(match encoding {
        Encoding::Text => LogFormat::DefaultText,
        Encoding::Json => LogFormat::DefaultJson,
    });
    let path = at.field("accessLogFile", line::text)?.unwrap_or_default();
    if path.is_empty() {
        return Ok(None);
    }
    Ok(Some(AccessLog {
        path,
        format,
        omit_empty: false,
    }))
}

/// `extensionProviders`: those that log to files, by name. Others are accepted without a look.
pub(super) fn providers(at: &Cursor<'_>) -> Result<BTreeMap<String, AccessLog>, Error> {
    let mut providers = BTreeMap::new();
    at.field("extensionProviders", |at| {
        field::items_up_to(at, "a list of providers", MAX_PROVIDERS, |at| {
            let name = at.field("name", line::text)?;
            let Some(log) = at.field("envoyFileAccessLog", provider)? else {
                return Ok(());
            };
            let name = name
                .filter(|name| !name.is_empty())
                .ok_or_else(|| at.missing("name", "the provider's name"))?;
            if providers.insert(name, log).is_some() {
                return Err(at.unexpected("each name of a provider once"));
            }
            Ok(())
        })
    })?;
    Ok(providers)
}

/// `defaultProviders.accessLogging`.
pub(super) fn defaults(at: &Cursor<'_>) -> Result<Vec<String>, Error> {
    let names = at.field("defaultProviders", |at| {
        at.field("accessLogging", |at| {
            let expected = "a list of names of providers";
            field::items_up_to(at, expected, MAX_DEFAULTS, line::text)
        })
    })?;
    Ok(names.flatten().unwrap_or_default())
}

fn provider(at: &Cursor<'_>) -> Result<AccessLog, Error> {
    const PATH: &str = "the file's path, such as /dev/stdout";
    let object = at.object(PATH, &["logFormat", "omitEmptyValues", "path"])?;
    let path = object.nullable("path", |at| {
        checked(at, PATH, |text| !text.is_empty())?;
        line::text(at)
    })?;
    let format = object.nullable("logFormat", log_format)?;
    let omit_empty = object.nullable("omitEmptyValues", boolean)?;
    Ok(AccessLog {
        path: path.unwrap_or_else(|| "/dev/stdout".to_owned()),
        format: format.unwrap_or_default(),
        omit_empty: omit_empty.unwrap_or_default(),
    })
}

/// `logFormat`: `text` or `labels`.
fn log_format(at: &Cursor<'_>) -> Result<LogFormat, Error> {
    let object = at.object("a mapping with one of text and labels", &["labels", "text"])?;
    let text = object.nullable("text", format_text)?;
    let labels = object.nullable("labels", labels)?;
    match (text, labels) {
        (Some(_), Some(_)) => field::refuse(&object, "labels", "either this or text"),
        (None, Some(labels)) if labels.is_empty() => Ok(LogFormat::DefaultJson),
        (None, Some(labels)) => Ok(LogFormat::Json(labels)),
        (Some(text), None) if text.is_empty() => Ok(LogFormat::DefaultText),
        (Some(text), None) => Ok(LogFormat::Text(text)),
        (None, None) => Ok(LogFormat::DefaultText),
    }
}

fn labels(at: &Cursor<'_>) -> Result<Vec<(String, String)>, Error> {
    let mut labels = Vec::new();
    field::entries_up_to(
        at,
        "a mapping of names to texts",
        MAX_FIELDS,
        |key, value| {
            let is_text = matches!(value.node().value, yaml::Value::Scalar(_));
            if is_text {
                labels.push((key.text("a name")?.to_owned(), format_text(value)?));
            } else {
                value.warn("only texts are logged, ignored");
            }
            Ok(())
        },
    )?;
    Ok(labels)
}

fn format_text(at: &Cursor<'_>) -> Result<String, Error> {
    let expected = "a text of at most 16384 bytes";
    checked(at, expected, |text| text.len() <= MAX_FORMAT_BYTES).map(str::to_owned)
}

/// `accessLogFormat` with the encoding JSON: an object in a text.
fn json(at: &Cursor<'_>, text: &str) -> Result<Vec<(String, String)>, Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let fields = reader.deserialize_map(Fields).ok();
    fields
        .filter(|_| reader.end().is_ok())
        .ok_or_else(|| at.unexpected("a JSON object of at most 100 texts, each name once"))
}

/// Reads an object of texts, in the order in which it is written.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Vec<(String, String)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields: Self::Value = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, String>()? {
            if fields.iter().any(|(other, _)| *other == name) || fields.len() >= MAX_FIELDS {
                return Err(de::Error::custom("too many fields"));
            }
            fields.push((name, value));
        }
        Ok(fields)
    }
}
