//! The threshold: what every door does with a request before it knows which endpoint or page it is for, and how an answer
//! leaves the house.

pub mod body;
pub mod caller;
pub mod client_certificate;
pub mod line;
pub mod reply;
