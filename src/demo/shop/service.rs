//! What a pretend shop does with its connections.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use parking_lot::Mutex;

use super::api::{self, Api, ShopState};
use super::bagisto;
use super::ecwid::Ecwid;
use super::failure::ShopFailure;
use super::ledger::Mood;
use super::storefront::Storefront;
use super::wire::{ReceivedRequest, SeenRequest, ShopConnection};
use super::wordpress::Cocart;

/// The shop as its connections see it.
pub(super) struct ShopService {
    pub(super) api: Box<dyn Api>,
    pub(super) state: Arc<ShopState>,
    pub(super) seen: Mutex<Vec<SeenRequest>>,
    pub(super) failure: Mutex<ShopFailure>,
    pub(super) recitals: Mutex<HashMap<String, Vec<u8>>>,
    pub(super) asides: Mutex<HashMap<String, VecDeque<Vec<u8>>>>,
}

impl ShopService {
    /// A shop without requests so far.
    pub(super) fn new(storefront: Storefront, mood: Mood) -> Self {
        let state = Arc::new(ShopState::in_mood(mood));
        let known = Arc::clone(&state);
        let api: Box<dyn Api> = match storefront {
            Storefront::Bagisto => bagisto::as_documented(known),
            Storefront::BagistoApi => bagisto::as_coded(known),
            Storefront::BagistoGraphql => bagisto::as_graphql(known),
            Storefront::Cocart => Box::new(Cocart::new(known)),
            Storefront::Ecwid => Box::new(Ecwid::new(known)),
        };
        Self {
            api,
            state,
            seen: Mutex::default(),
            failure: Mutex::new(ShopFailure::None),
            recitals: Mutex::default(),
            asides: Mutex::default(),
        }
    }

    /// One connection, until either side ends it. What goes wrong on it is the client's business.
    pub(super) fn serve(&self, stream: TcpStream) {
        let mut conversation = ShopConnection::on(stream);
        while let Ok(true) = self.serve_request(&mut conversation) {}
    }

    /// False when nothing more will be said on this connection.
    fn serve_request(&self, conversation: &mut ShopConnection) -> io::Result<bool> {
        let request = match conversation.next_request() {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(false),
            Err(fault) if fault.kind() == io::ErrorKind::InvalidData => {
                conversation.refuse(&self.state.mint.clock.date())?;
                return Ok(false);
            }
            Err(fault) => return Err(fault),
        };
        self.seen.lock().push(request.seen.clone());
        self.respond(conversation, &request)?;
        Ok(!request.last)
    }

    /// What was said to be answered to this path.
    fn recital(&self, path: &str) -> Option<Vec<u8>> {
        let aside = self
            .asides
            .lock()
            .get_mut(path)
            .and_then(VecDeque::pop_front);
        aside.or_else(|| self.recitals.lock().get(path).cloned())
    }

    fn respond(
        &self,
        conversation: &mut ShopConnection,
        request: &ReceivedRequest,
    ) -> io::Result<()> {
        let failure = *self.failure.lock();
        let recital = self.recital(&request.seen.path());
        let answer = match failure {
            ShopFailure::Status(status) => api::failed(&*self.api, status),
            ShopFailure::NotFoundAtLogout if self.api.is_logout(&request.seen) => {
                self.api.not_found()
            }
            ShopFailure::None | ShopFailure::NotFoundAtLogout => match recital {
                Some(bytes) => return conversation.recite(&bytes),
                None => self.api.answer(&request.seen),
            },
            ShopFailure::HangUp => return Err(io::ErrorKind::ConnectionAborted.into()),
            ShopFailure::Silent => return conversation.stay_silent(),
        };
        conversation.answer(request, &answer, &self.state.mint.clock.date())
    }
}
