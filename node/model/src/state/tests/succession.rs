//! One authority after the other, while nodes come, go and are behind.

use super::membership::{admit, refused, several, token};
use crate::NodeId;
use crate::command::Command;
use crate::event::EventKind;
use crate::membership::Succession;
use crate::testing::{self, Lab};

fn replace(name: &str) -> Command {
    Command::ReplaceAuthority { next: testing::authority(name) }
}

fn trust(node: u64, number: u32) -> Command {
    Command::TrustAuthority { node: NodeId(node), number }
}

/// A new key of `node`, said to be certified by that authority.
fn certified(lab: &Lab, node: u64, fill: char, authority: Option<u32>) -> Command {
    let since = lab.state.members[&NodeId(node)].key_since.plus_ms(1);
    Command::RegisterKey { node: NodeId(node), fingerprint: fill.to_string().repeat(64), since, authority }
}

fn pending(lab: &Lab) -> Vec<u64> {
    lab.state.succession.iter().flat_map(|succession| succession.pending()).map(|node| node.0).collect()
}

fn present(lab: &Lab) -> (&str, u32) {
    let authority = lab.state.authority.as_ref().expect("founded");
    (&authority.certificate, authority.number)
}

#[test]
fn everybody_trusts_the_next_one_before_it_certifies_and_shows_it_before_the_last_one_is_forgotten() {
    let mut lab = several(3);
    let secret = "a".repeat(64);
    lab.must(replace("second"));
    lab.must(replace("second"));
    refused(lab.run(replace("third")), "is being replaced already");
    assert_eq!(pending(&lab), [1, 2, 3]);
    admit(&mut lab, 4, &secret).expect("it may still come in");
    lab.must(trust(1, 1));
    lab.must(trust(2, 0));
    lab.must(trust(2, 2));
    refused(lab.run(trust(9, 1)), "is not a member");
    assert_eq!(pending(&lab), [2, 3, 4], "other numbers are of another time");
    lab.must(certified(&lab, 2, 'b', Some(1)));
    assert_eq!((pending(&lab), present(&lab)), (vec![2, 3, 4], ("certificate", 0)));
    lab.must(trust(2, 1));
    lab.must(Command::RemoveNode { node: NodeId(3) });
    lab.must(trust(4, 1));

    assert_eq!((pending(&lab), present(&lab)), (vec![1, 2, 4], ("second", 1)));
    let Some(Succession::Certify { before, .. }) = &lab.state.succession else { panic!("goes on") };
    assert_eq!(before, "certificate");
    refused(admit(&mut lab, 5, &secret), "is unknown to this cluster, or was revoked");
    let secret = token(&mut lab, 5);
    admit(&mut lab, 5, &secret).expect("by a token of the new authority");
    assert_eq!(pending(&lab), [1, 2, 4], "who comes in now is certified by it");
    lab.must(certified(&lab, 1, 'c', Some(1)));
    lab.must(certified(&lab, 2, 'd', None));
    lab.must(trust(2, 1));
    assert_eq!(pending(&lab), [2, 4], "a key of the authority before does not count");
    let again = Command::RegisterKey {
        node: NodeId(2),
        fingerprint: "d".repeat(64),
        since: lab.state.members[&NodeId(2)].key_since,
        authority: Some(1),
    };
    lab.must(again);
    assert_eq!(lab.state.invariants(), Ok(()));
    lab.must(Command::RemoveNode { node: NodeId(4) });
    assert_eq!(lab.state.succession, None);
    let last = lab.state.events.iter().map(|event| &event.kind).next_back();
    assert_eq!(last, Some(&EventKind::AuthorityReplaced));
    lab.must(replace("third"));
    assert_eq!(lab.state.invariants(), Ok(()));
}

#[test]
fn who_survives_alone_goes_on_with_it() {
    let mut lab = several(3);
    lab.must(replace("second"));
    lab.must(trust(2, 1));
    lab.must(Command::Recover { survivor: NodeId(2) });
    assert_eq!((pending(&lab), present(&lab)), (vec![2], ("second", 1)));
    assert_eq!(lab.state.invariants(), Ok(()));
}

#[test]
fn there_is_nothing_to_replace_before_the_cluster_takes_in_others() {
    let mut lab = Lab::new();
    lab.must(Command::RaiseFeatureLevel { level: crate::command::FEATURE_LEVEL });
    refused(lab.run(replace("second")), "there is none yet");
}
