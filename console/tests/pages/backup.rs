//! Backups, beginning from one, and going on after a loss: what the pages say. Files are the node's matter.

use model::backup::BackupNote;

use super::*;

#[tokio::test]
async fn the_last_backup_and_its_outcome_are_on_the_settings_page() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    browser.get("/settings").await.has("There has been none.");
    let note = BackupNote { at: NOW, index: 77, bytes: 2_049, secrets: true, ..BackupNote::default() };
    fake.change(|state| state.last_backup = Some(note.clone()));
    browser.get("/settings").await.has("3 KiB up to change 77, locked, with accounts and secrets");
    let failed = BackupNote { error: Some("no room".to_owned()), ..note };
    fake.change(|state| state.last_backup = Some(failed));
    browser.get("/settings").await.has("failed: no room");

    let refused = browser.send("/settings/backup", &[("passphrase", "")]).await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    refused.has("Backups cannot be made here");
    browser.token.clear();
    let forged = browser.send("/settings/backup", &[]).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_schedule_is_set_and_ended_without_showing_its_passphrase() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    let page = browser.get("/settings").await;
    page.has("There are none.");
    page.lacks("No more backups by themselves");
    let wish = [("action", "set"), ("hours", "6"), ("keep", "9"), ("passphrase", "a secret phrase")];
    let set = browser.send("/settings/schedule", &wish).await;
    assert_eq!((set.status, set.location.as_str()), (StatusCode::SEE_OTHER, "/settings"));
    let page = browser.get("/settings").await;
    page.has("Every 6 h, locked; the last 9 are kept.");
    page.lacks("a secret phrase");
    let wish = [("action", "set"), ("hours", "6"), ("keep", "0"), ("passphrase", "")];
    let refused = browser.send("/settings/schedule", &wish).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    refused.has("ust be 1 to 1000");
    let odd = browser.send("/settings/schedule", &[("action", "set"), ("hours", "x"), ("keep", "1")]).await;
    assert_eq!(odd.status, StatusCode::BAD_REQUEST);
    browser.get("/settings").await;
    let long = [("action", "set"), ("hours", "9000"), ("keep", "1")];
    browser.send("/settings/schedule", &long).await.has("id=\"hours-fault\">Must be 1 to 8760.");
    browser.get("/settings").await;
    browser.send("/settings/schedule", &[("action", "end")]).await;
    browser.get("/settings").await.has("There are none.");
    let nothing = browser.send("/settings/schedule", &[("action", "run")]).await;
    assert_eq!(nothing.status, StatusCode::UNPROCESSABLE_ENTITY);
    nothing.has("There are no backups by themselves: say first how often.");
}

const BUCKET: [(&str, &str); 11] = [
    ("action", "set"),
    ("hours", "24"),
    ("keep", "5"),
    ("passphrase", "a secret phrase"),
    ("target", "s3"),
    ("endpoint", "http://10.0.0.9:9000"),
    ("bucket", "kept"),
    ("prefix", "meseta/"),
    ("region", "us-east-1"),
    ("access_key", "AKIA"),
    ("secret_key", "a secret key"),
];

fn bucket_with(name: &str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    BUCKET.iter().map(|(key, now)| (*key, if *key == name { value } else { *now })).collect()
}

#[tokio::test]
async fn all_faults_of_a_schedule_stand_beside_their_fields() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    browser.get("/settings").await;
    let wrong = [
        ("action", "set"),
        ("hours", "6"),
        ("keep", "many"),
        ("passphrase", "short"),
        ("target", "s3"),
        ("endpoint", "nowhere"),
        ("bucket", "A"),
        ("prefix", "/a"),
        ("region", ""),
        ("access_key", "AK/IA"),
        ("secret_key", ""),
    ];
    let page = browser.send("/settings/schedule", &wrong).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    for (name, says) in [
        ("keep", "Must be 1 to 1000."),
        ("passphrase", "Must have 8 to 1024 characters."),
        ("endpoint", "Must be http:// or https://"),
        ("bucket", "Must have 3 to 63"),
        ("prefix", "Must have at most 512"),
        ("region", "Must be such as us-east-1"),
        ("access_key", "Is needed: the id"),
        ("secret_key", "Is needed: none is known"),
    ] {
        page.has(&format!("id=\"schedule-{name}-fault\">{says}"));
        page.has(&format!("schedule-{name}-fault\" aria-invalid=\"true\""));
    }
    for kept in ["value=\"nowhere\"", "value=\"AK/IA\"", "value=\"s3\" checked", "value=\"6\" selected"] {
        page.has(kept);
    }
    page.lacks("value=\"short\"");
    assert!(state(&fake).backup_schedule.is_none());
}

