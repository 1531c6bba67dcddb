//! The claim code: shown on the node's own screen, typed once by whoever stands before it.

use rand::Rng;
use subtle::ConstantTimeEq;

/// No 0/O, 1/I/L or U/V: what is read off a screen is typed right.
const ALPHABET: &[u8] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE_CHARS: usize = 8;

/// A fresh code, `XXXX-XXXX`: 30^8 ≈ 6.6·10^11 possibilities, guessed through a limiter of tries.
pub fn generate() -> String {
    let mut rng = rand::rng();
    let code: String =
        (0..CODE_CHARS).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect();
    format!("{}-{}", &code[..4], &code[4..])
}

/// Is `typed` the code? Case, blanks and hyphens do not matter; the time taken tells nothing about the code.
pub fn matches(code: &str, typed: &str) -> bool {
    let (code, typed) = (canonical(code), canonical(typed));
    // An empty code would match everything empty; it is never generated, so it is nobody's code.
    !code.is_empty() && bool::from(code.as_bytes().ct_eq(typed.as_bytes()))
}

/// As it goes into comparisons and key exchanges.
pub fn canonical(text: &str) -> String {
    let kept = text.chars().filter(|c| c.is_ascii_alphanumeric()).take(4 * CODE_CHARS);
    kept.map(|c| c.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_well_formed_and_differ() {
        let codes: Vec<String> = (0..50).map(|_| generate()).collect();
        for code in &codes {
            let (left, right) = code.split_once('-').expect("a hyphen");
            assert_eq!((left.len(), right.len()), (4, 4), "{code}");
            assert!(code.bytes().filter(|b| *b != b'-').all(|b| ALPHABET.contains(&b)), "{code}");
        }
        assert!(codes.iter().any(|code| *code != codes[0]));
    }

    #[test]
    fn typing_is_forgiven_guessing_is_not() {
        for (typed, expected) in [
            ("AB2C-XY9Z", true),
            ("ab2c xy9z", true),
            ("  ab2cxy9z ", true),
            ("AB2C-XY9", false),
            ("AB2C-XY9ZZ", false),
            ("", false),
            ("AB2C-XY9Y", false),
        ] {
            assert_eq!(matches("AB2C-XY9Z", typed), expected, "{typed}");
        }
        assert!(!matches("", ""));
    }
}
