//! Rules about calls through the gateway, and the calls that they hold back.

use clap::{Args, Subcommand};

use super::cedar::CedarCommand;
use crate::types::tool::ToolClass;

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum PolicyCommand {
    /// Make a rule about calls at a server behind the gateway. It only takes away: scopes and classes of tools decide first.
    Add(NewRuleArgs),
    /// List the rules of a server.
    List {
        /// The URL of the server, as in `postern resource list`.
        uri: String,
    },
    /// Remove a rule.
    Remove {
        /// Its id, as in `postern policy list`.
        id: String,
    },
    /// Cedar policies about calls at a server, for what scopes, classes and rules cannot say.
    #[command(subcommand)]
    Cedar(CedarCommand),
    /// Say why a call would go through or not, for each approval that the person has there. Nothing is called.
    Explain(ExplainArgs),
}

#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("subject"), group = clap::ArgGroup::new("effect").required(true))]
pub(in crate::cli) struct NewRuleArgs {
    /// The URL of the server, as in `postern resource list`.
    pub(in crate::cli) uri: String,
    /// About calls of this tool; of every tool unless anything is named.
    #[arg(long, value_name = "NAME", group = "subject")]
    pub(in crate::cli) tool: Option<String>,
    /// About calls of tools of this class and above: read, write, destructive or admin.
    #[arg(long, value_name = "CLASS", value_parser = super::gateway::class, group = "subject")]
    pub(in crate::cli) class: Option<ToolClass>,
    /// About another method, such as resources/read; conditions then look at name, uri and arguments.
    #[arg(long, value_name = "METHOD", group = "subject")]
    pub(in crate::cli) method: Option<String>,
    /// What has to hold of the arguments, such as 'amount > 100' or 'path not-under /srv'; may be repeated, and then all of
    /// it has to hold.
    #[arg(long = "when", value_name = "CONDITION")]
    pub(in crate::cli) conditions: Vec<String>,
    /// Whose calls: group:NAME, role:NAME (at the server), console:ROLE, kind:app|grant_token|machine or client:ID; may be
    /// repeated, and then any of it. Everybody's unless given.
    #[arg(long = "for", value_name = "CALLERS")]
    pub(in crate::cli) only: Vec<String>,
    /// Whose calls it is not about, written like --for; may be repeated.
    #[arg(long, value_name = "CALLERS")]
    pub(in crate::cli) except: Vec<String>,
    /// Refuse such calls.
    #[arg(long, group = "effect")]
    pub(in crate::cli) deny: bool,
    /// Hold such calls back until an administrator has allowed each of them.
    #[arg(long, group = "effect")]
    pub(in crate::cli) ask: bool,
    /// Why, in a sentence that the caller gets to read.
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: String,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct ExplainArgs {
    /// The URL of the server, as in `postern resource list`.
    pub(in crate::cli) uri: String,
    /// Whose call, by e-mail.
    #[arg(long, value_name = "EMAIL")]
    pub(in crate::cli) user: String,
    /// A call of this tool.
    #[arg(long, value_name = "NAME", conflicts_with = "method", required_unless_present = "method")]
    pub(in crate::cli) tool: Option<String>,
    /// Another method, such as resources/read.
    #[arg(long, value_name = "METHOD")]
    pub(in crate::cli) method: Option<String>,
    /// The prompt, with --method prompts/get.
    #[arg(long, value_name = "NAME", requires = "method")]
    pub(in crate::cli) name: Option<String>,
    /// The resource, with --method resources/read.
    #[arg(long, value_name = "URI", requires = "method")]
    pub(in crate::cli) target: Option<String>,
    /// The arguments, a JSON object.
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = object)]
    pub(in crate::cli) arguments: serde_json::Value,
}

fn object(text: &str) -> Result<serde_json::Value, String> {
    match serde_json::from_str(text) {
        Ok(value @ serde_json::Value::Object(_)) => Ok(value),
        _ => Err("expected a JSON object".to_owned()),
    }
}

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum ApprovalCommand {
    /// List the calls that wait, with what would be sent.
    List {
        /// The latest hundred, also those about which somebody has decided.
        #[arg(long)]
        all: bool,
    },
    /// Let a call be made, once, within ten minutes.
    Allow {
        /// Its id, as in `postern approval list`.
        id: String,
    },
    /// Refuse a call.
    Refuse {
        /// Its id, as in `postern approval list`.
        id: String,
    },
}
