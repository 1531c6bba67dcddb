//! What may happen to a cluster, as proptest draws it.

use proptest::prelude::*;

use super::{APPS, VIEWS_MAX};
use crate::command::{FEATURE_LEVEL, PutMode};
use crate::membership::Availability;

/// One thing that happens. Numbers pick among what exists when it happens, modulo.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Put {
        app: usize,
        instances: u32,
        config: u8,
        mode: PutMode,
        force: bool,
    },
    Restart {
        app: usize,
        force: bool,
    },
    Delete {
        app: usize,
        force: bool,
    },
    Kill {
        picks: Vec<usize>,
        scale: bool,
        force: bool,
    },
    ResetDelay {
        app: usize,
    },
    Register {
        node: u64,
        boot: u8,
        mem_mib: u64,
    },
    /// A plan made on the state `age` commands ago.
    Plan {
        age: usize,
        seed: u64,
    },
    /// A plan nobody would make.
    Nonsense {
        action: usize,
        pick: usize,
    },
    Report {
        picks: Vec<(usize, u8)>,
        wrong_node: bool,
    },
    Wait {
        ms: u64,
    },
    Claim,
    Password {
        user: usize,
    },
    Token {
        name: usize,
        hash: usize,
        delete: bool,
        expires_ms: Option<u64>,
    },
    Sessions {
        fill: u8,
    },
    Raise {
        level: u32,
    },
    Found,
    JoinToken {
        name: usize,
        delete: bool,
        uses: u32,
    },
    Admit {
        node: u64,
        token: usize,
    },
    Lost {
        node: u64,
        lost: bool,
    },
    Fence {
        node: u64,
    },
    Remove {
        node: u64,
    },
    Renew {
        node: u64,
    },
    NewKey {
        node: u64,
        fill: u64,
        later: u64,
        /// Number of the authority that certified it.
        authority: Option<u32>,
    },
    /// Another authority; `later` ones are others than earlier ones.
    Replace {
        later: u8,
    },
    Trust {
        node: u64,
        number: u32,
    },
    Change {
        node: u64,
        availability: Availability,
        name: bool,
    },
    Move {
        picks: Vec<usize>,
        cancel: bool,
    },
    /// The last request of a person once more, as after a lost answer.
    Retry,
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let app = 0..APPS.len();
    let mode =
        prop_oneof![4 => Just(PutMode::Upsert), 1 => Just(PutMode::Create), 1 => Just(PutMode::Update)];
    let availability =
        prop_oneof![Just(Availability::Active), Just(Availability::Cordoned), Just(Availability::Draining)];
    let picks = prop::collection::vec((any::<usize>(), any::<u8>()), 1..6);
    prop_oneof![
        6 => (app.clone(), 0..5u32, 0..4u8, mode, any::<bool>())
            .prop_map(|(app, instances, config, mode, force)| Op::Put { app, instances, config, mode, force }),
        1 => (app.clone(), any::<bool>()).prop_map(|(app, force)| Op::Restart { app, force }),
        2 => (app.clone(), any::<bool>()).prop_map(|(app, force)| Op::Delete { app, force }),
        2 => (prop::collection::vec(any::<usize>(), 0..4), any::<bool>(), any::<bool>())
            .prop_map(|(picks, scale, force)| Op::Kill { picks, scale, force }),
        1 => app.prop_map(|app| Op::ResetDelay { app }),
        2 => (1..4u64, 0..2u8, 64..2_048u64)
            .prop_map(|(node, boot, mem_mib)| Op::Register { node, boot, mem_mib }),
        12 => (0..VIEWS_MAX, any::<u64>()).prop_map(|(age, seed)| Op::Plan { age, seed }),
        2 => (0..6usize, any::<usize>()).prop_map(|(action, pick)| Op::Nonsense { action, pick }),
        12 => (picks, prop::bool::weighted(0.1))
            .prop_map(|(picks, wrong_node)| Op::Report { picks, wrong_node }),
        4 => (0..30_000u64).prop_map(|ms| Op::Wait { ms }),
        1 => Just(Op::Claim),
        1 => (0..2usize).prop_map(|user| Op::Password { user }),
        2 => (0..3usize, 0..4usize, any::<bool>(), prop::option::of(0..60_000u64))
            .prop_map(|(name, hash, delete, expires_ms)| Op::Token { name, hash, delete, expires_ms }),
        1 => any::<u8>().prop_map(|fill| Op::Sessions { fill }),
        1 => (0..=FEATURE_LEVEL).prop_map(|level| Op::Raise { level }),
        1 => Just(Op::Found),
        2 => (0..3usize, prop::bool::weighted(0.2), 0..3u32)
            .prop_map(|(name, delete, uses)| Op::JoinToken { name, delete, uses }),
        2 => (1..4u64, 0..3usize).prop_map(|(node, token)| Op::Admit { node, token }),
        3 => (1..4u64, any::<bool>()).prop_map(|(node, lost)| Op::Lost { node, lost }),
        2 => (1..4u64).prop_map(|node| Op::Fence { node }),
        1 => (1..4u64).prop_map(|node| Op::Remove { node }),
        1 => (1..4u64).prop_map(|node| Op::Renew { node }),
        3 => (1..4u64, 100..110u64, 0..3u64, prop::option::of(0..3u32))
            .prop_map(|(node, fill, later, authority)| Op::NewKey { node, fill, later, authority }),
        1 => any::<u8>().prop_map(|later| Op::Replace { later }),
        4 => (1..4u64, 0..3u32).prop_map(|(node, number)| Op::Trust { node, number }),
        3 => (1..4u64, availability, any::<bool>())
            .prop_map(|(node, availability, name)| Op::Change { node, availability, name }),
        2 => (prop::collection::vec(any::<usize>(), 0..3), any::<bool>())
            .prop_map(|(picks, cancel)| Op::Move { picks, cancel }),
        1 => Just(Op::Retry),
    ]
}
