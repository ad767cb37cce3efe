//! Messages as people read them: an indented list without what holds its default.

use std::fmt::Debug;

/// What a field that says nothing looks like.
const SILENT: [&str; 7] = ["None", "\"\"", "0", "false", "[]", "{}", "b\"\""];

/// A message, a field on each line.
pub(super) fn paper(message: &impl Debug) -> String {
    let mut out = String::new();
    let mut depth = 0_usize;
    let mut prefix = String::new();
    for line in format!("{message:#?}").lines() {
        let line = line.trim().trim_end_matches(',');
        let silent = line
            .split_once(": ")
            .is_some_and(|(_, value)| SILENT.contains(&value));
        if line == ")" || silent && prefix.is_empty() {
            continue;
        }
        if let Some(wrapper) = line.strip_suffix('(') {
            // `Some(` and the name of a variant before a message of that name.
            prefix.push_str(wrapper.strip_suffix("Some").unwrap_or(wrapper));
            if !prefix.ends_with(' ') && !prefix.is_empty() {
                prefix.push(' ');
            }
            continue;
        }
        if line == "}" || line == "]" {
            depth = depth.saturating_sub(1);
            continue;
        }
        let opens = line.strip_suffix([' ', '{', '['].as_slice()).is_some();
        let line = line.trim_end_matches(['{', '[', ' ']);
        out.push_str(&"  ".repeat(depth));
        out.push_str(prefix.trim_start());
        out.push_str(line);
        out.push('\n');
        prefix.clear();
        if opens {
            depth += 1;
        }
    }
    out
}
