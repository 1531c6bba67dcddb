use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// Line, column, and words that the sentence must hold.
#[track_caller]
fn check_fault(text: &str, line: usize, column: usize, words: &[&str]) {
    let fault = check(text).expect_err(text);
    assert_eq!((fault.line, fault.column), (line, column), "{text}: {fault}");
    for word in words {
        assert!(fault.to_string().contains(word), "{text}: {fault} lacks {word}");
    }
}

#[test]
fn faults_say_where_and_what() {
    check_fault("", 1, 1, &["a JSON value", "end of the text"]);
    check_fault("  \n ", 2, 2, &["a JSON value", "end of the text"]);
    check_fault("{", 1, 2, &["a key in double quotes or `}`", "end of the text"]);
    check_fault("{\n  \"Container\" {", 2, 15, &["expected `:` after the key \"Container\", found `{`"]);
    check_fault(
        "{\"a\": 1\n \"b\": 2}",
        2,
        2,
        &["`,` or `}` after the value of the key \"a\"", "string \"b\""],
    );
    check_fault("{\"ä€\": 1 x}", 1, 10, &["`,` or `}`", "found `x`"]);
    check_fault("{\"a\": 1,}", 1, 9, &["a key in double quotes after `,`", "found `}`"]);
    check_fault("{id: 1}", 1, 2, &["a key in double quotes: \"id\", found `id`"]);
    check_fault("{'id': 1}", 1, 2, &["straight double quote"]);
    check_fault("{“id”: 1}", 1, 2, &["straight double quote"]);
    check_fault("{\"id\": hello}", 1, 8, &["a value for the key \"id\"", "double quotes", "`hello`"]);
    check_fault("{\"id\": }", 1, 8, &["a value for the key \"id\"", "found `}`"]);
    check_fault("{\"a\": True}", 1, 7, &["`true` in lower case, found `True`"]);
    check_fault("{\"a\": None}", 1, 7, &["`null`"]);
    check_fault("{\"a\": NaN}", 1, 7, &["finite number"]);
    check_fault("[1, 2,]", 1, 7, &["another item of the array after `,`", "found `]`"]);
    check_fault("[1 2]", 1, 4, &["`,` or `]`", "found the number 2"]);
    check_fault("[1}", 1, 3, &["`,` or `]`", "found `}`"]);
    check_fault("[,1]", 1, 2, &["an item of the array, found `,`"]);
    check_fault("{} {}", 1, 4, &["the end of the text", "found `{`"]);
    check_fault("{\"a\": 1} // x", 1, 10, &["comment"]);
    check_fault("{\"a\": 01}", 1, 8, &["leading zeros"]);
    check_fault("{\"a\": -}", 1, 8, &["a digit after `-`"]);
    check_fault("{\"a\": .5}", 1, 7, &["a value for the key \"a\", found `.`"]);
    check_fault("{\"a\": 1.}", 1, 9, &["decimal point"]);
    check_fault("{\"a\": 1e}", 1, 9, &["exponent"]);
    check_fault("[1e999]", 1, 2, &["64-bit float", "1e999"]);
    check_fault("{\"a\": \"x\ny\"}", 1, 9, &["`\"` at the end of the string", "the end of the line"]);
    check_fault("{\"a\": \"x", 1, 9, &["`\"` at the end of the string", "end of the text"]);
    check_fault(r#"["\x"]"#, 1, 4, &["after a backslash, found `x`"]);
    check_fault(r#"["\u12g4"]"#, 1, 7, &["hexadecimal"]);
    check_fault(r#"["\ud800!"]"#, 1, 3, &["half of one"]);
    check_fault(r#"["\udc00"]"#, 1, 3, &["half of one"]);
    check_fault("\u{feff}{}", 1, 1, &["byte order mark"]);
    check_fault("{\u{a0}\"a\": 1}", 1, 2, &["blank U+00A0"]);
    check_fault(&"[".repeat(65), 1, 65, &["at most 64 levels"]);
}

#[test]
fn a_key_given_twice_is_a_fault_unless_a_worse_one_follows() {
    check_fault(
        "{\"a\": 1,\n\"b\": {},\n \"a\": 2}",
        3,
        2,
        &["each key once", "a second \"a\" (the first is on line 1)"],
    );
    check_fault("{\"a\": 1, \"\\u0061\": 2}", 1, 10, &["a second \"a\""]);
    check_fault("{\"a\": 1, \"a\": 2", 1, 16, &["end of the text"]);
    assert_eq!(check("{\"a\": {\"a\": [{\"a\": 1}, {\"a\": 2}]}}"), Ok(()));
}

#[test]
fn many_double_keys_cost_no_more_than_one() {
    // A megabyte of them; counting out the place of each would take minutes.
    let text = format!("{{{}\"a\": 1}}", "\"a\": 1,\n".repeat(100_000));
    check_fault(&text, 2, 1, &["a second \"a\" (the first is on line 1)"]);
}

#[test]
fn the_article_app_as_printed() {
    let text = include_str!("../../../../../tests/seed/nginx-external.as-printed.txt");
    check_fault(text, 3, 15, &["expected `:` after the key \"Container\", found `{`"]);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z\\\\\"\u{0}-\u{20}]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-d]{0,2}", inner), 0..4).prop_map(|o| o.into_iter().collect()),
        ]
    })
}

