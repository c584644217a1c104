//! The protocol through the router, without a network: the error map, and the rules that clients rely on.

mod access;
mod append;
mod authorise;
mod columns;
mod commits;
mod damage;
mod deeds;
mod drops;
mod errors;
mod follow;
mod foreign;
mod hostile;
mod idempotency;
mod kit;
mod leadership;
mod listing;
mod login;
mod metrics;
mod rebase;
mod register;
mod requirements;
mod updates;
mod views;
