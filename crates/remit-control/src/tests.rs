//! Rules of the registry, each attacked.

mod agents;
mod applying;
mod caller;
mod certificates;
mod departure;
mod grants;
pub(crate) mod house;
mod secrets;
mod stopping;
mod tools;
mod trusted_issuers;
