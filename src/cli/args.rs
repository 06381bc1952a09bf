//! Every command and option, once: parsing, help, shell completions and the manual all come from here.

mod audit;
mod cedar;
mod clients;
mod endpoints;
mod gateway;
mod guard;
mod idp;
mod inactivity;
mod invitations;
mod key;
mod policy;
mod servers;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

pub(super) use audit::{AuditCommand, EraseArgs, EvidenceArgs, ExportFormat};
pub(super) use cedar::CedarCommand;
pub(super) use clients::{ClientCommand, InitialAccessTokenCommand, NewClientArgs};
pub(super) use endpoints::{EndpointCommand, ReceiverCommand, StreamCommand, WebhookCommand};
pub(super) use gateway::{GrantTokenArgs, ImportArgs, PerPersonArgs, TlsArgs, ToolCommand, UpstreamCommand};
pub(super) use guard::{AlertCommand, DetectorCommand, HookCommand, RoleCommand, RoleHolderArgs, RuleArgs};
pub(super) use idp::{IdpCommand, NewIdpArgs};
pub(super) use inactivity::InactivityCommand;
pub(super) use invitations::InviteArgs;
pub(super) use key::{KeyCommand, RotateMasterArgs};
pub(super) use policy::{ApprovalCommand, ExplainArgs, NewRuleArgs, PolicyCommand};
pub(super) use servers::{Limit, NewResourceArgs, ResourceChangeArgs, ResourceCommand};

use crate::types::duration;
use crate::types::key::SigningAlg;
use crate::types::user::Role;

