//! Layers good and bad, and any layer at all: what lies outside is never touched.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { entries: 1_000, bytes: 64 * 1024 * 1024, reserve: 0 };
const SECRET: &str = "what lies outside";

/// One entry of a test's archive: kind as in tar, name, and content or target.
type Row<'a> = (u8, &'a str, &'a str);

fn header(kind: u8, name: &[u8], size: usize) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(0o640);
    header.set_uid(12);
    header.set_gid(34);
    header.set_mtime(1_600_000_000);
    header.set_size(size as u64);
    header
}

/// Written by hand, because no writer makes archives this bad.
fn archive(rows: &[Row]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for &(kind, name, content) in rows {
        let is_link = matches!(kind, b'1' | b'2');
        let data = if is_link { "" } else { content };
        let mut header = header(kind, name.as_bytes(), data.len());
        if is_link {
            header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
        }
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(data.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// A folder for a layer with something precious beside it.
struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("layer")).unwrap();
        fs::write(dir.path().join("secret"), SECRET).unwrap();
        fs::set_permissions(dir.path().join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
        Self { dir }
    }

    fn layer(&self) -> PathBuf {
        self.dir.path().join("layer")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.layer().join(path)
    }

    fn unpack(&self, blob: &[u8], digest: &Digest, limits: Limits) -> Result<u64, UnpackError> {
        let result = unpack(blob, &self.layer(), digest, limits, &Arc::default());
        self.check_outside();
        result
    }

    fn check_outside(&self) {
        let secret = self.dir.path().join("secret");
        let stat = fs::symlink_metadata(&secret).unwrap();
        assert_eq!((stat.mode() & 0o7777, stat.uid(), stat.nlink()), (0o600, 0, 1));
        assert_eq!(fs::read_to_string(&secret).unwrap(), SECRET);
        assert_eq!(fs::read_dir(self.dir.path()).unwrap().count(), 2);
    }
}

fn unpacked(rows: &[Row]) -> (Scene, Result<u64, UnpackError>) {
    let (scene, bytes) = (Scene::new(), archive(rows));
    let result = scene.unpack(&bytes, &Digest::of(&bytes), LIMITS);
    (scene, result)
}

fn xattr(path: &Path, name: &std::ffi::CStr) -> Option<Vec<u8>> {
    let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    let mut value = vec![0_u8; 256];
    // SAFETY: both texts are NUL-terminated, buffer and length belong together.
    let n = unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    usize::try_from(n).ok().map(|n| value[..n].to_vec())
}

#[test]
fn a_layer_becomes_what_overlayfs_takes() {
    let (scene, result) = unpacked(&[
        (b'5', "./", ""),
        (b'5', "bin/", ""),
        (b'0', "bin/tool", "content"),
        (b'1', "bin/same", "bin/tool"),
        (b'1', "bin/same-again", "/bin/tool"),
        (b'2', "bin/link", "../../../../etc/passwd"),
        (b'6', "pipe", ""),
        (b'3', "null", ""),
        (b'0', "deep/er/file", "made with its folders"),
        (b'0', ".wh.gone", ""),
        (b'5', "fresh/", ""),
        (b'0', "fresh/.wh..wh..opq", ""),
        (b'0', ".wh..wh.plnk", ""),
        (b'0', "again", "first"),
        (b'0', "again", "second"),
    ]);
    result.unwrap();
    let stat = |path: &str| fs::symlink_metadata(scene.at(path)).unwrap();
    let tool = stat("bin/tool");
    assert_eq!((tool.mode() & 0o7777, tool.uid(), tool.gid(), tool.nlink()), (0o640, 12, 34, 3));
    assert_eq!(tool.mtime(), 1_600_000_000);
    assert_eq!((stat("bin").mtime(), stat("bin").mode() & 0o7777), (1_600_000_000, 0o640));
    assert_eq!(stat("").mtime(), 1_600_000_000);
    assert_eq!(fs::read_link(scene.at("bin/link")).unwrap(), Path::new("../../../../etc/passwd"));
    assert_eq!((stat("bin/link").uid(), stat("bin/link").mtime()), (12, 1_600_000_000));
    assert!(stat("pipe").file_type().is_fifo());
    assert!(!scene.at("null").exists());
    assert_eq!(fs::read_to_string(scene.at("deep/er/file")).unwrap(), "made with its folders");
    let gone = stat("gone");
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    assert_eq!(xattr(&scene.at("fresh"), c"trusted.overlay.opaque"), Some(b"y".to_vec()));
    assert_eq!(xattr(&scene.at("bin"), c"trusted.overlay.opaque"), None);
    assert!(!scene.at(".wh..wh.plnk").exists() && !scene.at(".wh.gone").exists());
    assert_eq!(fs::read_to_string(scene.at("again")).unwrap(), "second");
}

#[test]
fn what_is_removed_and_made_anew_hides_what_was_below() {
    let rows: [&[Row]; 2] = [
        &[(b'0', ".wh.folder", ""), (b'5', "folder/", ""), (b'0', ".wh.file", ""), (b'0', "file", "new")],
        &[(b'5', "folder/", ""), (b'0', ".wh.folder", ""), (b'0', "file", "new"), (b'0', ".wh.file", "")],
    ];
    for rows in rows {
        let (scene, result) = unpacked(rows);
        result.unwrap();
        assert_eq!(xattr(&scene.at("folder"), c"trusted.overlay.opaque"), Some(b"y".to_vec()));
        assert_eq!(fs::read_to_string(scene.at("file")).unwrap(), "new");
    }
}

#[test]
fn every_way_out_is_refused_by_name() {
    let problem = |rows: &[Row]| match unpacked(rows).1 {
        Err(UnpackError::Hostile { problem, .. }) => problem,
        other => panic!("{rows:?}: {other:?}"),
    };
    for (rows, expected) in [
        (&[(b'0', "../secret", "x")][..], Problem::DotDot),
        (&[(b'0', "a/../../secret", "x")], Problem::DotDot),
        (&[(b'0', "/secret", "x")], Problem::Absolute),
        (&[(b'2', "out", ".."), (b'0', "out/secret", "x")], Problem::LinkOut),
        (&[(b'2', "out", "/tmp"), (b'0', "out/secret", "x")], Problem::LinkOut),
        (&[(b'2', "a", "b"), (b'2', "b", "a"), (b'0', "a/x", "x")], Problem::NoFolder),
        (&[(b'2', "nowhere", "none"), (b'0', "nowhere/x", "x")], Problem::NoFolder),
        (&[(b'0', "file", ""), (b'0', "file/x", "x")], Problem::NoFolder),
        (&[(b'1', "hard", "../secret")], Problem::HardLink),
        (&[(b'1', "hard", "none")], Problem::HardLink),
        (&[(b'2', "out", ".."), (b'1', "hard", "out/secret")], Problem::HardLink),
        (&[(b'0', ".wh.gone", ""), (b'1', "hard", "gone")], Problem::HardLink),
        (&[(b'5', "full", ""), (b'0', "full/x", ""), (b'0', "full", "")], Problem::FullFolder),
        (&[(b'0', ".wh..", "")], Problem::Whiteout),
        (&[(b'0', "a/.wh.", "")], Problem::Whiteout),
        (&[(b'S', "sparse", "")], Problem::Sparse),
        (&[(b'5', "out/", ""), (b'2', "link", "../../out"), (b'0', "link/x", "x")], Problem::LinkOut),
    ] {
        assert_eq!(problem(rows), expected, "{rows:?}");
    }
    // A link that stays inside may be gone through.
    let (scene, result) = unpacked(&[(b'5', "usr/lib", ""), (b'2', "lib", "usr/lib"), (b'0', "lib/x", "x")]);
    result.unwrap();
    assert_eq!(fs::read_to_string(scene.at("usr/lib/x")).unwrap(), "x");
}

#[test]
fn a_link_that_waits_for_a_write_is_replaced_not_followed() {
    let (scene, result) = unpacked(&[(b'2', "file", "../secret"), (b'0', "file", "mine")]);
    result.unwrap();
    assert!(fs::symlink_metadata(scene.at("file")).unwrap().is_file());
    let scene = Scene::new();
    symlink("../secret", scene.at("there")).unwrap();
    let bytes = archive(&[(b'5', "there", "")]);
    scene.unpack(&bytes, &Digest::of(&bytes), LIMITS).unwrap();
    assert!(fs::symlink_metadata(scene.at("there")).unwrap().is_dir());
}

#[test]
fn too_much_of_anything_is_refused() {
    let many: Vec<Row> = vec![(b'0', "same", ""); 1_001];
    assert!(matches!(unpacked(&many).1, Err(UnpackError::Entries(1_000))));

    // A megabyte of zeros in a kilobyte of gzip, a thousand times.
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let mut header = header(b'0', b"zeros", 1 << 30);
    header.set_cksum();
    bomb.write_all(header.as_bytes()).unwrap();
    let zeros = vec![0; 1 << 20];
    (0..80).for_each(|_| bomb.write_all(&zeros).unwrap());
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    let scene = Scene::new();
    let result = scene.unpack(&bomb, &Digest::of(b""), LIMITS);
    assert!(matches!(result, Err(UnpackError::Bytes(_))), "{result:?}");

    let full = Limits { reserve: u64::MAX, ..LIMITS };
    let bytes = archive(&[(b'0', "a", "x")]);
    let result = scene.unpack(&bytes, &Digest::of(&bytes), full);
    assert!(matches!(result, Err(UnpackError::NoSpace { reserve: u64::MAX, .. })), "{result:?}");
    let text = result.unwrap_err().to_string();
    assert!(text.contains("no space left") && text.contains("reserve"), "{text}");

    let mut long = tar::Header::new_gnu();
    long.set_entry_type(tar::EntryType::new(b'L'));
    long.set_size(1 << 40);
    long.set_cksum();
    let result = scene.unpack(long.as_bytes(), &Digest::of(b""), LIMITS);
    assert!(matches!(result, Err(UnpackError::Damaged(_))), "{result:?}");

    let cancelled = Arc::new(AtomicBool::new(true));
    let result = unpack(&bytes[..], &scene.layer(), &Digest::of(&bytes), LIMITS, &cancelled);
    assert!(matches!(result, Err(UnpackError::Cancelled)), "{result:?}");
}

#[test]
fn every_compression_and_its_damage() {
    let bytes = archive(&[(b'0', "file", "content")]);
    let digest = Digest::of(&bytes);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&bytes).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::stream::encode_all(&bytes[..], 3).unwrap();
    // Two frames with a skippable one before, as tools that allow random access write.
    let halves = [&bytes[..700], &bytes[700..]].map(|half| zstd::stream::encode_all(half, 3).unwrap());
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4][..], &halves[0], &halves[1]].concat();
    for blob in [&bytes, &gzip, &zstd, &skippable] {
        let scene = Scene::new();
        assert_eq!(scene.unpack(blob, &digest, LIMITS).unwrap(), bytes.len() as u64);
        assert_eq!(fs::read_to_string(scene.at("file")).unwrap(), "content");
        for cut in [1, blob.len() / 2, blob.len() - 1] {
            let result = Scene::new().unpack(&blob[..cut], &digest, LIMITS);
            assert!(result.is_err(), "{cut} of {}", blob.len());
        }
        let result = Scene::new().unpack(blob, &Digest::of(b"other"), LIMITS);
        assert!(matches!(result, Err(UnpackError::Digest { .. })), "{result:?}");
    }
}

