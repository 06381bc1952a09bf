//! One filled-in example of every page and of every state that looks different.

use askama::Template;

use super::*;

/// Name and HTML of every example.
pub(super) fn all() -> Vec<(&'static str, String)> {
    let mut pages = logins();
    pages.extend(consents());
    pages.extend(errors());
    pages.extend(plain());
    pages.extend(seconds());
    pages.extend(connections());
    pages
}

fn connections() -> Vec<(&'static str, String)> {
    let show = |stage| html(&ConnectPage { shell: shell(), stage });
    let ask = |since, later: Option<&str>, declined| ConnectStage::Ask {
        csrf: "csrf-value".into(),
        slug: "mail".into(),
        server: "Mail".into(),
        host: "login.example.com".into(),
        person: "ada@example.com".into(),
        scopes: vec!["mail.read".into(), "mail.send".into()],
        since,
        resume: String::new(),
        later: later.map(str::to_owned),
        declined,
    };
    let place = |server: &str, since, ended| PlaceLine {
        slug: server.to_lowercase(),
        server: server.into(),
        host: "login.example.com".into(),
        scope: "mail.read mail.send".into(),
        since,
        ended,
    };
    let list = ConnectionsPage {
        shell: shell(),
        csrf: "csrf-value".into(),
        email: "ada@example.com".into(),
        name: Some("Ada".into()),
        administers: false,
        connects: true,
        removed: None,
        places: vec![],
    };
    let day = || Some(day("2026-11-21", "21 November 2026"));
    let places = vec![place("Mail", day(), None), place("Tasks", day(), day()), place("Wiki", None, None)];
    let servers = ServersPage {
        shell: shell(),
        csrf: "csrf-value".into(),
        email: "ada@example.com".into(),
        name: None,
        administers: true,
        connects: false,
        servers: vec![],
    };
    let line = ServerLine {
        name: "Notes".into(),
        url: "https://mcp.example.com/notes".into(),
        snippets: vec![("Claude Code", "In a terminal", "claude mcp add --transport http notes URL".into())],
    };
    vec![
        ("servers-none", html(&servers)),
        ("servers", html(&ServersPage { servers: vec![line], ..servers })),
        ("connect", show(ask(None, Some("/t1/authorize?continue=x"), false))),
        ("connect-anew", show(ask(day(), None, true))),
        ("connect-done", show(ConnectStage::Done { server: "Mail".into() })),
        (
            "connect-other",
            show(ConnectStage::SomebodyElse { person: "bob@example.com".into(), server: "Mail".into() }),
        ),
        ("connect-stale", show(ConnectStage::Stale)),
        ("connect-unproven", show(ConnectStage::Unproven)),
        ("connections-none", html(&list)),
        ("connections", html(&ConnectionsPage { removed: Some("Files".into()), places, ..list })),
    ]
}

pub(super) fn shell() -> Shell {
    Shell {
        base: "/t1".into(),
        brand: "Postern".into(),
        logo: None,
        assets: "a1b2c3".into(),
        brand_sheet: None,
    }
}

pub(super) fn consent() -> ConsentPage {
    ConsentPage {
        shell: shell(),
        action: "/t1/authorize/decision".into(),
        csrf: "csrf-value".into(),
        request: "request-value".into(),
        person: "ada@example.com".into(),
        here: "/t1/authorize?request=request-value".into(),
        app: App {
            name: "Claude Code".into(),
            provenance: Provenance::VerifiedDomain { host: "claude.ai".into() },
        },
        groups: vec![notes()],
        destination: Destination::Loopback { host: "localhost:3118".into() },
        duration: Duration {
            until: day("2027-11-21", "21 November 2027"),
            idle: Some("30 days".into()),
            renews: true,
        },
        changes: vec![],
        approved_before: None,
    }
}

fn notes() -> Group {
    Group {
        subject: Subject::Server { name: "Notes".into(), location: "mcp.example.com/notes".into() },
        permissions: vec![
            permission("notes:read", "Read your notes", Some(Risk::Reads)),
            permission("notes:search", "Search notes shared with you", Some(Risk::Reads)),
            permission("notes:write", "Write and change notes", Some(Risk::Changes)),
            permission("notes:delete", "Delete notes for good", Some(Risk::Deletes)),
        ],
    }
}

fn permission(value: &str, words: &str, risk: Option<Risk>) -> Permission {
    Permission { value: value.into(), words: words.into(), risk, held: Held::New, checked: true }
}

