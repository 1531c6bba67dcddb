//! The kernel's links and addresses by rtnetlink: reads them, and brings one interface to what it is to have.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use futures::TryStreamExt;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use rtnetlink::{Error, Handle, LinkUnspec, RouteMessageBuilder};

use super::config::Config;
use super::dhcp::Mac;

const LOOPBACK_INDEX: u32 = 1;
/// Default routes of several interfaces: the first interface wins.
const ROUTE_PRIORITY_BASE: u32 = 100;

/// A network card as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    pub index: u32,
    pub name: String,
    pub mac: Mac,
    pub up: bool,
    pub carrier: bool,
    /// The kernel has taken note of the carrier: from now on it sends what it is given.
    pub runs: bool,
}

/// `None` for what is no network card: loopback, bridges, the ends of containers.
/// With `only`, the interface of that name is the one card there is, hardware or not.
pub fn card(message: &LinkMessage, only: Option<&str>) -> Option<Card> {
    if message.header.link_layer_type != LinkLayerType::Ether {
        return None;
    }
    let mut name = None;
    let mut mac = None;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text.clone()),
            LinkAttribute::Address(bytes) => mac = Mac::try_from(&bytes[..]).ok(),
            _ => {}
        }
    }
    let (name, mac) = (name?, mac?);
    // Only hardware, real or emulated, has a device behind it.
    let is_card = match only {
        Some(only) => only == name,
        None => Path::new("/sys/class/net").join(&name).join("device").exists(),
    };
    if !is_card {
        return None;
    }
    let flags = message.header.flags;
    let has = |flag| flags.contains(flag);
    let (up, carrier, runs) = (has(LinkFlags::Up), has(LinkFlags::LowerUp), has(LinkFlags::Running));
    Some(Card { index: message.header.index, name, mac, up, carrier, runs })
}

pub async fn cards(handle: &Handle, only: Option<&str>) -> Result<Vec<Card>, Error> {
    let messages: Vec<LinkMessage> = handle.link().get().execute().try_collect().await?;
    Ok(messages.iter().filter_map(|message| card(message, only)).collect())
}

pub async fn set_up(handle: &Handle, index: u32) -> Result<(), Error> {
    handle.link().change(LinkUnspec::new_with_index(index).up().build()).execute().await
}

/// With its link the kernel gives it 127.0.0.1 and ::1.
pub async fn set_up_loopback(handle: &Handle) -> Result<(), Error> {
    set_up(handle, LOOPBACK_INDEX).await
}

/// Leaves the interface with exactly the wanted IPv4 address and default route. Safe to repeat.
pub async fn apply(handle: &Handle, index: u32, wanted: Option<&Config>) -> Result<(), Error> {
    let matches = |message: &AddressMessage| {
        wanted.is_some_and(|config| {
            local(message) == Some(config.address) && message.header.prefix_len == config.prefix
        })
    };
    let mut present = false;
    for message in addresses_of(handle, index).await? {
        if matches(&message) {
            present = true;
        } else if local(&message).is_some() {
            handle.address().del(message).execute().await?;
        }
    }
    let Some(config) = wanted else { return Ok(()) };
    if !present {
        let request = handle.address().add(index, config.address.into(), config.prefix);
        request.replace().execute().await?;
    }
    if let Some(gateway) = config.gateway {
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .gateway(gateway)
            .output_interface(index)
            // Bound to the address, so that the kernel removes the route with it.
            .pref_source(config.address)
            .priority(ROUTE_PRIORITY_BASE + index)
            // Some networks hand out a gateway outside the prefix.
            .onlink()
            .build();
        handle.route().add(route).replace().execute().await?;
    }
    Ok(())
}

/// Addresses other machines can reach us by, of all interfaces in `indexes`.
pub async fn reachable(handle: &Handle, indexes: &[u32]) -> Result<Vec<(u32, IpAddr)>, Error> {
    let mut found = Vec::new();
    for index in indexes {
        for message in addresses_of(handle, *index).await? {
            let addresses = message.attributes.iter().filter_map(|attribute| match attribute {
                AddressAttribute::Address(address) => Some(*address),
                _ => None,
            });
            let wanted = |address: &IpAddr| match address {
                IpAddr::V4(_) => true,
                IpAddr::V6(v6) => !v6.is_unicast_link_local(),
            };
            found.extend(addresses.filter(wanted).map(|address| (*index, address)));
        }
    }
    found.sort();
    Ok(found)
}

async fn addresses_of(handle: &Handle, index: u32) -> Result<Vec<AddressMessage>, Error> {
    let request = handle.address().get().set_link_index_filter(index);
    let messages: Vec<AddressMessage> = request.execute().try_collect().await?;
    Ok(messages.into_iter().filter(|message| message.header.index == index).collect())
}

fn local(message: &AddressMessage) -> Option<Ipv4Addr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
        _ => None,
    })
}
