//! What was found for one class, and how long it counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use tokio::time::Instant;

use super::{ClassSettings, Parameters, dry_runs, look, profile};
use crate::api::ec2_node_class::EC2NodeClass;
use crate::aws::connect::Aws;
use crate::aws::market::Keeper;
use crate::aws::templates::Templates;
use crate::cloud::ec2::ClusterFacts;
use crate::cloud::ec2::class_status::{FoundReservation, Observed, Part, Validation};

/// The reference's intervals.
const GROUPS_EVERY: Duration = Duration::from_secs(5 * 60);
const RESERVATIONS_EVERY: Duration = Duration::from_secs(60);
const PLACEMENT_EVERY: Duration = Duration::from_secs(5 * 60);
const PROFILE_EVERY: Duration = Duration::from_secs(10 * 60);
const VALIDATION_EVERY: Duration = Duration::from_secs(10 * 60);
/// What was not found, or not allowed, is looked at again sooner: somebody may just be making it.
const MISSING_EVERY: Duration = Duration::from_secs(60);
/// A call has failed.
const FAILED_EVERY: Duration = Duration::from_secs(10);

/// Who is asked, and about which cluster.
#[derive(Clone, Copy)]
pub(super) struct Need<'n> {
    pub aws: &'n Aws,
    pub cluster: &'n ClusterFacts,
    pub settings: &'n ClassSettings,
    /// Whose pools say what is tried out.
    pub client: &'n Client,
    /// What there is to be tried out.
    pub market: &'n Keeper,
    /// What is known of them.
    pub parameters: &'n Parameters,
    /// One is made for what is tried out.
    pub templates: &'n Templates,
}

/// What was found, and until when each part counts; `None`: nobody has looked.
#[derive(Default)]
pub(super) struct Looks {
    observed: Observed,
    /// The free addresses of the last look at subnets were not taken yet.
    has_new_addresses: bool,
    subnets: Option<Instant>,
    groups: Option<Instant>,
    images: Option<Instant>,
    reservations: Option<Instant>,
    /// When EC2 was asked for them last.
    reservations_asked: Option<Instant>,
    placement: Option<Instant>,
    profile: Option<Instant>,
    validation: Option<Instant>,
    /// How many claims its end waits for, as far as that was said.
    waits_for: Option<usize>,
}

/// Whether something found is nothing.
trait IsNothing {
    fn is_nothing(&self) -> bool;
}

impl<T> IsNothing for Vec<T> {
    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

impl IsNothing for String {
    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

impl<T> IsNothing for Option<T> {
    fn is_nothing(&self) -> bool {
        self.is_none()
    }
}

/// Until when a part counts.
fn until<T: IsNothing>(part: &Part<T>, every: Duration) -> Instant {
    let every = match part {
        Part::Found(found) if found.is_nothing() => every.min(MISSING_EVERY),
        Part::Found(_) | Part::Unknown => every,
        Part::Failed(_) => FAILED_EVERY,
        Part::Refused(..) => MISSING_EVERY,
    };
    Instant::now() + every
}

/// Asks anew where it is time.
async fn renew<T: IsNothing>(
    part: &mut Part<T>,
    due: &mut Option<Instant>,
    every: Duration,
    ask: impl Future<Output = Part<T>>,
) {
    if due.is_none_or(|due| due <= Instant::now()) {
        *part = ask.await;
        *due = Some(until(part, every));
    }
}

impl Looks {
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Its end waits for so many claims. Whether that is new.
    pub fn waits_for(&mut self, claims: usize) -> bool {
        self.waits_for.replace(claims) != Some(claims)
    }

    /// Looks up what is due, all at once.
    pub async fn refresh(&mut self, class: &EC2NodeClass, need: Need<'_>) {
        let Need { aws, cluster, settings, .. } = need;
        let spec = &class.spec;
        let now = Instant::now();
        self.has_new_addresses |= self.subnets.is_none_or(|due| due <= now);
        let found = &mut self.observed;
        found.has_service_cidr = cluster.service_cidr.is_some();
        found.reserved_capacity = cluster.reserved_capacity;
        let reservations = async {
            if cluster.reserved_capacity {
                let asked = &mut self.reservations_asked;
                let ask = async {
                    *asked = Some(now);
                    look::reservations(aws, spec).await
                };
                renew(&mut found.reservations, &mut self.reservations, RESERVATIONS_EVERY, ask).await;
            }
        };
        futures::join!(
            renew(&mut found.subnets, &mut self.subnets, settings.subnets_every, look::subnets(aws, spec)),
            renew(&mut found.security_groups, &mut self.groups, GROUPS_EVERY, look::security_groups(aws, spec)),
            renew(
                &mut found.images,
                &mut self.images,
                settings.images_every,
                look::images(need, spec, Timestamp::now())
            ),
            reservations,
            renew(&mut found.placement_group, &mut self.placement, PLACEMENT_EVERY, look::placement_group(aws, spec)),
            renew(&mut found.instance_profile, &mut self.profile, PROFILE_EVERY, profile::ensure(aws, class, cluster)),
        );
    }

    /// Makes the dry runs for a class with the status that it is to have, where it is time and nothing is missing. Whether it did.
    pub async fn try_out(&mut self, class: &Arc<EC2NodeClass>, need: Need<'_>) -> bool {
        let is_due = self.validation.is_none_or(|due| due <= Instant::now());
        let conditions = class.status.iter().flat_map(|status| &status.conditions);
        let mut others = conditions.filter(|of| of.type_ != "Ready" && of.type_ != "ValidationSucceeded");
        if !is_due || !others.all(|of| of.status == "True") {
            return false;
        }
        self.observed.validation =
            if need.settings.no_dry_runs { Validation::Succeeded } else { dry_runs::validate(need, class).await };
        let every = match self.observed.validation {
            Validation::Succeeded => VALIDATION_EVERY,
            Validation::Failed(_) => MISSING_EVERY,
            Validation::Pending | Validation::Unknown(_) => FAILED_EVERY,
        };
        self.validation = Some(Instant::now() + every);
        true
    }

    /// Free addresses by subnet, once after each look.
    pub fn take_free_addresses(&mut self) -> Option<BTreeMap<String, i64>> {
        if !std::mem::take(&mut self.has_new_addresses) {
            return None;
        }
        let subnets = self.observed.subnets.found()?;
        Some(subnets.iter().map(|subnet| (subnet.id.clone(), subnet.free_addresses)).collect())
    }

    /// The capacity reservations as of the last answer, and when EC2 was asked.
    pub fn reservations(&self) -> Option<(Instant, &[FoundReservation])> {
        Some((self.reservations_asked?, self.observed.reservations.found()?))
    }

    /// When something is due.
    pub fn next(&self) -> Instant {
        let parts =
            [self.subnets, self.groups, self.images, self.reservations, self.placement, self.profile, self.validation];
        parts.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + FAILED_EVERY)
    }
}
