//! When a second factor is due.

use crate::types::factor::{Held, Level, Methods};
use crate::types::user::User;

/// Whether a sign-in by `methods` is only half of one: a person who has a second factor, or must have one, shows it.
#[must_use]
pub fn second_is_due(user: &User, held: &Held, methods: &Methods) -> bool {
    (user.second_factor_required || held.any()) && !methods.reach(Level::Two)
}

/// How sure of the person an authorization request must be: what it asks for itself, and what person and servers
/// demand anyway.
#[must_use]
pub fn level_due(asked: Option<Level>, user: &User, server_demands: bool) -> Level {
    let demanded = if user.second_factor_required || server_demands { Level::Two } else { Level::One };
    asked.map_or(demanded, |asked| asked.max(demanded))
}