/// The authorization server for MCP.
#[derive(Parser, Debug)]
#[command(name = "postern", version, propagate_version = true, disable_help_subcommand = true)]
pub(super) struct Cli {
    /// Configuration file; else POSTERN_CONFIG, else ./postern.toml if there is one.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Print exactly one JSON value on stdout.
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Run the issuer until SIGTERM or SIGINT.
    Serve,
    /// Run the issuer, a small MCP server that it protects, and a person to sign in as.
    #[cfg(feature = "demo")]
    Quickstart {
        /// Where the MCP server listens; one port above the issuer unless given.
        #[arg(long, value_name = "ADDRESS")]
        demo_listen: Option<SocketAddr>,
    },
    /// People.
    #[command(subcommand)]
    User(UserCommand),
    /// Identity providers, where people may sign in instead.
    #[command(subcommand)]
    Idp(IdpCommand),
    /// MCP servers that this issuer guards.
    #[command(subcommand)]
    Resource(ResourceCommand),
    /// What the gateway shows to the MCP servers behind it.
    #[command(subcommand)]
    Upstream(UpstreamCommand),
    /// Tools of the MCP servers behind the gateway.
    #[command(subcommand)]
    Tool(ToolCommand),
    /// Rules about calls through the gateway, and why a call goes through or not.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Calls that a rule holds back until somebody has allowed them.
    #[command(subcommand)]
    Approval(ApprovalCommand),
    /// Move the MCP servers of a client's configuration behind the gateway, and their keys into the vault.
    Import(ImportArgs),
    /// Who may be granted what at an MCP server.
    #[command(subcommand)]
    Role(RoleCommand),
    /// Clients: the apps and agents that ask for access.
    #[command(subcommand)]
    Client(ClientCommand),
    /// Tokens that let an app register itself while registration.mode is initial_access_token.
    #[command(subcommand)]
    InitialAccessToken(InitialAccessTokenCommand),
    /// Standing approvals, and the kill switch.
    #[command(subcommand)]
    Grant(GrantCommand),
    /// Cut access, see what was cut, and undo it.
    Cut(CutArgs),
    /// What looked like an attack.
    #[command(subcommand)]
    Alert(AlertCommand),
    /// What is looked for, when it is too much, and what happens then.
    #[command(subcommand)]
    Detector(DetectorCommand),
    /// People and apps that nothing is heard of.
    #[command(subcommand)]
    Inactivity(InactivityCommand),
    /// Webhooks, which are told of alerts, cuts and the like.
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Receivers of shared signals (CAEP), which are told when somebody's sign-ins end or the way they sign in changes.
    #[command(subcommand)]
    Receiver(ReceiverCommand),
    /// Signing keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// The audit log.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Write a consistent copy of the SQLite database, also while the server runs. To restore it the same master key
    /// is needed; keep that elsewhere.
    Backup {
        /// The file to write; it must not exist.
        path: PathBuf,
    },
    /// Bring the database schema up to date; `serve` does the same at start.
    Migrate,
    /// Read the configuration as `serve` would, and say what is in force or what is wrong.
    CheckConfig,
    /// Ask a running server whether it is ready; exits 0 when it is.
    Health {
        /// The server's URL; the configured listen address unless given.
        #[arg(long, value_name = "URL")]
        url: Option<String>,
    },
    /// Print the completion script for a shell.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one page for every command.
    Man {
        /// Write the pages into this folder.
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
    /// Print generated documentation.
    #[command(hide = true)]
    Docs {
        /// Which document.
        document: Document,
    },
}

#[derive(ValueEnum, Clone, Copy, Debug)]
pub(super) enum Document {
    /// docs/CONFIG.md.
    Config,
}

#[derive(Subcommand, Debug)]
pub(super) enum UserCommand {
    /// Add a person.
    Add {
        /// E-mail address; the name to sign in with.
        email: String,
        /// Name.
        #[arg(long)]
        name: Option<String>,
        /// What they may do in the console.
        #[arg(long, default_value = "member", value_parser = role)]
        role: Role,
        /// A group they belong to; may be repeated.
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Invite somebody to make an account of their own. The link is mailed, or printed once where no mail is sent.
    Invite(InviteArgs),
    /// List invitations.
    Invitations,
    /// Take an open invitation back; its link is dead.
    Uninvite {
        /// Its id, as in `postern user invitations`.
        id: String,
    },
    /// List people.
    List,
    /// Switch a person off; their sessions and tokens end at once.
    Disable {
        /// E-mail address.
        email: String,
    },
    /// Somebody leaves: switch them off and end everything of theirs, with a report of what they could reach.
    Offboard {
        /// E-mail address.
        email: String,
        /// Why, for the audit log.
        #[arg(long, value_name = "TEXT", default_value = "left")]
        reason: String,
    },
    /// Erase everything that is known of a person; without --confirm, say what there is.
    Erase(EraseArgs),
    /// Switch a person on again.
    Enable {
        /// E-mail address.
        email: String,
    },
    /// Set a password; sessions that rest on the old one end.
    SetPassword {
        /// E-mail address.
        email: String,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Let a person sign in with a second factor only; without one they set it up at their next sign-in.
    RequireSecondFactor {
        /// E-mail address.
        email: String,
        /// Take the rule back.
        #[arg(long)]
        off: bool,
    },
    /// Set the groups a person belongs to, in place of those of before; none given means none.
    SetGroups {
        /// E-mail address.
        email: String,
        /// A group; may be repeated.
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
    },
    /// Show what a person may be granted where, through which roles, and which apps have what of it.
    Access {
        /// E-mail address.
        email: String,
    },
    /// Set what a person may do in the console.
    SetRole {
        /// E-mail address.
        email: String,
        /// member, auditor or admin.
        #[arg(value_parser = role)]
        role: Role,
    },
}

/// Where a password comes from: never from the command line, where every process could read it.
#[derive(Args, Debug)]
pub(super) struct PasswordSource {
    /// Read the password from stdin.
    #[arg(long, required = true)]
    pub(super) password_stdin: bool,
}

#[derive(Subcommand, Debug)]
pub(super) enum GrantCommand {
    /// List approvals; each option narrows.
    List {
        /// Of this person, by e-mail.
        #[arg(long, value_name = "EMAIL")]
        user: Option<String>,
        /// Of this client.
        #[arg(long, value_name = "ID")]
        client: Option<String>,
        /// At this resource.
        #[arg(long, value_name = "URI")]
        resource: Option<String>,
        /// Also those that have ended.
        #[arg(long)]
        ended: bool,
    },
    /// Make a token for a client without OAuth; it is printed once, and ends like every other approval.
    Create(GrantTokenArgs),
    /// End approvals: every token under them is dead within a second.
    Revoke(RevokeArgs),
}

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("target").required(true).multiple(false))]
pub(super) struct RevokeArgs {
    /// One approval.
    #[arg(long, value_name = "ID", group = "target")]
    pub(super) id: Option<String>,
    /// Everything of a person, by e-mail.
    #[arg(long, value_name = "EMAIL", group = "target")]
    pub(super) user: Option<String>,
    /// Everything of a client.
    #[arg(long, value_name = "ID", group = "target")]
    pub(super) client: Option<String>,
    /// Everything at a resource.
    #[arg(long, value_name = "URI", group = "target")]
    pub(super) resource: Option<String>,
    /// Everything.
    #[arg(long, group = "target")]
    pub(super) all: bool,
}

/// Whose access is cut, how, and why.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
#[command(group = ArgGroup::new("whose").multiple(false))]
#[command(group = ArgGroup::new("how").multiple(false))]
#[expect(clippy::struct_excessive_bools, reason = "one switch an option of the command line")]
pub(super) struct CutArgs {
    /// Everything of a person, by e-mail.
    #[arg(long, value_name = "EMAIL", group = "whose")]
    pub(super) user: Option<String>,
    /// Everything of a client.
    #[arg(long, value_name = "ID", group = "whose")]
    pub(super) client: Option<String>,
    /// Every client whose metadata document lives at this domain.
    #[arg(long, value_name = "DOMAIN", group = "whose")]
    pub(super) domain: Option<String>,
    /// Everything at an MCP server.
    #[arg(long, value_name = "URI", group = "whose")]
    pub(super) resource: Option<String>,
    /// One approval.
    #[arg(long, value_name = "ID", group = "whose")]
    pub(super) grant: Option<String>,
    /// What was last used from these addresses.
    #[arg(long, value_name = "CIDR", group = "whose")]
    pub(super) network: Option<String>,
    /// Everything.
    #[arg(long, group = "whose")]
    pub(super) all: bool,
    /// Stop it until the cut is undone, instead of ending it for good.
    #[arg(long, group = "how")]
    pub(super) suspend: bool,
    /// With --suspend: how long it can be undone; afterwards everything ends for good.
    #[arg(long, value_name = "SPAN", requires = "suspend", value_parser = duration::parse)]
    pub(super) window: Option<Duration>,
    /// Stop it for a time; it comes back by itself.
    #[arg(long, value_name = "SPAN", group = "how", value_parser = duration::parse)]
    pub(super) isolate: Option<Duration>,
    /// Let people approve again.
    #[arg(long, group = "how")]
    pub(super) reconsent: bool,
    /// Let people sign in again.
    #[arg(long, group = "how")]
    pub(super) reauthenticate: bool,
    /// Why, for the audit log.
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    /// Only say what it would hit.
    #[arg(long)]
    pub(super) preview: bool,
    #[command(subcommand)]
    pub(super) command: Option<CutCommand>,
}

#[derive(Subcommand, Debug)]
pub(super) enum CutCommand {
    /// List cuts, newest first.
    List {
        /// The newest so many.
        #[arg(long, value_name = "NUMBER", default_value = "100", value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
    },
    /// Show a cut, and when anything it hit was last accepted.
    Show {
        /// Its id.
        id: String,
    },
    /// Programs that may cut access by a signed message.
    Hook {
        #[command(subcommand)]
        command: HookCommand,
    },
    /// Undo a cut that is in force; what it stopped goes on.
    Undo {
        /// Its id.
        id: String,
    },
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "expected member, auditor or admin".to_owned())
}

