//! How an app is replaced, retried, killed and given up.

use std::collections::BTreeMap;

use super::super::fields::{Amount, Fields};
use super::super::{BackoffSettings, KillSelection, Millionths, UnreachableStrategy, UpgradeStrategy};
use super::keys;
use crate::app::query::{SINGLE_INSTANCE_LABEL, is_set};

/// A hundred years: beyond any wish, and sums of it stay far from overflow.
const SECONDS_MAX_MS: u64 = 100 * 365 * 86_400_000;
const SECONDS: Amount = Amount::seconds(0, SECONDS_MAX_MS);
const SHARE: Amount = Amount { scale: 1_000_000, min: 0, max: 1_000_000, round_up: false };
const FACTOR: Amount = Amount { scale: 1_000_000, min: 1_000_000, max: 1_000_000_000, round_up: false };

pub fn upgrade(fields: &Fields, labels: &BTreeMap<String, String>, instances: u32) -> UpgradeStrategy {
    let single = is_set(labels, SINGLE_INSTANCE_LABEL);
    let default = if single { Millionths(0) } else { Millionths::ONE };
    let given = fields.get("upgradeStrategy").and_then(|f| f.object(keys::UPGRADE));
    let read = |key: &str| {
        let share = given.as_ref().and_then(|g| g.decimal(key, &SHARE));
        share.map_or(default, Millionths)
    };
    let upgrade = UpgradeStrategy {
        minimum_health: read("minimumHealthCapacity"),
        maximum_over: read("maximumOverCapacity"),
    };
    if single && instances > 1 {
        fields.rule(
            "instances",
            format!("is greater than 1: {instances}; expected 0 or 1, because of the label {SINGLE_INSTANCE_LABEL}"),
        );
    }
    if single && (upgrade.minimum_health, upgrade.maximum_over) != (Millionths(0), Millionths(0)) {
        fields.rule(
            "upgradeStrategy",
            format!("is not 0 and 0; expected both to be 0, because of the label {SINGLE_INSTANCE_LABEL}"),
        );
    }
    upgrade
}

pub fn backoff(fields: &Fields) -> BackoffSettings {
    BackoffSettings {
        first_ms: fields.decimal("backoffSeconds", &SECONDS).unwrap_or(1_000),
        factor: Millionths(fields.decimal("backoffFactor", &FACTOR).unwrap_or(1_150_000)),
        max_ms: fields.decimal("maxLaunchDelaySeconds", &SECONDS).unwrap_or(300_000),
    }
}

pub fn kill_grace_ms(fields: &Fields) -> Option<u64> {
    fields.decimal("taskKillGracePeriodSeconds", &SECONDS)
}

pub fn kill_selection(fields: &Fields) -> KillSelection {
    let words =
        [("YOUNGEST_FIRST", KillSelection::YoungestFirst), ("OLDEST_FIRST", KillSelection::OldestFirst)];
    fields.get("killSelection").and_then(|f| f.word(&words)).unwrap_or(KillSelection::YoungestFirst)
}

pub fn unreachable(fields: &Fields) -> UnreachableStrategy {
    let default = UnreachableStrategy::After { inactive_ms: 0, expunge_ms: 0 };
    let Some(field) = fields.get("unreachableStrategy") else { return default };
    if field.is_text() {
        return field.word(&[("disabled", UnreachableStrategy::Disabled)]).unwrap_or(default);
    }
    let Some(given) = field.object(keys::UNREACHABLE) else { return default };
    let inactive_ms = given.decimal("inactiveAfterSeconds", &SECONDS).unwrap_or(0);
    let expunge_ms = given.decimal("expungeAfterSeconds", &SECONDS);
    if let Some(expunge_ms) = expunge_ms.filter(|&expunge_ms| expunge_ms < inactive_ms) {
        given.rule(
            "expungeAfterSeconds",
            format!(
                "is less than inactiveAfterSeconds: {} s < {} s; expected at least as long",
                expunge_ms as f64 / 1000.0,
                inactive_ms as f64 / 1000.0
            ),
        );
    }
    // Given alone, a time until inactive moves the time until expunged along.
    UnreachableStrategy::After { inactive_ms, expunge_ms: expunge_ms.unwrap_or(inactive_ms) }
}
