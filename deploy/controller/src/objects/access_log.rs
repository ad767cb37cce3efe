//! Where access logs go and how a line looks: settings of the mesh.

/// `accessLogFile` with `accessLogEncoding` and `accessLogFormat`, or one of `extensionProviders[].envoyFileAccessLog`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// `accessLogFile` or `path`; for example `/dev/stdout`.
    pub path: String,
    /// How a line looks.
    pub format: LogFormat,
    /// `omitEmptyValues`.
    pub omit_empty: bool,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self {
            path: "/dev/stdout".to_owned(),
            format: LogFormat::default(),
            omit_empty: false,
        }
    }
}

/// How a line looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Istio's own text.
    #[default]
    DefaultText,
    /// A text with `%...%` formatters, as written.
    Text(String),
    /// Istio's own JSON.
    DefaultJson,
    /// JSON with these names, in this order, and values with `%...%` formatters, as written.
    Json(Vec<(String, String)>),
}
