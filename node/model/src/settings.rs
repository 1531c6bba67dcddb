//! What the cluster does by itself because its operator said so.

use serde::{Deserialize, Serialize};

pub const URL_BYTES_MAX: usize = 2_048;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Settings {
    pub rebalance: Rebalance,
    /// Where the leader asks for a lost node to be powered off; empty: nowhere.
    pub fence_hook: String,
}

/// Who starts moves that even out the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rebalance {
    #[default]
    Manual,
    /// The leader, one instance after the other.
    Automatic,
}

/// What is to become of the settings; what says nothing stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SettingsChange {
    pub rebalance: Option<Rebalance>,
    pub fence_hook: Option<String>,
}

impl Settings {
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// `Err` with path and words.
    pub fn changed(&self, change: &SettingsChange) -> Result<Self, (&'static str, &'static str)> {
        let after = Self {
            rebalance: change.rebalance.unwrap_or(self.rebalance),
            fence_hook: change.fence_hook.clone().unwrap_or_else(|| self.fence_hook.clone()),
        };
        if !is_hook(&after.fence_hook) {
            return Err((
                "/fence_hook",
                "must be empty, or an address such as http://10.0.0.9:8000/power-off",
            ));
        }
        Ok(after)
    }
}

fn is_hook(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let host = rest.map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    let is_plain = url.len() <= URL_BYTES_MAX && url.bytes().all(|byte| byte.is_ascii_graphic());
    url.is_empty() || is_plain && host.is_some_and(|host| !host.is_empty() && !host.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_an_address_or_nothing() {
        for (url, is_right) in [
            ("", true),
            ("http://10.0.0.9:8000/off?key=1", true),
            ("https://bmc.example", true),
            ("http://", false),
            ("http:///path", false),
            ("ftp://a/", false),
            ("http://a/ b", false),
            ("http://user:word@a/", false),
            ("http://a/\r\nHost: b", false),
        ] {
            let change = SettingsChange { fence_hook: Some(url.to_owned()), ..SettingsChange::default() };
            assert_eq!(Settings::default().changed(&change).is_ok(), is_right, "{url}");
        }
    }
}
