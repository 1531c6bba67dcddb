//! Where backups by schedule are put, and how many stay there: a folder on this node's DATA, or a bucket.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use model::backup::Bucket;

use super::backups;
use crate::durable;
use crate::images::Reach;
use crate::s3::{Client, S3Error};

/// Objects removed after one backup: what is left goes after the next.
const REMOVED_MAX: usize = 100;

/// This node's shelves.
pub struct Shelf {
    pub folder: PathBuf,
    pub reach: Reach,
}

/// A backup that is to be kept.
pub struct Item {
    pub name: String,
    /// What the names of all of this cluster begin with.
    pub stem: String,
    pub bytes: Vec<u8>,
    /// How many are to be there afterwards.
    pub keep: u32,
}

/// It is kept.
#[derive(Debug, Default)]
pub struct Kept {
    /// Its key in the bucket.
    pub object: Option<String>,
    /// Why older ones could not be removed.
    pub left: Option<String>,
}

impl Shelf {
    /// `Err` with the reason why it is not kept.
    pub async fn put(&self, item: Item, bucket: Option<&Bucket>) -> Result<Kept, String> {
        match bucket {
            Some(bucket) => {
                let client = Client { bucket, proxy: self.reach.proxy() };
                into_bucket(&client, item).await.map_err(|error| at(bucket, &error))
            }
            None => {
                let folder = self.folder.clone();
                let work = move || into_folder(&folder, &item);
                let kept = tokio::task::spawn_blocking(work).await.map_err(io::Error::other).flatten();
                kept.map(|()| Kept::default()).map_err(|error| error.to_string())
            }
        }
    }
}

/// Writes one file and forgets all but the newest.
fn into_folder(folder: &Path, item: &Item) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    durable::write(&folder.join(&item.name), &item.bytes)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "backup") {
            files.push((fs::metadata(&path)?.modified()?, path));
        }
    }
    files.sort();
    let surplus = files.len().saturating_sub(item.keep as usize);
    files.into_iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
}

/// Puts one object and removes all but the newest of this cluster; those of others are never touched.
async fn into_bucket(client: &Client<'_>, item: Item) -> Result<Kept, S3Error> {
    let prefix = &client.bucket.prefix;
    let key = format!("{prefix}{}", item.name);
    client.put(&key, Bytes::from(item.bytes)).await?;
    // The new one is safe, whatever becomes of the others.
    let pruned = prune(client, &item.stem, item.keep).await;
    Ok(Kept { object: Some(key), left: pruned.err().map(|error| at(client.bucket, &error)) })
}

async fn prune(client: &Client<'_>, stem: &str, keep: u32) -> Result<(), S3Error> {
    let prefix = &client.bucket.prefix;
    let keys = client.list(&format!("{prefix}{stem}")).await?;
    for key in surplus(keys, prefix, stem, keep) {
        client.delete(&key).await?;
    }
    Ok(())
}

/// The oldest of this cluster's own keys, so that `keep` stay.
fn surplus(keys: Vec<String>, prefix: &str, stem: &str, keep: u32) -> Vec<String> {
    let is_ours = |key: &String| key.strip_prefix(prefix).is_some_and(|name| backups::is_name(name, stem));
    let mut ours: Vec<String> = keys.into_iter().filter(is_ours).collect();
    ours.sort();
    let surplus = ours.len().saturating_sub(keep as usize);
    ours.truncate(surplus.min(REMOVED_MAX));
    ours
}

fn at(bucket: &Bucket, error: &S3Error) -> String {
    format!("bucket {} at {}: {error}", bucket.name, bucket.endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("backups");
        let names = |folder: &Path| {
            let mut names: Vec<String> = fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let item = |name: &str| Item {
            name: name.to_owned(),
            stem: String::new(),
            bytes: name.as_bytes().to_vec(),
            keep: 2,
        };
        into_folder(&inner, &item("a.backup")).unwrap();
        fs::write(inner.join("a note"), "of a person").unwrap();
        for name in ["b.backup", "c.backup", "d.backup"] {
            into_folder(&inner, &item(name)).unwrap();
        }
        assert_eq!(names(&inner), ["a note", "c.backup", "d.backup"]);
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(into_folder(&file, &item("a.backup")).is_err(), "there is no folder");
    }

    #[test]
    fn only_the_oldest_of_our_own_keys_go() {
        let keys = |times: &[&str]| times.iter().map(|at| format!("p/meseta-7-{at}.backup")).collect();
        let mut all: Vec<String> = keys(&["20260103T0Z", "20260101T0Z", "20260102T0Z"]);
        let oldest: Vec<String> = keys(&["20260101T0Z", "20260102T0Z"]);
        all.extend(
            ["meseta-7-2.backup", "p/meseta-8-2.backup", "p/meseta-7-.backup", "p/meseta-7-a/b.backup"]
                .map(str::to_owned),
        );
        all.push("p/meseta-7-20250101T0Z.backup.old".to_owned());
        assert_eq!(surplus(all.clone(), "p/", "meseta-7-", 1), oldest);
        assert!(surplus(all, "p/", "meseta-7-", 3).is_empty());
        let many: Vec<String> = (0..500).map(|n| format!("meseta-7-{n:04}.backup")).collect();
        assert_eq!(surplus(many, "", "meseta-7-", 1).len(), REMOVED_MAX);
    }
}
