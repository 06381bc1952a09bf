//! Parameters of a request (RFC 6749 §3.1, §3.2): decoded once, strictly, before anything looks at them.

use super::refusal::Reason;
use crate::types::policy::{MAX_BODY, MAX_CONTINUE, MAX_PARAMETER, MAX_PARAMETERS, MAX_RESOURCES};

/// The one parameter that may come more than once (RFC 8707 §2).
const MANY: &str = "resource";
/// Our own parameter that carries a whole request past the sign-in page.
const CONTINUE: &str = "continue";
/// Our own field of several lines, in a form of the console.
const LINES: &str = "policies";

/// Decoded parameters. A repeated one is never silently merged: looking at it is an error.
#[derive(Clone, Debug, Default)]
pub struct Params {
    pairs: Vec<(String, String)>,
    /// Names of parameters whose values are not text.
    unreadable: Vec<String>,
}

/// What a parameter with a control character, or one that is not UTF-8, is refused with.
const NO_TEXT: Reason = Reason::MalformedRequest("a parameter has a control character or is not UTF-8");

impl Params {
    /// Decodes `application/x-www-form-urlencoded` text: a query, a body, or one after the other, so that a
    /// parameter that stands in both is seen as repeated.
    ///
    /// # Errors
    /// Too many or too long parameters, control characters, and bytes that are not UTF-8.
    pub fn parse(parts: &[&[u8]]) -> Result<Self, Reason> {
        let params = Self::parse_leniently(parts)?;
        if params.unreadable.is_empty() { Ok(params) } else { Err(NO_TEXT) }
    }

    /// [`Params::parse`] for the authorization endpoint, where the answer goes by redirect if client and redirect URI can be
    /// read (RFC 6749 §4.1.2.1): a value that is not text is an error when it is looked at, and for [`Params::no_repeats`].
    ///
    /// # Errors
    /// Too many or too long parameters, and names that are not text.
    pub fn parse_leniently(parts: &[&[u8]]) -> Result<Self, Reason> {
        let (mut pairs, mut unreadable) = (Vec::new(), Vec::new());
        for part in parts {
            if has_bad_escape(part) {
                return Err(Reason::MalformedRequest(
                    "a percent sign is not followed by two hexadecimal digits",
                ));
            }
            for (name, value) in url::form_urlencoded::parse(part) {
                if pairs.len() + unreadable.len() >= MAX_PARAMETERS {
                    return Err(Reason::MalformedRequest("there are too many parameters"));
                }
                let lines = name == LINES;
                let most = match &*name {
                    CONTINUE => MAX_CONTINUE,
                    LINES => MAX_BODY,
                    _ => MAX_PARAMETER,
                };
                if name.len() + value.len() > most {
                    return Err(Reason::MalformedRequest("a parameter is too long"));
                }
                let bad = |c: char| c == '\u{fffd}' || c.is_control();
                let ends = |c: char| lines && matches!(c, '\r' | '\n' | '\t');
                if name.chars().any(bad) {
                    return Err(NO_TEXT);
                }
                if value.chars().any(|c| bad(c) && !ends(c)) {
                    unreadable.push(name.into_owned());
                } else {
                    pairs.push((name.into_owned(), value.into_owned()));
                }
            }
        }
        Ok(Self { pairs, unreadable })
    }

