//! What a person has to be asked, and what their answer makes of it.

use crate::types::client::Client;
use crate::types::fingerprint::{Difference, Fingerprint};
use crate::types::grant::Grant;
use crate::types::redirect_uri::RedirectKind;
use crate::types::resource::Resource;
use crate::types::scope::ScopeSet;
use crate::types::time::Timestamp;

/// What is asked at one resource, beside what stands already.
#[derive(Clone, Debug)]
pub struct Question {
    /// The resource.
    pub resource: Resource,
    /// What is asked now.
    pub asked: ScopeSet,
    /// The standing approval, if it is good.
    pub standing: Option<Grant>,
}

impl Question {
    /// What of it was allowed before.
    #[must_use]
    pub fn allowed_before(&self) -> ScopeSet {
        self.standing.as_ref().map_or_else(ScopeSet::default, |grant| grant.scopes.intersection(&self.asked))
    }

    /// Whether nothing of it is new.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.standing.as_ref().is_some_and(|grant| grant.scopes.includes(&self.asked))
    }
}

/// Which page, if any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// None: everything was approved and the answer goes to a place that is proven.
    Nothing,
    /// Everything was approved, but anyone on this computer could be asking: one click.
    OneClick,
    /// The whole page.
    Everything,
    /// The whole page, because the app's registration has changed since the approval.
    Changed,
}

/// Decides which page is shown; `again` when the client asks for a page whatever stands. A public client behind a loopback or private-scheme address could be any program
/// on that machine, so a remembered approval is never enough to answer silently (RFC 8252 §8.6).
#[must_use]
pub fn ask(client: &Client, kind: RedirectKind, again: bool, questions: &[Question], now: Timestamp) -> Ask {
    let changed =
        |grant: &Grant| grant.is_live(now) && !Fingerprint::read(&grant.client_fingerprint).rests_on(client);
    if questions.iter().filter_map(|question| question.standing.as_ref()).any(changed) {
        return Ask::Changed;
    }
    if again || !questions.iter().all(Question::is_settled) {
        return Ask::Everything;
    }
    if is_unproven(client, kind) { Ask::OneClick } else { Ask::Nothing }
}

/// What differs about the app from when it was last allowed; empty when that was never.
#[must_use]
pub fn differences(client: &Client, questions: &[Question]) -> Vec<Difference> {
    let mut found = Vec::new();
    for grant in questions.iter().filter_map(|question| question.standing.as_ref()) {
        for difference in Fingerprint::read(&grant.client_fingerprint).differences(client) {
            if !found.contains(&difference) {
                found.push(difference);
            }
        }
    }
    found
}

/// Whether any program on the person's computer could be the one that gets the answer.
#[must_use]
pub fn is_unproven(client: &Client, kind: RedirectKind) -> bool {
    client.is_public() && kind != RedirectKind::Https
}

/// What stands after the answer: what was shown counts as answered, what was not shown stays.
#[must_use]
pub fn merge(standing: &ScopeSet, shown: &ScopeSet, ticked: &ScopeSet) -> ScopeSet {
    standing.difference(shown).union(ticked)
}
