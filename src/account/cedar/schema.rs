//! The schema that policies are checked against, as `postern policy cedar schema` prints it.

/// It, in Cedar's own language.
pub const SCHEMA: &str = r#"// What policies about calls through Postern's gateway are about.

/// A group of people, by its exact name.
entity Group;
/// A role at the server.
entity Role;
/// An MCP server, by its URL.
entity Server;

/// A person, by id. `email` is in lower case, `console` is member, auditor or admin.
entity User in [Group, Role] { email: String, console: String };
/// A machine that acts for itself, by its client id.
entity Client;

/// A tool, by name. `class` is read, write, destructive or admin.
entity Tool in [Server] { name: String, class: String };
/// A prompt, by name.
entity Prompt in [Server] { name: String };
/// A resource, by its URI.
entity Resource in [Server] { uri: String };

/// Among arguments: null, and numbers that are no Long and no decimal. It equals nothing else.
entity Json;

/// `client` is the id of the app or machine, `kind` is app, grant_token or machine. `arguments` are those of the call: what
/// is in them depends on the tool, and is not checked.
type Around = { client: String, kind: String, arguments: {} };

action "tools/call" appliesTo { principal: [User, Client], resource: [Tool], context: Around };
action "prompts/get" appliesTo { principal: [User, Client], resource: [Prompt], context: Around };
action "resources/read", "resources/subscribe", "resources/unsubscribe"
  appliesTo { principal: [User, Client], resource: [Resource], context: Around };
action "completion/complete" appliesTo { principal: [User, Client], resource: [Server], context: Around };
"#;