    /// The value of a parameter. An empty one counts as absent (RFC 6749 §3.1).
    ///
    /// # Errors
    /// When it is there more than once, or is not text.
    pub fn value(&self, name: &str) -> Result<Option<&str>, Reason> {
        if self.unreadable.iter().any(|known| known == name) {
            return Err(NO_TEXT);
        }
        let mut found = self.pairs.iter().filter(|(key, _)| key == name);
        let first = found.next();
        if found.next().is_some() {
            return Err(Reason::RepeatedParameter(name.to_owned()));
        }
        Ok(first.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty()))
    }

    /// The value of a parameter that must be there.
    ///
    /// # Errors
    /// When it is not, or more than once.
    pub fn required(&self, name: &'static str) -> Result<&str, Reason> {
        self.value(name)?.ok_or(Reason::MissingParameter(name))
    }

    /// Every `resource` (RFC 8707 §2).
    ///
    /// # Errors
    /// When there are too many.
    pub fn resources(&self) -> Result<Vec<String>, Reason> {
        let all: Vec<String> = self.every(MANY).map(str::to_owned).collect();
        if all.len() > MAX_RESOURCES {
            return Err(Reason::MalformedRequest("there are too many resource parameters"));
        }
        Ok(all)
    }

    /// The names of what is there, as often as they are.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|(name, _)| name.as_str())
    }

    /// Every value of a parameter that a form may send several times.
    pub fn every<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.pairs
            .iter()
            .filter(move |(key, value)| key == name && !value.is_empty())
            .map(|(_, v)| v.as_str())
    }

    /// Refuses any repeated parameter but `resource` (RFC 6749 §3.1), and any that is not text.
    ///
    /// # Errors
    /// The name of the first one.
    pub fn no_repeats(&self) -> Result<(), Reason> {
        if !self.unreadable.is_empty() {
            return Err(NO_TEXT);
        }
        for (index, (name, _)) in self.pairs.iter().enumerate() {
            if name != MANY && self.pairs.iter().skip(index + 1).any(|(other, _)| other == name) {
                return Err(Reason::RepeatedParameter(name.clone()));
            }
        }
        Ok(())
    }

    /// The parameters as a query string, for a request that goes on after sign-in.
    #[must_use]
    pub fn to_query(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.pairs).finish()
    }
}

fn has_bad_escape(text: &[u8]) -> bool {
    text.iter().enumerate().any(|(at, byte)| {
        *byte == b'%'
            && !(text.get(at + 1).is_some_and(u8::is_ascii_hexdigit)
                && text.get(at + 2).is_some_and(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_parameter_in_query_and_body_is_repeated() {
        let params = Params::parse(&[b"client_id=a", b"client_id=b&state=x"]).unwrap();
        assert!(
            matches!(params.value("client_id"), Err(Reason::RepeatedParameter(name)) if name == "client_id")
        );
        assert!(params.no_repeats().is_err());
        assert_eq!(params.value("state").unwrap(), Some("x"));
    }

    #[test]
    fn a_long_state_is_read_and_an_endless_one_is_not() {
        let with = |length: usize| Params::parse(&[format!("state={}", "x".repeat(length)).as_bytes()]);
        assert_eq!(with(4_096).unwrap().value("state").unwrap().map(str::len), Some(4_096));
        assert!(with(MAX_PARAMETER).is_err());
        let sealed = format!("continue={}", "x".repeat(MAX_CONTINUE - 8));
        assert!(Params::parse(&[sealed.as_bytes()]).is_ok());
    }

    #[test]
    fn one_field_of_the_console_has_several_lines() {
        let read = |text: &str| Params::parse(&[text.as_bytes()]);
        assert_eq!(read("policies=a%0D%0A%09b").unwrap().value("policies").unwrap(), Some("a\r\n\tb"));
        for bad in ["policies=a%00b", "policies=a%1Bb", "policy=a%0Ab", "polic%0Aies=a"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_resource_may_repeat() {
        let params = Params::parse(&[b"resource=a&resource=b"]).unwrap();
        assert!(params.no_repeats().is_ok());
        assert_eq!(params.resources().unwrap(), ["a", "b"]);
    }

    #[test]
    fn what_is_not_text_may_be_left_until_it_is_looked_at() {
        let params = Params::parse_leniently(&[b"client_id=a&state=%0d%0ax&scope=%ff"]).unwrap();
        assert_eq!(params.value("client_id").unwrap(), Some("a"));
        assert!(params.value("state").is_err() && params.value("scope").is_err());
        assert!(params.no_repeats().is_err());
        let twice = Params::parse_leniently(&[b"client_id=a&client_id=%00"]).unwrap();
        assert!(twice.value("client_id").is_err());
        for bad in [&b"st%0aate=x"[..], b"state=%zz", &b"state=%00&".repeat(MAX_PARAMETERS + 1)] {
            assert!(Params::parse_leniently(&[bad]).is_err());
        }
    }

    #[test]
    fn refuses_what_is_not_text() {
        for bad in [&b"a=%00"[..], b"a=%ff", b"a=%0d%0a", b"a=%zz", b"a=%", b"a=\xff", b"a=%C0%80"] {
            assert!(Params::parse(&[bad]).is_err(), "{bad:?}");
        }
        assert_eq!(Params::parse(&[b"a="]).unwrap().value("a").unwrap(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(params) = Params::parse(&[&bytes]) {
                let again = Params::parse(&[params.to_query().as_bytes()]).unwrap();
                prop_assert_eq!(params.pairs, again.pairs);
            }
        }
    }
}
