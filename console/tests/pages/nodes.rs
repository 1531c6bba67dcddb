//! The nodes of the cluster.

use super::*;

#[tokio::test]
async fn who_belongs_what_may_be_lost_and_how_others_come_in() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    let page = browser.get("/nodes").await;
    page.has("survives the loss of any one of its 3 servers");
    page.has("does not answer");
    page.has("There are no join tokens.");

    let wish = [("action", "invite"), ("name", "rack 4"), ("uses", "3"), ("hours", "24")];
    browser.send("/nodes", &wish).await.has("meseta1.an-example");
    let page = browser.get("/nodes").await;
    page.has("rack 4");
    page.lacks("meseta1.");
    let again = browser.send("/nodes", &wish).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    again.has("the name of another join token");
    again.has("value=\"rack 4\"");
    let odd = browser
        .send("/nodes", &[("action", "invite"), ("name", "x"), ("uses", "many"), ("hours", "24")])
        .await;
    assert_eq!(odd.status, StatusCode::UNPROCESSABLE_ENTITY);
    odd.has("must be a number from 1");
    let none =
        browser.send("/nodes", &[("action", "invite"), ("name", "x"), ("uses", "1"), ("hours", "0")]).await;
    assert_eq!(none.status, StatusCode::BAD_REQUEST);

    let gone = browser.send("/nodes", &[("action", "revoke"), ("name", "rack 4")]).await;
    assert_eq!(gone.location, "/nodes");
    browser.get("/nodes").await.has("There are no join tokens.");
}

#[tokio::test]
async fn a_node_is_removed_after_its_consequence_was_read() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    let before = state(&fake);
    let lost = before.members.iter().find(|(_, member)| member.lost_since.is_some());
    let id = lost.map(|(id, _)| id.to_string()).expect("one is lost");
    let page = browser.get(&format!("/nodes?remove={id}")).await;
    page.has("Its 2 instances are started on other nodes");
    page.has("refused from now on");
    let removed = browser.send("/nodes", &[("action", "remove"), ("node", &id)]).await;
    assert_eq!(removed.location, "/nodes");
    assert_eq!(state(&fake).members.len(), 2);
    let unknown = browser.send("/nodes", &[("action", "remove"), ("node", &id)]).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/nodes?remove=n1").await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.send("/nodes", &[("action", "explode")]).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_authority_is_replaced_and_the_page_says_for_whom_it_waits() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    browser.get("/nodes").await.has("href=\"/nodes?authority=show\"");
    browser.get("/nodes?authority=show").await.has("The present one is number 0.");
    let wish = [("action", "replace-authority")];
    assert_eq!(browser.send("/nodes", &wish).await.location, "/nodes?authority=show");
    let page = browser.get("/nodes?authority=show").await;
    page.has("Step 1 of 2");
    page.has("<li>rock-1</li>");
    page.lacks("value=\"replace-authority\"");
    fake.change(|state| {
        let pending = state.members.keys().copied().take(1).collect();
        let before = "before".to_owned();
        state.succession = Some(model::membership::Succession::Certify { before, pending });
    });
    browser.get("/nodes?authority=show").await.has("Step 2 of 2");
    let again = browser.send("/nodes", &wish).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    again.has("Is being replaced already; wait until that is over.");
    fake.change(|state| (state.authority, state.members) = (None, Default::default()));
    assert_eq!(browser.get("/nodes?authority=show").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_machine_has_its_own_address_and_another_one_is_never_shown_in_its_place() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    let ids: Vec<String> = state(&fake).members.keys().map(ToString::to_string).collect();
    let own = fake.node().id.to_string();
    let page = browser.get("/nodes").await;
    for id in &ids {
        page.has(&format!("href=\"/nodes/{id}\""));
    }
    let page = browser.get(&format!("/nodes/{own}")).await;
    page.has(&format!("href=\"/nodes/{own}?confirm=reboot\""));
    for part in ["/kernel", "/services/agent"] {
        assert_eq!(browser.get(&format!("/nodes/{own}{part}")).await.status, StatusCode::OK, "{part}");
    }
    browser.get(&format!("/nodes/{own}?confirm=reboot")).await.has(&format!("action=\"/nodes/{own}\""));
    let other = ids.iter().find(|id| **id != own).expect("another");
    for path in [format!("/nodes/{other}"), format!("/nodes/{other}/kernel")] {
        let away = browser.get(&path).await;
        assert_eq!(away.status, StatusCode::SERVICE_UNAVAILABLE);
        away.has("does not answer now");
    }
    let wish = [("action", "off")];
    let refused = browser.send(&format!("/nodes/{other}"), &wish).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "this machine stays on");
    assert_eq!(browser.get("/nodes/n1").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_page_of_a_node_that_is_cut_off_says_so() {
    let fake = furnished();
    let mut browser = logged_in(&fake).await;
    browser.get("/apps").await.lacks("has heard nothing of a majority");
    *fake.out_of_touch_s.lock().expect("not poisoned") = Some(42);
    for path in ["/apps", "/nodes", "/events"] {
        browser.get(path).await.has("has heard nothing of a majority of its cluster for 42 s");
    }
}
