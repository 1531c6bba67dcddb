//! Backups, beginning from one, and going on after a loss: what the pages say. Files are the node's matter.

use model::backup::BackupNote;

use super::*;

#[tokio::test]
async fn the_last_backup_and_its_outcome_are_on_the_settings_page() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    browser.get("/settings").await.has("There has been none.");
    let note = BackupNote { at: NOW, index: 77, bytes: 2_049, secrets: true, scheduled: false, error: None };
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
    browser.send("/settings/schedule", &[("action", "end")]).await;
    browser.get("/settings").await.has("There are none.");
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
