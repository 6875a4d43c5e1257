//! Fleets: CreateFleet of the type `instant`, one for all launches that are alike.
//!
//! ```text
//! Launch... --batches--> Batch --templates--> LaunchTemplate... --request--> FleetRequest  -> EC2
//! EC2 -> FleetResponse --answers--> Answer of each claim, offerings that could not be had
//! ```
//! Idempotence: a request has a token over the uids of its claims, an attempt and everything else that it says. The token is
//! written to the claims before the call and is a tag of the instances. Who finds claims with a token looks for instances with the
//! tag first ([`earlier`]), then sends the identical request, and makes a new attempt only where there are none.

mod answer;
mod batch;
pub mod earlier;
mod request;
mod subnets;
mod token;

pub use answer::{Answers, Created, Failure, FleetResponse, answers, refused};
pub use batch::{Batch, Batches, ClaimOf, batches};
pub use request::{
    Allocation, FleetRequest, MOST_OVERRIDES, MOST_TEMPLATES, Override, TargetCapacity, TemplateConfig, Templated,
    request, templates,
};
pub use subnets::{Addresses, SubnetSpace};
pub use token::Token;

#[cfg(test)]
mod tests;
