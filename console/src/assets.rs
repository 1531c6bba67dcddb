//! Style and script, served under addresses that hold their hash: a browser may keep them for ever.

use std::io::Write;
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

/// What `build.rs` laid out, within the program.
#[derive(RustEmbed)]
#[folder = "$OUT_DIR/assets"]
struct Embedded;

pub struct Asset {
    url: String,
    content_type: &'static str,
    plain: Bytes,
    gzip: Bytes,
}

impl Asset {
    fn new(name: &str, extension: &str, content_type: &'static str) -> Self {
        let plain = Embedded::get(name).expect("build.rs lays it out").data;
        let hash = crate::session::hex(&Sha256::digest(&plain)[..8]);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&plain).expect("a Vec takes every write");
        let gzip = gzip.finish().expect("a Vec takes every write").into();
        Self {
            url: format!("/assets/{hash}.{extension}"),
            content_type,
            plain: Bytes::from(plain.into_owned()),
            gzip,
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }
}

static CSS: LazyLock<Asset> = LazyLock::new(|| Asset::new("console.css", "css", "text/css; charset=utf-8"));
static JS: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("console.js", "js", "text/javascript; charset=utf-8"));

pub fn css() -> &'static Asset {
    &CSS
}

pub fn js() -> &'static Asset {
    &JS
}

/// `GET /assets/{name}`
pub async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let found = [css(), js()].into_iter().find(|asset| asset.url.strip_prefix("/assets/") == Some(&name));
    let Some(asset) = found else { return StatusCode::NOT_FOUND.into_response() };
    let lasting = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::VARY, "accept-encoding"),
    ];
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if accepted.split(',').any(|coding| coding.trim().split(';').next() == Some("gzip")) {
        return (lasting, [(header::CONTENT_ENCODING, "gzip")], asset.gzip.clone()).into_response();
    }
    (lasting, asset.plain.clone()).into_response()
}
