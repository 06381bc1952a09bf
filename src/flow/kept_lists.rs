//! Lists that went through the gateway, as they came and as they went out: a server says the same to everybody again and
//! again, and what was judged once is not judged anew. A list is found again only where it came byte for byte but for the
//! request's id, for the same scopes and tools; and what is kept is forgotten with the route by which it was judged.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::types::policy::{KEPT_LIST, KEPT_LISTS};
use crate::types::scope::ScopeSet;

/// What a verdict about a list goes by, beside the route: what the token allows, and the tools it is for.
pub type Reach<'a> = (&'a ScopeSet, Option<&'a Vec<String>>);

/// Lists of one server, as judged by one state of its route.
#[derive(Default)]
pub struct KeptLists(Mutex<VecDeque<Kept>>);

struct Kept {
    scopes: ScopeSet,
    tools: Option<Vec<String>>,
    came: Around,
    went: Around,
}

/// A message without its id.
struct Around {
    before: Box<str>,
    after: Box<str>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
}

impl Around {
    /// Takes the id out of a message; nothing where it does not stand there in exactly these words, once.
    fn of(text: &str, id: &str) -> Option<Self> {
        let named: Named<'_> = serde_json::from_str(text).ok()?;
        let found = named.id.get();
        if found != id {
            return None;
        }
        let at = (found.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
        let (before, rest) = text.split_at_checked(at)?;
        Some(Self { before: before.into(), after: rest.strip_prefix(id)?.into() })
    }

    fn is(&self, text: &[u8], id: &str) -> bool {
        let (before, after) = (self.before.as_bytes(), self.after.as_bytes());
        text.len() == before.len() + id.len() + after.len()
            && text.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)) == Some(id.as_bytes())
    }

    fn with(&self, id: &str) -> String {
        let mut out = String::with_capacity(self.before.len() + id.len() + self.after.len());
        out.push_str(&self.before);
        out.push_str(id);
        out.push_str(&self.after);
        out
    }
}

impl KeptLists {
    /// What a list that came became before; `id` is the request's, as JSON.
    #[must_use]
    pub fn find(&self, (scopes, tools): Reach<'_>, text: &[u8], id: &str) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_reach = |kept: &&Kept| kept.scopes == *scopes && kept.tools.as_ref() == tools;
        kept.iter().filter(of_reach).find(|kept| kept.came.is(text, id)).map(|kept| kept.went.with(id))
    }

    /// Keeps what a list became, in place of the oldest where there are too many.
    pub fn keep(&self, (scopes, tools): Reach<'_>, came: &[u8], went: &str, id: &str) {
        let Ok(came) = std::str::from_utf8(came) else { return };
        if came.len() > KEPT_LIST {
            return;
        }
        let (Some(came), Some(went)) = (Around::of(came, id), Around::of(went, id)) else { return };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_LISTS {
            kept.pop_front();
        }
        kept.push_back(Kept { scopes: scopes.clone(), tools: tools.cloned(), came, went });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAME: &[u8] = br#"{"jsonrpc":"2.0","result":{"tools":[{"id":1,"name":"a"},{"name":"b"}]},"id":1}"#;
    const WENT: &str = r#"{"id":1,"jsonrpc":"2.0","result":{"tools":[{"name":"b"}]}}"#;

    #[test]
    fn a_list_is_found_again_under_another_id_and_for_the_same_reach_only() {
        let lists = KeptLists::default();
        let (read, write) = (ScopeSet::parse("read").unwrap(), ScopeSet::parse("read write").unwrap());
        let some = vec!["b".to_owned()];
        lists.keep((&read, None), CAME, WENT, "1");
        let again = String::from_utf8(CAME.to_vec()).unwrap().replace("\"id\":1}", "\"id\":\"x\"}");
        assert!(again.contains("{\"id\":1,"), "an id further in is no id of a message");
        assert_eq!(
            lists.find((&read, None), again.as_bytes(), "\"x\"").unwrap(),
            r#"{"id":"x","jsonrpc":"2.0","result":{"tools":[{"name":"b"}]}}"#
        );
        assert_eq!(lists.find((&write, None), CAME, "1"), None);
        assert_eq!(lists.find((&read, Some(&some)), CAME, "1"), None);
        assert_eq!(lists.find((&read, None), CAME, "2"), None, "the id of another request");
    }

    #[test]
    fn a_list_that_differs_in_one_byte_is_another() {
        let lists = KeptLists::default();
        let read = ScopeSet::parse("read").unwrap();
        lists.keep((&read, None), CAME, WENT, "1");
        for at in 0..CAME.len() {
            let mut other = CAME.to_vec();
            other[at] ^= 1;
            assert_eq!(lists.find((&read, None), &other, "1"), None, "at {at}");
            other.remove(at);
            assert_eq!(lists.find((&read, None), &other, "1"), None, "without {at}");
        }
        for injected in [r#"1,"result":{}"#, r#"1,"x":1"#, " 1", ""] {
            let other = String::from_utf8(CAME.to_vec()).unwrap();
            let other = other.replace("\"id\":1}", &format!("\"id\":{injected}}}"));
            assert_eq!(lists.find((&read, None), other.as_bytes(), "1"), None, "{injected}");
        }
    }

    #[test]
    fn what_has_two_ids_or_too_many_bytes_is_not_kept() {
        let lists = KeptLists::default();
        let read = ScopeSet::parse("read").unwrap();
        let twice = br#"{"id":1,"id":1,"result":{"tools":[]}}"#;
        lists.keep((&read, None), twice, WENT, "1");
        assert_eq!(lists.find((&read, None), twice, "1"), None);
        let long = format!(r#"{{"id":1,"result":{{"tools":[],"x":"{}"}}}}"#, "x".repeat(KEPT_LIST));
        lists.keep((&read, None), long.as_bytes(), WENT, "1");
        assert_eq!(lists.find((&read, None), long.as_bytes(), "1"), None);
        for at in 0..=KEPT_LISTS {
            let list = format!(r#"{{"id":1,"result":{{"tools":[],"x":{at}}}}}"#);
            lists.keep((&read, None), list.as_bytes(), WENT, "1");
        }
        let first = br#"{"id":1,"result":{"tools":[],"x":0}}"#;
        assert_eq!(lists.find((&read, None), first, "1"), None, "the oldest made room");
    }
}
