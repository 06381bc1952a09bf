//! The headers of a message on its way through the gateway, in whichever direction.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// Headers of a message to a server, or of its answer.
#[derive(Clone, Default, Debug)]
pub struct Headers(HeaderMap);

impl Headers {
    /// With one.
    #[must_use]
    pub fn of(name: &'static str, value: &str) -> Self {
        let mut headers = Self::default();
        headers.add(name, value.as_bytes());
        headers
    }

    /// Adds one; beside another of its name, if there is one. What no header can be is left out.
    pub fn add(&mut self, name: &str, value: &[u8]) {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value))
        {
            self.0.append(name, value);
        }
    }

    /// The first of this name, as text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.0.get(name)?.as_bytes()).ok()
    }

    /// Their names, in small letters.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(HeaderName::as_str)
    }

    /// Takes all of this name out.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Puts one in the place of all of its name.
    pub fn replace(&mut self, name: &'static str, value: &'static str) {
        self.0.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }

    pub(super) fn into_inner(self) -> HeaderMap {
        self.0
    }
}

impl From<HeaderMap> for Headers {
    fn from(headers: HeaderMap) -> Self {
        Self(headers)
    }
}
