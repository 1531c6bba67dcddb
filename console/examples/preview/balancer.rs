//! The balancer of the node that is not there: one app behind it, one whose labels are not right.

use console::*;
use model::{AppId, TaskId, Timestamp};

const CONFIGURATION: &str =
    "global\n    description 0f0f\n\nfrontend http\n    bind [::]:80 v4v6\n    default_backend unmatched\n";

pub fn status(now: Timestamp) -> BalancerStatus {
    let app = |id: &str| AppId::parse(id).expect("an app id");
    let front = |name: &str, bind: &str, rate: u64| FrontEnd {
        name: name.into(),
        bind: bind.into(),
        sessions: rate / 10,
        rate,
        total: 4_711,
        bytes_in: 1_250_000,
        bytes_out: 88_000_000,
    };
    let server = |n: u64, state: &str| BalancedServer {
        task: TaskId::new(&app("/shop/web"), u128::from(n) << 64 | 7, 1),
        address: format!("192.168.7.2{n}:3100{n}"),
        state: state.into(),
        sessions: 2 * n,
        rate: 20 + n,
        total: 1_200 * n,
    };
    BalancerStatus {
        run: BalancerRun::Running { version: "3.0.11".into(), uptime_s: 93_784 },
        error: String::new(),
        change: Some(BalancerChange {
            at: Timestamp(now.0 - 42_000),
            step: BalancerStep::Servers(2),
            why: "the state changed".into(),
        }),
        reloads: 3,
        front_ends: vec![front("http", "[::]:80", 61), front("shop_web_10000", "[::]:10000", 4)],
        back_ends: vec![BackEnd {
            name: "shop_web_10000".into(),
            app: app("/shop/web"),
            sessions: 6,
            rate: 65,
            total: 4_711,
            errors: 0,
            servers: vec![server(1, "UP"), server(2, "DRAIN"), server(3, "DOWN")],
        }],
        faults: vec![(
            app("/shop/broken"),
            vec!["label `HAPROXY_0_MODE` is `<udp>`; expected one of http, tcp".into()],
        )],
        configuration: CONFIGURATION.into(),
    }
}