fn day(iso: &str, words: &str) -> Moment {
    Moment { iso: format!("{iso}T00:00:00Z"), words: words.into(), exact: format!("{iso} 00:00:00 UTC") }
}

fn logins() -> Vec<(&'static str, String)> {
    let page = LoginPage {
        shell: shell(),
        asker: Some(Asker {
            app: "Claude Code".into(),
            server: Some(("Notes".into(), "mcp.example.com".into())),
        }),
        email: String::new(),
        problem: None,
        csrf: "csrf-value".into(),
        continue_to: "/t1/authorize?request=request-value".into(),
        passkeys: true,
        resets: true,
        providers: vec![("corp".into(), "Example Corp".into())],
    };
    let again =
        |problem| LoginPage { email: "ada@example.com".into(), problem: Some(problem), ..page.clone() };
    vec![
        ("login", html(&page)),
        ("login-alone", html(&LoginPage { asker: None, ..page.clone() })),
        ("login-mismatch", html(&again(LoginProblem::Mismatch))),
        ("login-password", html(&again(LoginProblem::PasswordMissing))),
        ("login-email", html(&LoginPage { problem: Some(LoginProblem::EmailMissing), ..page.clone() })),
        ("login-throttled", html(&again(LoginProblem::Throttled { seconds: 30 }))),
        ("login-expired", html(&again(LoginProblem::FormExpired))),
        ("login-passkey", html(&again(LoginProblem::Passkey))),
        ("login-elsewhere", html(&again(LoginProblem::Elsewhere { words: "Please begin again." }))),
        ("login-fresh", html(&again(LoginProblem::Fresh))),
        ("login-confirm", html(&again(LoginProblem::Confirm))),
        ("reset", html(&reset(ResetStage::Ask { email: String::new(), problem: None }))),
        ("reset-email", html(&reset_again(AskProblem::Email))),
        ("reset-throttled", html(&reset_again(AskProblem::Throttled { minutes: 60 }))),
        ("reset-expired", html(&reset_again(AskProblem::FormExpired))),
        ("reset-sent", html(&reset(ResetStage::Sent { minutes: 30 }))),
        ("reset-choose", html(&reset_choose(None))),
        ("reset-choose-short", html(&reset_choose(Some(ChooseProblem::Password(PasswordFault::Short))))),
        ("reset-choose-expired", html(&reset_choose(Some(ChooseProblem::FormExpired)))),
        ("reset-dead", html(&reset(ResetStage::Dead))),
        ("reset-done", html(&reset(ResetStage::Done))),
        ("email", html(&email(ask_email(None)))),
        ("email-none", html(&email(ask_email(Some(EmailProblem::NoAddress))))),
        ("email-same", html(&email(ask_email(Some(EmailProblem::Same))))),
        ("email-throttled", html(&email(ask_email(Some(EmailProblem::Throttled { minutes: 1 }))))),
        ("email-sent", html(&email(EmailStage::Sent { to: "ada@example.org".into() }))),
        (
            "email-confirm",
            html(&email(EmailStage::Confirm {
                token: "pst_ml_value".into(),
                now: "ada@example.com".into(),
                to: "ada@example.org".into(),
            })),
        ),
        ("email-confirmed", html(&email(EmailStage::Confirmed { to: "ada@example.org".into() }))),
        (
            "email-undo",
            html(&email(EmailStage::Undo {
                token: "pst_ml_value".into(),
                now: "ada@example.org".into(),
                to: "ada@example.com".into(),
            })),
        ),
        ("email-undone", html(&email(EmailStage::Undone { to: "ada@example.com".into() }))),
        ("email-dead", html(&email(EmailStage::Dead))),
        ("email-taken", html(&email(EmailStage::Taken))),
        ("invitation", html(&invitation(None))),
        ("invitation-name", html(&invitation(Some(InvitationProblem::Name)))),
        ("invitation-short", html(&invitation(Some(InvitationProblem::Password(PasswordFault::Short))))),
        ("invitation-expired", html(&invitation(Some(InvitationProblem::FormExpired)))),
        ("invitation-dead", html(&invited(InvitationStage::Dead))),
        ("invitation-exists", html(&invited(InvitationStage::Exists { email: "ada@example.com".into() }))),
        ("setup", html(&setup(None))),
        ("setup-short", html(&setup(Some(SetupProblem::PasswordShort)))),
        ("setup-long", html(&setup(Some(SetupProblem::PasswordLong { most: 1024 })))),
        ("setup-guessable", html(&setup(Some(SetupProblem::PasswordGuessable)))),
        ("setup-email", html(&setup(Some(SetupProblem::Email)))),
        ("setup-expired", html(&setup(Some(SetupProblem::FormExpired)))),
    ]
}

