use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::outbound::resolver::Lookup;
use crate::outbound::test_server::TestServer;

/// Gives every name the addresses it was made with, and counts how often it was asked.
struct Names {
    answer: Vec<IpAddr>,
    asked: AtomicUsize,
}

impl Names {
    fn new(addresses: &[&str]) -> Arc<Self> {
        let answer = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Arc::new(Self { answer, asked: AtomicUsize::new(0) })
    }
}

impl LookUp for Names {
    fn look_up(&self, _host: String) -> Lookup {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answer.clone();
        Box::pin(
            async move { if answer.is_empty() { Err(io::Error::other("no such name")) } else { Ok(answer) } },
        )
    }
}

async fn get(url: &str) -> Result<Fetched, FetchError> {
    Fetcher::new(true).fetch(url, "application/json", None).await
}

#[tokio::test]
async fn a_document_comes_with_what_its_server_says_of_it() {
    let server = TestServer::answering(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\ncache-control: max-age=120\r\n\
         etag: \"v1\"\r\nlast-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 2\r\n\r\n{}",
    );
    let fetched = get(&server.url("/client.json?a=b")).await.unwrap();
    assert_eq!(fetched.body, b"{}");
    assert_eq!(fetched.content_type.as_deref(), Some("application/json; charset=utf-8"));
    assert_eq!((fetched.max_age, fetched.no_store), (Some(Duration::from_secs(120)), false));
    assert_eq!(fetched.validators.etag.as_deref(), Some("\"v1\""));
    let request = server.requests().remove(0).to_ascii_lowercase();
    assert!(request.starts_with("get /client.json?a=b http/1.1\r\n"), "{request}");
    assert!(
        request.contains("accept: application/json\r\n") && request.contains("accept-encoding: identity\r\n")
    );
    assert!(
        request.contains("user-agent: postern/")
            && !request.contains("cookie")
            && !request.contains("referer")
    );
}

#[tokio::test]
async fn a_copy_may_still_hold_when_asked_and_only_then() {
    let server = TestServer::answering("HTTP/1.1 304 Not Modified\r\ncache-control: max-age=60\r\n\r\n");
    let validators = Validators { etag: Some("\"v1\"".to_owned()), last_modified: None };
    let fetched = Fetcher::new(true).fetch(&server.url("/"), "*/*", Some(&validators)).await.unwrap();
    assert!(fetched.status_not_modified && fetched.body.is_empty());
    assert_eq!(fetched.max_age, Some(Duration::from_secs(60)));
    assert!(server.requests()[0].to_ascii_lowercase().contains("if-none-match: \"v1\"\r\n"));
    assert_eq!(get(&server.url("/")).await, Err(FetchError::Redirect(304)));
}

#[tokio::test]
async fn redirects_and_other_answers_are_refused() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = TestServer::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
        let answer =
            format!("HTTP/1.1 {status} X\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url("/"));
        let server = TestServer::answering(&answer);
        assert_eq!(get(&server.url("/")).await, Err(FetchError::Redirect(status)));
        assert!(elsewhere.requests().is_empty());
    }
    for status in [201, 204, 206, 400, 401, 404, 429, 500, 503] {
        let server = TestServer::answering(&format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n"));
        let error = get(&server.url("/")).await.unwrap_err();
        assert_eq!(error, FetchError::Status(status));
        assert_eq!(error.is_temporary(), status >= 429, "{status}");
    }
}

#[tokio::test]
async fn a_body_is_read_up_to_the_limit_and_not_beyond() {
    let exact = "x".repeat(MAX_FETCH);
    let declared =
        TestServer::answering(&format!("HTTP/1.1 200 OK\r\ncontent-length: {MAX_FETCH}\r\n\r\n{exact}"));
    assert_eq!(get(&declared.url("/")).await.unwrap().body.len(), MAX_FETCH);
    let silent = TestServer::answering(&format!("HTTP/1.1 200 OK\r\n\r\n{exact}"));
    assert_eq!(get(&silent.url("/")).await.unwrap().body.len(), MAX_FETCH);
    let one_more = TestServer::answering(&format!("HTTP/1.1 200 OK\r\n\r\n{exact}x"));
    assert_eq!(get(&one_more.url("/")).await, Err(FetchError::TooLarge));
    let declared = TestServer::answering("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n");
    assert_eq!(get(&declared.url("/")).await, Err(FetchError::TooLarge));
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(65_536));
    let chunked = TestServer::answering(&format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(3)
    ));
    assert_eq!(get(&chunked.url("/")).await, Err(FetchError::TooLarge));
}

