//! A hash of a token that costs the same for every length: of its end, which is its signature.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Characters of a signature that are looked at; each has six random bits. The shortest signature has 43.
const TAIL_BYTES: usize = 32;

/// Hashes texts by their end, under a random key.
#[derive(Debug, Clone, Default)]
pub(super) struct TailState(RandomState);

/// See [`TailState`].
#[derive(Debug)]
pub(super) struct TailHasher(<RandomState as BuildHasher>::Hasher);

impl BuildHasher for TailState {
    type Hasher = TailHasher;

    fn build_hasher(&self) -> TailHasher {
        TailHasher(self.0.build_hasher())
    }
}

impl Hasher for TailHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_text_is_what_counts() {
        let state = TailState::default();
        let tail = "x".repeat(TAIL_BYTES);
        assert_eq!(state.hash_one(format!("a{tail}")), state.hash_one(format!("b{tail}")));
        assert_ne!(state.hash_one(format!("{tail}a")), state.hash_one(format!("{tail}b")));
        assert_ne!(state.hash_one("a"), state.hash_one("b"));
    }
}
