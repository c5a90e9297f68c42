//! A text that nobody may see: [`Secret`].

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// A password. It is never printed, and a comparison takes the same time wherever the two differ.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// Takes a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, to be sent to an agent and nowhere else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it is the empty text, which in OCS stands for no password at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is this text.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        // Digests have one length, so not even the length of a password shows in the time.
        Sha256::digest(self.0.as_bytes()).as_slice().ct_eq(Sha256::digest(text.as_bytes()).as_slice()).into()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.0)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_compared_but_never_printed() {
        let secret = Secret::new("swordfish");
        assert_eq!(secret, Secret::new("swordfish"));
        for other in ["", "swordfis", "swordfisH", "swordfish "] {
            assert_ne!(secret, Secret::new(other));
        }
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "Secret(…) Some(Secret(…))");
    }
}
