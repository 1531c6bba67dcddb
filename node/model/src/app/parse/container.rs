//! The container an app runs in, its volumes, and what is fetched into its sandbox.

use super::super::fault::quoted;
use super::super::fields::{Field, Fields};
use super::super::{Container, ContainerKind, Fetch, Image, Network, Volume};
use super::{keys, unsupported};
use crate::limits;

const URI_CHARS_MAX: usize = 1024;
const KINDS: [(&str, ContainerKind); 2] =
    [("DOCKER", ContainerKind::Docker), ("MESOS", ContainerKind::Mesos)];
/// Endings of an old `uris` entry that is unpacked after it was fetched.
const ARCHIVES: [&str; 9] =
    [".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".gz", ".tgz", ".tbz2", ".txz", ".zip"];

/// The container; an app on a network of its own has one even if it names none.
pub fn read(fields: &Fields, network: &Network) -> Option<Container> {
    let Some(container) = fields.get("container").and_then(|f| f.object(keys::CONTAINER)) else {
        let implied = *network != Network::Host;
        return implied.then_some(Container { kind: ContainerKind::Mesos, image: None, volumes: Vec::new() });
    };
    unsupported::refuse_key(&container, "appc");
    unsupported::refuse_key(&container, "linuxInfo");
    let docker = container.get("docker").and_then(|f| f.object(keys::DOCKER));
    let default = if docker.is_some() { ContainerKind::Docker } else { ContainerKind::Mesos };
    let kind = container.get("type").and_then(|f| f.word(&KINDS)).unwrap_or(default);
    if let (ContainerKind::Docker, Network::Container { networks }) = (kind, network)
        && networks.len() > 1
    {
        fields.rule(
            "networks",
            format!("has {} networks; expected one, because the type is DOCKER", networks.len()),
        );
    }
    let image = docker.and_then(|docker| read_image(&docker, kind));
    if kind == ContainerKind::Docker && container.get("docker").is_none() {
        container.sink.kind(
            &format!("{}/docker", container.path),
            "error.path.missing",
            "is missing; expected an object with an `image`, because the type is DOCKER".to_owned(),
        );
    }
    let volumes = container.get("volumes").and_then(|f| f.list_up_to(limits::LIST_PER_APP_MAX));
    let volumes = volumes.unwrap_or_default().iter().filter_map(read_volume).collect();
    Some(Container { kind, image, volumes })
}

fn read_image(docker: &Fields, kind: ContainerKind) -> Option<Image> {
    unsupported::refuse_key(docker, "pullConfig");
    unsupported::refuse_key(docker, "credential");
    let privileged = docker.flag("privileged", false);
    let parameters: Vec<(String, String)> =
        docker.list("parameters").iter().filter_map(read_parameter).collect();
    if kind == ContainerKind::Mesos {
        for (key, given) in [("privileged", privileged), ("parameters", !parameters.is_empty())] {
            if given {
                docker.rule(key, "is only possible in a container of type DOCKER; expected no such key");
            }
        }
    }
    let image = docker.require("image", "the name of an image, e.g. \"nginx:1.27\"")?;
    let reference = image.text()?;
    if reference.is_empty() || reference.contains(|c: char| c.is_whitespace() || c.is_control()) {
        image.rule(format!(
            "is {}; expected the name of an image without blanks, e.g. \"nginx:1.27\"",
            quoted(reference)
        ));
    }
    Some(Image {
        reference: reference.to_owned(),
        force_pull: docker.flag("forcePullImage", false),
        privileged,
        parameters,
    })
}

fn read_parameter(item: &Field) -> Option<(String, String)> {
    let parameter = item.object(keys::PARAMETER)?;
    let key = parameter.require("key", "a flag of `docker run` without its dashes").and_then(|f| f.text());
    let value = parameter.require("value", "the flag's value, a string").and_then(|f| f.text());
    Some((key?.to_owned(), value?.to_owned()))
}

fn read_volume(item: &Field) -> Option<Volume> {
    let volume = item.object(keys::VOLUME)?;
    for key in ["persistent", "external", "secret"] {
        if volume.get(key).is_some() {
            volume.rule(
                key,
                format!("is given; {key} volumes are not supported yet, only those with a `hostPath`"),
            );
            return None;
        }
    }
    let path = |key: &str, expected: &str| {
        let field = volume.require(key, expected)?;
        let text = field.text()?;
        if text.is_empty() || text.split('/').any(|segment| segment == "..") {
            field.rule(format!("is {}; expected a path, not empty and without `..`", quoted(text)));
        }
        Some(text.to_owned())
    };
    let container_path = path("containerPath", "the path inside the container");
    let host_path = path("hostPath", "the path on the node");
    let modes = [("RO", true), ("RW", false)];
    let mode = volume.require("mode", "`RO` or `RW`").and_then(|f| f.word(&modes));
    Some(Volume { container_path: container_path?, host_path: host_path?, read_only: mode? })
}

/// What is fetched, from `fetch` or the old `uris`; both only if they name the same.
pub fn fetch(fields: &Fields) -> Vec<Fetch> {
    let items = |key: &str| fields.get(key)?.list_up_to(limits::LIST_PER_APP_MAX);
    let new: Option<Vec<Fetch>> = items("fetch").map(|items| items.iter().filter_map(read_fetch).collect());
    let old: Option<Vec<Fetch>> = items("uris").map(|items| items.iter().filter_map(read_uri).collect());
    match (new, old) {
        (Some(new), Some(old)) if new.is_empty() => old,
        (Some(new), Some(old)) => {
            let names = |list: &[Fetch]| list.iter().map(|f| f.uri.clone()).collect::<Vec<String>>();
            if !old.is_empty() && names(&old) != names(&new) {
                fields
                    .rule("fetch", "names other URIs than `uris`; expected only one of the two, or the same");
            }
            new
        }
        (new, old) => new.or(old).unwrap_or_default(),
    }
}

fn read_fetch(item: &Field) -> Option<Fetch> {
    let fetch = item.object(keys::FETCH)?;
    let uri = uri(&fetch.require("uri", "a string, where to fetch from")?)?;
    Some(Fetch {
        uri,
        extract: fetch.flag("extract", true),
        executable: fetch.flag("executable", false),
        cache: fetch.flag("cache", false),
        dest_path: fetch.text("destPath").filter(|path| !path.is_empty()),
    })
}

fn read_uri(item: &Field) -> Option<Fetch> {
    let uri = uri(item)?;
    let extract = ARCHIVES.iter().any(|ending| uri.ends_with(ending));
    Some(Fetch { uri, extract, executable: false, cache: false, dest_path: None })
}

fn uri(field: &Field) -> Option<String> {
    let text = field.text()?;
    let chars = text.chars().count();
    if !(1..=URI_CHARS_MAX).contains(&chars) {
        field.rule(format!("has {chars} characters; expected 1 to {URI_CHARS_MAX}"));
    }
    Some(text.to_owned())
}
