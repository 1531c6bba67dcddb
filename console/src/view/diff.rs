//! What differs between two texts, line by line.

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    Same(String),
    Removed(String),
    Added(String),
    /// So many equal lines are left out.
    Gap(usize),
}

/// Equal lines shown around each difference.
const CONTEXT: usize = 3;
/// Pairs of lines compared; beyond it what lies between the first and the last difference counts as replaced.
const PAIRS_MAX: usize = 4_000_000;

/// Empty if the texts are equal.
pub fn diff(old: &str, new: &str) -> Vec<Line> {
    if old == new {
        return Vec::new();
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let mut lines: Vec<Line> = old[..head].iter().map(|line| Line::Same((*line).to_owned())).collect();
    middle(&old[head..old.len() - tail], &new[head..new.len() - tail], &mut lines);
    lines.extend(old[old.len() - tail..].iter().map(|line| Line::Same((*line).to_owned())));
    folded(lines)
}

/// By the longest common subsequence: `longest[a][b]` is its length for what follows line `a` and line `b`.
fn middle(old: &[&str], new: &[&str], lines: &mut Vec<Line>) {
    let removed = |line: &&str| Line::Removed((*line).to_owned());
    let added = |line: &&str| Line::Added((*line).to_owned());
    if old.len().saturating_mul(new.len()) > PAIRS_MAX {
        lines.extend(old.iter().map(removed).chain(new.iter().map(added)));
        return;
    }
    let mut longest = vec![vec![0u32; new.len() + 1]; old.len() + 1];
    for a in (0..old.len()).rev() {
        for b in (0..new.len()).rev() {
            longest[a][b] = if old[a] == new[b] {
                longest[a + 1][b + 1] + 1
            } else {
                longest[a + 1][b].max(longest[a][b + 1])
            };
        }
    }
    let (mut a, mut b) = (0, 0);
    while a < old.len() && b < new.len() {
        if old[a] == new[b] {
            lines.push(Line::Same(old[a].to_owned()));
            (a, b) = (a + 1, b + 1);
        } else if longest[a + 1][b] >= longest[a][b + 1] {
            lines.push(removed(&old[a]));
            a += 1;
        } else {
            lines.push(added(&new[b]));
            b += 1;
        }
    }
    lines.extend(old[a..].iter().map(removed).chain(new[b..].iter().map(added)));
}

/// Equal lines far from any difference become a gap; a gap of one line is not worth its mark.
fn folded(lines: Vec<Line>) -> Vec<Line> {
    let near = |n: usize| {
        let around = n.saturating_sub(CONTEXT)..(n + CONTEXT + 1).min(lines.len());
        lines[around].iter().any(|line| !matches!(line, Line::Same(_)))
    };
    let shown: Vec<bool> = (0..lines.len()).map(near).collect();
    let mut out = Vec::new();
    let mut n = 0;
    while n < lines.len() {
        let gap = shown[n..].iter().take_while(|shown| !**shown).count();
        if gap > 1 {
            out.push(Line::Gap(gap));
            n += gap;
        } else {
            out.push(lines[n].clone());
            n += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `-a +b  c` for lines; a number for a gap.
    fn short(old: &str, new: &str) -> String {
        let words = diff(&old.replace(' ', "\n"), &new.replace(' ', "\n"));
        let word = |line: Line| match line {
            Line::Same(text) => text,
            Line::Removed(text) => format!("-{text}"),
            Line::Added(text) => format!("+{text}"),
            Line::Gap(count) => count.to_string(),
        };
        words.into_iter().map(word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn lines_are_matched() {
        for (old, new, expected) in [
            ("a b c", "a b c", ""),
            ("a b c", "a x c", "a -b +x c"),
            ("a b c", "a c", "a -b c"),
            ("a c", "a b c", "a +b c"),
            ("", "a", "+a"),
            ("a b c d", "b x d e", "-a b -c +x d +e"),
            ("1 2 3 4 5 6 7 8 9", "1 2 3 4 5 6 7 8 x", "5 6 7 8 -9 +x"),
            ("a 1 2 3 4 5 6 7 8 z", "b 1 2 3 4 5 6 7 8 y", "-a +b 1 2 3 2 6 7 8 -z +y"),
            ("a 1 2 3 4 5 6 7 z", "b 1 2 3 4 5 6 7 y", "-a +b 1 2 3 4 5 6 7 -z +y"),
        ] {
            assert_eq!(short(old, new), expected, "{old:?} → {new:?}");
        }
    }

    #[test]
    fn huge_texts_are_replaced_whole() {
        let text = |word: &str| (0..3_000).map(|n| format!("{word}{n}\n")).collect::<String>();
        assert_eq!(diff(&text("a"), &text("b")).len(), 6_000);
    }
}
