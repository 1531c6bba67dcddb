//! A QR code in half blocks: two rows of its squares in one row of text, so that it fits beside the text on a screen of
//! 80 × 25. What is light in the code is drawn, for screens are dark.

use qrcode::{Color, EcLevel, QrCode};

/// Light squares around the code. The standard asks for four; readers are content with two.
const QUIET: usize = 2;
/// Larger ones would leave no room for text.
const WIDTH_MAX: usize = 41;

/// Lines of equal width; none if the text is too long.
pub fn lines(text: &str) -> Vec<String> {
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::L) else { return Vec::new() };
    let (width, colors) = (code.width(), code.to_colors());
    let whole = width + 2 * QUIET;
    if whole > WIDTH_MAX {
        return Vec::new();
    }
    let is_light = |x: usize, y: usize| match (x.checked_sub(QUIET), y.checked_sub(QUIET)) {
        (Some(x), Some(y)) if x < width && y < width => colors[y * width + x] == Color::Light,
        _ => true,
    };
    // An odd number of rows: the last half is light as well, being the quiet zone's.
    (0..whole.div_ceil(2))
        .map(|row| {
            (0..whole)
                .map(|x| match (is_light(x, 2 * row), is_light(x, 2 * row + 1)) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                })
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Back from half blocks to squares: `true` is dark.
    fn squares(lines: &[String]) -> Vec<Vec<bool>> {
        let half = |line: &str, upper: bool| {
            line.chars()
                .map(|c| match c {
                    '█' => false,
                    '▀' => !upper,
                    '▄' => upper,
                    _ => true,
                })
                .collect::<Vec<bool>>()
        };
        lines.iter().flat_map(|line| [half(line, true), half(line, false)]).collect()
    }

    #[test]
    fn an_address_fits_beside_the_text() {
        let lines = lines("http://192.168.100.100:8080");
        assert_eq!((lines.len(), lines[0].chars().count()), (15, 29));
        let squares = squares(&lines);
        // The finder pattern of the upper left corner: a dark frame of seven squares around a light one.
        let row: String =
            squares[QUIET][QUIET..QUIET + 8].iter().map(|dark| if *dark { '#' } else { '.' }).collect();
        assert_eq!(row, "#######.");
        let row: String =
            squares[QUIET + 1][QUIET..QUIET + 8].iter().map(|dark| if *dark { '#' } else { '.' }).collect();
        assert_eq!(row, "#.....#.");
    }

    proptest! {
        #[test]
        fn every_code_is_the_one_of_its_text(text in "http://[a-z0-9.:]{1,90}") {
            let lines = lines(&text);
            let code = QrCode::with_error_correction_level(&text, EcLevel::L).unwrap();
            if code.width() + 2 * QUIET > WIDTH_MAX {
                prop_assert!(lines.is_empty());
            } else {
                let squares = squares(&lines);
                for (y, row) in code.to_colors().chunks(code.width()).enumerate() {
                    for (x, color) in row.iter().enumerate() {
                        prop_assert_eq!(squares[y + QUIET][x + QUIET], *color == Color::Dark);
                    }
                }
                prop_assert!(lines.len() <= 21);
            }
        }
    }
}
