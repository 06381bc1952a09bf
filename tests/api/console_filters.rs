//! Search and filters of every list in the console, and in the admin API: what is narrowed, what is not understood, and the
//! access map along each of its axes.

use std::time::Duration;

use postern::flow::access_map;
use postern::flow::core::Caller;
use postern::flow::cut::{self, By, Order};
use postern::flow::{access, people};
use postern::storage::access_map::AccessFilter;
use postern::storage::grants::GrantFilter;
use postern::types::cut::{Cut, Kind};
use postern::types::grant::GrantState;
use postern::types::user::Role;

use crate::harness::{App, Browser, EMAIL, NOTES, Node, PASSWORD};

const ALL: &str = "/admin/access";

/// A node whose auditor looks at what two people have let two apps do.
struct World {
    node: Node,
    auditor: Browser,
    member: Browser,
    app: App,
}

async fn world() -> World {
    let node = Node::start().await;
    let app = node.register("https://app.example.com/cb").await;
    let member = Browser::new(&node);
    app.tokens(&node, &member).await;
    node.add_person("bob@example.com", PASSWORD).await;
    node.add_person("audit@example.com", PASSWORD).await;
    people::set_role(&node.core, &Caller::command_line(), "audit@example.com", Role::Auditor).await.unwrap();
    let auditor = Browser::new(&node);
    auditor.sign_in("audit@example.com", PASSWORD).await;
    World { node, auditor, member, app }
}

impl World {
    /// The words of the first list of a page, without its search.
    async fn rows(&self, path: &str) -> String {
        let page = self.auditor.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        let (_, list) = page.text.split_once("<tbody>").unwrap_or_default();
        list.split("</tbody>").next().unwrap_or_default().to_owned()
    }

    async fn shows(&self, path: &str, what: &str) {
        let rows = self.rows(path).await;
        assert!(rows.contains(what), "{path} does not show {what}: {rows}");
    }

    async fn shows_nothing(&self, path: &str) {
        let rows = self.rows(path).await;
        assert_eq!(rows, "", "{path}");
    }

    async fn cut(&self, kind: &str, value: &str, how: Kind) -> Cut {
        let target = cut::target_of(&self.node.core, kind, value).await.unwrap();
        let order = Order { target, kind: how, reason: "a test of lists".to_owned(), by: By::command_line() };
        cut::cut(&self.node.core, &Caller::command_line(), order).await.unwrap()
    }

    /// How many approvals stand so.
    async fn standing(&self, state: GrantState) -> usize {
        let filter = AccessFilter { state: Some(state), ..AccessFilter::default() };
        access_map::page(&self.node.core, filter, None, 50).await.unwrap().0.rows.len()
    }
}

#[tokio::test]
async fn every_list_is_narrowed_by_what_it_says() {
    let world = world().await;
    world.cut("network", "198.51.100.0/24", Kind::Isolate(Duration::from_secs(600))).await;
    for (shown, hidden, what) in [
        ("people?q=AUD", "people?q=zz", "audit@example.com"),
        ("people?role=auditor", "people?role=admin", "audit@example.com"),
        ("people?state=on", "people?state=off", "audit@example.com"),
        ("apps?q=app.EXAMPLE", "apps?q=nothing", "Inspector"),
        ("apps?kind=dynamic", "apps?kind=metadata_document", "Inspector"),
        ("apps?state=on", "apps?state=off", "Inspector"),
        ("apps?approved=yes", "apps?approved=no", "Inspector"),
        ("servers?q=TEAM", "servers?q=nothing", "Team notes"),
        ("servers?way=itself", "servers?way=gateway", "Team notes"),
        ("sessions?person=audit", "sessions?person=zz", "audit@example.com"),
        ("sessions?network=127.0.0.0/8", "sessions?network=192.0.2.0/24", "audit@example.com"),
        ("keys?alg=ES256&state=current", "keys?alg=ES256&state=previous", "ES256"),
        ("cut?about=OF+LISTS", "cut?about=nothing", "198.51.100.0/24"),
        ("cut?target=network", "cut?target=person", "198.51.100.0/24"),
        ("cut?state=in+force", "cut?state=undone", "198.51.100.0/24"),
        ("audit?person=audit%40example.com", "audit?since=2999-01-01", "login.succeeded"),
        ("audit?kind=login.succeeded", "audit?kind=key.rotated", "login.succeeded"),
        ("audit?server=team", "audit?until=2000-01-01", "consent."),
    ] {
        world.shows(&format!("/admin/{shown}"), what).await;
        world.shows_nothing(&format!("/admin/{hidden}")).await;
    }
}

#[tokio::test]
async fn what_is_not_understood_shows_nothing_and_says_so() {
    let world = world().await;
    for path in [
        "access?state=x",
        "access?network=10.0.0.0/99",
        "access?domain=a%20b",
        "access?used=x",
        "people?role=x",
        "apps?kind=x",
        "servers?way=x",
        "sessions?network=x",
        "keys?alg=none",
        "cut?target=x",
        "audit?q=nonsense",
        "audit?kind=x",
        "audit?person=nobody%40example.com",
        "audit?since=yesterday",
        "alerts?detector=x",
        "alerts?q=nobody%40example.com",
        "calls?state=x",
        "providers?state=x",
        "outgoing?kind=x",
        "outgoing?state=x",
    ] {
        let page = world.auditor.get(&format!("/admin/{path}")).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.words().contains("what you look for is not understood"), "{path}: {}", page.words());
        assert!(!page.text.contains("<tbody>") || path.starts_with("cut"), "{path} shows rows");
    }
}

