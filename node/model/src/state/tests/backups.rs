//! How backups went, and when the next one is due.

use crate::backup::{BUCKETS_FROM, BackupNote, Bucket, Key, Locking, Plan, Schedule, Secret};
use crate::command::{Command, FEATURE_LEVEL, Reject};
use crate::event::EventKind;
use crate::testing::{self, Lab};
use crate::{State, Timestamp};

fn lab_at(level: u32) -> Lab {
    let mut lab = Lab::new();
    lab.must(Command::RegisterNode { node: testing::node(1) });
    lab.must(Command::RaiseFeatureLevel { level });
    lab
}

fn bucket() -> Bucket {
    Bucket {
        endpoint: "http://127.0.0.1:9000".to_owned(),
        name: "backups".to_owned(),
        prefix: String::new(),
        region: "us-east-1".to_owned(),
        access_key: "AKIA".to_owned(),
        secret_key: Secret("hidden".to_owned()),
        path_style: true,
    }
}

fn plan() -> Plan {
    let key = Key { salt: [3; 16], bytes: [4; 32] };
    Plan { every_hours: 6, keep: 3, locking: Locking::Key(key), bucket: Some(bucket()) }
}

fn set(lab: &mut Lab, plan: Plan) {
    lab.must(Command::PlanBackups { plan: Box::new(plan) });
}

/// The leader's, of the state as it is now.
fn note(state: &State, error: Option<&str>) -> BackupNote {
    let error = error.map(str::to_owned);
    BackupNote {
        index: state.index,
        bytes: 1,
        secrets: true,
        scheduled: true,
        error,
        ..BackupNote::default()
    }
}

fn is_due(state: &State) -> bool {
    state.backup_due().is_some_and(|due| due <= state.now)
}

#[test]
fn the_last_backup_is_remembered_with_its_time() {
    let mut lab = lab_at(FEATURE_LEVEL);
    let note = BackupNote { scheduled: false, at: Timestamp(1), ..note(&lab.state, None) };
    lab.must(Command::NoteBackup { note: note.clone() });
    let kept = lab.state.last_backup.clone().expect("noted");
    assert_eq!(kept, BackupNote { at: lab.state.now, ..note.clone() });
    let failed = BackupNote { error: Some("ö".repeat(2_000)), ..note };
    lab.must(Command::NoteBackup { note: failed });
    let error = lab.state.last_backup.clone().and_then(|note| note.error).expect("why");
    assert!(error.len() <= crate::limits::MESSAGE_BYTES_MAX && error.starts_with('ö'));
    assert_eq!((lab.state.backup_course, lab.state.scheduled_at), (None, None), "a person's own");
}

#[test]
fn a_schedule_is_due_at_once_and_then_by_its_period() {
    let mut lab = lab_at(FEATURE_LEVEL);
    assert_eq!(lab.state.backup_due(), None);
    let answer = lab.run(Command::PlanBackups { plan: Box::new(Plan { keep: 0, ..plan() }) });
    assert!(matches!(&answer, Err(Reject::Invalid { path, .. }) if path == "/keep"), "{answer:?}");
    set(&mut lab, plan());
    assert!(is_due(&lab.state));
    let made = note(&lab.state, None);
    lab.must(Command::NoteBackup { note: BackupNote { scheduled: false, ..made.clone() } });
    assert!(is_due(&lab.state), "a person's own does not count");
    lab.must(Command::NoteBackup { note: made });
    assert_eq!(lab.state.backup_due(), Some(lab.state.now.plus_ms(6 * 3_600_000)));
    lab.must(Command::BackUpNow);
    assert!(is_due(&lab.state), "somebody asked");
    let with = lab.state.for_backup(true).backup_schedule.expect("kept");
    let now = lab.state.backup_schedule.clone().expect("set");
    assert_eq!((with.key, with.bucket, with.since), (now.key, now.bucket, 0));
    assert_eq!(lab.state.for_backup(false).backup_schedule, None);
    lab.must(Command::SetBackupSchedule { schedule: None });
    assert_eq!(lab.state.backup_due(), None);
    assert!(lab.run(Command::BackUpNow).is_err(), "there is nothing to be done now");
}

