//! Names of things. Each id is a checked newtype: holding one means it is well formed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits;

/// Why a text is not an id; `expected` is written to be shown to a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not {expected}")]
pub struct IdError {
    pub value: String,
    pub expected: &'static str,
}

/// An app's absolute path, e.g. `/prod/db`. Lower-case segments of spec/marathon.md §2.2; never the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppId(String);

impl AppId {
    /// Accepts `hello`, `/hello`, `//a//b/`: slashes are normalised, everything else is checked.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let error = |expected| IdError { value: text.chars().take(100).collect(), expected };
        if text.len() > limits::APP_ID_BYTES_MAX {
            return Err(error("an id of at most 255 characters"));
        }
        let segments: Vec<&str> = text.split('/').filter(|s| !s.is_empty()).collect();
        let Some(last) = segments.last() else {
            return Err(error("an app id: it must name at least one path segment"));
        };
        if matches!(*last, "restart" | "tasks" | "versions") {
            return Err(error("an app id: the last segment may not be `restart`, `tasks` or `versions`"));
        }
        if !segments.iter().all(|s| is_segment(s)) {
            return Err(error(
                "an app id: each path segment holds lower-case letters, digits and inner hyphens or dots",
            ));
        }
        Ok(Self(format!("/{}", segments.join("/"))))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without its leading slash and with `_` for `/`: the stem of task ids and of balancer names.
    pub fn flat(&self) -> String {
        self.0[1..].replace('/', "_")
    }
}

/// One path segment: dot-separated labels of `[a-z0-9-]`, none beginning or ending with a hyphen.
fn is_segment(segment: &str) -> bool {
    segment.split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

/// A task's id: `<flat app id>.instance-<uuid>._app.<incarnation>`. Safe as a file and cgroup name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId(String);

impl TaskId {
    /// The id of incarnation `incarnation` of a new instance, from 128 random bits that the caller drew.
    pub fn new(app: &AppId, random: u128, incarnation: u32) -> Self {
        let hex = format!("{random:032x}");
        let uuid = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        Self(format!("{}.instance-{uuid}._app.{incarnation}", app.flat()))
    }

    pub fn parse(text: &str) -> Result<Self, IdError> {
        let well_formed = !text.is_empty()
            && text.len() <= limits::TASK_ID_BYTES_MAX
            && !text.starts_with('.')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
        if !well_formed {
            return Err(IdError { value: text.chars().take(100).collect(), expected: "a task id" });
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The instance this task is an incarnation of: the id up to `._app.`, or the whole id in the old form.
    pub fn instance(&self) -> &str {
        self.0.rsplit_once("._app.").map_or(&self.0, |(instance, _)| instance)
    }
}

/// A node's identity: drawn once per installation, never reused, never derived from a name or address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{:016x}", self.0)
    }
}

macro_rules! text_id {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
text_id!(AppId);
text_id!(TaskId);

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            /// In the grouping of a UUID: `8-4-4-4-12` hexadecimal digits.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let hex = format!("{:032x}", self.0);
                write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                let hex = text.replace('-', "");
                let id = (hex.len() == 32).then(|| u128::from_str_radix(&hex, 16).ok()).flatten();
                id.map(Self).ok_or(IdError { value: text.chars().take(100).collect(), expected: "a UUID" })
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}
random_id!(
    /// The cluster's identity, drawn when the first node is claimed; checked on every connection between nodes.
    ClusterId
);
random_id!(
    /// One deployment: the way of an app from one definition to the next.
    DeploymentId
);
random_id!(
    /// Names one request, so that a retry after a lost answer is applied once.
    RequestId
);

/// Draws ids for one round of planning from one seed, so that a plan is a function of its inputs.
#[derive(Debug, Clone)]
pub struct IdSource(u64);

impl IdSource {
    /// `seed` must be fresh randomness for each plan; the same seed yields the same ids.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): a full-period 64-bit sequence, enough to spread one good seed.
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn draw_u128(&mut self) -> u128 {
        u128::from(self.draw()) << 64 | u128::from(self.draw())
    }

    /// A number in `0..bound`; `bound` must not be zero.
    pub fn draw_below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }
}
