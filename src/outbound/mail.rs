//! Mail out of the house: to the operator's mail server, or for development to stdout.

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

use crate::types::id::MailId;
use crate::types::mail::{Letter, MailPolicy, MailRoute, SmtpSecurity, SmtpServer};
use crate::types::policy::SMTP_TIMEOUT;
use crate::types::time::Timestamp;

/// What carries mail away.
pub struct Mailer {
    from: Option<Mailbox>,
    carrier: Carrier,
}

enum Carrier {
    Nobody,
    Stdout,
    Server(Box<AsyncSmtpTransport<Tokio1Executor>>),
}

/// Why a mail did not leave. The words never repeat what the mail server said, which may repeat the mail.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MailError {
    /// Mail is switched off.
    #[error("mail is switched off")]
    Off,
    /// The address is none that mail can go to.
    #[error("the address is none that mail can go to")]
    Address,
    /// The mail server refused it.
    #[error("the mail server answered {0}")]
    Refused(String),
    /// The mail server cannot be reached, or not safely.
    #[error("the mail server cannot be reached: {0}")]
    Unreachable(&'static str),
}

impl Mailer {
    /// What the policy says.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn new(policy: &MailPolicy) -> Result<Self, String> {
        let carrier = match &policy.route {
            MailRoute::Off => return Ok(Self { from: None, carrier: Carrier::Nobody }),
            MailRoute::Log => Carrier::Stdout,
            MailRoute::Smtp(server) => Carrier::Server(Box::new(transport(server)?)),
        };
        Ok(Self { from: Some(sender(&policy.from)?), carrier })
    }

    /// Sends a mail; `at` is its date.
    ///
    /// # Errors
    /// See [`MailError`].
    pub async fn send(&self, id: MailId, letter: &Letter, at: Timestamp) -> Result<(), MailError> {
        let from = self.from.as_ref().ok_or(MailError::Off)?;
        let message = message(from, id, letter, at)?;
        match &self.carrier {
            Carrier::Nobody => Err(MailError::Off),
            Carrier::Stdout => {
                let mut out = std::io::stdout().lock();
                let lines = format!(
                    "--- mail to {} ---\nSubject: {}\n\n{}\n--- end of mail ---\n",
                    letter.to, letter.subject, letter.text
                );
                let written = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
                written.map_err(|_| MailError::Unreachable("stdout is closed"))
            }
            Carrier::Server(server) => match server.send(message).await {
                Ok(_) => Ok(()),
                Err(error) => Err(match error.status() {
                    Some(code) => MailError::Refused(code.to_string()),
                    None if error.is_timeout() => MailError::Unreachable("it took too long"),
                    None if error.is_tls() => MailError::Unreachable("TLS failed"),
                    None if error.is_client() => MailError::Unreachable("it does not offer what is needed"),
                    None => MailError::Unreachable("the connection failed"),
                }),
            },
        }
    }
}

/// Whom mail is from.
///
/// # Errors
/// A sentence that says what was expected.
pub fn check_sender(text: &str) -> Result<(), String> {
    sender(text).map(|_| ())
}

fn sender(text: &str) -> Result<Mailbox, String> {
    let complain = || format!("expected an address like Postern <auth@example.com>, found {text:?}");
    if text.chars().any(char::is_control) {
        return Err(complain());
    }
    text.trim().parse().map_err(|_| complain())
}

fn transport(server: &SmtpServer) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let parameters = || {
        TlsParameters::new_rustls(server.host.clone())
            .map_err(|_| format!("expected the name of a mail server, found {:?}", server.host))
    };
    let tls = match server.security {
        SmtpSecurity::Tls => Tls::Wrapper(parameters()?),
        SmtpSecurity::StartTls => Tls::Required(parameters()?),
        SmtpSecurity::None => Tls::None,
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.host.clone())
        .port(server.port)
        .tls(tls)
        .timeout(Some(SMTP_TIMEOUT));
    if let Some((user, password)) = &server.login {
        builder = builder.credentials(Credentials::new(user.clone(), password.expose().clone()));
    }
    Ok(builder.build())
}

fn message(from: &Mailbox, id: MailId, letter: &Letter, at: Timestamp) -> Result<Message, MailError> {
    let to: Address = letter.to.parse().map_err(|_| MailError::Address)?;
    // The same for every try, so that a mail which came twice after all is known for one.
    let message_id = format!("<{id}@{}>", from.email.domain());
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(at.seconds()).unwrap_or(0));
    let subject: String = letter.subject.chars().filter(|c| !c.is_control()).collect();
    // RFC 3834 §5: no holiday notices in answer.
    let automatic =
        HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(subject)
        .date(date)
        .message_id(Some(message_id))
        .raw_header(automatic)
        .header(ContentType::TEXT_PLAIN)
        .body(letter.text.clone())
        .map_err(|_| MailError::Address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::random::SeededRng;

    fn formatted(to: &str, subject: &str) -> Result<String, MailError> {
        let now = Timestamp::from_seconds(1_795_000_000);
        let id = MailId::new(now, &SeededRng::new(1));
        let letter = Letter { to: to.to_owned(), subject: subject.to_owned(), text: "Hello\n".to_owned() };
        let from = sender("Postern <auth@example.com>").unwrap();
        message(&from, id, &letter, now).map(|message| String::from_utf8(message.formatted()).unwrap())
    }

    #[test]
    fn nothing_that_is_written_becomes_a_header() {
        let sent = formatted("ana@example.com", "Hi\r\nBcc: eve@evil.example\u{0}").unwrap();
        assert!(!sent.contains("\r\nBcc:"), "{sent}");
        for bad in [
            "ana@example.com\r\nBcc: eve@evil.example",
            "ana@example.com, eve@evil.example",
            "Ana <ana@example.com>",
            "ana@example.com>\nRCPT TO:<eve@evil.example",
            "",
        ] {
            assert_eq!(formatted(bad, "Hi"), Err(MailError::Address), "{bad:?}");
        }
    }

    #[test]
    fn a_mail_says_that_a_machine_wrote_it_and_keeps_its_name() {
        let sent = formatted("ana@example.com", "Grüße").unwrap();
        assert!(sent.contains("Auto-Submitted: auto-generated\r\n"), "{sent}");
        assert_eq!(sent, formatted("ana@example.com", "Grüße").unwrap());
    }

    #[test]
    fn senders_are_addresses() {
        for fine in ["auth@example.com", "Postern <auth@example.com>", "\"Ex, Inc.\" <auth@example.com>"] {
            assert_eq!(check_sender(fine), Ok(()), "{fine}");
        }
        for bad in ["", "auth", "a@b\r\nBcc: c@d", "a@b, c@d"] {
            assert!(check_sender(bad).is_err(), "{bad:?}");
        }
    }
}