#[test]
fn a_failure_is_tried_again_and_forgotten_with_the_next_success() {
    let mut lab = lab_at(FEATURE_LEVEL);
    set(&mut lab, plan());
    for (failures, seconds) in [(1, 10), (2, 20), (3, 40)] {
        let failed = note(&lab.state, Some("403: no"));
        lab.must(Command::NoteBackup { note: failed });
        let course = lab.state.backup_course.clone().expect("followed");
        assert_eq!((course.failures, course.good_at), (failures, None));
        assert_eq!(course.last.error.as_deref(), Some("403: no"));
        assert_eq!(lab.state.backup_due(), Some(lab.state.now.plus_ms(seconds * 1_000)));
    }
    let good = note(&lab.state, None);
    lab.must(Command::NoteBackup { note: BackupNote { left: Some("no list".to_owned()), ..good } });
    let course = lab.state.backup_course.clone().expect("followed");
    assert_eq!((course.failures, course.good_at), (0, Some(lab.state.now)));
    let told = |kind: &EventKind| matches!(kind, EventKind::BackupsLeft { reason } if reason == "no list");
    assert!(lab.state.events.iter().any(|event| told(&event.kind)));
}

#[test]
fn what_was_made_for_an_earlier_schedule_does_not_count_for_this_one() {
    let mut lab = lab_at(FEATURE_LEVEL);
    set(&mut lab, plan());
    let late = note(&lab.state, Some("the old bucket is gone"));
    set(&mut lab, Plan { bucket: None, locking: Locking::Keep, ..plan() });
    lab.must(Command::NoteBackup { note: late });
    assert!(is_due(&lab.state) && lab.state.backup_course.is_none());
    assert!(lab.state.last_backup.is_some(), "it is told all the same");
}

#[test]
fn older_members_are_not_asked_for_what_they_do_not_know() {
    let mut lab = lab_at(BUCKETS_FROM - 1);
    for command in [Command::PlanBackups { plan: Box::new(plan()) }, Command::BackUpNow] {
        assert!(matches!(lab.run(command), Err(Reject::FeatureLevel { .. })));
    }
    // As an older program says it, and everything as it does.
    let schedule = Schedule {
        every_hours: 6,
        keep: 3,
        passphrase: Some("a passphrase".to_owned()),
        key: None,
        bucket: None,
        since: 0,
    };
    for (wrong, path) in [
        (Schedule { every_hours: 0, ..schedule.clone() }, "/every_hours"),
        (Schedule { passphrase: Some("short".to_owned()), ..schedule.clone() }, "/passphrase"),
    ] {
        let answer = lab.run(Command::SetBackupSchedule { schedule: Some(wrong) });
        assert!(matches!(&answer, Err(Reject::Invalid { path: found, .. }) if found == path), "{answer:?}");
    }
    let more = Schedule { bucket: Some(bucket()), since: 9, ..schedule.clone() };
    lab.must(Command::SetBackupSchedule { schedule: Some(more) });
    assert_eq!(lab.state.backup_schedule, Some(schedule.clone()));
    let failed = note(&lab.state, Some("no room"));
    lab.must(Command::NoteBackup { note: failed });
    assert_eq!(lab.state.backup_course, None);
    assert_eq!(lab.state.backup_due(), Some(lab.state.now.plus_ms(6 * 3_600_000)));
    lab.must(Command::RaiseFeatureLevel { level: FEATURE_LEVEL });
    set(&mut lab, Plan { locking: Locking::Keep, ..plan() });
    let kept = lab.state.backup_schedule.clone().expect("set");
    assert_eq!((kept.passphrase, kept.key), (schedule.passphrase, None), "it locks as before");
}

#[test]
fn an_unsound_schedule_is_not_restored() {
    let mut lab = lab_at(FEATURE_LEVEL);
    set(&mut lab, plan());
    let mut backup = lab.state.for_backup(true);
    if let Some(bucket) = backup.backup_schedule.as_mut().and_then(|schedule| schedule.bucket.as_mut()) {
        bucket.endpoint = "nowhere".to_owned();
    }
    let mut blank = Lab::empty();
    blank.must(Command::RegisterNode { node: testing::node(9) });
    blank.must(Command::RaiseFeatureLevel { level: FEATURE_LEVEL });
    let answer = blank.run(Command::Restore {
        cluster: crate::ClusterId(77),
        backup: Box::new(backup),
        admin: None,
        session_key: crate::auth::SessionKey("11".repeat(32)),
    });
    assert!(matches!(&answer, Err(Reject::Invalid { path, .. }) if path == "/file"), "{answer:?}");
}
