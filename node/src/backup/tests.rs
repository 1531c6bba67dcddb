//! What was written comes back; what was not is refused, each kind by its name.

use std::io::Write;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use model::State;
use model::limits::{BACKUP_FILE_BYTES_MAX, RESTORE_BYTES_MAX};
use model::testing::Lab;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::file::{ReadError, WriteError, read, write};
use super::seal::{Lock, key};

fn state() -> State {
    let mut lab = Lab::with_app(2);
    lab.settle();
    lab.state
}

fn lock() -> Lock {
    Lock::of_passphrase("correct horse", [7; 16], [9; 12]).unwrap()
}

static OPEN: LazyLock<Vec<u8>> = LazyLock::new(|| write(&state(), None).unwrap());

/// The same file with another end of which its checksum is right.
fn summed(body: &[u8]) -> Vec<u8> {
    [body, &Sha256::digest(body)].concat()
}

#[test]
fn a_locked_backup_comes_back_whole_by_its_passphrase_alone() {
    let state = state();
    let file = write(&state, Some(&lock())).unwrap();
    let (header, back) = read(&file, Some("correct horse")).unwrap();
    assert_eq!(back, state.for_backup(true));
    assert_eq!((header.index, header.at, header.cluster), (state.index, state.now, state.cluster));
    assert_eq!((header.apps, header.users, header.secrets), (1, 1, true));
    assert_eq!(read(&file, Some("wrong horse")), Err(ReadError::WrongPassphrase));
    assert_eq!(read(&file, None), Err(ReadError::Locked));
    let hash = &state.users["admin"].password_hash;
    assert!(!String::from_utf8_lossy(&file).contains(hash), "nothing is to be read in it");

    // What the first line says cannot be changed either, by somebody who makes the checksum right again.
    let text = String::from_utf8_lossy(&file[..200]).into_owned();
    let at = text.find("\"apps\":1").unwrap() + 7;
    let mut forged = file[..file.len() - 32].to_vec();
    forged[at] = b'2';
    assert_eq!(read(&summed(&forged), Some("correct horse")), Err(ReadError::WrongPassphrase));
}

#[test]
fn a_file_under_the_key_of_a_schedule_is_opened_by_its_passphrase() {
    let key = key("correct horse", [5; 16]).unwrap();
    let (one, two) = (Lock::of_key(&key, [1; 12]), Lock::of_key(&key, [2; 12]));
    let [one, two] = [one, two].map(|lock| write(&state(), Some(&lock)).unwrap());
    assert_ne!(one, two);
    for file in [one, two] {
        assert_eq!(read(&file, Some("correct horse")).unwrap().1, state().for_backup(true));
        assert_eq!(read(&file, Some("another horse")), Err(ReadError::WrongPassphrase));
    }
}

#[test]
fn an_open_backup_holds_no_secrets_and_says_so() {
    let (header, back) = read(&OPEN, None).unwrap();
    assert_eq!(back, state().for_backup(false));
    assert!(!header.secrets && back.users.is_empty());
    assert_eq!(read(&OPEN, Some("not asked for")).unwrap().1, back);
}

#[test]
fn foreign_newer_and_oversized_files_are_refused_by_name() {
    assert_eq!(read(b"", None), Err(ReadError::Foreign));
    assert_eq!(read(b"PK\x03\x04", None), Err(ReadError::Foreign));
    let newer = b"MESETA-BACKUP {\"format\":2,\"unheard\":\"of\"}\nrest";
    assert_eq!(read(newer, None), Err(ReadError::Newer { found: 2 }));
    assert!(matches!(read(b"MESETA-BACKUP {}\n", None), Err(ReadError::Damaged(_))));
    let endless = [b"MESETA-BACKUP ".as_slice(), &[b' '; 10_000]].concat();
    assert!(matches!(read(&endless, None), Err(ReadError::Damaged(_))));
    let large = vec![b'M'; BACKUP_FILE_BYTES_MAX + 1];
    assert_eq!(read(&large, None), Err(ReadError::TooLarge { limit: BACKUP_FILE_BYTES_MAX }));
    let level = State { feature_level: 99, ..state() };
    let file = write(&level, None).unwrap();
    assert_eq!(read(&file, None), Err(ReadError::NewerState { found: 99 }));
}

/// The open backup with another payload.
fn with_payload(payload: &[u8]) -> Vec<u8> {
    let line = OPEN.iter().position(|byte| *byte == b'\n').unwrap();
    summed(&[&OPEN[..=line], payload].concat())
}

#[test]
fn a_payload_is_bounded_and_must_be_a_state() {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0; 1024 * 1024];
    for _ in 0..=RESTORE_BYTES_MAX / zeros.len() {
        bomb.write_all(&zeros).unwrap();
    }
    let bomb = with_payload(&bomb.finish().unwrap());
    assert_eq!(read(&bomb, None), Err(ReadError::TooLarge { limit: RESTORE_BYTES_MAX }));
    assert!(matches!(read(&with_payload(b"no gzip"), None), Err(ReadError::Damaged(_))));
    let mut other = GzEncoder::new(Vec::new(), Compression::fast());
    other.write_all(b"{\"format\":1}").unwrap();
    assert!(matches!(read(&with_payload(&other.finish().unwrap()), None), Err(ReadError::State(_))));
}

#[test]
fn a_state_that_no_node_could_take_is_not_written() {
    let mut state = state();
    state.secrets.insert("large".to_owned(), "x".repeat(RESTORE_BYTES_MAX));
    let answer = write(&state, Some(&lock()));
    assert!(matches!(answer, Err(WriteError::TooLarge { .. })), "{answer:?}");
}

proptest! {
    #[test]
    fn no_byte_can_change_unseen(at in any::<prop::sample::Index>(), bit in 0_u32..8) {
        let mut file = OPEN.clone();
        let at = at.index(file.len());
        file[at] ^= 1_u8 << bit;
        prop_assert!(read(&file, None).is_err());
    }

    #[test]
    fn no_part_passes_for_the_whole(at in any::<prop::sample::Index>()) {
        prop_assert!(read(&OPEN[..at.index(OPEN.len())], None).is_err());
    }

    #[test]
    fn any_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read(&bytes, None).is_err());
        let dressed = [b"MESETA-BACKUP ".as_slice(), &bytes].concat();
        prop_assert!(read(&summed(&dressed), None).is_err());
    }
}
