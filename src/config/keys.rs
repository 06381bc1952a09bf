//! Every key there is: reading, refusing, `check-config` and docs/CONFIG.md all go by this one table.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::brand::{Brand, Colour, read_logo};
use super::given::Given;
use super::mail::{self, MailDraft};
use super::{LogConfig, LogFormat, MasterKeySource};
use crate::storage::DatabaseUrl;
use crate::types::duration;
use crate::types::issuer::Issuer;
use crate::types::network::{Network, TrustedProxies};
use crate::types::policy::{MAX_ACCESS_TOKEN_TTL, Policy, RegistrationMode};
use crate::types::secret::Secret;

/// One key of the configuration.
pub(super) struct Key {
    /// Its name in the file; dots stand between levels.
    pub(super) name: &'static str,
    /// Its default as one would write it in the environment; absent when it is off or follows from others.
    pub(super) default: Option<&'static str>,
    /// The default in words, where [`Key::default`] is absent.
    pub(super) default_in_words: &'static str,
    /// What it does.
    pub(super) meaning: &'static str,
    /// Reads a value.
    pub(super) set: fn(&mut Draft, Given<'_>) -> Result<(), String>,
    /// Writes the value as it is in force.
    pub(super) show: fn(&Draft) -> String,
}

impl Key {
    /// Its name in the environment.
    pub(super) fn variable(&self) -> String {
        format!("POSTERN_{}", self.name.replace('.', "__").to_uppercase())
    }
}

/// The configuration while it is being read.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) cwd: PathBuf,
    pub(super) policy: Policy,
    pub(super) listen: SocketAddr,
    pub(super) data_dir: PathBuf,
    pub(super) database_url: Option<DatabaseUrl>,
    pub(super) master_key: Option<MasterKeySource>,
    pub(super) metrics_listen: Option<SocketAddr>,
    pub(super) trusted_proxies: TrustedProxies,
    pub(super) client_cert_header: String,
    pub(super) brand: Brand,
    pub(super) log: LogConfig,
    pub(super) mail: MailDraft,
}

impl Draft {
    /// The database: the one that was set, or the file in the data folder.
    pub(super) fn database(&self) -> DatabaseUrl {
        self.database_url.clone().unwrap_or_else(|| DatabaseUrl::Sqlite(self.data_dir.join("postern.db")))
    }

