//! Bytes of which every block is different, written and checked at the speed of memory.
//!
//! In: a seed and a length. Out: the bytes, or where what was read first differs from them.
//! A block is a window of random bytes that moves from block to block, and begins with its own number: what is
//! lost, doubled, swapped or changed on the way shows.

use std::io::{Read, Write};

use anyhow::{Context as _, Result, ensure};

/// The bytes of a block.
const BLOCK_BYTES: usize = 64 * 1024;
/// From how far apart windows are taken.
const POOL_BYTES: usize = 1 << 20;
/// How far the window moves; coprime to [`POOL_BYTES`], so that it starts everywhere.
const STRIDE: usize = 77_773;

/// One sequence of bytes.
#[derive(Clone, Debug)]
pub struct Pattern {
    random: Vec<u8>,
}

impl Pattern {
    /// Two patterns of different seeds have nothing in common.
    pub fn new(seed: u64) -> Self {
        let mut random = vec![0; POOL_BYTES + BLOCK_BYTES];
        fastrand::Rng::with_seed(seed).fill(&mut random);
        Self { random }
    }

    fn block(&self, number: u64, block: &mut [u8; BLOCK_BYTES]) -> Result<()> {
        let start = usize::try_from(number)?.wrapping_mul(STRIDE) % POOL_BYTES;
        let window = self.random.get(start..start + BLOCK_BYTES);
        block.copy_from_slice(window.context("the window is within the pool")?);
        block[..8].copy_from_slice(&number.to_le_bytes());
        Ok(())
    }

    /// Writes the first `length` bytes.
    ///
    /// # Errors
    ///
    /// When they are not taken.
    pub fn write(&self, to: &mut impl Write, length: u64) -> Result<()> {
        let mut block = Box::new([0; BLOCK_BYTES]);
        for (number, size) in sizes(length) {
            self.block(number, &mut block)?;
            to.write_all(&block[..size])
                .with_context(|| format!("write block {number} of {length} bytes"))?;
        }
        Ok(())
    }

    /// Reads `length` bytes and says if one of them is wrong.
    ///
    /// # Errors
    ///
    /// When one is, or they do not all come.
    pub fn check(&self, from: &mut impl Read, length: u64) -> Result<()> {
        let (mut expected, mut read) = (Box::new([0; BLOCK_BYTES]), Box::new([0; BLOCK_BYTES]));
        for (number, size) in sizes(length) {
            self.block(number, &mut expected)?;
            from.read_exact(&mut read[..size])
                .with_context(|| format!("read block {number} of {length} bytes"))?;
            if read[..size] != expected[..size] {
                let wrong = read.iter().zip(expected.iter()).position(|(a, b)| a != b);
                ensure!(
                    false,
                    "block {number} of {length} bytes is wrong from its byte {wrong:?} on"
                );
            }
        }
        Ok(())
    }
}

/// The numbers and sizes of the blocks of `length` bytes.
fn sizes(length: u64) -> impl Iterator<Item = (u64, usize)> {
    let whole = BLOCK_BYTES as u64;
    (0..length.div_ceil(whole)).map(move |number| {
        let left = (length - number * whole).min(whole);
        (number, usize::try_from(left).unwrap_or(BLOCK_BYTES))
    })
}

#[cfg(test)]
mod tests;
