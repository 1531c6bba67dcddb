//! What a terminal sends, as keys. Pure; bytes may come in any pieces.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A printable character of ASCII: nothing else stands in an address or a name.
    Char(char),
    Enter,
    Escape,
    Backspace,
    Tab,
    BackTab,
    Up,
    Down,
    Left,
    Right,
    Function(u8),
}

/// Longer sequences are of no key we know.
const SEQUENCE_BYTES_MAX: usize = 8;

#[derive(Debug, Default)]
pub struct Decoder {
    /// The beginning of a sequence, Escape first.
    sequence: Vec<u8>,
}

impl Decoder {
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Key> {
        bytes.iter().filter_map(|byte| self.byte(*byte)).collect()
    }

    /// Whether an Escape waits for what follows.
    pub fn is_waiting(&self) -> bool {
        !self.sequence.is_empty()
    }

    /// Nothing followed: it was the key itself.
    pub fn flush(&mut self) -> Option<Key> {
        let alone = self.sequence.len() == 1;
        self.sequence.clear();
        alone.then_some(Key::Escape)
    }

    fn byte(&mut self, byte: u8) -> Option<Key> {
        if byte == 0x1b {
            let before = self.flush();
            self.sequence.push(byte);
            return before;
        }
        if self.sequence.is_empty() {
            return plain(byte);
        }
        self.sequence.push(byte);
        let is_over = match self.sequence.as_slice() {
            [_, b'[' | b'O'] | [_, b'[', b'['] => false,
            [_, b'[', .., last] => (0x40..=0x7e).contains(last),
            _ => true,
        };
        if !is_over && self.sequence.len() < SEQUENCE_BYTES_MAX {
            return None;
        }
        let sequence = std::mem::take(&mut self.sequence);
        known(&sequence[1..])
    }
}

fn plain(byte: u8) -> Option<Key> {
    match byte {
        b'\r' | b'\n' => Some(Key::Enter),
        b'\t' => Some(Key::Tab),
        0x7f | 0x08 => Some(Key::Backspace),
        b' '..=b'~' => Some(Key::Char(byte as char)),
        _ => None,
    }
}

/// Sequences of the Linux console, of VT220 and of xterm, without their Escape.
fn known(sequence: &[u8]) -> Option<Key> {
    match sequence {
        b"[A" | b"OA" => Some(Key::Up),
        b"[B" | b"OB" => Some(Key::Down),
        b"[C" | b"OC" => Some(Key::Right),
        b"[D" | b"OD" => Some(Key::Left),
        b"[Z" => Some(Key::BackTab),
        [b'[', b'[', letter @ b'A'..=b'E'] => Some(Key::Function(letter - b'A' + 1)),
        [b'O', letter @ b'P'..=b'S'] => Some(Key::Function(letter - b'P' + 1)),
        b"[11~" => Some(Key::Function(1)),
        b"[12~" => Some(Key::Function(2)),
        b"[13~" => Some(Key::Function(3)),
        b"[14~" => Some(Key::Function(4)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        let mut keys = decoder.feed(bytes);
        keys.extend(decoder.flush());
        keys
    }

    #[test]
    fn what_terminals_send() {
        assert_eq!(keys(b"a\r\x7f\t"), [Key::Char('a'), Key::Enter, Key::Backspace, Key::Tab]);
        assert_eq!(keys(b"\x1b[A\x1bOB\x1b[Z"), [Key::Up, Key::Down, Key::BackTab]);
        assert_eq!(keys(b"\x1b[[B\x1bOQ\x1b[12~"), [Key::Function(2); 3]);
        assert_eq!(keys(b"\x1b"), [Key::Escape]);
        assert_eq!(keys(b"\x1b\x1b[D"), [Key::Escape, Key::Left]);
        assert_eq!(
            keys(b"\x1b[9999999999x"),
            [Key::Char('9'), Key::Char('9'), Key::Char('9'), Key::Char('9'), Key::Char('x')]
        );
        assert_eq!(keys("é".as_bytes()), []);
    }

    proptest! {
        /// However the bytes are cut into pieces, the keys are the same.
        #[test]
        fn pieces_do_not_matter(bytes in proptest::collection::vec(prop_oneof![Just(0x1b), Just(b'['), Just(b'O'), any::<u8>()], 0..60), cut in 0usize..60) {
            let cut = cut.min(bytes.len());
            let mut decoder = Decoder::default();
            let mut in_pieces = decoder.feed(&bytes[..cut]);
            in_pieces.extend(decoder.feed(&bytes[cut..]));
            in_pieces.extend(decoder.flush());
            prop_assert_eq!(in_pieces, keys(&bytes));
        }
    }
}
