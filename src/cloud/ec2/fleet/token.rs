//! The token of a fleet request.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

/// `<attempt>-<hash>`: at most 64 characters, as a ClientToken may have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token {
    /// From 1 on.
    pub attempt: u32,
    hash: Arc<str>,
}

impl Token {
    /// Over sorted uids, attempt and the request, each with its length before it.
    #[must_use]
    pub fn of<'u>(uids: impl IntoIterator<Item = &'u str>, attempt: u32, request: &[u8]) -> Self {
        let mut uids: Vec<&str> = uids.into_iter().collect();
        uids.sort_unstable();
        let mut hasher = Sha256::new();
        for part in uids.iter().map(|uid| uid.as_bytes()).chain([attempt.to_string().as_bytes(), request]) {
            hasher.update(part.len().to_be_bytes());
            hasher.update(part);
        }
        let hash = hasher.finalize().iter().take(20).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        Self { attempt, hash: hash.into() }
    }

    /// Reads the annotation of a claim or the tag of an instance; `None` where it is no token.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (attempt, hash) = text.split_once('-')?;
        let is_hash = hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then_some(Self { attempt: attempt.parse().ok()?, hash: hash.into() })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.attempt, self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_claims_does_not_matter_and_all_else_does() {
        let token = Token::of(["b", "a"], 1, b"request");
        assert_eq!(token, Token::of(["a", "b"], 1, b"request"));
        for other in [
            Token::of(["a"], 1, b"request"),
            Token::of(["ab"], 1, b"request"),
            Token::of(["a", "b"], 2, b"request"),
            Token::of(["a", "b"], 1, b"other"),
        ] {
            assert_ne!(other.to_string(), token.to_string());
        }
        let text = token.to_string();
        assert!(text.len() <= 64 && text.is_ascii(), "{text}");
        assert_eq!(Token::parse(&text), Some(token));
        assert_eq!(Token::parse("1-xyz"), None);
    }
}
