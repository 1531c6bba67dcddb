//! Gives a task that waits for its start its end of the pair, its address and its route. Called by the helper, which
//! has one thread and must not get another.
//!
//! The namespace belongs to the task's own process and to nothing else: with the last process it goes away, and the
//! pair with it, whoever was killed at whatever moment.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use nix::sched::{CloneFlags, setns};
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth, LinkMessage};
use rtnetlink::{Handle, LinkBridgePort, LinkMessageBuilder, LinkUnspec, RouteMessageBuilder};

use super::attachment::{Attachment, LINK_IN_TASK, mac_of};
use super::{NetworkError, bridge};

const LOOPBACK_INDEX: u32 = 1;

/// Settings of the task's namespace.
const SETTINGS: [(&str, &str); 3] = [
    // A namespace of its own has no port that others must be kept from.
    ("ipv4/ip_unprivileged_port_start", "0"),
    ("ipv4/ping_group_range", "0 2147483647"),
    // For interfaces that come from now on, not for the loopback: the bridge speaks IPv4 only.
    ("ipv6/conf/default/disable_ipv6", "1"),
];

/// Connects the network namespace of process `pid` with the bridge.
pub fn attach(pid: i32, attachment: &Attachment) -> Result<(), NetworkError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let task = File::open(format!("/proc/{pid}/ns/net"))?;
        let outside = bridge::connect()?;
        let inside = enter(&task)?;
        make_pair(&outside, &task, attachment).await?;
        configure(&inside, attachment).await
    })
}

/// A connection whose socket lives in the task's namespace. The caller is back in its own when this returns.
fn enter(task: &File) -> Result<Handle, NetworkError> {
    let own = File::open("/proc/self/ns/net")?;
    setns(task, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)?;
    // Each is a comfort; a kernel that lacks one lacks what it is for.
    for (name, value) in SETTINGS {
        let _ = fs::write(format!("/proc/sys/net/{name}"), value);
    }
    let inside = bridge::connect();
    setns(&own, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)?;
    Ok(inside?)
}

/// Both ends in one message: the task's is born in its namespace. It must not ask to be up there: the kernel would
/// open it before the two are joined, and refuse with ENOTCONN.
async fn make_pair(outside: &Handle, task: &File, attachment: &Attachment) -> Result<(), NetworkError> {
    let index = bridge::index_of(outside, &attachment.bridge).await?.ok_or(NetworkError::NoBridge)?;
    let name = attachment.link();
    // Of an address that a task had long ago, whose connections still wait for an answer.
    if let Some(old) = bridge::index_of(outside, &name).await? {
        bridge::remove(outside, old).await?;
    }
    let peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name(LINK_IN_TASK)
        .address(mac_of(attachment.address).to_vec())
        .setns_by_fd(task.as_raw_fd())
        .build();
    let pair: LinkMessage = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Veth)
        .name(name)
        .controller(index)
        .up()
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .build();
    outside.link().add(pair).execute().await?;
    let index = bridge::index_of(outside, &attachment.link()).await?.ok_or(NetworkError::NoBridge)?;
    // A task that calls its own host port is answered by the port it came from. Where the kernel filters what the
    // bridge passes on (br_netfilter), that is the bridge's doing and not the router's.
    let port = LinkBridgePort::new(index).hairpin(true);
    Ok(outside.link().change(port.build()).execute().await?)
}

async fn configure(inside: &Handle, attachment: &Attachment) -> Result<(), NetworkError> {
    let up = |index| inside.link().change(LinkUnspec::new_with_index(index).up().build());
    up(LOOPBACK_INDEX).execute().await?;
    let index = bridge::index_of(inside, LINK_IN_TASK).await?.ok_or(NetworkError::NoBridge)?;
    inside.address().add(index, attachment.address.into(), attachment.prefix).execute().await?;
    up(index).execute().await?;
    let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(attachment.gateway).output_interface(index);
    Ok(inside.route().add(route.build()).execute().await?)
}
