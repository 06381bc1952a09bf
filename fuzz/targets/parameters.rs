//! Parameters of a request: two parts, the lines of an input, as query and body, or body and Authorization header.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postern::oauth::client_auth::Presented;
use postern::oauth::params::Params;
use postern::types::policy::{MAX_BODY, MAX_CONTINUE, MAX_PARAMETER, MAX_PARAMETERS, MAX_RESOURCES};
use postern::types::resource_uri::ResourceUri;
use postern::types::scope::ScopeSet;

fuzz_target!(|input: &[u8]| {
    let (first, second) = match input.iter().position(|b| *b == b'\n') {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, &b""[..]),
    };
    if let Ok(params) = Params::parse(&[first, second]) {
        bounded(&params, first, second);
        read(&params);
        // What goes on after sign-in is what came in.
        let again = Params::parse(&[params.to_query().as_bytes()]).expect("our own query is accepted");
        assert_eq!(again.to_query(), params.to_query());
        assert_eq!(again.no_repeats().is_ok(), params.no_repeats().is_ok());
    }
    if let (Ok(params), Ok(header)) = (Params::parse(&[first]), std::str::from_utf8(second)) {
        let _ = Presented::read(Some(header), &params);
    }
});

fn bounded(params: &Params, first: &[u8], second: &[u8]) {
    let pairs: Vec<_> = [first, second].into_iter().flat_map(url::form_urlencoded::parse).collect();
    assert!(pairs.len() <= MAX_PARAMETERS);
    let mut repeats = false;
    for (n, (name, value)) in pairs.iter().enumerate() {
        // Two of our own may be longer, and one of them has several lines.
        let most = match &**name {
            "continue" => MAX_CONTINUE,
            "policies" => MAX_BODY,
            _ => MAX_PARAMETER,
        };
        assert!(name.len() + value.len() <= most);
        let ends = |c: char| name == "policies" && matches!(c, '\r' | '\n' | '\t');
        let bad = |c: char| c.is_control() && !ends(c);
        assert!(
            !name.chars().any(char::is_control) && !value.chars().any(bad),
            "no control character gets in"
        );
        let repeated = pairs.iter().enumerate().any(|(m, (other, _))| m != n && other == name);
        repeats |= repeated && name != "resource";
        match params.value(name) {
            Ok(found) => {
                assert!(!repeated, "a repeated parameter is never merged");
                assert_eq!(found.unwrap_or_default(), value);
            }
            Err(_) => assert!(repeated),
        }
    }
    assert_eq!(params.no_repeats().is_err(), repeats);
}

fn read(params: &Params) {
    if let Ok(resources) = params.resources() {
        assert!(resources.len() <= MAX_RESOURCES);
        for text in resources {
            if let Ok(uri) = ResourceUri::parse(&text) {
                // The form that is compared is a fixed point, so that no two spellings of it differ.
                assert_eq!(ResourceUri::key_of(&uri.key()).ok(), Some(uri.key()), "{text:?}");
            }
        }
    }
    if let Ok(Some(text)) = params.value("scope")
        && let Ok(scopes) = ScopeSet::parse(text)
    {
        assert!(scopes.includes(&scopes.intersection(&scopes)) && scopes.difference(&scopes).is_empty());
        assert_eq!(ScopeSet::parse(&scopes.to_string()).ok(), Some(scopes));
    }
    let _ = Presented::read(None, params);
}
