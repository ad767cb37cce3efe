//! What a policy says that may be something else than was meant. It is in force as it is written.

use crate::objects::{AuthorizationPolicy, Operation, PolicyRule};

/// Sentences without a full stop.
#[must_use]
pub fn remarks(policy: &AuthorizationPolicy) -> Vec<String> {
    let mut remarks = Vec::new();
    for (rule, it) in policy.rules.iter().enumerate() {
        for (index, it) in it.to.iter().enumerate() {
            for (name, values) in texts(it) {
                for value in values.iter().filter(|it| has_star_within(it)) {
                    remarks.push(format!(
                        "rules[{rule}].to[{index}].operation.{name}: {value:?}: a * is a wildcard only as the first or the last character{}",
                        if name.ends_with("aths") { "; {*} is one segment of a path" } else { "" }
                    ));
                }
            }
        }
    }
    remarks
}

/// Whether a rule may match on a port, as far as that can be told by the port alone.
#[must_use]
pub fn concerns_port(rule: &PolicyRule, port: u16) -> bool {
    let concerns = |it: &Operation| {
        (it.ports.is_empty() || it.ports.contains(&port)) && !it.not_ports.contains(&port)
    };
    rule.to.is_empty() || rule.to.iter().any(concerns)
}

fn texts(it: &Operation) -> [(&'static str, &[String]); 4] {
    [
        ("paths", &it.paths),
        ("notPaths", &it.not_paths),
        ("hosts", &it.hosts),
        ("notHosts", &it.not_hosts),
    ]
}

/// Whether there is a star that stands for itself. Those of templates are in braces.
fn has_star_within(text: &str) -> bool {
    let text = text.replace("{**}", "").replace("{*}", "");
    let rest = text
        .strip_prefix('*')
        .or_else(|| text.strip_suffix('*'))
        .unwrap_or(&text);
    rest.contains('*')
}
