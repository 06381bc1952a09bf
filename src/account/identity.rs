//! Whom somebody that an identity provider vouches for is here, and what they are.

use crate::types::factor::{Method, Methods};
use crate::types::identity::{Asserted, Linking, Rules};
use crate::types::user::{Email, Role, User};

/// Who they turn out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Somebody who is linked already.
    Known,
    /// Somebody who is here already and becomes linked now.
    Link,
    /// Somebody new, with this address.
    Create(Email),
    /// Nobody.
    Refuse(Refusal),
}

/// Why nobody is signed in. The person is told the same of most; the log tells them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Nobody here is linked to them, and the rules make nobody.
    Unknown,
    /// The provider has not verified their address.
    Unverified,
    /// Their address is outside the domains that the rules name.
    Domain,
    /// Whose address it is can do more than a member, so that a provider's word is not enough.
    Privileged,
    /// Whose address it is is somebody else at that provider already.
    Taken,
    /// They are switched off here.
    Disabled,
}

impl Refusal {
    /// Its name in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Unverified => "email_unverified",
            Self::Domain => "domain",
            Self::Privileged => "privileged",
            Self::Taken => "linked_otherwise",
            Self::Disabled => "disabled",
        }
    }
}

/// Decides. `linked` is the person whom this provider and `sub` stand for, `named` the one who has the address that the
/// provider names, and `taken` says whether that one is somebody at the provider already.
///
/// Provider and `sub` alone make an identity (OpenID Connect Core §5.7); an address is a claim about somebody, and who can
/// change it upstream must not become somebody else here.
#[must_use]
pub fn whom(
    rules: &Rules,
    asserted: &Asserted,
    linked: Option<&User>,
    named: Option<&User>,
    taken: bool,
) -> Verdict {
    if let Some(user) = linked {
        return if user.disabled_at.is_some() { Verdict::Refuse(Refusal::Disabled) } else { Verdict::Known };
    }
    let Some(email) = asserted.email.as_deref().and_then(|text| Email::parse(text).ok()) else {
        return Verdict::Refuse(Refusal::Unknown);
    };
    let wanted = if named.is_some() { rules.linking == Linking::VerifiedEmail } else { rules.creates_people };
    if !wanted {
        return Verdict::Refuse(Refusal::Unknown);
    }
    if !asserted.email_verified {
        return Verdict::Refuse(Refusal::Unverified);
    }
    if !in_domains(&rules.allowed_domains, &email) {
        return Verdict::Refuse(Refusal::Domain);
    }
    match named {
        None => Verdict::Create(email),
        Some(user) if user.disabled_at.is_some() => Verdict::Refuse(Refusal::Disabled),
        Some(user) if user.role != Role::Member => Verdict::Refuse(Refusal::Privileged),
        Some(_) if taken => Verdict::Refuse(Refusal::Taken),
        Some(_) => Verdict::Link,
    }
}

/// The whole domain, whatever its case; a domain below it is another one.
fn in_domains(domains: &[String], email: &Email) -> bool {
    let key = email.key();
    let domain = key.rsplit_once('@').map_or("", |(_, domain)| domain);
    domains.is_empty() || domains.iter().any(|allowed| allowed.to_lowercase() == domain)
}

/// The groups of a person after a sign-in: those that the provider manages as it says, the others as they were.
#[must_use]
pub fn groups_after(rules: &Rules, asserted: &Asserted, before: &[String]) -> Vec<String> {
    let managed = |group: &String| rules.groups.iter().any(|(_, ours)| ours == group);
    let mut after: Vec<String> = before.iter().filter(|group| !managed(group)).cloned().collect();
    let given = rules.groups.iter().filter(|(theirs, _)| asserted.groups.contains(theirs));
    after.extend(given.map(|(_, ours)| ours.clone()));
    after.sort_unstable();
    after.dedup();
    after
}

/// The role of a person after a sign-in. A role that the provider does not manage is not taken by it.
#[must_use]
pub fn role_after(rules: &Rules, asserted: &Asserted, before: Role) -> Role {
    let given = rules.roles.iter().filter(|(theirs, _)| asserted.groups.contains(theirs));
    let given = given.map(|(_, role)| *role).max().unwrap_or_default();
    let managed = rules.roles.iter().any(|(_, role)| *role == before);
    if managed { given } else { given.max(before) }
}

