//! The node's bridge: makes it, gives it its address, and finds and removes what hangs on it. By rtnetlink.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use futures::TryStreamExt;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use rtnetlink::{Handle, LinkBridge, LinkUnspec, RouteMessageBuilder};

use super::attachment::{LINK_PREFIX, mac_of};
use super::subnet::{self, Subnet};
use super::{BRIDGE, NetworkError};

/// A connection to the kernel, in the network namespace of the caller. Must be called within a runtime.
pub fn connect() -> io::Result<Handle> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    tokio::spawn(connection);
    Ok(handle)
}

/// Makes sure that the bridge is there, is up and has its address. `keep`: tasks hang on it, so that its subnet stays
/// what it is. Returns the subnet. Safe to repeat.
pub async fn ensure(handle: &Handle, wanted: Option<Subnet>, keep: bool) -> Result<Subnet, NetworkError> {
    let mut index = index_of(handle, BRIDGE).await?;
    let present = match index {
        Some(index) => own_subnet(handle, index).await?,
        None => None,
    };
    let stays = present.filter(|present| keep || wanted.is_none_or(|wanted| wanted == *present));
    let subnet = match stays.or(wanted) {
        Some(subnet) => subnet,
        None => subnet::choose(&taken(handle, index).await?).ok_or(NetworkError::NoSubnet)?,
    };
    if index.is_none() {
        // Its own hardware address: otherwise it would change with the tasks that come and go.
        let bridge = LinkBridge::new(BRIDGE).address(mac_of(subnet.gateway()).to_vec());
        handle.link().add(bridge.build()).execute().await?;
        index = index_of(handle, BRIDGE).await?;
        tracing::info!(bridge = BRIDGE, %subnet, "the bridge is made");
    }
    let index = index.ok_or(NetworkError::NoBridge)?;
    if present != Some(subnet) {
        for message in addresses(handle, Some(index)).await? {
            handle.address().del(message).execute().await?;
        }
        let request = handle.address().add(index, subnet.gateway().into(), subnet.prefix());
        request.replace().execute().await?;
    }
    // 127.0.0.1:PORT of the node leads to tasks; the packet filter keeps tasks from the node's loopback.
    set(&format!("ipv4/conf/{BRIDGE}/route_localnet"), "1")?;
    // Nothing is spoken here but IPv4; a kernel without IPv6 has no such file.
    let _ = set(&format!("ipv6/conf/{BRIDGE}/disable_ipv6"), "1");
    handle.link().change(LinkUnspec::new_with_index(index).up().build()).execute().await?;
    set("ipv4/ip_forward", "1")?;
    Ok(subnet)
}

fn set(name: &str, value: &str) -> Result<(), NetworkError> {
    let path = format!("/proc/sys/net/{name}");
    fs::write(&path, value).map_err(|source| NetworkError::Setting { path, source })
}

/// The subnet of a bridge that is there already, e.g. from the life of an agent before this one.
pub async fn present(handle: &Handle) -> Result<Option<Subnet>, NetworkError> {
    match index_of(handle, BRIDGE).await? {
        Some(index) => own_subnet(handle, index).await,
        None => Ok(None),
    }
}

async fn own_subnet(handle: &Handle, index: u32) -> Result<Option<Subnet>, NetworkError> {
    let own = addresses(handle, Some(index)).await?;
    Ok(own.iter().find_map(subnet_of))
}

/// Every subnet the node knows a way to, other than by the bridge and by default routes.
async fn taken(handle: &Handle, bridge: Option<u32>) -> Result<Vec<Subnet>, NetworkError> {
    let others = addresses(handle, None).await?;
    let others = others.iter().filter(|message| Some(message.header.index) != bridge);
    let mut taken: Vec<Subnet> = others.filter_map(subnet_of).collect();
    let routes = handle.route().get(RouteMessageBuilder::<Ipv4Addr>::new().build());
    let routes: Vec<RouteMessage> = routes.execute().try_collect().await?;
    taken.extend(routes.iter().filter_map(destination_of));
    Ok(taken)
}

fn destination_of(route: &RouteMessage) -> Option<Subnet> {
    let prefix = route.header.destination_prefix_length;
    let of = |attribute: &RouteAttribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(*address),
        _ => None,
    };
    let address = route.attributes.iter().find_map(of)?;
    Some(Subnet::around(address, prefix)).filter(|_| prefix > 0)
}

/// IPv4 addresses of one interface, or of all.
async fn addresses(handle: &Handle, index: Option<u32>) -> Result<Vec<AddressMessage>, NetworkError> {
    let request = match index {
        Some(index) => handle.address().get().set_link_index_filter(index),
        None => handle.address().get(),
    };
    let all: Vec<AddressMessage> = request.execute().try_collect().await?;
    let wanted = |message: &AddressMessage| {
        subnet_of(message).is_some() && index.is_none_or(|index| message.header.index == index)
    };
    Ok(all.into_iter().filter(wanted).collect())
}

fn subnet_of(message: &AddressMessage) -> Option<Subnet> {
    let local = |attribute: &AddressAttribute| match attribute {
        AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
        _ => None,
    };
    let address = message.attributes.iter().find_map(local)?;
    Some(Subnet::around(address, message.header.prefix_len))
}

/// Removes the node's end of every task but those in `keep`. The kernel does so itself with the task's namespace, but
/// connections that still wait for an answer can hold that for minutes.
pub async fn remove_links_but(handle: &Handle, keep: impl Fn(&str) -> bool) -> Result<(), NetworkError> {
    let Some(bridge) = index_of(handle, BRIDGE).await? else { return Ok(()) };
    let links: Vec<LinkMessage> = handle.link().get().execute().try_collect().await?;
    for link in links.iter().filter(|link| controller(link) == Some(bridge)) {
        if let Some(name) = name(link).filter(|name| name.starts_with(LINK_PREFIX) && !keep(name)) {
            tracing::debug!(name, "removing the link of a task that is gone");
            remove(handle, link.header.index).await?;
        }
    }
    Ok(())
}

pub async fn remove_bridge(handle: &Handle) -> Result<(), NetworkError> {
    match index_of(handle, BRIDGE).await? {
        Some(index) => remove(handle, index).await,
        None => Ok(()),
    }
}

/// Removes a link; one that is gone already is success.
pub async fn remove(handle: &Handle, index: u32) -> Result<(), NetworkError> {
    match handle.link().del(index).execute().await {
        Err(error) if is_missing(&error) => Ok(()),
        other => Ok(other?),
    }
}

/// `None` if there is no interface of that name.
pub async fn index_of(handle: &Handle, name: &str) -> Result<Option<u32>, NetworkError> {
    let found = handle.link().get().match_name(name).execute().try_next().await;
    match found {
        Ok(link) => Ok(link.map(|link| link.header.index)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_missing(error: &rtnetlink::Error) -> bool {
    let rtnetlink::Error::NetlinkError(message) = error else { return false };
    message.raw_code() == -libc::ENODEV
}

fn name(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}

fn controller(link: &LinkMessage) -> Option<u32> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Controller(index) => Some(*index),
        _ => None,
    })
}
