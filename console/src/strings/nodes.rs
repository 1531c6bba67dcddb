//! Words of the nodes' page.

use model::membership::Availability;

use crate::{JoinError, MemberReach, MemberRole};

pub const NODES_TITLE: &str = "Nodes";
pub const NODES_ALONE: &str =
    "This node is a cluster of one. Its loss would be the loss of all: add two more nodes.";
pub const NODES_BEFORE: &str =
    "The cluster gets ready to take in nodes; this takes a moment after the claim.";
pub const COLUMN_ROLE: &str = "Role";
pub const COLUMN_REACH: &str = "State";
pub const COLUMN_TASKS: &str = "Instances";
pub const COLUMN_VERSION: &str = "Version";
pub const NODE_THIS: &str = "this node";
pub const NODE_SINCE: &str = "since";
pub const NODE_CHANGE: &str = "Change";
pub const NODE_CHANGE_BUTTON: &str = "Save";
pub const NODE_AVAILABILITY: &str = "What runs on it";
pub const NODE_QUARANTINED: &str =
    "quarantined: lost again and again, so it takes no new instances until you choose what runs on it";
pub const NODE_NAME: &str = "Name";
pub const NODE_NAME_HINT: &str = "Letters, digits, dashes, underscores and dots.";
pub const NODE_ATTRIBUTES: &str = "Attributes";
pub const NODE_ATTRIBUTES_HINT: &str = "key=value, one a line; for constraints, such as rack=r1. What the node says of itself stays beside them. MESETA_SERVER=false keeps it from holding the cluster’s log, and those that hold it are spread over zone.";
pub const NODE_KEY: &str = "Key";
pub const NODE_KEY_SINCE: &str = "Other nodes know it by a key made at";
pub const NODE_KEY_HINT: &str = "Every 30 days it makes a new one by itself, and what it had before is dead. Do it now if somebody may have seen its disk. Nothing stops meanwhile.";
pub const NODE_KEY_BUTTON: &str = "Make a new key";
pub const NODE_KEY_RENEWS: &str = "It makes a new one as soon as it hears of that.";
pub const AUTHORITY_LINK: &str = "Certificate authority…";
pub const AUTHORITY_TITLE: &str = "Certificate authority";
pub const AUTHORITY_LEAD: &str = "Nodes know each other by certificates that the cluster's own authority has made. Every node has seen the key of it, a removed one too: whoever gets at such a node's disk could pose as a member. Another authority ends that.";
pub const AUTHORITY_HOW: &str = "First every node comes to trust the new one, then every node makes a new key that the new one certifies, and then the one before counts no more. Nothing stops meanwhile. A node that is away holds it up until it is back or removed. Join tokens made before count no more.";
pub const AUTHORITY_BUTTON: &str = "Replace the authority";
pub const AUTHORITY_AT_REST: &str = "The present one is number";
pub const AUTHORITY_TRUST: &str = "Step 1 of 2: nodes come to trust the new one. It waits for:";
pub const AUTHORITY_CERTIFY: &str = "Step 2 of 2: nodes make keys that the new one certifies. It waits for:";
pub const NODE_ATTRIBUTE_ERROR: &str = "has no “=”; expected key=value";
/// As the form sends it, and as people read it.
pub const AVAILABILITIES: [(Availability, &str, &str); 3] = [
    (Availability::Active, "active", "New instances may be started on it"),
    (Availability::Cordoned, "cordoned", "No new instances; those it has stay"),
    (
        Availability::Draining,
        "draining",
        "No new instances; those it has are replaced on other nodes, by the upgrade strategy of their applications, and then end",
    ),
];
pub const NODE_DOES_NOT_ANSWER: &str =
    "This node does not answer now, so what only it can tell is not to be had.";
pub const NODE_REMOVE: &str = "Remove";
pub const NODE_REMOVE_BUTTON: &str = "Remove the node for ever";
pub const REBALANCE_LINK: &str = "Even out the load…";
pub const REBALANCE_TITLE: &str = "Even out the load";
pub const REBALANCE_LEAD: &str = "These instances would move. Each one's successor serves before it ends; loads are the mean of used processors and memory, as apps asked for them.";
pub const REBALANCE_NONE: &str =
    "Nothing is to be gained: the nodes are loaded alike, or what runs on the fullest may not move.";
pub const REBALANCE_INSTANCE: &str = "Instance of";
pub const REBALANCE_FROM: &str = "From";
pub const REBALANCE_TO: &str = "To";
pub const REBALANCE_LOAD: &str = "Load";
pub const REBALANCE_BUTTON: &str = "Move them";
pub const SELF_TITLE: &str = "What the cluster does by itself";
pub const SELF_REBALANCE: &str = "Evening out the load";
pub const SELF_REBALANCE_MANUAL: &str = "When a person starts it";
pub const SELF_REBALANCE_AUTOMATIC: &str = "By itself, slowly, one instance after the other";
pub const SELF_HOOK: &str = "Power off a lost node by asking";
pub const SELF_HOOK_HINT: &str = "An http or https address, or empty. The leader posts the node's id, name and addresses to it; an answer below 300 says that the node is off, and its exclusive instances start elsewhere at once instead of after 13 s.";
pub const SELF_BUTTON: &str = "Save";
pub const SETTINGS_CHANGED: &str = "The settings are saved.";
pub const ADOPT_TITLE: &str = "Take in a node";
pub const ADOPT_LEAD: &str = "Power it on in this network: it shows its address and a code on its screen. The code proves both sides to each other, so nobody between can take the node or slip in another.";
pub const ADOPT_FOUND: &str = "Found in this network";
pub const ADOPT_NONE: &str =
    "No unclaimed node announces itself here. One elsewhere is taken in by its address.";