fn reset(stage: ResetStage) -> ResetPage {
    ResetPage { shell: shell(), stage, password_min: 12, csrf: "csrf-value".into() }
}

fn reset_again(problem: AskProblem) -> ResetPage {
    reset(ResetStage::Ask { email: "ada@example".into(), problem: Some(problem) })
}

fn reset_choose(problem: Option<ChooseProblem>) -> ResetPage {
    let (token, email) = ("pst_ml_value".to_owned(), "ada@example.com".to_owned());
    reset(ResetStage::Choose { token, email, problem })
}

fn email(stage: EmailStage) -> EmailPage {
    EmailPage { shell: shell(), stage, csrf: "csrf-value".into() }
}

fn ask_email(problem: Option<EmailProblem>) -> EmailStage {
    EmailStage::Ask { now: "ada@example.com".into(), wanted: "ada@example".into(), problem }
}

fn invited(stage: InvitationStage) -> InvitationPage {
    InvitationPage { shell: shell(), stage, password_min: 12, csrf: "csrf-value".into() }
}

fn invitation(problem: Option<InvitationProblem>) -> InvitationPage {
    let (token, email, name) = ("pst_iv_value".into(), "ada@example.com".into(), "Ada".into());
    invited(InvitationStage::Choose { token, email, name, problem })
}

fn setup(problem: Option<SetupProblem>) -> SetupPage {
    SetupPage {
        shell: shell(),
        email: if problem.is_some() { "ada@example.com".into() } else { String::new() },
        name: String::new(),
        password_min: 12,
        problem,
        setup: "setup-value".into(),
        csrf: "csrf-value".into(),
    }
}

fn consents() -> Vec<(&'static str, String)> {
    let unverified = App { name: "Cursor".into(), provenance: Provenance::Unverified };
    let mut step_up = ConsentPage { changes: vec![Change::Name, Change::ReturnAddress], ..consent() };
    for known in &mut step_up.groups[0].permissions[..2] {
        known.held = Held::Already;
    }
    let mut plain_step_up = step_up.clone();
    plain_step_up.changes.clear();
    let mut again = ConsentPage { approved_before: Some(day("2026-11-03", "3 November 2026")), ..consent() };
    for known in &mut again.groups[0].permissions {
        known.held = Held::Already;
    }
    let calendar = Group {
        subject: Subject::Server { name: "Calendar".into(), location: "calendar.example.com".into() },
        permissions: vec![
            permission(
                "events:read",
                "See when you are busy, without the titles of meetings",
                Some(Risk::Reads),
            ),
            permission("events:write", "Propose meetings", None),
        ],
    };
    let person = Group {
        subject: Subject::Person,
        permissions: vec![permission("email", "See your e-mail address", Some(Risk::Reads))],
    };
    vec![
        ("consent", html(&consent())),
        (
            "consent-unverified",
            html(&ConsentPage {
                app: unverified.clone(),
                destination: Destination::PrivateScheme { scheme: "cursor".into() },
                ..consent()
            }),
        ),
        (
            "consent-several",
            html(&ConsentPage {
                app: App { name: "Quarterly report builder".into(), provenance: Provenance::Administrator },
                groups: vec![notes(), calendar, person],
                destination: Destination::Web { host: "reports.example.org".into() },
                duration: Duration { until: day("2026-11-21", "12:40 today"), idle: None, renews: false },
                ..consent()
            }),
        ),
        ("consent-step-up", html(&plain_step_up)),
        ("consent-changed", html(&step_up)),
        ("consent-again", html(&again)),
        (
            "consent-hostile",
            html(&ConsentPage {
                app: App {
                    name:
                        "<script>alert(1)</script>\"'>\u{202e}Aliceandtheveryveryverylongappnamewithoutaspace"
                            .into(),
                    provenance: Provenance::Unverified,
                },
                person: "a.person.with.a.really.long.address@department.of.a.long.company.example.com".into(),
                ..consent()
            }),
        ),
    ]
}

