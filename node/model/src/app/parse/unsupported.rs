//! Fields of Marathon that this product cannot honour yet. Their defaults are accepted; anything else is refused in
//! clear words, because dropping it in silence would run something other than what was asked for.
//!
//! Two are accepted whatever they hold: `storeUrls`, which Marathon itself ignores, and `executorResources`, the
//! overhead of a program that does not exist here.

use super::super::fields::Fields;

/// Keys of an app that must be absent or blank (`""`, `[]`, `{}`, `false`, `0`).
const APP_KEYS: [&str; 7] =
    ["gpus", "secrets", "readinessChecks", "residency", "check", "tty", "resourceLimits"];

pub fn refuse(fields: &Fields) {
    for key in APP_KEYS {
        refuse_key(fields, key);
    }
    // Asking for the command executor, or for the role that everything has, asks for nothing.
    let allowed = [("executor", "//cmd"), ("role", "*")];
    for (key, harmless) in allowed {
        if let Some(field) = fields.get(key)
            && let Some(text) = field.text()
            && !text.is_empty()
            && text != harmless
        {
            field.rule(format!("is {}; only \"{harmless}\" is supported yet", field.shown()));
        }
    }
}

/// Refuses `key` unless it is blank.
pub fn refuse_key(fields: &Fields, key: &str) {
    if let Some(field) = fields.get(key)
        && !field.is_blank()
    {
        field.rule(format!("is {}; `{key}` is not supported yet: remove it", field.shown()));
    }
}
