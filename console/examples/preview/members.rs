//! The nodes of the made-up cluster.

use std::net::IpAddr;
use std::sync::Arc;

use console::{Gone, MemberReach, MemberRole, MemberStatus, Prospects, RecoverError};
use model::membership::{Availability, Member};
use model::{NodeId, State, command};

use super::NODE;

/// Three members, one of which does not answer.
pub fn belong(state: &mut State) {
    state.feature_level = command::FEATURE_LEVEL;
    let authority =
        model::membership::Authority { certificate: String::new(), key: String::new(), number: 0 };
    state.authority = Some(authority);
    for at in 0..3u8 {
        let member = Member {
            fingerprint: format!("{at:064x}"),
            addresses: vec![IpAddr::from([192, 168, 7, 21 + at])],
            port: model::membership::PEER_PORT,
            admitted_at: state.now,
            key_since: model::Timestamp(0),
            renews_key: false,
            lost_since: (at == 2).then_some(state.now),
            fenced_at: None,
            losses: Vec::new(),
            availability: if at == 1 { Availability::Draining } else { Availability::Active },
            name: None,
            attributes: [("rack".to_owned(), format!("r{at}"))].into(),
        };
        state.members.insert(NodeId(NODE.0 + u64::from(at)), Arc::new(member));
    }
}

pub fn shown(state: &State) -> Vec<MemberStatus> {
    let one = |(id, member): (&NodeId, &Arc<Member>)| MemberStatus {
        id: *id,
        name: state.nodes.get(id).map_or_else(|| id.to_string(), |node| node.name.clone()),
        addresses: member.addresses.clone(),
        role: if *id == NODE { MemberRole::Leader } else { MemberRole::Voter },
        reach: match member.lost_since {
            Some(_) => MemberReach::Lost,
            None => MemberReach::Up,
        },
        lost_since: member.lost_since,
        fenced_at: member.fenced_at,
        admitted_at: member.admitted_at,
        key_since: member.key_since.max(member.admitted_at),
        product_version: "0.1.0".into(),
        tasks: 2,
        availability: member.availability,
        losses: member.losses.clone(),
        attributes: member.attributes.clone(),
        is_self: *id == NODE,
    };
    state.members.iter().map(one).collect()
}

/// As if nobody else answered any more.
pub fn prospects(state: &State) -> Result<Prospects, RecoverError> {
    let (own, gone): (Vec<_>, Vec<_>) = shown(state).into_iter().partition(|member| member.is_self);
    let Some(own) = own.into_iter().next().filter(|_| !gone.is_empty()) else {
        return Err(RecoverError::Alone);
    };
    let lost = |member: MemberStatus| Gone {
        id: member.id,
        name: member.name,
        addresses: member.addresses,
        tasks: member.tasks,
    };
    Ok(Prospects {
        node: own.name,
        last_change: state.index,
        last_change_at: state.now,
        last_contact: Some(state.now),
        gone: gone.into_iter().map(lost).collect(),
    })
}
