use askama::Template;
use scraper::{ElementRef, Html, Selector};

use super::*;

fn every_page(check: impl Fn(&str, &Html)) {
    for (name, html) in fixtures::all() {
        check(name, &Html::parse_document(&html));
    }
}

fn select<'a>(page: &'a Html, css: &str) -> Vec<ElementRef<'a>> {
    page.select(&Selector::parse(css).expect("a selector")).collect()
}

fn text(element: ElementRef<'_>) -> String {
    element.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn main_text(page: &Html) -> String {
    text(select(page, "main")[0])
}

fn values(page: &Html, css: &str) -> Vec<String> {
    select(page, css).iter().map(|element| element.attr("value").unwrap_or_default().to_owned()).collect()
}

/// The policy of the pages forbids all of it, so it would silently not work.
#[test]
fn no_page_carries_script_or_inline_style() {
    every_page(|name, page| {
        // The one script of ours, on the one page that talks to a device.
        let scripts = if name.starts_with("passkey") { "script:not([src^='/t1/static/'])" } else { "script" };
        assert!(select(page, scripts).is_empty(), "{name}");
        assert!(select(page, "style, [style], iframe, object").is_empty(), "{name}");
        for element in select(page, "*") {
            assert!(element.value().attrs().all(|(attribute, _)| !attribute.starts_with("on")), "{name}");
        }
    });
}

#[test]
fn every_address_on_a_page_stands_under_the_issuers_path() {
    every_page(|name, page| {
        for (css, attribute) in [("a", "href"), ("link", "href"), ("form", "action"), ("img", "src")] {
            for element in select(page, css) {
                let address = element.attr(attribute).unwrap_or_default();
                let to_app = name.starts_with("done") && address.starts_with("cursor://");
                assert!(
                    address.starts_with("/t1/") || address.starts_with('#') || to_app,
                    "{name}: {address}"
                );
            }
        }
    });
}

#[test]
fn every_form_posts_its_anti_forgery_value() {
    every_page(|name, page| {
        for form in select(page, "form") {
            assert_eq!(form.attr("method"), Some("post"), "{name}");
            let hidden = Selector::parse("input[type=hidden][name=csrf]").expect("a selector");
            assert_eq!(
                form.select(&hidden).filter_map(|field| field.attr("value")).collect::<Vec<_>>(),
                ["csrf-value"]
            );
        }
    });
}

#[test]
fn every_page_has_one_heading_a_title_and_labelled_fields() {
    every_page(|name, page| {
        assert_eq!(select(page, "h1").len(), 1, "{name}");
        assert_eq!(select(page, "main").len(), 1, "{name}");
        assert!(text(select(page, "title")[0]).ends_with(" – Postern"), "{name}");
        for field in select(page, "input:not([type=hidden]):not([type=checkbox])") {
            let label = format!("label[for={}]", field.attr("id").expect("an id"));
            assert_eq!(select(page, &label).len(), 1, "{name}");
        }
        for pointing in select(page, "[aria-describedby]") {
            for id in pointing.attr("aria-describedby").unwrap_or_default().split(' ') {
                assert_eq!(select(page, &format!("#{id}")).len(), 1, "{name}: {id}");
            }
        }
    });
}

/// Members read *permission*, *access* and *app*; the words of the RFCs stay in the code.
#[test]
fn no_page_speaks_jargon() {
    every_page(|name, page| {
        let words = main_text(page).replace("client_id", "").to_lowercase();
        for jargon in ["scope", "grant", "client", "token", "redirect", "oauth"] {
            let told = words.replace("clear all mcp tokens", "");
            assert!(!told.contains(jargon), "{name} says {jargon}");
        }
    });
}

#[test]
fn consent_names_person_app_server_destination_and_duration() {
    let page = Html::parse_document(&fixtures::consent().render().expect("renders"));
    let shown = main_text(&page);
    for part in [
        "Claude Code wants to use Notes",
        "as ada@example.com",
        "Identity confirmed by claude.ai",
        "mcp.example.com/notes",
        "Read your notes",
        "Delete notes for good",
        "an app on this computer (localhost:3118). Allow only if you have just started it yourself.",
        "until 21 November 2027, or 30 days without use",
    ] {
        assert!(shown.contains(part), "{part} is missing in: {shown}");
    }
    assert_eq!(values(&page, "input[name=scope][type=checkbox][checked]").len(), 4);
    assert_eq!(values(&page, "button[name=decision]"), ["deny", "allow"]);
    assert_eq!(values(&page, "input[name=request]"), ["request-value"]);
}

/// Enter in a check box presses the first submit button of a form. Ours closes a dialog that is not there, which by
/// the standard does nothing, so nothing is decided. (A disabled button would not do: Chromium takes the next one.)
#[test]
fn enter_decides_nothing_on_the_consent_page() {
    let page = Html::parse_document(&fixtures::consent().render().expect("renders"));
    let buttons = select(&page, "form[action='/t1/authorize/decision'] button[type=submit]");
    assert_eq!((buttons[0].attr("formmethod"), buttons[0].attr("name")), (Some("dialog"), None));
    assert!(buttons[0].attr("hidden").is_some());
    assert!(select(&page, "[autofocus]").is_empty());
}

#[test]
fn only_what_is_new_is_marked_new() {
    let mut consent = fixtures::consent();
    let page = Html::parse_document(&consent.render().expect("renders"));
    assert!(select(&page, ".tag").is_empty(), "at the first approval nothing is called new");
    consent.groups[0].permissions[0].held = Held::Already;
    let page = Html::parse_document(&consent.render().expect("renders"));
    let new: Vec<_> = select(&page, ".permit.new").into_iter().map(text).collect();
    assert_eq!(new.len(), 3);
    assert!(new.iter().all(|row| row.starts_with("New ")));
    assert!(main_text(&page).contains("Read your notes Allowed before"));
}

#[test]
fn a_repeated_approval_still_posts_every_permission() {
    let (_, html) =
        fixtures::all().into_iter().find(|(name, _)| *name == "consent-again").expect("a fixture");
    let page = Html::parse_document(&html);
    assert_eq!(values(&page, "details input[name=scope][checked]").len(), 4);
    assert!(main_text(&page).contains("You allowed this on 3 November 2026, and it asks for nothing more."));
}

#[test]
fn an_apps_name_cannot_become_markup() {
    let (_, html) =
        fixtures::all().into_iter().find(|(name, _)| *name == "consent-hostile").expect("a fixture");
    assert!(!html.contains("<script") && html.contains("&#60;script&#62;"));
    let page = Html::parse_document(&html);
    assert!(text(select(&page, "h1 bdi")[0]).starts_with("<script>alert(1)</script>\"'>"));
}

#[test]
fn a_failed_sign_in_keeps_the_email_and_drops_the_password() {
    let (_, html) =
        fixtures::all().into_iter().find(|(name, _)| *name == "login-mismatch").expect("a fixture");
    let page = Html::parse_document(&html);
    assert_eq!(values(&page, "input[name=email]"), ["ada@example.com"]);
    let password = select(&page, "input[name=password]")[0];
    assert_eq!(password.attr("value"), None);
    assert_eq!(password.attr("aria-describedby"), Some("password-wrong"));
    assert_eq!(select(&page, "#password-wrong[role=alert]").len(), 1);
    assert!(text(select(&page, "title")[0]).starts_with("Error: "));
}

#[test]
fn remove_says_to_a_screen_reader_what_it_removes() {
    let (_, html) = fixtures::all().into_iter().find(|(name, _)| *name == "account").expect("a fixture");
    let page = Html::parse_document(&html);
    let buttons: Vec<_> =
        select(&page, "form[action='/t1/account/remove'] button").into_iter().map(text).collect();
    assert_eq!(
        buttons,
        ["Remove the access of Claude Code to Notes", "Remove the access of Cursor to Calendar, Notes"]
    );
    assert_eq!(
        values(&page, "form[action='/t1/account/remove'] input[name=access]"),
        ["access-1", "access-2"]
    );
}

#[test]
fn the_operators_brand_replaces_ours() {
    let page = LoggedOutPage {
        shell: Shell {
            brand: "Acme".into(),
            logo: Some("/t1/static/logo?v=1".into()),
            brand_sheet: Some("9".into()),
            ..fixtures::shell()
        },
    };
    let page = Html::parse_document(&page.render().expect("renders"));
    assert_eq!(text(select(&page, ".brand")[0]), "Acme");
    assert_eq!(select(&page, ".brand img[src='/t1/static/logo?v=1']").len(), 1);
    assert_eq!(select(&page, "link[href='/t1/static/brand.css?v=9']").len(), 1);
}

#[test]
fn the_stylesheet_stays_small() {
    assert!(include_str!("../../../static/postern.css").len() < 20 * 1024);
}

/// Writes every example to `POSTERN_PAGES_OUT`, for looking at and for `tests/pages`.
#[test]
#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says where to")]
fn write_examples() {
    let Ok(folder) = std::env::var("POSTERN_PAGES_OUT") else { return };
    std::fs::create_dir_all(&folder).expect("a folder");
    for (name, html) in fixtures::all() {
        std::fs::write(format!("{folder}/{name}.html"), html).expect("a file");
    }
}
