//! The pages that are measured, over one browser that is signed in.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reqwest::Client;
use scraper::{Html, Selector};

use super::at;
use super::fill::{APP, Amount, GRANT, PERSON, RECORD, REQUEST, SERVER, id};
use super::seed::{EMAIL, PASSWORD};

/// Measures every page and prints a line for each.
pub async fn measure(address: SocketAddr, amount: &Amount, rounds: usize) {
    let base = format!("http://localhost:{}", address.port());
    let http = Client::builder().cookie_store(true).build().unwrap();
    sign_in(&http, &base).await;
    println!("{:<44} {:>9} {:>9} {:>9}", "page", "p50 ms", "p99 ms", "first ms");
    let mut slow = 0;
    for (name, path) in pages(amount) {
        let path = match path {
            Path::Is(path) => path,
            Path::After(path, pages) => deep(&http, &base, &path, pages).await,
        };
        let mut times = Vec::with_capacity(rounds);
        let mut first = None;
        for _ in 0..rounds {
            let Some(took) = get(&http, &format!("{base}{path}")).await else { break };
            first.get_or_insert(took);
            times.push(took);
        }
        if times.is_empty() {
            println!("{name:<44} is refused");
            continue;
        }
        times.sort_unstable();
        let (median, p99) = (at(&times, 0.5), at(&times, 0.99));
        slow += usize::from(p99 > 100.0);
        let first = first.unwrap_or_default().as_secs_f64() * 1_000.0;
        println!(
            "{name:<44} {median:>9.1} {p99:>9.1} {first:>9.1}{}",
            if p99 > 100.0 { "  slow" } else { "" }
        );
    }
    println!();
    println!("{slow} pages are slower than 100 ms");
}

enum Path {
    Is(String),
    /// So many pages further down this list.
    After(String, usize),
}

