//! Backups: what the cluster remembers of them, and how it makes them by itself.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Timestamp, limits};

/// From this feature level on schedules have keys and buckets, and failures are tried again.
pub const BUCKETS_FROM: u32 = 5;
/// What servers without regions call theirs.
pub const REGION_DEFAULT: &str = "us-east-1";
/// Wait after the first failure in a row; it doubles up to the longest.
const RETRY_MS_MIN: u64 = 10_000;
const RETRY_MS_MAX: u64 = 3_600_000;
const HOUR_MS: u64 = 3_600_000;

/// How a backup went.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BackupNote {
    /// Set when the note is applied.
    pub at: Timestamp,
    /// The last change that is in it.
    pub index: u64,
    /// Of the file.
    pub bytes: u64,
    /// Whether passwords, tokens and secrets are in it.
    pub secrets: bool,
    /// Made by the schedule, not asked for by a person.
    #[serde(default)]
    pub scheduled: bool,
    /// Its key in the bucket it was put into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// It is there, but this is why older ones could not be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
}

/// How the schedule goes since it was set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    pub last: BackupNote,
    /// In a row, up to now.
    pub failures: u32,
    pub good_at: Option<Timestamp>,
}

/// Backups that the cluster makes by itself: to the disk of the node that leads, or to a bucket.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    pub every_hours: u32,
    /// How many are kept in the bucket, or on each node.
    pub keep: u32,
    /// In clear: of a schedule that was set below [`BUCKETS_FROM`]. Later ones have a `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<String>,
    /// Without one, accounts, tokens and secrets are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// None: the folder on the leader's disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<Bucket>,
    /// Log index of the change that set it: what was made of an earlier state was not made by it.
    #[serde(default)]
    pub since: u64,
}

/// What locks the files of a schedule. Made of its passphrase by whoever sets it, so that the passphrase, which may
/// open other things as well, is kept nowhere; it opens the files all the same.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub salt: [u8; 16],
    pub bytes: [u8; 32],
}

#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Secret(pub String);

// Secrets do not appear in logs, panics or assertion messages.
impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, keep, locked) = (self.every_hours, self.keep, self.is_locked());
        write!(f, "Schedule(every {hours} h, keep {keep}, locked {locked}, bucket {:?})", self.bucket)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Where objects are put by the S3 protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// `http://` or `https://`, a host, and a port if it is another than that of the scheme.
    pub endpoint: String,
    pub name: String,
    /// What the keys of all objects begin with; may be empty.
    pub prefix: String,
    pub region: String,
    pub access_key: String,
    pub secret_key: Secret,
    /// `http://host/bucket/key`; else `http://bucket.host/key`.
    pub path_style: bool,
}

/// A schedule as it is asked for: what is secret may stay what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub every_hours: u32,
    pub keep: u32,
    pub locking: Locking,
    /// An empty secret key stands for the one there is, of the same access key.
    pub bucket: Option<Bucket>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Locking {
    /// As before.
    Keep,
    /// Not any more; without accounts, tokens and secrets.
    Open,
    Key(Key),
}

/// What is wrong with a plan: the place as in the API's errors, and words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub path: &'static str,
    pub message: String,
}

/// At least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Schedule {
    pub fn is_locked(&self) -> bool {
        self.passphrase.is_some() || self.key.is_some()
    }

    /// Milliseconds from one backup to the next, after that many failures in a row.
    pub fn wait_ms(&self, failures: u32) -> u64 {
        let period_ms = u64::from(self.every_hours) * HOUR_MS;
        match failures.checked_sub(1) {
            None => period_ms,
            Some(more) => (RETRY_MS_MIN << more.min(16)).min(RETRY_MS_MAX).min(period_ms),
        }
    }

    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn check(&self) -> Result<(), Faults> {
        let mut faults = Vec::new();
        let mut bound = |path, value: u32, max: u32| {
            if !(1..=max).contains(&value) {
                faults.push(fault(path, format!("must be 1 to {max}")));
            }
        };
        bound("/every_hours", self.every_hours, limits::BACKUP_HOURS_MAX);
        bound("/keep", self.keep, limits::BACKUPS_KEPT_MAX);
        faults.extend(self.passphrase.as_deref().and_then(passphrase_fault));
        faults.extend(self.bucket.iter().flat_map(Bucket::faults));
        if faults.is_empty() { Ok(()) } else { Err(Faults(faults)) }
    }
}

/// What is wrong with a passphrase.
pub fn passphrase_fault(passphrase: &str) -> Option<Fault> {
    let (min, max) = (limits::PASSPHRASE_BYTES_MIN, limits::PASSPHRASE_BYTES_MAX);
    let is_right = (min..=max).contains(&passphrase.len());
    (!is_right).then(|| fault("/passphrase", format!("must have {min} to {max} characters")))
}