fn errors() -> Vec<(&'static str, String)> {
    let (app, host) = ("Claude Code".to_owned(), "claude.ai".to_owned());
    let detail = "The document answered 404 Not Found.".to_owned();
    [
        ("error-unknown-app", Problem::UnknownApp),
        ("error-disabled", Problem::AppDisabled { app: app.clone() }),
        (
            "error-return-address",
            Problem::ReturnAddress {
                app: app.clone(),
                sent: Some("https://evil.example/callback?x=<b>".into()),
            },
        ),
        ("error-no-return-address", Problem::ReturnAddress { app, sent: None }),
        ("error-invalid", Problem::AppInvalid { host, detail }),
        ("error-bad-request", Problem::BadRequest { detail: "The parameter client_id is missing.".into() }),
        ("error-request-expired", Problem::RequestExpired),
        (
            "error-broken-form",
            Problem::BrokenForm { detail: "The body must be application/x-www-form-urlencoded.".into() },
        ),
        ("error-form-expired", Problem::FormExpired),
        ("error-setup-link", Problem::SetupLink),
        ("error-forbidden", Problem::Forbidden),
        ("error-not-found", Problem::NotFound),
        ("error-too-many", Problem::TooMany { seconds: 1 }),
        ("error-too-large", Problem::TooLarge),
        ("error-too-slow", Problem::TooSlow),
        ("error-trouble", Problem::Trouble),
    ]
    .into_iter()
    .map(|(name, problem)| {
        let request_id = "01939f2e-6c1a-7b5e-9a53-5d1c7b0e4a11".into();
        (name, html(&ErrorPage { shell: shell(), problem, request_id }))
    })
    .collect()
}

fn plain() -> Vec<(&'static str, String)> {
    let home = HomePage { shell: shell(), host: "auth.example.com".into(), person: None, fresh: false };
    let done = DonePage {
        shell: shell(),
        app: "Cursor".into(),
        outcome: Outcome::Allowed,
        destination: Destination::PrivateScheme { scheme: "cursor".into() },
        target: "cursor://anysphere.cursor-mcp/oauth/callback?code=pst_ac_x&state=y".into(),
        follow: false,
    };
    let loopback = Destination::Loopback { host: "127.0.0.1:3118".into() };
    let (person, csrf) = ("ada@example.com".to_owned(), "csrf-value".to_owned());
    vec![
        ("home", html(&HomePage { person: Some(person.clone()), ..home.clone() })),
        ("home-fresh", html(&HomePage { fresh: true, ..home })),
        (
            "link",
            html(&LinkPage {
                shell: shell(),
                csrf: csrf.clone(),
                person: person.clone(),
                id: "corp".into(),
                name: "Example Corp".into(),
            }),
        ),
        ("logout", html(&LogoutPage { shell: shell(), csrf, person })),
        ("logged-out", html(&LoggedOutPage { shell: shell() })),
        ("done", html(&done)),
        ("done-denied", html(&DonePage { outcome: Outcome::Denied, destination: loopback, ..done })),
        ("account", html(&account())),
        (
            "account-empty",
            html(&AccountPage { removed: None, accesses: vec![], sessions: vec![], name: None, ..account() }),
        ),
    ]
}

