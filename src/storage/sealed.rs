//! The columns that hold something sealed, to be walked through and sealed anew. `flow::reseal` says for what each is sealed.

use diesel::prelude::*;

use super::error::StoreError;
use super::schema::{
    api_request, call_approval, cut_hook, endpoint, identity, identity_provider, mail_outbox,
    one_time_secret, setting, sign_in_step, signing_key, upstream_auth, upstream_connection,
    upstream_credential, upstream_revocation, upstream_tls,
};
use super::store::Tx;

/// Which row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// By a name or an id.
    Text(String),
    /// By a digest.
    Digest(Vec<u8>),
    /// By two ids.
    Pair(String, String),
}

type Page = fn(&mut Tx<'_>, Option<&Place>, i64) -> Result<Vec<(Place, Option<Vec<u8>>)>, StoreError>;
type Swap = fn(&mut Tx<'_>, &Place, &[u8], &[u8]) -> Result<bool, StoreError>;

/// One column.
pub struct Column {
    /// Its table and its own name.
    pub name: &'static str,
    page: Page,
    swap: Swap,
}

impl Column {
    /// At most `limit` rows after a place, in order, with what is sealed there; fewer means that there are no more.
    ///
    /// # Errors
    /// A fault of the database.
    pub fn page(
        &self,
        tx: &mut Tx<'_>,
        after: Option<&Place>,
        limit: i64,
    ) -> Result<Vec<(Place, Option<Vec<u8>>)>, StoreError> {
        (self.page)(tx, after, limit)
    }

    /// Puts `new` where `old` still is; `false` when something else is there now, or the row is gone.
    ///
    /// # Errors
    /// A fault of the database.
    pub fn swap(&self, tx: &mut Tx<'_>, at: &Place, old: &[u8], new: &[u8]) -> Result<bool, StoreError> {
        (self.swap)(tx, at, old, new)
    }
}

/// A column of a table with one key. Keys are never empty, so that the empty one stands before the first.
macro_rules! column {
    ($(#[doc = $doc:literal])+ $name:ident = $table:ident.$column:ident by $key:ident: $place:ident) => {
        $(#[doc = $doc])+
        pub const $name: Column = Column {
            name: concat!(stringify!($table), ".", stringify!($column)),
            page: |tx, after, limit| {
                let after = match after {
                    Some(Place::$place(key)) => key.clone(),
                    _ => Default::default(),
                };
                let rows: Vec<(_, Option<Vec<u8>>)> = $table::table
                    .filter($table::$key.gt(after))
                    .select(($table::$key, $table::$column.nullable()))
                    .order($table::$key.asc())
                    .limit(limit)
                    .load(tx.connection())?;
                Ok(rows.into_iter().map(|(key, sealed)| (Place::$place(key), sealed)).collect())
            },
            swap: |tx, at, old, new| {
                let Place::$place(key) = at else { return Ok(false) };
                let there = $table::table.filter($table::$key.eq(key)).filter($table::$column.eq(old));
                let changed =
                    diesel::update(there).set($table::$column.eq(new)).execute(tx.connection())?;
                Ok(changed == 1)
            },
        };
    };
}

column!(
    /// Values of the installation.
    SETTING = setting.value by name: Text
);
column!(
    /// Private halves of signing keys.
    SIGNING_KEY = signing_key.sealed_private by kid: Text
);
column!(
    /// Our client secrets at identity providers.
    IDENTITY_PROVIDER = identity_provider.secret by id: Text
);
column!(
    /// People's refresh tokens from there.
    IDENTITY = identity.upstream by id: Text
);
column!(
    /// Secrets shared with authenticator apps.
    ONE_TIME_SECRET = one_time_secret.sealed by user_id: Text
);
column!(
    /// What sign-ins that are under way remember.
    SIGN_IN_STEP = sign_in_step.sealed by digest: Digest
);
column!(
    /// Answers of the admin API.
    API_REQUEST = api_request.answer by digest: Digest
);
column!(
    /// Mail.
    MAIL = mail_outbox.sealed by id: Text
);
column!(
    /// Secrets of endpoints.
    ENDPOINT = endpoint.sealed_secret by id: Text
);
column!(
    /// Those before them.
    ENDPOINT_PREVIOUS = endpoint.sealed_previous by id: Text
);
column!(
    /// Calls that wait.
    CALL_APPROVAL = call_approval.sealed by id: Text
);
column!(
    /// The keys under which credentials of the gateway are sealed.
    UPSTREAM_CREDENTIAL = upstream_credential.sealed_key by resource_id: Text
);
column!(
    /// Keys of what servers behind the gateway are shown in TLS.
    UPSTREAM_TLS = upstream_tls.sealed_key by resource_id: Text
);
column!(
    /// The gateway's client secrets.
    UPSTREAM_AUTH = upstream_auth.sealed_secret by resource_id: Text
);
column!(
    /// What has yet to be revoked elsewhere.
    UPSTREAM_REVOCATION = upstream_revocation.sealed by id: Text
);
column!(
    /// Secrets of programs that may cut access.
    CUT_HOOK = cut_hook.sealed_secret by id: Text
);

/// The keys under which people's tokens for servers behind the gateway are sealed.
pub const UPSTREAM_CONNECTION: Column = Column {
    name: "upstream_connection.sealed_key",
    page: |tx, after, limit| {
        use upstream_connection::{resource_id, sealed_key, user_id};
        let (resource, user) = match after {
            Some(Place::Pair(resource, user)) => (resource.clone(), user.clone()),
            _ => Default::default(),
        };
        let rows: Vec<(String, String, Vec<u8>)> = upstream_connection::table
            .filter(resource_id.gt(&resource).or(resource_id.eq(&resource).and(user_id.gt(&user))))
            .select((resource_id, user_id, sealed_key))
            .order((resource_id.asc(), user_id.asc()))
            .limit(limit)
            .load(tx.connection())?;
        Ok(rows.into_iter().map(|(resource, user, key)| (Place::Pair(resource, user), Some(key))).collect())
    },
    swap: |tx, at, old, new| {
        let Place::Pair(resource, user) = at else { return Ok(false) };
        let there =
            upstream_connection::table.find((resource, user)).filter(upstream_connection::sealed_key.eq(old));
        let changed =
            diesel::update(there).set(upstream_connection::sealed_key.eq(new)).execute(tx.connection())?;
        Ok(changed == 1)
    },
};
