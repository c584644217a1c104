//! Scan planning: which files of a table a client has to read, found on the server.
//!
//! Nothing is kept between calls. A plan id and a plan task hold all that they mean (the snapshot, the filter, a place in its list of
//! manifests), and manifests never change: so every node gives the same answer, and a restart loses nothing. They name no file: what is read
//! follows from the table in the request's path, so that a forged one gets no further than a forged request.

mod answer;
mod expression;
mod literal;
mod request;
mod run;

pub(crate) use request::{Pinned, PlanRequest};
pub(crate) use run::{FILES_PER_ANSWER_MAX, Planned, Planner};

#[cfg(test)]
mod tests;
