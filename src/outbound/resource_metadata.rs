//! The protected-resource metadata of an MCP server (RFC 9728), read when an administrator adds the server: what it
//! offers, and whether clients will find their way from it to this issuer.

use serde_json::Value;
use url::Url;

use super::fetch::{FetchError, Fetcher};
use crate::types::issuer::Issuer;
use crate::types::policy::{LOOK_ROUND, MAX_SEEN_NAME, MAX_SEEN_SCOPES};
use crate::types::resource_uri::ResourceUri;
use crate::types::scope::{OFFLINE_ACCESS, is_scope};

/// What an MCP server says of itself, as far as it is used here.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ResourceMetadata {
    /// Its identifier (RFC 9728 §2).
    pub resource: Option<String>,
    /// The issuers it takes tokens from.
    pub authorization_servers: Vec<String>,
    /// The scopes it asks for; well-formed ones, without `offline_access`.
    pub scopes_supported: Vec<String>,
    /// Its name for people.
    pub resource_name: Option<String>,
}

/// What a look at an MCP server found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Look {
    /// Its metadata, where there is any.
    pub metadata: Option<ResourceMetadata>,
    /// Where it was found.
    pub found_at: Option<String>,
    /// What will keep clients from signing in; each a sentence that says what to do.
    pub warnings: Vec<String>,
}

/// Looks at the server at `uri`: its answer to a request without a token, the well-known document of its path, and the
/// one of its host, in the order in which clients look. An administrator named the server, so private addresses and
/// `http` are fine; it takes three seconds at most, and failing to look is a warning and no error.
pub async fn look(uri: &ResourceUri, issuer: &Issuer) -> Look {
    look_with(&Fetcher::new(true).with_timeout(LOOK_ROUND), uri, issuer).await
}

/// How an MCP server says that it is protected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protection {
    /// Its identifier, which its tokens are for.
    pub resource: String,
    /// The issuers it takes tokens from.
    pub issuers: Vec<String>,
    /// The scopes it asks for.
    pub scopes: Vec<String>,
}

