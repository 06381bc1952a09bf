//! Identity providers.

use clap::{Args, Subcommand};

use crate::types::identity::{Linking, mapping};
use crate::types::user::Role;

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum IdpCommand {
    /// Add an identity provider. Prints the redirect URI to register there.
    Add(Box<NewIdpArgs>),
    /// List the identity providers.
    List,
    /// Ask a provider for its metadata and keys, and whether it knows our client id and secret.
    Test {
        /// Its short name.
        id: String,
    },
    /// Switch a provider off: nobody signs in through it, sign-ins from it end, refreshes are refused.
    Disable {
        /// Its short name.
        id: String,
    },
    /// Switch a provider on again.
    Enable {
        /// Its short name.
        id: String,
    },
    /// Remove a provider and every link to it. Its people stay.
    Remove {
        /// Its short name.
        id: String,
    },
    /// List the people who are linked at a provider.
    People {
        /// Its short name.
        id: String,
    },
    /// Link a person to who they are at a provider; anybody, administrators too.
    Link {
        /// Its short name.
        id: String,
        /// E-mail address of the person here.
        email: String,
        /// Their `sub` at the provider.
        #[arg(long, value_name = "SUB")]
        sub: String,
    },
    /// Take a person's link at a provider away; sign-ins through it end, refreshes are refused.
    Unlink {
        /// Its short name.
        id: String,
        /// E-mail address of the person here.
        email: String,
    },
}

#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(in crate::cli) struct NewIdpArgs {
    /// Its short name, which becomes part of its addresses here: small letters, digits, hyphens.
    pub(in crate::cli) id: String,
    /// Its name on the sign-in page.
    #[arg(long)]
    pub(in crate::cli) name: String,
    /// Its issuer identifier, exactly as it writes it.
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) issuer: String,
    /// Who we are there.
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) client_id: String,
    /// Read our client secret there from stdin.
    #[arg(long, required = true)]
    pub(in crate::cli) client_secret_stdin: bool,
    /// The claim that lists a person's groups.
    #[arg(long, value_name = "CLAIM", default_value = "groups")]
    pub(in crate::cli) group_claim: String,
    /// A group there and the group here that it stands for; may be repeated.
    #[arg(long = "group", value_name = "THERE=HERE", value_parser = pair)]
    pub(in crate::cli) groups: Vec<(String, String)>,
    /// A group there and the role in the console that it stands for; may be repeated.
    #[arg(long = "role", value_name = "THERE=ROLE", value_parser = role)]
    pub(in crate::cli) roles: Vec<(String, Role)>,
    /// Who is here already is linked when they come from there for the first time: verified-email or never.
    #[arg(long, value_name = "WHEN", default_value = "never", value_parser = linking)]
    pub(in crate::cli) link: Linking,
    /// Who is not here yet is added: people or never.
    #[arg(long, value_name = "WHOM", default_value = "never", value_parser = creation, action = clap::ArgAction::Set)]
    pub(in crate::cli) create: bool,
    /// A domain whose addresses may be linked or added; any unless given; may be repeated.
    #[arg(long = "allowed-domain", value_name = "DOMAIN")]
    pub(in crate::cli) allowed_domains: Vec<String>,
    /// Believe it when it says that somebody used several factors (mfa in amr).
    #[arg(long)]
    pub(in crate::cli) trust_second_factor: bool,
    /// A value of acr that means several factors; may be repeated.
    #[arg(long = "second-factor-acr", value_name = "ACR")]
    pub(in crate::cli) second_factor_acr: Vec<String>,
    /// A scope to ask for besides openid; email and profile unless given; may be repeated. offline_access is asked for
    /// where the provider lists it; naming it here also asks the person for consent there each time.
    #[arg(long = "scope", value_name = "SCOPE")]
    pub(in crate::cli) scopes: Vec<String>,
    /// It is at a private address.
    #[arg(long)]
    pub(in crate::cli) private_network: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    mapping(text).ok_or_else(|| "write it as THERE=HERE".to_owned())
}

fn role(text: &str) -> Result<(String, Role), String> {
    let (theirs, ours) = pair(text)?;
    let role = Role::parse(&ours).filter(|role| *role != Role::Member);
    Ok((theirs, role.ok_or("the role is admin or auditor")?))
}

fn linking(text: &str) -> Result<Linking, String> {
    Linking::parse(text).ok_or_else(|| "it is verified-email or never".to_owned())
}

fn creation(text: &str) -> Result<bool, String> {
    match text {
        "people" => Ok(true),
        "never" => Ok(false),
        _ => Err("it is people or never".to_owned()),
    }
}
