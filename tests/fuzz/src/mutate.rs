//! Makes new inputs out of a corpus, without instrumentation.
//!
//! In: seeds and a random generator.
//! Out: an input of at most [`MAX_INPUT_BYTES`].
//! Never: a source of randomness other than the argument; equal generators give equal inputs.

use fastrand::Rng;

/// The longest input: twice the longest limit that a parser here has (8 KiB of baggage).
pub const MAX_INPUT_BYTES: usize = 16 * 1024;

/// The most steps from a seed to an input.
const MAX_STEPS: usize = 6;

/// Bytes that parsers treat apart from others.
const SPECIAL: &[u8] = b"\0\t\n \"%,-./0:;=@[\\]_\x7f\x80\xff";

/// One input: a seed, changed in one to [`MAX_STEPS`] steps. Empty without seeds.
pub fn mutate(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = rng.choice(seeds).cloned().unwrap_or_default();
    for _ in 0..rng.usize(1..=MAX_STEPS) {
        step(&mut input, seeds, rng);
        input.truncate(MAX_INPUT_BYTES);
    }
    input
}

fn step(input: &mut Vec<u8>, seeds: &[Vec<u8>], rng: &mut Rng) {
    let at = rng.usize(0..=input.len());
    match rng.u8(0..8) {
        // Flip a bit.
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << rng.u8(0..8);
            }
        }
        // Overwrite a byte with a special one.
        1 => {
            if let (Some(byte), Some(special)) = (input.get_mut(at), rng.choice(SPECIAL)) {
                *byte = *special;
            }
        }
        // Insert a special byte.
        2 => drop(input.splice(at..at, rng.choice(SPECIAL).copied())),
        // Insert any byte.
        3 => input.insert(at, rng.u8(..)),
        // Cut off the end.
        4 => input.truncate(at),
        // Cut out a piece.
        5 => drop(input.drain(range(at, input.len(), rng))),
        // Repeat a piece, often enough now and then to reach a limit.
        6 => {
            let piece = input
                .get(range(at, input.len(), rng))
                .unwrap_or_default()
                .to_vec();
            let times = if rng.u8(0..16) == 0 {
                rng.usize(1..300)
            } else {
                1
            };
            let room = MAX_INPUT_BYTES.saturating_sub(input.len());
            let times = times.min(room / piece.len().max(1));
            drop(input.splice(at..at, piece.repeat(times)));
        }
        // Put a piece of another seed in.
        7 => {
            let other = rng.choice(seeds).map_or(&[][..], Vec::as_slice);
            let from = rng.usize(0..=other.len());
            let piece = other.get(range(from, other.len(), rng)).unwrap_or_default();
            drop(input.splice(at..at, piece.iter().copied()));
        }
        _ => {}
    }
}

/// A range within `start..end`.
fn range(start: usize, end: usize, rng: &mut Rng) -> std::ops::Range<usize> {
    start..rng.usize(start..=end)
}