/// Asks a server that is to be put behind the gateway how it is protected, in the places where a client looks. What it
/// names as its identifier has to be itself: whoever believed another one would ask for tokens of somebody else's server and
/// show them to this one (RFC 9728 §3.3).
///
/// # Errors
/// A sentence that says what is missing or wrong.
pub async fn protection(upstream: &Url) -> Result<Protection, String> {
    let fetcher = Fetcher::new(true).with_timeout(LOOK_ROUND);
    let (by_path, by_host) = well_known(upstream.as_str());
    let challenge = fetcher.challenge(upstream.as_str(), "application/json, text/event-stream").await;
    let mut places: Vec<String> = named_by(&challenge, &mut Vec::new()).into_iter().collect();
    places.extend([by_path, by_host]);
    let mut why = "no answer".to_owned();
    for place in places {
        let found = match document(&fetcher, &place).await {
            Ok(found) => found,
            Err(error) => {
                why = format!("{place}: {error}");
                continue;
            }
        };
        let texts = |name: &str| -> Vec<String> {
            let items = found.get(name).and_then(Value::as_array);
            items.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let resource = found.get("resource").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !is_of(&resource, upstream) {
            return Err(format!(
                "the metadata at {place} is of {resource:?} and not of {upstream}; tokens for another server are not asked for"
            ));
        }
        let scopes = texts("scopes_supported").into_iter().filter(|scope| is_scope(scope));
        return Ok(Protection {
            resource,
            issuers: texts("authorization_servers"),
            scopes: scopes.take(MAX_SEEN_SCOPES).collect(),
        });
    }
    Err(format!("the server at {upstream} does not say how it is protected ({why})"))
}

/// Whether an identifier is that of the server at this URL: the same origin, and the same path or one above it.
fn is_of(resource: &str, server: &Url) -> bool {
    let Ok(named) = Url::parse(resource) else { return false };
    let (above, path) = (named.path().trim_end_matches('/'), server.path());
    let below = path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    named.origin() == server.origin() && below && named.fragment().is_none() && named.username().is_empty()
}

async fn look_with(fetcher: &Fetcher, uri: &ResourceUri, issuer: &Issuer) -> Look {
    let mut look = Look::default();
    let (by_path, by_host) = well_known(uri.as_str());
    let accept = "application/json, text/event-stream";
    let (challenge, at_path, at_host) =
        tokio::join!(fetcher.challenge(uri.as_str(), accept), document(fetcher, &by_path), async {
            if by_host == by_path { None } else { Some(document(fetcher, &by_host).await) }
        });
    let named = named_by(&challenge, &mut look.warnings);
    let mut places = Vec::new();
    if let Some(named) = named.filter(|named| *named != by_path && *named != by_host) {
        let answer = document(fetcher, &named).await;
        if let Err(error) = &answer {
            look.warnings
                .push(format!("the server's challenge names {named} as its metadata, but there {error}"));
        }
        places.push((named, answer));
    }
    places.push((by_path.clone(), at_path));
    places.extend(at_host.map(|answer| (by_host, answer)));
    let why = places.last().and_then(|(_, answer)| answer.as_ref().err().cloned());
    match places.into_iter().find_map(|(place, answer)| answer.ok().map(|found| (place, found))) {
        Some((place, found)) => {
            look.metadata = Some(examine(&found, uri, issuer, &mut look.warnings));
            look.found_at = Some(place);
        }
        None => look.warnings.push(format!(
            "no protected-resource metadata was found ({}); clients will not find this issuer until the server publishes \
             at {by_path} a JSON document with \"resource\": {:?} and \"authorization_servers\": [{:?}]",
            why.unwrap_or_else(|| "no answer".to_owned()),
            uri.as_str(),
            issuer.as_str(),
        )),
    }
    look
}

/// The well-known addresses of a resource: by its path, and of its host (RFC 9728 §3.1).
fn well_known(text: &str) -> (String, String) {
    const NAME: &str = "/.well-known/oauth-protected-resource";
    let start = text.find("://").map_or(0, |at| at + 3);
    let end = text.get(start..).and_then(|rest| rest.find(['/', '?'])).map_or(text.len(), |at| start + at);
    let (origin, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    let rest = if rest == "/" { "" } else { rest };
    (format!("{origin}{NAME}{rest}"), format!("{origin}{NAME}"))
}

async fn document(fetcher: &Fetcher, url: &str) -> Result<Value, String> {
    let answer = fetcher.fetch(url, "application/json", None).await.map_err(|error| error.to_string())?;
    match serde_json::from_slice(&answer.body) {
        Ok(Value::Object(members)) => Ok(Value::Object(members)),
        _ => Err("what is served is not a JSON object".to_owned()),
    }
}

/// The document that the server's challenge names (RFC 9728 §5.1).
fn named_by(
    challenge: &Result<(u16, Vec<String>), FetchError>,
    warnings: &mut Vec<String>,
) -> Option<String> {
    let (status, challenges) = match challenge {
        Ok(answer) => answer,
        Err(error) => {
            warnings.push(format!("the server was asked without a token, to see its challenge, but {error}"));
            return None;
        }
    };
    if *status != 401 {
        warnings.push(format!(
            "the server answers {status} to a request without a token; protected, it answers 401 with WWW-Authenticate"
        ));
        return None;
    }
    let named = challenges.iter().find_map(|challenge| parameter(challenge, "resource_metadata"));
    if named.is_none() {
        warnings.push(
            "the server's 401 has no resource_metadata in WWW-Authenticate; some clients need it".to_owned(),
        );
    }
    named
}

/// A parameter of a challenge (RFC 9110 §11.2), quoted or not.
fn parameter(challenge: &str, wanted: &str) -> Option<String> {
    let mut rest = challenge.chars().peekable();
    let (mut name, mut value, mut in_value) = (String::new(), String::new(), false);
    loop {
        let next = rest.next();
        match next {
            Some('"') if in_value => {
                while let Some(c) = rest.next().filter(|c| *c != '"') {
                    value.extend(if c == '\\' { rest.next() } else { Some(c) });
                }
            }
            Some('=') if !in_value => in_value = true,
            Some(c) if !matches!(c, ',' | ' ' | '\t') => {
                if in_value {
                    value.push(c);
                } else {
                    name.push(c);
                }
            }
            // "name = value" is allowed.
            Some(' ' | '\t') if rest.peek() == Some(&'=') || (in_value && value.is_empty()) => {}
            _ => {
                if in_value && name.eq_ignore_ascii_case(wanted) {
                    return Some(value);
                }
                next?;
                name.clear();
                value.clear();
                in_value = false;
            }
        }
    }
}

/// Reads a document kindly, and says what in it will keep clients away.
fn examine(
    found: &Value,
    uri: &ResourceUri,
    issuer: &Issuer,
    warnings: &mut Vec<String>,
) -> ResourceMetadata {
    let text = |name: &str| found.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut texts = |name: &str| -> Vec<String> {
        match found.get(name) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(_) => {
                warnings.push(format!("{name} is not an array of strings"));
                Vec::new()
            }
        }
    };
    let (authorization_servers, scopes) = (texts("authorization_servers"), texts("scopes_supported"));
    let resource = text("resource");
    warnings.extend(about_resource(resource.as_deref(), uri));
    warnings.extend(about_issuer(&authorization_servers, issuer));
    if scopes.iter().any(|scope| scope == OFFLINE_ACCESS) {
        warnings.push(format!(
            "scopes_supported lists {OFFLINE_ACCESS}, which is the issuer's to offer and not the server's; remove it there"
        ));
    }
    let mut scopes_supported: Vec<String> = Vec::new();
    for scope in scopes.into_iter().filter(|scope| scope != OFFLINE_ACCESS) {
        if !is_scope(&scope) {
            warnings.push(format!("{scope:?} in scopes_supported is not a scope"));
        } else if scopes_supported.len() < MAX_SEEN_SCOPES && !scopes_supported.contains(&scope) {
            scopes_supported.push(scope);
        }
    }
    let resource_name = text("resource_name")
        .map(|name| {
            name.chars().filter(|c| !c.is_control()).take(MAX_SEEN_NAME).collect::<String>().trim().to_owned()
        })
        .filter(|name| !name.is_empty());
    ResourceMetadata { resource, authorization_servers, scopes_supported, resource_name }
}

/// RFC 9728 §3.3: the document's `resource` is what clients ask tokens for and compare with.
fn about_resource(found: Option<&str>, uri: &ResourceUri) -> Option<String> {
    let uri_text = uri.as_str();
    match found {
        None => Some(format!("the document has no \"resource\"; it must be {uri_text:?}")),
        Some(found) if found == uri_text => None,
        Some(found) if uri.is_meant_by(found) => Some(format!(
            "the document's resource is {found:?} and not {uri_text:?}; tokens carry the latter as aud, so a server that \
             compares them as text refuses them: write both the same"
        )),
        Some(found) => Some(format!(
            "the document's resource is {found:?}, which is another one than {uri_text:?}; clients will ask for tokens for \
             the former, and this issuer does not know it"
        )),
    }
}

/// Clients compare issuers byte for byte (RFC 8414 §3.3).
fn about_issuer(found: &[String], issuer: &Issuer) -> Option<String> {
    let ours = issuer.as_str();
    if found.iter().any(|server| server == ours) {
        return None;
    }
    if found.is_empty() {
        return Some(format!("authorization_servers is missing or empty; it must contain {ours:?}"));
    }
    if let Some(close) = found.iter().find(|server| server.trim_end_matches('/') == ours) {
        return Some(format!(
            "authorization_servers has {close:?} with a trailing slash; clients compare byte for byte, so write {ours:?}"
        ));
    }
    if let Some(close) = found.iter().find(|server| same_url(server, ours)) {
        return Some(format!(
            "authorization_servers has {close:?}; clients compare byte for byte, so write {ours:?}"
        ));
    }
    Some(format!("authorization_servers names {} and not this issuer; add {ours:?}", found.join(", ")))
}

fn same_url(a: &str, b: &str) -> bool {
    match (url::Url::parse(a), url::Url::parse(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use std::time::Duration;

    use super::*;
    use crate::outbound::test_server::TestServer;

    const ISSUER: &str = "https://auth.example.com";

    fn issuer() -> Issuer {
        Issuer::parse(ISSUER).unwrap()
    }

    fn uri(text: &str) -> ResourceUri {
        ResourceUri::parse(text).unwrap()
    }

    fn ok(body: &Value) -> String {
        let body = body.to_string();
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    const MISSING: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";

    /// A server that challenges at `/mcp` and has a document at one path.
    fn server(challenge: &str, place: &'static str, document: Value) -> TestServer {
        let challenge = challenge.to_owned();
        TestServer::with(move |head| {
            let host =
                head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
            let fill = |text: String| text.replace("HOST", &format!("http://{host}"));
            match head.split(' ').nth(1).unwrap_or_default() {
                "/mcp" => fill(format!("HTTP/1.1 {challenge}\r\ncontent-length: 0\r\n\r\n")),
                path if path == place => {
                    let filled: Value = serde_json::from_str(&fill(document.to_string())).unwrap();
                    ok(&filled)
                }
                _ => MISSING.to_owned(),
            }
        })
    }

    async fn look_at(server: &TestServer) -> Look {
        look(&uri(&server.url("/mcp")), &issuer()).await
    }

    fn good() -> Value {
        json!({"resource": "HOST/mcp", "authorization_servers": [ISSUER], "scopes_supported": ["notes:read", "notes:write"],
               "resource_name": "Notes"})
    }

    const PATH: &str = "/.well-known/oauth-protected-resource/mcp";
    const ROOT: &str = "/.well-known/oauth-protected-resource";

    #[tokio::test]
    async fn a_server_that_does_everything_right_gets_no_warning() {
        let challenge = format!(
            "401 X\r\nwww-authenticate: Bearer error=\"invalid_token\", resource_metadata=\"HOST{PATH}\""
        );
        let server = server(&challenge, PATH, good());
        let look = look_at(&server).await;
        assert_eq!(look.warnings, Vec::<String>::new());
        assert_eq!(look.found_at, Some(server.url(PATH)));
        let metadata = look.metadata.unwrap();
        assert_eq!(metadata.resource, Some(server.url("/mcp")));
        assert_eq!(metadata.scopes_supported, ["notes:read", "notes:write"]);
        assert_eq!(metadata.resource_name.as_deref(), Some("Notes"));
    }

    #[tokio::test]
    async fn the_document_is_found_wherever_clients_find_it() {
        for (place, challenge) in [
            (PATH, "401 X\r\nwww-authenticate: Bearer"),
            (ROOT, "401 X\r\nwww-authenticate: Bearer"),
            (
                "/elsewhere",
                "401 X\r\nwww-authenticate: Bearer scope=\"a b\",resource_metadata = HOST/elsewhere",
            ),
        ] {
            let server = server(challenge, place, good());
            let look = look_at(&server).await;
            assert_eq!(look.found_at, Some(server.url(place)), "{:?}", look.warnings);
        }
    }

    #[tokio::test]
    async fn what_is_wrong_around_the_document_is_said() {
        for (challenge, place, word) in [
            ("401 X\r\nwww-authenticate: Bearer", PATH, "no resource_metadata"),
            ("200 OK", PATH, "answers 200"),
            ("401 X\r\nwww-authenticate: Bearer resource_metadata=\"HOST/gone\"", PATH, "status 404"),
            ("401 X\r\nwww-authenticate: Bearer resource_metadata=\"/relative\"", PATH, "not a URL"),
            ("401 X\r\nwww-authenticate: Bearer", "/nowhere", "no protected-resource metadata"),
        ] {
            let server = server(challenge, place, good());
            let look = look_at(&server).await;
            assert!(
                look.warnings.iter().any(|warning| warning.contains(word)),
                "{word}: {:?}",
                look.warnings
            );
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_a_warning_and_no_error() {
        let gone = TestServer::answering("").url("/mcp");
        let look = look(&uri(&gone), &issuer()).await;
        assert_eq!(look.metadata, None);
        assert_eq!(look.warnings.len(), 2, "{:?}", look.warnings);
        let silent = TestServer::hanging_after("");
        let fetcher = Fetcher::new(true).with_timeout(Duration::from_millis(50));
        let look = look_with(&fetcher, &uri(&silent.url("/mcp")), &issuer()).await;
        assert!(
            look.metadata.is_none() && look.warnings.iter().any(|warning| warning.contains("did not answer"))
        );
    }

    #[test]
    fn a_document_that_keeps_clients_away_is_described() {
        let uri = uri("https://mcp.example.com/mcp");
        for (document, word) in [
            (json!({"authorization_servers": [ISSUER]}), "no \"resource\""),
            (
                json!({"resource": "https://mcp.example.com/mcp/", "authorization_servers": [ISSUER]}),
                "write both the same",
            ),
            (
                json!({"resource": "https://mcp.example.com", "authorization_servers": [ISSUER]}),
                "another one",
            ),
            (json!({"resource": "https://mcp.example.com/mcp"}), "missing or empty"),
            (
                json!({"resource": "https://mcp.example.com/mcp", "authorization_servers": "x"}),
                "not an array",
            ),
            (
                json!({"resource": "https://mcp.example.com/mcp", "authorization_servers": ["https://auth.example.com/"]}),
                "trailing slash",
            ),
            (
                json!({"resource": "https://mcp.example.com/mcp", "authorization_servers": ["https://AUTH.example.com:443"]}),
                "byte for byte",
            ),
            (
                json!({"resource": "https://mcp.example.com/mcp", "authorization_servers": ["https://other.example"]}),
                "not this issuer",
            ),
            (
                json!({"resource": "https://mcp.example.com/mcp", "authorization_servers": [ISSUER],
                    "scopes_supported": ["offline_access"]}),
                "offline_access",
            ),
            (
                json!({"resource": "https://mcp.example.com/mcp", "authorization_servers": [ISSUER],
                    "scopes_supported": ["a b"]}),
                "is not a scope",
            ),
        ] {
            let mut warnings = Vec::new();
            let metadata = examine(&document, &uri, &issuer(), &mut warnings);
            assert!(warnings.iter().any(|warning| warning.contains(word)), "{word}: {warnings:?}");
            assert!(metadata.scopes_supported.is_empty());
        }
    }

    #[test]
    fn the_well_known_path_goes_between_host_and_path() {
        for (resource, by_path) in [
            ("https://h/mcp", "https://h/.well-known/oauth-protected-resource/mcp"),
            ("https://h:8443/a/b?c=d", "https://h:8443/.well-known/oauth-protected-resource/a/b?c=d"),
            ("https://h", "https://h/.well-known/oauth-protected-resource"),
            ("https://h/", "https://h/.well-known/oauth-protected-resource"),
            ("https://h?x", "https://h/.well-known/oauth-protected-resource?x"),
        ] {
            assert_eq!(well_known(uri(resource).as_str()).0, by_path);
        }
    }

    #[test]
    fn parameters_of_challenges() {
        for (challenge, value) in [
            ("Bearer resource_metadata=\"https://h/x\"", Some("https://h/x")),
            ("Bearer realm=\"a, resource_metadata=b\", Resource_Metadata=https://h/x", Some("https://h/x")),
            ("Bearer realm=\"\\\"\", resource_metadata = \"a\\\\b\"", Some("a\\b")),
            ("Basic realm=x, Bearer scope=\"a\", resource_metadata=\"y\" , error=z", Some("y")),
            ("Bearer", None),
            ("Bearer realm=\"resource_metadata=x\"", None),
            ("", None),
        ] {
            assert_eq!(parameter(challenge, "resource_metadata").as_deref(), value, "{challenge}");
        }
    }

    proptest! {
        #[test]
        fn no_challenge_does_harm(challenge in "[a-z_=\", \\\\]{0,40}") {
            let _ = parameter(&challenge, "resource_metadata");
        }

        #[test]
        fn no_document_does_harm(text in "\\PC{0,20}", list in prop::collection::vec("\\PC{0,10}", 0..4)) {
            let document = json!({"resource": text, "authorization_servers": list, "scopes_supported": list, "resource_name": text});
            let metadata = examine(&document, &uri("https://h/mcp"), &issuer(), &mut Vec::new());
            prop_assert!(metadata.scopes_supported.iter().all(|scope| is_scope(scope)));
        }
    }
}