fn pages(amount: &Amount) -> Vec<(&'static str, Path)> {
    let since = amount.since;
    let step = 90 * 86_400_000_000 / amount.records;
    let (person, app, rare) = (id(since, PERSON, 42), id(since, APP, 0), id(since, APP, 4_243 % amount.apps));
    let server = id(since, SERVER, 7);
    let grant = id(since + 42_000, GRANT, 42);
    let moment = |number: i64| since + number * step;
    let (record, asked) = (amount.records / 3, amount.records / 3);
    let (record, asked) = (id(moment(record), RECORD, record), id(moment(asked), REQUEST, asked));
    let is = |path: String| Path::Is(path);
    vec![
        ("overview", is("/admin".into())),
        ("people", is("/admin/people".into())),
        ("people, 20 pages on", Path::After("/admin/people".into(), 20)),
        ("people, address begins with", is("/admin/people?q=person0000000001".into())),
        ("person", is(format!("/admin/people/{person}"))),
        ("apps", is("/admin/apps".into())),
        ("apps, 20 pages on", Path::After("/admin/apps".into(), 20)),
        ("apps, rare name", is(format!("/admin/apps?q=Tool+{}", amount.apps - 5))),
        ("apps, no such name", is("/admin/apps?q=nothing+like+it".into())),
        ("apps, common name", is("/admin/apps?q=Tool".into())),
        ("app that many use", is(format!("/admin/app?id={app}"))),
        ("app that few use", is(format!("/admin/app?id={rare}"))),
        ("servers", is("/admin/servers".into())),
        ("server", is(format!("/admin/servers/{server}"))),
        ("access", is("/admin/access".into())),
        ("access, 20 pages on", Path::After("/admin/access".into(), 20)),
        ("access, also ended", is("/admin/access?state=all".into())),
        ("access of a person", is(format!("/admin/access?person={person}"))),
        ("access of an app that many use", is(format!("/admin/access?app={app}"))),
        ("access of an app that few use", is(format!("/admin/access?app={rare}"))),
        ("access at a server", is(format!("/admin/access?server={server}"))),
        ("access of an app at a server", is(format!("/admin/access?app={app}&server={server}"))),
        ("access, e-mail begins with, many", is("/admin/access?person=person0000".into())),
        ("access, e-mail begins with, few", is("/admin/access?person=person0000000001".into())),
        ("access, app by a common name", is("/admin/access?app=Tool".into())),
        ("access, app by a rare name", is(format!("/admin/access?app=Tool+{}", amount.apps - 5))),
        ("access, server by its name", is("/admin/access?server=7".into())),
        ("access, domain", is("/admin/access?domain=nothing.example".into())),
        ("access, address", is("/admin/access?network=203.0.113.7".into())),
        ("access, block of addresses", is("/admin/access?network=203.0.113.0/24".into())),
        ("access, no such network", is("/admin/access?network=192.0.2.0/24".into())),
        ("access, not used for long", is("/admin/access?used=idle-quarter".into())),
        ("access, never used", is("/admin/access?used=never".into())),
        ("access, active", is("/admin/access?state=active".into())),
        ("access, stopped", is("/admin/access?state=stopped".into())),
        ("access, to be approved again", is("/admin/access?state=consent_due".into())),
        ("access, narrowed", is("/admin/access?state=narrowed".into())),
        ("access, ended", is("/admin/access?state=ended".into())),
        ("approval", is(format!("/admin/access/{grant}"))),
        ("sign-ins", is("/admin/sessions".into())),
        ("sign-ins, 20 pages on", Path::After("/admin/sessions".into(), 20)),
        ("sign-ins, e-mail begins with", is("/admin/sessions?person=person00000000".into())),
        ("sign-ins, no such network", is("/admin/sessions?network=192.0.2.0/24".into())),
        ("people, administrators", is("/admin/people?role=admin".into())),
        ("people, switched off", is("/admin/people?state=off".into())),
        ("people, a group of nobody", is("/admin/people?group=nobody".into())),
        ("apps, confirmed by their address", is("/admin/apps?kind=metadata_document".into())),
        ("apps, never approved", is("/admin/apps?approved=no".into())),
        ("keys", is("/admin/keys".into())),
        ("alerts", is("/admin/alerts".into())),
        ("cuts", is("/admin/cut".into())),
        ("audit", is("/admin/audit".into())),
        ("audit, 20 pages on", Path::After("/admin/audit".into(), 20)),
        ("audit, half way down", is(format!("/admin/audit?before={}", amount.records / 2))),
        ("audit, common kind", is("/admin/audit?kind=token.issued".into())),
        (
            "audit, common kind, half way down",
            is(format!("/admin/audit?kind=token.issued&before={}", amount.records / 200 * 100 + 7)),
        ),
        ("audit, rare kind", is("/admin/audit?kind=refresh.reused".into())),
        ("audit, kind that never happened", is("/admin/audit?kind=passkey.counter".into())),
        ("audit of a person", is(format!("/admin/audit?person={person}"))),
        ("audit of an app that many use", is(format!("/admin/audit?app={app}"))),
        ("audit of an app that few use", is(format!("/admin/audit?app={rare}"))),
        ("audit of an app, rare kind", is(format!("/admin/audit?app={app}&kind=refresh.reused"))),
        ("audit at a server", is(format!("/admin/audit?server={server}"))),
        (
            "audit at a server where nothing happened",
            is("/admin/audit?server=01900000-0000-7000-8000-000000000000".into()),
        ),
        ("audit under an approval", is(format!("/admin/audit?grant={grant}"))),
        (
            "audit under an approval that is gone",
            is("/admin/audit?grant=01900000-0000-7000-8000-000000000000".into()),
        ),
        ("audit, common address", is("/admin/audit?q=203.0.113.7".into())),
        ("audit, unknown address", is("/admin/audit?q=192.0.2.7".into())),
        ("audit, common kind, unknown address", is("/admin/audit?q=192.0.2.7&kind=token.issued".into())),
        ("audit of a request", is(format!("/admin/audit?q={asked}"))),
        ("search: nothing", is("/admin/search".into())),
        ("search: begin of an address", is("/admin/search?q=person00000000".into())),
        ("search: name of an app", is(format!("/admin/search?q=Tool+{}", amount.apps - 5))),
        ("search: no such thing", is("/admin/search?q=nothing+like+it".into())),
        ("search: an approval", is(format!("/admin/search?q={grant}"))),
        ("search: a person", is(format!("/admin/search?q={person}"))),
        ("search: a record", is(format!("/admin/search?q={record}"))),
        ("search: a request", is(format!("/admin/search?q={asked}"))),
        ("search: an id of nothing", is("/admin/search?q=01900000-0000-7000-8000-000000000000".into())),
        ("export of people, to its first bytes", is("/admin/export/people?format=csv".into())),
        ("export of apps, to its first bytes", is("/admin/export/apps?format=csv".into())),
        ("export of access, to its first bytes", is("/admin/export/access?format=jsonl".into())),
        ("export of sign-ins, to its first bytes", is("/admin/export/sessions?format=csv".into())),
        ("export of audit, to its first bytes", is("/admin/export/audit?format=jsonl".into())),
        (
            "export of audit, rare, to its first bytes",
            is("/admin/export/audit?format=csv&kind=refresh.reused".into()),
        ),
    ]
}

/// The address of a page that many others lead to.
async fn deep(http: &Client, base: &str, path: &str, pages: usize) -> String {
    let mut path = path.to_owned();
    for _ in 0..pages {
        let text = http.get(format!("{base}{path}")).send().await.unwrap().text().await.unwrap();
        let next = Html::parse_document(&text)
            .select(&Selector::parse("a[rel=next]").unwrap())
            .next()
            .and_then(|link| link.attr("href").map(str::to_owned));
        match next {
            Some(next) => path = next,
            None => return path,
        }
    }
    path
}

/// How long a page takes; a streamed one, to its first bytes.
async fn get(http: &Client, url: &str) -> Option<Duration> {
    let began = Instant::now();
    let mut answer = http.get(url).send().await.unwrap();
    if !answer.status().is_success() {
        return None;
    }
    if url.contains("/export/") {
        answer.chunk().await.unwrap();
        return Some(began.elapsed());
    }
    answer.bytes().await.unwrap();
    Some(began.elapsed())
}

async fn sign_in(http: &Client, base: &str) {
    let page = http.get(format!("{base}/login")).send().await.unwrap().text().await.unwrap();
    let csrf = Html::parse_document(&page)
        .select(&Selector::parse("input[name=csrf]").unwrap())
        .next()
        .and_then(|input| input.attr("value").map(str::to_owned))
        .expect("a sign-in page");
    let fields = [("csrf", csrf.as_str()), ("continue", ""), ("email", EMAIL), ("password", PASSWORD)];
    let answer = http.post(format!("{base}/login")).form(&fields).send().await.unwrap();
    assert!(answer.status().is_success(), "sign-in was refused: {}", answer.status());
}