/// How they have proved it: elsewhere, and by several factors where an administrator takes the provider's word for that.
#[must_use]
pub fn methods(rules: &Rules, asserted: &Asserted) -> Methods {
    let by_amr = rules.second_factor && asserted.amr.iter().any(|name| name == Method::Several.as_str());
    let by_acr = asserted.acr.as_ref().is_some_and(|acr| rules.second_factor_acr.contains(acr));
    if by_amr || by_acr {
        Methods::of(&[Method::Elsewhere, Method::Several])
    } else {
        Methods::of(&[Method::Elsewhere])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::id::UserId;
    use crate::types::random::SeededRng;
    use crate::types::time::Timestamp;

    fn user(role: Role, off: bool) -> User {
        let now = Timestamp::from_seconds(1_800_000_000);
        User {
            id: UserId::new(now, &SeededRng::new(1)),
            email: "ana@example.com".to_owned(),
            name: None,
            role,
            groups: Vec::new(),
            password_hash: None,
            second_factor_required: false,
            created_at: now,
            updated_at: now,
            disabled_at: off.then_some(now),
        }
    }

    fn says(email: &str, verified: bool) -> Asserted {
        Asserted {
            sub: "1".to_owned(),
            email: Some(email.to_owned()),
            email_verified: verified,
            ..Asserted::default()
        }
    }

    #[test]
    fn nobody_becomes_somebody_by_an_address_alone() {
        use Refusal::{Disabled, Domain, Privileged, Taken, Unknown, Unverified};
        let shut = Rules::default();
        let open = Rules {
            linking: Linking::VerifiedEmail,
            creates_people: true,
            allowed_domains: vec!["Example.com".to_owned()],
            ..Rules::default()
        };
        let (member, admin, auditor, off) = (
            user(Role::Member, false),
            user(Role::Admin, false),
            user(Role::Auditor, false),
            user(Role::Member, true),
        );
        let good = says("ana@example.com", true);
        let refuse = Verdict::Refuse;
        let create = |email: &str| Verdict::Create(Email::parse(email).unwrap());
        for (rules, asserted, linked, named, taken, verdict) in [
            (&shut, &good, Some(&member), None, false, Verdict::Known),
            (&shut, &good, Some(&admin), Some(&member), true, Verdict::Known),
            (&open, &good, Some(&off), None, false, refuse(Disabled)),
            (&shut, &good, None, Some(&member), false, refuse(Unknown)),
            (&shut, &good, None, None, false, refuse(Unknown)),
            (&open, &good, None, Some(&member), false, Verdict::Link),
            (&open, &says("ana@example.com", false), None, Some(&member), false, refuse(Unverified)),
            (&open, &says("new@example.com", false), None, None, false, refuse(Unverified)),
            (&open, &good, None, Some(&admin), false, refuse(Privileged)),
            (&open, &good, None, Some(&auditor), false, refuse(Privileged)),
            (&open, &good, None, Some(&off), false, refuse(Disabled)),
            (&open, &good, None, Some(&member), true, refuse(Taken)),
            (&open, &says("new@EXAMPLE.com", true), None, None, false, create("new@EXAMPLE.com")),
            (&open, &says("new@sub.example.com", true), None, None, false, refuse(Domain)),
            (&open, &says("new@evilexample.com", true), None, None, false, refuse(Domain)),
            (&open, &says("no address", true), None, None, false, refuse(Unknown)),
            (&open, &Asserted::default(), None, None, false, refuse(Unknown)),
        ] {
            assert_eq!(whom(rules, asserted, linked, named, taken), verdict, "{asserted:?} {named:?}");
        }
    }

    #[test]
    fn what_the_provider_does_not_manage_stays() {
        let rules = Rules {
            groups: vec![("idp-dev".to_owned(), "dev".to_owned()), ("idp-ops".to_owned(), "ops".to_owned())],
            roles: vec![("idp-audit".to_owned(), Role::Auditor)],
            ..Rules::default()
        };
        let in_groups = |groups: &[&str]| Asserted {
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..Asserted::default()
        };
        let before = ["board".to_owned(), "ops".to_owned()];
        assert_eq!(groups_after(&rules, &in_groups(&["idp-dev", "board2"]), &before), ["board", "dev"]);
        assert_eq!(groups_after(&rules, &in_groups(&[]), &before), ["board"]);
        for (groups, before, after) in [
            (&["idp-audit"][..], Role::Member, Role::Auditor),
            (&[], Role::Auditor, Role::Member),
            (&[], Role::Admin, Role::Admin),
            (&["idp-audit"], Role::Admin, Role::Admin),
            (&["audit"], Role::Member, Role::Member),
        ] {
            assert_eq!(role_after(&rules, &in_groups(groups), before), after, "{groups:?}");
        }
        assert_eq!(role_after(&Rules::default(), &in_groups(&["x"]), Role::Auditor), Role::Auditor);
    }

    #[test]
    fn a_second_factor_elsewhere_counts_where_an_administrator_says_so() {
        let says = Asserted {
            amr: vec!["pwd".to_owned(), "mfa".to_owned()],
            acr: Some("gold".to_owned()),
            ..Asserted::default()
        };
        let word = |rules: &Rules| methods(rules, &says).stored();
        assert_eq!(word(&Rules::default()), "fed");
        assert_eq!(word(&Rules { second_factor: true, ..Rules::default() }), "fed mfa");
        let gold = Rules { second_factor_acr: vec!["gold".to_owned()], ..Rules::default() };
        assert_eq!(word(&gold), "fed mfa");
        let silver = Rules { second_factor_acr: vec!["silver".to_owned()], ..Rules::default() };
        assert_eq!(word(&silver), "fed");
    }
}
