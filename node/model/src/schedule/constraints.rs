//! Where an app's instances may lie relative to each other and to what nodes say of themselves (spec/marathon.md §3.6).

use std::collections::BTreeMap;

use regex_lite::{Regex, RegexBuilder};

use crate::app::{AppSpec, Constraint, ConstraintOperator};
use crate::node::Node;

/// Compiled size above which a regular expression is taken as never matching.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// The value of constraint field `field` on `node`; `None` if the node has no such attribute.
pub(super) fn value<'a>(node: &'a Node, field: &str) -> Option<&'a str> {
    match field {
        "hostname" | "@hostname" => Some(&node.name),
        _ => {
            let plain = field.strip_prefix('@').unwrap_or(field);
            node.attributes.get(field).or_else(|| node.attributes.get(plain)).map(String::as_str)
        }
    }
}

/// An app's constraints with the tasks placed so far.
pub(super) struct Constraints(Vec<Rule>);

impl Constraints {
    /// No task placed yet; [`Constraints::placed`] tells of each, the oldest first.
    pub(super) fn of(spec: &AppSpec) -> Self {
        Self(spec.constraints.iter().map(|constraint| Rule::new(constraint, spec.instances)).collect())
    }

    /// Counts a task on `node`.
    pub(super) fn placed(&mut self, node: &Node) {
        self.0.iter_mut().for_each(|rule| rule.placed(node));
    }

    /// `Err`: the number of the first constraint that keeps the next task off `node`.
    pub(super) fn check(&self, node: &Node) -> Result<(), usize> {
        self.0.iter().position(|rule| !rule.passes(node)).map_or(Ok(()), Err)
    }
}

struct Rule {
    field: String,
    test: Test,
    instances: u32,
    /// Tasks placed, by the field's value on their node.
    counts: BTreeMap<String, u32>,
    /// Value of the first task placed.
    first: Option<String>,
}

enum Test {
    Unique,
    Cluster(Option<String>),
    /// Number of groups to fill; 0: as many as there are.
    GroupBy(u32),
    /// `None`: an expression that cannot be compiled; matches nothing.
    Like(Option<Regex>),
    Unlike(Option<Regex>),
    MaxPer(u32),
    Is(String),
}

impl Rule {
    fn new(constraint: &Constraint, instances: u32) -> Self {
        let text = constraint.value.as_deref().unwrap_or_default();
        let number = || text.trim().parse::<u32>().unwrap_or(0);
        let test = match constraint.operator {
            ConstraintOperator::Unique => Test::Unique,
            ConstraintOperator::Cluster => {
                Test::Cluster(Some(text.to_owned()).filter(|text| !text.is_empty()))
            }
            ConstraintOperator::GroupBy => Test::GroupBy(number()),
            ConstraintOperator::Like => Test::Like(whole(text)),
            ConstraintOperator::Unlike => Test::Unlike(whole(text)),
            ConstraintOperator::MaxPer => Test::MaxPer(number()),
            ConstraintOperator::Is => Test::Is(text.to_owned()),
        };
        Self { field: constraint.field.clone(), test, instances, counts: BTreeMap::new(), first: None }
    }

    fn placed(&mut self, node: &Node) {
        let Some(value) = value(node, &self.field) else { return };
        *self.counts.entry(value.to_owned()).or_default() += 1;
        self.first.get_or_insert_with(|| value.to_owned());
    }

    fn passes(&self, node: &Node) -> bool {
        let Some(value) = value(node, &self.field) else {
            return matches!(self.test, Test::Unlike(_));
        };
        let count = self.counts.get(value).copied().unwrap_or(0);
        match &self.test {
            Test::Unique => count == 0,
            Test::Cluster(Some(wanted)) => value == wanted,
            Test::Cluster(None) => self.first.as_deref().is_none_or(|first| first == value),
            Test::GroupBy(0) => self.passes_classic_group_by(count),
            Test::GroupBy(groups) => self.passes_group_by(count, *groups),
            Test::Like(pattern) => pattern.as_ref().is_some_and(|regex| regex.is_match(value)),
            Test::Unlike(pattern) => pattern.as_ref().is_some_and(|regex| !regex.is_match(value)),
            Test::MaxPer(most) => count < *most,
            Test::Is(wanted) => is_equal(value, wanted),
        }
    }

    /// A value not used yet, or one of those used least.
    fn passes_classic_group_by(&self, count: u32) -> bool {
        count == 0 || self.counts.values().all(|other| count <= *other)
    }

    /// `instances ÷ groups` for each value, and one more for as many as the division leaves over. Instances beyond
    /// the wanted number, as during a rolling replacement, are spread by the same rule.
    fn passes_group_by(&self, count: u32, groups: u32) -> bool {
        let in_use = u32::try_from(self.counts.len()).unwrap_or(u32::MAX);
        if count == 0 && in_use >= groups {
            return false;
        }
        let placed: u32 = self.counts.values().sum();
        let total = self.instances.max(placed + 1);
        let (share, over) = (total / groups, total % groups);
        let above = self.counts.values().filter(|other| **other > share).count();
        count < share || (count == share && above < over as usize)
    }
}

/// Matches whole strings only, as Marathon's regular expressions do.
fn whole(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(REGEX_BYTES_MAX).build().ok()
}

/// Numbers are compared as numbers (`1` is `1.0`), everything else as text.
fn is_equal(value: &str, wanted: &str) -> bool {
    match (value.parse::<f64>(), wanted.parse::<f64>()) {
        (Ok(value), Ok(wanted)) => value == wanted,
        _ => value == wanted,
    }
}
