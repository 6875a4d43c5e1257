//! The ends of instances, many in one call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::counter;
use tokio::sync::mpsc::UnboundedReceiver;

use super::connect::Aws;
use super::instances::describe;
use super::market::Keeper;
use super::told::{Teller, tell};
use super::words::{error, named};
use super::{Leads, batch};
use crate::cloud::Answer;
use crate::cloud::ec2::Filter;
use crate::cloud::ec2::errors::{AwsError, Class};
use crate::cloud::ec2::listing::{FoundInstance, InstanceState, parse_provider_id};
use crate::controller::Event;

/// A call that was refused is halved so often: enough to find one of 500, and too few to make a storm of it where all are refused.
const HALVINGS: usize = 20;

const NOT_FOUND: &str = "InvalidInstanceID.NotFound";
/// Errors of some of the instances of a call; the last is of those that are protected.
const OF_SOME: [&str; 3] = [NOT_FOUND, "InvalidInstanceID.Malformed", "OperationNotPermitted"];

/// Whether each has ended, by id.
type Ended = Vec<(String, Result<bool, String>)>;

/// Ends instances.
pub(super) struct Terminator {
    aws: Aws,
    market: Arc<Keeper>,
    teller: Teller,
    leads: Leads,
    /// Those that EC2 has taken it of: whoever asks again is told how far they are, without another call that changes something.
    ending: Mutex<BTreeSet<String>>,
}

impl Terminator {
    pub fn new(aws: Aws, market: Arc<Keeper>, teller: Teller, leads: Leads) -> Self {
        Self { aws, market, teller, leads, ending: Mutex::default() }
    }

    /// Until nobody asks any more.
    pub async fn run(self: Arc<Self>, mut requests: UnboundedReceiver<Arc<str>>) {
        while let Some(batch) = batch::next(&mut requests, batch::TERMINATE).await {
            tokio::spawn(self.clone().end(batch));
        }
    }

    async fn end(self: Arc<Self>, provider_ids: Vec<Arc<str>>) {
        let mut wanted: BTreeMap<String, Arc<str>> = BTreeMap::new();
        for provider_id in provider_ids {
            match parse_provider_id(&provider_id) {
                Some((_, id)) => drop(wanted.insert(id.to_owned(), provider_id)),
                None => self.answer(&provider_id, Err("it is no instance of EC2".to_owned())),
            }
        }
        let (asked, new): (Vec<String>, Vec<String>) = {
            let ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
            wanted.keys().cloned().partition(|id| ending.contains(id))
        };
        let (looked, ended) = futures::join!(self.look(asked), end_all(new, |ids| self.call(ids)));
        for (id, result) in looked.into_iter().chain(ended) {
            let provider_id = &wanted[&id];
            if result.is_err() {
                let zone = parse_provider_id(provider_id).map_or("", |(zone, _)| zone).to_owned();
                let zone_id = self.market.zone_id(&zone).map_or_else(String::new, |id| id.to_string());
                counter!("karpenter_cloudprovider_instance_termination_failures_total", "zone" => zone, "zone_id" => zone_id)
                    .increment(1);
            }
            if result == Ok(true) {
                self.ending.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            }
            self.answer(provider_id, result);
        }
    }

    fn answer(&self, provider_id: &Arc<str>, result: Result<bool, String>) {
        tell(&self.teller, Event::Cloud(Answer::Terminated { provider_id: provider_id.clone(), result }));
    }

    /// Which of those that are ending have ended.
    async fn look(&self, ids: Vec<String>) -> Ended {
        let mut told = Vec::new();
        for filter in Filter::for_calls("instance-id", &ids, 0) {
            match describe(&self.aws, std::slice::from_ref(&filter)).await {
                Ok(found) => {
                    let is_left = |of: &&FoundInstance| of.state != InstanceState::Terminated;
                    let left: BTreeSet<&str> = found.iter().filter(is_left).map(|of| of.id.as_str()).collect();
                    told.extend(filter.values.iter().map(|id| (id.clone(), Ok(!left.contains(id.as_str())))));
                }
                Err(reason) => told.extend(filter.values.into_iter().map(|id| (id, Err(reason.clone())))),
            }
        }
        told
    }

    async fn call(&self, ids: Vec<String>) -> Result<Ended, AwsError> {
        if !(self.leads)() {
            return Err(AwsError::new("NotSent", "another process acts now"));
        }
        let call = self.aws.ec2.terminate_instances().set_instance_ids(Some(ids.clone()));
        let answer = call.send().await.map_err(|failed| error("TerminateInstances", &failed))?;
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        let is_gone = |id: &String| {
            let changes = answer.terminating_instances();
            let change = changes.iter().find(|change| change.instance_id() == Some(id.as_str()))?;
            Some(change.current_state()?.name()?.as_str() == "terminated")
        };
        let told = |id: &String| match is_gone(id) {
            Some(is_gone) => {
                ending.insert(id.clone());
                (id.clone(), Ok(is_gone))
            }
            None => {
                (id.clone(), Err("TerminateInstances: expected the state of the instance, found nothing".to_owned()))
            }
        };
        Ok(ids.iter().map(told).collect())
    }
}

