//! Replays the corpus, then a bounded number of mutations of it, and holds the lists to each other.
//!
//! The mutations are the same on every run. `FUZZ_SEED=<number>` makes others and `FUZZ_ROUNDS=<number>`
//! makes more; a failure names the seed, the round and the input.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests stop the test, as the tests do"
)]

use std::{
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use fuzz::{TARGETS, Target, mutate::mutate};

/// Mutations per target: far below a second for most, so that the whole run stays below fifteen.
const ROUNDS: usize = 100_000;

/// A target with fewer seeds gives the mutator too little to splice.
const MIN_SEEDS: usize = 12;

/// A seed shows one thing; a large one belongs into a test of its limit.
const MAX_SEED_BYTES: usize = 10 * 1024;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The names in a folder, sorted, so that every machine mutates in the same order.
fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn seeds(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = root().join("corpus").join(target.name);
    names(&folder)
        .into_iter()
        .map(|name| {
            let seed = fs::read(folder.join(&name)).unwrap();
            (name, seed)
        })
        .collect()
}

fn run(target: &Target, input: &[u8], origin: &dyn Fn() -> String) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        panic!(
            "target {} fails on {}: b\"{}\"",
            target.name,
            origin(),
            input.escape_ascii()
        );
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text:?}: expected a number")),
    )
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let targets: BTreeSet<String> = TARGETS
        .iter()
        .map(|target| target.name.to_owned())
        .collect();
    assert_eq!(targets.len(), TARGETS.len(), "two targets have one name");
    assert_eq!(
        names(&root().join("corpus")),
        targets,
        "left: corpus folders, right: targets"
    );
    for target in TARGETS {
        let seeds = seeds(target);
        assert!(
            seeds.len() >= MIN_SEEDS,
            "corpus/{}: {} seeds",
            target.name,
            seeds.len()
        );
        for (name, seed) in seeds {
            assert!(
                seed.len() <= MAX_SEED_BYTES,
                "corpus/{}/{name}: {} bytes",
                target.name,
                seed.len()
            );
        }
    }
}

#[test]
fn every_target_can_be_run_by_cargo_fuzz() {
    let folder = root().join("cargo-fuzz");
    let files: BTreeSet<String> = TARGETS
        .iter()
        .map(|target| format!("{}.rs", target.name))
        .collect();
    assert_eq!(
        names(&folder.join("fuzz_targets")),
        files,
        "left: files, right: targets"
    );
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for target in TARGETS {
        let bin = format!(
            "name = \"{0}\"\npath = \"fuzz_targets/{0}.rs\"\n",
            target.name
        );
        assert!(
            manifest.contains(&bin),
            "cargo-fuzz/Cargo.toml has no [[bin]] for {}",
            target.name
        );
        let file =
            fs::read_to_string(folder.join(format!("fuzz_targets/{}.rs", target.name))).unwrap();
        assert!(
            file.contains(&format!("::{}(data)", target.name)),
            "{}.rs runs another target",
            target.name
        );
    }
}

#[test]
fn every_seed_passes() {
    for target in TARGETS {
        for (name, seed) in seeds(target) {
            run(target, &seed, &|| format!("corpus/{}/{name}", target.name));
        }
    }
}

#[test]
fn mutations_of_every_seed_pass() {
    let seed = number("FUZZ_SEED").unwrap_or(0x00a3_b17e);
    let rounds = number("FUZZ_ROUNDS").map_or(ROUNDS, |rounds| usize::try_from(rounds).unwrap());
    for target in TARGETS {
        let seeds: Vec<Vec<u8>> = seeds(target).into_iter().map(|(_, seed)| seed).collect();
        // One generator per target: adding a target does not change the inputs of the others.
        let mut rng = fastrand::Rng::with_seed(seed);
        for round in 0..rounds {
            let input = mutate(&seeds, &mut rng);
            run(target, &input, &|| {
                format!("round {round} of FUZZ_SEED={seed}")
            });
        }
    }
}
