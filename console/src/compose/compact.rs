//! A definition without what goes without saying: the text that people edit and compare.

use model::app::AppSpec;
use serde_json::Value;

/// Objects within a definition whose keys are tried too.
const INSIDE: [&str; 3] = ["/container", "/container/docker", "/upgradeStrategy"];
/// Health checks and ports beyond these keep all their keys: each trial reads the whole definition again.
const ITEMS_TRIED_MAX: usize = 8;

/// The smallest part of the emitted definition that still reads as `spec`. Right by construction: every key is taken
/// away only after reading what is left gave the same app.
pub fn compact(spec: &AppSpec) -> Value {
    let wanted = comparable(spec);
    let mut value = spec.emit();
    for key in ["version", "versionInfo"] {
        remove(&mut value, "", key);
    }
    let mut places: Vec<String> = vec![String::new()];
    // The old ways to say something go before the new ones.
    for key in ["uris", "ports", "ipAddress", "storeUrls"] {
        try_without(&mut value, "", key, &wanted);
    }
    for key in ["portMappings", "network"] {
        try_without(&mut value, "/container/docker", key, &wanted);
    }
    places.extend(INSIDE.map(str::to_owned));
    for list in ["/healthChecks", "/portDefinitions", "/container/portMappings", "/networks"] {
        let items = value.pointer(list).and_then(Value::as_array).map_or(0, Vec::len);
        places.extend((0..items.min(ITEMS_TRIED_MAX)).map(|n| format!("{list}/{n}")));
    }
    for place in places {
        let Some(Value::Object(fields)) = value.pointer(&place) else { continue };
        for key in fields.keys().cloned().collect::<Vec<_>>() {
            let is_the_id = place.is_empty() && key == "id";
            if !is_the_id && !matches!(key.as_str(), "port" | "containerPort") {
                try_without(&mut value, &place, &key, &wanted);
            }
        }
    }
    // What everybody wants to see even where it is the default.
    let shown = spec.emit();
    if let Value::Object(fields) = &mut value {
        for key in ["instances", "cpus", "mem"] {
            fields.entry(key).or_insert_with(|| shown[key].clone());
        }
    }
    value
}

fn comparable(spec: &AppSpec) -> AppSpec {
    let zero = model::Timestamp::default();
    AppSpec {
        version: zero,
        last_scaling_at: zero,
        last_config_change_at: zero,
        unknown_keys: Vec::new(),
        ..spec.clone()
    }
}

fn try_without(value: &mut Value, place: &str, key: &str, wanted: &AppSpec) {
    let Some(taken) = remove(value, place, key) else { return };
    let is_same = AppSpec::parse(&value.to_string()).is_ok_and(|spec| comparable(&spec) == *wanted);
    if !is_same && let Some(Value::Object(fields)) = value.pointer_mut(place) {
        fields.insert(key.to_owned(), taken);
    }
}

fn remove(value: &mut Value, place: &str, key: &str) -> Option<Value> {
    value.pointer_mut(place)?.as_object_mut()?.remove(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: [&str; 6] = [
        include_str!("../../../tests/seed/hello2.json"),
        include_str!("../../../tests/seed/nginx.json"),
        include_str!("../../../tests/seed/nginx-internal.json"),
        include_str!("../../../tests/seed/nginx-external.json"),
        include_str!("../../../tests/seed/bridged-webapp.json"),
        include_str!("../../../tests/seed/python-app.json"),
    ];

    #[test]
    fn it_reads_as_the_same_app_and_says_little() {
        for text in SEED {
            let spec = AppSpec::parse(text).expect("the seed is valid");
            let value = compact(&spec);
            let back = AppSpec::parse(&value.to_string()).expect("still valid");
            assert_eq!(comparable(&back), comparable(&spec));
            assert!(!value.to_string().contains("null"), "{value}");
            assert!(value.to_string().len() < text.len() * 2, "{value}");
        }
    }

    #[test]
    fn only_what_differs_from_the_defaults_is_said() {
        let spec = AppSpec::parse(r#"{"id":"a","cmd":"true","cpus":1}"#).expect("valid");
        let keys: Vec<String> = compact(&spec).as_object().expect("an object").keys().cloned().collect();
        assert_eq!(keys, ["cmd", "cpus", "id", "instances", "mem"]);
    }
}