#[tokio::test]
async fn secrets_of_a_schedule_go_in_and_never_out_and_stay_if_left_empty() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    browser.get("/settings").await;
    let spaced = browser.send("/settings/schedule", &BUCKET).await;
    spaced.has("id=\"schedule-secret_key-fault\">Must have at most 256 characters without blanks.");
    let set = browser.send("/settings/schedule", &bucket_with("secret_key", "a-secret-key")).await;
    assert_eq!(set.status, StatusCode::SEE_OTHER);
    let first = state(&fake).backup_schedule.clone().expect("set");
    assert!(first.key.is_some() && first.passphrase.is_none());
    let page = browser.get("/settings").await;
    page.has("Every 24 h, locked; the last 5 are kept in bucket kept at http://10.0.0.9:9000.");
    page.has("The next one is due now.");
    page.has("value=\"s3\" checked");
    page.lacks("a-secret-key");
    page.lacks("a secret phrase");
    let silent: Vec<_> = bucket_with("keep", "9")
        .into_iter()
        .map(|(name, value)| (name, if ["passphrase", "secret_key"].contains(&name) { "" } else { value }))
        .collect();
    assert_eq!(browser.send("/settings/schedule", &silent).await.status, StatusCode::SEE_OTHER);
    let second = state(&fake).backup_schedule.clone().expect("set");
    assert_eq!((second.keep, &second.key, &second.bucket), (9, &first.key, &first.bucket));

    let note = BackupNote { scheduled: true, index: state(&fake).index, ..BackupNote::default() };
    let failed =
        BackupNote { error: Some("HTTP status 403 Forbidden: AccessDenied".to_owned()), ..note.clone() };
    for (note, says) in [
        (failed.clone(), "failed: HTTP status 403 Forbidden: AccessDenied"),
        (failed, "failed 2 times in a row: HTTP status 403"),
        (BackupNote { object: Some("meseta/a.backup".to_owned()), ..note }, ", as meseta/a.backup"),
    ] {
        let course = |before: Option<model::backup::Course>| model::backup::Course {
            failures: if note.error.is_some() { before.map_or(0, |course| course.failures) + 1 } else { 0 },
            last: note.clone(),
            good_at: None,
        };
        fake.change(|state| state.backup_course = Some(course(state.backup_course.take())));
        browser.get("/settings").await.has(says);
    }
    let now = browser.send("/settings/schedule", &[("action", "run")]).await;
    assert_eq!(now.status, StatusCode::SEE_OTHER);
    browser.get("/settings").await;
    let open: Vec<_> = silent.into_iter().chain([("open", "yes")]).collect();
    browser.send("/settings/schedule", &open).await;
    assert!(!state(&fake).backup_schedule.clone().expect("set").is_locked());
}

#[tokio::test]
async fn a_blank_node_takes_a_backup_from_its_own_page_alone() {
    let fake = Arc::new(Fake::unclaimed(NOW));
    let mut browser = Browser::new(fake.clone());
    let page = browser.get("/claim").await;
    page.has("Begin from a backup instead");
    page.has("enctype=\"multipart/form-data\"");
    let fields = [("code", CODE), ("passphrase", ""), ("password", "")];
    let refused = browser.upload("/claim/restore", &fields, "MESETA").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    refused.has("Backups are not taken in here");
    refused.has("<details class=\"join\" id=\"restore\" open>");
    refused.has(&format!("value=\"{CODE}\""));
    assert_eq!(browser.send("/claim/restore", &fields).await.status, StatusCode::FORBIDDEN);
    browser.token = "0".repeat(128);
    assert_eq!(browser.upload("/claim/restore", &fields, "MESETA").await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.get("/claim/restore").await.location, "/claim");
}

#[tokio::test]
async fn recovery_says_what_it_costs_and_wants_the_name_of_the_node() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    browser.get("/nodes").await.has("href=\"/nodes?recover=plan\"");
    let page = browser.get("/nodes?recover=plan").await;
    for text in ["192.168.7.22", "192.168.7.23", "what was acknowledged after that may be lost"] {
        page.has(text);
    }
    let page = browser.send("/nodes", &[("action", "recover"), ("confirm", "another")]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    page.has("Type the name of this node, rock-1");
    page.has("aria-invalid");
    let page = browser.send("/nodes", &[("action", "recover"), ("confirm", "rock-1")]).await;
    assert_eq!(page.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_cluster_of_one_has_nobody_to_give_up() {
    let fake = furnished();
    fake.change(|state| state.members.clear());
    let page = logged_in(&fake).await.get("/nodes?recover=plan").await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    page.has("This node is a cluster of one");
}
