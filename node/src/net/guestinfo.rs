//! Settings that VMware's hypervisors hold for a guest: `guestinfo.meseta.config` in the machine's advanced parameters,
//! in our own form, as text or in base64. Asked for through the hypervisor's own port, so that no tools have to run.
//!
//! Nobody of us has such a machine: what stands here is tried as far as that any other machine is left alone.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const KEY: &str = "guestinfo.meseta.config";

/// `None` if this is no machine of VMware's, or nothing is set there; an error says why it could not be read.
pub fn read() -> Option<Result<String, String>> {
    if !vmw_backdoor::is_vmware_cpu() {
        return None;
    }
    match ask() {
        Ok(bytes) => Some(text_of(&bytes?)),
        Err(error) => Some(Err(error.to_string())),
    }
}

fn ask() -> Result<Option<Vec<u8>>, vmw_backdoor::VmwError> {
    let mut door = vmw_backdoor::probe_backdoor_privileged()?;
    let mut channel = door.open_enhanced_chan()?;
    channel.get_guestinfo(KEY.as_bytes())
}

/// JSON begins with a brace, which is no letter of base64.
fn text_of(bytes: &[u8]) -> Result<String, String> {
    let bytes = bytes.trim_ascii();
    let plain = match bytes.first() {
        Some(b'{') | None => bytes.to_vec(),
        Some(_) => STANDARD.decode(bytes).map_err(|_| "it is neither JSON nor base64".to_owned())?,
    };
    String::from_utf8(plain).map_err(|_| "it is not text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_base64_are_read() {
        assert_eq!(text_of(b" {\"dns\": []}\n").unwrap(), "{\"dns\": []}");
        assert_eq!(text_of(b"e30=").unwrap(), "{}");
        assert!(text_of(b"dns").unwrap_err().contains("neither"));
        assert!(text_of(b"/w==").unwrap_err().contains("not text"));
    }
}
