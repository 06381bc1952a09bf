//! One mechanism a file: sealing of secrets at rest, signing keys, tokens, client assertions, passwords. The only
//! folder that names the libraries behind them.

pub mod assertion;
pub mod certificate;
mod compact;
pub mod id_token;
mod jwk;
pub mod keyring;
pub mod one_time;
pub mod passkey;
pub mod password;
pub mod roots;
pub mod seal;
mod signer;
pub mod statement;
pub mod webhook;

pub use keyring::CryptoError;

/// Starts OpenSSL so that it does not tidy up when the process ends. Before anything connects to PostgreSQL, whose library would
/// start it otherwise: threads that were connecting at the end used what was tidied up already, and the process died of that.
pub fn begin() {
    openssl::init();
}