#[tokio::test]
async fn a_compressed_or_broken_answer_is_refused() {
    let packed =
        TestServer::answering("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx");
    assert_eq!(get(&packed.url("/")).await, Err(FetchError::Encoded));
    let short = TestServer::answering("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nx");
    assert!(matches!(get(&short.url("/")).await, Err(FetchError::Broken(_))));
    let noise = TestServer::answering("SSH-2.0-OpenSSH_9.9\r\n");
    assert!(matches!(get(&noise.url("/")).await, Err(FetchError::Broken(_))));
}

#[tokio::test]
async fn a_server_that_does_not_answer_or_not_to_the_end_is_given_up() {
    let fetcher = Fetcher::new(true).with_timeout(Duration::from_millis(80));
    for start in ["", "HTTP/1.1 200 OK\r\ncontent-le", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{"] {
        let server = TestServer::hanging_after(start);
        let error = fetcher.fetch(&server.url("/"), "*/*", None).await.unwrap_err();
        assert!(matches!(error, FetchError::TimedOut { .. }), "{start:?}: {error}");
    }
}

#[tokio::test]
async fn the_time_covers_the_lookup_of_the_name() {
    struct Silent;
    impl LookUp for Silent {
        fn look_up(&self, _host: String) -> Lookup {
            Box::pin(std::future::pending())
        }
    }
    let fetcher = Fetcher::with_lookup(false, Arc::new(Silent)).with_timeout(Duration::from_millis(30));
    let error = fetcher.fetch("https://app.example/c", "*/*", None).await.unwrap_err();
    assert!(matches!(error, FetchError::TimedOut { .. }));
}

#[tokio::test]
async fn nothing_private_is_reached_however_it_is_written() {
    let fetcher = Fetcher::new(false);
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "localhost",
        "LOCALHOST",
        "0.0.0.0",
        "0",
        "[::]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "2852039166",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[fc00::1]",
        "224.0.0.1",
        "255.255.255.255",
        "198.18.0.1",
        "192.0.2.1",
        "[2001:db8::1]",
        "%31%32%37.0.0.1",
    ] {
        let error = fetcher.fetch(&format!("https://{host}/c"), "*/*", None).await.unwrap_err();
        assert!(matches!(error, FetchError::PrivateAddress(_)), "{host}: {error}");
        assert!(!error.is_temporary());
    }
}

#[tokio::test]
async fn a_name_that_resolves_to_private_addresses_only_is_not_connected_to() {
    for addresses in [&["127.0.0.1"][..], &["10.0.0.1", "::1"], &["::ffff:169.254.169.254"], &["fd00::1"]] {
        let fetcher = Fetcher::with_lookup(false, Names::new(addresses));
        let error = fetcher.fetch("https://rebind.example/c", "*/*", None).await.unwrap_err();
        assert_eq!(error, FetchError::PrivateAddress("rebind.example".to_owned()), "{addresses:?}");
    }
    let nowhere = Fetcher::with_lookup(false, Names::new(&[]));
    let error = nowhere.fetch("https://nowhere.example/c", "*/*", None).await.unwrap_err();
    assert_eq!(error, FetchError::Unresolved("nowhere.example".to_owned()));
}

#[tokio::test]
async fn of_several_addresses_only_those_allowed_are_handed_on() {
    use tower_service::Service as _;
    let source = Names::new(&["10.0.0.1", "93.184.216.34", "::1", "2606:4700::1111", "169.254.169.254"]);
    for (private_too, kept) in [
        (false, &["93.184.216.34", "2606:4700::1111"][..]),
        (true, &["10.0.0.1", "93.184.216.34", "::1", "2606:4700::1111"]),
    ] {
        let mut resolver = VettedResolver { source: Arc::clone(&source) as Arc<dyn LookUp>, private_too };
        let found = resolver.call("app.example".parse().unwrap()).await.unwrap();
        let found: Vec<String> = found.map(|address| address.ip().to_string()).collect();
        assert_eq!(found, kept);
    }
}

#[tokio::test]
async fn a_name_is_looked_up_once_for_one_fetch() {
    let server = TestServer::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    let names = Names::new(&["127.0.0.1"]);
    let fetcher = Fetcher::with_lookup(true, Arc::clone(&names) as Arc<dyn LookUp>);
    let url = server.url("/").replace("127.0.0.1", "app.example");
    assert_eq!(fetcher.fetch(&url, "*/*", None).await.unwrap().body, b"{}");
    assert_eq!(names.asked.load(Ordering::SeqCst), 1);
    assert!(server.requests()[0].to_ascii_lowercase().contains("host: app.example"));
}

