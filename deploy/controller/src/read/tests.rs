//! Manifests as people and programs write them: what they come to, what is warned of, what is refused.

mod entries;
mod envelope;
mod mistakes;
mod objects;
mod realistic;

use yaml::parts;

use super::{Content, Item, document};
use crate::objects::Object;

/// All items of a text in `m.yaml`.
fn items(text: &str) -> Vec<Item> {
    parts(text)
        .flat_map(|part| document("m.yaml", &part).unwrap())
        .collect()
}

/// The one object of a text, and what was warned of.
fn object(text: &str) -> (Object, Vec<String>) {
    let mut items = items(text);
    assert_eq!(items.len(), 1, "{items:?}");
    let item = items.pop().unwrap();
    let warnings = item.warnings.into_iter();
    let warnings = warnings.map(|finding| {
        assert!(!finding.refused);
        finding.text
    });
    match item.content {
        Content::Good(object) => {
            assert_eq!(item.key, Some(object.key()));
            (object, warnings.collect())
        }
        Content::Ignored => panic!("ignored"),
        Content::Refused(finding) => panic!("{}", finding.text),
    }
}

/// The same, where nothing is to be warned of.
fn good(text: &str) -> Object {
    let (object, warnings) = object(text);
    assert_eq!(warnings, Vec::<String>::new());
    object
}

/// Why the one object of a text is refused.
fn refused(text: &str) -> String {
    let mut items = items(text);
    assert_eq!(items.len(), 1, "{items:?}");
    match items.pop().unwrap().content {
        Content::Refused(finding) => {
            assert!(finding.refused);
            finding.text
        }
        content @ (Content::Good(_) | Content::Ignored) => panic!("{content:?}"),
    }
}

/// What is warned of in a text without an object that is read.
fn ignored(text: &str) -> Vec<String> {
    let mut items = items(text);
    assert_eq!(items.len(), 1, "{items:?}");
    let item = items.pop().unwrap();
    assert!(matches!(item.content, Content::Ignored), "{item:?}");
    assert_eq!(item.key, None);
    let warnings = item.warnings.into_iter();
    warnings.map(|finding| finding.text).collect()
}
