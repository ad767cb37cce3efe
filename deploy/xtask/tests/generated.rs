//! The committed code is what the definitions give.

use std::{fs, path::Path};

#[test]
fn generated_code_is_what_its_definitions_give() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap();
    let generated = xtask::generate(root).unwrap();
    assert_eq!(generated.len(), 11);
    for file in generated {
        let committed = fs::read_to_string(root.join(&file.path)).unwrap_or_default();
        assert!(
            committed == file.text,
            "{} differs from its definition: run `cargo xtask protos`",
            file.path
        );
    }
}
