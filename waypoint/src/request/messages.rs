//! Counts the messages of a gRPC stream as its bytes go by.
//!
//! In: chunks of a body, cut anywhere. Out: how many messages began in them. Never: keeps a byte of them.
//!
//! Source: gRPC over HTTP/2, `Length-Prefixed-Message`.

/// A counter of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Messages {
    /// Bytes of the prefix that were seen, below five.
    prefix: u8,
    /// What of the length is known.
    length: u32,
    /// What is left of the current message. Units: bytes.
    rest: u32,
    count: u64,
}

impl Messages {
    /// Looks at the next chunk.
    pub fn push(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() {
            let skipped =
                usize::try_from(self.rest).map_or(chunk.len(), |rest| rest.min(chunk.len()));
            if skipped > 0 {
                self.rest -= u32::try_from(skipped).unwrap_or(self.rest);
                chunk = chunk.get(skipped..).unwrap_or_default();
                continue;
            }
            let Some((&byte, behind)) = chunk.split_first() else {
                return;
            };
            chunk = behind;
            if self.prefix > 0 {
                self.length = (self.length << 8) | u32::from(byte);
            }
            self.prefix += 1;
            if self.prefix == 5 {
                self.rest = self.length;
                self.prefix = 0;
                self.length = 0;
                self.count += 1;
            }
        }
    }

    /// How many messages there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests;
