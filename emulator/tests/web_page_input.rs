//! The live page exchanges what it shows while a person holds a mouse button or a key, or types: nothing of that is lost, and
//! nothing of it stops the page.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/browser.rs"]
mod browser;
mod support;

use browser::Browser;
use operations_emulator::Script;
use support::{NAME, Setup, start};

/// Marks in the page that an answer with a change has come and, if nothing holds it back, was shown.
const MARK: &str = "const asked = window.fetch; window.fetch = async (...given) => { \
    const answer = await asked(...given); const text = answer.text.bind(answer); \
    answer.text = async () => { const all = await text(); setTimeout(() => { document.body.dataset.got = all; }, 100); return all; }; \
    return answer; }";

async fn open(setup: &Setup) -> Browser {
    let browser = Browser::start(true).await;
    browser.open(setup.emulator.admin_url()).await;
    browser.until_shown(NAME).await;
    browser
}

fn add(setup: &Setup, id: &str) -> String {
    let name = format!("projects/p/operations/{id}");
    let added = setup.emulator.set_operation(&name, Script::default());
    added.unwrap();
    name
}

#[tokio::test]
async fn a_mouse_button_that_is_never_let_go_does_not_stop_the_page() {
    let setup = start(Script::default()).await;
    // A context menu and what is dragged swallow the release of a button.
    for (number, button) in [2, 0].into_iter().enumerate() {
        let browser = open(&setup).await;
        browser.press("//tbody//button", button).await;
        let name = add(&setup, &format!("after-{number}"));
        browser.until_shown(&name).await;
        browser.end().await;
    }
}

#[tokio::test]
async fn a_button_is_pressed_by_the_space_bar_though_the_page_changes_meanwhile() {
    let setup = start(Script::default()).await;
    let browser = open(&setup).await;
    browser.run(MARK).await;
    // The question under way was asked before the mark.
    browser.until_shown(&add(&setup, "first")).await;
    let focus = format!("document.querySelector('[data-key=\"complete {NAME}\"]').focus()");
    browser.run(&focus).await;
    browser.key(" ", true).await;
    let name = add(&setup, "second");
    let got = format!("(document.body.dataset.got ?? '').includes('{name}')");
    browser.until(&got).await;
    browser.key(" ", false).await;
    browser.until_shown("The operation has completed.").await;
    browser.until_shown(&name).await;
    assert_eq!(setup.get().await.1["done"], true);
    browser.end().await;
}

#[tokio::test]
async fn the_focus_stays_in_its_row_when_its_button_goes_and_on_what_a_get_shows() {
    let setup = start(Script::default()).await;
    let browser = open(&setup).await;
    let focus = format!("document.querySelector('[data-key=\"complete {NAME}\"]').focus()");
    browser.run(&focus).await;
    browser.key("\u{e007}", true).await;
    browser.key("\u{e007}", false).await;
    browser.until_shown("completed: type.googleapis.com").await;
    let focused = "return document.activeElement.dataset.key ?? document.activeElement.tagName";
    assert_eq!(browser.run(focused).await, format!("look {NAME}"));

    let name = add(&setup, "shown");
    let page = format!("{}/operation?name={name}", setup.emulator.admin_url());
    browser.open(&page).await;
    browser.run("document.querySelector('pre').focus()").await;
    setup.get_name(&name).await;
    browser.until_shown("1 GETs").await;
    assert_eq!(
        browser.run("return document.activeElement.tagName").await,
        "PRE"
    );
    browser.end().await;
}

#[tokio::test]
async fn without_javascript_nothing_reloads_under_a_person_who_types() {
    let setup = start(Script::default()).await;
    let read = async |path: &str| {
        let url = format!("{}{path}", setup.emulator.admin_url());
        let answer = setup.client.get(url).send().await.unwrap();
        answer.text().await.unwrap()
    };
    let one = format!("/operation?name={NAME}&notice=vanish");
    let encoded = NAME.replace('/', "%2F").replace('-', "%2D");
    for (path, again) in [
        (
            "/?search=o&page=2&notice=fail",
            "<a href=\"/?search=o&amp;page=2\">Refresh</a>".to_owned(),
        ),
        (
            one.as_str(),
            format!("<a href=\"/operation?name={encoded}\">Refresh</a>"),
        ),
    ] {
        let page = read(path).await;
        assert!(!page.contains("http-equiv=\"refresh\""), "{page}");
        assert!(page.contains("The operation"), "it says it once: {page}");
        assert!(page.contains(&again), "{again}: {page}");
    }
}
