//! From what things are called to what DNS can say: labels, domain fragments, and the hash that tells tasks of one
//! name apart. The rules are those of Mesos-DNS, so that names people wrote down keep working.

use sha1::{Digest, Sha1};

/// Bytes of one label on the wire.
pub const LABEL_BYTES_MAX: usize = 63;
/// Characters of a whole name as text, without the dot at its end.
pub const NAME_BYTES_MAX: usize = 253;

/// Which labels are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelRule {
    /// At most 63 characters, no hyphen at either end.
    Rfc1123,
    /// At most 24 characters, beginning with a letter.
    Rfc952,
}

impl LabelRule {
    fn max(self) -> usize {
        match self {
            Self::Rfc1123 => LABEL_BYTES_MAX,
            Self::Rfc952 => 24,
        }
    }

    fn strip_front(self, text: &str) -> &str {
        match self {
            Self::Rfc1123 => text.trim_start_matches('-'),
            Self::Rfc952 => text.trim_start_matches(|c: char| c == '-' || c.is_ascii_digit()),
        }
    }

    /// One label for the whole of `text`; empty if nothing of it can be said.
    pub fn label(self, text: &str) -> String {
        self.label_of(text, self.max())
    }

    /// The same with at most `max` characters.
    ///
    /// Hyphens that the cut leaves at the end give way to as many characters from behind it, so that two long names
    /// that differ only there stay two.
    pub fn label_of(self, text: &str, max: usize) -> String {
        let mapped: String = text.chars().filter_map(mapped).collect();
        let stripped = self.strip_front(&mapped);
        let max = max.min(self.max());
        let (head, rest) = stripped.split_at(stripped.len().min(max));
        let kept = head.trim_end_matches('-');
        let lost = head.len() - kept.len();
        let rest = rest.trim_start_matches('-');
        let tail = &rest[..rest.len().min(lost)];
        format!("{kept}{tail}").trim_end_matches('-').to_owned()
    }

    /// A part of a domain: dots stay, each piece between them is a label, empty ones vanish.
    pub fn fragment(self, text: &str) -> String {
        let labels: Vec<String> = text.split('.').map(|part| self.label(part)).collect();
        labels.into_iter().filter(|label| !label.is_empty()).collect::<Vec<_>>().join(".")
    }
}

fn mapped(c: char) -> Option<char> {
    match c {
        'A'..='Z' => Some(c.to_ascii_lowercase()),
        'a'..='z' | '0'..='9' => Some(c),
        '-' | '.' | '_' => Some('-'),
        _ => None,
    }
}

/// Five characters from a task's id: the first 25 bits of its SHA-1 in z-base-32.
pub fn task_hash(task: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";
    let digest = Sha1::digest(task);
    let bits = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    (0..5).map(|n| char::from(ALPHABET[(bits >> (27 - 5 * n) & 31) as usize])).collect()
}

/// Whether a name of labels and dots fits into a message.
pub fn is_sayable(name: &str) -> bool {
    let label = |label: &str| (1..=LABEL_BYTES_MAX).contains(&label.len());
    name.len() <= NAME_BYTES_MAX && name.split('.').all(label)
}

/// How a name is looked up: lower case, no dot at the end, and without the labels `*` that some clients insert.
pub fn normalised(name: &str) -> String {
    let labels: Vec<String> =
        name.trim_end_matches('.').split('.').filter(|l| *l != "*").map(str::to_ascii_lowercase).collect();
    labels.join(".")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_are_those_of_mesos_dns() {
        let dashes = |n: usize| "-".repeat(n);
        let long = "1234567890".repeat(6);
        for (text, rfc1123, rfc952) in [
            ("liquor.store", "liquor-store".to_owned(), "liquor-store".to_owned()),
            ("Liquor_Store $ 24", "liquor-store24".into(), "liquor-store24".into()),
            ("-7-up-", "7-up".into(), "up".into()),
            ("härte", "hrte".into(), "hrte".into()),
            ("---", String::new(), String::new()),
            (&format!("hello{}f", dashes(58)), "hellof".into(), "hellof".into()),
            (&format!("hello{}f", dashes(56)), format!("hello{}f", dashes(56)), "hellof".into()),
            (&format!("{long}12-123"), format!("{long}121"), String::new()),
            (
                "chronoswithaspaceandmixedcase",
                "chronoswithaspaceandmixedcase".into(),
                "chronoswithaspaceandmixe".into(),
            ),
        ] {
            assert_eq!(LabelRule::Rfc1123.label(text), rfc1123, "{text}");
            assert_eq!(LabelRule::Rfc952.label(text), rfc952, "{text}");
        }
    }

    #[test]
    fn fragments_keep_their_dots() {
        let odd = "chronos with a space AND MIXED CASE-2.0.1";
        for (text, rfc1123, rfc952) in [
            ("marathon", "marathon", "marathon"),
            ("marathon-0.6.0-dev", "marathon-0.6.0-dev", "marathon-0.dev"),
            (odd, "chronoswithaspaceandmixedcase-2.0.1", "chronoswithaspaceandmixe"),
            ("..", "", ""),
        ] {
            assert_eq!(LabelRule::Rfc1123.fragment(text), rfc1123);
            assert_eq!(LabelRule::Rfc952.fragment(text), rfc952);
        }
    }

    #[test]
    fn hashes_are_those_of_mesos_dns() {
        assert_eq!(task_hash("test"), "iffe9");
        assert_eq!(task_hash("liquor-store.b8db9f73-562f-11e4-a088-c20493233aa5"), "4dfjd");
    }

    #[test]
    fn names_are_looked_up_in_one_form() {
        for (asked, name) in [
            ("Leader.MESOS.", "leader.mesos"),
            ("bob.*.mesos", "bob.mesos"),
            ("", ""),
            (".", ""),
            ("*.*", ""),
        ] {
            assert_eq!(normalised(asked), name);
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_label_or_nothing(text in "[ -~äß]{0,150}|[a-c-]{50,80}") {
            for (rule, max) in [(LabelRule::Rfc1123, 63), (LabelRule::Rfc952, 24)] {
                let label = rule.label(&text);
                prop_assert!(label.len() <= max);
                prop_assert!(!label.starts_with('-') && !label.ends_with('-'), "{}", label);
                prop_assert!(label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
                prop_assert_eq!(rule.label(&label), label);
            }
        }
    }
}
