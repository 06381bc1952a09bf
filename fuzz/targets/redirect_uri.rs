//! Redirect URIs, registered and presented (the two lines of an input): what is accepted is safe to send a browser to, and matches itself and nothing on another host.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postern::types::redirect_uri::{RedirectKind, RedirectUri};

fuzz_target!(|input: &str| {
    let (registered, presented) = input.split_once('\n').unwrap_or((input, input));
    let schemes = ["cursor".to_owned(), "vscode".to_owned()];
    let Ok(uri) = RedirectUri::parse(registered, &schemes) else { return };

    assert!(uri.matches(registered), "an accepted redirect URI matches itself");
    assert!(
        !registered.contains(['#', '\\', '\r', '\n', '\0', ' ', '"', '<', '>']),
        "no fragment, no header or HTML breakout"
    );
    assert!(
        !uri.place().is_empty() && registered.contains(uri.place()),
        "the place shown to a person is part of the text"
    );

    // The URL a browser makes of it goes to the place that the person was shown.
    let url = url::Url::parse(registered).expect("an accepted redirect URI is a URL");
    match uri.kind() {
        RedirectKind::Https => assert_eq!(url.scheme(), "https"),
        RedirectKind::Loopback => {
            assert_eq!(url.scheme(), "http");
            assert!(matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")), "{registered}");
        }
        RedirectKind::PrivateUse => assert!(schemes.iter().any(|s| s == url.scheme())),
    }
    assert!(url.username().is_empty() && url.password().is_none(), "no user information");

    // What matches is the same place: scheme, host, path and query; only a loopback port may differ.
    if uri.matches(presented) && presented != registered {
        assert_eq!(uri.kind(), RedirectKind::Loopback, "{registered:?} matched {presented:?}");
        let other = url::Url::parse(presented).expect("what matches is a URL");
        assert_eq!(
            (url.scheme(), url.host(), url.path(), url.query()),
            (other.scheme(), other.host(), other.path(), other.query())
        );
    }
});
