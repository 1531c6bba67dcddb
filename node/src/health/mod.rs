//! Health checks of tasks on this node: where each looks ([`target`], pure), and one look at it ([`probe`]). What
//! follows from what was seen is in [`model::health`]; the loop that goes on looking is `agent::health`.

pub mod probe;
mod tls;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use model::app::{AppSpec, HealthCheck, HealthPort, HealthProtocol, Network};
use model::task::Task;

/// What one check of one task looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Http {
        at: SocketAddr,
        tls: bool,
        path: String,
    },
    Tcp {
        at: SocketAddr,
    },
    /// A line for the shell inside the task.
    Command {
        line: String,
    },
}

/// `own` is the task's address if it has one of its own, `node` that of the node. `Err` says why there is nothing to
/// look at.
pub fn target(
    spec: &AppSpec,
    check: &HealthCheck,
    task: &Task,
    own: Option<Ipv4Addr>,
    node: IpAddr,
) -> Result<Target, String> {
    if check.protocol == HealthProtocol::Command {
        let line = check.command.clone().ok_or("the check names no command")?;
        return Ok(Target::Command { line });
    }
    let is_inside = matches!(
        check.protocol,
        HealthProtocol::MesosHttp | HealthProtocol::MesosHttps | HealthProtocol::MesosTcp
    );
    let address = match own {
        Some(own) => IpAddr::V4(own),
        // A check of Mesos' agent looks from within the task's network, which here is the node's.
        None if is_inside => IpAddr::V4(Ipv4Addr::LOCALHOST),
        None => node,
    };
    let at = SocketAddr::new(address, port(spec, check, task)?);
    Ok(match check.protocol {
        HealthProtocol::Tcp | HealthProtocol::MesosTcp => Target::Tcp { at },
        protocol => {
            let tls = matches!(protocol, HealthProtocol::Https | HealthProtocol::MesosHttps);
            let path = check.path.as_deref().unwrap_or("/").trim_start_matches('/');
            Target::Http { at, tls, path: format!("/{path}") }
        }
    })
}

/// Where the task listens: on its own network its container port, else its host port.
fn port(spec: &AppSpec, check: &HealthCheck, task: &Task) -> Result<u16, String> {
    let index = match check.port {
        Some(HealthPort::Number(number)) if number > 0 => return Ok(number),
        Some(HealthPort::Index(index)) => index as usize,
        Some(HealthPort::Number(_)) | None => 0,
    };
    let host = task.ports.get(index).copied();
    let container = spec.ports.get(index).and_then(|port| port.container_port);
    let inside = container.filter(|port| *port > 0 && spec.network != Network::Host);
    inside.or(host.filter(|port| *port > 0)).ok_or_else(|| format!("the task has no port number {index}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::app::Port;
    use model::testing;

    const OWN: Ipv4Addr = Ipv4Addr::new(172, 26, 0, 2);
    const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    fn look(bridge: bool, check: HealthCheck) -> Result<Target, String> {
        let mut spec = testing::spec("/a");
        spec.ports = vec![testing::port(0, Some(0)); 2];
        let mut task = testing::task("/a", 1);
        task.ports = vec![31_005, 31_006];
        if bridge {
            spec.network = Network::Bridge;
            spec.ports = [Some(80), Some(0)]
                .map(|container_port| Port { container_port, ..testing::port(0, Some(0)) })
                .to_vec();
        }
        target(&spec, &check, &task, bridge.then_some(OWN), NODE)
    }

    fn check(protocol: HealthProtocol, port: Option<HealthPort>) -> HealthCheck {
        HealthCheck { protocol, port, path: Some("health".to_owned()), ..testing::health_check() }
    }

    #[test]
    fn checks_look_where_the_task_listens() {
        use HealthProtocol::{Http, Https, MesosHttp, MesosTcp, Tcp};
        let http =
            |at: (IpAddr, u16), tls| Ok(Target::Http { at: at.into(), tls, path: "/health".to_owned() });
        let first = Some(HealthPort::Index(0));
        let second = Some(HealthPort::Index(1));
        let own = IpAddr::V4(OWN);
        assert_eq!(look(false, check(Http, first)), http((NODE, 31_005), false));
        assert_eq!(look(false, check(Https, second)), http((NODE, 31_006), true));
        assert_eq!(look(false, check(MesosHttp, first)), http((Ipv4Addr::LOCALHOST.into(), 31_005), false));
        assert_eq!(look(false, check(Http, Some(HealthPort::Number(9_000)))), http((NODE, 9_000), false));
        assert_eq!(look(true, check(Http, first)), http((own, 80), false));
        assert_eq!(look(true, check(MesosHttp, first)), http((own, 80), false));
        // Container port 0 is the number of the host port.
        assert_eq!(look(true, check(Http, second)), http((own, 31_006), false));
        assert_eq!(look(true, check(Tcp, first)), Ok(Target::Tcp { at: (own, 80).into() }));
        assert_eq!(look(true, check(MesosTcp, first)), Ok(Target::Tcp { at: (own, 80).into() }));
        assert!(look(true, check(Http, Some(HealthPort::Index(2)))).is_err_and(|fault| fault.contains('2')));
        let command =
            HealthCheck { command: Some("test -e up".to_owned()), ..check(HealthProtocol::Command, None) };
        assert_eq!(look(true, command), Ok(Target::Command { line: "test -e up".to_owned() }));
    }
}
