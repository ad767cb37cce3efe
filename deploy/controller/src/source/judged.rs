//! What one file says.

use std::{path::Path, sync::Arc};

use yaml::parts;

use crate::{
    objects::{Object, ObjectKey, UnreadPolicy},
    read::{self, Content},
    status::Finding,
};

use super::unread;

/// What one file says.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// The objects that it names, in its order.
    pub(super) claims: Vec<Claim>,
    /// Whether there is something in it of which nobody can tell which objects it means.
    pub(super) nameless: bool,
    /// What is wrong with it, in its order.
    pub(super) findings: Vec<Finding>,
}

/// An object that a file names.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) key: ObjectKey,
    /// Where it begins. Units: from 1.
    pub(super) line: u64,
    /// The object; `None` where it is bad.
    pub(super) object: Option<Object>,
    /// What stands in for it, if it is bad and something does.
    pub(super) unread: Option<Arc<UnreadPolicy>>,
}

impl Judged {
    /// Judges the text of the file at `path`.
    pub(super) fn new(path: &Path, text: &str) -> Self {
        let file = path.display().to_string();
        let mut judged = Self::default();
        for part in parts(text) {
            let items = match read::document(&file, &part) {
                Ok(items) => items,
                Err(finding) => {
                    judged.nameless = true;
                    judged.findings.push(finding);
                    continue;
                }
            };
            let refused: Vec<_> = items
                .iter()
                .filter(|item| matches!(item.content, Content::Refused(_)))
                .filter_map(|item| Some((item.key.clone()?, item.position)))
                .filter(|(key, _)| unread::concerns(key.kind))
                .collect();
            let mut unread = unread::policies(&part, &refused);
            for item in items {
                judged.findings.extend(item.warnings);
                let object = match item.content {
                    Content::Good(object) => Some(object),
                    Content::Refused(finding) => {
                        judged.findings.push(finding);
                        None
                    }
                    Content::Ignored => continue,
                };
                match item.key {
                    Some(key) => judged.claims.push(Claim {
                        key,
                        line: item.position.line,
                        unread: match object {
                            Some(_) => None,
                            None => unread.remove(&unread::place(item.position)).map(Arc::new),
                        },
                        object,
                    }),
                    None => judged.nameless = true,
                }
            }
        }
        judged.claims.shrink_to_fit();
        judged
    }
}
