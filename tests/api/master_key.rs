//! Another master key takes the place of the first while nodes run, and whoever has the first and a copy of the database
//! afterwards has nothing.

use postern::crypto::roots::{Roots, fingerprint};
use postern::crypto::seal::MasterKey;
use postern::flow::audit_chain;
use postern::flow::core::Caller;
use postern::flow::master_key::{activate, begin, reseal, retire};
use postern::flow::reseal::left;
use postern::flow::vault::{self, NewCredential};
use postern::storage::sealed::{self, Place};
use postern::types::audit::AuditKind;
use postern::types::hex::hex;
use postern::types::identity::Rules;
use postern::types::secret::Secret;
use serde_json::json;

use crate::harness::{App, Browser, EMAIL, MASTER, NOTES, Node, verified};
use crate::second_factor::{Phone, came_in, code, enrol, half, recovery};

const NEW: &str = "/+7dzLuqmYh3ZlVEMyIRAP/u3cy7qpmId2ZVRDMiEQA=";
const THIRD: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const BEHIND: &str = "behind";
const SHOWN: &str = "what the server wants to see";
const WEB: &str = "https://app.example/cb";

fn key(text: &str) -> MasterKey {
    MasterKey::from_base64(text).unwrap()
}

fn operator() -> Caller {
    Caller::command_line()
}

/// Something sealed that stands in the database: its column, the purpose and the id that the seal names.
struct Thing {
    column: &'static str,
    condition: String,
    purpose: &'static str,
    id: String,
}

impl Thing {
    fn stored(&self, node: &Node) -> Vec<u8> {
        let (table, column) = self.column.split_once('.').unwrap();
        let found =
            node.database().bytes(&format!("SELECT {column} AS found FROM {table} WHERE {}", self.condition));
        assert_eq!(found.len(), 1, "{}", self.column);
        found[0].clone()
    }

    /// What stands there, as `roots` read it.
    fn open(&self, node: &Node, roots: &Roots) -> Option<Vec<u8>> {
        roots.open(self.purpose, &self.id, &self.stored(node)).map(|plain| plain.expose().clone())
    }
}

