//! Which fields the form has, as data: the template, the reader and the writer all go by these tables.

use crate::strings as t;

/// One field of the form.
pub struct Field {
    /// Name within the form, e.g. `cpus` or the column `key` of a list.
    pub name: &'static str,
    pub label: &'static str,
    pub hint: &'static str,
    /// What counts if it stays empty.
    pub placeholder: &'static str,
    pub widget: Widget,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Widget {
    Text,
    Number,
    /// Several lines.
    Lines,
    /// One of these: value and word.
    Choice(&'static [(&'static str, &'static str)]),
}

impl Widget {
    pub fn is_lines(self) -> bool {
        self == Self::Lines
    }

    pub fn is_number(self) -> bool {
        self == Self::Number
    }

    pub fn choices(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Choice(choices) => choices,
            Self::Text | Self::Number | Self::Lines => &[],
        }
    }
}

pub struct List {
    pub name: &'static str,
    pub title: &'static str,
    pub hint: &'static str,
    pub columns: &'static [Field],
    /// Empty rows offered below the filled ones.
    pub spare: usize,
}

const fn field(name: &'static str, label: &'static str, placeholder: &'static str, widget: Widget) -> Field {
    Field { name, label, hint: "", placeholder, widget }
}

pub const SCALARS: &[Field] = &[
    Field { hint: t::FORM_ID_HINT, ..field("id", t::FORM_ID, "/shop/web", Widget::Text) },
    Field { hint: t::FORM_COMMAND_HINT, ..field("cmd", t::FACT_COMMAND, "", Widget::Lines) },
    Field { hint: t::FORM_ARGUMENTS_HINT, ..field("args", t::FACT_ARGUMENTS, "", Widget::Lines) },
    Field { hint: t::FORM_IMAGE_HINT, ..field("image", t::FACT_IMAGE, "nginx:1.27", Widget::Text) },
    field("instances", t::FORM_INSTANCES, "1", Widget::Number),
    field("cpus", t::FORM_CPUS, "1", Widget::Number),
    field("mem", t::FORM_MEMORY, "128", Widget::Number),
    field("disk", t::FORM_DISK, "0", Widget::Number),
    field("network", t::FACT_NETWORK, "", Widget::Choice(NETWORKS)),
];

pub const HOST: &str = "host";
pub const BRIDGE: &str = "bridge";
/// Named networks: the form only keeps them.
pub const NAMED: &str = "named";
const NETWORKS: &[(&str, &str)] =
    &[(HOST, t::FORM_NETWORK_HOST), (BRIDGE, t::FORM_NETWORK_BRIDGE), (NAMED, t::FORM_NETWORK_NAMED)];

const PROTOCOLS: &[(&str, &str)] = &[("tcp", "tcp"), ("udp", "udp"), ("udp,tcp", "udp,tcp")];
const HEALTH_PROTOCOLS: &[(&str, &str)] = &[
    ("", t::NONE),
    ("HTTP", "HTTP"),
    ("HTTPS", "HTTPS"),
    ("TCP", "TCP"),
    ("COMMAND", "COMMAND"),
    ("MESOS_HTTP", "MESOS_HTTP"),
    ("MESOS_HTTPS", "MESOS_HTTPS"),
    ("MESOS_TCP", "MESOS_TCP"),
];
const OPERATORS: &[(&str, &str)] = &[
    ("", t::NONE),
    ("UNIQUE", "UNIQUE"),
    ("CLUSTER", "CLUSTER"),
    ("GROUP_BY", "GROUP_BY"),
    ("LIKE", "LIKE"),
    ("UNLIKE", "UNLIKE"),
    ("MAX_PER", "MAX_PER"),
    ("IS", "IS"),
];

const PAIR: &[Field] =
    &[field("key", t::FORM_KEY, "", Widget::Text), field("value", t::FORM_VALUE, "", Widget::Text)];

pub const LISTS: &[List] = &[
    List {
        name: "ports",
        title: t::FACT_PORTS,
        hint: t::FORM_PORTS_HINT,
        columns: &[
            field("container", t::FORM_PORT_CONTAINER, "0", Widget::Number),
            field("host", t::FORM_PORT_HOST, "", Widget::Number),
            field("service", t::FORM_PORT_SERVICE, "0", Widget::Number),
            field("protocol", t::FORM_PROTOCOL, "tcp", Widget::Choice(PROTOCOLS)),
            field("name", t::FORM_NAME, "", Widget::Text),
        ],
        spare: 1,
    },
    List { name: "env", title: t::ENV_TITLE, hint: "", columns: PAIR, spare: 2 },
    List { name: "labels", title: t::LABELS_TITLE, hint: "", columns: PAIR, spare: 2 },
    List {
        name: "checks",
        title: t::FACT_HEALTH,
        hint: t::FORM_CHECKS_HINT,
        columns: &[
            field("protocol", t::FORM_PROTOCOL, "", Widget::Choice(HEALTH_PROTOCOLS)),
            field("target", t::FORM_CHECK_TARGET, "/", Widget::Text),
            field("port", t::FORM_CHECK_PORT, "0", Widget::Number),
            field("interval", t::FORM_CHECK_INTERVAL, "60", Widget::Number),
            field("grace", t::FORM_CHECK_GRACE, "300", Widget::Number),
            field("timeout", t::FORM_CHECK_TIMEOUT, "20", Widget::Number),
            field("failures", t::FORM_CHECK_FAILURES, "3", Widget::Number),
        ],
        spare: 1,
    },
    List {
        name: "constraints",
        title: t::FACT_CONSTRAINTS,
        hint: t::FORM_CONSTRAINTS_HINT,
        columns: &[
            field("field", t::FORM_CONSTRAINT_FIELD, "hostname", Widget::Text),
            field("operator", t::FORM_CONSTRAINT_OPERATOR, "", Widget::Choice(OPERATORS)),
            field("value", t::FORM_VALUE, "", Widget::Text),
        ],
        spare: 1,
    },
];

/// Where a fault's path belongs in the form; `None` for what has no field.
pub fn slot_of(path: &str) -> Option<&'static str> {
    const PLACES: [(&str, &str); 19] = [
        ("/id", "id"),
        ("/cmd", "cmd"),
        ("/args", "args"),
        ("/container/docker/image", "image"),
        ("/instances", "instances"),
        ("/cpus", "cpus"),
        ("/mem", "mem"),
        ("/disk", "disk"),
        ("/networks", "network"),
        ("/container/docker/network", "network"),
        ("/ipAddress", "network"),
        ("/ports", "ports"),
        ("/portDefinitions", "ports"),
        ("/container/portMappings", "ports"),
        ("/container/docker/portMappings", "ports"),
        ("/env", "env"),
        ("/labels", "labels"),
        ("/healthChecks", "checks"),
        ("/constraints", "constraints"),
    ];
    let below = |place: &str| {
        path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '(']))
    };
    PLACES.iter().find(|(place, _)| below(place)).map(|(_, slot)| *slot)
}
