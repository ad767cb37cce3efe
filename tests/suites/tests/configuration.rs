//! Configuration on the whole path: the local file while traffic flows, and what the environment may and may not say.

#[path = "configuration/environment.rs"]
mod environment;
#[path = "configuration/file.rs"]
mod file;