/// Puts something into every column in which something sealed may stand.
async fn fill(node: &Node, grant: &str) -> Vec<Thing> {
    let resource = node.core.live.view().resource(NOTES).unwrap().id.to_string();
    let user = postern::flow::people::find(&node.core, EMAIL).await.unwrap().id.to_string();
    let (digest, hex) = (node.database().literal(&[0xab; 32]), "ab".repeat(32));
    let mut things = Vec::new();
    let mut add = |column: &'static str, names: &str, values: &str, condition: String, purpose, id: &str| {
        let (table, name) = column.split_once('.').unwrap();
        let sealed = node.core.master.seal(purpose, id, column.as_bytes(), node.core.rng.as_ref());
        let sealed = node.database().literal(&sealed);
        let sql = if names.is_empty() {
            format!("UPDATE {table} SET {name} = {sealed} WHERE {condition}")
        } else {
            format!("INSERT INTO {table} ({names}, {name}) VALUES ({values}, {sealed})")
        };
        node.database().tamper(&sql);
        things.push(Thing { column, condition, purpose, id: id.to_owned() });
    };
    let is = |name: &str, value: &str| format!("{name} = '{value}'");
    add(
        "setting.value",
        "name",
        "'demo password'",
        is("name", "demo password"),
        "demo password",
        "demo@example.com",
    );
    let provider = "id, name, issuer, client_id, rules, created_at, updated_at";
    let rules = serde_json::to_string(&Rules::default()).unwrap();
    let values = &format!("'corp', 'Corp', 'https://i.example', 'x', '{rules}', 1, 1");
    add("identity_provider.secret", provider, values, is("id", "corp"), "identity provider secret", "corp");
    let identity = "id, provider_id, sub, user_id, created_at";
    let values = format!("'i', 'corp', 's', '{user}', 1");
    add("identity.upstream", identity, &values, is("id", "i"), "identity provider refresh token", "i");
    let step = format!("digest = {digest}");
    add(
        "sign_in_step.sealed",
        "digest, expires_at",
        &format!("{digest}, 9000000000000000"),
        step.clone(),
        "passkey challenge",
        &hex,
    );
    let request = "digest, fingerprint, created_at";
    add("api_request.answer", request, &format!("{digest}, {digest}, 1"), step, "admin-api-answer", &hex);
    let mail = "id, kind, created_at, due_at, tries, give_up_at";
    add("mail_outbox.sealed", mail, "'m', 'x', 1, 1, 0, 1", is("id", "m"), "mail", "m");
    let endpoint =
        "id, kind, url, events, subject, signing_alg, created_at, failures, next_try_at, lease_until";
    let values = "'e', 'webhook', 'https://e.example', '[]', 'iss_sub', 'ES256', 1, 0, 1, 0";
    add("endpoint.sealed_secret", endpoint, values, is("id", "e"), "endpoint secret", "e");
    add("endpoint.sealed_previous", "", "", is("id", "e"), "endpoint secret", "e");
    let approval =
        "id, rule_id, reason, resource_id, grant_id, client_id, method, name, digest, created_at, expires_at";
    let values = format!("'a', 'r', '', '{resource}', '{grant}', 'c', 'm', 'n', {digest}, 1, 1");
    add("call_approval.sealed", approval, &values, is("id", "a"), "call that waits", "a");
    let auth = "resource_id, kind, settings, created_at";
    let settings = json!({
        "issuer": "https://i.example", "token_endpoint": "https://i.example/token", "names_itself": true,
        "client_id": "x", "proves_by": "client_secret_basic", "registration": "given", "resource": NOTES, "scopes": [],
        "private_network": false,
    });
    let values = format!("'{resource}', 'oauth', '{settings}', 1");
    add(
        "upstream_auth.sealed_secret",
        auth,
        &values,
        is("resource_id", &resource),
        "upstream client secret",
        &resource,
    );
    let connection = "resource_id, user_id, sealed_tokens, scope, connected_at, refreshed_at, version";
    let values = format!("'{resource}', '{user}', {digest}, '', 1, 1, 1");
    let id = format!("{resource}\n{user}");
    add(
        "upstream_connection.sealed_key",
        connection,
        &values,
        is("user_id", &user),
        "upstream connection key",
        &id,
    );
    let revocation = "id, resource_id, attempts, next_at, created_at";
    let values = format!("'v', '{resource}', 0, 9000000000000000, 1");
    add("upstream_revocation.sealed", revocation, &values, is("id", "v"), "upstream revocation", "v");
    let hook = "id, name, targets, created_at, created_by";
    add("cut_hook.sealed_secret", hook, "'h', 'siem', '[]', 1, 'x'", is("id", "h"), "cut hook secret", "h");
    things
}

/// A node with something of everything, and what to look at.
struct World {
    node: Node,
    app: App,
    browser: Browser,
    phone: Phone,
    codes: Vec<String>,
    access: String,
    refresh: String,
    things: Vec<Thing>,
}

impl World {
    async fn on(node: Node) -> Self {
        let uri = format!("{}/mcp/{BEHIND}", node.issuer());
        node.add_resource(&uri, |new| {
            new.slug = Some(BEHIND.to_owned());
            new.upstream = Some("http://127.0.0.1:9/mcp".to_owned());
        })
        .await;
        let shown = NewCredential::Header("X-Key".to_owned(), Secret::new(SHOWN.to_owned()));
        vault::set(&node.core, &operator(), &uri, shown).await.unwrap();
        let (phone, codes, browser) = enrol(&node).await;
        let app = node.register(WEB).await;
        let tokens = app.tokens(&node, &browser).await;
        let access = tokens.text_of("access_token");
        let grant = verified(&node, &access).await["grant_id"].as_str().unwrap().to_owned();
        let things = fill(&node, &grant).await;
        Self { refresh: tokens.text_of("refresh_token"), node, app, browser, phone, codes, access, things }
    }

    /// Everything that rests on keys works at a node.
    async fn works(&mut self, at: &Node) {
        at.catch_up().await;
        assert!(at.is_active(&self.access).await);
        audit_chain::verify(&at.core).await.unwrap().unwrap();
        let view = at.core.live.view();
        let opened = vault::open(&at.core, &view.routes[BEHIND]).unwrap().unwrap();
        assert_eq!(opened.secrets[0].expose(), SHOWN.as_bytes());
        for thing in &self.things {
            let opened = thing.open(at, &at.core.master);
            assert_eq!(opened.as_deref(), Some(thing.column.as_bytes()), "{}", thing.column);
        }
        let code_for_app = self.browser_at(at).approve(&self.app.ask()).await;
        let tokens = self.app.redeem(at, &code_for_app).await;
        self.access = tokens.text_of("access_token");
        verified(at, &self.access).await;
        // A code of the authenticator, and one of those for when it is lost.
        at.advance(31).await;
        let (browser, page) = half(at).await;
        came_in(&code(&browser, &page, &self.phone.code(at)).await);
        let (browser, page) = half(at).await;
        came_in(&recovery(&browser, &page, &self.codes.pop().unwrap()).await);
    }

