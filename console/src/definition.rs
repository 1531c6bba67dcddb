//! From a pasted text to an app, or to what is wrong with it, shown where it is wrong.

use model::AppId;
use model::app::{AppFaults, AppSpec, Fault, SyntaxFault, Update};

use crate::strings as t;

/// Why a text was refused, ready to be shown beside it.
pub enum Refusal {
    TooLarge {
        bytes: usize,
        max: usize,
    },
    /// Boxed: it is many times the size of the others.
    Syntax(Box<(SyntaxFault, Excerpt)>),
    Invalid(Vec<Fault>),
    /// Well formed, but the cluster did not take it; the reason in a sentence.
    ByCluster(String),
}

impl Refusal {
    /// `is_new`: the app was to be created, not changed.
    pub fn title(&self, is_new: &bool) -> &'static str {
        match self {
            Self::ByCluster(_) if *is_new => t::NOT_CREATED,
            Self::ByCluster(_) => t::NOT_SAVED,
            Self::TooLarge { .. } | Self::Syntax(_) | Self::Invalid(_) => t::FAULTS_TITLE,
        }
    }

    /// What stands before the details, or all there is to say.
    pub fn sentence(&self) -> String {
        match self {
            Self::TooLarge { bytes, max } => t::definition_too_large(*bytes, *max),
            Self::Syntax(place) => t::syntax_place(place.0.line, place.0.column),
            Self::Invalid(faults) => t::faults_count(faults.len()),
            Self::ByCluster(why) => why.clone(),
        }
    }
}

/// The line of a fault, cut to what fits, and the blanks before the caret beneath it.
#[derive(Debug, PartialEq, Eq)]
pub struct Excerpt {
    pub line: String,
    pub caret: String,
    /// As wide as the line's number, which stands before the line.
    pub gutter: String,
}

/// Characters shown before and after the fault on a long line.
const AROUND_CHARS: usize = 40;

/// With `id` the whole new definition of that app, which may leave its id out.
pub fn parse(text: &str, id: Option<&AppId>) -> Result<AppSpec, Box<Refusal>> {
    let update = match id {
        None => AppSpec::parse(text).map(|app| Update::Define(Box::new(app))),
        Some(_) => AppSpec::parse_update(text, None, id, false),
    };
    match update {
        Ok(Update::Define(app)) => Ok(*app),
        Ok(Update::RollBack(_)) => Err(Box::new(Refusal::ByCluster(t::ONLY_A_VERSION.to_owned()))),
        Err(faults) => Err(Box::new(refusal(text, faults))),
    }
}

fn refusal(text: &str, faults: AppFaults) -> Refusal {
    match faults {
        AppFaults::TooLarge { bytes, max } => Refusal::TooLarge { bytes, max },
        AppFaults::Invalid(faults) => Refusal::Invalid(faults),
        AppFaults::Syntax(fault) => {
            let excerpt = excerpt(text, fault.line, fault.column);
            Refusal::Syntax(Box::new((fault, excerpt)))
        }
    }
}

/// The definition as clients read it.
pub fn emit(app: &AppSpec) -> String {
    serde_json::to_string_pretty(&app.view()).expect("an app view has text keys and finite numbers")
}

/// `line` and `column` count from 1, columns in characters.
fn excerpt(text: &str, line: usize, column: usize) -> Excerpt {
    let whole = text.lines().nth(line.saturating_sub(1)).unwrap_or("");
    let at = column.saturating_sub(1);
    let first = at.saturating_sub(AROUND_CHARS);
    // A tab is as wide as its place; one blank each keeps the caret beneath its character.
    let shown =
        whole.chars().skip(first).take(2 * AROUND_CHARS).map(|c| if c.is_control() { ' ' } else { c });
    let (before, after) = (
        if first > 0 { "…" } else { "" },
        if whole.chars().nth(first + 2 * AROUND_CHARS).is_some() { "…" } else { "" },
    );
    let blanks = at - first + before.chars().count();
    Excerpt {
        line: format!("{before}{}{after}", shown.collect::<String>()),
        caret: " ".repeat(blanks),
        gutter: " ".repeat(line.to_string().len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_below_the_fault() {
        let check = |text: &str, line, column, expected: char| {
            let excerpt = excerpt(text, line, column);
            assert_eq!(excerpt.line.chars().nth(excerpt.caret.len()), Some(expected), "{excerpt:?}");
        };
        check("{\n  \"a\" 1\n}", 2, 7, '1');
        check("{\n\t\"é\" x }", 2, 6, 'x');
        let long = format!("{}x{}", " ".repeat(500), " ".repeat(500));
        check(&long, 1, 501, 'x');
    }

    #[test]
    fn a_fault_past_the_end_has_a_caret_after_the_text() {
        for (text, column) in [("{", 2), ("", 1)] {
            let found = excerpt(text, 1, column);
            assert_eq!((found.line.as_str(), found.caret.len()), (text, text.len()));
        }
    }
}