#[test]
fn holes_stay_holes_and_long_names_and_capabilities_arrive() {
    const SIZE: usize = 4 * 1024 * 1024;
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let mut builder = tar::Builder::new(Vec::new());
    let mut plain = header(b'0', b"", 3);
    builder.append_data(&mut plain, &long, &b"abc"[..]).unwrap();
    let xattrs = [
        ("SCHILY.xattr.security.capability", &capability[..]),
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
    ];
    builder.append_pax_extensions(xattrs).unwrap();
    builder.append_data(&mut header(b'0', b"", 3), "ping", &b"elf"[..]).unwrap();
    builder.append_data(&mut header(b'0', b"", SIZE), "disk", &vec![0; SIZE][..]).unwrap();
    let bytes = builder.into_inner().unwrap();
    let scene = Scene::new();
    scene.unpack(&bytes, &Digest::of(&bytes), LIMITS).unwrap();
    assert_eq!(fs::read_to_string(scene.at(&long)).unwrap(), "abc");
    assert_eq!(xattr(&scene.at("ping"), c"security.capability"), Some(capability.to_vec()));
    assert_eq!(xattr(&scene.at("ping"), c"trusted.overlay.opaque"), None);
    let disk = fs::metadata(scene.at("disk")).unwrap();
    assert_eq!(disk.len(), SIZE as u64);
    assert!(disk.blocks() * 512 < 128 * 1024, "{} blocks", disk.blocks());
}