fn seconds() -> Vec<(&'static str, String)> {
    let (csrf, email) = ("csrf-value".to_owned(), "ada@example.com".to_owned());
    let second = SecondPage {
        shell: shell(),
        csrf: csrf.clone(),
        continue_to: "request-value".into(),
        email: email.clone(),
        authenticator: true,
        passkey: true,
        recovery: true,
        more: false,
        problem: None,
    };
    let enrol = EnrolPage {
        shell: shell(),
        action: "/t1/login/second/enrol".into(),
        csrf: csrf.clone(),
        continue_to: "request-value".into(),
        offer: "offer-value".into(),
        key: "ABCD-EFGH-IJKL-MNOP".into(),
        picture: Picture { side: 9, path: "M4 4h1v1h-1z".into() },
        email: email.clone(),
        needed: true,
        problem: None,
    };
    let recovery = RecoveryPage {
        shell: shell(),
        codes: vec!["abcd-efgh-ijkl-mnop".into(), "qrst-uvwx-yz23-4567".into()],
        onward: "/t1/account".into(),
        first: true,
    };
    let security = SecurityPage {
        shell: shell(),
        csrf,
        email,
        name: None,
        administers: false,
        connects: true,
        done: Some(SecurityDone::PasskeyAdded),
        problem: None,
        password_min: 8,
        mails: true,
        has_password: true,
        must: true,
        authenticator: Some((day("2026-11-03", "3 November"), Some(day("2026-11-21", "2 hours ago")))),
        recovery_codes: Some(9),
        passkeys: vec![PasskeyLine {
            id: "passkey-1".into(),
            name: "Telephone".into(),
            added: day("2026-11-03", "3 November"),
            used: None,
        }],
        passkeys_work: true,
        providers: vec![
            ("corp".into(), "Example Corp".into(), true),
            ("other".into(), "Other".into(), false),
        ],
        events: vec![EventLine {
            kind: "consent.allowed",
            app: Some("Claude Code".into()),
            at: day("2026-11-21", "2 hours ago"),
            from: Some("203.0.113.7".into()),
        }],
        older: Some(41),
        later: true,
    };
    let passkey = PasskeyPage {
        shell: shell(),
        does: Does::Use,
        action: "/t1/login/passkey/finish".into(),
        csrf: "csrf-value".into(),
        continue_to: "request-value".into(),
        ceremony: "ceremony-value".into(),
        options: "{}".into(),
        second: true,
        name: "Firefox on Linux".into(),
        back: "/t1/login".into(),
    };
    vec![
        ("passkey", html(&passkey)),
        ("passkey-make", html(&PasskeyPage { does: Does::Make, second: false, ..passkey })),
        ("second", html(&second)),
        (
            "second-wrong",
            html(&SecondPage { problem: Some(SecondProblem::Code), more: true, ..second.clone() }),
        ),
        ("second-recovery", html(&SecondPage { problem: Some(SecondProblem::Recovery), ..second })),
        ("enrol", html(&enrol)),
        ("enrol-wrong", html(&EnrolPage { problem: Some(SecondProblem::Code), needed: false, ..enrol })),
        ("recovery", html(&recovery)),
        ("security", html(&security)),
        (
            "security-wrong",
            html(&SecurityPage { problem: Some(PasswordFault::Short), done: None, ..security }),
        ),
    ]
}

fn account() -> AccountPage {
    let notes = notes();
    let access = Access {
        id: "access-1".into(),
        app: "Claude Code".into(),
        provenance: Provenance::VerifiedDomain { host: "claude.ai".into() },
        servers: vec![("Notes".into(), "mcp.example.com/notes".into())],
        permissions: notes.permissions.iter().map(Permission::line).collect(),
        boxes: notes.permissions.iter().map(|one| (one.value.clone(), one.words.clone())).collect(),
        allowed: day("2026-11-03", "3 November"),
        last_used: Some(LastUse { at: day("2026-11-21", "2 hours ago"), from: Some("203.0.113.7".into()) }),
        until: day("2027-11-03", "3 November 2027"),
    };
    AccountPage {
        shell: shell(),
        csrf: "csrf-value".into(),
        email: "ada@example.com".into(),
        name: Some("Ada Lovelace".into()),
        administers: true,
        connects: true,
        narrowed: None,
        signed_out: 0,
        removed: Some(Removed { app: "Old agent".into(), servers: vec!["Notes".into()] }),
        accesses: vec![
            access.clone(),
            Access {
                id: "access-2".into(),
                app: "Cursor".into(),
                provenance: Provenance::Unverified,
                servers: vec![
                    ("Calendar".into(), "calendar.example.com".into()),
                    ("Notes".into(), "mcp.example.com/notes".into()),
                ],
                permissions: vec![
                    ("See when you are busy".into(), Some(Risk::Reads)),
                    ("Propose meetings".into(), None),
                ],
                last_used: None,
                ..access
            },
        ],
        sessions: vec![
            Session {
                id: "session-1".into(),
                browser: "Firefox on Linux".into(),
                since: day("2026-11-21", "today"),
                seen: day("2026-11-21", "just now"),
                from: "203.0.113.7".into(),
                this: true,
            },
            Session {
                id: "session-2".into(),
                browser: "Safari on iPhone".into(),
                since: day("2026-11-19", "2 days ago"),
                seen: day("2026-11-20", "1 day ago"),
                from: "198.51.100.20".into(),
                this: false,
            },
        ],
    }
}

fn html(page: &impl Template) -> String {
    page.render().expect("a page renders")
}
