//! Rust from the `.proto` files of `common/wire/proto`: messages for `wire`, services for `grpc`.
//!
//! In: the `.proto` files. Out: source text, which is committed so that no build needs a generator.
//! Never: reaches for a compiler outside of Cargo; protox reads protobuf by itself.

#![forbid(unsafe_code)]

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// Where the definitions are.
const PROTOS: &str = "common/wire/proto";
/// Package, the definition's file, and the module of `wire::proto` that holds its messages.
const MESSAGES: [(&str, &str, &str); 7] = [
    ("istio.workload", "workload.proto", "workload"),
    ("istio.security", "security.proto", "security"),
    ("envoy.service.discovery.v3", "discovery.proto", "discovery"),
    ("istio.v1.auth", "ca.proto", "ca"),
    ("ambit.waypoint.v1", "waypoint.proto", "waypoint"),
    (
        "envoy.service.auth.v3",
        "external_auth.proto",
        "external_auth",
    ),
    (
        "envoy.service.ratelimit.v3",
        "rate_limit.proto",
        "rate_limit",
    ),
];
/// Those of them that have a service.
const SERVICES: [&str; 4] = ["discovery", "ca", "external_auth", "rate_limit"];

/// One generated file.
#[derive(Debug)]
pub struct Generated {
    /// Its path below the root of the workspace.
    pub path: String,
    /// What belongs there.
    pub text: String,
}

/// Makes every generated file.
///
/// # Errors
/// When a definition is wrong or `rustfmt` is missing.
pub fn generate(root: &Path) -> Result<Vec<Generated>> {
    let folder = root.join(PROTOS);
    let files = MESSAGES.map(|(_, file, _)| file);
    let descriptors = protox::compile(files, [&folder]).context("compile the protos")?;
    let mut generated = Vec::new();

    let scratch = Scratch::new()?;
    let mut config = prost_build::Config::new();
    config
        .bytes(["."])
        .btree_map(["."])
        .extern_path(".google.protobuf.Any", "crate::proto::Any")
        .out_dir(&scratch.0);
    config
        .compile_fds(descriptors.clone())
        .context("generate the messages")?;
    for (package, file, module) in MESSAGES {
        let body = fs::read_to_string(scratch.0.join(format!("{package}.rs")))?;
        let head = format!(
            "//! Messages of `{package}`, generated from `proto/{file}` by `cargo xtask protos`.\n\n"
        );
        generated.push(Generated {
            path: format!("common/wire/src/proto/{module}.rs"),
            text: format(&(head + &body))?,
        });
    }

    let scratch = Scratch::new()?;
    let mut builder = tonic_prost_build::configure()
        .build_transport(false)
        .out_dir(&scratch.0)
        .extern_path(".google.protobuf.Any", "::wire::proto::Any");
    for (package, _, module) in MESSAGES {
        builder = builder.extern_path(format!(".{package}"), format!("::wire::proto::{module}"));
    }
    builder
        .compile_fds(descriptors)
        .context("generate the services")?;
    for (package, file, module) in MESSAGES {
        if !SERVICES.contains(&module) {
            continue;
        }
        let body = fs::read_to_string(scratch.0.join(format!("{package}.rs")))?;
        let head = format!(
            "//! The service of `{package}`, generated from `{file}` of `wire` by `cargo xtask protos`.\n\n"
        );
        generated.push(Generated {
            path: format!("common/grpc/src/service/{module}.rs"),
            text: format(&(head + &body))?,
        });
    }
    Ok(generated)
}

/// Writes every generated file.
///
/// # Errors
/// Those of [`generate`], and when a file cannot be written.
pub fn write(root: &Path) -> Result<()> {
    for file in generate(root)? {
        let path = root.join(&file.path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, &file.text).with_context(|| format!("write {}", file.path))?;
    }
    Ok(())
}

/// The text as `cargo fmt` would leave it, so that formatting and generating agree.
fn format(text: &str) -> Result<String> {
    // Lints are met or expected where the modules are declared.
    let text = without_attributes(text).replace("#[allow(non_camel_case_types)]", "");
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("start rustfmt")?;
    child
        .stdin
        .take()
        .context("rustfmt has no input")?
        .write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("rustfmt failed");
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The text without `#![..]`, which the generator puts before each service.
fn without_attributes(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::with_capacity(text.len());
    while let Some((before, after)) = rest.split_once("#![") {
        kept.push_str(before);
        rest = after.split_once(")]").map_or("", |(_, after)| after);
    }
    kept + rest
}

/// A folder that goes with its value.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = std::env::temp_dir().join(format!(
            "ambit-xtask-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        fs::create_dir(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
