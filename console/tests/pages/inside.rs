//! What is inside: output, sandbox and course of a task, the machine beneath a node.

use super::*;

#[tokio::test]
async fn output_is_read_on_from_where_it_ended() {
    let mut browser = logged_in(&furnished()).await;
    let task = task_of(&mut browser, "/apps/shop/web").await;
    let whole = browser.get(&format!("{task}/files/stdout")).await.body;
    assert!(whole.len() > 64 * 1024, "more than one page");
    let mut shown = String::new();
    let mut next = format!("{task}/log/stdout?offset=0");
    while shown.len() < whole.len() {
        let page = browser.get(&next).await;
        let lines = page.body.split("<span class=\"line\">").skip(1);
        lines.for_each(|line| shown.push_str(line.split("</span>").next().expect("a line ends")));
        let newer = page.between("", "\" rel=\"next\"").rsplit('"').next().expect("a link").to_owned();
        assert_ne!(newer, next, "no progress at {} of {} bytes", shown.len(), whole.len());
        next = newer;
    }
    assert_eq!(shown, whole);
    for bad in ["/tasks/none/log/stdin", "/tasks/A%20B/files/stdout", "/tasks/x/files/passwd"] {
        assert_eq!(browser.get(bad).await.status, StatusCode::NOT_FOUND, "{bad}");
    }
}

#[tokio::test]
async fn output_is_found_by_byte_by_time_and_by_text() {
    let mut browser = logged_in(&furnished()).await;
    let task = task_of(&mut browser, "/apps/shop/web").await;
    let log = format!("{task}/log/stdout");
    let page = browser.get(&format!("{log}?at=20000&wrap=no")).await;
    let marked: u64 = page.between("#marked\" id=\"marked\">", "<").parse().expect("an offset");
    assert!((19_900..=20_000).contains(&marked), "{marked}");
    page.has(&format!("href=\"{log}?at={marked}&#38;wrap=no#marked\""));
    page.has("lines nowrap");
    // 27 s after the first byte the fake was at byte 26000.
    let page = browser.get(&format!("{log}?time=2026-11-22T14:00:27")).await;
    let marked: u64 = page.between("#marked\" id=\"marked\">", "<").parse().expect("an offset");
    assert!((25_900..=26_000).contains(&marked), "{marked}");
    page.has("written 2026-11-22 14:00:1");
    browser.get(&format!("{log}?time=noon")).await.has("The time was not understood");

    let page = browser.get(&format!("{log}?q=Cart")).await;
    page.has("&#60;i&#62;2&#60;/i&#62; Cart</code>");
    page.has(&format!("href=\"{log}?at=200#marked\""));
    let more = page.between("Searched up to byte 400. <a href=\"", "\"").replace("&#38;", "&");
    assert_eq!(more, format!("{log}?q=Cart&from=400"));
    browser.get(&more).await.lacks("Searched up to");
    browser.get(&format!("{log}?q=nothing")).await.has("“nothing” is not in what was searched");
}

#[tokio::test]
async fn the_sandbox_is_browsed_and_harms_nobody() {
    let mut browser = logged_in(&furnished()).await;
    let task = task_of(&mut browser, "/apps/shop/web").await;
    browser.get(&task).await.has(&format!("href=\"{task}/sandbox\""));
    let page = browser.get(&format!("{task}/sandbox")).await;
    page.has("&#60;b&#62;odd␊name\u{fffd}");
    page.has("link to conf/app.conf");
    page.lacks("path=pipe");
    let odd = format!("{task}/file?path=%3Cb%3Eodd%0Aname%FF");
    page.has(&odd);
    assert_eq!(browser.get(&odd).await.body, "odd");
    browser.get(&format!("{task}/sandbox?path=conf")).await.has("app.conf");
    browser.get(&format!("{task}/sandbox?path=conf/app.conf")).await.has("colour = red\nlisten");
    let notes = browser.get(&format!("{task}/sandbox?path=notes.txt")).await;
    notes.has("&#60;script&#62;");
    notes.lacks("<script>alert");
    browser.get(&format!("{task}/sandbox?path=binary")).await.has("This is not text");
    browser
        .get(&format!("{task}/sandbox?path=picture.png"))
        .await
        .has(&format!("src=\"{task}/file?path=picture.png\""));
    let markup = browser.get(&format!("{task}/file?path=notes.txt")).await;
    assert!(markup.header("content-disposition").starts_with("attachment"));
    assert_eq!(markup.header("content-security-policy"), "default-src 'none'; sandbox");
    assert_eq!(markup.header("content-type"), "application/octet-stream");
    let tar = browser.get(&format!("{task}/archive?path=conf")).await;
    assert_eq!(tar.header("content-type"), "application/x-tar");
    for (query, status) in [
        ("sandbox?path=..", StatusCode::BAD_REQUEST),
        ("file?path=a/../../b", StatusCode::BAD_REQUEST),
        ("sandbox?path=gone", StatusCode::NOT_FOUND),
        ("file?path=conf", StatusCode::NOT_FOUND),
        ("sandbox?path=pipe", StatusCode::FORBIDDEN),
        ("file?path=pipe", StatusCode::FORBIDDEN),
    ] {
        assert_eq!(browser.get(&format!("{task}/{query}")).await.status, status, "{query}");
    }
    browser.extra = vec![("range", "bytes=0-1"), ("accept-encoding", "gzip")];
    let part = browser.get(&odd).await;
    assert_eq!((part.status, part.body.as_str()), (StatusCode::PARTIAL_CONTENT, "od"));
}

#[tokio::test]
async fn a_task_shows_its_course_what_it_uses_and_no_secret() {
    let mut browser = logged_in(&furnished()).await;
    let task = task_of(&mut browser, "/apps/shop/web").await;
    let page = browser.get(&task).await;
    for says in
        ["Planned", "0.23 of 0.5 CPUs", "301.0 MiB of 512.0 MiB", "DB_PASSWORD", "LOG_LEVEL", "killed one of"]
    {
        page.has(says);
    }
    page.lacks("hunter2");
    let page = browser.get("/apps/tools/import").await;
    let starved = page.between("Killed because it ran out", "</tr>");
    assert!(!starved.is_empty());
    let row = page.body.split("<tr>").find(|row| row.contains("ran out of its memory")).expect("its row");
    let href = row.split("href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a link");
    browser.get(href).await.has("<span class=\"tag bad\">out of memory</span>");
}

#[tokio::test]
async fn the_machine_and_its_logs() {
    let mut browser = logged_in(&furnished()).await;
    let node = browser.get("/node").await;
    for says in
        ["QEMU HARDDISK", "vda2 DATA 18.0 GiB", "1 Gbit/s", "no carrier", "192.168.7.1", "kept for the node"]
    {
        node.has(says);
    }
    let kernel = browser.get("/node/kernel?level=3").await;
    kernel.has("record &#60;995&#62; of the kernel");
    kernel.lacks("record &#60;996&#62;");
    let older = kernel.between("/kernel?level=3&#38;before=", "\"");
    browser.get(&format!("/node/kernel?level=3&before={older}")).await.has("Newest");
    let file = browser.get("/node/kernel.txt").await;
    assert!(file.header("content-disposition").contains("kernel.txt"));
    assert_eq!(file.body.lines().count(), 1_000);
    let agent = browser.get("/node/services/agent").await;
    agent.has("WARN &#60;odd&#62;\n");
    assert_eq!(browser.get("/node/services/nobody").await.status, StatusCode::NOT_FOUND);
    assert!(browser.get("/node/services/agent/log.txt").await.body.starts_with("INFO"));
}
