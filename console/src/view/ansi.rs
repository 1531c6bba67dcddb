//! Text that was written for a terminal, for a page: its colours become classes, everything else that would command a
//! terminal is left out, and what remains of control characters is made visible.

use crate::sandbox::visible;

/// A run of text in one style; no class is plain text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    pub class: String,
    pub text: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Style {
    /// One of the eight colours of all terminals.
    colour: Option<u8>,
    bold: bool,
    underlined: bool,
}

impl Style {
    fn class(self) -> String {
        let colour = self.colour.map(|n| format!("ansi-{n}"));
        let words = [colour, self.bold.then(|| "bold".into()), self.underlined.then(|| "underlined".into())];
        words.into_iter().flatten().collect::<Vec<String>>().join(" ")
    }

    fn apply(&mut self, parameters: &str) {
        let mut numbers = parameters.split([';', ':']).map(|text| text.parse::<u16>().unwrap_or(0));
        while let Some(number) = numbers.next() {
            match number {
                0 => *self = Self::default(),
                1 => self.bold = true,
                4 => self.underlined = true,
                22 => self.bold = false,
                24 => self.underlined = false,
                30..=37 => self.colour = Some((number - 30) as u8),
                90..=97 => self.colour = Some((number - 90) as u8),
                39 => self.colour = None,
                // Colours of a larger table or none: the first sixteen are known, the others are left plain.
                38 => {
                    self.colour = match numbers.next() {
                        Some(5) => numbers.next().filter(|n| *n < 16).map(|n| (n % 8) as u8),
                        _ => None,
                    };
                    return;
                }
                48 => return,
                _ => {}
            }
        }
    }
}

/// Goes through lines in order: a colour lasts until another is said.
#[derive(Debug, Default)]
pub struct Painter {
    style: Style,
    colours: bool,
}

impl Painter {
    pub fn new(colours: bool) -> Self {
        Self { style: Style::default(), colours }
    }

    /// One line without its end.
    pub fn line(&mut self, line: &[u8]) -> Vec<Piece> {
        let text = String::from_utf8_lossy(line);
        let mut pieces: Vec<Piece> = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c == '\x1b' {
                self.escape(&mut chars);
                continue;
            }
            let c = if c == '\t' || c == '\n' { c } else { visible(c) };
            let class = self.style.class();
            match pieces.last_mut().filter(|piece| piece.class == class) {
                Some(piece) => piece.text.push(c),
                None => pieces.push(Piece { class, text: c.into() }),
            }
        }
        pieces
    }

    /// What follows an escape character, up to the end of the command.
    fn escape(&mut self, chars: &mut std::str::Chars<'_>) {
        match chars.next() {
            Some('[') => {
                let rest = chars.as_str();
                let Some((at, end)) = rest.char_indices().find(|(_, c)| ('@'..='~').contains(c)) else {
                    *chars = "".chars();
                    return;
                };
                if end == 'm' && self.colours {
                    self.style.apply(&rest[..at]);
                }
                *chars = rest[at + 1..].chars();
            }
            // Titles, links, pictures: up to BEL or ESC \.
            Some(']' | 'P' | 'X' | '^' | '_') => {
                while let Some(c) = chars.next() {
                    if c == '\x07' {
                        return;
                    }
                    if c == '\x1b' {
                        chars.next();
                        return;
                    }
                }
            }
            // Choices of a character set have a further letter.
            Some('(' | ')' | '#' | '%' | ' ') => drop(chars.next()),
            _ => {}
        }
    }
}

/// Any text without commands and colours.
pub fn plain(text: &[u8]) -> String {
    let mut painter = Painter::new(false);
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines.flat_map(|line| painter.line(without_return(line))).map(|piece| piece.text).collect()
}

/// Lines that end as on a typewriter.
pub fn without_return(line: &[u8]) -> &[u8] {
    match line {
        [.., b'\r'] => &line[..line.len() - 1],
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn painted(lines: &[&str]) -> Vec<(String, String)> {
        let mut painter = Painter::new(true);
        let pieces = lines.iter().flat_map(|line| painter.line(line.as_bytes()));
        pieces.map(|piece| (piece.class, piece.text)).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(class, text)| ((*class).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn colours_last_until_they_are_changed() {
        assert_eq!(
            painted(&["a\x1b[1;31mred", "still\x1b[0mplain", "\x1b[38;5;12mblue\x1b[39m.\x1b[4mu\x1b[24m"]),
            pairs(&[
                ("", "a"),
                ("ansi-1 bold", "red"),
                ("ansi-1 bold", "still"),
                ("", "plain"),
                ("ansi-4", "blue"),
                ("", "."),
                ("underlined", "u"),
            ])
        );
        assert_eq!(painted(&["\x1b[48;2;1;2;3mx\x1b[38;2;1;2;3my"]), pairs(&[("", "xy")]));
    }

    #[test]
    fn nothing_commands_a_terminal() {
        for (text, expected) in [
            ("a\x1b[2Jb", "ab"),
            ("a\x1b]0;title\x07b", "ab"),
            ("a\x1b]8;;http://x\x1b\\b", "ab"),
            ("a\x1b(Bb", "ab"),
            ("a\x1bcb", "ab"),
            ("a\x1b[31", "a"),
            ("a\x1b", "a"),
            ("a\x07\x08b\tc", "a\u{2407}\u{2408}b\tc"),
            ("10 %\r20 %", "10 %\u{240d}20 %"),
            ("<b>&", "<b>&"),
        ] {
            assert_eq!(plain(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(plain(b"a\xff\r\nb\n"), "a\u{fffd}\u{240d}\nb\n");
    }
}
