//! The web page in a real browser: what a person sees and does, and what others cannot make it do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "support/browser.rs"]
mod browser;
mod support;

use browser::Browser;
use operations_emulator::{
    EndResult, MetadataScript, RpcCode, Scenario, Script, UnknownOperations,
};
use support::{NAME, start, start_scenario};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// A button in the row of the operation whose name ends so.
fn button(row: &str, word: &str) -> String {
    format!("//tr[th//a[contains(., '{row}')]]//button[.='{word}']")
}

/// JavaScript that says whether the row of this operation shows this text.
fn row_shows(row: &str, text: &str) -> String {
    format!(
        "[...document.querySelectorAll('tbody tr')].some(row => row.innerText.includes('{row}') && row.innerText.includes('{text}'))"
    )
}

#[tokio::test]
async fn a_person_sees_operations_live_and_ends_them() {
    let setup = start(Script::default()).await;
    let browser = Browser::start(true).await;
    browser.open(setup.emulator.admin_url()).await;
    browser.until_shown(NAME).await;
    browser.run("window.kept = true").await;

    for id in ["second", "third"] {
        let script = Script {
            metadata: Some(MetadataScript::default()),
            ..Script::default()
        };
        setup
            .emulator
            .set_operation(&format!("projects/p/operations/{id}"), script)
            .unwrap();
    }
    browser
        .until(&row_shows("operations/third", "RUNNING"))
        .await;
    setup.get_name("projects/p/operations/third").await;
    browser
        .until(&row_shows("/v2/projects/p/operations/third", "200"))
        .await;

    browser
        .click(&button("operations/second", "Complete"))
        .await;
    browser.until_shown("The operation has completed.").await;
    browser
        .until(&row_shows(
            "operations/second",
            "completed: type.googleapis.com",
        ))
        .await;
    let (_, json) = setup.get_name("projects/p/operations/second").await;
    assert_eq!(
        (&json["done"], json["response"].is_object()),
        (&true.into(), true)
    );
    // The next button has its place once this request is shown.
    browser
        .until(&row_shows("/v2/projects/p/operations/second", "200"))
        .await;

    browser.click(&button("operations/third", "Vanish")).await;
    browser
        .until(&row_shows("operations/third", "absent"))
        .await;
    assert_eq!(setup.get_name("projects/p/operations/third").await.0, 404);
    assert_eq!(
        browser.run("return window.kept").await,
        true,
        "all of it without a reload"
    );

    browser.click(&format!("//a[.='{NAME}']")).await;
    browser
        .type_in("//input[@name='message']", "the disk is full")
        .await;
    browser.click("//option[.='UNAVAILABLE']").await;
    browser.click("//button[.='Fail']").await;
    browser.until_shown("UNAVAILABLE: the disk is full").await;
    let (_, json) = setup.get().await;
    assert_eq!(
        (&json["error"]["code"], &json["error"]["message"]),
        (&14.into(), &"the disk is full".into())
    );
    browser.click("//button[.='Complete']").await;
    browser.until_shown("a result never changes").await;
    assert_eq!(setup.get().await.1["error"]["code"], 14);
    browser.end().await;
}

#[tokio::test]
async fn it_works_without_javascript() {
    let setup = start(Script::default()).await;
    let other = "projects/p/operations/other";
    setup
        .emulator
        .set_operation(other, Script::default())
        .unwrap();
    let browser = Browser::start(false).await;
    let page = format!("{}/?search=other", setup.emulator.admin_url());
    browser.open(&page).await;
    browser.click(&button("operations/other", "Fail")).await;
    browser.arrive("The operation has failed.").await;
    let row = browser.text("//tbody/tr[1]").await;
    assert!(
        row.contains("INTERNAL: Failed on the web page."),
        "the same selection: {row}"
    );
    assert_eq!(setup.get_name(other).await.1["error"]["code"], 13);
    browser.click(&button("operations/other", "Vanish")).await;
    browser.arrive("The operation is gone").await;
    assert_eq!(setup.get_name(other).await.0, 404);
    browser.click("//a[.='Refresh']").await;
    browser
        .find("//p[@id='notice' and not(text())]/following::tbody/tr[1]")
        .await;
    assert_eq!(setup.get().await.0, 200);
    browser.end().await;
}