    fn path(&self, given: Given<'_>) -> Result<PathBuf, String> {
        match given.text()? {
            "" => Err("expected a path, found nothing".to_owned()),
            // Through its components, which drops a `.` in the middle.
            text => Ok(self.cwd.join(text).components().collect()),
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
const TEN_MINUTES: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(86_400);
/// Ten years; the longest span that is read.
const LONGEST: Duration = Duration::from_secs(3_650 * 86_400);

macro_rules! keys {
    ($(
        $(#[doc = $meaning:literal])+
        $name:literal = $default:expr, $words:literal,
        |$draft:ident, $given:ident| $set:expr, |$shown:ident| $show:expr;
    )*) => {
        /// Every key, in the order of the documentation.
        pub(super) const KEYS: &[Key] = &[$(Key {
            name: $name,
            default: $default,
            default_in_words: $words,
            meaning: concat!($($meaning),+),
            set: |$draft: &mut Draft, $given: Given<'_>| { $set; Ok(()) },
            show: |$shown: &Draft| $show,
        },)*];
    };
}

/// A key that is a span of the policy.
macro_rules! span {
    ($draft:ident, $given:ident, $field:ident, $least:expr, $most:expr) => {
        $draft.policy.$field = $given.span($least, $most)?
    };
}

keys! {
    /// The public URL, byte for byte as clients will see it: `https`, or `http` on this computer. A path is allowed,
    /// and every endpoint then lives under it; nothing in it may be percent-encoded. Changing it signs every client out.
    "issuer" = Some("http://localhost:8080"), "",
    |draft, given| draft.policy.issuer = Issuer::parse(given.text()?)?,
    |draft| draft.policy.issuer.to_string();

    /// The address and port to listen on.
    "listen" = Some("127.0.0.1:8080"), "",
    |draft, given| draft.listen = address(given.text()?)?,
    |draft| draft.listen.to_string();

    /// The folder for the database and the master key; made with mode 0700. Relative paths start at the folder in which
    /// the program is started.
    "data_dir" = Some("./postern-data"), "",
    |draft, given| draft.data_dir = draft.path(given)?,
    |draft| draft.data_dir.display().to_string();

    /// The database: `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST/DATABASE`.
    "database_url" = None, "`sqlite:DATA_DIR/postern.db`",
    |draft, given| draft.database_url = Some(database(given.text()?, &draft.cwd)?),
    |draft| database_without_password(&draft.database());

    /// The master key itself: 32 bytes in base64. Set one of this, `master_key_file` and
    /// `master_key_command`.
    "master_key" = None, "see `master_key_file`",
    |draft, given| draft.master_key = Some(MasterKeySource::Given(master_key(given.text()?)?)),
    |draft| match draft.master_key { Some(MasterKeySource::Given(_)) => "set", _ => "" }.to_owned();

    /// A file with the master key, which must exist.
    "master_key_file" = None, "`DATA_DIR/master.key`, generated with mode 0600 when it is missing",
    |draft, given| draft.master_key = Some(MasterKeySource::File(draft.path(given)?)),
    |draft| match &draft.master_key {
        Some(MasterKeySource::File(path)) => path.display().to_string(),
        _ => String::new(),
    };

    /// A command that prints the master key, such as `vault kv get -field=key secret/postern`. It is split into words as a
    /// shell would, quotes included, but no shell runs it. It is run at every start and by every command.
    "master_key_command" = None, "see `master_key_file`",
    |draft, given| draft.master_key = Some(MasterKeySource::Command(super::command::words(given.text()?)?)),
    |draft| match &draft.master_key {
        // Only the program: an argument may be a secret.
        Some(MasterKeySource::Command(words)) => words.first().cloned().unwrap_or_default(),
        _ => String::new(),
    };

    /// The address and port on which Prometheus metrics are served under `/metrics`; others than those of `listen`.
    "metrics_listen" = None, "off",
    |draft, given| draft.metrics_listen = match given.text()? { "" | "off" => None, text => Some(address(text)?) },
    |draft| draft.metrics_listen.map_or_else(|| "off".to_owned(), |address| address.to_string());

    /// Proxies, as addresses or blocks, whose `X-Forwarded-For` is believed. From everybody else it is ignored.
    "trusted_proxies" = Some(""), "none",
    |draft, given| draft.trusted_proxies = TrustedProxies::new(
        given.list()?.into_iter().map(Network::parse).collect::<Result<_, _>>()?
    ),
    |draft| draft.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");

    /// The header in which trusted proxies say which certificate a caller has shown them, for servers behind the gateway that
    /// want one: `:BASE64:` (RFC 9440), the same without colons, or PEM in percent-encoding. From everybody else it is ignored.
    "client_cert_header" = Some("Client-Cert"), "",
    |draft, given| draft.client_cert_header = header_name(given.text()?)?,
    |draft| draft.client_cert_header.clone();

    /// Who may register a client: `open` to all, with an `initial_access_token`, or `closed`.
    "registration.mode" = Some("open"), "",
    |draft, given| draft.policy.registration_mode = registration_mode(given.text()?)?,
    |draft| match draft.policy.registration_mode {
        RegistrationMode::Open => "open",
        RegistrationMode::InitialAccessToken => "initial_access_token",
        RegistrationMode::Closed => "closed",
    }.to_owned();

    /// Whether a client id may be the URL of a metadata document.
    "registration.client_id_metadata_documents" = Some("true"), "",
    |draft, given| draft.policy.client_id_metadata_documents = given.flag()?,
    |draft| draft.policy.client_id_metadata_documents.to_string();

    /// For tests: metadata documents, key sets and logos may also be fetched from private and loopback addresses and over
    /// `http`. Leave it off where strangers can reach the server.
    "registration.allow_private_networks" = Some("false"), "",
    |draft, given| draft.policy.allow_private_networks = given.flag()?,
    |draft| draft.policy.allow_private_networks.to_string();

    /// Private-use URI schemes that redirect URIs may have.
    "registration.redirect_schemes" = Some("cursor,vscode,vscode-insiders"), "",
    |draft, given| draft.policy.redirect_schemes =
        given.list()?.into_iter().map(redirect_scheme).collect::<Result<_, _>>()?,
    |draft| draft.policy.redirect_schemes.join(",");

    /// Life of an access token, 1 s to 1 h; a resource may set its own.
    "tokens.access_token_ttl" = Some("5m"), "",
    |draft, given| span!(draft, given, access_token_ttl, SECOND, MAX_ACCESS_TOKEN_TTL),
    |draft| duration::format(draft.policy.access_token_ttl);

    /// Life of an authorization code, 1 s to 10 m.
    "tokens.authorization_code_ttl" = Some("60s"), "",
    |draft, given| span!(draft, given, authorization_code_ttl, SECOND, TEN_MINUTES),
    |draft| duration::format(draft.policy.authorization_code_ttl);

    /// Life of a refresh token that is not used; if set, at most `tokens.refresh_token_max_ttl`.
    "tokens.refresh_token_idle_ttl" = Some("30d"), "",
    |draft, given| span!(draft, given, refresh_token_idle_ttl, SECOND, LONGEST),
    |draft| duration::format(draft.policy.refresh_token_idle_ttl);

    /// Life of a chain of refresh tokens, and of the approval it rests on.
    "tokens.refresh_token_max_ttl" = Some("365d"), "",
    |draft, given| span!(draft, given, refresh_token_max_ttl, SECOND, LONGEST),
    |draft| duration::format(draft.policy.refresh_token_max_ttl);

    /// How long a used refresh token is answered with the same successor, 0 s to 1 d. Later use counts as theft and ends
    /// the grant.
    "tokens.refresh_retry_window" = Some("30s"), "",
    |draft, given| span!(draft, given, refresh_retry_window, Duration::ZERO, DAY),
    |draft| duration::format(draft.policy.refresh_retry_window);

    /// Life of a browser session that is not used; if set, at most `login.session_max_ttl`.
    "login.session_idle_ttl" = Some("12h"), "",
    |draft, given| span!(draft, given, session_idle_ttl, SECOND, LONGEST),
    |draft| duration::format(draft.policy.session_idle_ttl);

    /// Life of a browser session.
    "login.session_max_ttl" = Some("7d"), "",
    |draft, given| span!(draft, given, session_max_ttl, SECOND, LONGEST),
    |draft| duration::format(draft.policy.session_max_ttl);

    /// How long audit records are kept, 1 d to 10 years; what is left stays provable.
    "audit.retention" = None, "for ever",
    |draft, given| draft.policy.audit_retention = Some(given.span(DAY, LONGEST)?),
    |draft| draft.policy.audit_retention.map_or_else(|| "for ever".to_owned(), duration::format);

    /// After how long without a sign of life a person or an app is warned about, 1 d to 10 years: an alert says so. What
    /// counts is a sign-in, letting an app in, and a token for an app.
    "inactivity.warn_after" = None, "off",
    |draft, given| draft.policy.inactivity.warn_after = Some(given.span(DAY, LONGEST)?),
    |draft| draft.policy.inactivity.warn_after.map_or_else(|| "off".to_owned(), duration::format);

    /// After how long they are switched off, never sooner after the warning than the two spans lie apart. The last
    /// administrator who shows signs of life never is.
    "inactivity.disable_after" = None, "off",
    |draft, given| draft.policy.inactivity.disable_after = Some(given.span(DAY, LONGEST)?),
    |draft| draft.policy.inactivity.disable_after.map_or_else(|| "off".to_owned(), duration::format);

    /// After how long all their approvals end.
    "inactivity.revoke_after" = None, "off",
    |draft, given| draft.policy.inactivity.revoke_after = Some(given.span(DAY, LONGEST)?),
    |draft| draft.policy.inactivity.revoke_after.map_or_else(|| "off".to_owned(), duration::format);
    /// The mail server: `smtps://USER:PASSWORD@HOST` (TLS from the start), or `smtp://…` (STARTTLS, without which nothing
    /// is sent). A relay on this computer may do without: `smtp://localhost?tls=none`.
    "mail.smtp_url" = None, "off: no mail is sent",
    |draft, given| draft.mail.server = mail::smtp_url(given.text()?)?,
    |draft| draft.mail.server.as_ref().map_or_else(|| "off".to_owned(), mail::shown);

    /// Whom mail is from: `auth@example.com` or `Postern <auth@example.com>`.
    "mail.from" = None, "must be set with `mail.smtp_url`",
    |draft, given| draft.mail.from = Some(mail::from(given.text()?)?),
    |draft| draft.mail.from.clone().unwrap_or_default();

    /// `smtp`: mail goes to the mail server, if there is one. `log`: for development, every mail is printed on the
    /// server's stdout, with the links in it.
    "mail.sink" = Some("smtp"), "",
    |draft, given| draft.mail.to_log = mail::sink(given.text()?)?,
    |draft| if draft.mail.to_log { "log" } else { "smtp" }.to_owned();

    /// Who gets alerts by mail: `administrators`, `nobody`, or addresses.
    "mail.alerts_to" = Some("administrators"), "",
    |draft, given| draft.mail.alerts_to = mail::alerts_to(&given.list()?)?,
    |draft| mail::shown_alerts_to(&draft.mail.alerts_to);
    /// Whether webhooks, receivers of shared signals and streams of the audit log may be at private and loopback addresses,
    /// and over `http`. Administrators name them; switch it on where collectors stand in the private network.
    "outgoing.allow_private_networks" = Some("false"), "",
    |draft, given| draft.policy.outgoing_private = given.flag()?,
    |draft| draft.policy.outgoing_private.to_string();

    /// The name on every page.
    "brand.name" = Some("Postern"), "",
    |draft, given| draft.brand.name = brand_name(given.text()?)?,
    |draft| draft.brand.name.clone();

    /// A file with the logo (PNG, JPEG, WebP or SVG, at most 64 KiB), shown in the header of every page.
    "brand.logo" = None, "Postern's mark",
    |draft, given| draft.brand.logo = Some(logo(draft.path(given)?)?),
    |draft| draft.brand.logo.as_ref().map_or_else(String::new, |path| path.display().to_string());

    /// The colour of buttons and links as `#rrggbb`; it must be readable on white (contrast 4.5). The dark scheme gets a
    /// lighter one of the same hue.
    "brand.accent" = None, "Postern's blue",
    |draft, given| draft.brand.accent = Some(Colour::parse_accent(given.text()?)?),
    |draft| draft.brand.accent.map_or_else(String::new, Colour::hex);

    /// The shape of a log line: `json` for programs, `text` for people. The log goes to stderr.
    "log.format" = Some("json"), "",
    |draft, given| draft.log.format = log_format(given.text()?)?,
    |draft| match draft.log.format { LogFormat::Json => "json", LogFormat::Text => "text" }.to_owned();

    /// What is logged: `error`, `warn`, `info`, `debug` or `trace`, or a list by module such as `warn,postern=debug`.
    "log.level" = Some("info,actix_server=warn"), "",
    |draft, given| draft.log.level = log_level(given.text()?)?,
    |draft| draft.log.level.clone();
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("expected an address and port like 127.0.0.1:8080 or [::]:8080, found {text:?}"))
}

fn database(text: &str, cwd: &Path) -> Result<DatabaseUrl, String> {
    Ok(match DatabaseUrl::parse(text)? {
        DatabaseUrl::Sqlite(path) => DatabaseUrl::Sqlite(cwd.join(path)),
        server @ DatabaseUrl::Postgres(_) => server,
    })
}

/// What may be printed of a database URL: never its password, nor a query, which may hold one too.
fn database_without_password(url: &DatabaseUrl) -> String {
    match url {
        DatabaseUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
        DatabaseUrl::Postgres(text) => match url::Url::parse(text) {
            Ok(mut url) => {
                let _ = url.set_password(None);
                url.set_query(None);
                url.to_string()
            }
            Err(_) => "postgres://…".to_owned(),
        },
    }
}

fn master_key(text: &str) -> Result<Secret<String>, String> {
    crate::crypto::seal::MasterKey::from_base64(text)?;
    Ok(Secret::new(text.to_owned()))
}

/// The name of a header (RFC 9110 §5.1), one of the proxy's own.
fn header_name(text: &str) -> Result<String, String> {
    let named = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let own = ["authorization", "cookie", "host"].iter().all(|name| !text.eq_ignore_ascii_case(name));
    if named && own {
        Ok(text.to_owned())
    } else {
        Err(format!("expected the name of a header, found {text:?}"))
    }
}

fn registration_mode(text: &str) -> Result<RegistrationMode, String> {
    match text {
        "open" => Ok(RegistrationMode::Open),
        "initial_access_token" => Ok(RegistrationMode::InitialAccessToken),
        "closed" => Ok(RegistrationMode::Closed),
        _ => Err(format!("expected open, initial_access_token or closed, found {text:?}")),
    }
}

/// Schemes that a browser or the system acts upon itself can never be an app's own.
fn redirect_scheme(text: &str) -> Result<String, String> {
    const NEVER: [&str; 14] = [
        "http",
        "https",
        "javascript",
        "data",
        "file",
        "vbscript",
        "blob",
        "about",
        "view-source",
        "ws",
        "wss",
        "ftp",
        "mailto",
        "tel",
    ];
    let mut bytes = text.bytes();
    let fine = bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.'));
    if fine && !NEVER.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected schemes that belong to apps, in lower case, such as cursor or com.example.app, found {text:?}"
    ))
}

fn brand_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    if (1..=60).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        return Ok(name.to_owned());
    }
    Err(format!("expected a name of 1 to 60 characters, found {text:?}"))
}

fn logo(path: PathBuf) -> Result<PathBuf, String> {
    read_logo(&path).map(|_| path)
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err(format!("expected json or text, found {text:?}")),
    }
}

fn log_level(text: &str) -> Result<String, String> {
    let complain = || {
        format!(
            "expected error, warn, info, debug, trace, or a list such as warn,postern=debug, found {text:?}"
        )
    };
    let directives: Vec<&str> = text.split(',').map(str::trim).collect();
    // The library takes any bare word for the name of a module; here a bare word is a level.
    let level = |word: &str| matches!(word, "error" | "warn" | "info" | "debug" | "trace" | "off");
    let fine = directives.iter().all(|directive| match directive.rsplit_once('=') {
        Some((_, word)) => level(word),
        None => level(directive),
    });
    if fine && tracing_subscriber::EnvFilter::builder().parse(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err(complain())
}
