//! The patterns of `modules.alias`: `*`, `?` and `[…]` with ranges, as in fnmatch(3). Pure.

pub fn matches(pattern: &str, text: &str) -> bool {
    matches_bytes(pattern.as_bytes(), text.as_bytes())
}

fn matches_bytes(mut pattern: &[u8], mut text: &[u8]) -> bool {
    // Where to go on after a mismatch: one byte further for the last star.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        let step = match pattern.split_first() {
            None if text.is_empty() => return true,
            None => None,
            Some((b'*', rest)) => {
                retry = Some((rest, text));
                pattern = rest;
                continue;
            }
            Some(_) => text.split_first().and_then(|(byte, rest)| Some((one(pattern, *byte)?, rest))),
        };
        match (step, retry) {
            (Some((after, rest)), _) => (pattern, text) = (after, rest),
            (None, Some((after_star, from))) => {
                let Some((_, shorter)) = from.split_first() else { return false };
                retry = Some((after_star, shorter));
                (pattern, text) = (after_star, shorter);
            }
            (None, None) => return false,
        }
    }
}

/// Matches one byte against the head of `pattern`, which is not a star; what comes after the head.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    let (head, rest) = pattern.split_first()?;
    if *head != b'[' {
        return (*head == b'?' || *head == byte).then_some(rest);
    }
    let end = rest.iter().position(|b| *b == b']')?;
    let (set, after) = (&rest[..end], &rest[end + 1..]);
    let mut i = 0;
    while i < set.len() {
        let (low, high) = (set[i], if set.get(i + 1) == Some(&b'-') { *set.get(i + 2)? } else { set[i] });
        if (low..=high).contains(&byte) {
            return Some(after);
        }
        i += if set.get(i + 1) == Some(&b'-') { 3 } else { 1 };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_fnmatch_does() {
        for (pattern, text, expected) in [
            ("virtio:d00000001v*", "virtio:d00000001v00001AF4", true),
            ("virtio:d00000001v*", "virtio:d00000002v00001AF4", false),
            ("pci:v00008086d*sv*sd*bc01sc06i01*", "pci:v00008086d00002922sv1sd2bc01sc06i01", true),
            ("pci:v00008086d*sv*sd*bc01sc06i01*", "pci:v00008086d00002922sv1sd2bc02sc00i00", false),
            ("usb:v*p*d*dc*dsc*dp*ic03isc*ip*in*", "usb:v0627p0001d0000dc00dsc00dp00ic03isc00ip02in00", true),
            ("acpi*:PNP0C0[BC]:*", "acpi:PNP0C0C:", true),
            ("x[0-3]y", "x2y", true),
            ("x[0-3]y", "x4y", false),
            ("*a*b*c", "xxaxxbxxc", true),
            ("*a*b*c", "xxaxxbxx", false),
            ("", "", true),
            ("*", "", true),
            ("?", "", false),
            ("[", "[", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
