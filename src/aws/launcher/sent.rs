//! What this process has sent: the watch may not have shown it yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::cloud::ec2::fleet::Token;
use crate::cloud::ec2::fleet::earlier::Holder;

/// For so long a watch may lag.
const KEPT: Duration = Duration::from_secs(10 * 60);
/// What has become of a request that was never answered is asked for so long at most: a claim is given up after five minutes.
const UNKNOWN_KEPT: Duration = Duration::from_secs(30 * 60);

/// By the uid of the claim.
#[derive(Debug, Default)]
pub(in crate::aws) struct Sent {
    all: Mutex<BTreeMap<Arc<str>, Request>>,
    /// Claims that are being asked for, and not answered.
    under_way: Mutex<BTreeSet<Arc<str>>>,
}

/// The last one that was sent for a claim.
#[derive(Debug, Clone)]
struct Request {
    token: Token,
    outcome: Outcome,
    at: Instant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// Something may have been launched.
    Unknown,
    /// The instance of the claim.
    Launched(Arc<str>),
    /// Nothing was launched, for sure.
    Nothing,
}

impl Sent {
    /// Whether a claim may be asked for now: it is not under way.
    pub fn begin(&self, uid: &Arc<str>) -> bool {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.clone())
    }

    /// It is answered.
    pub fn end(&self, uid: &str) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    /// A request is about to be sent for these claims.
    pub fn note<'u>(&self, uids: impl Iterator<Item = &'u Arc<str>>, token: &Token) {
        self.note_at(uids, token, Instant::now());
    }

    fn note_at<'u>(&self, uids: impl Iterator<Item = &'u Arc<str>>, token: &Token, at: Instant) {
        let mut all = self.all();
        all.retain(|_, known| {
            let kept = if known.outcome == Outcome::Unknown { UNKNOWN_KEPT } else { KEPT };
            at.saturating_duration_since(known.at) < kept
        });
        all.extend(uids.map(|uid| (uid.clone(), Request { token: token.clone(), outcome: Outcome::Unknown, at })));
    }

    /// A claim has an instance. Others of its fleet do not get it.
    pub fn launched(&self, uid: &str, provider_id: &Arc<str>) {
        self.conclude(uid, Outcome::Launched(provider_id.clone()));
    }

    /// Its request has launched nothing, for sure.
    pub fn nothing(&self, uid: &str) {
        self.conclude(uid, Outcome::Nothing);
    }

    fn conclude(&self, uid: &str, outcome: Outcome) {
        if let Some(known) = self.all().get_mut(uid) {
            (known.outcome, known.at) = (outcome, Instant::now());
        }
    }

    /// Nobody asks for the claim any more.
    pub fn forget(&self, uid: &str) {
        self.all().remove(uid);
    }

    /// The token of the last request for a claim.
    pub fn token(&self, uid: &str) -> Option<Token> {
        self.all().get(uid).map(|known| known.token.clone())
    }

    /// Whether the last request for a claim is known to have launched nothing.
    pub fn is_nothing(&self, uid: &str) -> bool {
        self.all().get(uid).is_some_and(|known| known.outcome == Outcome::Nothing)
    }

    /// All claims that have a token: as the watch says, and as this process has sent it.
    pub fn holders(&self, token: &str, said: &[Holder]) -> Vec<Holder> {
        let mut holders: BTreeMap<Arc<str>, Option<Arc<str>>> =
            said.iter().map(|of| (of.uid.clone(), of.provider_id.clone())).collect();
        for (uid, known) in self.all().iter().filter(|(_, known)| known.token.to_string() == token) {
            let holder = holders.entry(uid.clone()).or_default();
            if let (None, Outcome::Launched(id)) = (&holder, &known.outcome) {
                *holder = Some(id.clone());
            }
        }
        holders.into_iter().map(|(uid, provider_id)| Holder { uid, provider_id }).collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Request>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_that_was_answered_is_the_claims_before_the_watch_says_so() {
        let (sent, token) = (Sent::default(), Token::of(["a", "b"], 1, b"request"));
        let uids: [Arc<str>; 2] = ["a".into(), "b".into()];
        sent.note(uids.iter(), &token);
        sent.launched("a", &"aws:///z/i-1".into());
        let of = |said: &[Holder]| {
            let holders = sent.holders(&token.to_string(), said);
            holders
                .into_iter()
                .map(|of| (of.uid.to_string(), of.provider_id.map(|id| id.to_string())))
                .collect::<Vec<_>>()
        };
        let expected = [("a".to_owned(), Some("aws:///z/i-1".to_owned())), ("b".to_owned(), None)];
        assert_eq!(of(&[]), expected);
        let seen = |uid: &Arc<str>| Holder { uid: uid.clone(), provider_id: None };
        assert_eq!(of(&[seen(&uids[1])]), expected, "the watch has shown b alone");
        assert_eq!(of(&[seen(&uids[0]), seen(&uids[1])]), expected);
        let other = Token::of(["a", "b"], 2, b"request").to_string();
        assert_eq!(sent.holders(&other, &[]), []);
    }

    #[test]
    fn what_was_never_answered_is_forgotten_once_its_claim_is_given_up() {
        let (sent, token) = (Sent::default(), Token::of(["a"], 1, b"request"));
        let [a, b]: [Arc<str>; 2] = ["a".into(), "b".into()];
        let start = Instant::now();
        sent.note_at([&a].into_iter(), &token, start);
        sent.note_at([&b].into_iter(), &token, start + KEPT);
        assert_eq!(sent.token("a"), Some(token.clone()), "it may have been launched");
        sent.note_at([&b].into_iter(), &token, start + UNKNOWN_KEPT);
        assert_eq!((sent.token("a"), sent.token("b")), (None, Some(token)));
    }

    #[test]
    fn what_is_under_way_is_not_asked_for_again() {
        let (sent, uid) = (Sent::default(), Arc::from("a"));
        assert!(sent.begin(&uid));
        assert!(!sent.begin(&uid));
        sent.end("a");
        assert!(sent.begin(&uid));
    }

    #[test]
    fn what_was_surely_not_launched_is_not_looked_for() {
        let (sent, uid) = (Sent::default(), Arc::from("a"));
        sent.note([&uid].into_iter(), &Token::of(["a"], 1, b"request"));
        assert!(!sent.is_nothing("a"));
        sent.nothing("a");
        assert!(sent.is_nothing("a"));
        sent.note([&uid].into_iter(), &Token::of(["a"], 2, b"request"));
        assert!(!sent.is_nothing("a"), "another request");
    }
}
