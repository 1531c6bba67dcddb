//! Accessibility checked where people are: axe-core, run in the page itself.

use std::path::PathBuf;

use crate::browser::Browser;

/// What `scripts/assets test` fetched and checked.
fn script() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(std::env::var_os("HOME").expect("a person has a home")).join(".cache")
    });
    cache.join("meseta/axe-core/axe.min.js")
}

/// Everything that WCAG 2.2 up to AA forbids, and what is known to be bad practice.
const RUN: &str = r#"
const done = arguments[arguments.length - 1];
axe.run(document, { resultTypes: ["violations"] }).then(
  (results) => done(results.violations.map((v) => `${v.id} (${v.impact}): ${v.help}: ` +
    v.nodes.slice(0, 3).map((n) => `${n.target.join(" ")} ${n.html.slice(0, 160)} ${n.failureSummary}`).join(" | "))),
  (error) => done([`axe failed: ${error}`]),
);
"#;

/// The rules that the page shown now breaks, each with where.
pub fn violations(browser: &Browser) -> Vec<String> {
    let file = script();
    let source = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}; scripts/setup fetches it", file.display()));
    browser.run(&source);
    let found = browser.run_async(RUN);
    let found = found.as_array().expect("axe answers with a list");
    found
        .iter()
        .map(|violation| violation.as_str().map_or_else(|| violation.to_string(), str::to_owned))
        .collect()
}

/// Fails with all that is wrong.
#[track_caller]
pub fn assert_accessible(browser: &Browser, what: &str) {
    let found = violations(browser);
    assert!(found.is_empty(), "{what} is not accessible:\n{}", found.join("\n"));
}

/// A page that is known to be wrong is found wrong: the checker itself is alive.
pub fn is_alive(browser: &Browser) -> bool {
    browser.run("document.body.insertAdjacentHTML('beforeend', '<img src=\"data:,\" id=\"bad\">')");
    let found = violations(browser);
    browser.run("document.getElementById('bad').remove()");
    found.iter().any(|violation| violation.starts_with("image-alt"))
}