    /// The session of before, at another node.
    fn browser_at(&self, node: &Node) -> Browser {
        let browser = Browser::new(node);
        for (name, value) in self.browser.cookies() {
            browser.plant(&name, &value);
        }
        browser
    }

    /// What repeating a refresh gives.
    async fn successor(&self, at: &Node, of: &str) -> String {
        let answer = self.app.refresh(at, of).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.text_of("refresh_token")
    }

    /// What the old master key and a copy of the database open, by columns.
    fn opened_by(&self, master: &str) -> Vec<&'static str> {
        let roots = Roots::of(key(master));
        let opened = self.things.iter().filter(|thing| thing.open(&self.node, &roots).is_some());
        opened.map(|thing| thing.column).collect()
    }
}

async fn rotation(node: Node, inherited: bool) {
    let mut world = World::on(node).await;
    let first = if inherited { 0 } else { 2 };
    assert_eq!(world.node.core.master.current(), first);
    let all: Vec<_> = world.things.iter().map(|thing| thing.column).collect();
    assert_eq!(world.opened_by(MASTER), if inherited { all } else { Vec::new() });
    let node = world.node.second();
    let other = world.node.second();

    // The new root key is known everywhere before it seals.
    let begun = begin(&node.core, &operator(), &key(NEW), false).await.unwrap();
    assert!(!begun.goes_on);
    world.works(&other).await;
    assert_eq!((other.core.master.current(), node.core.master.current()), (first, first));
    let before = world.refresh.clone();
    let given = world.successor(&other, &before).await;

    // One node seals under it already, the other does not know that yet; a repeat at either is answered the same.
    activate(&node.core, &operator()).await.unwrap();
    assert_eq!((other.core.master.current(), node.core.master.current()), (first, begun.root));
    assert_eq!(world.successor(&node, &before).await, given);
    let later = world.successor(&node, &given).await;
    assert_eq!(world.successor(&other, &given).await, later);
    world.works(&other).await;

    let done = reseal(&node.core, &operator()).await.unwrap();
    assert!(done.left.older.is_empty() && done.left.unreadable.is_empty(), "{done:?}");
    let mut expected: Vec<_> = world.things.iter().map(|thing| thing.column).collect();
    expected.extend([
        "signing_key.sealed_private",
        "one_time_secret.sealed",
        "upstream_credential.sealed_key",
    ]);
    expected.sort_unstable();
    assert_eq!(done.resealed.keys().copied().collect::<Vec<_>>(), expected, "every column there is");
    assert_eq!(world.opened_by(MASTER), Vec::<&str>::new());
    world.works(&node).await;

    // Nodes with the old and the new master key, side by side.
    let new = node.second_under(NEW);
    let again = node.second_under(MASTER);
    let last = world.successor(&again, &later).await;
    assert_eq!(world.successor(&new, &later).await, last);
    world.works(&new).await;
    world.works(&again).await;

    // Whoever retires must be the one that stays, and not at once.
    let early = retire(&node.core, &operator(), false).await.unwrap_err().to_string();
    assert!(early.contains("whose place is taken"), "{early}");
    let gone = retire(&new.core, &operator(), false).await.unwrap();
    assert_eq!((gone.masters, gone.roots), (vec![fingerprint(&key(MASTER))], vec![first]));
    assert!(gone.compacted);
    world.works(&new).await;
    // What runs with the old one goes on, and cannot start again.
    world.works(&other).await;
    let why = node.why_not_under(MASTER).await;
    assert!(why.contains("master key") && why.contains("retired"), "{why}");
    let restarted = new.second_under(NEW);
    world.works(&restarted).await;
    assert_eq!(world.successor(&restarted, &last).await, world.successor(&new, &last).await);

    // The attack: the old master key, everything it ever opened, and a copy of the database as it is now.
    assert_eq!(world.opened_by(MASTER), Vec::<&str>::new());
    let wrapped = node.database().bytes("SELECT sealed AS found FROM root_key");
    assert_eq!(wrapped.len(), 2);
    for sealed in &wrapped {
        for (id, kind) in (0..9).flat_map(|id| [(id, "seals"), (id, "records")]) {
            let old = key(MASTER).open("root key", &format!("{id} {kind}"), sealed);
            assert!(old.is_none(), "the old master key opens a root key");
        }
    }
    let fresh = world.things.iter().map(|thing| thing.stored(&node));
    for sealed in fresh.chain(node.database().bytes("SELECT sealed_private AS found FROM signing_key")) {
        assert_eq!(
            sealed[..5],
            [&[2][..], &begun.root.to_be_bytes()].concat(),
            "sealed under the new root key"
        );
    }
    for (kind, times) in [
        (AuditKind::MasterKeyRotationBegun, 1),
        (AuditKind::RootKeyBegun, 1),
        (AuditKind::MasterKeyResealed, 1),
        (AuditKind::MasterKeyRetired, 1),
    ] {
        assert_eq!(restarted.audited(kind).await, times, "{kind:?}");
    }
    // And once more, to a third.
    begin(&restarted.core, &operator(), &key(THIRD), false).await.unwrap();
    activate(&restarted.core, &operator()).await.unwrap();
    reseal(&restarted.core, &operator()).await.unwrap();
    let third = restarted.second_under(THIRD);
    third.advance(60).await;
    retire(&third.core, &operator(), false).await.unwrap();
    world.works(&third).await;
}

