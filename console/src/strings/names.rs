//! The page of names.

pub const DNS_TITLE: &str = "Names";
pub const DNS_SEARCH: &str = "Search names and records";
pub const DNS_TEST: &str = "Ask this node";
pub const DNS_NAME: &str = "Name";
pub const DNS_TYPE: &str = "Type";
pub const DNS_DATA: &str = "Record";
pub const DNS_ASK: &str = "Ask";
pub const DNS_ANSWER: &str = "Answer for";
pub const DNS_NAMES: &str = "All names";
pub const DNS_LAST_CHANGE: &str = "Last change";
pub const DNS_SECTION_ANSWER: &str = "Answer";
pub const DNS_SECTION_AUTHORITY: &str = "Authority";
pub const DNS_SECTION_ADDITIONAL: &str = "Additional";
pub const DNS_NX_DOMAIN: &str = "There is no such name, nor one below it.";
pub const DNS_NO_DATA: &str = "The name is there, but it has no record of this type.";
pub const DNS_FOREIGN: &str = "This name is not the cluster's. The node itself, its tasks and the listed networks get the answer of another server; everybody else is refused. Asked is:";
pub const DNS_NOBODY: &str = "nobody, since no other server is known.";
pub const FACT_DNS_ADDRESS: &str = "Answers at";
pub const FACT_DNS_DOMAIN: &str = "Domain";
pub const FACT_DNS_RECORDS: &str = "Records";
pub const FACT_DNS_SERIAL: &str = "Serial";
pub const FACT_DNS_TTL: &str = "Time to live";
pub const FACT_DNS_UPSTREAMS: &str = "Other names from";
pub const FACT_DNS_NETWORKS: &str = "Other names for";
pub const PAGES: &str = "Pages";
pub const PAGE_PREVIOUS: &str = "Previous";
pub const PAGE_NEXT: &str = "Next";

pub fn page_of(page: usize, pages: usize) -> String {
    format!("page {page} of {pages}")
}

pub fn names_count(matched: usize, total: usize) -> String {
    if matched == total { total.to_string() } else { format!("{matched} of {total}") }
}

pub fn no_name_matches(query: &str) -> String {
    format!("No name or record matches “{query}”.")
}

pub fn and_further(count: usize) -> String {
    format!("and {count} more")
}

pub fn seconds(count: u32) -> String {
    format!("{count} s")
}

pub fn dns_answers(count: usize, is_cut: bool) -> String {
    match (count, is_cut) {
        (_, true) => format!("The first {count} of more records, drawn at random."),
        (1, false) => "One record.".to_owned(),
        (count, false) => format!("{count} records, in random order."),
    }
}

pub fn dns_changed(added: usize, removed: usize) -> String {
    let records = |count: usize| if count == 1 { "1 record".to_owned() } else { format!("{count} records") };
    match (added, removed) {
        (added, 0) => format!("{} came", records(added)),
        (0, removed) => format!("{} went", records(removed)),
        (added, removed) => format!("{} came, {} went", records(added), records(removed)),
    }
}

pub fn dns_why(apps: &[model::AppId], further: usize, cluster: bool) -> String {
    let names: Vec<&str> = apps.iter().map(model::AppId::as_str).collect();
    let apps = match (names.is_empty(), further) {
        (true, _) => String::new(),
        (false, 0) => format!("Instances of {}.", names.join(", ")),
        (false, n) => format!("Instances of {} and {n} other applications.", names.join(", ")),
    };
    match (cluster, apps.is_empty()) {
        (true, true) => "Nodes, their addresses or the leader.".to_owned(),
        (true, false) => format!("Nodes, their addresses or the leader. {apps}"),
        (false, _) => apps,
    }
}

pub fn dns_networks(listed: &[String]) -> String {
    let ours = "the node and its tasks";
    if listed.is_empty() { ours.to_owned() } else { format!("{ours}, {}", listed.join(", ")) }
}
