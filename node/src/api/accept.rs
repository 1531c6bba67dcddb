//! Which of the forms we have a request's `Accept` header prefers.

use axum::http::{HeaderMap, header};

/// Media ranges with their weights in thousandths, as sent.
fn ranges(headers: &HeaderMap) -> Vec<(String, u32)> {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let one = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or("").to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
        (name, (f64::clamp(weight, 0.0, 1.0) * 1000.0) as u32)
    };
    values.flat_map(|value| value.split(',')).map(one).collect()
}

/// The weight of `kind/subkind`: by its own name, else by `kind/*`, else by `*/*`; `None` if none of them is there.
fn weight(ranges: &[(String, u32)], media: &str) -> Option<u32> {
    let any_of_kind = format!("{}/*", media.split('/').next().unwrap_or(""));
    let by = |name: &str| ranges.iter().find(|(range, _)| range == name).map(|(_, weight)| *weight);
    by(media).or_else(|| by(&any_of_kind)).or_else(|| by("*/*")).filter(|weight| *weight > 0)
}

/// Text only if it wins over JSON; without a header, or with `*/*`, JSON.
pub fn prefers_text(headers: &HeaderMap) -> bool {
    let ranges = ranges(headers);
    weight(&ranges, "text/plain") > weight(&ranges, "application/json")
}

/// May the answer be of this type? A missing header accepts everything.
pub fn accepts(headers: &HeaderMap, media: &str) -> bool {
    !headers.contains_key(header::ACCEPT) || weight(&ranges(headers), media).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_must_win() {
        for (accept, text, events) in [
            ("", false, true),
            ("*/*", false, true),
            ("application/json", false, false),
            ("text/plain", true, false),
            ("text/plain, application/json", false, false),
            ("text/plain, application/json;q=0.9", true, false),
            ("text/plain;q=0.5, */*;q=0.1", true, true),
            ("text/*", true, true),
            ("text/event-stream", false, true),
        ] {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(header::ACCEPT, accept.parse().expect("a header"));
            }
            assert_eq!(prefers_text(&headers), text, "{accept}");
            assert_eq!(accepts(&headers, "text/event-stream"), events, "{accept}");
        }
    }
}
