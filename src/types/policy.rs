//! Every limit, lifetime and size: the fixed ones as constants, those an operator may set in [`Policy`].
//! `docs/CONFIG.md` is generated from [`FIXED`] and the configuration keys.

mod operator;

use std::fmt::Debug;
use std::time::Duration;

pub use operator::{ASSERTION_ALGS, Policy, RegistrationMode};

macro_rules! fixed {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $value:expr;)*) => {
        $($(#[doc = $doc])+ pub const $name: $type = $value;)*

        /// Name, value and meaning of every fixed number, for the documentation.
        pub static FIXED: &[(&str, &(dyn Debug + Sync), &str)] =
            &[$((stringify!($name), &$name, concat!($($doc),+)),)*];
    };
}

fixed! {
    /// Largest request body in bytes; more is 413.
    MAX_BODY: usize = 64 * 1024;
    /// Longest request target (path and query) that is read, in bytes.
    MAX_TARGET: usize = 16 * 1024;
    /// Longest sealed request that goes through the sign-in page, in bytes; it holds an authorization request of [`MAX_TARGET`].
    MAX_CONTINUE: usize = 24 * 1024;
    /// Longest single parameter in bytes.
    MAX_PARAMETER: usize = 8 * 1024;
    /// Most parameters in one request.
    MAX_PARAMETERS: usize = 64;
    /// Most `resource` values in one request.
    MAX_RESOURCES: usize = 8;
    /// Most redirect URIs that one client keeps.
    MAX_REDIRECT_URIS: usize = 32;
    /// Most keys in a client's key set.
    MAX_CLIENT_KEYS: usize = 32;
    /// Time a client has to send its request headers.
    HEADER_TIMEOUT: Duration = Duration::from_secs(5);
    /// Time a whole request may take before it is answered with 408 or 503.
    REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
    /// Time an idle connection is kept open.
    KEEP_ALIVE: Duration = Duration::from_secs(75);
    /// Time that running requests have to end after SIGTERM.
    SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
    /// Longest PEM text of a certificate chain, a key or certificate authorities at the gateway, in bytes.
    MAX_PEM: usize = 32 * 1024;
    /// Certificates that such a text may hold.
    MAX_CERTIFICATES: usize = 16;
    /// Fingerprints of client certificates that a server behind the gateway may name.
    MAX_CLIENT_CERTIFICATES: usize = 200;
    /// Time before the end of a client certificate from which the gateway says so.
    CERTIFICATE_ENDS: Duration = Duration::from_secs(14 * 86_400);
    /// Largest message to a server behind the gateway, in bytes; more is 413.
    MAX_CALL: usize = 4 * 1024 * 1024;
    /// Deepest nesting of a message to a server behind the gateway.
    MAX_CALL_DEPTH: usize = 64;
    /// Time a client has to send a whole message to the gateway.
    CALL_BODY_TIMEOUT: Duration = Duration::from_secs(20);
    /// Time a server behind the gateway has for the first byte of an answer.
    UPSTREAM_PATIENCE: Duration = Duration::from_secs(300);
    /// Time a connection to a server behind the gateway may take.
    UPSTREAM_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
    /// Idle connections that are kept to one server behind the gateway.
    UPSTREAM_IDLE_CONNECTIONS: usize = 64;
    /// Largest single message from a server behind the gateway, in bytes.
    MAX_UPSTREAM_MESSAGE: usize = 32 * 1024 * 1024;
    /// Messages to servers behind the gateway under one approval a minute.
    CALLS_A_MINUTE: usize = 1_200;
    /// Calls and streams through the gateway under one approval at a time.
    CALLS_AT_ONCE: usize = 128;
    /// Time after which a server over stdio that nobody uses is ended.
    STDIO_IDLE: Duration = Duration::from_secs(600);
    /// Time a server over stdio has to end by itself, and then once it is asked to.
    STDIO_GRACE: Duration = Duration::from_secs(2);
    /// Most servers over stdio that run on one node.
    STDIO_PROCESSES: usize = 256;
    /// Most processes of one server over stdio that run for one person: one serves all clients that can do the same.
    STDIO_A_PERSON: usize = 4;
    /// Most sessions of one person with one server over stdio; the oldest goes first.
    STDIO_SESSIONS: usize = 64;
    /// Most messages that wait to be written to a server over stdio.
    STDIO_LINES: usize = 64;
    /// Most notifications that wait for one client of a server over stdio; more are left out.
    STDIO_EVENTS: usize = 256;
    /// Longest line of what a server over stdio complains of that is kept, in characters.
    STDIO_COMPLAINT: usize = 500;
    /// Most such lines that are kept for when it dies.
    STDIO_COMPLAINTS: usize = 8;
    /// People of whom a node remembers what they are at a server, where rules about calls ask for it.
    STANDINGS: usize = 10_000;
    /// Failures in a row after which a server behind the gateway is left alone for [`UPSTREAM_REST`].
    UPSTREAM_FAILURES: usize = 5;
    /// Time for which a server behind the gateway that fails is left alone.
    UPSTREAM_REST: Duration = Duration::from_secs(5);
    /// Longest life of a token for a client without OAuth.
    MAX_GRANT_TOKEN_TTL: Duration = Duration::from_secs(365 * 86_400);
    /// How often an open stream is looked at, beside whenever something was cut.
    STREAM_LOOK: Duration = Duration::from_millis(500);
    /// Time in which ends of calls through the gateway are gathered, to be recorded together.
    RECORDS_GATHER: Duration = Duration::from_millis(25);
    /// Ends of calls that are recorded at once without waiting for more.
    RECORDS_TOGETHER: usize = 256;
    /// Ends of calls that are kept while the database takes none.
    RECORDS_KEPT: usize = 50_000;
    /// Lists of one server that are kept as they were judged.
    KEPT_LISTS: usize = 8;
    /// Largest list that is kept so, in bytes.
    KEPT_LIST: usize = 1024 * 1024;
    /// Longest time a list that went through the gateway may be kept by a client.
    MAX_LIST_AGE: Duration = Duration::from_secs(60);
    /// Most rules about calls to one server behind the gateway.
    MAX_CALL_RULES: usize = 200;
    /// Most conditions of one rule about calls.
    MAX_CONDITIONS: usize = 16;
    /// Longest condition of a rule about calls, in bytes.
    MAX_CONDITION: usize = 512;
    /// Largest regular expression of a condition, compiled, in bytes.
    MAX_PATTERN: usize = 256 * 1024;
    /// Largest set of Cedar policies of one server behind the gateway, in bytes.
    MAX_CEDAR: usize = 32 * 1024;
    /// Most values in the arguments of a call that Cedar policies look at; with more it is refused.
    MAX_CEDAR_VALUES: usize = 20_000;
    /// Longest reason of a rule about calls, in characters.
    MAX_RULE_REASON: usize = 200;
    /// Time the link to set a new password works.
    RESET_TTL: Duration = Duration::from_secs(1_800);
    /// Time the link that confirms a new e-mail address works.
    EMAIL_CONFIRM_TTL: Duration = Duration::from_secs(86_400);
    /// Time in which the address of before can take a change of address back.
    EMAIL_UNDO_TTL: Duration = Duration::from_secs(72 * 3_600);
    /// Time an invitation works.
    INVITATION_TTL: Duration = Duration::from_secs(7 * 86_400);
    /// Time an invitation is listed after it has ended.
    INVITATION_MEMORY: Duration = Duration::from_secs(90 * 86_400);
    /// Longest name of an invited person, in characters.
    MAX_PERSON_NAME: usize = 200;
    /// Mails that somebody can have sent to one address within [`MAIL_ASKED_WINDOW`].
    MAILS_PER_ACCOUNT: i64 = 3;
    /// Mails that can be asked for from one network address (IPv6: one /64) within [`MAIL_ASKED_WINDOW`].
    MAILS_PER_NETWORK: i64 = 20;
    /// The time over which both are counted.
    MAIL_ASKED_WINDOW: Duration = Duration::from_secs(3_600);
    /// Time within which somebody has to decide about a call that a rule holds back.
    CALL_APPROVAL_WAIT: Duration = Duration::from_secs(3_600);
    /// Time within which a call that was allowed has to be made.
    CALL_APPROVAL_USE: Duration = Duration::from_secs(600);
    /// Time a decided or forgotten call can still be looked up.
    CALL_APPROVAL_KEPT: Duration = Duration::from_secs(30 * 86_400);
    /// Calls under one approval of an app that may wait for a decision at a time.
    CALL_APPROVALS_OPEN: i64 = 20;
    /// Most tools of one server behind the gateway.
    MAX_TOOLS: usize = 2_000;
    /// Largest metadata document, key set or logo that is fetched, in bytes.
    MAX_FETCH: usize = 64 * 1024;
    /// Time for one outbound fetch from name lookup to last byte.
    FETCH_TIMEOUT: Duration = Duration::from_secs(5);
    /// Shortest time a fetched document counts as fresh.
    DOCUMENT_MIN_FRESH: Duration = Duration::from_secs(1);
    /// Longest time a fetched document counts as fresh.
    DOCUMENT_MAX_FRESH: Duration = Duration::from_secs(86_400);
    /// Time a fetched document counts as fresh when its server does not say.
    DOCUMENT_DEFAULT_FRESH: Duration = Duration::from_secs(600);
    /// Fetches of metadata documents for one host a minute.
    FETCHES_PER_HOST_A_MINUTE: u32 = 120;
    /// Self-registrations from one network address (IPv6: one /64) a minute.
    REGISTRATIONS_A_MINUTE: u32 = 60;
    /// Self-registrations that may arrive at once from one network address.
    REGISTRATION_BURST: u32 = 300;
    /// Time after which a self-registered client that nobody approved is swept.
    UNUSED_CLIENT_TTL: Duration = Duration::from_secs(86_400);
    /// Time a person has to decide on a consent page.
    CONSENT_TTL: Duration = Duration::from_secs(600);
    /// Time a person has to get through sign-in before the app must start again.
    CONTINUE_TTL: Duration = Duration::from_secs(3_600);
    /// Time after a sign-in in which a person may do what destroys; afterwards they sign in once more.
    FRESH_SIGN_IN: Duration = Duration::from_secs(600);
    /// Time a person has for the second step of a sign-in, or for a passkey's challenge.
    SIGN_IN_STEP_TTL: Duration = Duration::from_secs(300);
    /// Security events on one page of a person's account.
    EVENTS_ON_A_PAGE: i64 = 25;
    /// Events in the export of a person's own data, the newest.
    EVENTS_EXPORTED: i64 = 10_000;
    /// Scopes that are asked for at the authorization server of a server behind the gateway.
    MAX_UPSTREAM_SCOPES: usize = 100;
    /// Longest token that an authorization server may give for a server behind the gateway, in bytes.
    MAX_UPSTREAM_TOKEN: usize = 16 * 1024;
    /// Tokens for servers behind the gateway that a node keeps open.
    UPSTREAM_TOKENS: usize = 10_000;
    /// Time before its end from which such a token is renewed.
    UPSTREAM_TOKEN_MARGIN: Duration = Duration::from_secs(30);
    /// Time one node has for renewing it; afterwards another may.
    UPSTREAM_TOKEN_LEASE: Duration = Duration::from_secs(30);
    /// How often a call that waits for a renewal looks whether it is done.
    UPSTREAM_TOKEN_LOOK: Duration = Duration::from_millis(50);
    /// How many times it looks.
    UPSTREAM_TOKEN_LOOKS: usize = 300;
    /// Life of the word that is given for a person to an authorization server (ID-JAG, RFC 8693).
    ASSERTION_TTL: Duration = Duration::from_secs(60);
    /// Tokens that are given back upstream in one round.
    GIVE_BACK_BATCH: i64 = 20;
    /// Time a node may take over giving one back before another may try.
    GIVE_BACK_LEASE: Duration = Duration::from_secs(30);
    /// Wait after the first failure to give a token back; doubles with every further one.
    GIVE_BACK_FIRST_WAIT: Duration = Duration::from_secs(10);
    /// Longest wait between two tries to give a token back.
    GIVE_BACK_LONGEST_WAIT: Duration = Duration::from_secs(3_600);
    /// Time after which giving it back is given up.
    GIVE_BACK_GIVE_UP: Duration = Duration::from_secs(30 * 86_400);
    /// Programs that may cut access by a signed message.
    MAX_CUT_HOOKS: usize = 50;
    /// Longest name of such a program, in characters.
    MAX_HOOK_NAME: usize = 64;
    /// Oldest message of such a program that is carried out.
    HOOK_TOLERANCE: Duration = Duration::from_secs(300);
    /// Passkeys that a person may have.
    MAX_PASSKEYS: usize = 20;
    /// Longest name of a passkey in characters.
    MAX_PASSKEY_NAME: usize = 64;
    /// Time a person has for signing in at an identity provider.
    PROVIDER_SIGN_IN_TTL: Duration = Duration::from_secs(600);
    /// Requests to one identity provider, or to one authorization server of a server behind the gateway, a minute.
    PROVIDER_CALLS_A_MINUTE: u32 = 1_200;
    /// Time the discovery document of an identity provider is kept.
    PROVIDER_METADATA_FRESH: Duration = Duration::from_secs(3_600);
    /// Discovery documents of identity providers that are kept.
    PROVIDERS_KEPT: usize = 64;
    /// Oldest ID token that is taken.
    MAX_ID_TOKEN_AGE: Duration = Duration::from_secs(600);
    /// Groups of an ID token that are read.
    MAX_CLAIMED_GROUPS: usize = 1_000;
    /// Longest claim of an ID token that is read, in bytes.
    MAX_CLAIMED_TEXT: usize = 255;
    /// Rows in each list of an identity provider's rules at most.
    MAX_PROVIDER_RULES: usize = 200;
    /// How often, at most, an identity provider is asked whether it still knows somebody.
    UPSTREAM_CHECK: Duration = Duration::from_secs(300);
    /// Time an identity provider may be out of reach before refreshes wait for it (503).
    UPSTREAM_GRACE: Duration = Duration::from_secs(3_600);
    /// Time one node has for asking it; afterwards another may.
    UPSTREAM_CLAIM: Duration = Duration::from_secs(30);
    /// Recovery codes that a person gets at once.
    RECOVERY_CODES: usize = 10;
    /// Random bytes of a recovery code.
    RECOVERY_CODE_BYTES: usize = 10;
    /// Time the link for the first administrator works.
    SETUP_TTL: Duration = Duration::from_secs(86_400);
    /// Time a redeemed or expired authorization code is remembered, so that a replay is seen.
    CODE_MEMORY: Duration = Duration::from_secs(86_400);
    /// Time an ended family, grant or session is kept after its end.
    ENDED_MEMORY: Duration = Duration::from_secs(30 * 86_400);
    /// A repeat of a refresh token this soon after its first use is put down to concurrency, later to a lost answer.
    CONCURRENT_REPEAT: Duration = Duration::from_secs(5);
    /// Machines whose client and approval are kept in memory, so that their next token is one read less.
    MACHINES: usize = 1_024;
    /// For how long; the use of an approval is noted as often.
    MACHINE_MEMORY: Duration = Duration::from_secs(60);
    /// Time after a change of a client before it is kept so: another change is told from it by its moment.
    MACHINE_SETTLES: Duration = Duration::from_secs(1);
    /// The use of an approval is noted at most this often.
    NOTE_USE: Duration = Duration::from_secs(60);
    /// Longest life of an access token.
    MAX_ACCESS_TOKEN_TTL: Duration = Duration::from_secs(3_600);
    /// Longest life of a client assertion (RFC 7523 §3).
    MAX_ASSERTION_TTL: Duration = Duration::from_secs(3_600);
    /// Clock difference that is forgiven in a client assertion.
    CLOCK_SKEW: Duration = Duration::from_secs(30);
    /// Time a signing key signs before the next one takes over.
    KEY_ROTATION: Duration = Duration::from_secs(90 * 86_400);
    /// Time other parties may keep the key set; a key is published at least this long before it signs.
    JWKS_MAX_AGE: Duration = Duration::from_secs(300);
    /// Tokens that share one status list (Token Status List §4).
    STATUS_LIST_SIZE: i64 = 1 << 17;
    /// Places in the status lists that a node reserves at once.
    STATUS_BLOCK: i64 = 512;
    /// Places among which the next one is drawn, so that its number does not tell the order of issue.
    STATUS_SHUFFLE: usize = 32;
    /// Time a status list token is valid.
    STATUS_LIST_TTL: Duration = Duration::from_secs(300);
    /// How often a node looks for changes that another process made.
    CHANGE_POLL: Duration = Duration::from_millis(200);
    /// Looks for such changes a second that strange credentials may cause, beside those.
    LOOKS_A_SECOND: u32 = 20;
    /// Without news from the database for this long, nothing is said to be unrevoked.
    CHANGE_STALE: Duration = Duration::from_secs(5);
    /// Time that `master_key_command` has to print the master key.
    MASTER_KEY_COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
    /// Most that `master_key_command` may print, in bytes.
    MASTER_KEY_COMMAND_OUTPUT: u64 = 1_024;
    /// Time in which every node gets to know a new root key, and after which every node seals under it.
    ROOT_KEY_SETTLES: Duration = Duration::from_secs(10);
    /// How often expired rows are swept.
    SWEEP_INTERVAL: Duration = Duration::from_secs(60);
    /// Records of the audit log that are read at once while its chain is checked or the log is exported.
    AUDIT_WALK: i64 = 1_000;
    /// Records that a page of the console looks through at most where no index finds what it is to show.
    AUDIT_LOOK: i64 = 50_000;
    /// How far from the moment that an id tells its audit records are looked for.
    ID_MARGIN: Duration = Duration::from_secs(30);
    /// Records of the audit log that an erasure looks at in one transaction.
    ERASURE_STEP: i64 = 5_000;
    /// Rows of a list that are read at once while it is exported.
    EXPORT_STEP: i64 = 500;
    /// What a bundle of evidence holds beyond either end of its span: a record is chained a little later than it happened.
    EVIDENCE_MARGIN: Duration = Duration::from_secs(60);
    /// Records in a bundle of evidence that the admin API answers with; more come from the command line and the console.
    MAX_API_EVIDENCE: u64 = 20_000;
    /// Finds of each kind that a search shows.
    SEARCH_SHOWN: i64 = 8;
    /// Longest text that is searched for, in bytes.
    MAX_SEARCH: usize = 256;
    /// Steps in which the numbers of the overview are counted and remembered.
    TALLY_STEP: Duration = Duration::from_secs(300);
    /// How often the state of the audit log is signed, when it has moved.
    CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);
    /// People, apps or addresses that a word in the access map is resolved to; where it means more, the list is walked.
    NAMED_AT_ONCE: i64 = 500;
    /// Rows that a page of the console looks through at most where no index finds what it is to show; the next goes on.
    CONSOLE_LOOK: i64 = 10_000;
    /// Rows that it reads at once then.
    CONSOLE_STRIDE: i64 = 500;
    /// Rows on one page of a list in the console.
    CONSOLE_PAGE: i64 = 50;
    /// Rows on one page of the admin API, unless the caller says otherwise.
    API_PAGE: i64 = 50;
    /// Rows on one page of the admin API at most.
    MAX_API_PAGE: i64 = 200;
    /// Longest text in the query of the admin API, in characters.
    MAX_API_TEXT: usize = 2_048;
    /// Longest span of time in the query of the admin API.
    MAX_API_SPAN: Duration = Duration::from_secs(366 * 86_400);
    /// Time in which a repeat of a request to the admin API with the same `Idempotency-Key` gets the same answer.
    IDEMPOTENCY_MEMORY: Duration = Duration::from_secs(86_400);
    /// Longest `Idempotency-Key` in characters.
    MAX_IDEMPOTENCY_KEY: usize = 255;
    /// Rows that one sweep statement deletes at most.
    SWEEP_BATCH: i64 = 1_000;
    /// Groups of one person at most.
    MAX_GROUPS: usize = 200;
    /// Roles that one server has of its own at most.
    MAX_ROLES: usize = 50;
    /// People and groups with a role at one server at most; more belong into groups.
    MAX_ROLE_HOLDERS: usize = 1_000;
    /// Shortest password in characters (NIST SP 800-63B §5.1.1.2 asks for at least 8).
    MIN_PASSWORD: usize = 8;
    /// Longest password in bytes; what is longer is refused before it is hashed.
    MAX_PASSWORD: usize = 1_024;
    /// Memory of one password hash in KiB (OWASP's recommendation for argon2id).
    ARGON2_MEMORY_KIB: u32 = 19 * 1_024;
    /// Passes of one password hash.
    ARGON2_PASSES: u32 = 2;
    /// Password hashes that run at once.
    ARGON2_PARALLEL: usize = 2;
    /// Password hashes that may wait; more is 503.
    ARGON2_QUEUE: usize = 64;
    /// Failed sign-ins of one account before it has to wait; of one address, ten times as many.
    LOGIN_FREE_FAILURES: i64 = 5;
    /// First wait; doubles with every further failure.
    LOGIN_FIRST_WAIT: Duration = Duration::from_secs(2);
    /// Longest wait.
    LOGIN_LONGEST_WAIT: Duration = Duration::from_secs(900);
    /// Time after which failures are forgotten.
    LOGIN_MEMORY: Duration = Duration::from_secs(86_400);
    /// Connections to the database for reads.
    READ_CONNECTIONS: u32 = 4;
    /// Connections to PostgreSQL in all.
    POSTGRES_CONNECTIONS: u32 = 16;
    /// Connections to PostgreSQL that are opened at the same time.
    POSTGRES_OPENERS: usize = 3;
    /// Time a request waits for a database connection before it is 503.
    POOL_WAIT: Duration = Duration::from_secs(2);
    /// Fetches that run at once; the rest wait within their own time-out.
    FETCHES_AT_ONCE: usize = 32;
    /// Hosts whose rate is remembered before those at rest are forgotten.
    HOSTS_REMEMBERED: usize = 10_000;
    /// Longest URL that is fetched, in bytes.
    MAX_FETCHED_URL: usize = 2_048;
    /// Name lookups that run at once. The system's resolver blocks a thread for as long as its servers are silent.
    LOOKUPS_AT_ONCE: usize = 16;
    /// Key sets that are kept.
    KEY_SETS_KEPT: usize = 1_024;
    /// Longest time a key set counts as fresh: a key that its owner takes back must not verify for a day.
    KEY_SET_MAX_FRESH: Duration = Duration::from_secs(3_600);
    /// A set that cannot be fetched anew serves at most this long after it was last seen.
    KEY_SET_MAX_STALE: Duration = Duration::from_secs(86_400);
    /// Time between two fetches of a document whose host fails, and the shortest time a key set counts as fresh.
    DOCUMENT_REST: Duration = Duration::from_secs(60);
    /// Time between two fetches of one set, however many assertions name keys that it does not have.
    KEY_SET_REST: Duration = Duration::from_secs(10);
    /// Time for each of the two rounds of a look.
    LOOK_ROUND: Duration = Duration::from_millis(1_500);
    /// Most scopes that are taken over.
    MAX_SEEN_SCOPES: usize = 128;
    /// Longest name that is taken over, in characters.
    MAX_SEEN_NAME: usize = 128;
    /// Most remarks that one reading makes; a longer list helps nobody.
    MAX_REGISTRATION_NOTES: usize = 16;
    /// Longest `scope` that is kept, in bytes.
    MAX_CLIENT_SCOPE: usize = 4_096;
    /// Longest `client_name` in characters.
    MAX_CLIENT_NAME: usize = 128;
    /// Longest address of a page, in bytes.
    MAX_CLIENT_PAGE: usize = 2_048;
    /// Longest contact, software id or version, in bytes.
    MAX_CLIENT_TEXT: usize = 256;
    /// Most contacts that are kept.
    MAX_CLIENT_CONTACTS: usize = 16;
    /// Tries before it is 503: each lost one means that somebody else made or ended the same approval.
    GRANT_TRIES: usize = 4;
    /// How often the detectors look, and what waits to be carried out or delivered is.
    WATCH_INTERVAL: Duration = Duration::from_secs(3);
    /// Records that a detector reads at once at most.
    DETECTOR_READ: i64 = 10_000;
    /// How far before its last look a detector looks again, for records that were slow to arrive.
    DETECTOR_OVERLAP: Duration = Duration::from_secs(30);
    /// How far back a node looks for attacks when it starts.
    DETECTOR_START: Duration = Duration::from_secs(3_600);
    /// The longest window of a detector.
    MAX_DETECTOR_WINDOW: Duration = Duration::from_secs(86_400);
    /// The highest threshold of a detector.
    MAX_DETECTOR_THRESHOLD: usize = 5_000;
    /// How far back a detector of sudden volume looks for what is usual.
    VOLUME_EARLIER: Duration = Duration::from_secs(7 * 86_400);
    /// A volume is sudden when it is this many times what was usual in those windows before that had any worth a record.
    VOLUME_FACTOR: usize = 5;
    /// How long the use of approvals is counted in memory before what was much becomes a record.
    USAGE_SLOT: Duration = Duration::from_secs(60);
    /// Tokens issued under one approval within a slot that are worth a record.
    TOKENS_WORTH_NOTING: usize = 10;
    /// Questions about tokens of one approval within a slot that are worth a record.
    CALLS_WORTH_NOTING: usize = 60;
    /// Approvals whose use is counted within a slot at most.
    USAGE_ROOM: usize = 50_000;
    /// Time without use after which the next use of an approval is worth a record.
    IDLE_WORTH_NOTING: Duration = Duration::from_secs(3 * 86_400);
    /// How often it is looked who has been silent for too long.
    INACTIVITY_INTERVAL: Duration = Duration::from_secs(3_600);
    /// Silent people or apps that are read at once.
    INACTIVITY_BATCH: i64 = 500;
    /// Clients and domains on the list of one server at most.
    MAX_LISTED_CLIENTS: usize = 500;
    /// Limits of one server behind the gateway, at most.
    MAX_CALL_LIMITS: usize = 50;
    /// Arguments of calls at one server that stand in the audit log as they are, at most.
    MAX_KEPT_ARGUMENTS: usize = 50;
    /// Origins whose pages may call one server behind the gateway, at most.
    MAX_PAGE_ORIGINS: usize = 50;
    /// How far back the console tries the rule of a detector.
    DRY_RUN_SPAN: Duration = Duration::from_secs(30 * 86_400);
    /// People who are looked at for one page of who can do what.
    WHO_SCAN: i64 = 2_000;
    /// Alerts on one page of the console.
    ALERTS_ON_A_PAGE: i64 = 100;
    /// Approvals that one cut ends together with their tokens; a larger one first holds everything by rule.
    CUT_AT_ONCE: i64 = 5_000;
    /// People, clients and servers that the preview of a cut names.
    CUT_FIRST_NAMES: i64 = 10;
    /// Longest reason of a cut, in characters.
    MAX_CUT_REASON: usize = 500;
    /// Longest isolation, and longest window in which a suspension can be undone.
    MAX_CUT_SPAN: Duration = Duration::from_secs(366 * 86_400);
    /// Time after a cut in which its tokens are listed anew at every look, for whoever was issuing at that moment.
    CUT_SETTLES: Duration = Duration::from_secs(5);
    /// Time for one message to an endpoint, from name lookup to the end of the answer.
    OUTGOING_TIMEOUT: Duration = Duration::from_secs(10);
    /// Messages that a node sends at once.
    OUTGOING_AT_ONCE: usize = 16;
    /// Messages to one host a minute.
    OUTGOING_PER_HOST_A_MINUTE: u32 = 1_200;
    /// Wait after the first failure of a message; four times as long after each further one.
    DELIVERY_FIRST_WAIT: Duration = Duration::from_secs(5);
    /// Longest wait between two tries of a message.
    DELIVERY_LONGEST_WAIT: Duration = Duration::from_secs(12 * 3_600);
    /// Time after which a message is given up, and its endpoint switched off.
    DELIVERY_WINDOW: Duration = Duration::from_secs(3 * 86_400);
    /// Time for which a node has taken a message, or holds a stream; if it dies, another goes on after that.
    DELIVERY_LEASE: Duration = Duration::from_secs(60);
    /// Messages that one endpoint gets in one round; one that fails gets one.
    DELIVERIES_A_ROUND: i64 = 16;
    /// Time for which messages are kept, for whoever asks what was sent.
    DELIVERY_MEMORY: Duration = Duration::from_secs(14 * 86_400);
    /// Messages of an endpoint that are shown.
    DELIVERIES_SHOWN: i64 = 50;
    /// Time in which both secrets of a webhook sign after a rotation.
    SECRET_OVERLAP: Duration = Duration::from_secs(86_400);
    /// Longest URL, audience or pattern of an endpoint, in bytes.
    MAX_ENDPOINT_TEXT: usize = 1_024;
    /// Most webhooks, receivers and streams, counted together.
    MAX_ENDPOINTS: usize = 100;
    /// Largest file with certificates for a stream, in bytes.
    MAX_STREAM_CA: usize = 256 * 1024;
    /// Longest wait of a stream of the audit log between two tries; it never gives up.
    STREAM_LONGEST_WAIT: Duration = Duration::from_secs(300);
    /// Audit records in one batch of a stream.
    STREAM_BATCH: i64 = 200;
    /// Batches that a stream sends in one round of each lane; then the others have their turn.
    STREAM_BATCHES_A_ROUND: usize = 50;
    /// Time for which a syslog collector may hold its end of a connection open after we have closed ours.
    SYSLOG_CLOSE: Duration = Duration::from_secs(2);
    /// Longest datagram of syslog, in bytes; what is longer is cut.
    MAX_SYSLOG_DATAGRAM: usize = 8 * 1024;
    /// Signed status lists that a node keeps.
    STATUS_LISTS: usize = 64;
    /// Access tokens that a node keeps as it has read them; less than a kilobyte each.
    VERIFIED_TOKENS: usize = 10_000;
    /// How often mail that waits is looked for.
    MAIL_INTERVAL: Duration = Duration::from_secs(2);
    /// Mails that a node takes on at once.
    MAIL_BATCH: i64 = 20;
    /// Time in which the mail server has to answer each command.
    SMTP_TIMEOUT: Duration = Duration::from_secs(15);
    /// Time that a node may take over one mail before another one may try.
    MAIL_LEASE: Duration = Duration::from_secs(180);
    /// Wait after the first failure of a mail; doubles with every further one.
    MAIL_FIRST_WAIT: Duration = Duration::from_secs(10);
    /// Longest wait between two tries of a mail.
    MAIL_LONGEST_WAIT: Duration = Duration::from_secs(3_600);
    /// Time after which a mail is given up.
    MAIL_GIVE_UP: Duration = Duration::from_secs(86_400);
    /// Alerts of one detector are told in one mail within this time.
    ALERT_MAIL_WINDOW: Duration = Duration::from_secs(900);
    /// Alerts that one mail names.
    ALERTS_IN_A_MAIL: usize = 20;
    /// How long lines of the log are gathered before they are written; warnings and errors do not wait.
    LOG_GATHER: Duration = Duration::from_millis(20);
    /// Bytes of gathered lines that are written at once.
    LOG_GATHERED: usize = 32 * 1024;
    /// Writes that may wait for the single writer; more is 503.
    WRITE_QUEUE: i64 = 4_096;
    /// Writes that have shared a commit from which on the next commit waits for as many.
    WRITE_CROWD: usize = 3;
    /// How long it waits before it looks whether they are there.
    WRITE_LINGER: Duration = Duration::from_micros(150);
    /// How often it does so at most.
    WRITE_LINGERS: usize = 3;
    /// Writes that share one commit at most.
    WRITE_BATCH: usize = 64;
}