/// Names that mean something, and combinations of them.
fn name() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "a",
        "b",
        "c",
        ".",
        "..",
        "",
        "secret",
        ".wh.a",
        ".wh.b",
        ".wh..wh..opq",
        ".wh..",
        ".wh.",
        "layer",
    ]);
    prop::collection::vec(part, 1..5).prop_map(|parts| parts.join("/"))
}

fn row() -> impl Strategy<Value = (u8, String, String)> {
    let kind = prop::sample::select(b"000055512233467xLS".to_vec());
    let target =
        prop_oneof![name(), Just("../secret".to_owned()), Just("/".to_owned()), Just("..".to_owned())];
    (kind, name(), target)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_archive_touches_what_lies_outside(rows in prop::collection::vec(row(), 1..20)) {
        let rows: Vec<Row> = rows.iter().map(|(kind, name, content)| (*kind, name.as_str(), content.as_str())).collect();
        // Checks what lies outside, whatever comes of it.
        drop(unpacked(&rows));
    }

    #[test]
    fn damaged_bytes_are_taken_or_refused(
        rows in prop::collection::vec(row(), 1..6),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let rows: Vec<Row> = rows.iter().map(|(kind, name, content)| (*kind, name.as_str(), content.as_str())).collect();
        let mut bytes = archive(&rows);
        for (at, value) in hits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let digest = Digest::of(&bytes);
        drop(Scene::new().unpack(&bytes, &digest, LIMITS));
    }
}