#[tokio::test]
async fn hostile_names_and_messages_are_only_text() {
    const HOSTILE: &str = "<img src=x onerror=\"document.title='owned'\"><b>'&amp;\u{202e}";
    let hostile = Script {
        description: Some(HOSTILE.into()),
        metadata: Some(MetadataScript {
            type_url: Some(HOSTILE.into()),
            ..MetadataScript::default()
        }),
        ..Script::default()
    };
    let unknown_operations = UnknownOperations::Script(Box::new(hostile));
    let setup = start_scenario(Scenario {
        unknown_operations,
        ..Scenario::default()
    })
    .await;
    let browser = Browser::start(true).await;
    browser.open(setup.emulator.admin_url()).await;
    browser.run("window.kept = true").await;
    // A client names it, and says who it is.
    let name = format!("projects/p/operations/{HOSTILE}");
    let path = name
        .replace('<', "%3C")
        .replace('>', "%3E")
        .replace('"', "%22")
        .replace(' ', "%20")
        .replace('\u{202e}', "%E2%80%AE");
    let url = format!("{}/v2/{path}", setup.emulator.url());
    let request = setup
        .client
        .get(url)
        .bearer_auth(&setup.token)
        .header("user-agent", "<script>document.title='owned'</script>");
    assert_eq!(request.send().await.unwrap().status(), 200);
    setup
        .emulator
        .finish_operation(&name, EndResult::failed(RpcCode::Internal, HOSTILE))
        .unwrap();
    browser.until_shown("INTERNAL: <img src=x").await;
    let harmless =
        "return document.title !== 'owned' && !document.querySelector('img, main script, main b')";
    assert_eq!(browser.run(harmless).await, true);
    assert_eq!(
        browser
            .run("return window.kept && !document.body.innerText.includes('\\u202e')")
            .await,
        true
    );
    browser.click("//tbody//th/a").await;
    browser.arrive("Response to a GET").await;
    assert_eq!(browser.run(harmless).await, true);
    assert_eq!(
        browser
            .run("return document.querySelector('[name=name]').value")
            .await,
        name.as_str()
    );
    // Even if something got through: the policy runs no script of the page's text.
    browser.run("const s = document.createElement('script'); s.textContent = \"document.title = 'owned'\"; document.body.append(s)").await;
    assert_ne!(browser.run("return document.title").await, "owned");
    browser.end().await;
}

#[tokio::test]
async fn a_foreign_page_cannot_drive_it() {
    let setup = start(Script::default()).await;
    let admin = setup.emulator.admin_url().to_owned();
    let foreign = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = foreign.local_addr().unwrap();
    let html = format!(
        "<!DOCTYPE html><title>foreign</title><form method=post action='{admin}/change'><input name=name value='{NAME}'><button name=do value=vanish>Win</button></form>"
    );
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = foreign.accept().await {
            // A task for each: browsers open connections ahead, on which nothing comes for now.
            let html = html.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close";
                let _ = stream
                    .write_all(
                        format!("{head}\r\ncontent-length: {}\r\n\r\n{html}", html.len())
                            .as_bytes(),
                    )
                    .await;
            });
        }
    });
    let browser = Browser::start(true).await;
    // Another port is another origin, though the same site; another name is another site.
    for host in ["127.0.0.1", "localhost"] {
        browser
            .open(&format!("http://{host}:{}/", address.port()))
            .await;
        let tried = format!(
            "const done = arguments[0]; const body = new URLSearchParams({{name: '{NAME}', do: 'vanish'}}); Promise.all([ \
             fetch('{admin}/change', {{method: 'POST', mode: 'no-cors', body}}), \
             fetch('{admin}/admin/operations/finish', {{method: 'POST', mode: 'no-cors', body: '{{\"name\": \"{NAME}\", \"result\": \"noResult\"}}'}}), \
             fetch('{admin}/admin/operations?name={NAME}', {{method: 'DELETE'}}).catch(() => 0), \
             fetch('{admin}/admin/operations').then(a => a.text()).catch(() => 'unread')]).then(r => done(r[3]), e => done(String(e)))"
        );
        let read = browser.run_async(&tried).await;
        assert!(!read.to_string().contains(NAME), "it read {read}");
        browser.click("//button").await;
        browser
            .arrive("a page of another site must not change anything here")
            .await;
    }
    let (status, json) = setup.get().await;
    assert_eq!((status, json.get("done")), (200, None), "{json}");
    browser.end().await;
}