#[tokio::test]
async fn the_access_map_is_seen_along_every_axis() {
    let world = world().await;
    let bob = Browser::new(&world.node);
    bob.sign_in("bob@example.com", PASSWORD).await;
    world.app.tokens(&world.node, &bob).await;
    let server = postern::flow::resources::find(&world.node.core, NOTES).await.unwrap().id;
    for (query, ana, bob) in [
        ("", true, true),
        ("person=ana", true, false),
        ("person=BOB%40", false, true),
        ("person=zoe", false, false),
        (&format!("app={}", world.app.id), true, true),
        ("app=inspec", true, true),
        ("app=other", false, false),
        (&format!("server={server}"), true, true),
        ("server=notes", true, true),
        ("server=other", false, false),
        ("network=127.0.0.1", true, true),
        ("network=192.0.2.0/24", false, false),
        ("domain=app.example.com", false, false),
        ("used=day", true, true),
        ("used=never", false, false),
        ("used=idle-month", false, false),
        ("person=bob&network=127.0.0.0/8&used=week&state=active", false, true),
        ("state=ended", false, false),
        ("state=all", true, true),
    ] {
        let rows = world.rows(&format!("{ALL}?{query}")).await;
        assert_eq!((rows.contains(EMAIL), rows.contains("bob@example.com")), (ana, bob), "{query}: {rows}");
        let file = world.auditor.get(&format!("/admin/export/access?format=jsonl&{query}")).await;
        assert_eq!(file.text.lines().count(), usize::from(ana) + usize::from(bob), "the file of {query}");
    }
    // Every axis that is narrowed to one thing leads to its cut.
    for (query, kind) in [
        ("person=bob", "person"),
        ("app=inspec", "client"),
        ("server=notes", "resource"),
        ("network=127.0.0.0/8", "network"),
    ] {
        let page = world.auditor.get(&format!("{ALL}?{query}")).await;
        assert!(
            page.text.contains(&format!("/admin/cut?kind={kind}&"))
                || page.text.contains(&format!("/admin/cut?kind={kind}&#38;")),
            "{query}: {}",
            page.text
        );
    }
}

#[tokio::test]
async fn an_approval_says_how_it_stands() {
    let world = world().await;
    assert_eq!(world.standing(GrantState::Active).await, 1);
    let grant = access::list(&world.node.core, GrantFilter::default()).await.unwrap().remove(0).grant;
    let user = grant.user_id.unwrap();
    world.node.advance(1).await;

    let stop = world.cut("person", EMAIL, Kind::Suspend(None)).await;
    assert_eq!((world.standing(GrantState::Stopped).await, world.standing(GrantState::Active).await), (1, 0));
    world.shows(&format!("{ALL}?state=stopped"), "stopped by a cut").await;
    cut::undo(&world.node.core, &Caller::command_line(), &By::command_line(), &stop.id.to_string())
        .await
        .unwrap();
    assert_eq!((world.standing(GrantState::Stopped).await, world.standing(GrantState::Active).await), (0, 1));

    let keep = vec!["notes:read".to_owned()];
    access::narrow(&world.node.core, &Caller::command_line(), user, grant.id, keep).await.unwrap().unwrap();
    assert_eq!(
        (world.standing(GrantState::Narrowed).await, world.standing(GrantState::Active).await),
        (1, 0)
    );
    world.shows(&format!("{ALL}/{}", grant.id), "").await;
    let words = world.auditor.get(&format!("{ALL}/{}", grant.id)).await.words();
    assert!(words.contains("active, with less than was approved"), "{words}");

    world.cut("person", EMAIL, Kind::Reconsent).await;
    assert_eq!(
        (world.standing(GrantState::ConsentDue).await, world.standing(GrantState::Narrowed).await),
        (1, 0)
    );
    world.node.advance(1).await;
    world.app.tokens(&world.node, &world.member).await;
    assert_eq!(world.standing(GrantState::ConsentDue).await, 0, "approved again");
    assert_eq!(world.standing(GrantState::Active).await, 1, "and with all of it");

    world.node.advance(1).await;
    world.cut("client", &world.app.id, Kind::Reauthenticate).await;
    assert_eq!(
        (world.standing(GrantState::SignInDue).await, world.standing(GrantState::Active).await),
        (1, 0)
    );
    world.node.advance(1).await;
    world.app.tokens(&world.node, &Browser::new(&world.node)).await;
    assert_eq!(world.standing(GrantState::SignInDue).await, 0, "signed in again");

    access::revoke(&world.node.core, &Caller::command_line(), GrantFilter::default(), "a test")
        .await
        .unwrap();
    assert_eq!((world.standing(GrantState::Ended).await, world.standing(GrantState::Active).await), (1, 0));
    world.shows_nothing(ALL).await;
    world.shows(&format!("{ALL}?state=ended"), "ended").await;
}

/// A state that only looking tells is found page by page, each approval once.
#[tokio::test]
async fn pages_of_what_has_to_be_looked_for_go_on() {
    let world = world().await;
    for number in 0..7 {
        let email = format!("many{number}@example.com");
        world.node.add_person(&email, PASSWORD).await;
        let browser = Browser::new(&world.node);
        browser.sign_in(&email, PASSWORD).await;
        world.app.tokens(&world.node, &browser).await;
        if number % 2 == 0 {
            world.cut("person", &email, Kind::Isolate(Duration::from_secs(600))).await;
        }
    }
    for (state, count) in [(GrantState::Stopped, 4), (GrantState::Active, 4)] {
        let (mut before, mut seen) = (None, Vec::new());
        loop {
            let filter = AccessFilter { state: Some(state), ..AccessFilter::default() };
            let (page, _) = access_map::page(&world.node.core, filter, before, 3).await.unwrap();
            assert!(page.rows.len() <= 3);
            seen.extend(page.rows.iter().map(|row| row.grant.id));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!((all, seen.len()), (count, count), "{}", state.as_str());
    }
}