/// All in one call. Where EC2 refuses them all because of some, those are answered, and the others asked for again; where it does not
/// say because of which, by halves.
async fn end_all<F>(ids: Vec<String>, call: impl Fn(Vec<String>) -> F) -> Ended
where
    F: Future<Output = Result<Ended, AwsError>>,
{
    let mut told = Vec::new();
    let (mut calls, mut halved) = (vec![ids], 0);
    while let Some(mut ids) = calls.pop() {
        if ids.is_empty() {
            continue;
        }
        let error = match call(ids.clone()).await {
            Ok(ended) => {
                told.extend(ended);
                continue;
            }
            Err(error) => error,
        };
        let refused = refused(&ids, &error);
        if refused.is_empty() && halved < HALVINGS {
            halved += 1;
            let second = ids.split_off(ids.len() / 2);
            calls.extend([second, ids]);
            continue;
        }
        // of those among which it was not found, nobody knows that they are gone
        let is_gone = error.code == NOT_FOUND && !refused.is_empty();
        let refused = if refused.is_empty() { ids.iter().cloned().collect() } else { refused };
        let result = if is_gone { Ok(true) } else { Err(format!("TerminateInstances: {error}")) };
        ids.retain(|id| !refused.contains(id));
        calls.push(ids);
        told.extend(refused.into_iter().map(|id| (id, result.clone())));
    }
    told
}

/// Of the instances of a call that was refused those that it was refused because of: all of them where the error is of the call; of some
/// those that it names. Empty: it may be of some (a right that depends on a tag of one instance is missing for the whole call), and
/// does not say of which.
fn refused(ids: &[String], error: &AwsError) -> BTreeSet<String> {
    if ids.len() == 1 || is_of_call(error) {
        return ids.iter().cloned().collect();
    }
    if OF_SOME.contains(&error.code.as_str()) { named(ids, &error.message) } else { BTreeSet::new() }
}

/// Whether all of a call fail alike: it was not sent, not heard, or there were too many.
fn is_of_call(error: &AwsError) -> bool {
    !matches!(error.class(), Class::Unauthorized | Class::Configuration | Class::NotFound)
        && !OF_SOME.contains(&error.code.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_refused_because_of_those_that_the_error_names() {
        let ids = ["i-1", "i-12", "i-3"].map(str::to_owned);
        let of = |ids: &[String], code: &str, message: &str| -> Vec<String> {
            refused(ids, &AwsError::new(code, message)).into_iter().collect()
        };
        assert_eq!(of(&ids, NOT_FOUND, "The instance ID 'i-1' does not exist"), ["i-1"]);
        assert_eq!(of(&ids, NOT_FOUND, "The instance IDs 'i-12, i-3' do not exist"), ["i-12", "i-3"]);
        assert_eq!(of(&ids, "OperationNotPermitted", "The instance 'i-3' may not be terminated."), ["i-3"]);
        assert!(of(&ids, NOT_FOUND, "not here").is_empty(), "it is looked for by halves");
        assert!(of(&ids, "UnauthorizedOperation", "You are not authorized").is_empty(), "one of them may lack a tag");
        assert_eq!(of(&ids[..1], NOT_FOUND, "not here"), ["i-1"]);
        for code in ["RequestLimitExceeded", "InternalError", "RequestTimeout", "NotSent"] {
            assert_eq!(of(&ids, code, "i-1"), ids, "{code} is no reason for more calls");
        }
    }

    /// So many instances, of which EC2 refuses `bad` with an error that names none. What became of each, and the number of calls.
    async fn end(all: usize, bad: &[usize], code: &str) -> (BTreeMap<usize, Result<bool, String>>, usize) {
        let calls = std::cell::Cell::new(0);
        let ids = (0..all).map(|number| format!("i-{number}")).collect();
        let number = |id: &String| id[2..].parse::<usize>().unwrap();
        let told = end_all(ids, async |ids: Vec<String>| {
            calls.set(calls.get() + 1);
            if ids.iter().any(|id| bad.contains(&number(id))) {
                return Err(AwsError::new(code, "not here"));
            }
            Ok(ids.into_iter().map(|id| (id, Ok(false))).collect())
        });
        let told = told.await;
        assert_eq!(told.len(), all, "each is answered once");
        (told.iter().map(|(id, result)| (number(id), result.clone())).collect(), calls.get())
    }

    #[tokio::test]
    async fn one_that_may_not_be_ended_keeps_no_other() {
        let (told, calls) = end(500, &[311], "UnauthorizedOperation").await;
        let failed: Vec<usize> = told.iter().filter(|(_, result)| result.is_err()).map(|(id, _)| *id).collect();
        assert_eq!(failed, [311]);
        assert!(calls < 25, "{calls} calls");
    }

    #[tokio::test]
    async fn nobody_is_gone_because_it_was_asked_for_beside_one_that_is() {
        let bad: Vec<usize> = (0..500).step_by(7).collect();
        let (told, calls) = end(500, &bad, NOT_FOUND).await;
        assert!(calls <= 2 * HALVINGS + 1, "{calls} calls");
        let gone = |id: &usize| told[id] == Ok(true);
        assert!((0..500).filter(gone).all(|id| bad.contains(&id)));
        assert!((0..500).any(|id| !bad.contains(&id) && told[&id].is_err()), "too many to find them all");
    }
}