impl Plan {
    /// The schedule it makes of what there is now.
    ///
    /// # Errors
    ///
    /// All faults at once.
    pub fn schedule(&self, now: Option<&Schedule>) -> Result<Schedule, Faults> {
        let (passphrase, key) = match &self.locking {
            Locking::Keep => now.map(|now| (now.passphrase.clone(), now.key.clone())).unwrap_or_default(),
            Locking::Open => (None, None),
            Locking::Key(key) => (None, Some(key.clone())),
        };
        let mut bucket = self.bucket.clone();
        if let Some(wanted) = bucket.as_mut().filter(|bucket| bucket.secret_key.0.is_empty()) {
            let kept = now.and_then(|now| now.bucket.as_ref());
            let kept = kept.filter(|kept| kept.access_key == wanted.access_key);
            wanted.secret_key = kept.map(|kept| kept.secret_key.clone()).unwrap_or_default();
        }
        let Self { every_hours, keep, .. } = *self;
        let schedule = Schedule { every_hours, keep, passphrase, key, bucket, since: 0 };
        schedule.check()?;
        Ok(schedule)
    }
}

impl Bucket {
    fn faults(&self) -> Vec<Fault> {
        let max = limits::S3_PREFIX_BYTES_MAX;
        let rules = [
            (
                is_endpoint(&self.endpoint),
                "/s3/endpoint",
                "must be http:// or https://, a host and perhaps a port, such as https://s3.example.com"
                    .to_owned(),
            ),
            (
                is_bucket(&self.name),
                "/s3/bucket",
                "must have 3 to 63 small letters, digits, dots and hyphens, a letter or digit first and last"
                    .to_owned(),
            ),
            (
                is_prefix(&self.prefix),
                "/s3/prefix",
                format!(
                    "must have at most {max} letters, digits and . _ - /, and be no path that begins with / or leads \
                     through empty names or dots"
                ),
            ),
            (
                is_plain(&self.region, limits::S3_REGION_BYTES_MAX, b"-"),
                "/s3/region",
                "must be such as us-east-1; servers of one's own mostly take any".to_owned(),
            ),
            (
                is_plain(&self.access_key, limits::S3_KEY_BYTES_MAX, b"-_.+=:@"),
                "/s3/access_key",
                "is needed: the id that belongs to the secret key, in letters, digits and - _ . + = : @"
                    .to_owned(),
            ),
            (
                !self.secret_key.0.is_empty(),
                "/s3/secret_key",
                "is needed: none is known for this access key".to_owned(),
            ),
            (
                self.secret_key.0.len() <= limits::S3_KEY_BYTES_MAX
                    && self.secret_key.0.bytes().all(|byte| byte.is_ascii_graphic()),
                "/s3/secret_key",
                format!("must have at most {} characters without blanks", limits::S3_KEY_BYTES_MAX),
            ),
        ];
        let broken = rules.into_iter().filter(|(is_right, ..)| !is_right);
        broken.map(|(_, path, message)| fault(path, message)).collect()
    }
}

fn fault(path: &'static str, message: String) -> Fault {
    Fault { path, message }
}

/// Not empty, of letters, digits and `others`.
fn is_plain(text: &str, max: usize, others: &[u8]) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
    !text.is_empty() && text.len() <= max && text.bytes().all(allowed)
}

fn is_endpoint(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let Some(authority) = rest.filter(|_| url.len() <= crate::settings::URL_BYTES_MAX) else { return false };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0) && !port.starts_with('+');
    let is_ip6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match is_ip6 {
        Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_plain(host, 253, b".-_"),
    };
    is_host && port.is_none_or(is_port)
}

fn is_bucket(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [name.bytes().next(), name.bytes().last()];
    (3..=63).contains(&name.len())
        && name.bytes().all(|byte| letters(byte) || b".-".contains(&byte))
        && ends.into_iter().flatten().all(letters)
}