#[tokio::test]
async fn nothing_is_wider_than_the_window() {
    let long = format!("projects/p/operations/{}", "x".repeat(233));
    let setup = start_scenario(Scenario::default().with_operation(&long, Script::default())).await;
    setup.get_name(&long).await;
    setup
        .emulator
        .finish_operation(&long, EndResult::failed(RpcCode::Internal, "y".repeat(900)))
        .unwrap();
    let browser = Browser::start(true).await;
    for page in [
        setup.emulator.admin_url().to_owned(),
        format!("{}/operation?name={long}", setup.emulator.admin_url()),
    ] {
        for (width, colours) in [
            (360, "light"),
            (768, "dark"),
            (1280, "light"),
            (1280, "dark"),
        ] {
            browser.look(width, 900, colours).await;
            browser.open(&page).await;
            let fits = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth";
            assert_eq!(browser.run(fits).await, true, "{width} {page}");
            if let Some(folder) = std::env::var_os("OPCANCEL_PICTURES") {
                let kind = if page.contains("name=") { "one" } else { "all" };
                let file =
                    std::path::Path::new(&folder).join(format!("{kind}-{width}-{colours}.base64"));
                std::fs::write(file, browser.picture().await).unwrap();
            }
        }
    }
    browser.end().await;
}

#[tokio::test]
async fn thousands_of_operations_are_shown_by_pages_and_found_by_name() {
    let many = (0..20_000).map(|number| {
        (
            format!("projects/p/operations/o{number:05}"),
            Script::default(),
        )
    });
    let setup = start_scenario(Scenario {
        operations: many.collect(),
        ..Scenario::default()
    })
    .await;
    let read = async |path: &str| {
        let url = format!("{}{path}", setup.emulator.admin_url());
        setup
            .client
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    };
    let first = read("/").await;
    assert!(
        first.len() < 100_000 && first.contains("1 to 50 of 20000"),
        "{} bytes",
        first.len()
    );
    assert!(first.contains("o00049<") && !first.contains("o00050<"));
    assert!(read("/?page=400").await.contains("o19999<"));
    let found = read("/?search=o1234&page=7").await;
    assert!(
        found.contains("1 to 10 of 10") && found.contains("o12349<"),
        "{found}"
    );
    assert!(read("/?phase=ended").await.contains("No operation matches"));
}

#[tokio::test]
async fn answers_carry_the_headers_that_keep_the_page_to_itself() {
    let setup = start(Script::default()).await;
    for path in [
        "/",
        "/operation?name=none",
        "/page.js",
        "/page.css",
        "/live",
    ] {
        let answer = setup
            .client
            .get(format!("{}{path}", setup.emulator.admin_url()))
            .send()
            .await
            .unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{path}: {policy}"
        );
        assert_eq!(
            (header("x-frame-options"), header("x-content-type-options")),
            ("DENY".into(), "nosniff".into())
        );
    }
    let rebound = setup
        .client
        .get(setup.emulator.admin_url())
        .header("host", "evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(rebound.status(), 421);
}
