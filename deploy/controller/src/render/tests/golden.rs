//! Compares what becomes of objects with a file.

use std::{fs, path::PathBuf};

use serde_json::{Map, Value, json};

use crate::{
    index::{Index, Options},
    objects::{Object, Update},
    render::dump,
};

/// Checks what becomes of `objects` against `golden/<name>.json`: all resources by name, conditions, and who is who.
///
/// With `BLESS` in the environment, writes the file instead: read the difference before you commit it.
pub(crate) fn check(name: &str, objects: Vec<Object>) {
    let actual = format!("{:#}\n", compile(objects));
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("src/render/tests/golden")
        .join(format!("{name}.json"));
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        actual == expected,
        "{} differs; actual:\n{actual}",
        path.display()
    );
}

pub(crate) fn compile(objects: Vec<Object>) -> Value {
    let mut index = Index::new(Options::default());
    let output = index.apply(objects.into_iter().map(Update::Put).collect());
    let mut resources = Map::new();
    for resource in &output.puts {
        let other = resources.insert(resource.name(), dump::resource(resource));
        assert_eq!(other, None, "{} twice", resource.name());
    }
    assert!(output.removals.is_empty());
    let conditions = output
        .conditions
        .iter()
        .map(|(key, conditions)| (key.to_string(), json!(conditions)))
        .collect::<Map<_, _>>();
    let residents = output.residents.iter().map(|(it, count)| {
        format!(
            "{}: {}/{} x {count}",
            it.node, it.namespace, it.service_account
        )
    });
    let waypoints = output
        .waypoints
        .iter()
        .map(|(it, is)| (format!("{}/{}", it.namespace, it.name), json!(is)))
        .collect::<Map<_, _>>();
    json!({
        "resources": resources,
        "conditions": conditions,
        "residents": residents.collect::<Vec<_>>(),
        "waypoints": waypoints,
    })
}