/// Plain enough to be the same in a path, in a signature and in XML.
fn is_prefix(prefix: &str) -> bool {
    let folders = prefix.strip_suffix('/').unwrap_or(prefix);
    let is_path = || folders.split('/').all(|name| !["", ".", ".."].contains(&name));
    prefix.is_empty() || is_plain(prefix, limits::S3_PREFIX_BYTES_MAX, b"._-/") && is_path()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket() -> Bucket {
        Bucket {
            endpoint: "https://s3.example.com".to_owned(),
            name: "backups".to_owned(),
            prefix: "meseta/".to_owned(),
            region: "eu-central-1".to_owned(),
            access_key: "AKIA".to_owned(),
            secret_key: Secret("hidden".to_owned()),
            path_style: true,
        }
    }

    fn plan(bucket: Option<Bucket>) -> Plan {
        Plan { every_hours: 24, keep: 7, locking: Locking::Keep, bucket }
    }

    fn key() -> Key {
        Key { salt: [1; 16], bytes: [2; 32] }
    }

    #[test]
    fn each_field_of_a_bucket_has_its_fault() {
        assert_eq!(bucket().faults(), []);
        let change = |edit: fn(&mut Bucket)| {
            let mut bucket = bucket();
            edit(&mut bucket);
            bucket.faults().into_iter().map(|fault| fault.path).collect::<Vec<_>>()
        };
        for right in ["http://127.0.0.1:9000", "http://[::1]:9000", "https://[fd00::1]", "http://minio"] {
            assert!(is_endpoint(right), "{right}");
        }
        for wrong in [
            "",
            "s3.example.com",
            "ftp://a",
            "http://",
            "http://a/b",
            "http://a/",
            "http://a:0",
            "http://a:+1",
            "http://a:",
            "http://u:p@a",
            "http://a b",
            "http://[::1",
            "http://::1",
            "http://a\r\nb",
        ] {
            assert!(!is_endpoint(wrong), "{wrong:?}");
        }
        for wrong in ["", "/a", "a//b", "../a", "a/./b", "a b", "ä", "a?b", "a%2f"] {
            assert_eq!(is_prefix(wrong), wrong.is_empty(), "{wrong:?}");
        }
        for right in ["a", "a/", "a/b-", "2026/a.b_c/x"] {
            assert!(is_prefix(right), "{right}");
        }
        assert_eq!(change(|bucket| bucket.endpoint = "nowhere".into()), ["/s3/endpoint"]);
        assert_eq!(change(|bucket| bucket.name = "Large".into()), ["/s3/bucket"]);
        assert_eq!(change(|bucket| bucket.name = "-ab".into()), ["/s3/bucket"]);
        assert_eq!(change(|bucket| bucket.prefix = "/".into()), ["/s3/prefix"]);
        assert_eq!(change(|bucket| bucket.region = String::new()), ["/s3/region"]);
        assert_eq!(change(|bucket| bucket.access_key = "a/b".into()), ["/s3/access_key"]);
        assert_eq!(change(|bucket| bucket.secret_key = Secret("a b".into())), ["/s3/secret_key"]);
    }

    #[test]
    fn all_faults_of_a_plan_come_at_once() {
        let wrong = Plan { every_hours: 0, keep: 0, ..plan(Some(Bucket { name: "a".into(), ..bucket() })) };
        let paths = wrong.schedule(None).expect_err("wrong").0.into_iter().map(|fault| fault.path);
        assert_eq!(paths.collect::<Vec<_>>(), ["/every_hours", "/keep", "/s3/bucket"]);
    }

    #[test]
    fn secrets_stay_if_nothing_is_said_of_them_and_their_owner_is_the_same() {
        let first =
            Plan { locking: Locking::Key(key()), ..plan(Some(bucket())) }.schedule(None).expect("sound");
        let silent = Bucket { secret_key: Secret::default(), name: "another".into(), ..bucket() };
        let second = plan(Some(silent.clone())).schedule(Some(&first)).expect("sound");
        let kept = second.bucket.as_ref().expect("a bucket");
        assert_eq!((&kept.secret_key, second.key.as_ref()), (&bucket().secret_key, Some(&key())));
        let stranger = Bucket { access_key: "another".into(), ..silent };
        let faults = plan(Some(stranger)).schedule(Some(&first)).expect_err("no secret key");
        assert_eq!(faults.0[0].path, "/s3/secret_key");
        let open = Plan { locking: Locking::Open, ..plan(None) }.schedule(Some(&second)).expect("sound");
        assert!(!open.is_locked() && open.bucket.is_none());
        let shown = format!("{first:?} {:?}", Plan { locking: Locking::Key(key()), ..plan(Some(bucket())) });
        assert!(!shown.contains("hidden") && !shown.contains("2, 2"), "{shown}");
    }

    #[test]
    fn a_schedule_of_an_older_program_is_read() {
        let old = r#"{"every_hours":6,"keep":3,"passphrase":"a passphrase"}"#;
        let read: Schedule = serde_json::from_str(old).expect("readable");
        assert!(read.is_locked() && read.key.is_none() && read.bucket.is_none());
        let note = r#"{"at":1,"index":2,"bytes":3,"secrets":true}"#;
        assert_eq!(serde_json::from_str::<BackupNote>(note).expect("readable").object, None);
    }

    #[test]
    fn failures_wait_ever_longer_but_not_longer_than_the_period() {
        let schedule = plan(None).schedule(None).expect("sound");
        let waits = [0, 1, 2, 3, 9, 10, u32::MAX].map(|failures| schedule.wait_ms(failures) / 1_000);
        assert_eq!(waits, [86_400, 10, 20, 40, 2_560, 3_600, 3_600]);
    }
}
