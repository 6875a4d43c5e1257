//! What goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::Call;
use super::query::Refusal;
use crate::placement::dice::Dice;

/// Faults, and what the stand-ins say. By default there are none.
#[derive(Default)]
pub struct Faults {
    /// Every answer takes so long.
    pub latency: Duration,
    /// `type/zone/capacity-type` that cannot be had, `*` for any.
    pub unavailable: BTreeSet<String>,
    /// Actions for which rights are missing, dry runs included.
    pub forbidden: BTreeSet<String>,
    /// So many answers to an action are lost, after it was done.
    pub lost: BTreeMap<String, usize>,
    /// So many calls of an action fail before it is done.
    pub broken: BTreeMap<String, usize>,
    /// Calls that change something in EC2 have tokens: so many a second, and so many at once.
    pub throttle: Option<Throttle>,
    /// At random, of the calls that change something, so many in a thousand are lost, and as many fail. Polls of the queue are left out.
    pub random: Option<(Dice, usize)>,
    /// So many calls went wrong at random.
    pub happened: usize,
    /// Images: name and architecture by id; moto forgets the architecture.
    pub images: BTreeMap<String, (String, &'static str)>,
    /// A queue in the place of moto's, which looks through all messages for each that is deleted: those that wait, and those that were
    /// delivered, by receipt.
    pub queue: Option<(Vec<String>, BTreeMap<String, String>)>,
    /// Values of SSM parameters; others are not there.
    pub parameters: BTreeMap<String, String>,
    /// What the Pricing stand-in says, dollars an hour by type. Spot costs two fifths of it, since long ago.
    pub prices: BTreeMap<String, String>,
    /// Capacity reservations by id: type, zone and how many instances are free.
    pub reservations: BTreeMap<String, (String, String, u32)>,
    /// Instances that may not be ended: the code of the refusal, and whether it names them.
    pub unending: BTreeMap<String, (&'static str, bool)>,
    /// Launch templates that may not be deleted, by id.
    pub undeletable: BTreeSet<String>,
    /// Placement groups by name: id, and how many partitions they have.
    pub placement_groups: BTreeMap<String, (String, u32)>,
    /// Zones that ARC has shifted away from, by id.
    pub shifted: BTreeSet<String>,
    /// Every instance profile was made two hours ago.
    pub old_profiles: bool,
    /// What DescribeInstanceStatus says of instances; the others are well.
    pub ailments: BTreeMap<String, Ailment>,
    /// Spot prices of a type in a zone since so many hours, dollars an hour.
    pub spot_changes: Vec<(&'static str, &'static str, &'static str, i64)>,
}

/// What is wrong with an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ailment {
    /// Its own check fails, for ten minutes by now.
    Impaired,
    /// The check fails, since half a minute.
    ImpairedOfLate,
    /// Its hardware is to be retired.
    Retirement,
    /// It was to be rebooted, and was.
    RebootOver,
}

/// A token bucket.
pub struct Throttle {
    pub rate: f64,
    pub burst: f64,
    pub tokens: f64,
    pub at: Instant,
    /// So many calls were refused.
    pub refused: usize,
}

impl Throttle {
    pub fn new(rate: f64, burst: f64) -> Self {
        Self { rate, burst, tokens: burst, at: Instant::now(), refused: 0 }
    }

    fn allows(&mut self) -> bool {
        let now = Instant::now();
        self.tokens = (self.tokens + (now - self.at).as_secs_f64() * self.rate).min(self.burst);
        self.at = now;
        let is_allowed = self.tokens >= 1.0;
        if is_allowed {
            self.tokens -= 1.0;
        } else {
            self.refused += 1;
        }
        is_allowed
    }
}

/// What becomes of a call.
#[derive(Default)]
pub struct Verdict {
    pub refusal: Option<Refusal>,
    pub is_lost: bool,
}

impl Faults {
    pub fn judge(&mut self, call: &Call) -> Verdict {
        let refuse = |code: &str, status: u16| Verdict {
            refusal: Some((code.to_owned(), format!("{} is refused by the test", call.action), status)),
            is_lost: false,
        };
        let reads = ["Describe", "List", "Get"].iter().any(|verb| call.action.starts_with(verb));
        if self.forbidden.contains(&call.action) {
            let code = if call.service == "ec2" { "UnauthorizedOperation" } else { "AccessDenied" };
            return refuse(code, 403);
        }
        if call.service == "ec2" && !reads && self.throttle.as_mut().is_some_and(|throttle| !throttle.allows()) {
            return refuse("RequestLimitExceeded", 503);
        }
        if take(&mut self.broken, &call.action) {
            return refuse("InternalError", 500);
        }
        if let Some((dice, permille)) =
            self.random.as_mut().filter(|_| !reads && !call.is_dry_run && call.action != "ReceiveMessage")
        {
            let (rolled, permille) = (dice.below(1_000), *permille);
            self.happened += usize::from(rolled < permille * 2);
            if rolled < permille {
                return refuse("InternalError", 500);
            }
            if rolled < permille * 2 {
                return Verdict { refusal: None, is_lost: true };
            }
        }
        Verdict { refusal: None, is_lost: !call.is_dry_run && take(&mut self.lost, &call.action) }
    }

    pub fn is_unavailable(&self, kind: &str, zone: &str, capacity_type: &str) -> bool {
        let matches = |pattern: &str, text: &str| pattern == "*" || pattern == text;
        self.unavailable.iter().any(|pattern| {
            let mut parts = pattern.split('/');
            [kind, zone, capacity_type].iter().all(|text| parts.next().is_some_and(|part| matches(part, text)))
        })
    }
}

/// One of what is left of a number.
fn take(left: &mut BTreeMap<String, usize>, action: &str) -> bool {
    left.get_mut(action).filter(|left| **left > 0).is_some_and(|left| {
        *left -= 1;
        true
    })
}
