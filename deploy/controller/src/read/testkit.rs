//! Objects in text, for tests of one kind.

use super::{Content, Item, document};
use crate::objects::Object;

/// The objects of a manifest, all of which are good.
#[track_caller]
pub(crate) fn objects(text: &str) -> Vec<Object> {
    let items = yaml::parts(text).flat_map(|part| document("m.yaml", &part).expect("YAML"));
    let good = |item: Item| match item.content {
        Content::Good(object) => object,
        Content::Refused(finding) => panic!("{}", finding.text),
        Content::Ignored => panic!("ignored at {:?}", item.position),
    };
    items.map(good).collect()
}

/// Three lines that begin an object: what a body says begins in line 4.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head(pub(super) &'static str, pub(super) &'static str);

impl Head {
    /// The object, or why it is refused, and what is warned of; without the file and the name of the object.
    pub(super) fn read(self, body: &str) -> (Result<Object, String>, Vec<String>) {
        let Self(api_version, kind) = self;
        let text =
            format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}\n{body}\n");
        let parts: Vec<_> = yaml::parts(&text).collect();
        let [part] = <[_; 1]>::try_from(parts).expect("one document");
        let items = document("m.yaml", &part).expect("YAML");
        let [item] = <[_; 1]>::try_from(items).expect("one object");
        let called = format!(" {kind} default/a:");
        let short = |text: String| text.replace("m.yaml:", "").replace(&called, "");
        let warnings = item.warnings.into_iter().map(|it| short(it.text)).collect();
        let read = match item.content {
            Content::Good(object) => Ok(object),
            Content::Refused(finding) => Err(short(finding.text)),
            Content::Ignored => panic!("ignored: {text}"),
        };
        (read, warnings)
    }

    /// The same, where nothing is to be warned of.
    #[track_caller]
    pub(super) fn good(self, body: &str) -> Object {
        let (read, warnings) = self.read(body);
        assert_eq!(warnings, [""; 0], "{body}");
        read.unwrap_or_else(|error| panic!("{body}: {error}"))
    }

    /// Each of these bodies is refused with these words.
    #[track_caller]
    pub(super) fn refused(self, cases: &[(&str, &str)]) {
        let wrong: Vec<String> = cases
            .iter()
            .filter_map(|(body, expected)| match self.read(body).0 {
                Ok(object) => Some(format!("{body}\n  is good: {object:?}")),
                Err(error) if error != *expected => Some(format!("{body}\n  {error}")),
                Err(_) => None,
            })
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// Each of these bodies is good, and this alone is warned of.
    #[track_caller]
    pub(super) fn warned(self, cases: &[(&str, &str)]) {
        let wrong: Vec<String> = cases
            .iter()
            .filter_map(|(body, expected)| match self.read(body) {
                (Err(error), _) => Some(format!("{body}\n  is refused: {error}")),
                (Ok(_), warnings) => {
                    (warnings != [*expected]).then(|| format!("{body}\n  {warnings:?}"))
                }
            })
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// Both bodies mean the same.
    #[track_caller]
    pub(super) fn same(self, one: &str, other: &str) {
        let good = |body| {
            self.read(body)
                .0
                .unwrap_or_else(|error| panic!("{body}: {error}"))
        };
        assert_eq!(good(one), good(other));
    }

    /// Whatever is cut out of `body`, or put in its place, it is read without a panic.
    pub(super) fn mangled(self, body: &str) {
        let junk = [
            "",
            "null",
            "[]",
            "{}",
            "-1",
            "99999999999999999999",
            "''",
            "~",
            "[{}]",
            "\u{b5}",
            "'%'",
        ];
        let at: Vec<usize> = body.char_indices().map(|(at, _)| at).collect();
        for (index, from) in at.iter().enumerate() {
            let to = at.get(index + 1 + index % 7).copied().unwrap_or(body.len());
            let instead = junk[index % junk.len()];
            let text = format!("{}{instead}{}", &body[..*from], &body[to..]);
            let Self(api_version, kind) = self;
            let text =
                format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}\n{text}\n");
            for part in yaml::parts(&text) {
                let _either_way = document("m.yaml", &part);
            }
        }
    }
}
