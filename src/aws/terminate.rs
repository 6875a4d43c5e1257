//! The ends of instances, many in one call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::counter;
use tokio::sync::mpsc::UnboundedReceiver;

use super::batch;
use super::connect::Aws;
use super::instances::describe;
use super::told::{Teller, tell};
use super::words::{code, reason};
use crate::cloud::Answer;
use crate::cloud::ec2::Filter;
use crate::cloud::ec2::listing::{FoundInstance, InstanceState, parse_provider_id};
use crate::controller::Event;

const NOT_FOUND: &str = "InvalidInstanceID.NotFound";

/// Ends instances.
#[derive(Debug)]
pub(super) struct Terminator {
    aws: Aws,
    teller: Teller,
    /// Those that EC2 has taken it of: whoever asks again is told how far they are, without another call that changes something.
    ending: Mutex<BTreeSet<String>>,
}

impl Terminator {
    pub fn new(aws: Aws, teller: Teller) -> Self {
        Self { aws, teller, ending: Mutex::default() }
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
        let (looked, ended) = futures::join!(self.look(asked), self.end_all(new));
        for (id, result) in looked.into_iter().chain(ended) {
            let provider_id = &wanted[&id];
            if result.is_err() {
                let zone = parse_provider_id(provider_id).map_or("", |(zone, _)| zone).to_owned();
                counter!("karpenter_cloudprovider_instance_termination_failures_total", "zone" => zone).increment(1);
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
    async fn look(&self, ids: Vec<String>) -> Vec<(String, Result<bool, String>)> {
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

    /// All in one call; where one of them is not there EC2 refuses them all, and each is asked for alone.
    async fn end_all(&self, ids: Vec<String>) -> Vec<(String, Result<bool, String>)> {
        match ids.as_slice() {
            [] => Vec::new(),
            [_] => self.call(&ids).await,
            _ => match self.call(&ids).await {
                told if told.iter().all(|(_, result)| result.is_ok()) => told,
                _ => {
                    let each = ids.chunks(1).map(|id| self.call(id));
                    futures::future::join_all(each).await.into_iter().flatten().collect()
                }
            },
        }
    }

    async fn call(&self, ids: &[String]) -> Vec<(String, Result<bool, String>)> {
        let answer = self.aws.ec2.terminate_instances().set_instance_ids(Some(ids.to_vec())).send().await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if code(&error) == Some(NOT_FOUND) && ids.len() == 1 => return vec![(ids[0].clone(), Ok(true))],
            Err(error) => {
                let reason = reason("TerminateInstances", &error);
                return ids.iter().map(|id| (id.clone(), Err(reason.clone()))).collect();
            }
        };
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
        ids.iter().map(told).collect()
    }
}
