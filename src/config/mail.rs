//! The values of `mail.*`.

use crate::outbound::mail::{Mailer, check_sender};
use crate::types::mail::{AlertsTo, MailPolicy, MailRoute, SmtpSecurity, SmtpServer};
use crate::types::secret::Secret;
use crate::types::user::Email;

/// `mail.*` while it is being read.
#[derive(Clone, Default)]
pub(super) struct MailDraft {
    pub(super) server: Option<SmtpServer>,
    pub(super) to_log: bool,
    pub(super) from: Option<String>,
    pub(super) alerts_to: AlertsTo,
}

impl MailDraft {
    /// What is in force.
    ///
    /// # Errors
    /// A sentence for what does not go together.
    pub(super) fn finish(&self) -> Result<MailPolicy, String> {
        let route = match (&self.server, self.to_log) {
            (Some(_), true) => {
                return Err("mail.sink is log and mail.smtp_url is set: expected one of them".to_owned());
            }
            (None, true) => MailRoute::Log,
            (Some(server), false) => MailRoute::Smtp(server.clone()),
            (None, false) => MailRoute::Off,
        };
        let from = match (&route, &self.from) {
            (MailRoute::Smtp(_), None) => {
                return Err("mail.from: expected whom mail is from, since mail.smtp_url is set".to_owned());
            }
            (MailRoute::Log, None) => "Postern <postern@localhost>".to_owned(),
            (_, from) => from.clone().unwrap_or_default(),
        };
        let policy = MailPolicy { route, from, alerts_to: self.alerts_to.clone() };
        Mailer::new(&policy).map_err(|why| format!("mail.smtp_url: {why}"))?;
        Ok(policy)
    }
}

/// Reads `smtps://user:password@host`, `smtp://host:587` and the like. What is wrong is said without repeating it, since
/// there may be a password in it.
pub(super) fn smtp_url(text: &str) -> Result<Option<SmtpServer>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let complain = |what: &str| {
        format!(
            "expected smtps://USER:PASSWORD@HOST[:PORT], or smtp:// for STARTTLS (smtp://HOST?tls=none for a relay on this computer), {what}"
        )
    };
    let url = url::Url::parse(text).map_err(|_| complain("found something that is no URL"))?;
    let host = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or_else(|| complain("found no host"))?
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
        return Err(complain("found a path or fragment"));
    }
    let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let (security, usual) = match (url.scheme(), url.query()) {
        ("smtps", None) => (SmtpSecurity::Tls, 465),
        ("smtp", None | Some("tls=required")) => (SmtpSecurity::StartTls, 587),
        ("smtp", Some("tls=none")) if here => (SmtpSecurity::None, 25),
        ("smtp", Some("tls=none")) => {
            return Err(complain("found tls=none with a server on another computer"));
        }
        ("smtp" | "smtps", Some(_)) => return Err(complain("found something else after the question mark")),
        _ => return Err(complain("found another scheme")),
    };
    let plain = |part: &str| {
        percent_encoding::percent_decode_str(part)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| complain("found a name or password that is not UTF-8"))
    };
    let login = match (url.username(), url.password()) {
        ("", None) => None,
        (user, Some(password)) if !user.is_empty() => Some((plain(user)?, Secret::new(plain(password)?))),
        _ => return Err(complain("found a name without password or the other way round")),
    };
    Ok(Some(SmtpServer { host, port: url.port().unwrap_or(usual), security, login }))
}

/// What may be printed of a mail server: never its password.
pub(super) fn shown(server: &SmtpServer) -> String {
    let scheme = if server.security == SmtpSecurity::Tls { "smtps" } else { "smtp" };
    let user = server.login.as_ref().map(|(user, _)| format!("{user}@")).unwrap_or_default();
    let query = if server.security == SmtpSecurity::None { "?tls=none" } else { "" };
    format!("{scheme}://{user}{}:{}{query}", server.host, server.port)
}

pub(super) fn sink(text: &str) -> Result<bool, String> {
    match text {
        "smtp" => Ok(false),
        "log" => Ok(true),
        _ => Err(format!("expected smtp or log, found {text:?}")),
    }
}

pub(super) fn from(text: &str) -> Result<String, String> {
    check_sender(text).map(|()| text.trim().to_owned())
}

pub(super) fn alerts_to(list: &[&str]) -> Result<AlertsTo, String> {
    match list {
        ["administrators"] => Ok(AlertsTo::Administrators),
        ["nobody"] => Ok(AlertsTo::These(Vec::new())),
        all => {
            let parsed = all.iter().map(|one| {
                Email::parse(one).map(|email| email.as_str().to_owned()).map_err(|_| {
                    format!("expected administrators, nobody, or a list of e-mail addresses, found {one:?}")
                })
            });
            parsed.collect::<Result<Vec<_>, _>>().map(AlertsTo::These)
        }
    }
}

pub(super) fn shown_alerts_to(to: &AlertsTo) -> String {
    match to {
        AlertsTo::Administrators => "administrators".to_owned(),
        AlertsTo::These(all) if all.is_empty() => "nobody".to_owned(),
        AlertsTo::These(all) => all.join(","),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_servers_are_read_and_passwords_not_shown() {
        for (text, printed) in [
            ("smtps://ann:p%40ss@mail.example.com", "smtps://ann@mail.example.com:465"),
            ("smtp://mail.example.com", "smtp://mail.example.com:587"),
            ("smtp://mail.example.com:2525?tls=required", "smtp://mail.example.com:2525"),
            ("smtp://localhost?tls=none", "smtp://localhost:25?tls=none"),
        ] {
            let server = smtp_url(text).unwrap().unwrap();
            assert_eq!(shown(&server), printed);
            assert!(!format!("{server:?}").contains("p@ss"), "{server:?}");
        }
        let server = smtp_url("smtps://ann:p%40ss@mail.example.com").unwrap().unwrap();
        assert_eq!(server.login.unwrap().1.expose(), "p@ss");
    }

    #[test]
    fn bad_mail_servers_are_refused_without_repeating_them() {
        for bad in [
            "mail.example.com",
            "http://ann:hunter22@mail.example.com",
            "smtp://ann:hunter22@mail.example.com?tls=none",
            "smtp://ann:hunter22@mail.example.com?tls=opportunistic",
            "smtps://ann:hunter22@mail.example.com/path",
            "smtps://ann@mail.example.com",
            "smtps://:hunter22@mail.example.com",
        ] {
            let problem = smtp_url(bad).unwrap_err();
            assert!(!problem.contains("hunter22") && problem.contains("smtps://"), "{problem}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let server = smtp_url("smtp://localhost?tls=none").unwrap();
        let draft = MailDraft { server: server.clone(), ..MailDraft::default() };
        assert!(draft.finish().unwrap_err().starts_with("mail.from"));
        let draft = MailDraft { server, to_log: true, ..MailDraft::default() };
        assert!(draft.finish().unwrap_err().starts_with("mail.sink"));
        assert!(!MailDraft::default().finish().unwrap().is_on());
    }
}
