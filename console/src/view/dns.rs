//! The names of the cluster, and what this node answers when it is asked for one.

use model::ids::IdSource;
use model::zone::label::normalised;
use model::zone::{Code, Entry, Kind, Record, RecordData, Zone};

use super::task::Moment;
use crate::{DnsStatus, strings as t};

/// Names on one page.
pub const ROWS_PER_PAGE: usize = 100;
/// Records shown of one name, and of one section of an answer.
const RECORDS_SHOWN_MAX: usize = 12;
const TESTED_RECORDS_MAX: usize = 64;

/// The types that the form offers.
pub const TYPES: [(&str, Kind); 7] = [
    ("A", Kind::A),
    ("AAAA", Kind::Aaaa),
    ("SRV", Kind::Srv),
    ("NS", Kind::Ns),
    ("SOA", Kind::Soa),
    ("ANY", Kind::Any),
    ("TXT", Kind::Other),
];

pub struct NameRow {
    pub name: String,
    /// Leads to the form, filled in with this name.
    pub href: String,
    /// Type and what it says.
    pub records: Vec<(&'static str, String)>,
    pub further: usize,
}

impl NameRow {
    pub fn rest(&self) -> String {
        t::and_further(self.further)
    }
}

pub struct NameList {
    pub rows: Vec<NameRow>,
    pub matched: usize,
    pub total: usize,
    pub page: usize,
    pub pages: usize,
}

impl NameList {
    pub fn count(&self) -> String {
        t::names_count(self.matched, self.total)
    }

    pub fn place(&self) -> String {
        t::page_of(self.page, self.pages)
    }

    pub fn previous(&self) -> Option<usize> {
        (self.page > 1).then(|| self.page - 1)
    }

    pub fn next(&self) -> Option<usize> {
        (self.page < self.pages).then_some(self.page + 1)
    }
}

/// Names that hold `query`, or have a record that does; pages count from 1.
pub fn list(zone: &Zone, query: &str, page: usize) -> NameList {
    let query = query.trim().to_lowercase();
    let matched: Vec<_> =
        zone.names().iter().filter(|(name, entry)| matches(zone, name, entry, &query)).collect();
    let pages = matched.len().div_ceil(ROWS_PER_PAGE).max(1);
    let page = page.clamp(1, pages);
    let shown = matched.iter().skip((page - 1) * ROWS_PER_PAGE).take(ROWS_PER_PAGE);
    let rows = shown.map(|(name, entry)| row(zone, name, entry)).collect();
    NameList { rows, matched: matched.len(), total: zone.names().iter().count(), page, pages }
}

fn matches(zone: &Zone, name: &str, entry: &Entry, query: &str) -> bool {
    name.contains(query) || zone.listed(entry).iter().any(|data| words(data).1.contains(query))
}

fn row(zone: &Zone, name: &str, entry: &Entry) -> NameRow {
    let records = zone.listed(entry);
    let kind = records.first().map_or("A", |first| words(first).0);
    NameRow {
        name: name.to_owned(),
        href: format!("/dns?name={name}&type={kind}"),
        further: records.len().saturating_sub(RECORDS_SHOWN_MAX),
        records: records.iter().take(RECORDS_SHOWN_MAX).map(words).collect(),
    }
}

/// A record's type and data, as `dig` writes them.
fn words(data: &RecordData) -> (&'static str, String) {
    match data {
        RecordData::A(address) => ("A", address.to_string()),
        RecordData::Aaaa(address) => ("AAAA", address.to_string()),
        RecordData::Srv { weight, port, target } => ("SRV", format!("0 {weight} {port} {target}.")),
        RecordData::Ns(server) => ("NS", format!("{server}.")),
        RecordData::Soa(soa) => (
            "SOA",
            format!(
                "{}. {}. {} {} {} {} {}",
                soa.server,
                soa.responsible,
                soa.serial,
                soa.refresh_s,
                soa.retry_s,
                soa.expire_s,
                soa.minimum_s
            ),
        ),
    }
}

/// What the form shows once it was sent.
pub enum Tested {
    /// Not of this domain: others are asked.
    Foreign {
        upstreams: Vec<String>,
    },
    Answer {
        code: &'static str,
        meaning: String,
        sections: Vec<Section>,
        ttl_s: u32,
    },
}

pub struct Section {
    pub title: &'static str,
    pub records: Vec<(String, &'static str, String)>,
}

pub fn test(dns: &DnsStatus, name: &str, kind: Kind, ids: &mut IdSource) -> Tested {
    let name = normalised(name.trim());
    let Some(answer) = dns.zone.answer(&name, kind, TESTED_RECORDS_MAX, ids) else {
        return Tested::Foreign { upstreams: dns.upstreams.clone() };
    };
    let (code, meaning) = match (answer.code, answer.answers.len()) {
        (Code::NxDomain, _) => ("NXDOMAIN", t::DNS_NX_DOMAIN.to_owned()),
        (Code::NoError, 0) => ("NOERROR", t::DNS_NO_DATA.to_owned()),
        (Code::NoError, count) => ("NOERROR", t::dns_answers(count, answer.is_cut)),
    };
    let section = |title, records: &[Record]| {
        let line = |record: &Record| {
            let (kind, data) = words(&record.data);
            (format!("{}.", record.owner), kind, data)
        };
        Section { title, records: records.iter().map(line).collect() }
    };
    let mut sections = vec![
        section(t::DNS_SECTION_ANSWER, &answer.answers),
        section(t::DNS_SECTION_AUTHORITY, &answer.authority),
        section(t::DNS_SECTION_ADDITIONAL, &answer.additional),
    ];
    sections.retain(|section| !section.records.is_empty());
    Tested::Answer { code, meaning, sections, ttl_s: dns.zone.settings().ttl_s }
}

/// The last change of any name.
pub struct ChangeView {
    pub at: Moment,
    pub why: String,
    pub count: String,
}

pub fn change(zone: &Zone) -> ChangeView {
    let change = zone.last_change();
    ChangeView {
        at: change.at.into(),
        why: t::dns_why(&change.apps, change.further_apps, change.cluster),
        count: t::dns_changed(change.added, change.removed),
    }
}

/// What the server is and does, word by word.
pub fn facts(dns: &DnsStatus) -> Vec<(&'static str, String)> {
    let or_none = |list: &[String]| if list.is_empty() { t::NONE.to_owned() } else { list.join(", ") };
    let settings = dns.zone.settings();
    vec![
        (t::FACT_DNS_ADDRESS, if dns.address.is_empty() { t::NONE.to_owned() } else { dns.address.clone() }),
        (t::FACT_DNS_DOMAIN, settings.domain.clone()),
        (t::FACT_DNS_RECORDS, dns.zone.names().records().to_string()),
        (t::FACT_DNS_SERIAL, dns.zone.serial().to_string()),
        (t::FACT_DNS_TTL, t::seconds(settings.ttl_s)),
        (t::FACT_DNS_UPSTREAMS, or_none(&dns.upstreams)),
        (t::FACT_DNS_NETWORKS, t::dns_networks(&dns.networks)),
    ]
}
