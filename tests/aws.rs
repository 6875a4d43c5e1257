//! The AWS provider against moto, which plays AWS on loopback, behind a proxy of the tests that adds what goes wrong in the real one.

mod account;
mod ailing;
mod classes;
mod facts;
mod joiner;
mod launching;
mod moto;
mod policy;
mod profiles;
mod proxy;
mod queue;
mod reading;
mod rights;
mod whole;
