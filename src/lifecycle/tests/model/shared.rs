//! A value that many states share, with its hash.

use std::{
    cell::RefCell,
    fmt::{self, Debug, Write},
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

/// Two are the same if their debug output is: it has every field.
pub struct Shared<T>(Arc<(u64, T)>);

thread_local! {
    /// The debug output, whose memory is used again.
    static TEXT: RefCell<String> = const { RefCell::new(String::new()) };
}

impl<T: Debug> Shared<T> {
    pub fn new(value: T) -> Self {
        let hash = TEXT.with_borrow_mut(|text| {
            text.clear();
            // It only writes to memory.
            let _ = write!(text, "{value:?}");
            let mut hash = TextHash::default();
            hash.write(text.as_bytes());
            hash.finish()
        });
        Self(Arc::new((hash, value)))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.1
    }
}

impl<T> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.0.hash(state);
    }
}

impl<T: Debug> Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.1.fmt(f)
    }
}

/// Multiplies and folds 8 bytes at a time; states are many, and their hashes only have to differ.
#[derive(Default)]
pub struct TextHash(u64);

impl TextHash {
    const fn mix(&mut self, word: u64) {
        let product =
            ((self.0 ^ word) as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        self.0 = (product as u64) ^ ((product >> 64) as u64) ^ self.0.rotate_left(23);
    }
}

impl Hasher for TextHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
        self.mix(bytes.len() as u64);
    }
}
