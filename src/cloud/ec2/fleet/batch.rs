//! Launches that are alike become one request.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::{InstanceType, Offering};
use crate::cloud::ec2::NodeTemplate;
use crate::cloud::ec2::launch_template::Reserved;
use crate::cloud::{Answer, Launch, LaunchError};
use crate::resources::PODS;

/// EC2 takes more in one request; so many are launched by one in the reference.
const MOST_CLAIMS: usize = 1_000;

/// A claim of a batch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClaimOf {
    /// Its uid.
    pub uid: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// Claims that are launched alike.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Of all of them.
    pub template: NodeTemplate,
    /// The types that options are of.
    pub types: Arc<Vec<InstanceType>>,
    /// In order of preference, all of one capacity type and one kind of reservation.
    pub options: Vec<(usize, usize)>,
    /// By uid.
    pub claims: Vec<ClaimOf>,
}

/// What launches come to.
#[derive(Debug, Default)]
pub struct Batches {
    /// What to ask for, in the order of the launches.
    pub batches: Vec<Batch>,
    /// Of launches that cannot be asked for.
    pub answers: Vec<Answer>,
}

/// Puts launches together that say the same but for their claims. Those with an earlier token belong to [`super::earlier`].
#[must_use]
pub fn batches<'l>(launches: impl IntoIterator<Item = &'l Launch>) -> Batches {
    let mut found = Batches::default();
    for launch in launches {
        let claim = ClaimOf { uid: launch.uid.clone(), name: launch.claim.clone() };
        let template = match &launch.node {
            Some(Ok(template)) => template,
            Some(Err(error)) => {
                found.answers.push(Answer::Launched { claim: claim.uid, result: Err(error.clone()) });
                continue;
            }
            None => {
                let error = LaunchError::Other("its node class is not one of EC2".to_owned());
                found.answers.push(Answer::Launched { claim: claim.uid, result: Err(error) });
                continue;
            }
        };
        let options = of_one_kind(launch);
        let is_alike = |batch: &&mut Batch| {
            batch.claims.len() < MOST_CLAIMS
                && batch.options == options
                && batch.template == **template
                && (Arc::ptr_eq(&batch.types, &launch.types) || batch.types == launch.types)
        };
        match found.batches.iter_mut().find(is_alike) {
            Some(batch) => batch.claims.push(claim),
            None => found.batches.push(Batch {
                template: NodeTemplate::clone(template),
                types: launch.types.clone(),
                options,
                claims: vec![claim],
            }),
        }
    }
    for batch in &mut found.batches {
        batch.claims.sort();
        batch.claims.dedup();
    }
    found
}

/// A request is for one market. Of the options those that are bought as the first is; of a capacity block the first alone. Of the
/// reservations of a type in a zone the first alone, too: EC2 takes a pool once, and its answer does not tell them apart.
fn of_one_kind(launch: &Launch) -> Vec<(usize, usize)> {
    let kind = |&(kind, offering): &(usize, usize)| {
        let offering = &launch.types[kind].offerings[offering];
        let reserved = Reserved::of(offering);
        (
            offering.capacity_type,
            reserved.as_ref().is_some_and(|of| of.is_block),
            reserved.is_some_and(|of| of.is_interruptible),
        )
    };
    let Some(first) = launch.options.first().map(kind) else { return Vec::new() };
    let (_, is_block, _) = first;
    let count = if is_block { 1 } else { usize::MAX };
    let mut reserved = BTreeSet::new();
    let is_another_pool = |&&(kind, offering): &&(usize, usize)| {
        let offering = &launch.types[kind].offerings[offering];
        offering.reservation.is_none() || reserved.insert((kind, offering.zone.clone()))
    };
    let alike = launch.options.iter().filter(|option| kind(option) == first);
    alike.filter(is_another_pool).take(count).copied().collect()
}

impl Batch {
    /// The options themselves.
    #[must_use]
    pub fn offerings(&self) -> Vec<(&InstanceType, &Offering)> {
        self.options
            .iter()
            .map(|&(kind, offering)| (&self.types[kind], &self.types[kind].offerings[offering]))
            .collect()
    }

    /// The addresses that an instance takes at least: the pods of the smallest of the types that are asked for.
    #[must_use]
    pub fn addresses_each(&self) -> i64 {
        self.offerings().iter().map(|(kind, _)| kind.capacity.get(PODS)).min().unwrap_or(1).max(1)
    }

    /// The answer that none of its claims has an instance.
    #[must_use]
    pub fn refused(&self, error: &LaunchError) -> Vec<Answer> {
        let answer = |claim: &ClaimOf| Answer::Launched { claim: claim.uid.clone(), result: Err(error.clone()) };
        self.claims.iter().map(answer).collect()
    }
}