/// A change that a careless hand or a bad copy makes.
#[derive(Debug, Clone)]
enum Slip {
    Remove(prop::sample::Index),
    Insert(prop::sample::Index, &'static str),
    Cut(prop::sample::Index),
    Swap(prop::sample::Index),
}

fn slip() -> impl Strategy<Value = Slip> {
    let bits = vec![
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "d83d", "\\ude00", "0", "1", "-", "+", ".", "e",
        "E9", "e400", "t", "true", "null", " ", "\n", "\u{0}", "\u{7f}", "é", "/", "'", "\u{2028}", "x",
    ];
    prop_oneof![
        any::<prop::sample::Index>().prop_map(Slip::Remove),
        (any::<prop::sample::Index>(), prop::sample::select(bits))
            .prop_map(|(at, bit)| Slip::Insert(at, bit)),
        any::<prop::sample::Index>().prop_map(Slip::Cut),
        any::<prop::sample::Index>().prop_map(Slip::Swap),
    ]
}

fn with_slips(text: &str, slips: &[Slip]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for slip in slips {
        let len = chars.len();
        match slip {
            Slip::Insert(at, bit) => {
                let at = at.index(len + 1);
                chars.splice(at..at, bit.chars());
            }
            Slip::Remove(at) if len > 0 => drop(chars.remove(at.index(len))),
            Slip::Cut(at) if len > 0 => chars.truncate(at.index(len)),
            Slip::Swap(at) if len > 1 => chars.swap(at.index(len - 1), at.index(len - 1) + 1),
            Slip::Remove(_) | Slip::Cut(_) | Slip::Swap(_) => {}
        }
    }
    chars.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn verdict_equals_serde_json(
        value in value(),
        pretty in any::<bool>(),
        slips in prop::collection::vec(slip(), 0..4),
    ) {
        let text = if pretty { format!("{value:#}") } else { value.to_string() };
        let text = with_slips(&text, &slips);
        let theirs = serde_json::from_str::<Value>(&text);
        let ours = scan(&text);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?}: {:?} {:?}", text, ours, theirs.err());
    }

    #[test]
    fn any_text_gets_a_place_inside_it(text in any::<String>()) {
        if let Err(fault) = scan(&text) {
            let lines: Vec<&str> = text.split('\n').collect();
            prop_assert!((1..=lines.len()).contains(&fault.line));
            prop_assert!((1..=lines[fault.line - 1].chars().count() + 1).contains(&fault.column));
        }
    }
}
