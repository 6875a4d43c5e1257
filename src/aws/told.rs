//! What the loops tell the controller.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::cloud::InterruptionKind;
use crate::controller::Event;

/// An event, and whom to tell that nothing is left to do about it.
#[derive(Debug)]
pub struct Told {
    pub event: Event,
    /// Of an interruption: the instance, and who waits for [`crate::controller::Controller::is_handled`].
    pub handled: Option<(Arc<str>, oneshot::Sender<()>)>,
}

/// Where it goes.
pub type Teller = mpsc::UnboundedSender<Told>;

/// Tells an event that nobody waits for. Where nobody hears it, the controller has ended.
pub(super) fn tell(teller: &Teller, event: Event) {
    let _ = teller.send(Told { event, handled: None });
}

/// Tells of an instance that is about to go; the receiver hears when its claim goes, or is dropped where this process does not act any
/// more.
pub(super) fn tell_interruption(
    teller: &Teller,
    provider_id: Arc<str>,
    kind: InterruptionKind,
) -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    let event = Event::Interrupted { provider_id: provider_id.clone(), kind };
    let _ = teller.send(Told { event, handled: Some((provider_id, sender)) });
    receiver
}