pub const ADOPT_ADDRESS: &str = "Address";
pub const ADOPT_CODE: &str = "Code on its screen";
pub const ADOPT_BUTTON: &str = "Take it in";
pub const ADOPT_ADDRESS_ERROR: &str = "That is no address of a node; expected one such as 192.168.1.20.";
pub const NODE_ADD_TITLE: &str = "Add nodes without a person";
pub const NODE_ADD_LEAD: &str = "A join token lets nodes in: a node that gets it at its first start, as meseta.join=TOKEN on its kernel line, as “join” in the settings of a seed disk, or as --join of the agent, comes in by itself. One that runs already takes it on its claim page.";
pub const NODE_TOKENS_NONE: &str = "There are no join tokens.";
pub const NODE_TOKENS_TITLE: &str = "Join tokens";
pub const NODE_TOKEN_USES: &str = "Lets in";
pub const NODE_TOKEN_MADE: &str = "Your new join token";
pub const NODE_TOKEN_CREATE: &str = "Create a join token";
pub const NODE_TOKEN_USES_ERROR: &str = "How many nodes it lets in must be a number from 1.";
pub const NODE_TOKEN_LASTS: &[(&str, &str)] =
    &[("1", "in an hour"), ("24", "in a day"), ("168", "in a week"), ("720", "in 30 days")];

pub const JOIN_TITLE: &str = "Join an existing cluster instead";
pub const JOIN_LEAD: &str = "A join token comes from the page Nodes of a cluster's console. With it and the code from this node's screen, this node becomes one of that cluster's.";
pub const JOIN_TOKEN: &str = "Join token";
pub const JOIN_BUTTON: &str = "Join that cluster";
pub const JOINING_TITLE: &str = "This node has joined";
pub const JOINING_TEXT: &str = "It starts anew as a member of the cluster. In a moment its console is the cluster's: log in with the name and password you use there.";

pub fn join_error(error: &JoinError) -> String {
    match error {
        JoinError::WrongCode => "That is not the claim code on this node's screen.".to_owned(),
        JoinError::TooManyTries { seconds } => format!("Too many wrong codes. Try again in {seconds} s."),
        JoinError::AlreadyClaimed => "This node belongs to a cluster already.".to_owned(),
        other => crate::view::words::sentence(&other.to_string()),
    }
}

pub fn member_role(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Leader => "leads",
        MemberRole::Voter => "votes",
        MemberRole::Learner => "follows",
        MemberRole::Worker => "works",
        MemberRole::New => "new",
    }
}

/// The word and the class of its mark.
pub fn member_reach(reach: MemberReach, is_fenced: bool) -> (&'static str, &'static str) {
    match reach {
        MemberReach::Lost if is_fenced => ("does not answer; its exclusive instances have ended", "failed"),
        MemberReach::Up => ("up", "running"),
        MemberReach::Lost => ("does not answer", "failed"),
        MemberReach::Joining => ("has not come up yet", "waiting"),
    }
}

/// What it may do and does not as a matter of course; empty for an active node.
pub fn availability(availability: Availability, tasks: usize) -> String {
    match (availability, tasks) {
        (Availability::Active, _) => String::new(),
        (Availability::Cordoned, _) => "takes no new instances".to_owned(),
        (Availability::Quarantined, _) => NODE_QUARANTINED.to_owned(),
        (Availability::Draining, 0) => "drained".to_owned(),
        (Availability::Draining, 1) => "draining, 1 instance left".to_owned(),
        (Availability::Draining, left) => format!("draining, {left} instances left"),
    }
}

pub fn event_node_changed(availability: Availability) -> &'static str {
    match availability {
        Availability::Active => "was changed; it may be given instances.",
        Availability::Cordoned | Availability::Quarantined => "was changed; it is given no new instances.",
        Availability::Draining => "was changed; its instances are replaced on other nodes.",
    }
}

pub fn change_title(name: &str) -> String {
    format!("Change {name}")
}

/// What may be lost, and what would help.
pub fn survives(members: usize, voters: usize, losses: usize) -> String {
    let survives = match losses {
        0 => "The cluster stands still when one server is lost".to_owned(),
        1 => format!("The cluster survives the loss of any one of its {voters} servers"),
        n => format!("The cluster survives the loss of any {n} of its {voters} servers"),
    };
    let advice = match members {
        2 => "; add a third node to survive one loss.",
        3 | 4 if losses == 1 => "; with five nodes it survives two.",
        _ => ".",
    };
    survives + advice
}

pub fn remove_title(name: &str) -> String {
    format!("Remove {name}?")
}

pub fn remove_text(name: &str, tasks: usize) -> String {
    let moved = match tasks {
        0 => "Nothing runs on it.".to_owned(),
        1 => "Its one instance is started on another node.".to_owned(),
        n => format!("Its {n} instances are started on other nodes."),
    };
    format!(
        "{moved} {name} is refused from now on: to take part again it has to be set up anew. If it still runs, power it off: what it runs is not stopped from here. Should somebody else get at its disk, replace the certificate authority as well."
    )
}