fn signing_alg(text: &str) -> Result<SigningAlg, String> {
    SigningAlg::parse(text).ok_or_else(|| "expected ES256, RS256 or EdDSA".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_contract_parses() {
        for line in [
            "serve",
            "serve --json --config x.toml",
            "user add a@example.com --name A --role admin --group x --group y --password-stdin --json",
            "user list --json",
            "user disable a@example.com",
            "user enable a@example.com",
            "user set-password a@example.com --password-stdin",
            "user set-role a@example.com auditor",
            "resource add https://r/mcp --name N --scope a=b --scope c --access-token-ttl 5m --signing-alg EdDSA --default",
            "resource add https://r/mcp --name N --slug s --upstream http://127.0.0.1:1/mcp",
            "resource list",
            "resource remove https://r/mcp",
            "client add --name N --redirect-uri https://c/cb --grant-type authorization_code --auth none --scope s",
            "client add --name N --auth private_key_jwt --jwks keys.json --resource https://r/mcp",
            "client add --name N --auth private_key_jwt --jwks-uri https://c/jwks",
            "client add --name N --auth tls_client_auth",
            "client list",
            "client disable x",
            "client remove x",
            "grant list --user a@example.com --client x --resource https://r/mcp",
            "grant revoke --id x",
            "grant create --user a@example.com --resource https://r/mcp --name N --scope s --tool t --ttl 30d",
            "import mcp.json",
            "import mcp.json --out new.json",
            "upstream set https://r/mcp --header X-Key",
            "upstream per-person https://r/mcp",
            "upstream per-person https://r/mcp --by id_jag --issuer https://a --client-id x --client-secret-stdin --scope a",
            "cut hook add siem --target person",
            "cut hook list",
            "cut hook remove x",
            "upstream connections https://r/mcp",
            "upstream disconnect https://r/mcp --user a@example.com",
            "upstream clear https://r/mcp",
            "tool approve https://r/mcp t --class read",
            "tool block https://r/mcp t",
            "grant revoke --user a@example.com",
            "grant revoke --client x",
            "grant revoke --resource https://r/mcp",
            "grant revoke --all",
            "cut --user a@example.com --reason x",
            "cut --domain app.example --isolate 1h --reason x",
            "cut --network 192.0.2.0/24 --suspend --window 15m --reason x",
            "cut --all --preview",
            "cut list",
            "cut show x",
            "cut undo x",
            "user offboard a@example.com",
            "user invite a@example.com --role auditor --group g",
            "user invitations",
            "idp add corp --name Corp --issuer https://i --client-id x --client-secret-stdin --create people --link never",
            "user uninvite x",
            "policy add https://r/mcp --tool t --deny --reason x",
            "policy add https://r/mcp --ask --reason x",
            "policy list https://r/mcp",
            "policy remove x",
            "policy explain https://r/mcp --user a@example.com --tool t",
            "policy cedar set https://r/mcp -",
            "policy cedar check bank.cedar",
            "approval list --all",
            "approval allow x",
            "approval refuse x",
            "resource set https://r/mcp --accept app --calls-per-minute 5 --bytes-per-hour none",
            "key list",
            "key rotate",
            "key rotate-master --generate new.key",
            "key rotate-master --new-key-file new.key --instead",
            "key rotate-master --new-key-stdin",
            "key retire-master --lose-unreadable",
            "audit list --since 2026-11-21T00:00:00Z --user a@example.com --user b@example.com",
            "audit evidence --since 24h --user a@example.com --out x.jsonl",
            "audit evidence --cut x --out x.jsonl",
            "audit verify-evidence x.jsonl --keys jwks.json",
            "user erase a@example.com --confirm a@example.com",
            "backup x.db",
            "migrate",
            "check-config",
            "health --url http://127.0.0.1:8080",
            "completions bash",
            "man",
            "docs config",
        ] {
            let parsed = Cli::try_parse_from(["postern"].into_iter().chain(line.split(' ')));
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn bad_usage_is_refused() {
        for line in [
            "",
            "user add a@example.com",
            "user set-role a@example.com root",
            "grant revoke",
            "grant revoke --all --id x",
            "cut --all --user a@example.com --reason x",
            "cut --all --suspend --isolate 1h --reason x",
            "cut --all --window 1h --reason x",
            "resource add https://r/mcp --slug s",
            "resource add https://r/mcp --access-token-ttl 5",
            "client add",
            "client add --name N --jwks a --jwks-uri b",
            "import",
            "import x y",
            "grant create --user a@example.com",
            "upstream set https://r/mcp",
            "upstream per-person https://r/mcp --by magic",
            "upstream per-person https://r/mcp --client-secret-stdin",
            "tool block https://r/mcp",
            "policy add https://r/mcp --tool t --class read --deny --reason x",
            "policy add https://r/mcp --deny --ask --reason x",
            "policy add https://r/mcp --reason x",
            "policy explain https://r/mcp --user a@example.com --tool t --arguments 5",
            "policy cedar set https://r/mcp",
            "resource set https://r/mcp --calls-per-minute 0",
            "audit verify now",
            "key rotate-master",
            "key rotate-master --generate a --new-key-file b",
            "audit evidence --out x",
            "audit evidence --since 24h",
        ] {
            let parsed =
                Cli::try_parse_from(["postern"].into_iter().chain(line.split(' ').filter(|s| !s.is_empty())));
            assert_eq!(parsed.unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
