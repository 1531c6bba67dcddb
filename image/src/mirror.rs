//! Where Debian packages come from: nobody's address is written down here, the machine knows one.

use std::process::Command;

use anyhow::Context;

/// Overrides what the machine knows: the address of a mirror's `debian` folder.
const VARIABLE: &str = "MESETA_DEBIAN_MIRROR";
/// debootstrap, on machines that are not Debian themselves, names Debian's default mirror in its scripts.
const DEBOOTSTRAP_SCRIPT: &str = "/usr/share/debootstrap/scripts/sid";

/// Addresses of the archive and of its security updates.
#[derive(Debug, PartialEq, Eq)]
pub struct Mirror {
    pub archive: String,
    pub security: String,
}

/// The operator's choice, else what the machine's own apt uses, else debootstrap's default.
pub fn find() -> anyhow::Result<Mirror> {
    if let Ok(archive) = std::env::var(VARIABLE) {
        return Ok(Mirror { security: beside(&archive), archive });
    }
    let format = "$(REPO_URI) $(ORIGIN) $(LABEL)";
    let listed = Command::new("apt-get").args(["indextargets", "--format", format]).output();
    let listed = listed.context("asking apt for the machine's mirrors")?;
    if let Some(mirror) = of_apt(&String::from_utf8_lossy(&listed.stdout)) {
        return Ok(mirror);
    }
    let script = std::fs::read_to_string(DEBOOTSTRAP_SCRIPT).unwrap_or_default();
    let archive =
        script.lines().find_map(|line| line.trim().strip_prefix("default_mirror ")).with_context(|| {
            format!(
                "no Debian mirror is known here: install debootstrap, or set {VARIABLE} to a mirror's address"
            )
        })?;
    Ok(Mirror { archive: archive.to_owned(), security: beside(archive) })
}

fn of_apt(listed: &str) -> Option<Mirror> {
    let of = |label: &str| {
        listed.lines().find_map(|line| {
            let (uri, rest) = line.split_once(' ')?;
            (rest == format!("Debian {label}")).then(|| uri.to_owned())
        })
    };
    let archive = of("Debian")?;
    Some(Mirror { security: of("Debian-Security").unwrap_or_else(|| beside(&archive)), archive })
}

/// Security updates lie beside the archive: `…/debian` and `…/debian-security`.
fn beside(archive: &str) -> String {
    format!("{}-security", archive.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_mirrors_are_told_apart() {
        let listed = "http://a/other Someone Else\nhttp://m/debian/ Debian Debian\nhttp://s/sec/ Debian Debian-Security\n";
        let expected = Mirror { archive: "http://m/debian/".into(), security: "http://s/sec/".into() };
        assert_eq!(of_apt(listed), Some(expected));
        assert_eq!(of_apt("http://m/ubuntu/ Ubuntu Ubuntu\n"), None);
        assert_eq!(beside("http://m/debian/"), "http://m/debian-security");
    }
}
