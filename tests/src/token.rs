//! Join tokens as somebody might bend them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The same addresses and secret, with the fingerprint of an authority that nobody has.
pub fn with_other_authority(token: &str) -> String {
    let body = token.strip_prefix("meseta1.").expect("a token");
    let json = URL_SAFE_NO_PAD.decode(body).expect("base64url");
    let mut token: Value = serde_json::from_slice(&json).expect("JSON");
    token["f"] = Value::String("0".repeat(64));
    format!("meseta1.{}", URL_SAFE_NO_PAD.encode(token.to_string()))
}
