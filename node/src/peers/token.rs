//! A join token as one line that people copy: `meseta1.` and base64url of a small JSON.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::membership::is_fingerprint;
use serde::{Deserialize, Serialize};

const PREFIX: &str = "meseta1.";
const BYTES_MAX: usize = 4_096;

/// Where a node may ask to be let in, what it shows there, and how it knows that it is the right cluster.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    #[serde(rename = "a")]
    pub addresses: Vec<SocketAddr>,
    /// 32 hexadecimal digits.
    #[serde(rename = "s")]
    pub secret: String,
    /// SHA-256 of the authority's certificate.
    #[serde(rename = "f")]
    pub authority: String,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token(for {:?}, redacted)", self.addresses)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no join token: {0}")]
pub struct TokenError(&'static str);

impl Token {
    pub fn to_line(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
    }

    /// The token that the machine was booted with, as `meseta.join=`.
    pub fn of_kernel_line() -> Result<Option<Self>, TokenError> {
        let line = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
        let word = line.split_whitespace().find_map(|word| word.strip_prefix("meseta.join="));
        word.map(Self::parse).transpose()
    }

    /// Reads a line as copied, with blanks around it.
    pub fn parse(line: &str) -> Result<Self, TokenError> {
        let line = line.trim();
        if line.len() > BYTES_MAX {
            return Err(TokenError("it is longer than 4096 characters"));
        }
        let body = line.strip_prefix(PREFIX).ok_or(TokenError("it does not begin with `meseta1.`"))?;
        let cut = TokenError("a part of it is missing or changed; copy all of the line");
        let json = URL_SAFE_NO_PAD.decode(body).map_err(|_| cut.clone())?;
        let token: Self = serde_json::from_slice(&json).map_err(|_| cut.clone())?;
        let secret = token.secret.len() == 32 && token.secret.bytes().all(|b| b.is_ascii_hexdigit());
        if token.addresses.is_empty() || !secret || !is_fingerprint(&token.authority) {
            return Err(cut);
        }
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token() -> Token {
        Token {
            addresses: vec!["192.0.2.1:7300".parse().unwrap(), "[2001:db8::1]:7300".parse().unwrap()],
            secret: "0123456789abcdef".repeat(2),
            authority: "ab".repeat(32),
        }
    }

    #[test]
    fn a_line_comes_back_and_shows_no_secret_in_logs() {
        let line = token().to_line();
        assert_eq!(Token::parse(&format!("  {line}\n")), Ok(token()));
        assert!(!format!("{:?}", token()).contains("0123"));
    }

    #[test]
    fn what_is_no_token_is_told_apart_from_a_damaged_one() {
        let begins = Token::parse("hello").unwrap_err().to_string();
        assert!(begins.contains("does not begin"), "{begins}");
        let line = token().to_line();
        let cut = Token::parse(&line[..line.len() - 5]).unwrap_err().to_string();
        assert!(cut.contains("copy all of the line"), "{cut}");
        assert!(Token::parse(&"m".repeat(5_000)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}", cut in 0..200usize) {
            let _ = Token::parse(&text);
            let line = token().to_line();
            let _ = Token::parse(line.get(..cut.min(line.len())).unwrap_or_default());
        }
    }
}