#[tokio::test]
async fn a_rotation_breaks_nothing_and_the_old_master_key_opens_nothing_afterwards() {
    rotation(Node::start().await, false).await;
}

#[tokio::test]
async fn nor_where_the_old_master_key_was_itself_what_everything_was_sealed_under() {
    rotation(Node::inherited().await, true).await;
}

#[tokio::test]
async fn a_database_from_before_goes_on_without_any_change_to_what_is_sealed() {
    let node = Node::inherited().await;
    let sealed =
        |node: &Node| node.database().bytes("SELECT sealed_private AS found FROM signing_key ORDER BY kid");
    let before = sealed(&node);
    assert!(before.iter().all(|sealed| sealed[0] == 1));
    let why = node.why_not_under(NEW).await;
    assert!(why.contains("master key"), "{why}");
    let again = node.restart();
    assert_eq!(sealed(&again), before);
    audit_chain::verify(&again.core).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_page_from_before_a_rotation_can_still_be_sent() {
    let node = Node::start().await;
    let browser = Browser::signed_in(&node).await;
    let page = browser.get("/account").await;
    begin(&node.core, &operator(), &key(NEW), false).await.unwrap();
    activate(&node.core, &operator()).await.unwrap();
    let browser = {
        let new = Browser::new(&node);
        browser.cookies().iter().for_each(|(name, value)| new.plant(name, value));
        new
    };
    let ended = browser.submit(&page.form("/logout")).await;
    assert!(ended.status == 200 && ended.text.contains("Signed out"), "{}", ended.text);
}

#[tokio::test]
async fn what_is_interrupted_goes_on() {
    let node = Node::start().await;
    let count = 1_200_u16;
    let id = |n: u16| [&n.to_be_bytes()[..], &[7; 30]].concat();
    for n in 0..count {
        let (digest, rng) = (id(n), node.core.rng.as_ref());
        let sealed = node.core.master.seal("sign-in step", &hex(&digest), &n.to_be_bytes(), rng);
        let (digest, sealed) = (node.database().literal(&digest), node.database().literal(&sealed));
        let sql = format!(
            "INSERT INTO sign_in_step (digest, sealed, expires_at) VALUES ({digest}, {sealed}, 9000000000000000)"
        );
        node.database().tamper(&sql);
    }
    let begun = begin(&node.core, &operator(), &key(NEW), false).await.unwrap();
    // Interrupted before the new root key seals: the same again goes on.
    let again = begin(&node.core, &operator(), &key(NEW), false).await.unwrap();
    assert!(again.goes_on && again.root == begun.root);
    activate(&node.core, &operator()).await.unwrap();
    activate(&node.core, &operator()).await.unwrap();
    let core = std::sync::Arc::clone(&node.core);
    let work = tokio::spawn(async move { reseal(&core, &operator()).await.map(drop) });
    while left(&node.core).await.unwrap().older.contains_key("signing_key.sealed_private") {}
    work.abort();
    let _ = work.await;
    let new = node.second_under(NEW);
    new.advance(60).await;
    let done = reseal(&new.core, &operator()).await.unwrap();
    assert!(done.left.older.is_empty() && done.left.unreadable.is_empty());
    for n in 0..count {
        let digest = node.database().literal(&id(n));
        let stored = node
            .database()
            .bytes(&format!("SELECT sealed AS found FROM sign_in_step WHERE digest = {digest}"));
        let opened = new.core.master.open("sign-in step", &hex(&id(n)), &stored[0]).unwrap();
        assert_eq!(opened.expose(), &n.to_be_bytes());
    }
    retire(&new.core, &operator(), false).await.unwrap();
}

#[tokio::test]
async fn what_changes_meanwhile_stays_as_it_has_become() {
    let node = Node::start().await;
    node.database().tamper(&format!(
        "INSERT INTO setting (name, value) VALUES ('x', {})",
        node.database().literal(b"second")
    ));
    let swap = |old: &'static [u8], new: &'static [u8]| {
        node.core.store.write(move |tx| sealed::SETTING.swap(tx, &Place::Text("x".to_owned()), old, new))
    };
    assert!(!swap(b"first", b"first, anew").await.unwrap());
    assert_eq!(node.database().bytes("SELECT value AS found FROM setting WHERE name = 'x'"), [b"second"]);
    assert!(swap(b"second", b"third").await.unwrap());
}

#[tokio::test]
async fn nothing_is_retired_while_something_would_be_lost() {
    let node = Node::start().await;
    let said = |outcome: Result<_, postern::flow::people::OrderError>| {
        outcome.map(|_: postern::flow::master_key::Retired| ()).unwrap_err().to_string()
    };
    assert!(said(retire(&node.core, &operator(), false).await).contains("nothing to retire"));
    let same = begin(&node.core, &operator(), &key(MASTER), false).await.unwrap_err().to_string();
    assert!(same.contains("in use"), "{same}");
    begin(&node.core, &operator(), &key(NEW), false).await.unwrap();
    let third = begin(&node.core, &operator(), &key(THIRD), false).await.unwrap_err().to_string();
    assert!(third.contains("--instead"), "{third}");
    let new = node.second_under(NEW);
    // Interrupted before the new root key sealed: that begins now, and then it has to be waited for.
    assert!(said(retire(&new.core, &operator(), false).await).contains("try again in 31 s"));
    node.database().tamper(&format!(
        "INSERT INTO setting (name, value) VALUES ('x', {})",
        node.database().literal(&[2, 0, 0, 0, 2, 9])
    ));
    new.advance(40).await;
    assert!(said(retire(&new.core, &operator(), false).await).contains("1 in setting.value"));
    let gone = retire(&new.core, &operator(), true).await.unwrap();
    assert_eq!(gone.roots, [2]);
    let unfinished = node.why_not_under(MASTER).await;
    assert!(unfinished.contains("master key"), "{unfinished}");
}

#[tokio::test]
async fn a_new_master_key_that_was_lost_is_put_aside() {
    let node = Node::start().await;
    begin(&node.core, &operator(), &key(NEW), false).await.unwrap();
    activate(&node.core, &operator()).await.unwrap();
    reseal(&node.core, &operator()).await.unwrap();
    let begun = begin(&node.core, &operator(), &key(THIRD), true).await.unwrap();
    assert!(!begun.goes_on);
    assert!(node.why_not_under(NEW).await.contains("master key"));
    activate(&node.core, &operator()).await.unwrap();
    reseal(&node.core, &operator()).await.unwrap();
    let third = node.second_under(THIRD);
    third.advance(40).await;
    let unfinished = begin(&third.core, &operator(), &key(NEW), false).await.unwrap_err().to_string();
    assert!(unfinished.contains("retire-master"), "{unfinished}");
    let gone = retire(&third.core, &operator(), false).await.unwrap();
    assert_eq!(gone.roots.len(), 2);
    audit_chain::verify(&third.core).await.unwrap().unwrap();
}
