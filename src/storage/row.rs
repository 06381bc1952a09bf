//! Reading stored text back into values that are born valid; what does not read back is a fault, never a guess.

use serde::de::DeserializeOwned;

use super::error::StoreError;
use crate::types::scope::ScopeSet;
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;

pub(super) fn need<T>(value: Option<T>, place: &'static str) -> Result<T, StoreError> {
    value.ok_or(StoreError::Corrupt(place))
}

pub(super) fn digest(bytes: &[u8], place: &'static str) -> Result<TokenDigest, StoreError> {
    need(TokenDigest::from_slice(bytes), place)
}

pub(super) fn json<T: DeserializeOwned>(text: &str, place: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Corrupt(place))
}

pub(super) fn scopes(text: &str, place: &'static str) -> Result<ScopeSet, StoreError> {
    ScopeSet::parse(text).map_err(|_| StoreError::Corrupt(place))
}

pub(super) fn moment(micros: Option<i64>) -> Option<Timestamp> {
    micros.map(Timestamp::from_micros)
}

pub(super) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Database(error.to_string()))
}
