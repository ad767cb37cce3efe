//! Whatever is done to a folder, what is known of it is what a fresh look finds.

use std::{
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};

use super::{Followed, fresh, pod};

const FILES: [&str; 5] = ["a.yaml", "b.yml", "d/a.yaml", "d/e/c.yaml", "z.yaml"];
const DIRECTORIES: [&str; 3] = ["d", "d/e", "f"];

/// A document of a file.
#[derive(Clone, Debug)]
enum Part {
    Pod {
        name: u8,
        node: u8,
    },
    /// A pod whose name can be told and that is bad.
    Bad {
        name: u8,
    },
    /// Nobody can tell what it means.
    Broken {
        how: u8,
    },
    /// It has no effect.
    Other,
}

impl Part {
    fn is_good(&self) -> bool {
        matches!(self, Self::Pod { .. } | Self::Other)
    }

    fn text(&self) -> String {
        match self {
            Self::Pod { name, node } => pod(&format!("p{name}"), &format!("n{node}")),
            Self::Bad { name } => format!(
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{name}}}\nspec: {{hostNetwork: 7}}\n"
            ),
            Self::Broken { how: 0 } => "---\nx: [\n".to_owned(),
            Self::Broken { how: 1 } => "---\nkind: Pod\n".to_owned(),
            Self::Broken { .. } => {
                "---\napiVersion: v1\nkind: Pod\nmetadata: {name: P}\n".to_owned()
            }
            Self::Other => {
                "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n".to_owned()
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Edit {
    Write { file: usize, parts: Vec<Part> },
    Replace { file: usize, parts: Vec<Part> },
    Remove { file: usize },
    Rename { from: usize, to: usize },
    Swap { from: usize, to: usize },
    RemoveDirectory { directory: usize },
    RenameDirectory { from: usize, to: usize },
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        6 => (0_u8..6, 0_u8..3).prop_map(|(name, node)| Part::Pod { name, node }),
        2 => (0_u8..6).prop_map(|name| Part::Bad { name }),
        1 => (0_u8..3).prop_map(|how| Part::Broken { how }),
        1 => any::<()>().prop_map(|()| Part::Other),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    let file = || 0..FILES.len();
    let directory = || 0..DIRECTORIES.len();
    let parts = || prop::collection::vec(part(), 0..4);
    prop_oneof![
        4 => (file(), parts()).prop_map(|(file, parts)| Edit::Write { file, parts }),
        4 => (file(), parts()).prop_map(|(file, parts)| Edit::Replace { file, parts }),
        2 => file().prop_map(|file| Edit::Remove { file }),
        1 => (file(), file()).prop_map(|(from, to)| Edit::Rename { from, to }),
        1 => (file(), file()).prop_map(|(from, to)| Edit::Swap { from, to }),
        1 => directory().prop_map(|directory| Edit::RemoveDirectory { directory }),
        1 => (directory(), directory()).prop_map(|(from, to)| Edit::RenameDirectory { from, to }),
    ]
}

fn make(followed: &Followed, edit: &Edit, keep: impl Fn(&Part) -> bool) {
    let directory = &followed.directory;
    let text = |parts: &[Part]| -> String {
        parts
            .iter()
            .filter(|part| keep(part))
            .map(Part::text)
            .collect()
    };
    let at = |file: usize| directory.at(FILES[file]);
    match edit {
        Edit::Write { file, parts } => directory.write(FILES[*file], &text(parts)),
        Edit::Replace { file, parts } => {
            fs::create_dir_all(at(*file).parent().unwrap()).unwrap();
            directory.replace(FILES[*file], &text(parts));
        }
        // What is not there cannot be removed or renamed; that is no concern here.
        Edit::Remove { file } => drop(fs::remove_file(at(*file))),
        Edit::Rename { from, to } => drop(fs::rename(at(*from), at(*to))),
        Edit::Swap { from, to } => {
            let aside = directory.at(".aside");
            if fs::rename(at(*from), &aside).is_ok() {
                drop(fs::rename(at(*to), at(*from)));
                if fs::rename(&aside, at(*to)).is_err() {
                    fs::remove_file(&aside).unwrap();
                }
            }
        }
        Edit::RemoveDirectory { directory: which } => {
            drop(fs::remove_dir_all(directory.at(DIRECTORIES[*which])));
        }
        Edit::RenameDirectory { from, to } => drop(fs::rename(
            directory.at(DIRECTORIES[*from]),
            directory.at(DIRECTORIES[*to]),
        )),
    }
}

/// Every file below a directory, but those that no look reads.
fn manifests(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            files.extend(manifests(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    /// Good manifests only, looked at after every few edits: 64 times up to 40 edits.
    #[test]
    fn any_edits_of_good_manifests_end_as_a_fresh_look(
        edits in prop::collection::vec((edit(), any::<bool>()), 1..40)
    ) {
        let mut followed = Followed::new();
        for (edit, look) in &edits {
            make(&followed, edit, Part::is_good);
            if *look {
                followed.look();
                assert_eq!(followed.known, fresh(&followed.directory.path).0);
            }
        }
        followed.look();
        assert_eq!(followed.known, fresh(&followed.directory.path).0);
    }

    /// Bad ones too: what is wrong is told as if freshly read, nothing good is missing, and once all is mended,
    /// nothing of the past is left.
    #[test]
    fn any_edits_end_as_a_fresh_look_once_they_are_mended(
        edits in prop::collection::vec((edit(), any::<bool>()), 1..40)
    ) {
        let mut followed = Followed::new();
        for (edit, look) in &edits {
            make(&followed, edit, |_| true);
            if *look {
                followed.look();
                let (objects, findings) = fresh(&followed.directory.path);
                for (key, object) in &objects {
                    assert_eq!(followed.known.get(key), Some(object), "{key}");
                }
                if findings.is_empty() {
                    assert_eq!(followed.known, objects);
                }
                let root = format!("{}/", followed.directory.path.display());
                let findings: Vec<_> = findings.iter().map(|text| text.replace(&root, "")).collect();
                assert_eq!(followed.findings, findings);
            }
        }
        // Whoever mends a file takes away what was bad in it, wherever a renamed directory has taken it: a bad file that is left
        // keeps what was good of its objects, as it should.
        for file in manifests(&followed.directory.path) {
            let text = fs::read_to_string(&file).unwrap();
            let good: Vec<&str> = text
                .split("---\n")
                .filter(|part| part.contains("nodeName: "))
                .collect();
            let aside = followed.directory.at(".new");
            fs::write(&aside, good.join("---\n")).unwrap();
            fs::rename(&aside, &file).unwrap();
        }
        followed.look();
        assert_eq!(followed.known, fresh(&followed.directory.path).0);
    }
}
