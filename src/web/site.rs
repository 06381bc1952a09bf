//! What all pages share: the operator's brand, cookies, and the anti-forgery field.

use actix_web::HttpRequest;
use actix_web::cookie::{Cookie, SameSite};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use super::assets::fingerprint;
use super::view::Shell;
use crate::crypto::roots::Macs;
use crate::flow::core::Core;
use crate::types::issuer::Issuer;
use crate::types::token::{Token, TokenDigest, TokenKind};

/// How an operator wants the pages to look.
#[derive(Clone, Debug, Default)]
pub struct Brand {
    /// The name at the head; `Postern` when absent.
    pub name: Option<String>,
    /// A logo: media type and bytes.
    pub logo: Option<(String, Vec<u8>)>,
    /// A stylesheet that sets the accent colour.
    pub sheet: Option<String>,
}

/// What all pages share.
pub struct Site {
    /// Base path, brand and assets, as the templates want them.
    pub shell: Shell,
    /// The operator's brand.
    pub brand: Brand,
    secure: bool,
    session_cookie: String,
    browser_cookie: String,
    step_cookie: String,
}

impl Site {
    /// For this issuer. Cookie names carry a mark of the issuer, because cookies do not know ports or paths.
    #[must_use]
    pub fn new(issuer: &Issuer, brand: Brand) -> Self {
        let mark: String = TokenDigest::of(issuer.as_str()).hex().chars().take(8).collect();
        let prefix = if issuer.is_https() { "__Host-" } else { "" };
        let base = issuer.path().to_owned();
        let shell = Shell {
            brand: brand.name.clone().unwrap_or_else(|| "Postern".to_owned()),
            logo: brand
                .logo
                .as_ref()
                .map(|(_, bytes)| format!("{base}/static/logo?v={}", fingerprint(bytes))),
            assets: super::assets::version().to_owned(),
            brand_sheet: brand.sheet.as_ref().map(|sheet| fingerprint(sheet.as_bytes())),
            base,
        };
        Self {
            shell,
            brand,
            secure: issuer.is_https(),
            session_cookie: format!("{prefix}postern_session_{mark}"),
            browser_cookie: format!("{prefix}postern_browser_{mark}"),
            step_cookie: format!("{prefix}postern_step_{mark}"),
        }
    }

    /// The session cookie that came with a request.
    #[must_use]
    pub fn session_of(&self, request: &HttpRequest) -> Option<String> {
        request.cookie(&self.session_cookie).map(|cookie| cookie.value().to_owned())
    }

    /// A cookie that begins a session.
    #[must_use]
    pub fn session_cookie(&self, token: &Token) -> Cookie<'static> {
        self.cookie(&self.session_cookie, token.expose())
    }

    /// A cookie that ends the session in the browser.
    #[must_use]
    pub fn ended_session_cookie(&self) -> Cookie<'static> {
        let mut cookie = self.cookie(&self.session_cookie, "");
        cookie.make_removal();
        cookie
    }

    /// The cookie of a sign-in that waits for its second step.
    #[must_use]
    pub fn step_of(&self, request: &HttpRequest) -> Option<String> {
        request.cookie(&self.step_cookie).map(|cookie| cookie.value().to_owned())
    }

    /// A cookie that remembers a sign-in until its second step.
    #[must_use]
    pub fn step_cookie(&self, token: &Token) -> Cookie<'static> {
        self.cookie(&self.step_cookie, token.expose())
    }

    /// A cookie that forgets it.
    #[must_use]
    pub fn ended_step_cookie(&self) -> Cookie<'static> {
        let mut cookie = self.cookie(&self.step_cookie, "");
        cookie.make_removal();
        cookie
    }

    /// The anti-forgery value for the forms of this browser, and a cookie to set when it has none yet.
    #[must_use]
    pub fn anti_forgery(&self, core: &Core, request: &HttpRequest) -> (String, Option<Cookie<'static>>) {
        if let Some(seed) = self.seed_of(request) {
            return (self.field(core, &seed, request), None);
        }
        let seed = Token::generate(TokenKind::Session, core.rng.as_ref());
        (self.field(core, &seed, request), Some(self.cookie(&self.browser_cookie, seed.expose())))
    }

    /// Whether a form comes from one of our pages in this browser, and in this session.
    #[must_use]
    pub fn is_ours(&self, core: &Core, request: &HttpRequest, presented: &str) -> bool {
        self.seed_of(request).is_some_and(|seed| {
            // Of a page from before a rotation, too.
            let codes = self.codes(core, &seed, request);
            let fits =
                |code: &[u8; 32]| URL_SAFE_NO_PAD.encode(code).as_bytes().ct_eq(presented.as_bytes()).into();
            codes.iter().any(fits)
        })
    }

    /// A mark of this browser that can be kept; empty for one that has no cookie of ours.
    #[must_use]
    pub fn browser_mark(&self, request: &HttpRequest) -> String {
        self.seed_of(request).map(|seed| seed.digest().hex()).unwrap_or_default()
    }

    fn seed_of(&self, request: &HttpRequest) -> Option<Token> {
        Token::parse(TokenKind::Session, request.cookie(&self.browser_cookie)?.value())
    }

    fn field(&self, core: &Core, seed: &Token, request: &HttpRequest) -> String {
        URL_SAFE_NO_PAD.encode(self.codes(core, seed, request).newest)
    }

    fn codes(&self, core: &Core, seed: &Token, request: &HttpRequest) -> Macs {
        let session = self.session_of(request).unwrap_or_default();
        core.master.macs("anti-forgery", &[seed.expose().as_bytes(), session.as_bytes()])
    }

    fn cookie(&self, name: &str, value: &str) -> Cookie<'static> {
        Cookie::build(name.to_owned(), value.to_owned())
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(self.secure)
            .finish()
    }
}
