//! Style and script, served under addresses that hold their hash: a browser may keep them for ever.

use std::io::Write;
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

pub struct Asset {
    url: String,
    content_type: &'static str,
    plain: &'static [u8],
    gzip: Bytes,
}

impl Asset {
    fn new(extension: &str, content_type: &'static str, plain: &'static [u8]) -> Self {
        let hash = crate::session::hex(&Sha256::digest(plain)[..8]);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(plain).expect("a Vec takes every write");
        let gzip = gzip.finish().expect("a Vec takes every write").into();
        Self { url: format!("/assets/{hash}.{extension}"), content_type, plain, gzip }
    }

    pub fn url(&self) -> &str {
        &self.url
    }
}

static CSS: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("css", "text/css; charset=utf-8", include_bytes!("../assets/console.css")));
static JS: LazyLock<Asset> = LazyLock::new(|| {
    let joined = include_bytes!(concat!(env!("OUT_DIR"), "/console.js"));
    Asset::new("js", "text/javascript; charset=utf-8", joined)
});

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
    (lasting, asset.plain).into_response()
}