#[tokio::test]
async fn metadata_services_are_out_of_reach_even_where_private_networks_are_allowed() {
    for host in ["169.254.169.254", "[fd00:ec2::254]", "0.0.0.0", "[fe80::1]"] {
        let error = get(&format!("http://{host}/")).await.unwrap_err();
        assert!(matches!(error, FetchError::PrivateAddress(_)), "{host}: {error}");
    }
}

#[tokio::test]
async fn urls_that_are_no_documents_are_refused_before_anything_happens() {
    let names = Names::new(&["127.0.0.1"]);
    let fetcher = Fetcher::with_lookup(false, Arc::clone(&names) as Arc<dyn LookUp>);
    for bad in [
        "",
        "c",
        "http://app.example/c",
        "ftp://app.example/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://u@app.example/",
        "https://u:p@app.example/",
        "https://app.example/#f",
        "https://app.example/ x",
        "https://app.example\\@evil/",
        "https:///",
        "https://app.example:99999/",
        "https://ａpp.example/",
        "https://app.example/\n",
        "unix:/run/x",
    ] {
        let error = fetcher.fetch(bad, "*/*", None).await.unwrap_err();
        assert!(matches!(error, FetchError::Url(_)), "{bad:?}: {error}");
    }
    for port in [0, 22, 25, 80, 444, 1_023] {
        let error = fetcher.fetch(&format!("https://app.example:{port}/"), "*/*", None).await.unwrap_err();
        assert_eq!(error, FetchError::Port(port));
    }
    let long = format!("https://app.example/{}", "x".repeat(MAX_FETCHED_URL));
    assert!(fetcher.fetch(&long, "*/*", None).await.is_err());
    assert_eq!(names.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn no_certificate_no_answer() {
    let server = TestServer::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    let url = server.url("/").replace("http://", "https://");
    assert!(matches!(get(&url).await, Err(FetchError::Connect(_))));
    let gone = server.url("/");
    drop(server);
    for gone in [gone.clone(), gone.replace("http://", "https://")] {
        let error = get(&gone).await.unwrap_err();
        assert!(matches!(error, FetchError::Unreachable(_)), "{gone}: {error}");
        assert!(error.is_temporary() && !error.to_string().contains("secure"), "{error}");
    }
}

#[tokio::test]
async fn one_host_is_asked_so_often_and_no_more() {
    let fetcher = Fetcher::with_lookup(false, Names::new(&["127.0.0.1"]));
    let again = fetcher.clone();
    let mut asked = 0;
    let error = loop {
        // However it is spelled, and whoever asks.
        let (by, name) = if asked < FETCHES_PER_HOST_A_MINUTE { (&fetcher, "one") } else { (&again, "ONE") };
        let error = by.fetch(&format!("https://{name}.example/c"), "*/*", None).await.unwrap_err();
        if !matches!(error, FetchError::PrivateAddress(_)) {
            break error;
        }
        asked += 1;
    };
    // A slow machine is given some back meanwhile.
    assert!((FETCHES_PER_HOST_A_MINUTE..2 * FETCHES_PER_HOST_A_MINUTE).contains(&asked), "{asked}");
    assert_eq!(error, FetchError::RateLimited("one.example".to_owned()));
    assert!(error.is_temporary());
    let other = fetcher.fetch("https://two.example/c", "*/*", None).await.unwrap_err();
    assert!(matches!(other, FetchError::PrivateAddress(_)));
}

#[tokio::test]
async fn a_fetch_waits_for_a_place_within_its_time() {
    let server = TestServer::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    let fetcher = Fetcher::new(true).with_timeout(Duration::from_millis(40));
    let all = fetcher.slots.acquire_many(u32::try_from(FETCHES_AT_ONCE).unwrap()).await.unwrap();
    let error = fetcher.fetch(&server.url("/"), "*/*", None).await.unwrap_err();
    assert!(matches!(error, FetchError::TimedOut { .. }) && server.requests().is_empty());
    drop(all);
    assert!(Fetcher { timeout: FETCH_TIMEOUT, ..fetcher }.fetch(&server.url("/"), "*/*", None).await.is_ok());
}
