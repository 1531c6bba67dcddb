//! JSON as a person would write it: the important keys first, short lists on one line.

use serde_json::Value;

/// Keys in the order in which people look for them; all others follow by name.
const ORDER: [&str; 44] = [
    "id",
    "cmd",
    "args",
    "user",
    "instances",
    "cpus",
    "mem",
    "disk",
    "gpus",
    "type",
    "container",
    "docker",
    "image",
    "network",
    "networks",
    "mode",
    "protocol",
    "path",
    "command",
    "containerPort",
    "hostPort",
    "servicePort",
    "port",
    "portIndex",
    "name",
    "portMappings",
    "ports",
    "portDefinitions",
    "requirePorts",
    "env",
    "labels",
    "constraints",
    "acceptedResourceRoles",
    "healthChecks",
    "intervalSeconds",
    "gracePeriodSeconds",
    "timeoutSeconds",
    "maxConsecutiveFailures",
    "dependencies",
    "upgradeStrategy",
    "backoffSeconds",
    "backoffFactor",
    "maxLaunchDelaySeconds",
    "taskKillGracePeriodSeconds",
];
/// A list is written on one line up to this many characters.
const LINE_CHARS_MAX: usize = 72;

pub fn pretty(value: &Value) -> String {
    let mut text = String::new();
    write(value, 0, &mut text);
    text
}

fn write(value: &Value, depth: usize, to: &mut String) {
    let line = |to: &mut String, depth: usize| {
        to.push('\n');
        to.push_str(&"  ".repeat(depth));
    };
    match value {
        Value::Array(items) if !items.is_empty() && !fits(items) => {
            to.push('[');
            for (n, item) in items.iter().enumerate() {
                to.push_str(if n > 0 { "," } else { "" });
                line(to, depth + 1);
                write(item, depth + 1, to);
            }
            line(to, depth);
            to.push(']');
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(Value::to_string).collect();
            to.push('[');
            to.push_str(&items.join(", "));
            to.push(']');
        }
        Value::Object(fields) if !fields.is_empty() => {
            let mut sorted: Vec<_> = fields.iter().collect();
            let rank = |key: &str| ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len());
            sorted.sort_by_key(|(key, _)| (rank(key), key.as_str()));
            to.push('{');
            for (n, (key, value)) in sorted.into_iter().enumerate() {
                to.push_str(if n > 0 { "," } else { "" });
                line(to, depth + 1);
                to.push_str(&Value::from(key.as_str()).to_string());
                to.push_str(": ");
                write(value, depth + 1, to);
            }
            line(to, depth);
            to.push('}');
        }
        scalar => to.push_str(&scalar.to_string()),
    }
}

fn fits(items: &[Value]) -> bool {
    let plain = items.iter().all(|item| !item.is_array() && !item.is_object());
    plain && items.iter().map(|item| item.to_string().len() + 2).sum::<usize>() <= LINE_CHARS_MAX
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn important_keys_come_first_and_short_lists_stay_on_a_line() {
        let value = json!({"zone": {}, "mem": 32, "id": "a", "constraints": [["hostname", "UNIQUE"]], "ports": [0, 1],
            "env": {"B": "\"", "A": ""}});
        let expected = "{\n  \"id\": \"a\",\n  \"mem\": 32,\n  \"ports\": [0, 1],\n  \"env\": {\n    \"A\": \"\",\n    \
            \"B\": \"\\\"\"\n  },\n  \"constraints\": [\n    [\"hostname\", \"UNIQUE\"]\n  ],\n  \"zone\": {}\n}";
        assert_eq!(pretty(&value), expected);
        assert_eq!(serde_json::from_str::<Value>(&pretty(&value)).expect("JSON"), value);
    }

    #[test]
    fn long_lists_are_broken() {
        let value = json!({ "args": vec!["a long argument"; 8] });
        assert_eq!(pretty(&value).lines().count(), 12);
    }
}
